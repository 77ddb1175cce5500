"""The report's folder: its document, its pictures, and what happens when a picture can't be drawn."""

from __future__ import annotations

import hashlib
import json
import math
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from trainer.calibration import Calibration
from trainer.evaluation import Curves, Diagnosis, Subject, pictures, write_report
from trainer.measure import RECALLS, Measured
from trainer.tally import Judged

FIGURES = {"map50": "0.9", "map50-95": "0.6", "precision": "0.8", "recall": "0.7", "f1": "0.7467"}
NOTHING = np.zeros((0, 4)), np.zeros(0), np.zeros(0)


def image(path: Path, size: tuple[int, int] = (60, 80), number: int = 0) -> Path:
    pixels = np.random.default_rng(number).integers(0, 256, (*size, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)
    return path


def judged(path: Path, *, blind: bool = False) -> Judged:
    """One found, one missed, one false box."""
    boxes = np.array([[10.0, 10, 30, 30], [50, 40, 90, 70]]), np.array([0.0, 1]), np.array([0.9, 0.4])
    return Judged(
        path, *(NOTHING if blind else boxes), np.array([[10.0, 10, 30, 31], [-2, 0, 9, 9]]), np.array([0.0, 1])
    )


SOURCES = {"dataset": [{"uri": "s3://d/1.tar", "balance": {"files": 7}}], "holdout": None}


def subject(images: tuple[Judged, ...], *, blind: bool = False, **changes: Any) -> Subject:
    measured = Measured(
        metrics=dict.fromkeys(FIGURES, "0") if blind else FIGURES,
        per_class={} if blind else {"bolt": FIGURES},
        calibration=None if blind else Calibration((0.5,) * 10),
        precision_by_recall={} if blind else {"bolt": tuple(1 - recall / 2 for recall in RECALLS)},
        sighted=images,
    )
    given = {
        "run": {"trainingJob": "parts-1", "model": "parts", "version": "v1"},
        "data": {"part": "holdout", "uri": "s3://d/h.tar", "sha256": "0" * 64, "images": 1, "labels": 2},
        "sources": SOURCES,
        "classes": ("bolt", "Mutter größe"),
        "image_size": 160,
        "measured": measured,
        "baseline": None,
        "curves": Curves(
            (1, 2), {"train/box_loss": (2.0, 1.0), "val/box_loss": (2.0, math.nan), "metrics/mAP50(B)": (0.1, 0.123456)}
        ),
        "diagnosis": Diagnosis("Unclear", "2 epochs are too few"),
    }
    return Subject(**(given | changes))


def write(given: Subject, folder: Path) -> tuple[dict[str, Any], dict[str, Path], list[str]]:
    warnings: list[str] = []
    paths = write_report(given, folder, warnings.append)
    assert paths[-1].name == "report.json"
    document = json.loads(paths[-1].read_text(), parse_constant=pytest.fail)
    for entry in document["files"]:
        content = (folder / entry["name"]).read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (entry["sha256"], entry["sizeBytes"])
    assert [path.name for path in paths[:-1]] == [entry["name"] for entry in document["files"]]
    return document, {path.name: path for path in paths}, warnings


def test_names_that_are_no_utf8_cost_no_model(tmp_path: Path) -> None:
    """A mounted folder may hold any bytes as names; the report is written after the last epoch."""
    stored = image(tmp_path / "stored.jpg").rename(tmp_path / os.fsdecode(b"gr\xfc\xdfe.jpg"))
    seen = tmp_path / "val/000001_a.jpg"
    seen.parent.mkdir()
    seen.symlink_to(stored)
    document, _, warnings = write(subject((judged(seen),)), tmp_path / "report")
    assert warnings == []
    assert [one["image"] for one in document["worstImages"]] == ["gr\\xfc\\xdfe.jpg"]


def test_the_report_holds_every_figure(tmp_path: Path) -> None:
    seen = judged(image(tmp_path / "val/000001_a.jpg"))
    old = Measured({**FIGURES, "map50": "0.85"}, {"bolt": FIGURES}, None, {}, ())
    document, paths, warnings = write(subject((seen,), baseline=("v0", old)), tmp_path / "report")
    assert warnings == []
    assert set(paths) == {"confusion_matrix.png", "precision_recall.png", "curves.png", "worst-01.jpg", "report.json"}
    assert document["schema"] == "modelfleet.dev/report/v1"
    assert (document["trainingJob"], document["model"], document["version"]) == ("parts-1", "parts", "v1")
    assert document["measuredOn"]["part"] == "holdout"
    assert document["sources"] == SOURCES
    assert document["operatingPoint"] == {"confidence": 0.25, "nmsIou": 0.7, "matchIou": 0.5}
    assert document["metrics"]["map50-95"] == 0.6
    bolt, nut = document["perClass"]
    always = {"confidence": 0.25, "precision": 1, "recall": 1, "f1": 1}
    assert bolt.pop("threshold") == {"best": always, "present": always}
    assert nut.pop("threshold")["best"]["f1"] == 0
    assert document["threshold"]["best"] == {"confidence": 0.41, "precision": 1, "recall": 0.5, "f1": 0.6667}
    assert document["threshold"]["present"] == {"confidence": 0.25, "precision": 0.5, "recall": 0.5, "f1": 0.5}
    assert bolt == {
        "name": "bolt", "images": 1, "objects": 1, "found": 1, "missed": 0, "false": 0,
        **{name: float(text) for name, text in FIGURES.items()},
    }  # fmt: skip
    assert nut == {"name": "Mutter größe", "images": 1, "objects": 1, "found": 0, "missed": 1, "false": 1}
    assert document["baseline"]["version"] == "v0"
    assert document["baseline"]["metrics"]["map50"] == 0.85
    assert document["calibration"]["edges"][0] == 0.25
    assert document["confusionMatrix"]["labels"] == ["bolt", "Mutter größe", "background"]
    assert document["confusionMatrix"]["counts"] == [[1, 0, 0], [0, 0, 1], [0, 1, 0]]
    assert document["precisionRecall"]["mean"][100] == 0.5
    assert len(document["precisionRecall"]["perClass"]["bolt"]) == len(document["precisionRecall"]["recall"]) == 101
    assert document["curves"]["epochs"] == [1, 2]
    assert document["curves"]["series"]["val/box_loss"] == [2.0, None]
    assert document["curves"]["series"]["metrics/mAP50(B)"] == [0.1, 0.123456]
    assert document["diagnosis"] == {"finding": "Unclear", "message": "2 epochs are too few"}
    assert document["worstImages"] == [
        {"file": "worst-01.jpg", "image": "000001_a.jpg", "objects": 2, "found": 1, "missed": 1, "false": 1}
    ]
    for name, path in paths.items():
        if name.endswith((".png", ".jpg")):
            drawn = cv2.imread(str(path))
            assert drawn is not None
            assert drawn.std() > 5


def test_a_model_that_learned_nothing_has_a_report(tmp_path: Path) -> None:
    seen = judged(image(tmp_path / "a.jpg"), blind=True)
    document, paths, warnings = write(subject((seen,), blind=True, curves=Curves((), {})), tmp_path / "report")
    assert warnings == []
    assert {"confusion_matrix.png", "precision_recall.png", "curves.png", "worst-01.jpg"} < set(paths)
    assert document["metrics"]["map50"] == 0
    assert document["calibration"] is None
    assert document["precisionRecall"]["mean"] == [0] * 101
    assert document["confusionMatrix"]["counts"] == [[0, 0, 0], [0, 0, 0], [1, 1, 0]]
    nothing = {"confidence": 0.25, "precision": 0, "recall": 0, "f1": 0}
    assert document["perClass"][0] == {
        "name": "bolt", "images": 1, "objects": 1, "found": 0, "missed": 1, "false": 0,
        "threshold": dict.fromkeys(("best", "present"), nothing),
    }  # fmt: skip


def test_a_picture_that_can_not_be_drawn_is_left_out_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no fonts")

    monkeypatch.setattr(pictures, "draw_confusion", broken)
    gone = judged(tmp_path / "gone.jpg")
    (tmp_path / "gone.jpg").write_bytes(b"no picture")
    document, paths, warnings = write(subject((gone,)), tmp_path / "report")
    assert set(paths) == {"precision_recall.png", "curves.png", "report.json"}
    assert warnings == [
        "the report lacks confusion_matrix.png: RuntimeError: no fonts",
        "the report lacks worst-01.jpg: OSError: gone.jpg can't be read",
    ]
    assert document["worstImages"] == []
    assert document["confusionMatrix"]["counts"]


def test_at_most_sixteen_images_by_the_names_the_dataset_gave_them(tmp_path: Path) -> None:
    original = image(tmp_path / "source/front door.jpg")
    links = [tmp_path / f"{number:06}_front door.jpg" for number in range(20)]
    for link in links:
        link.symlink_to(original)
    document, _, _ = write(subject(tuple(judged(link) for link in links)), tmp_path / "report")
    assert len(document["worstImages"]) == 16
    assert {entry["image"] for entry in document["worstImages"]} == {"front door.jpg"}


@pytest.mark.parametrize("size", [(8, 8), (24, 3000), (4000, 3000), (700, 900)])
def test_pictures_are_bounded(size: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / "drawn.jpg"
    pictures.draw_judged(judged(image(tmp_path / "noise.png", size)), ("bolt", "nut"), path)
    drawn = cv2.imread(str(path))
    assert drawn is not None
    assert max(drawn.shape) <= pictures.LONGEST_SIDE
    assert path.stat().st_size <= pictures.LARGEST_FILE


@pytest.mark.parametrize("count", [1, 12, 41, 200])
def test_any_number_of_classes_can_be_drawn(count: int, tmp_path: Path) -> None:
    counts = np.eye(count + 1, dtype=np.int64) * 3
    labels = [f"a class with the long name {number}" for number in range(count)] + ["background"]
    pictures.draw_confusion(counts, labels, tmp_path / "matrix.png")
    precision = dict.fromkeys(labels[:-1], (1.0,) * 101)
    pictures.draw_precision_recall(RECALLS, precision, (1.0,) * 101, tmp_path / "curve.png")
    for name in ("matrix.png", "curve.png"):
        drawn = cv2.imread(str(tmp_path / name))
        assert max(drawn.shape) <= 2200
        assert (tmp_path / name).stat().st_size < 500_000
