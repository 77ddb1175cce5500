"""An HTTP proxy between the operator and the API server, for faults that a real network shows only by chance.

It runs in a thread of this process, forwards everything with the credentials of a kubeconfig, and can cut all watch
streams, hold new requests back, answer the next watches with "410 Gone" (the API server forgot what came between), and
refuse paths as an API server does that lacks a custom resource definition or a permission.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiohttp import ClientError, web

from modelfleet.kube import Connection

_DROPPED = {"transfer-encoding", "content-length", "content-encoding", "connection", "host", "authorization"}


class ApiProxy:
    """Started by ``start``, ended by ``stop``; all methods may be called from the test's thread."""

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        self._upstream = kubeconfig
        self._folder = folder
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="api proxy", daemon=True)
        self._watches: set[asyncio.Task[Any]] = set()
        self._late: set[str] | None = None  # the paths that were told "410 Gone" since `resume`; None: nobody is told
        self._refused: Mapping[str, int] = {}
        self._open = asyncio.Event()
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

    def refuse(self, paths: Mapping[str, int]) -> None:
        """Answer requests whose path contains one of these texts with this status; {} ends it."""
        self._refused = dict(paths)

    def _do(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _start(self) -> None:
        self._connection = await Connection.open(self._upstream)
        self._session = self._connection.session()
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self._port = self._runner.addresses[0][1]
        self._open.set()

    async def _stop(self) -> None:
        await self._cut()
        await self._runner.cleanup()
        await self._session.close()
        await self._connection.close()
        await asyncio.sleep(0.2)  # aiohttp lets go of sockets a little later

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
        task = asyncio.current_task()
        assert task is not None
        if watch:
            self._watches.add(task)
        try:
            return await self._forward(request)
        except ClientError as error:
            return web.Response(status=502, text=repr(error))
        finally:
            self._watches.discard(task)

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _DROPPED}
        body = await request.read()
        url = self._connection.server + request.raw_path
        async with self._session.request(request.method, url, headers=headers, data=body or None) as upstream:
            kept = {name: value for name, value in upstream.headers.items() if name.lower() not in _DROPPED}
            response = web.StreamResponse(status=upstream.status, headers=kept)
            await response.prepare(request)
            async for chunk in upstream.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
            return response
