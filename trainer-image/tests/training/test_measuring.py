"""Figures of a model whose classes stand in another order are the same figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import shapes
import torch
from trainings import Outcome

from detectiondata.assemble import assemble_holdout
from detectiondata.fetch import Fetched
from detectiondata.source import check_source
from trainer.measure import measure


def test_classes_are_compared_by_name(
    scratch: tuple[Outcome, Path, dict[str, Any]], data: Path, tmp_path: Path
) -> None:
    _, models, _ = scratch
    source = check_source(Fetched("uri", data, ""), "Auto", None)
    plain = measured(models / "best.pt", source, shapes.CLASSES, tmp_path / "plain")
    order = ("star", "disc", "square")
    turned = measured(models / "best.pt", source, order, tmp_path / "turned")
    assert turned.metrics == plain.metrics
    assert turned.per_class == plain.per_class
    assert turned.calibration == plain.calibration


def test_a_file_may_name_its_classes_in_any_order(
    scratch: tuple[Outcome, Path, dict[str, Any]], data: Path, tmp_path: Path
) -> None:
    _, models, _ = scratch
    checkpoint = torch.load(models / "best.pt", weights_only=False)
    names = checkpoint["model"].names
    checkpoint["model"].names = {index: names[index] for index in sorted(names, reverse=True)}
    torch.save(checkpoint, tmp_path / "turned.pt")
    source = check_source(Fetched("uri", data, ""), "Auto", None)
    plain = measured(models / "best.pt", source, shapes.CLASSES, tmp_path / "plain")
    turned = measured(tmp_path / "turned.pt", source, shapes.CLASSES, tmp_path / "turned")
    assert turned.per_class == plain.per_class


def test_a_class_the_model_lacks_counts_as_missed(
    scratch: tuple[Outcome, Path, dict[str, Any]], data: Path, tmp_path: Path
) -> None:
    _, models, _ = scratch
    checkpoint = torch.load(models / "best.pt", weights_only=False)
    checkpoint["model"].names = {0: "disc", 1: "square", 2: "comet"}
    torch.save(checkpoint, tmp_path / "other.pt")
    source = check_source(Fetched("uri", data, ""), "Auto", None)
    other = measured(tmp_path / "other.pt", source, shapes.CLASSES, tmp_path / "lacking")
    assert other.per_class["star"]["map50"] == other.per_class["star"]["recall"] == "0"


def measured(checkpoint: Path, source: Any, classes: tuple[str, ...], folder: Path) -> Any:
    holdout = assemble_holdout(source, classes, {}, folder / "set")
    return measure(checkpoint, holdout.yaml, classes, 160, folder / "work", "the model")
