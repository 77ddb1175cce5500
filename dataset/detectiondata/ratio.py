"""A ratio estimated from frames that come in clusters, and how far it can be trusted. Pure.

Frames of one node and one day resemble each other, so that a hundred of them tell less than a hundred of a hundred
days. With w_i = 1 / probability of frame i, the ratio is R = sum w_i y_i / sum w_i x_i (Horvitz and Thompson). Its
variance is that of the linearised residuals w_i (y_i - R x_i), summed over each of C clusters to e_c, as if clusters
had been drawn with replacement ("ultimate clusters"):

    var R = C / (C - 1) * sum (e_c - mean e)^2 / (sum w_i x_i)^2

It is never taken to be less than that of as many independent objects: clusters that happen to be alike prove nothing.

Source: Lohr, Sampling: Design and Analysis, 2nd ed. 2010, sections 9.1 (linearisation) and 9.6; Woodruff, A simple
method for approximating the variance of a complicated estimate, JASA 66, 1971. The interval is made on the logit scale
with Student's t of C - 1 degrees of freedom, so that it stays between 0 and 1 and is not too narrow for few clusters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

LEAST_CLUSTERS = 5  # below, the variance between clusters is itself hardly known

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A share, and the bounds that hold the true one in 95 of 100 reviews."""

    value: float
    low: float
    high: float


def estimate(numerator: Floats, denominator: Floats, weight: Floats, cluster: Sequence[int]) -> Estimate | None:
    """One value a frame; `cluster` numbers the clusters from 0. None where too little is known for an interval."""
    total = float(weight @ denominator)
    clusters = np.unique(np.asarray(cluster)[denominator > 0]) if total > 0 else np.empty(0)
    if len(clusters) < LEAST_CLUSTERS:
        return None
    ratio = min(float(weight @ numerator) / total, 1.0)
    count = len(clusters)
    if ratio in (0.0, 1.0):
        return _without_exception(ratio, count)
    residuals = np.bincount(np.asarray(cluster), weights=weight * (numerator - ratio * denominator))[clusters]
    between = count / (count - 1) * float(np.square(residuals - residuals.mean()).sum()) / total**2
    independent = ratio * (1 - ratio) * float(np.square(weight) @ denominator) / total**2
    variance = max(between, independent)
    error = math.sqrt(variance) / (ratio * (1 - ratio))
    middle, reach = math.log(ratio / (1 - ratio)), student(count - 1) * error
    return Estimate(ratio, _logistic(middle - reach), _logistic(middle + reach))


def student(degrees: int) -> float:
    """The 97.5% quantile of Student's t, to 1% from 4 on (Cornish and Fisher; Abramowitz and Stegun 26.7.5)."""
    z, n = 1.959963984540054, float(degrees)
    first = (z**3 + z) / (4 * n)
    second = (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
    return float(z + first + second + third)


def _without_exception(ratio: float, clusters: int) -> Estimate:
    """Not one wrong, or not one right: the exact bound (Clopper and Pearson) as if each cluster were one observation.

    The residuals are all zero, and zero doubt would be a claim that nobody can keep.
    """
    bound = 0.025 ** (1 / clusters)
    return Estimate(1.0, bound, 1.0) if ratio == 1.0 else Estimate(0.0, 0.0, 1 - bound)


def _logistic(value: float) -> float:
    return 1 / (1 + math.exp(-max(min(value, 700.0), -700.0)))
