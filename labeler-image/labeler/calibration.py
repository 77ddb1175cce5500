"""The share of right detections by confidence, as seen in production: what the gate weighs confidences with. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# The edges of the agent's histogram of confidences; never changed (docs/gate.md). A test compares them.
EDGES = (0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1.0)
BUCKETS = len(EDGES) - 1

LEAST_DETECTIONS = 200  # of all buckets together; with fewer the model's own holdout knows better
LEAST_IN_BLOCK = 20  # a share of 20 has a standard error of .11 at most, one of 5 of .22

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """`precision[k]` belongs to confidences in (EDGES[k], EDGES[k + 1]]."""

    precision: tuple[float, ...]


def calibrate(confidence: Floats, right: Floats, weight: Floats) -> Calibration | None:
    """One value a detection; `right` is 1 or 0. None for fewer than LEAST_DETECTIONS.

    A sampled frame weighs 1 / probability, up to hundreds, so that a bucket of a few detections is a throw of dice that
    the gate would multiply with all traffic. Neighbouring buckets are therefore put together until a block has
    LEAST_IN_BLOCK detections, from the lowest confidence on; what is left over at the top joins the block below. Then
    the blocks are made non-decreasing by pooling adjacent violators, as in the trainer's calibration: more confidence
    never means less precision, and the total of right detections stays as it was reviewed. All buckets of a block have
    its precision, so that none is empty and nothing is interpolated.
    """
    bucket = np.searchsorted(np.asarray(EDGES), confidence, side="left") - 1
    inside = (bucket >= 0) & (bucket < BUCKETS)
    if inside.sum() < LEAST_DETECTIONS:
        return None
    bucket, right, weight = bucket[inside], right[inside], weight[inside]
    counts = np.bincount(bucket, minlength=BUCKETS)
    total = np.bincount(bucket, weights=weight, minlength=BUCKETS)
    hits = np.bincount(bucket, weights=weight * right, minlength=BUCKETS)
    blocks = [_Block(len(each), float(hits[each].sum()), float(total[each].sum())) for each in _filled(counts.tolist())]
    return Calibration(tuple(block.precision for block in _rising(blocks) for _ in range(block.buckets)))


@dataclass(frozen=True)
class _Block:
    buckets: int
    right: float
    total: float

    @property
    def precision(self) -> float:
        return self.right / self.total

    def with_next(self, other: _Block) -> _Block:
        return _Block(self.buckets + other.buckets, self.right + other.right, self.total + other.total)


def _filled(counts: list[int]) -> list[list[int]]:
    """The buckets, in blocks that hold enough."""
    blocks: list[list[int]] = [[]]
    for bucket, _ in enumerate(counts):
        if blocks[-1] and sum(counts[each] for each in blocks[-1]) >= LEAST_IN_BLOCK:
            blocks.append([])
        blocks[-1].append(bucket)
    if len(blocks) > 1 and sum(counts[each] for each in blocks[-1]) < LEAST_IN_BLOCK:
        last = blocks.pop()
        blocks[-1].extend(last)
    return blocks


def _rising(blocks: list[_Block]) -> list[_Block]:
    """Pool adjacent violators."""
    rising: list[_Block] = []
    for block in blocks:
        rising.append(block)
        while len(rising) > 1 and rising[-2].precision > rising[-1].precision:
            last = rising.pop()
            rising[-1] = rising[-1].with_next(last)
    return rising
