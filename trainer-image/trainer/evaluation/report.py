"""The report of a trained model: a folder of report.json and pictures, uploaded beside the weights. For people.

report.json holds every figure, and names the pictures with their digests; docs/trainer.md describes it. Pictures are a
by-product: one that can't be drawn is left out and said, and costs nobody a model that took days to train.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from artifactstore import printable
from trainer.calibration import EDGES, Calibration
from trainer.evaluation import pictures
from trainer.evaluation.curves import Curves
from trainer.evaluation.diagnosis import Diagnosis
from trainer.evaluation.threshold import Threshold, thresholds
from trainer.matching import MATCH_IOU
from trainer.measure import CONFIDENCE, LEAST, NMS_IOU, RECALLS, Measured
from trainer.tally import Judged, confusion, tallies, worst

SCHEMA = "modelfleet.dev/report/v1"
NAME = "report.json"
WORST = 16
BACKGROUND = "background"


@dataclass(frozen=True)
class Subject:
    """What the report is about.

    run       {"trainingJob", "model", "version"}
    data      what was measured on: {"part": "holdout" | "validation", "uri", "sha256", "images", "labels"}
    sources   what became of every file of each source: {"dataset": [{"uri", "sha256", "images", "labels", "balance"}],
              "holdout": the same, or null}
    """

    run: Mapping[str, str]
    data: Mapping[str, Any]
    sources: Mapping[str, Any]
    classes: Sequence[str]
    image_size: int
    measured: Measured
    baseline: tuple[str, Measured] | None
    curves: Curves
    diagnosis: Diagnosis

    @cached_property
    def thresholds(self) -> tuple[Threshold | None, ...]:
        """The best confidence to take detections from, of all classes together, then of each."""
        return thresholds(self.measured.sighted, len(self.classes), LEAST, CONFIDENCE)


def write_report(subject: Subject, folder: Path, warn: Callable[[str], None]) -> tuple[Path, ...]:
    """Writes the folder and returns its files, report.json last. Raises OSError for report.json alone.

    What else goes wrong is told to `warn`.
    """
    folder.mkdir(parents=True)
    judged = subject.measured.judged
    counts = confusion(judged, len(subject.classes))
    labels = [*subject.classes, BACKGROUND]
    precision = subject.measured.precision_by_recall
    mean = (
        tuple(float(value) for value in np.mean([*precision.values()], axis=0)) if precision else (0.0,) * len(RECALLS)
    )

    drawn: list[Path] = []

    def draw(name: str, act: Callable[[Path], None]) -> bool:
        path = folder / name
        try:
            act(path)
        except Exception as error:  # noqa: BLE001  whatever a drawing library does, the model goes on
            path.unlink(missing_ok=True)
            warn(f"the report lacks {name}: {type(error).__name__}: {error}")
            return False
        drawn.append(path)
        return True

    draw("confusion_matrix.png", lambda path: pictures.draw_confusion(counts, labels, path))
    draw("precision_recall.png", lambda path: pictures.draw_precision_recall(RECALLS, precision, mean, path))
    draw("curves.png", lambda path: pictures.draw_curves(subject.curves, path))
    shown = [
        _worst_image(one, name)
        for number, one in enumerate(worst(judged, WORST), start=1)
        if draw(
            name := f"worst-{number:02}.jpg", lambda path, one=one: pictures.draw_judged(one, subject.classes, path)
        )
    ]
    document = {
        "schema": SCHEMA,
        **subject.run,
        "sources": dict(subject.sources),
        "measuredOn": {**subject.data, "imageSize": subject.image_size},
        "operatingPoint": {"confidence": CONFIDENCE, "nmsIou": NMS_IOU, "matchIou": MATCH_IOU},
        "threshold": _threshold(subject.thresholds[0]),
        "metrics": _numbers(subject.measured.metrics),
        "perClass": _per_class(subject),
        "baseline": _baseline(subject.baseline),
        "calibration": _calibration(subject.measured.calibration),
        "confusionMatrix": {"labels": labels, "rows": "predicted", "columns": "true", "counts": counts.tolist()},
        "precisionRecall": {
            "iou": MATCH_IOU,
            "recall": list(RECALLS),
            "mean": _rounded(mean),
            "perClass": {name: _rounded(values) for name, values in precision.items()},
        },
        "curves": {
            "epochs": list(subject.curves.epochs),
            "series": {name: _rounded(values, 6) for name, values in subject.curves.series.items()},
        },
        "diagnosis": subject.diagnosis.to_json(),
        "worstImages": shown,
        "files": [_described(path) for path in drawn],
    }
    path = folder / NAME
    path.write_text(json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")))
    return (*drawn, path)


def _per_class(subject: Subject) -> list[dict[str, Any]]:
    """All classes in their order; those that no image shows have counts and no metrics."""
    return [
        {
            "name": name,
            "images": tally.images,
            "objects": tally.objects,
            "found": tally.found,
            "missed": tally.missed,
            "false": tally.false,
            **_numbers(subject.measured.per_class.get(name, {})),
            "threshold": _threshold(threshold),
        }
        for name, tally, threshold in zip(
            subject.classes,
            tallies(subject.measured.judged, len(subject.classes)),
            subject.thresholds[1:],
            strict=True,
        )
    ]


def _threshold(threshold: Threshold | None) -> dict[str, Any] | None:
    if threshold is None:
        return None
    return {name: _numbers(point) for name, point in threshold.to_json().items()}


def _baseline(baseline: tuple[str, Measured] | None) -> dict[str, Any] | None:
    if baseline is None:
        return None
    version, measured = baseline
    per_class = {name: _numbers(figures) for name, figures in measured.per_class.items()}
    return {"version": version, "metrics": _numbers(measured.metrics), "perClass": per_class}


def _calibration(calibration: Calibration | None) -> dict[str, Any] | None:
    return None if calibration is None else {"edges": list(EDGES), "precision": _rounded(calibration.precision)}


def _worst_image(one: Judged, name: str) -> dict[str, Any]:
    """`image` is the name that the dataset gave it; the assembled folder put a number before it."""
    return {
        "file": name,
        "image": printable(one.image.resolve().name),
        "objects": len(one.truth_classes),
        "found": int(one.found.sum()),
        "missed": one.missed,
        "false": one.false,
    }


def _described(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    return {"name": path.name, "sha256": hashlib.sha256(content).hexdigest(), "sizeBytes": len(content)}


def _numbers(figures: Mapping[str, str]) -> dict[str, float]:
    return {name: float(text) for name, text in figures.items()}


def _rounded(values: Sequence[float], places: int = 4) -> list[float | None]:
    """Without NaN, which JSON does not have: null."""
    return [round(value, places) if np.isfinite(value) else None for value in values]
