"""A store that breaks the line, answers 500, refuses, or is not there: bounded retries, then a clear error.

The server here speaks just enough S3 to fail in chosen ways; the real S3 server's tests are in test_object_store.py.
"""

from __future__ import annotations

import hashlib
import http.server
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import artifactstore
from artifactstore import ArtifactError, _address

DATA = bytes(range(250)) * 12_000
Answer = Callable[["Handler"], None]


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers the n-th request with the n-th behaviour, the last one again and again."""

    protocol_version = "HTTP/1.1"
    answers: list[Answer]
    seen: list[str]
    pause = 0.0
    """Seconds between two pieces of 256 kB that are sent here."""

    def do_GET(self) -> None:
        self.seen.append(f"{self.command} {self.path} {self.headers.get('Range', '')}".strip())
        self.answers[min(len(self.seen), len(self.answers)) - 1](self)

    do_HEAD = do_GET

    def do_PUT(self) -> None:
        left = int(self.headers["Content-Length"])
        while left:
            left -= len(self.rfile.read(min(left, 1 << 18)))
            time.sleep(self.pause)
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:
        pass

    def reply(self, status: int, body: bytes, extra: dict[str, str] | None = None, *, only: int | None = None) -> None:
        self.send_response(status)
        headers = {"Content-Length": str(len(body)), "ETag": '"e"', "Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT"}
        for name, value in (headers | (extra or {})).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:only])
        if only is not None:
            self.wfile.flush()
            self.connection.shutdown(2)
            self.close_connection = True


def whole(handler: Handler, *, only: int | None = None) -> None:
    asked = handler.headers.get("Range")
    if asked:
        start = int(asked.removeprefix("bytes=").split("-")[0])
        extra = {"Content-Range": f"bytes {start}-{len(DATA) - 1}/{len(DATA)}"}
        handler.reply(206, DATA[start:], extra, only=only)
    else:
        handler.reply(200, DATA, only=only)


def broken(handler: Handler) -> None:
    whole(handler, only=1_000_000)


def failing(handler: Handler) -> None:
    handler.reply(500, b"<Error><Code>InternalError</Code></Error>")


def refusing(handler: Handler) -> None:
    handler.reply(404, b"<?xml version='1.0'?><Error><Code>XAdminUserNotFound</Code></Error>")


def taken(handler: Handler) -> None:
    handler.reply(412, b"<Error><Code>PreconditionFailed</Code></Error>")


def unconditional(handler: Handler) -> None:
    if "If-None-Match" in handler.headers:
        handler.reply(501, b"<Error><Code>NotImplemented</Code></Error>")
    elif handler.command == "PUT":
        handler.reply(200, b"")
    else:
        handler.reply(404, b"<Error><Code>NoSuchKey</Code></Error>")


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Handler]]:
    handler = type("H", (Handler,), {"answers": [whole], "seen": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "access-key-1234")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-key-5678")
    monkeypatch.setitem(_address._RETRY, "max_retries", 2)
    yield handler
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_broken_download_goes_on_where_it_broke(
    store: type[Handler], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(_address._RETRY, "max_retries", 6)
    store.answers = [broken, failing, broken, whole]
    artifactstore.fetch_file("s3://bucket/best.onnx", tmp_path / "best.onnx")
    assert (tmp_path / "best.onnx").read_bytes() == DATA
    assert [line.split("bytes=")[-1].split("-")[0] for line in store.seen[1:]] == ["1000000", "1000000", "2000000"]


def test_verifying_goes_on_where_the_line_broke_too(store: type[Handler], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(_address._RETRY, "max_retries", 6)
    store.answers = [broken, failing, broken, whole]
    sha256 = hashlib.sha256(DATA).hexdigest()
    got = artifactstore.verify("s3://bucket/best.onnx", sha256=sha256, size=len(DATA))
    assert (got.sha256, got.size) == (sha256, len(DATA))
    with pytest.raises(ArtifactError, match=f"expected {len(DATA) - 1} bytes, found at least"):
        artifactstore.verify("s3://bucket/best.onnx", sha256=sha256, size=len(DATA) - 1)


def whole_again(handler: Handler) -> None:
    """A server, or a proxy before it, that knows nothing of ranges."""
    handler.reply(200, DATA)


def part_without_a_place(handler: Handler) -> None:
    handler.reply(206, DATA[1_000_000:]) if "Range" in handler.headers else whole(handler)


def another_part(handler: Handler) -> None:
    extra = {"Content-Range": f"bytes 0-{len(DATA) - 1}/{len(DATA)}"}
    handler.reply(206, DATA, extra) if "Range" in handler.headers else whole(handler)


@pytest.mark.parametrize("answer", [whole_again, part_without_a_place, another_part])
def test_a_store_that_gives_no_part_of_a_file_gives_the_whole(
    store: type[Handler], tmp_path: Path, answer: Answer
) -> None:
    """It would be asked for the rest of what a broken download left for ever."""
    pins = {"sha256": hashlib.sha256(DATA).hexdigest(), "size": len(DATA), "partial": tmp_path / ".partial"}
    (tmp_path / ".partial").write_bytes(DATA[:1_000_000])
    store.answers = [answer]
    artifactstore.fetch_file("s3://bucket/best.onnx", tmp_path / "best.onnx", **pins)
    assert (tmp_path / "best.onnx").read_bytes() == DATA
    assert [path.name for path in tmp_path.iterdir()] == ["best.onnx"]
    assert [line.partition(" bytes=")[2] for line in store.seen] == ["1000000-", ""]


def test_what_is_kept_outlives_a_store_that_is_away(store: type[Handler], tmp_path: Path) -> None:
    pins = {"sha256": hashlib.sha256(DATA).hexdigest(), "size": len(DATA), "partial": tmp_path / ".partial"}
    (tmp_path / ".partial").write_bytes(DATA[:1_000_000])
    store.answers = [failing]
    with pytest.raises(ArtifactError, match="could not be reached"):
        artifactstore.fetch_file("s3://bucket/best.onnx", tmp_path / "best.onnx", **pins)
    assert (tmp_path / ".partial").stat().st_size == 1_000_000


@pytest.mark.parametrize("overwrite", [False, True])
def test_an_upload_may_take_longer_than_a_store_may_be_silent(
    store: type[Handler], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overwrite: bool
) -> None:
    monkeypatch.setattr(_address, "_SILENCE", 0.5)
    store.answers, store.pause = [whole], 0.1
    (tmp_path / "best.onnx").write_bytes(DATA)  # 12 pieces
    artifactstore.put_file(tmp_path / "best.onnx", "s3://bucket/best.onnx", overwrite=overwrite)
    artifactstore.put_bytes(DATA, "s3://bucket/best.bin", overwrite=overwrite)
    artifactstore.Folder("s3://bucket/captures/").put("image.jpg", DATA)
    assert len(store.seen) == 3, "none was sent a second time"


def test_a_store_that_is_silent_is_given_up(
    store: type[Handler], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_address, "_SILENCE", 0.2)
    monkeypatch.setitem(_address._RETRY, "max_retries", 0)
    store.answers = [lambda _: time.sleep(1)]
    with pytest.raises(ArtifactError, match="could not be reached"):
        artifactstore.fetch_file("s3://bucket/best.onnx", tmp_path / "best.onnx")


@pytest.mark.parametrize(
    ("sending", "seconds"), [(0, 60), (1, 120), (3 << 20, 120), (60_000_000, 1920), (5_000_000_000, 122_880)]
)
def test_how_long_a_request_may_take_follows_what_it_sends(sending: int, seconds: float) -> None:
    assert _address._patience(sending) == seconds


def test_a_store_that_only_fails_is_given_up_soon(store: type[Handler], tmp_path: Path) -> None:
    store.answers = [failing]
    with pytest.raises(ArtifactError) as caught:
        artifactstore.fetch_file("s3://bucket/best.onnx", tmp_path / "best.onnx")
    assert (caught.value.reason, caught.value.retryable) == ("Unreachable", True)
    assert "s3://bucket/best.onnx could not be reached" in caught.value.message
    assert "500 Internal Server Error" in caught.value.message
    assert len(store.seen) == 3
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_is_not_there_is_unreachable(store: type[Handler], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(ArtifactError, match="check the endpoint and the network") as caught:
        artifactstore.put_bytes(b"x", "s3://bucket/x")
    assert caught.value.reason == "Unreachable"


def test_an_unknown_user_is_no_missing_object(store: type[Handler]) -> None:
    store.answers = [refusing]
    for ask in (artifactstore.exists, artifactstore.read_bytes, artifactstore.digest):
        with pytest.raises(ArtifactError, match="check the credentials") as caught:
            ask("s3://bucket/x")
        assert (caught.value.reason, caught.value.retryable) == ("AccessDenied", False)
        assert "key-" not in caught.value.message


def test_the_store_decides_who_created_first(store: type[Handler]) -> None:
    store.answers = [taken]
    with pytest.raises(ArtifactError) as caught:
        artifactstore.put_bytes(b"x", "s3://bucket/x")
    assert caught.value.reason == "AlreadyExists"
    assert len(store.seen) == 1


def test_a_store_without_conditional_writes_is_asked_first(store: type[Handler]) -> None:
    store.answers = [unconditional]
    artifactstore.put_bytes(b"x", "s3://bucket/x")
    assert [line.split()[0] for line in store.seen if not line.startswith("PUT")] == ["HEAD", "GET"]
    assert store.seen[-1] == "PUT /bucket/x"


def test_plain_http_is_refused_unless_allowed(store: type[Handler], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ALLOW_HTTP")
    with pytest.raises(ArtifactError) as caught:
        artifactstore.exists("s3://bucket/x")
    assert store.seen == []
    assert "AWS_ALLOW_HTTP" in caught.value.message


@pytest.mark.parametrize(
    ("status", "code", "told", "retryable"),
    [
        (400, "InvalidArgument", 400, True),
        (400, "RequestTimeout", None, True),
        (403, "AccessDenied", 403, False),
        (404, "NoSuchBucket", 404, False),
        (413, "EntityTooLarge", 413, True),
        (429, "SlowDown", 429, True),
        (503, "SlowDown", 503, True),
    ],
)
def test_a_folder_tries_once_and_tells_the_status(
    store: type[Handler], status: int, code: str, told: int | None, retryable: bool
) -> None:
    store.answers = [lambda handler: handler.reply(status, f"<Error><Code>{code}</Code></Error>".encode())]
    with pytest.raises(ArtifactError) as caught:
        artifactstore.Folder("s3://models/captures/").put("a.jpg", b"x")
    assert (caught.value.status, caught.value.retryable) == (told, retryable)
    assert len(store.seen) == 1
