"""Against versitygw, a real S3 server: conditional writes, multipart, wrong credentials, missing buckets."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from creators import race

import artifactstore
from artifactstore import ArtifactError, _source
from harness.object_store import gateway

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A versitygw over an empty folder that holds the bucket `models`."""
    root = tmp_path_factory.mktemp("gateway")
    (root / "models").mkdir()
    with gateway(root, "test-access-key", "test-secret-key") as url:
        yield url


@pytest.fixture(autouse=True)
def credentials(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test-access-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test-secret-key")


def test_a_file_goes_there_and_back(tmp_path: Path) -> None:
    source = tmp_path / "best.onnx"
    source.write_bytes(os.urandom(20 << 20))
    put = artifactstore.put_file(source, "s3://models/there/best.onnx")
    assert put == artifactstore.file_digest(source) == artifactstore.digest("s3://models/there/best.onnx")
    got = artifactstore.fetch_file("s3://models/there/best.onnx", tmp_path / "back", sha256=put.sha256, size=put.size)
    assert got == put
    artifactstore.put_file(tmp_path / "back", "s3://models/there/best.onnx", overwrite=True)  # in parts
    assert artifactstore.digest("s3://models/there/best.onnx") == put


def test_what_is_there_of_a_file_is_not_asked_for_again(tmp_path: Path) -> None:
    content = os.urandom(5_000_000)
    put = artifactstore.put_bytes(content, "s3://models/resumed/best.onnx")
    with _source.opened("s3://models/resumed/best.onnx", offset=3_000_000) as rest:
        assert (rest.size, b"".join(rest.chunks)) == (5_000_000, content[3_000_000:])
    pins = {"sha256": put.sha256, "size": put.size, "partial": tmp_path / ".partial"}
    # goes on with it; starts again where it is another file's; takes what is complete; and has more than there is
    for kept in (content[:3_000_000], b"x" + content[1:3_000_000], content, content + b"x"):
        (tmp_path / ".partial").write_bytes(kept)
        artifactstore.fetch_file("s3://models/resumed/best.onnx", tmp_path / "got", **pins)
        assert (tmp_path / "got").read_bytes() == content
        assert [path.name for path in tmp_path.iterdir()] == ["got"]


def test_more_is_kept_than_the_store_has_now(tmp_path: Path) -> None:
    content = os.urandom(1_000)
    artifactstore.put_bytes(content[:100], "s3://models/shrunk/best.onnx")
    (tmp_path / ".partial").write_bytes(content[:500])
    pins = {"sha256": hashlib.sha256(content).hexdigest(), "size": 1_000, "partial": tmp_path / ".partial"}
    with pytest.raises(ArtifactError, match="expected 1000 bytes, found 100") as caught:
        artifactstore.fetch_file("s3://models/shrunk/best.onnx", tmp_path / "got", **pins)
    assert caught.value.reason == "DigestMismatch"
    assert list(tmp_path.iterdir()) == []


def test_a_tree_is_fetched(tmp_path: Path) -> None:
    for name in ("train/images/a 1.jpg", "train/labels/a 1.txt", "data.yaml"):
        artifactstore.put_bytes(name.encode(), f"s3://models/tree/{name}")
    artifactstore.put_bytes(b"", "s3://models/tree-2/other")
    files = artifactstore.fetch_tree("s3://models/tree/", tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in files] == [
        "data.yaml",
        "train/images/a 1.jpg",
        "train/labels/a 1.txt",
    ]


def test_names_and_removal_of_a_folder() -> None:
    folder = "s3://models/parts/v1/.checkpoint-1/"
    assert artifactstore.names(folder) == []
    for name in ("2/b.pt", "1.json", "2/a.pt"):
        artifactstore.put_bytes(name.encode(), folder + name)
    artifactstore.put_bytes(b"", "s3://models/parts/v1/.checkpoint-10/other")
    assert artifactstore.names(folder) == ["1.json", "2/a.pt", "2/b.pt"]
    for _ in range(2):  # the second time nothing is left, which is what was asked for
        artifactstore.remove(folder + "1.json")
        assert artifactstore.names(folder) == ["2/a.pt", "2/b.pt"]
    for _ in range(2):
        artifactstore.remove_tree(folder)
        assert artifactstore.names("s3://models/parts/v1") == [".checkpoint-10/other"]


def test_a_folder_is_listed_with_sizes_and_times() -> None:
    before = datetime.now(UTC) - timedelta(seconds=2)  # S3 tells whole seconds
    for number in range(1_001):  # one more than a page of the listing
        artifactstore.put_bytes(b"x" * number, f"s3://models/listed/{number:04}.json")
    found = artifactstore.entries("s3://models/listed/")
    assert [(entry.name, entry.size) for entry in found] == [(f"{number:04}.json", number) for number in range(1_001)]
    assert all(before < entry.modified < datetime.now(UTC) + timedelta(seconds=2) for entry in found)


def test_of_many_creators_one_wins() -> None:
    race("s3://models/race/manifest.json")


@pytest.mark.parametrize("action", ["exists", "read_bytes", "digest", "put", "tree", "names", "entries", "remove"])
@pytest.mark.parametrize(
    ("variable", "value", "reason", "message"),
    [
        ("AWS_SECRET_ACCESS_KEY", "wrong-secret-key", "AccessDenied", "check the credentials"),
        ("AWS_ACCESS_KEY_ID", "unknown-access-key", "AccessDenied", "check the credentials"),
        ("BUCKET", "none", "NotFound", "the bucket does not exist"),
    ],
)
def test_what_is_wrong_is_said(
    action: str, variable: str, value: str, reason: str, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(variable, value)
    uri = f"s3://{os.environ.get('BUCKET', 'models')}/some/thing"
    actions = {
        "exists": lambda: artifactstore.exists(uri),
        "read_bytes": lambda: artifactstore.read_bytes(uri),
        "digest": lambda: artifactstore.digest(uri),
        "put": lambda: artifactstore.put_bytes(b"x", uri),
        "tree": lambda: artifactstore.fetch_tree(uri, tmp_path),
        "names": lambda: artifactstore.names(uri),
        "entries": lambda: artifactstore.entries(uri),
        "remove": lambda: artifactstore.remove(uri),
    }
    with pytest.raises(ArtifactError) as caught:
        actions[action]()
    assert caught.value.reason == reason
    assert not caught.value.retryable
    assert message in caught.value.message
    assert uri in caught.value.message
    assert "-key" not in caught.value.message


def test_what_is_absent_is_absent(tmp_path: Path) -> None:
    assert artifactstore.exists("s3://models/no/such") is False
    with pytest.raises(ArtifactError, match="check the address") as caught:
        artifactstore.fetch_file("s3://models/no/such", tmp_path / "x")
    assert caught.value.reason == "NotFound"
    assert list(tmp_path.iterdir()) == []
