"""A fake registry, for what a real one can't be made to do: refuse twice, break the line, serve another content.

It speaks the reading half of the distribution protocol over plain HTTP on this machine. What a good registry does is
tested against the real one, in test_oci_registry.py. So is its token endpoint a fake, also for identity tokens: a real
one is a service of its own (Azure's, Docker Hub's), which distribution's registry does not have.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

DATA = bytes(range(250)) * 12_000
REPOSITORY = "models/parts"
IDENTITY = "an-identity.token"  # that the token endpoint takes
MEDIA = "application/vnd.oci.image.manifest.v1+json"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def described(content: bytes, name: str | None, media: str = "application/octet-stream", **more: Any) -> dict[str, Any]:
    """A layer's entry in a manifest."""
    title = {} if name is None else {"annotations": {"org.opencontainers.image.title": name}}
    return {"mediaType": media, "digest": f"sha256:{sha256(content)}", "size": len(content), **title, **more}


def manifest(*layers: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"schemaVersion": 2, "mediaType": MEDIA, "layers": layers, **more}).encode()


def index(*manifests: bytes, **more: Any) -> bytes:
    entries = [{"mediaType": MEDIA, "digest": f"sha256:{sha256(each)}", "size": len(each)} for each in manifests]
    return json.dumps({"schemaVersion": 2, "manifests": [*entries, *more.get("others", [])]}).encode()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves what `put` was given. `faults` of a kind of path (manifests, blobs, token) come before good answers."""

    protocol_version = "HTTP/1.1"
    things: dict[str, bytes]
    faults: dict[str, list[Callable[[Handler], None]]]
    seen: list[tuple[str, dict[str, str]]]
    token: str | None
    forms: list[dict[str, str]]  # what was posted to the token endpoint
    refuse: Callable[[str], bool]  # which Authorization headers get no token

    @classmethod
    def put(cls, content: bytes) -> str:
        """Make the registry hold it, as manifest and as blob; its digest."""
        digest = f"sha256:{sha256(content)}"
        cls.things[digest] = content
        return digest

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server.server_address[1]}"

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.seen.append((self.path, headers))
        kind = next((kind for kind in ("manifests", "blobs", "token") if f"/{kind}" in self.path), "")
        if self.faults.get(kind):
            self.faults[kind].pop(0)(self)
        elif kind == "token" and self.refuse(headers.get("authorization", "")):
            self.unauthorized()
        elif kind == "token":
            self.reply(200, json.dumps({"token": self.token}).encode())
        elif self.token is not None and headers.get("authorization") != f"Bearer {self.token}":
            self.unauthorized()
        else:
            self.good()

    def do_POST(self) -> None:
        """The token endpoint's other half: OAuth2, of which it knows the one grant."""
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = dict(urllib.parse.parse_qsl(body, strict_parsing=True))
        self.forms.append(form)
        if self.headers["Content-Type"] != "application/x-www-form-urlencoded" or not form.get("client_id"):
            self.reply(400, b'{"error": "invalid_request"}')
        elif (form["grant_type"], form["refresh_token"]) != ("refresh_token", IDENTITY):
            self.reply(400, b'{"error": "invalid_grant"}')
        else:
            self.reply(200, json.dumps({"access_token": self.token, "token_type": "Bearer"}).encode())

    def good(self, *, only: int | None = None) -> None:
        content = self.things.get(self.path.rpartition("/")[2])
        if content is None:
            self.reply(404, b'{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}')
            return
        asked = self.headers.get("Range")
        if asked:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            extra = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
            self.reply(206, content[start:], extra, only=only)
        else:
            self.reply(200, content, only=only)

    def unauthorized(self) -> None:
        told = f'Bearer realm="http://{self.host}/token",service="fake",scope="repository:{REPOSITORY}:pull"'
        self.reply(401, b'{"errors": [{"code": "UNAUTHORIZED"}]}', {"WWW-Authenticate": told})

    def reply(self, status: int, body: bytes, extra: dict[str, str] | None = None, *, only: int | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | (extra or {})).items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # whoever has seen enough hangs up
            self.wfile.write(body[:only])
        if only is not None:
            self.wfile.flush()
            self.connection.shutdown(2)
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def served() -> Iterator[tuple[type[Handler], str]]:
    """A fake registry, and its host with port."""
    own = {"things": {}, "faults": {}, "seen": [], "token": None, "forms": [], "refuse": staticmethod(lambda _: False)}
    handler = type("H", (Handler,), own)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield handler, f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
