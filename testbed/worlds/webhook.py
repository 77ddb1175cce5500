"""A receiver of webhooks: a real HTTP server on loopback that may refuse, dawdle, and be away for a while."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from harness.ports import free_port


@dataclass(frozen=True)
class Request:
    """One POST as it came."""

    path: str
    headers: dict[str, str]
    body: bytes
    status: int
    """What it was answered; 0: nothing."""

    @property
    def json(self) -> Any:
        """What its body says."""
        return json.loads(self.body)


class Receiver:
    """At one address for as long as the test wants, whether it is there or not. All methods may be called from the
    test's thread."""

    def __init__(self) -> None:
        self.port = free_port()
        self.requests: list[Request] = []
        """All that came, in order."""
        self.answers: list[int] = []
        """The status of each of the next requests: 0 takes it and never answers. After them, all get 204."""
        self._server: http.server.ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._going = threading.Event()

    @property
    def url(self) -> str:
        """Its address, without a path."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def taken(self) -> list[Request]:
        """The requests that it answered with success."""
        return [each for each in self.requests if each.status == 204]

    def come(self) -> Receiver:
        """Listen."""
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver._take(self)

            def log_message(self, *_: object) -> None:
                pass

        self._going.clear()
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        return self

    def go(self) -> None:
        """Close the port: connections are refused from now on."""
        if self._server is None or self._thread is None:
            return
        self._going.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server = None

    def _take(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        with self._lock:
            status = self.answers.pop(0) if self.answers else 204
            headers = {name.lower(): value for name, value in handler.headers.items()}
            self.requests.append(Request(handler.path, headers, body, status))
        if status == 0:
            self._going.wait(60)
            handler.close_connection = True
            return
        handler.send_response(status)
        handler.end_headers()


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver that is there."""
    receiver = Receiver().come()
    try:
        yield receiver
    finally:
        receiver.go()
