"""`agent verify`: what it says of files that are as declared, of others, and of a source that can't be read."""

from __future__ import annotations

import hashlib
import http.server
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from agent_processes import Agent

from agent.cache import verify
from agent.config import ConfigError, verify_config
from agent.termination import Refused
from artifactstore import _address

SIGNED = Path(__file__).parent / "signed"  # see test_signature.py
WEIGHTS = {"best.onnx": b"onnx" * 1000, "best.pt": b"torch" * 1000}


def declared(uri: str, contents: dict[str, bytes], **more: Any) -> dict[str, str]:
    """The environment that the operator gives the Job of a version with these files."""
    files = [
        {"name": name, "format": "onnx", "sha256": hashlib.sha256(content).hexdigest(), "sizeBytes": len(content)}
        for name, content in contents.items()
    ]
    return {"ARTIFACT": json.dumps({"uri": uri, "files": files} | more)}


def refused(env: dict[str, str]) -> Refused:
    with pytest.raises(Refused) as caught:
        verify.run(verify_config(env))
    return caught.value


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "v1"
    place.mkdir()
    for name, content in WEIGHTS.items():
        (place / name).write_bytes(content)
    return place


@pytest.mark.parametrize("end", ["", "/"])
def test_files_that_are_as_declared(folder: Path, end: str) -> None:
    before = sorted(folder.parent.rglob("*"))
    assert verify.run(verify_config(declared(f"file://{folder}{end}", WEIGHTS))) == "2 files, 9000 bytes"
    assert sorted(folder.parent.rglob("*")) == before, "nothing is kept"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"xnnx" + WEIGHTS["best.onnx"][4:], "expected sha256"),
        (WEIGHTS["best.onnx"][:-1], "expected 4000 bytes, found 3999"),
        (WEIGHTS["best.onnx"] + b"x", "expected 4000 bytes, found at least 4001"),
        (b"", "expected 4000 bytes, found 0"),
    ],
)
def test_a_wrong_file_is_named(folder: Path, content: bytes, says: str) -> None:
    (folder / "best.onnx").write_bytes(content)
    refusal = refused(declared(f"file://{folder}", WEIGHTS))
    assert refusal.reason == "DigestMismatch"
    assert refusal.message.startswith(f"file://{folder}/best.onnx is not the file that was pinned: {says}")
    assert "best.pt" not in refusal.message


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "best.pt").unlink()
    refusal = refused(declared(f"file://{folder}", WEIGHTS))
    assert refusal.reason == "NotFound"
    assert f"file://{folder}/best.pt" in refusal.message
    assert "best.onnx" not in refusal.message


def test_all_that_is_wrong_is_named_and_a_mismatch_is_told_first(folder: Path) -> None:
    (folder / "best.onnx").unlink()
    (folder / "best.pt").write_bytes(b"other")
    refusal = refused(declared(f"file://{folder}", WEIGHTS))
    assert refusal.reason == "DigestMismatch"
    assert "best.onnx" in refusal.message
    assert "best.pt" in refusal.message


@pytest.mark.parametrize(
    ("env", "says"),
    [
        ({}, "ARTIFACT is not set"),
        ({"ARTIFACT": "{"}, "ARTIFACT is not JSON"),
        ({"ARTIFACT": "[]"}, "is not an artifact with uri and files"),
        ({"ARTIFACT": '{"uri": "file:///x", "files": [{"name": "a"}]}'}, "is not an artifact with uri and files"),
        ({"ARTIFACT": '{"uri": "file:///x", "files": []}'}, "lists no files"),
    ],
)
def test_a_bad_declaration_is_refused(env: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        verify_config(env)


# --- a source that fails ----------------------------------------------------------------------------------------------


class Handler(http.server.BaseHTTPRequestHandler):
    """Just enough S3 to serve WEIGHTS, and to fail: `failures` answers come first, each a status and a body."""

    protocol_version = "HTTP/1.1"
    failures: list[tuple[int, bytes]]
    seen: list[str]
    endless = False

    def do_GET(self) -> None:
        self.seen.append(self.path)
        if self.failures:
            status, body = self.failures.pop(0)
        else:
            status, body = 200, WEIGHTS.get(self.path.rpartition("/")[2], b"")
        self.send_response(status)
        length = 1 << 40 if self.endless else len(body)
        for name, value in (
            ("Content-Length", str(length)),
            ("ETag", '"e"'),
            ("Last-Modified", "Wed, 21 Oct 2015 07:28:00 GMT"),
        ):
            self.send_header(name, value)
        self.end_headers()
        try:
            while self.endless:
                self.wfile.write(bytes(1 << 16))
            self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Handler]]:
    handler = type("H", (Handler,), {"failures": [], "seen": []})
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


def test_a_source_that_hesitates_is_asked_again(source: type[Handler]) -> None:
    source.failures = [(500, b"<Error><Code>InternalError</Code></Error>")] * 2
    assert verify.run(verify_config(declared("s3://models/v1/", WEIGHTS))) == "2 files, 9000 bytes"
    assert len(source.seen) == 4


def test_a_source_that_only_fails_is_unreachable_and_is_not_asked_for_every_file(source: type[Handler]) -> None:
    source.failures = [(500, b"<Error><Code>InternalError</Code></Error>")] * 10
    refusal = refused(declared("s3://models/v1/", WEIGHTS))
    assert refusal.reason == "Unreachable"
    assert "s3://models/v1/best.onnx could not be reached" in refusal.message
    assert {path.rpartition("/")[2] for path in source.seen} == {"best.onnx"}


def test_refused_credentials_are_told_without_them(source: type[Handler]) -> None:
    source.failures = [(403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>")]
    refusal = refused(declared("s3://models/v1/", WEIGHTS))
    assert refusal.reason == "AccessDenied"
    assert "key-" not in refusal.message


def test_an_endless_file_is_not_read_to_its_end(source: type[Handler]) -> None:
    source.endless = True
    refusal = refused(declared("s3://models/v1/", {"best.onnx": WEIGHTS["best.onnx"]}))
    assert refusal.reason == "DigestMismatch"
    assert "found at least" in refusal.message


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_says_that_all_is_well(folder: Path, agent: Callable[..., Agent]) -> None:
    running = agent("verify", declared(f"file://{folder}", WEIGHTS))
    assert running.wait() == 0
    assert running.message() == {"reason": "Verified", "message": "2 files, 9000 bytes"}


def test_the_command_says_what_is_wrong(folder: Path, agent: Callable[..., Agent]) -> None:
    (folder / "best.onnx").write_bytes(b"other")
    running = agent("verify", declared(f"file://{folder}", WEIGHTS))
    assert running.wait() == 1
    assert running.message()["reason"] == "DigestMismatch"
    assert "best.onnx" in running.message()["message"]


def test_the_command_says_that_it_was_told_nothing(agent: Callable[..., Agent]) -> None:
    running = agent("verify", {})
    assert running.wait() == 1
    assert running.message()["reason"] == "InvalidConfiguration"


# --- where all models must be signed ----------------------------------------------------------------------------------


def signed(tmp_path: Path, keys: str | None = None, **others: bytes) -> dict[str, str]:
    """A version whose files model-signing has signed, in a folder of its own, and what it is to be verified by."""
    folder = tmp_path / "parts"
    shutil.copytree(SIGNED / "parts", folder)
    contents = {name: (folder / name).read_bytes() for name in ("best.onnx", "best.pt")}
    for name, content in others.items():
        (folder / name).write_bytes(content)
    demanded = {"uri": f"file://{folder}/model.sig", "keys": keys or (SIGNED / "key.pem").read_text()}
    return declared(f"file://{folder}", contents | others, signature=demanded)


def test_files_that_are_signed_are_verified_as_such(tmp_path: Path) -> None:
    assert verify.run(verify_config(signed(tmp_path))).endswith("bytes, signed")


def test_without_its_signature_no_file_is_read(tmp_path: Path) -> None:
    env = signed(tmp_path)
    for each in (tmp_path / "parts").iterdir():
        each.unlink()  # what is not looked for is not missed
    refusal = refused(env)
    assert refusal.reason == "SignatureMissing"
    assert f"file://{tmp_path}/parts/model.sig is not there" in refusal.message


def test_each_of_the_files_must_be_signed(tmp_path: Path) -> None:
    refusal = refused(signed(tmp_path, added=b"later"))
    assert refusal.reason == "SignatureInvalid"
    assert f"does not sign file://{tmp_path}/parts/added: it is of other files" in refusal.message


def test_a_signed_file_must_still_be_what_is_there(tmp_path: Path) -> None:
    env = signed(tmp_path)
    (tmp_path / "parts/best.pt").write_bytes(b"x")
    assert refused(env).reason == "DigestMismatch"


def test_keys_that_are_none_are_the_settings_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ARTIFACT has no public key"):
        verify.run(verify_config(signed(tmp_path, keys="nonsense")))
