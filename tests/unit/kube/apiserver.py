"""A scripted HTTP server in place of an API server: what `Client` sends is recorded, what it gets is up to the test.

For the behaviour at the edges (broken streams, expired tokens, slow answers) that a real API server shows only by
chance.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from modelfleet.kube import Connection


@dataclass
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class ApiServer:
    """Answers with `answers` in turn; the last one repeats."""

    answers: list[Answer] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    port: int = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Record the request and give the next answer."""
        text = await request.text()
        self.seen.append(
            Seen(
                request.method,
                request.path,
                dict(request.query),
                dict(request.headers),
                json.loads(text) if text else None,
            )
        )
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return await answer(request)

    def kubeconfig(self, folder: Path, token: str = "t1") -> Path:
        """A kubeconfig for this server."""
        path = folder / "kubeconfig"
        path.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}],
                    "users": [{"name": "u", "user": {"token": token}}],
                    "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                    "current-context": "x",
                }
            )
        )
        return path


@asynccontextmanager
async def serve(*answers: Answer) -> AsyncIterator[ApiServer]:
    """Run a scripted server."""
    server = ApiServer(list(answers))
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.port = runner.addresses[0][1]
    try:
        yield server
    finally:
        await runner.cleanup()


@asynccontextmanager
async def connected(server: ApiServer, folder: Path) -> AsyncIterator[Connection]:
    """A connection to a scripted server."""
    connection = await Connection.open(server.kubeconfig(folder))
    try:
        yield connection
    finally:
        await connection.close()


def says(body: Any, status: int = 200, **headers: str) -> Answer:
    """Answer with JSON."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=status, headers=headers)

    return answer


def refuses(code: int, reason: str, message: str, **headers: str) -> Answer:
    """Answer with a `Status` that is a failure."""
    body = {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}
    return says(body, code, **headers)


def streams(*chunks: str, breaks: bool = False) -> Answer:
    """Answer with a stream of text, which ends, or breaks off without an end."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk.encode())
        if breaks:
            assert request.transport is not None
            await asyncio.sleep(0.01)
            request.transport.abort()
        return response

    return answer


def hangs() -> Answer:
    """Do not answer."""

    async def answer(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(30)
        return web.Response()

    return answer
