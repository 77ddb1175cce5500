"""A first version from a public checkpoint, as ultralytics writes them: whole, stripped, with 80 classes; and files
that are something else.

yolo11n.pt itself can't be downloaded where the tests run. These are files of the same kind, which the ultralytics in
the image wrote from a new model, with the class names of COCO.
"""

from __future__ import annotations

import os
import pickle
import signal
from pathlib import Path
from typing import Any

import documents
import pytest
import shapes
import torch
import yaml
from test_resume import interrupted, named
from trainings import HYPERPARAMETERS, Outcome, train
from ultralytics import YOLO
from ultralytics.utils import ROOT
from ultralytics.utils.torch_utils import strip_optimizer

import artifactstore
from trainer import weights
from trainer.failure import Failure
from trainer.run import Mode, ModelReference, Weights

COCO = tuple(yaml.safe_load((ROOT / "cfg" / "datasets" / "coco.yaml").read_text())["names"].values())
PUBLIC = Weights("s3://models/yolo11n.pt", "a" * 64)


def public(path: Path, architecture: str = "yolo11n", *, stripped: bool = True) -> Path:
    """A checkpoint of ultralytics' own writing that knows COCO's 80 classes."""
    model = YOLO(f"{architecture}.yaml", task="detect", verbose=False)
    model.model.names = dict(enumerate(COCO))
    model.save(path)
    if stripped:  # as those that one downloads are: half precision, without optimizer
        strip_optimizer(path)
    return path


@pytest.mark.parametrize("stripped", [True, False])
@pytest.mark.parametrize(
    ("mode", "file", "architecture", "least", "most"),
    [
        ("FineTune", "yolo11n", None, 0.9, 1),
        ("FineTune", "yolov8n", None, 0.9, 1),
        ("Transfer", "yolo11n", "yolo11n", 0.9, 1),
        ("Transfer", "yolo11n", "yolo11s", 0.01, 0.02),
        ("Transfer", "yolov8n", "yolo11n", 0.2, 0.3),
    ],
)
def test_what_is_taken(
    mode: Mode, file: str, architecture: str | None, least: float, most: float, stripped: bool, tmp_path: Path
) -> None:
    path = public(tmp_path / "checkpoint.pt", file, stripped=stripped)
    start = weights.start(mode, architecture, PUBLIC, path, shapes.CLASSES)
    assert start.loaded_share is not None
    assert least < start.loaded_share < most
    assert start.origin == weights.Origin(file, COCO)
    assert start.model.names == dict(enumerate(shapes.CLASSES))
    assert start.notes[0] == (
        "classes that checkpoint s3://models/yolo11n.pt does not know start untrained: disc, square, star"
    )


def test_classes_of_the_same_name_keep_what_they_learned(tmp_path: Path) -> None:
    path = public(tmp_path / "checkpoint.pt")
    start = weights.start("FineTune", None, PUBLIC, path, ("forklift", "truck", "person"))
    old = weights.load_checkpoint(path, "p").model[-1].cv3[0][-1].weight
    new = start.model.model[-1].cv3[0][-1].weight
    assert torch.equal(new[1], old[COCO.index("truck")])
    assert torch.equal(new[2], old[COCO.index("person")])


def test_another_architecture_that_shares_too_little(tmp_path: Path) -> None:
    with pytest.raises(
        Failure, match=r"could be filled from checkpoint s3://models/yolo11n.pt \(yolo11n\), and Transfer needs 1%"
    ):
        weights.start("Transfer", "yolov9c", PUBLIC, public(tmp_path / "checkpoint.pt"), shapes.CLASSES)


class Code:
    def __init__(self, name: str) -> None:
        self.name = name

    def __reduce__(self) -> Any:
        return {"system": (os.system, ("touch ran",)), "eval": (eval, ("open('ran', 'w')",))}[self.name]


def zipped(content: Any, path: Path) -> None:
    torch.save(content, path)


def legacy(content: Any, path: Path) -> None:
    torch.save(content, path, _use_new_zipfile_serialization=False)


def bare(content: Any, path: Path) -> None:
    path.write_bytes(pickle.dumps(content))


@pytest.mark.parametrize(("code", "name"), [("system", "posix.system"), ("eval", "eval")])
def test_code_is_refused_by_name_and_not_run(
    code: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = YOLO("yolo11n.yaml", verbose=False).model
    torch.save({"model": model, "train_args": Code(code)}, tmp_path / "checkpoint.pt")  # beside a model that is whole
    with pytest.raises(Failure, match=rf"names {name}, which is not part of a YOLO model") as caught:
        weights.start("FineTune", None, PUBLIC, tmp_path / "checkpoint.pt", shapes.CLASSES)
    assert caught.value.reason == "WeightsNotLoaded"
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("write", "content"),
    [
        (zipped, [torch.zeros(3)]),
        (zipped, {"model": {"weight": torch.zeros(3)}}),
        (zipped, torch.zeros(3)),
        (legacy, {"epoch": 3}),
        (legacy, {"model": Code("system")}),  # torch's format before 1.6, which ultralytics reads no model from
        (bare, Code("system")),
        (bare, {"model": None}),
    ],
)
def test_files_that_hold_no_model(write: Any, content: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(content, tmp_path / "checkpoint.pt")
    with pytest.raises(Failure, match=r"checkpoint s3://models/yolo11n\.pt ") as caught:
        weights.start("FineTune", None, PUBLIC, tmp_path / "checkpoint.pt", shapes.CLASSES)
    assert caught.value.reason == "WeightsNotLoaded"
    assert not (tmp_path / "ran").exists()


def test_a_parent_whose_file_has_other_classes_than_its_version_declares(tmp_path: Path) -> None:
    parent = ModelReference("v3", "s3://models/parts/v3/", (), ("disc", "star"), 160, {}, {})
    start = weights.start("FineTune", None, parent, public(tmp_path / "checkpoint.pt"), shapes.CLASSES)
    assert start.origin is not None
    assert start.origin.mismatch == start.notes[-1]
    assert start.notes[-1].startswith(
        "parent v3 declares 2 classes (disc, star), and its file has 80 classes (person, bicycle, car, motorcycle, "
        "airplane, …); weights are matched by the names in the file."
    )


@pytest.fixture(scope="module")
def first_version(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcome, dict[str, Any]]:
    """A whole FineTune run from a checkpoint, and what it was told of that."""
    folder = tmp_path_factory.mktemp("public")
    path = public(folder / "yolo11n.pt")
    told = {"uri": f"file://{path}", "sha256": artifactstore.file_digest(path).sha256}
    document = documents.document(
        mode="FineTune",
        architecture=None,
        weights=told,
        dataset={"sources": [{"uri": f"file://{data}"}]},
        hyperparameters=HYPERPARAMETERS | {"epochs": 1},
        output={"uri": f"file://{folder}/v1/"},
    )
    return train(tmp_path_factory.mktemp("work"), document), told


def test_a_first_version(first_version: tuple[Outcome, dict[str, Any]]) -> None:
    outcome, told = first_version
    assert outcome.code == 0, outcome.stderr[-3000:]
    assert [file["format"] for file in outcome.termination["files"]] == ["pytorch", "onnx"]
    assert outcome.detail["classes"] == list(shapes.CLASSES)
    assert outcome.detail["checkpoint"] == told | {
        "architecture": "yolo11n",
        "classes": 80,
        "classNames": list(COCO),
    }
    assert outcome.detail["classChanges"] == {"kept": 0, "added": list(shapes.CLASSES), "dropped": list(COCO)}
    assert 0.9 < float(outcome.detail["loadedShare"]) < 1
    [start] = outcome.all("weights")
    assert {name: start[name] for name in ("checkpoint", "classChanges", "loadedShare")} == {
        name: outcome.detail[name] for name in ("checkpoint", "classChanges", "loadedShare")
    }


def test_an_attempt_that_goes_on_needs_the_checkpoint_no_more_and_still_tells_of_it(data: Path, tmp_path: Path) -> None:
    path = public(tmp_path / "yolo11n.pt")
    told = {"uri": f"file://{path}", "sha256": artifactstore.file_digest(path).sha256}
    document = documents.document(
        mode="FineTune",
        architecture=None,
        weights=told,
        dataset={"sources": [{"uri": f"file://{data}"}]},
        hyperparameters=HYPERPARAMETERS | {"imageSize": 64, "epochs": 3},
        output={"uri": f"file://{tmp_path}/v1/"},
        checkpoint={"everyEpochs": 1},
    )
    interrupted(tmp_path / "node-1", document, named("checkpoint", epoch=1), signal.SIGKILL)
    path.unlink()
    outcome = train(tmp_path / "node-2", document)
    assert outcome.code == 0, outcome.stderr[-3000:]
    assert outcome.all("resumed")
    assert outcome.detail["checkpoint"] == told | {"architecture": "yolo11n", "classes": 80, "classNames": list(COCO)}
    assert outcome.detail["classChanges"] == {"kept": 0, "added": list(shapes.CLASSES), "dropped": list(COCO)}
