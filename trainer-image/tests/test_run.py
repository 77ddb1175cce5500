"""TRAINER_RUN is read strictly: what is missing, mistyped or unknown is named by its path."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import documents
import pytest

from trainer.failure import Failure
from trainer.run import Weights, parse

PARENT = {
    "version": "v3",
    "uri": "s3://models/parts/v3/",
    "files": [{"name": "best.pt", "format": "pytorch", "sha256": "AB" * 32, "sizeBytes": 5}],
    "classes": ["bolt", "nut"],
    "imageSize": 640,
    "hyperparameters": {"epochs": "100"},
    "metrics": {"map50": "0.9"},
}


def test_a_whole_document_is_read() -> None:
    run = documents.run(
        mode="FineTune",
        architecture=None,
        parent=PARENT,
        dataset={"sources": [{"uri": "s3://d/a.tar", "sha256": "CD" * 32, "format": "YOLO"}], "validationSplit": "0.3"},
        hyperparameters={"epochs": 5, "augmentation": {"mosaic": "0"}, "extra": {"lr0": "0.01"}},
        evaluation={"dataset": {"uri": "s3://d/holdout.tar"}, "baseline": PARENT},
    )
    assert run.parent is not None
    file = run.parent.file("pytorch")
    assert file is not None
    assert file.sha256 == "ab" * 32
    assert run.parent.file("onnx") is None
    assert run.dataset.sources[0].sha256 == "cd" * 32
    assert run.dataset.validation_split == Decimal("0.3")
    assert run.hyperparameters.epochs == 5
    assert run.hyperparameters.batch is None
    assert run.evaluation is not None
    assert run.evaluation.baseline == run.parent
    assert run.checkpoint_every_epochs == 5


WEIGHTS = {"uri": "s3://models/yolo11n.pt", "sha256": "AB" * 32}


@pytest.mark.parametrize(("mode", "architecture"), [("FineTune", None), ("Transfer", "yolo11s")])
def test_a_checkpoint_stands_for_a_parent(mode: str, architecture: str | None) -> None:
    run = documents.run(mode=mode, architecture=architecture, weights=WEIGHTS)
    assert run.weights == Weights("s3://models/yolo11n.pt", "ab" * 32)
    assert run.parent is None


@pytest.mark.parametrize(
    "changes",
    [
        {"mode": "Scratch", "weights": WEIGHTS},
        {"mode": "Continue", "weights": WEIGHTS},
        {"mode": "FineTune", "weights": WEIGHTS, "parent": PARENT},
    ],
)
def test_a_checkpoint_stands_for_nothing_else(changes: dict[str, Any]) -> None:
    with pytest.raises(Failure, match="weights stand for a parent in modes FineTune and Transfer"):
        documents.run(**changes)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"uri": "s3://models/yolo11n.pt"}, "TRAINER_RUN.weights.sha256 is missing"),
        (WEIGHTS | {"sha256": "yolo"}, "TRAINER_RUN.weights.sha256 must be 64 hexadecimal digits"),
        (WEIGHTS | {"size": 3}, "TRAINER_RUN.weights holds keys this trainer does not know: size"),
    ],
)
def test_a_checkpoint_is_read_strictly(weights: dict[str, Any], message: str) -> None:
    with pytest.raises(Failure, match=message):
        documents.run(mode="FineTune", weights=weights)


def test_gpus_that_were_asked_for() -> None:
    assert documents.run(gpus=2).gpus == 2


def test_what_may_be_left_out_has_a_default() -> None:
    document = documents.document()
    for key in ("parent", "hyperparameters", "checkpoint", "evaluation"):
        del document[key]
    document["dataset"] = {"sources": [{"uri": "s3://d/a.tar"}]}
    document["output"] = {"uri": "s3://m/v1/"}
    run = parse(json.dumps(document))
    assert run.dataset.validation_split == Decimal("0.2")
    assert run.dataset.sources[0].format == "Auto"
    assert run.output.formats == ("onnx",)
    assert run.parent is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"uid": None}, "TRAINER_RUN.uid is missing"),
        ({"uid": 7}, "TRAINER_RUN.uid must be a text and is 7"),
        ({"mode": "Retrain"}, 'TRAINER_RUN.mode must be one of Scratch, Continue, FineTune, Transfer and is "Retrain"'),
        ({"architecture": None}, "architecture is required by mode Scratch"),
        ({"mode": "FineTune"}, "parent is required by mode FineTune"),
        ({"mode": "Transfer", "parent": PARENT, "architecture": None}, "architecture is required by mode Transfer"),
        ({"sharding": 3}, "TRAINER_RUN holds keys this trainer does not know: sharding"),
        ({"hyperparameters": {"epoch": 3}}, "TRAINER_RUN.hyperparameters holds keys this trainer does not know: epoch"),
        ({"hyperparameters": {"epochs": "3"}}, 'TRAINER_RUN.hyperparameters.epochs must be a whole number and is "3"'),
        ({"hyperparameters": {"epochs": True}}, "epochs must be a whole number and is true"),
        (
            {"hyperparameters": {"extra": {"lr0": 0.1}}},
            "TRAINER_RUN.hyperparameters.extra.lr0 must be a text and is 0.1",
        ),
        ({"dataset": {"sources": []}}, "TRAINER_RUN.dataset.sources is empty"),
        ({"dataset": {"sources": {}}}, "TRAINER_RUN.dataset.sources must be a list"),
        (
            {"dataset": {"sources": [{"uri": "s3://b/x", "sha256": "12"}]}},
            "sources[0].sha256 must be 64 hexadecimal digits",
        ),
        (
            {"dataset": {"sources": [{"uri": "s3://b/x"}], "validationSplit": "1"}},
            "validationSplit must be between 0 and 1",
        ),
        (
            {"dataset": {"sources": [{"uri": "s3://b/x"}], "validationSplit": "x"}},
            "validationSplit must be a decimal number",
        ),
        ({"parent": PARENT | {"files": [{"name": "a"}]}}, "TRAINER_RUN.parent.files[0].format is missing"),
        ({"output": "s3://x"}, "TRAINER_RUN.output must be an object"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(Failure) as caught:
        documents.run(**changes)
    assert caught.value.reason == "InvalidRun"
    assert caught.value.exit_code == 64
    assert message in caught.value.message


def test_text_that_is_not_json_is_refused() -> None:
    with pytest.raises(Failure, match="not JSON"):
        parse("epochs: 3")
