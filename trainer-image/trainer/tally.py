"""What a model did with each image, counted: right, missed and false boxes, what is taken for what, the worst. Pure.

All at the agent's operating point: detections of at least its least confidence, after its NMS, right at IoU >= 0.5.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trainer.matching import Floats, Indices, assign, iou, match

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Judged:
    """One image. Boxes are (n, 4) corners x1, y1, x2, y2 in its own pixels; classes are indices."""

    image: Path
    boxes: Floats
    classes: Floats
    confidences: Floats
    truth_boxes: Floats
    truth_classes: Floats

    def above(self, confidence: float) -> Judged:
        """With detections of more than this confidence alone. Neither NMS nor `match` lets a detection depend on less
        certain ones, so that what is left is what would have been seen."""
        kept = self.confidences > confidence
        return replace(self, boxes=self.boxes[kept], classes=self.classes[kept], confidences=self.confidences[kept])

    @cached_property
    def _taken(self) -> Indices:
        return match(self.boxes, self.classes, self.confidences, self.truth_boxes, self.truth_classes)

    @property
    def right(self) -> Flags:
        """Which detections are an object of their class."""
        return self._taken >= 0

    @property
    def found(self) -> Flags:
        """Which objects were detected as what they are."""
        found = np.zeros(len(self.truth_boxes), dtype=bool)
        found[self._taken[self.right]] = True
        return found

    @property
    def missed(self) -> int:
        return int((~self.found).sum())

    @property
    def false(self) -> int:
        return int((~self.right).sum())


@dataclass(frozen=True)
class ClassTally:
    """How often a class is on the images, and how the model did with it."""

    images: int
    objects: int
    found: int
    missed: int
    false: int


def tallies(judged: Sequence[Judged], count: int) -> tuple[ClassTally, ...]:
    """One for each of `count` classes."""
    rows = np.zeros((count, 5), dtype=int)
    for one in judged:
        truth, guessed = one.truth_classes.astype(int), one.classes.astype(int)
        rows[np.unique(truth), 0] += 1
        for column, indices in enumerate((truth, truth[one.found], truth[~one.found], guessed[~one.right]), start=1):
            rows[:, column] += np.bincount(indices, minlength=count)
    return tuple(ClassTally(*map(int, row)) for row in rows)


def confusion(judged: Iterable[Judged], count: int) -> npt.NDArray[np.int64]:
    """How often class `row` was said where class `column` is, (count + 1, count + 1); the last of each is background.

    Here detections are matched to objects whatever their class, as else nothing would be taken for anything else. So
    the diagonal can differ by a few from what `tallies` counts as found.
    """
    matrix = np.zeros((count + 1, count + 1), dtype=np.int64)
    for one in judged:
        taken = assign(iou(one.boxes, one.truth_boxes), one.confidences)
        truth = np.append(one.truth_classes.astype(int), count)  # what takes nothing, index -1, takes background
        np.add.at(matrix, (one.classes.astype(int), truth[taken]), 1)
        left = np.ones(len(one.truth_classes), dtype=bool)
        left[taken[taken >= 0]] = False
        np.add.at(matrix, (count, one.truth_classes[left].astype(int)), 1)
    return matrix


def worst(judged: Iterable[Judged], limit: int) -> tuple[Judged, ...]:
    """The images with the most missed and false boxes, the worst first; of equals, the one that was surer of its false
    ones, then by name. Images without a mistake are never among them."""
    mistaken = [one for one in judged if one.missed + one.false]
    mistaken.sort(
        key=lambda one: (-(one.missed + one.false), -float(one.confidences[~one.right].sum()), one.image.name)
    )
    return tuple(mistaken[:limit])
