"""Against the real registry (distribution), with what users push with (oras): what is pinned is what arrives."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import artifactstore
from artifactstore import ArtifactError
from harness.registry import oras, running

pytestmark = pytest.mark.cluster

WEIGHTS = os.urandom(5_000_000)
PINS = {"sha256": hashlib.sha256(WEIGHTS).hexdigest(), "size": len(WEIGHTS)}
USER, PASSWORD = "reader", "a-pass-word"
HASHED = "$2b$05$BapfDxWmKcAtUNfc9zhVG.Ry7RACXp/JRLQvt6pdiK3fwr9rrXzPa"  # of PASSWORD, by bcrypt


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("registry")) as host:
        yield host


@pytest.fixture
def pushed(registry: str, tmp_path: Path) -> str:
    """The address of a version that was pushed as docs/versions.md says, by its digest."""
    folder = tmp_path / "v3"
    folder.mkdir()
    (folder / "best.onnx").write_bytes(WEIGHTS)
    (folder / "best.pt").write_bytes(b"torch")
    tag = f"{registry}/models/parts:v3"
    kind = "application/vnd.modelfleet.model.v1"
    oras("push", "--plain-http", tag, "--artifact-type", kind, "best.onnx", "best.pt", cwd=folder)
    return f"oci://{registry}/models/parts@{oras('resolve', '--plain-http', tag, cwd=folder)}"


def test_what_was_pushed_is_verified_and_fetched(pushed: str, tmp_path: Path) -> None:
    artifactstore.verify(f"{pushed}/best.onnx", **PINS)
    artifactstore.fetch_file(f"{pushed}/best.onnx", tmp_path / "got", **PINS)
    assert (tmp_path / "got").read_bytes() == WEIGHTS
    assert artifactstore.read_bytes(f"{pushed}/best.pt") == b"torch"


def test_a_download_goes_on_with_a_real_range(pushed: str, tmp_path: Path) -> None:
    (tmp_path / ".partial").write_bytes(WEIGHTS[:3_000_000])
    artifactstore.fetch_file(f"{pushed}/best.onnx", tmp_path / "got", **PINS, partial=tmp_path / ".partial")
    assert (tmp_path / "got").read_bytes() == WEIGHTS


def test_a_kept_part_of_something_else_costs_one_more_download(pushed: str, tmp_path: Path) -> None:
    (tmp_path / ".partial").write_bytes(bytes(3_000_000))
    artifactstore.fetch_file(f"{pushed}/best.onnx", tmp_path / "got", **PINS, partial=tmp_path / ".partial")
    assert (tmp_path / "got").read_bytes() == WEIGHTS


def test_a_tag_that_moves_changes_nothing(pushed: str, registry: str, tmp_path: Path) -> None:
    (tmp_path / "best.onnx").write_bytes(b"another")
    oras("push", "--plain-http", f"{registry}/models/parts:v3", "best.onnx", cwd=tmp_path)
    artifactstore.verify(f"{pushed.replace('@', ':v3@')}/best.onnx", **PINS)


def test_an_index_is_followed(pushed: str, registry: str, tmp_path: Path) -> None:
    oras("manifest", "index", "create", "--plain-http", f"{registry}/models/parts:all", "v3", cwd=tmp_path)
    digest = oras("resolve", "--plain-http", f"{registry}/models/parts:all", cwd=tmp_path)
    assert digest not in pushed
    artifactstore.verify(f"oci://{registry}/models/parts@{digest}/best.onnx", **PINS)


def test_a_blob_that_the_registry_damaged_is_refused(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    root = tmp_path_factory.mktemp("damaged")
    with running(root) as host:
        (tmp_path / "best.onnx").write_bytes(WEIGHTS)
        oras("push", "--plain-http", f"{host}/parts:v1", "best.onnx", cwd=tmp_path)
        digest = oras("resolve", "--plain-http", f"{host}/parts:v1", cwd=tmp_path)
        [blob] = root.glob(f"blobs/docker/registry/v2/blobs/sha256/*/{PINS['sha256']}/data")
        blob.write_bytes(b"x" + WEIGHTS[1:])
        with pytest.raises(ArtifactError, match="DigestMismatch"):
            artifactstore.fetch_file(f"oci://{host}/parts@{digest}/best.onnx", tmp_path / "got", **PINS)
    assert not (tmp_path / "got").exists()


@pytest.mark.parametrize(("name", "digest"), [("models/parts", "a" * 64), ("models/none", "b" * 64)])
def test_what_is_not_there_is_told(registry: str, name: str, digest: str) -> None:
    with pytest.raises(ArtifactError, match="check repository and digest") as caught:
        artifactstore.digest(f"oci://{registry}/{name}@sha256:{digest}/best.onnx")
    assert caught.value.reason == "NotFound"


def test_a_registry_with_passwords(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path_factory.mktemp("private")
    (root / "htpasswd").write_text(f"{USER}:{HASHED}\n")
    (tmp_path / "best.onnx").write_bytes(WEIGHTS)
    with running(root, f"auth: {{htpasswd: {{realm: models, path: {root}/htpasswd}}}}\n") as host:
        ours = ("--plain-http", "--username", USER, "--password", PASSWORD)
        oras("push", *ours, f"{host}/parts:v1", "best.onnx", cwd=tmp_path)
        address = f"oci://{host}/parts@{oras('resolve', *ours, f'{host}/parts:v1', cwd=tmp_path)}/best.onnx"
        for auths in ({}, {host: {"username": USER, "password": "wrong"}}):
            monkeypatch.setenv("DOCKER_AUTH_CONFIG", json.dumps({"auths": auths}))
            with pytest.raises(ArtifactError, match="DOCKER_CONFIG") as caught:
                artifactstore.digest(address)
            assert (caught.value.reason, "wrong" in caught.value.message) == ("AccessDenied", False)
        monkeypatch.setenv(
            "DOCKER_AUTH_CONFIG", json.dumps({"auths": {host: {"username": USER, "password": PASSWORD}}})
        )
        artifactstore.verify(address, **PINS)
