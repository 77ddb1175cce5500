"""The live page's server, on 127.0.0.1 only: who may look is decided by whoever may forward a port to the pod.

Threads: one a connection, at most `viewers` + _BESIDE of them. Each connection has a deadline by which its answer must
be through; a stream's moves on with each picture that its viewer took. Past it the connection is cut.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import socket
import threading
import time
from http.server import ThreadingHTTPServer
from typing import Any

from agent.live.handler import Handler, Viewing

PATIENCE = 15.0
"""Seconds that a request and its answer, or one picture of a stream, may take to get through."""

_BESIDE = 16  # connections besides the viewers': of the page, its figures, and what is refused

_log = logging.getLogger(__name__)


class Live:
    """Serves in the background from construction until `close`. Raises OSError when the port can't be had."""

    def __init__(self, port: int, viewing: Viewing, patience: float = PATIENCE) -> None:
        self._viewing = viewing
        self._server = _Server(port, viewing, patience)
        self._thread = threading.Thread(target=self._server.serve_forever, name="live", daemon=True)
        self._thread.start()
        _log.info("serving the live page on http://127.0.0.1:%d", self.port)

    @property
    def port(self) -> int:
        """The port in use: the one asked for, or the one chosen by the system for 0."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """End all streams, stop accepting requests and free the port."""
        self._viewing.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int, viewing: Viewing, patience: float) -> None:
        self._connections = viewing.viewers + _BESIDE
        self._patience = patience
        self._deadlines: dict[Any, float] = {}
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", port), functools.partial(Handler, viewing, self.extend))

    def extend(self, connection: socket.socket) -> None:
        """The peer took what it was sent: it has as long again for the next."""
        with self._lock:
            if connection in self._deadlines:
                self._deadlines[connection] = time.monotonic() + self._patience

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            full = len(self._deadlines) >= self._connections
            if not full:
                self._deadlines[request] = time.monotonic() + self._patience
        if full:  # no thread for it: this must not wait for the peer either
            with contextlib.suppress(OSError):
                request.setblocking(False)
                request.send(b"HTTP/1.0 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n\r\n")
            _log.debug("too many connections: one was refused")
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._deadlines.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Called every half second: wakes the threads whose peer neither sends nor takes any more."""
        now = time.monotonic()
        with self._lock:
            late = [connection for connection, deadline in self._deadlines.items() if deadline < now]
        self._cut(late)

    def server_close(self) -> None:
        super().server_close()
        with self._lock:
            left = list(self._deadlines)
        self._cut(left)

    def handle_error(self, request: Any, client_address: Any) -> None:
        _log.exception("a request to the live page failed")

    @staticmethod
    def _cut(connections: list[Any]) -> None:
        for connection in connections:
            with contextlib.suppress(OSError):  # it ended meanwhile
                connection.shutdown(socket.SHUT_RDWR)
