"""A version is published once: by one run, whole, verified, and never over another's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import documents
import pytest

import artifactstore
from trainer import publish
from trainer.failure import Failure
from trainer.report import canonical
from trainer.run import Run

METRICS = {"map50": "0.9"}
DETAIL: dict[str, Any] = {"classes": ["bolt"], "imageSize": 160}


@pytest.fixture
def files(tmp_path: Path) -> list[tuple[Path, str]]:
    made = []
    for name, format in (("best.pt", "pytorch"), ("best.onnx", "onnx")):
        (tmp_path / "made").mkdir(exist_ok=True)
        (tmp_path / "made" / name).write_bytes(name.encode() * 100)
        made.append((tmp_path / "made" / name, format))
    return made


def run(tmp_path: Path, **changes: Any) -> Run:
    return documents.run(output={"uri": f"file://{tmp_path}/models/parts/v1/"}, **changes)


def there(tmp_path: Path) -> dict[str, bytes]:
    folder = tmp_path / "models/parts/v1"
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


def test_files_and_manifest_are_there_and_agree(tmp_path: Path, files: list[tuple[Path, str]]) -> None:
    published = publish.publish(run(tmp_path), files, METRICS, DETAIL)
    content = there(tmp_path)
    assert set(content) == {"best.pt", "best.onnx", "manifest.json", "claim.json"}
    manifest = json.loads(content["manifest.json"])
    assert manifest["uid"] == "uid-1"
    assert manifest["files"] == [file.to_json() for file in published.files]
    for file, (path, format) in zip(published.files, files, strict=True):
        digest = artifactstore.file_digest(path)
        assert (file.name, file.format, file.sha256, file.size_bytes) == (path.name, format, digest.sha256, digest.size)
        assert content[file.name] == path.read_bytes()


def test_the_same_run_finds_what_it_published(tmp_path: Path, files: list[tuple[Path, str]]) -> None:
    assert publish.already(run(tmp_path)) is None
    published = publish.publish(run(tmp_path), files, METRICS, DETAIL)
    before = there(tmp_path)
    assert publish.already(run(tmp_path)) == published
    assert publish.publish(run(tmp_path), files, METRICS, DETAIL) == published
    assert there(tmp_path) == before


def test_the_same_run_finishes_its_half_done_upload(tmp_path: Path, files: list[tuple[Path, str]]) -> None:
    publish.publish(run(tmp_path), files, METRICS, DETAIL)
    folder = tmp_path / "models/parts/v1"
    (folder / "manifest.json").unlink()
    (folder / "best.onnx").unlink()
    (folder / "best.pt").write_bytes(b"half of an earlier try")
    assert publish.already(run(tmp_path)) is None
    publish.publish(run(tmp_path), files, METRICS, DETAIL)
    assert there(tmp_path)["best.pt"] == files[0][0].read_bytes()


def test_another_run_changes_nothing(tmp_path: Path, files: list[tuple[Path, str]]) -> None:
    publish.publish(run(tmp_path), files, METRICS, DETAIL)
    before = there(tmp_path)
    other = run(tmp_path, uid="uid-2", trainingJob="parts-2")
    for act in (lambda: publish.already(other), lambda: publish.publish(other, files, METRICS, DETAIL)):
        with pytest.raises(Failure) as caught:
            act()
        assert (caught.value.reason, caught.value.exit_code) == ("VersionExists", 64)
        assert "TrainingJob parts-1; choose another version" in caught.value.message
    assert before == there(tmp_path)


def test_another_run_leaves_a_half_done_upload_alone(tmp_path: Path, files: list[tuple[Path, str]]) -> None:
    publish.publish(run(tmp_path), files, METRICS, DETAIL)
    (tmp_path / "models/parts/v1/manifest.json").unlink()
    before = there(tmp_path)
    other = run(tmp_path, uid="uid-2")
    for act in (lambda: publish.already(other), lambda: publish.publish(other, files, METRICS, DETAIL)):
        with pytest.raises(Failure, match="is being uploaded by TrainingJob parts-1") as caught:
            act()
        assert caught.value.reason == "VersionExists"
    assert before == there(tmp_path)


@pytest.mark.parametrize("content", [b"{}", b"[]", b"not json", b'{"uid": "uid-1"}'])
def test_a_manifest_nobody_knows_is_never_overwritten(
    content: bytes, tmp_path: Path, files: list[tuple[Path, str]]
) -> None:
    folder = tmp_path / "models/parts/v1"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_bytes(content)
    with pytest.raises(Failure) as caught:
        publish.already(run(tmp_path))
    assert caught.value.reason == "VersionExists"
    assert (folder / "manifest.json").read_bytes() == content


def test_files_that_changed_after_publication_are_told(tmp_path: Path, files: list[tuple[Path, str]]) -> None:
    publish.publish(run(tmp_path), files, METRICS, DETAIL)
    (tmp_path / "models/parts/v1/best.onnx").write_bytes(b"changed")
    with pytest.raises(Failure) as caught:
        publish.already(run(tmp_path))
    assert caught.value.reason == "DigestMismatch"
    assert "best.onnx reads back as sha256" in caught.value.message


def test_what_reads_back_differently_is_not_published(
    tmp_path: Path, files: list[tuple[Path, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    put = artifactstore.put_file

    def damaging(path: Path, uri: str, *, overwrite: bool = False) -> artifactstore.Digest:
        digest = put(path, uri, overwrite=overwrite)
        if uri.endswith(".onnx"):
            Path(uri.removeprefix("file://")).write_bytes(b"damaged on the way")
        return digest

    monkeypatch.setattr(artifactstore, "put_file", damaging)
    with pytest.raises(Failure) as caught:
        publish.publish(run(tmp_path), files, METRICS, DETAIL)
    assert caught.value.reason == "DigestMismatch"
    assert "manifest.json" not in there(tmp_path)


def test_an_answer_that_got_lost_is_no_stranger(
    tmp_path: Path, files: list[tuple[Path, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    put = artifactstore.put_bytes

    def repeated(data: bytes, uri: str, *, overwrite: bool = False) -> artifactstore.Digest:
        put(data, uri, overwrite=overwrite)
        return put(data, uri, overwrite=overwrite)  # the library's own second try finds the first

    monkeypatch.setattr(artifactstore, "put_bytes", repeated)
    publish.publish(run(tmp_path), files, METRICS, DETAIL)
    assert json.loads(there(tmp_path)["manifest.json"])["detail"] == DETAIL


def test_where_nothing_can_be_written(tmp_path: Path, files: list[tuple[Path, str]]) -> None:
    (tmp_path / "models").write_text("a file where a folder should be")
    with pytest.raises(Failure) as caught:
        publish.publish(run(tmp_path), files, METRICS, DETAIL)
    assert caught.value.exit_code in (1, 64)
    assert f"file://{tmp_path}/models/parts/v1/" in caught.value.message


def test_the_manifest_is_canonical(tmp_path: Path, files: list[tuple[Path, str]]) -> None:
    publish.publish(run(tmp_path), files, METRICS, DETAIL)
    content = there(tmp_path)["manifest.json"]
    assert content == canonical(json.loads(content))
