"""Which confidence to take detections from: the one that is best by F1, beside what the agent takes now. Pure.

F1 = 2PR / (P + R), with precision P and recall R of the detections of at least that confidence, matched as everywhere
here. It may be lower than the present one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.report import decimal
from trainer.tally import Judged

STEP = 0.01


@dataclass(frozen=True)
class Point:
    """What a threshold comes to."""

    confidence: float
    precision: float
    recall: float
    f1: float

    def to_json(self) -> dict[str, str]:
        figures = {"confidence": self.confidence, "precision": self.precision, "recall": self.recall, "f1": self.f1}
        return {name: decimal(value) for name, value in figures.items()}


@dataclass(frozen=True)
class Threshold:
    """The best point, and the one at the present threshold."""

    best: Point
    present: Point

    def to_json(self) -> dict[str, Any]:
        return {"best": self.best.to_json(), "present": self.present.to_json()}


def thresholds(judged: Sequence[Judged], count: int, least: float, present: float) -> tuple[Threshold | None, ...]:
    """Of all classes together, then of each of `count` classes; None where no image shows an object of it.

    `least` is the least confidence of the detections in `judged`, and of a threshold; `present` is whole steps above.
    """
    confidences = np.concatenate([*(one.confidences for one in judged), []])
    right = np.concatenate([*(one.right for one in judged), []]).astype(bool)
    guessed = np.concatenate([*(one.classes for one in judged), []]).astype(int)
    objects = np.concatenate([*(one.truth_classes for one in judged), []]).astype(int)
    every = [_threshold(confidences, right, len(objects), least, present)]
    for index in range(count):
        own = guessed == index
        every.append(_threshold(confidences[own], right[own], int((objects == index).sum()), least, present))
    return tuple(every)


def in_words(found: Sequence[Threshold | None], classes: Sequence[str]) -> dict[str, Any] | None:
    """What `thresholds` found, as the detail of a run has it: overall, and by name of those classes that were shown."""
    if found[0] is None:
        return None
    named = zip(classes, found[1:], strict=True)
    return {
        **found[0].to_json(),
        "perClass": [{"name": name, **each.to_json()} for name, each in named if each is not None],
    }


def _threshold(
    confidences: npt.NDArray[np.floating], right: npt.NDArray[np.bool_], objects: int, least: float, present: float
) -> Threshold | None:
    if not objects:
        return None
    candidates = np.round(least + STEP * np.arange(round((1 - least) / STEP) + 1), 2)
    order = np.argsort(confidences)
    # so many detections, and right ones, have at least the confidence of each candidate
    first = np.searchsorted(confidences[order], candidates - 1e-9)
    hits = np.append(np.cumsum(right[order][::-1])[::-1], 0)[first]
    said = len(confidences) - first
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(said > 0, hits / said, 0.0)
        recall = hits / objects
        f1 = np.where(hits > 0, 2 * precision * recall / (precision + recall), 0.0)
    here = int(np.abs(candidates - present).argmin())
    equals = np.flatnonzero(f1 >= f1.max() - 1e-12)
    best = int(equals[np.abs(equals - here).argmin()])  # of equals the one nearest to the present: change for nothing
    points = [
        Point(float(candidates[at]), float(precision[at]), float(recall[at]), float(f1[at])) for at in (best, here)
    ]
    return Threshold(*points)
