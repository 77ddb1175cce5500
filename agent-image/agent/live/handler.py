"""What the live page answers, and to whom.

A browser on the same machine may hold pages of strangers. So that none of them looks: the Host header must name this
machine (a stranger's name that resolves to 127.0.0.1 does not), nothing is shared with other origins, requests that a
stranger's page makes are refused, and nothing changes anything (GET and HEAD only).
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs

from agent.live import page
from agent.live.latest import Latest
from agent.live.pictures import NoPicture, Picture, Pictures
from agent.live.report import Model, report

HEARTBEAT = 5.0
"""Seconds after which a stream sends the same picture again: it shows whether the viewer is still there."""

_BUFFER = 128 * 1024  # bytes on their way to a viewer
_BOUNDARY = "modelfleet-frame"
_SEPARATOR = f"--{_BOUNDARY}\r\n".encode()
_HOST = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?", re.IGNORECASE)

_NUMBER = re.compile(r"[0-9]{1,18}")

_log = logging.getLogger(__name__)


class Viewing:
    """What there is to see, and the places of those who look. `rate` is pictures per second and viewer, at most."""

    def __init__(self, latest: Latest, pictures: Pictures, model: Model, rate: float, viewers: int) -> None:
        self.latest, self.pictures, self.model = latest, pictures, model
        self.interval, self.viewers = 1 / rate, viewers
        self.page = page.load()
        self.closing = threading.Event()
        self.watching = 0
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def place(self) -> Iterator[bool]:
        """A viewer's place, for as long as the block runs; False where all are taken."""
        with self._lock:
            free = self.watching < self.viewers
            self.watching += free
        try:
            yield free
        finally:
            with self._lock:
                self.watching -= free


class Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    def __init__(self, viewing: Viewing, took: Callable[[socket.socket], None], *arguments: Any) -> None:
        self._viewing = viewing
        self._took = took  # to be called with the connection whenever its viewer took a picture of a stream
        super().__init__(*arguments)

    def setup(self) -> None:
        # a viewer that takes nothing any more shall be noticed after few pictures
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        super().setup()

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except OSError as gone:  # the peer has gone or was cut: nobody to tell
            self.close_connection = True
            _log.debug("a viewer has gone: %s", gone)

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if not self._from_here():
            self._say(
                HTTPStatus.FORBIDDEN,
                "The live page is for this machine only: open it as http://localhost:<port>/, with "
                "kubectl port-forward to the pod.",
            )
            return
        asked = parse_qs(query)
        boxes = asked.get("boxes", ["1"])[-1] != "0"
        answers: dict[str, Callable[[], None]] = {
            "/": lambda: self._answer(HTTPStatus.OK, self._viewing.page.document, "text/html; charset=utf-8"),
            "/frame.jpg": lambda: self._look(lambda: self._one(boxes)),
            "/stream": lambda: self._look(lambda: self._stream(boxes)),
            "/detections.json": lambda: self._report(asked.get("frame", [""])[-1]),
        }
        if path in answers:
            answers[path]()
        else:
            self._say(HTTPStatus.NOT_FOUND, "Try /, /frame.jpg, /stream or /detections.json.")

    do_HEAD = do_GET

    def _refuse(self) -> None:
        self._say(HTTPStatus.METHOD_NOT_ALLOWED, "The live page is read only: GET and HEAD.", {"Allow": "GET, HEAD"})

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _refuse

    def _from_here(self) -> bool:
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1 or not _HOST.fullmatch(hosts[0].strip()):
            return False
        # a link to the page from elsewhere is fine; what a stranger's page embeds or fetches isn't
        fetched = self.headers.get("Sec-Fetch-Mode", "navigate") != "navigate"
        return not (fetched and self.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site"))

    def _look(self, show: Callable[[], None]) -> None:
        with self._viewing.place() as free:
            if free:
                show()
            else:
                self._say(
                    HTTPStatus.TOO_MANY_REQUESTS,
                    f"As many are watching this node as LIVE_VIEWERS allows ({self._viewing.viewers}). "
                    "Close another page, or wait.",
                    {"Retry-After": "5"},
                )

    def _one(self, boxes: bool) -> None:
        picture = self._picture(boxes)
        if picture:
            self._answer(HTTPStatus.OK, picture.data, "image/jpeg", {"X-Frame": str(picture.shown.number)})

    def _stream(self, boxes: bool) -> None:
        """Pictures until the viewer goes, or there is none to be shown any more."""
        picture = self._picture(boxes)
        if picture is None:
            return
        self._head(HTTPStatus.OK, f"multipart/x-mixed-replace; boundary={_BOUNDARY}")
        if self.command == "HEAD":
            return
        self.wfile.write(_SEPARATOR)
        sent, at = None, 0.0
        while not self._viewing.closing.is_set():
            if picture is not sent or time.monotonic() >= at + HEARTBEAT:
                self.wfile.write(_part(picture))
                self._took(self.connection)
                sent, at = picture, time.monotonic()
            if self._gone_within(self._viewing.interval):
                return  # the place is free at once
            try:
                picture = self._viewing.pictures.current(boxes)
            except NoPicture as none:
                _log.info("a stream ends: %s", none)
                return

    def _gone_within(self, seconds: float) -> bool:
        """Wait; True as soon as the viewer has hung up, or was cut off."""
        said, _, _ = select.select([self.connection], [], [], seconds)
        if said and self.connection.recv(1, socket.MSG_PEEK):
            self._viewing.closing.wait(seconds)  # it says more instead, which nobody asked for
            return False
        return bool(said)

    def _picture(self, boxes: bool) -> Picture | None:
        """The picture; None where there is none, of which the viewer was told."""
        try:
            return self._viewing.pictures.current(boxes)
        except NoPicture as none:
            self._say(HTTPStatus.SERVICE_UNAVAILABLE, str(none), {"Retry-After": "1"})
            return None

    def _report(self, frame: str) -> None:
        look = self._viewing.latest.look()
        asked = self._viewing.pictures.of_frame(int(frame)) if _NUMBER.fullmatch(frame) else None
        told = report(
            self._viewing.model,
            look,
            asked or look.shown,
            self._viewing.pictures.hidden(),
            (self._viewing.watching, self._viewing.viewers),
        )
        self._answer(HTTPStatus.OK, json.dumps(told).encode(), "application/json")

    def _say(self, status: HTTPStatus, sentence: str, headers: dict[str, str] | None = None) -> None:
        self._answer(status, f"{sentence}\n".encode(), "text/plain; charset=utf-8", headers)

    def _answer(
        self, status: HTTPStatus, body: bytes, content_type: str, headers: dict[str, str] | None = None
    ) -> None:
        self._head(status, content_type, {"Content-Length": str(len(body)), **(headers or {})})
        if self.command != "HEAD":
            self.wfile.write(body)

    def _head(self, status: HTTPStatus, content_type: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        fixed = {
            "Content-Type": content_type,
            "Content-Security-Policy": self._viewing.page.policy,
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
            "Connection": "close",
        }
        for name, value in (fixed | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What http.server itself refuses: said like all else, with the same headers."""
        self.close_connection = True
        self._say(HTTPStatus(code), message or HTTPStatus(code).phrase)

    def version_string(self) -> str:
        return "modelfleet-agent"

    def log_message(self, format: str, *args: Any) -> None:
        _log.debug(format, *args)


def _part(picture: Picture) -> bytes:
    """A picture of a stream. The separator follows at once: browsers show a part when they have seen its end."""
    head = f"Content-Type: image/jpeg\r\nContent-Length: {len(picture.data)}\r\nX-Frame: {picture.shown.number}\r\n\r\n"
    return head.encode() + picture.data + b"\r\n" + _SEPARATOR
