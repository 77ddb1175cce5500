"""Hyperparameters become ultralytics' arguments: what is given, inherited or default, and what is refused."""

from __future__ import annotations

from typing import Any

import documents
import pytest

from trainer.arguments import REFUSED, Value, parse, resolve, to_texts
from trainer.failure import Failure

PARENT: dict[str, Any] = {
    "version": "v3",
    "uri": "s3://models/parts/v3/",
    "files": [],
    "classes": ["bolt"],
    "imageSize": 320,
    "hyperparameters": {
        "epochs": "7",
        "imgsz": "320",
        "optimizer": "SGD",
        "lr0": "0.02",
        "mosaic": "0.5",
        "project": "x",
    },
    "metrics": {},
}


def test_defaults_of_the_api() -> None:
    assert resolve(documents.run()) == {
        "epochs": 100,
        "imgsz": 640,
        "batch": 16,
        "patience": 30,
        "optimizer": "auto",
        "seed": 0,
        "freeze": 0,
    }


def test_what_is_given_wins() -> None:
    given = {
        "epochs": 5,
        "imageSize": 160,
        "batch": -1,
        "patience": 0,
        "optimizer": "AdamW",
        "seed": 3,
        "freeze": 10,
        "augmentation": {"mosaic": "0", "fliplr": "0.5"},
        "extra": {"lr0": "1e-3", "cos_lr": "true", "close_mosaic": "2"},
    }
    assert resolve(documents.run(hyperparameters=given)) == {
        "epochs": 5,
        "imgsz": 160,
        "batch": -1,
        "patience": 0,
        "optimizer": "AdamW",
        "seed": 3,
        "freeze": 10,
        "mosaic": 0,
        "fliplr": 0.5,
        "lr0": 0.001,
        "cos_lr": True,
        "close_mosaic": 2,
    }


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("Continue", {"epochs": 7, "imgsz": 320, "optimizer": "SGD", "lr0": 0.02, "mosaic": 0.5, "batch": 4}),
        ("FineTune", {"epochs": 100, "imgsz": 320, "optimizer": "auto", "batch": 4}),
        ("Transfer", {"epochs": 100, "imgsz": 640, "optimizer": "auto", "batch": 4}),
    ],
)
def test_what_is_taken_from_the_parent(mode: str, expected: dict[str, Value]) -> None:
    run = documents.run(mode=mode, parent=PARENT, hyperparameters={"batch": 4})
    resolved = resolve(run)
    assert {name: resolved[name] for name in expected} == expected
    assert "project" not in resolved
    if mode != "Continue":
        assert "lr0" not in resolved


@pytest.mark.parametrize(
    ("hyperparameters", "message"),
    [
        *[
            ({group: {name: "1"}}, f"hyperparameters.{group}.{name} can't be given: {REFUSED[name]}")
            for group in ("augmentation", "extra")
            for name in ("project", "name", "resume", "device", "exist_ok", "data", "model", "save_dir", "pretrained")
        ],
        ({"extra": {"epochs": "3"}}, "hyperparameters.extra.epochs: give it as hyperparameters.epochs"),
        ({"extra": {"imgsz": "3"}}, "hyperparameters.extra.imgsz: give it as hyperparameters.imageSize"),
        ({"extra": {"lr": "0.1"}}, "hyperparameters.extra.lr is not a training argument (did you mean lrf?)"),
        ({"extra": {"qqq": "0.1"}}, "hyperparameters.extra.qqq is not a training argument"),
        ({"augmentation": {"mosiac": "1"}}, "augmentation.mosiac is not a training argument (did you mean mosaic?)"),
        ({"augmentation": {"lr0": "1"}}, "lr0 is not an augmentation; give it under hyperparameters.extra"),
    ],
)
def test_what_is_refused(hyperparameters: dict[str, Any], message: str) -> None:
    with pytest.raises(Failure) as caught:
        resolve(documents.run(hyperparameters=hyperparameters))
    assert caught.value.reason == "UnknownArgument"
    assert caught.value.exit_code == 64
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10", 10),
        ("1.0", 1.0),
        ("1e-3", 0.001),
        ("true", True),
        ("False", False),
        ("none", None),
        ("AdamW", "AdamW"),
        ("[0, 1]", [0, 1]),
        ("[0, 1", "[0, 1"),
    ],
)
def test_values_are_read_as_people_write_them(text: str, value: Value) -> None:
    assert parse(text) == value
    assert type(parse(text)) is type(value)


def test_lineage_reads_back_as_the_same_arguments() -> None:
    resolved = resolve(documents.run(hyperparameters={"extra": {"lr0": "0.01", "cos_lr": "true"}}))
    texts = to_texts(resolved)
    assert texts["epochs"] == "100"
    assert {name: parse(text) for name, text in texts.items()} == resolved
