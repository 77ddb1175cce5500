"""The HTTP side: /metrics for Prometheus, /healthz and /readyz for the kubelet."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, disable_created_metrics
from prometheus_client.exposition import choose_encoder

from agent.serve.health import Health

_log = logging.getLogger(__name__)


def process_registry() -> CollectorRegistry:
    """A registry that holds the figures of this process already."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # their `_created` series would double what each node sends, and nothing reads them
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return registry


class _DualStackServer(ThreadingHTTPServer):
    """Listens on IPv6 and IPv4 at once, or on IPv4 where the machine has no IPv6."""

    daemon_threads = True
    address_family = socket.AF_INET6

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


class Server:
    """Serves in the background from construction until `close`. Raises OSError when the port can't be had."""

    def __init__(self, port: int, registry: CollectorRegistry, health: Health) -> None:
        handler = _handler(registry, health)
        try:
            self._server: ThreadingHTTPServer = _DualStackServer(("::", port), handler)
        except OSError:
            self._server = ThreadingHTTPServer(("0.0.0.0", port), handler)
            self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="http", daemon=True)
        self._thread.start()
        _log.info("serving metrics and health on port %d", self.port)

    @property
    def port(self) -> int:
        """The port in use: the one asked for, or the one chosen by the system for 0."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stop accepting requests and free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(registry: CollectorRegistry, health: Health) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 30  # of one connection: a peer that says nothing must not keep a thread

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                encode, content_type = choose_encoder(self.headers.get("Accept", ""))
                self._answer(HTTPStatus.OK, encode(registry), content_type)
            elif path == "/healthz":
                self._probe(health.dead())
            elif path == "/readyz":
                self._probe(health.unready())
            else:
                self._answer(HTTPStatus.NOT_FOUND, b"try /metrics, /healthz or /readyz\n")

        def _probe(self, problem: str | None) -> None:
            if problem is None:
                self._answer(HTTPStatus.OK, b"ok\n")
            else:
                self._answer(HTTPStatus.SERVICE_UNAVAILABLE, f"{problem}\n".encode())

        def _answer(self, status: HTTPStatus, body: bytes, content_type: str = "text/plain; charset=utf-8") -> None:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the peer has gone: nobody to tell
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            _log.debug(format, *args)

    return Handler
