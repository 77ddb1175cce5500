"""The rows of bad_input.yaml that only torch can judge. The others are run by ../test_bad_input.py, here too."""

from __future__ import annotations

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


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("unknown architecture", lambda folder: {"architecture": "yolo99n"}),
        ("parent of another task", parent_of_another_task),
    ],
)
def test_models(name: str, changes: Any, data: Path, tmp_path: Path) -> None:
    document = documents.document(
        dataset={"sources": [{"uri": f"file://{data}"}]},
        output={"uri": f"file://{tmp_path}/v1/", "formats": ["onnx"]},
    )
    ended = run_trainer(tmp_path, document | changes(tmp_path), {"OMP_NUM_THREADS": "1"})
    agrees(ROWS[name], ended)
    assert not (tmp_path / "v1").exists()
