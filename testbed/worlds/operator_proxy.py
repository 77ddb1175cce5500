"""An HTTP proxy between the operator and the API server, for faults that a real network shows only by chance.

It runs in a thread of this process, forwards everything with the credentials of a kubeconfig, and can cut all watch
streams, hold new requests back, hold back what the watches say while all else goes through, answer the next watches
with "410 Gone" (the API server forgot what came between), refuse paths as an API server does that lacks a custom
resource definition or a permission, and leave a request without an answer.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import ClientError, web

from harness.processes import Supervisor
from modelfleet.kube import Connection
from modelfleet.kube.lines import split_lines

Json = dict[str, Any]

_DROPPED = {"transfer-encoding", "content-length", "content-encoding", "connection", "host", "authorization"}


@dataclass
class Behind:
    """The cluster as it looks from behind the proxy (what ``OperatorProcess`` needs of one)."""

    supervisor: Supervisor
    operator_kubeconfig: Path
    address: str = "127.0.0.1"


class Meddler:
    """What comes between the operator and the API server; this one lets everything through.

    All of it runs in the proxy's event loop. `look` reads a path of the API server past the proxy.
    """

    look: Look

    async def asked(self, method: str, path: str, body: bytes) -> web.Response | None:
        """A request that is no watch. What is returned is the answer, and the API server never sees the request."""
        return None

    async def answered(self, method: str, path: str, body: bytes, status: int) -> web.Response | None:
        """The API server has answered. What is returned is told to the operator in place of that."""
        return None

    async def tell(self, path: str, lines: AsyncIterator[str]) -> AsyncIterator[str]:
        """What the watch of a path says, an event on each line."""
        async for line in lines:
            yield line


Look = Callable[[str], Awaitable[Json]]


class ApiProxy:
    """Started by ``start``, ended by ``stop``; all methods may be called from the test's thread."""

    def __init__(self, kubeconfig: Path, folder: Path, meddler: Meddler | None = None) -> None:
        self._upstream = kubeconfig
        self.meddler = meddler
        self._folder = folder
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="api proxy", daemon=True)
        self._watches: set[asyncio.Task[Any]] = set()
        self._late: set[str] | None = None  # the paths that were told "410 Gone" since `resume`; None: nobody is told
        self._refused: Mapping[str, int] = {}
        self._unheard: tuple[bytes, bool] | None = None  # what is in the body, and whether it is carried out
        self._heard = asyncio.Event()
        self._open = asyncio.Event()
        self._telling = asyncio.Event()
        self._port = 0
        self.refusals = 0
        """Requests refused so far."""

    def start(self) -> ApiProxy:
        """Listen on a free port of 127.0.0.1."""
        self._thread.start()
        self._do(self._start())
        return self

    def stop(self) -> None:
        """Cut everything and end the thread."""
        self._do(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @property
    def kubeconfig(self) -> Path:
        """The way to the API server through this proxy."""
        path = self._folder / "proxy.kubeconfig"
        cluster = {"name": "proxy", "cluster": {"server": f"http://127.0.0.1:{self._port}"}}
        context = {"name": "proxy", "context": {"cluster": "proxy", "user": "none"}}
        users = [{"name": "none", "user": {}}]
        config = {"apiVersion": "v1", "kind": "Config", "clusters": [cluster], "contexts": [context], "users": users}
        path.write_text(json.dumps({**config, "current-context": "proxy"}))
        return path

    def cut(self) -> None:
        """Break all watch streams, and let no request through until ``resume``."""
        self._do(self._cut())

    def resume(self, *, expired: bool) -> None:
        """Let requests through again; ``expired``: the first watch of each path is told that it came too late."""
        self._do(self._resume(expired))

    def hold_watches(self) -> None:
        """Let watches say nothing, neither those that are open nor new ones, and all other requests through."""
        self._loop.call_soon_threadsafe(self._telling.clear)

    def release_watches(self) -> None:
        """Let watches say what was held back, and go on."""
        self._loop.call_soon_threadsafe(self._telling.set)

    def refuse(self, paths: Mapping[str, int]) -> None:
        """Answer requests whose path contains one of these texts with this status; {} ends it."""
        self._refused = dict(paths)

    def leave_unheard(self, text: str, *, carried_out: bool) -> None:
        """Never answer a request whose body has this text; it reaches the API server, or it does not."""
        self._unheard = (text.encode(), carried_out)

    def hear(self) -> None:
        """Answer everything again; what was left unheard stays so."""
        self._unheard = None
        self._loop.call_soon_threadsafe(self._heard.set)

    def _do(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _start(self) -> None:
        self._connection = await Connection.open(self._upstream)
        self._session = self._connection.session()
        if self.meddler is not None:
            self.meddler.look = self.look
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self._port = self._runner.addresses[0][1]
        self._open.set()
        self._telling.set()

    async def _stop(self) -> None:
        await self._cut()
        await self._runner.cleanup()
        await self._session.close()
        await self._connection.close()
        await asyncio.sleep(0.2)  # aiohttp lets go of sockets a little later
        waiting = asyncio.all_tasks() - {asyncio.current_task()}  # requests that were never let through
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    async def _cut(self) -> None:
        self._open.clear()
        watches = tuple(self._watches)
        for task in watches:
            task.cancel()
        await asyncio.gather(*watches, return_exceptions=True)

    async def _resume(self, expired: bool) -> None:
        self._late = set() if expired else None
        self._open.set()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        await self._open.wait()
        for text, status in self._refused.items():
            if text in request.path:
                self.refusals += 1
                message = f"refused by the test: {request.path}"
                reason = {401: "Unauthorized", 403: "Forbidden"}.get(status, "")
                return web.json_response({"kind": "Status", "reason": reason, "message": message}, status=status)
        watch = "watch" in request.query
        if watch and self._late is not None and request.path not in self._late:
            self._late.add(request.path)
            gone = {
                "type": "ERROR",
                "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"},
            }
            return web.Response(text=json.dumps(gone) + "\n", content_type="application/json")
        if self._unheard is not None and self._unheard[0] in await request.read():
            if self._unheard[1]:
                await self._answer(request)
            await self._heard.wait()
            return web.Response(status=504)
        task = asyncio.current_task()
        assert task is not None
        if watch:
            self._watches.add(task)
        try:
            if self.meddler is not None and not watch and "follow" not in request.query:
                return await self._through(self.meddler, request)
            return await self._forward(request)
        except ClientError as error:
            return web.Response(status=502, text=repr(error))
        finally:
            self._watches.discard(task)

    async def _answer(self, request: web.Request) -> int:
        """Carry it out; what the API server answered."""
        url, body = self._connection.server + request.raw_path, await request.read()
        async with self._session.request(request.method, url, headers=_passed_on(request), data=body) as upstream:
            return upstream.status

    async def _through(self, meddler: Meddler, request: web.Request) -> web.StreamResponse:
        """A request as a whole, and its answer as a whole, past the meddler."""
        url, body = self._connection.server + request.raw_path, await request.read()
        asked = request.method, request.path, body
        if (made_up := await meddler.asked(*asked)) is not None:
            return made_up
        headers = _passed_on(request)
        async with self._session.request(request.method, url, headers=headers, data=body or None) as upstream:
            kept = {name: value for name, value in upstream.headers.items() if name.lower() not in _DROPPED}
            answer = web.Response(status=upstream.status, headers=kept, body=await upstream.read())
        return await meddler.answered(*asked, answer.status) or answer

    async def look(self, path: str) -> Json:
        """What the API server says there, past everything that this proxy does; {} where it says that it has none."""
        async with self._session.get(self._connection.server + path) as answer:
            found: Json = await answer.json() if answer.status == 200 else {}
            return found

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        headers = _passed_on(request)
        body = await request.read()
        url = self._connection.server + request.raw_path
        async with self._session.request(request.method, url, headers=headers, data=body or None) as upstream:
            kept = {name: value for name, value in upstream.headers.items() if name.lower() not in _DROPPED}
            response = web.StreamResponse(status=upstream.status, headers=kept)
            await response.prepare(request)
            watch = "watch" in request.query
            chunks: AsyncIterator[bytes] = upstream.content.iter_any()
            if watch and self.meddler is not None:
                told = self.meddler.tell(request.path, split_lines(chunks))
                chunks = (f"{line}\n".encode() async for line in told)
            async for chunk in chunks:
                if watch:
                    await self._telling.wait()
                await response.write(chunk)
            await response.write_eof()
            return response


def _passed_on(request: web.Request) -> dict[str, str]:
    return {name: value for name, value in request.headers.items() if name.lower() not in _DROPPED}
