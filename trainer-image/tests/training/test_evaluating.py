"""What real trainings are told about themselves, and the report they leave beside their weights."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import shapes
import torch
from trainings import Outcome

from trainer.evaluation import Subject, diagnose, read_curves, write_report
from trainer.measure import measure


def test_the_report_lies_beside_the_weights(scratch: tuple[Outcome, Path, dict[str, Any]]) -> None:
    outcome, models, _ = scratch
    folder = models / "report"
    content = (folder / "report.json").read_bytes()
    assert outcome.detail["report"] == {
        "uri": f"file://{folder}/report.json",
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    report = json.loads(content)
    assert {path.name for path in folder.iterdir()} == {"report.json"} | {file["name"] for file in report["files"]}
    assert {"confusion_matrix.png", "precision_recall.png", "curves.png"} < {file["name"] for file in report["files"]}
    for file in report["files"]:
        assert hashlib.sha256((folder / file["name"]).read_bytes()).hexdigest() == file["sha256"]
        assert cv2.imread(str(folder / file["name"])) is not None
    assert report["metrics"] == {name: float(text) for name, text in outcome.termination["metrics"].items()}
    [source] = report["sources"]["dataset"]
    balance = source["balance"]
    assert (
        sum(balance["images"].values()) + balance["labelFiles"] + sum(balance["otherFiles"].values())
        == balance["files"]
    )
    assert report["measuredOn"] | {"uri": "", "sha256": ""} == {
        "part": "validation",
        "uri": "",
        "sha256": "",
        "images": 12,
        "labels": sum(sum(row[column] for row in report["confusionMatrix"]["counts"]) for column in range(3)),
        "imageSize": 160,
    }
    assert [entry["name"] for entry in report["perClass"]] == list(shapes.CLASSES)
    told = outcome.detail["threshold"]
    assert report["threshold"] == {
        which: {name: float(text) for name, text in told[which].items()} for which in ("best", "present")
    }
    assert report["threshold"]["best"]["f1"] >= report["threshold"]["present"]["f1"]
    assert [entry["name"] for entry in told["perClass"]] == list(shapes.CLASSES)
    assert report["curves"]["epochs"] == [1, 2, 3]
    for event, loss in zip(outcome.all("epoch"), report["curves"]["series"]["train/box_loss"], strict=True):
        assert abs(float(event["metrics"]["box_loss"]) - loss) < 0.001
    assert report["worstImages"][0]["image"].startswith("val")
    mistakes = [entry["missed"] + entry["false"] for entry in report["worstImages"]]
    assert mistakes == sorted(mistakes, reverse=True)


def test_three_epochs_are_underfitting(scratch: tuple[Outcome, Path, dict[str, Any]]) -> None:
    outcome, _, _ = scratch
    diagnosis = outcome.detail["diagnosis"]
    assert diagnosis["finding"] == "Underfitting", diagnosis
    assert diagnosis["message"].startswith("after 3 epochs mAP50-95 is at most 0.0")


def test_a_model_that_detects_nothing_has_a_report(
    scratch: tuple[Outcome, Path, dict[str, Any]], data: Path, tmp_path: Path
) -> None:
    _, models, _ = scratch
    checkpoint = torch.load(models / "best.pt", weights_only=False)
    for layer in checkpoint["model"].model[-1].cv3:
        layer[-1].bias.data.fill_(-50)
    torch.save(checkpoint, tmp_path / "blind.pt")
    copied = Path(shutil.copytree(data / "val", tmp_path / "val"))
    objects = sum(len(path.read_text().splitlines()) for path in (copied / "labels").glob("*.txt"))
    measured = measure(tmp_path / "blind.pt", described(copied), shapes.CLASSES, 160, tmp_path / "work", "the model")
    assert set(measured.metrics.values()) == {"0"}
    assert sum(len(one.confidences) for one in measured.sighted) == 0
    curves = read_curves(tmp_path / "results.csv")
    warnings: list[str] = []
    subject = Subject({}, {}, {}, shapes.CLASSES, 160, measured, None, curves, diagnose(curves))
    *pictures, path = write_report(subject, tmp_path / "report", warnings.append)
    report = json.loads(path.read_text())
    assert warnings == []
    assert len(pictures) == 3 + 12
    assert report["calibration"] is None
    assert report["threshold"]["best"] == {"confidence": 0.25, "precision": 0, "recall": 0, "f1": 0}
    assert sum(entry["missed"] for entry in report["perClass"]) == objects
    assert report["confusionMatrix"]["counts"][3] == [*(entry["objects"] for entry in report["perClass"]), 0]


def test_boxes_are_where_they_are_on_the_image(scratch: tuple[Outcome, Path, dict[str, Any]], tmp_path: Path) -> None:
    """Also on an image that is neither square nor of the network's size."""
    _, models, _ = scratch
    path = tmp_path / "odd/images/odd.jpg"
    path.parent.mkdir(parents=True)
    (tmp_path / "odd/labels").mkdir()
    assert cv2.imwrite(str(path), cv2.resize(shapes.draw(np.random.default_rng(1), 160)[0], (400, 150)))
    (tmp_path / "odd/labels/odd.txt").write_text("1 0.25 0.5 0.1 0.4\n")
    measured = measure(
        models / "best.pt", described(tmp_path / "odd"), shapes.CLASSES, 160, tmp_path / "work", "the model"
    )
    [one] = measured.judged
    assert one.truth_boxes.round().tolist() == [[80, 45, 120, 105]]


def described(folder: Path) -> Path:
    """A description of `folder` for ultralytics, which validates on all of it."""
    names = "".join(f"  {number}: {name}\n" for number, name in enumerate(shapes.CLASSES))
    (folder / "data.yaml").write_text(f"path: {folder}\ntrain: images\nval: images\nnames:\n{names}")
    return folder / "data.yaml"
