"""How much of a parent a model takes, and that too little ends the run before training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import documents
import pytest
import torch
from trainings import HYPERPARAMETERS, Outcome, train
from ultralytics.nn.tasks import DetectionModel, SegmentationModel

from trainer import weights
from trainer.failure import Failure
from trainer.run import Mode, ModelReference

CLASSES = ("disc", "square", "star")
PARENT = ModelReference("v3", "s3://models/parts/v3/", (), CLASSES, 160, {}, {})


def checkpoint(path: Path, architecture: str, names: tuple[str, ...] = CLASSES, kind: Any = DetectionModel) -> Path:
    model = kind(f"{architecture}.yaml", nc=len(names), verbose=False)
    model.names = dict(enumerate(names))
    torch.save({"model": model, "train_args": {}}, path)
    return path


@pytest.mark.parametrize(
    ("mode", "parent", "architecture", "least", "most"),
    [
        ("FineTune", "yolo11n", None, 1, 1),
        ("FineTune", "yolo11n", "yolo11n", 1, 1),
        ("Continue", "yolov8n", None, 1, 1),
        ("Transfer", "yolo11n", "yolo11s", 0.01, 0.02),
        ("Transfer", "yolov8n", "yolo11n", 0.2, 0.3),
        ("Transfer", "yolov8n", "yolov8n-p2", 0.4, 0.6),
    ],
)
def test_share_of_the_parent(
    mode: Mode, parent: str, architecture: str | None, least: float, most: float, tmp_path: Path
) -> None:
    start = weights.start(mode, architecture, PARENT, checkpoint(tmp_path / "p.pt", parent), CLASSES)
    assert start.loaded_share is not None
    assert least <= start.loaded_share <= most
    assert start.model.names == dict(enumerate(CLASSES))


def test_rows_of_the_head_follow_their_class_names(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "p.pt", "yolo11n")
    source = weights.load_checkpoint(path, "p")
    start = weights.start("FineTune", None, PARENT, path, ("star", "ring", "disc"))
    old = source.model[-1].cv3[0][-1].weight
    new = start.model.model[-1].cv3[0][-1].weight
    assert torch.equal(new[0], old[2])
    assert torch.equal(new[2], old[0])
    assert start.notes == (
        "classes that parent v3 does not know start untrained: ring",
        "classes of parent v3 that this dataset does not have are dropped: square",
    )


@pytest.mark.parametrize(
    ("mode", "parent", "architecture", "reason", "message"),
    [
        (
            "Transfer",
            "yolo11n",
            "yolov9c",
            "WeightsNotLoaded",
            "of yolov9c could be filled from parent v3 (yolo11n), and Transfer needs 1%",
        ),
        (
            "FineTune",
            "yolo11n",
            "yolo11s",
            "WeightsNotLoaded",
            "parent v3 is a yolo11n and the architecture asked for is yolo11s; use mode Transfer",
        ),
        (
            "Transfer",
            "yolo11n",
            "yolo99n",
            "UnknownArchitecture",
            "architecture 'yolo99n' is not known; use one of yolo11, yolo12, ",
        ),
        (
            "Transfer",
            "yolo11n",
            "yolo11n-seg",
            "UnknownArchitecture",
            "architecture 'yolo11n-seg' is for segment, not detection",
        ),
        (
            "Transfer",
            "yolo11n",
            "yolo11",
            "UnknownArchitecture",
            "comes in scales; use one of yolo11n, yolo11s, yolo11m, yolo11l, yolo11x",
        ),
        ("Transfer", "yolo11n", "../../etc/passwd", "UnknownArchitecture", "is not known"),
    ],
)
def test_what_is_refused(mode: Mode, parent: str, architecture: str, reason: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(Failure) as caught:
        weights.start(mode, architecture, PARENT, checkpoint(tmp_path / "p.pt", parent), CLASSES)
    assert (caught.value.reason, caught.value.exit_code) == (reason, 64)
    assert message in caught.value.message


def test_a_parent_of_another_task(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "p.pt", "yolo11n-seg", kind=SegmentationModel)
    with pytest.raises(Failure, match="parent v3 is a model for the task 'segment'; this trains detection models only"):
        weights.start("FineTune", None, PARENT, path, CLASSES)


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04 half a zip"])
def test_a_parent_that_is_no_checkpoint(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "p.pt").write_bytes(content)
    with pytest.raises(Failure, match="parent v3 is not a checkpoint that can be loaded") as caught:
        weights.start("FineTune", None, PARENT, tmp_path / "p.pt", CLASSES)
    assert caught.value.reason == "WeightsNotLoaded"


class Hostile:
    def __reduce__(self) -> Any:
        return (exec, ("import pathlib; pathlib.Path('ran').write_text('')",))


def test_a_checkpoint_runs_no_code(tmp_path: Path, data: Path) -> None:
    (tmp_path / "v0").mkdir()
    torch.save({"model": Hostile()}, tmp_path / "v0" / "best.pt")
    parent = {
        "version": "v0",
        "uri": f"file://{tmp_path}/v0/",
        "files": [file_of(tmp_path / "v0" / "best.pt")],
        "classes": list(CLASSES),
        "imageSize": 160,
    }
    outcome = fine_tune(tmp_path, data, parent)
    assert outcome.code == 64
    assert outcome.termination["reason"] == "WeightsNotLoaded"
    assert not (tmp_path / "work" / "ran").exists()


def test_too_few_weights_end_the_run_before_the_first_epoch(tmp_path: Path, data: Path) -> None:
    """A parent whose tensors are of another network than its plan says, as a damaged export would be."""
    (tmp_path / "v0").mkdir()
    model = DetectionModel("yolo11n.yaml", nc=3, verbose=False)
    model.names = dict(enumerate(CLASSES))
    model.yaml = DetectionModel("yolo11s.yaml", nc=3, verbose=False).yaml
    torch.save({"model": model, "train_args": {}}, tmp_path / "v0" / "best.pt")
    parent = {
        "version": "v0",
        "uri": f"file://{tmp_path}/v0/",
        "files": [file_of(tmp_path / "v0" / "best.pt")],
        "classes": list(CLASSES),
        "imageSize": 160,
    }
    outcome = fine_tune(tmp_path, data, parent)
    assert outcome.code == 64
    assert outcome.termination["reason"] == "WeightsNotLoaded"
    assert "only 1.3% of yolo11s could be filled from parent v0" in outcome.termination["message"]
    assert "FineTune needs 50%" in outcome.termination["message"]
    assert outcome.all("epoch") == []
    assert not (tmp_path / "v2").exists()


def file_of(path: Path) -> dict[str, Any]:
    import artifactstore

    digest = artifactstore.file_digest(path)
    return {"name": path.name, "format": "pytorch", "sha256": digest.sha256, "sizeBytes": digest.size}


def fine_tune(tmp_path: Path, data: Path, parent: dict[str, Any]) -> Outcome:
    return train(
        tmp_path / "work",
        documents.document(
            version="v2",
            mode="FineTune",
            architecture=None,
            parent=parent,
            dataset={"sources": [{"uri": f"file://{data}"}]},
            hyperparameters=HYPERPARAMETERS,
            output={"uri": f"file://{tmp_path}/v2/"},
        ),
    )
