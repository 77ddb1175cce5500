"""Expected precision per confidence bucket: what turns a confidence seen in production into a promise that can be kept.

Pure arithmetic on numpy arrays; gate.md says what the figures are for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainer.report import decimal

# The same edges as the agent's histogram of confidences; never changed (gate.md).
EDGES = (0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1.0)

Floats = npt.NDArray[np.floating]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Calibration:
    """`precision[k]` belongs to confidences in (edges[k], edges[k+1]]."""

    precision: tuple[float, ...]

    def to_json(self) -> dict[str, list[str]]:
        return {"edges": [decimal(edge) for edge in EDGES], "precision": [decimal(value) for value in self.precision]}


def calibrate(confidences: Floats, hits: Flags) -> Calibration | None:
    """None when the holdout gave no detection above the lowest edge: nothing can be said then.

    The share of right detections per bucket, made non-decreasing in confidence by isotonic regression (pool adjacent
    violators, weighted by detections), which keeps the total of expected right detections as measured and steadies
    buckets of a few detections. A bucket nothing fell into lies on the line between its nearest neighbours, by the
    middles of the buckets; outside the outermost filled ones it is as the nearest.
    """
    buckets = np.searchsorted(np.array(EDGES), confidences, side="left") - 1
    inside = (buckets >= 0) & (buckets < len(EDGES) - 1)
    counts = np.bincount(buckets[inside], minlength=len(EDGES) - 1).astype(float)
    right = np.bincount(buckets[inside], weights=hits[inside].astype(float), minlength=len(EDGES) - 1)
    filled = counts > 0
    if not filled.any():
        return None
    middles = (np.array(EDGES[:-1]) + np.array(EDGES[1:])) / 2
    level = isotonic(right[filled] / counts[filled], counts[filled])
    return Calibration(tuple(float(value) for value in np.interp(middles, middles[filled], level)))


def isotonic(values: Floats, weights: Floats) -> npt.NDArray[np.float64]:
    """The non-decreasing sequence nearest to `values` in weighted least squares (pool adjacent violators)."""
    blocks: list[tuple[float, float, int]] = []  # mean, weight, length
    for value, weight in zip(values, weights, strict=True):
        mean, total, length = float(value), float(weight), 1
        while blocks and blocks[-1][0] > mean:
            other, other_total, other_length = blocks.pop()
            mean = (mean * total + other * other_total) / (total + other_total)
            total, length = total + other_total, length + other_length
        blocks.append((mean, total, length))
    return np.concatenate([np.full(length, mean) for mean, _, length in blocks])
