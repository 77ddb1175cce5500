"""The HTTP server for probes and metrics: /healthz, /readyz, /metrics.

/healthz answers as long as the event loop turns: when it doesn't, nothing does, and the kubelet is right to restart
us. It says nothing about the API server, whose absence a restart would not fix. /readyz says whether the store is in
sync and the workers run, and if not, why.
"""

import logging
from collections.abc import Callable

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

log = logging.getLogger(__name__)


class Server:
    """Serves until `close`. `not_ready` returns why the operator isn't ready; "" when it is."""

    def __init__(self, registry: CollectorRegistry, not_ready: Callable[[], str]) -> None:
        self._registry = registry
        self._not_ready = not_ready
        app = web.Application()
        app.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._metrics),
            ]
        )
        self._runner = web.AppRunner(app, handle_signals=False, access_log=None, shutdown_timeout=1.0)

    async def open(self, address: str, port: int) -> int:
        """Listen; the port (chosen by the system for 0). Raises OSError where it can't."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, address, port)
        await site.start()
        chosen: int = self._runner.addresses[0][1]
        log.info("served probes and metrics on port %d", chosen)
        return chosen

    async def close(self) -> None:
        """Stop listening and end all connections; again, it does nothing."""
        await self._runner.cleanup()

    async def _healthz(self, request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, request: web.Request) -> web.Response:
        why = self._not_ready()
        return web.Response(text=f"{why or 'ok'}\n", status=503 if why else 200)

    async def _metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})
