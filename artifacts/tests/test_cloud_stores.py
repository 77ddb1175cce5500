"""gs:// and az://, against emulators of their stores: what s3:// is tested for with a real gateway holds there, too.

fake-gcs-server does not know the request by which obstore writes objects: to gs:// nothing is written here.
"""

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
from harness.cloud_stores import azure, google, put_into_google

pytestmark = pytest.mark.cluster

STORES = {"gs": google, "az": azure}


@pytest.fixture(scope="module", params=sorted(STORES))
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an empty bucket, and how it is reached."""
    folder = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as environment, STORES[request.param](folder, "models") as variables:
        for name, value in variables.items():
            environment.setenv(name, value)
        yield f"{request.param}://models"


@pytest.fixture
def writable(store: str) -> str:
    if store.startswith("gs"):
        pytest.skip("the emulator does not know the request by which obstore writes")
    return store


def put(content: bytes, uri: str) -> None:
    """By whom a version was published is not the question here."""
    if uri.startswith("gs"):
        put_into_google(os.environ, "models", uri.removeprefix("gs://models/"), content)
    else:
        artifactstore.put_bytes(content, uri)


def test_a_file_goes_there_and_back(writable: str, tmp_path: Path) -> None:
    store = writable
    source = tmp_path / "best.onnx"
    source.write_bytes(os.urandom(20 << 20))
    made = artifactstore.put_file(source, f"{store}/there/best.onnx")
    assert made == artifactstore.file_digest(source) == artifactstore.digest(f"{store}/there/best.onnx")
    pins = {"sha256": made.sha256, "size": made.size}
    assert artifactstore.fetch_file(f"{store}/there/best.onnx", tmp_path / "back", **pins) == made
    artifactstore.put_file(tmp_path / "back", f"{store}/there/best.onnx", overwrite=True)
    assert artifactstore.digest(f"{store}/there/best.onnx") == made


def test_what_is_there_of_a_file_is_not_asked_for_again(store: str, tmp_path: Path) -> None:
    content = os.urandom(5_000_000)
    uri = f"{store}/resumed/best.onnx"
    put(content, uri)
    with _source.opened(uri, offset=3_000_000) as rest:
        assert (rest.size, b"".join(rest.chunks)) == (5_000_000, content[3_000_000:])
    digest = hashlib.sha256(content).hexdigest()
    pins = {"sha256": digest, "size": len(content), "partial": tmp_path / ".partial"}
    for kept in (content[:3_000_000], b"x" + content[1:3_000_000], content, content + b"x"):
        (tmp_path / ".partial").write_bytes(kept)
        artifactstore.fetch_file(uri, tmp_path / "got", **pins)
        assert (tmp_path / "got").read_bytes() == content
        assert [path.name for path in tmp_path.iterdir()] == ["got"]


def test_folders_are_listed_fetched_and_removed(store: str, tmp_path: Path) -> None:
    before = datetime.now(UTC) - timedelta(seconds=2)
    folder = f"{store}/tree/v1/"
    assert artifactstore.names(folder) == []
    for name in ("train/images/a 1.jpg", "train/labels/a 1.txt", "data.yaml"):
        put(name.encode(), folder + name)
    put(b"", f"{store}/tree/v10/other")
    assert artifactstore.names(folder) == ["data.yaml", "train/images/a 1.jpg", "train/labels/a 1.txt"]
    assert ("data.yaml", 9) in {(entry.name, entry.size) for entry in artifactstore.entries(folder)}
    assert all(
        before < entry.modified < datetime.now(UTC) + timedelta(seconds=2) for entry in artifactstore.entries(folder)
    )
    files = artifactstore.fetch_tree(folder, tmp_path)
    assert {path.relative_to(tmp_path).as_posix(): path.read_text() for path in files} == {
        name: name for name in ("data.yaml", "train/images/a 1.jpg", "train/labels/a 1.txt")
    }
    for _ in range(2):  # the second time nothing is left, which is what was asked for
        artifactstore.remove(f"{folder}data.yaml")
        artifactstore.remove_tree(folder)
        assert artifactstore.names(f"{store}/tree") == ["v10/other"]


def test_of_many_creators_one_wins(writable: str) -> None:
    race(f"{writable}/race/manifest.json")


def test_what_is_absent_is_absent(store: str, tmp_path: Path) -> None:
    assert artifactstore.exists(f"{store}/no/such") is False
    with pytest.raises(ArtifactError, match="check the address") as caught:
        artifactstore.fetch_file(f"{store}/no/such", tmp_path / "x")
    assert caught.value.reason == "NotFound"
    assert list(tmp_path.iterdir()) == []


def test_a_bucket_that_is_not_there_is_said(store: str) -> None:
    with pytest.raises(ArtifactError) as caught:
        artifactstore.read_bytes(f"{store}-none/some/thing")
    assert (caught.value.reason, caught.value.retryable) == ("NotFound", False)


def test_wrong_credentials_are_said_and_not_shown(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if store.startswith("gs"):
        pytest.skip("the emulator asks for none")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "d3Jvbmcta2V5")
    with pytest.raises(ArtifactError, match="check the credentials") as caught:
        artifactstore.read_bytes(f"{store}/some/thing")
    assert (caught.value.reason, caught.value.retryable) == ("AccessDenied", False)
    assert "d3Jvbmcta2V5" not in caught.value.message
