"""The rows of bad_input.yaml that only torch can judge. The others are run by ../test_bad_input.py, here too."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import documents
import pytest
import torch
from bad_input import ROWS, agrees, run_trainer
from ultralytics.nn.tasks import SegmentationModel

import artifactstore


def parent_of_another_task(folder: Path) -> dict[str, Any]:
    path = folder / "best.pt"
    torch.save({"model": SegmentationModel("yolo11n-seg.yaml", nc=3, verbose=False), "train_args": {}}, path)
    digest = artifactstore.file_digest(path)
    file = {"name": path.name, "format": "pytorch", "sha256": digest.sha256, "sizeBytes": digest.size}
    parent = {"version": "v0", "uri": f"file://{folder}/", "files": [file], "classes": ["disc"], "imageSize": 160}
    return {"mode": "FineTune", "architecture": None, "parent": parent}


class Code:
    def __reduce__(self) -> Any:
        return (os.system, ("touch ran",))


def from_checkpoint(path: Path, sha256: str | None = None) -> dict[str, Any]:
    digest = sha256 or artifactstore.file_digest(path).sha256
    return {"mode": "FineTune", "architecture": None, "weights": {"uri": f"file://{path}", "sha256": digest}}


def changed_checkpoint(folder: Path) -> dict[str, Any]:
    (folder / "yolo11n.pt").write_bytes(b"another file")
    return from_checkpoint(folder / "yolo11n.pt", "0" * 64)


def other_file(folder: Path) -> dict[str, Any]:
    (folder / "yolo11n.pt").write_text("<html>Not found</html>")
    return from_checkpoint(folder / "yolo11n.pt")


def checkpoint_with_code(folder: Path) -> dict[str, Any]:
    torch.save({"model": Code(), "train_args": {}}, folder / "yolo11n.pt")
    return from_checkpoint(folder / "yolo11n.pt")


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("unknown architecture", lambda folder: {"architecture": "yolo99n"}),
        ("parent of another task", parent_of_another_task),
        ("checkpoint with another digest", changed_checkpoint),
        ("checkpoint that is not there", lambda folder: from_checkpoint(folder / "yolo11n.pt", "0" * 64)),
        ("checkpoint that is another kind of file", other_file),
        ("checkpoint that brings code", checkpoint_with_code),
    ],
)
def test_models(name: str, changes: Any, data: Path, tmp_path: Path) -> None:
    document = documents.document(
        dataset={"sources": [{"uri": f"file://{data}"}]},
        output={"uri": f"file://{tmp_path}/v1/", "formats": ["onnx"]},
    )
    ended = run_trainer(tmp_path, document | changes(tmp_path), {"OMP_NUM_THREADS": "1"})
    agrees(ROWS[name], ended, checkpoint=f"file://{tmp_path}/yolo11n.pt")
    assert not [*tmp_path.rglob("ran")]
    assert not (tmp_path / "v1").exists()
