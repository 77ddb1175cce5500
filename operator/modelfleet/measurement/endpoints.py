"""The two figures a version is judged by, per node or pooled: expected precision P and log expected true positives R.

A model that misses objects is often *more* confident on those it still finds, so that neither figure is enough alone.
"""

from itertools import pairwise
from math import log

import numpy as np
from numpy.typing import NDArray

EDGES = (0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1.0)
"""Edges of the histogram `modelfleet_detection_confidence`. Bucket k is (EDGES[k], EDGES[k + 1]]."""

BUCKETS = len(EDGES) - 1
MIDPOINTS = tuple((low + high) / 2 for low, high in pairwise(EDGES))

RATE_LOSS = 0.1
"""A tenth fewer expected true positives per frame are acceptable."""

RATE_MARGIN = -log(1 - RATE_LOSS)
"""By how much R, their logarithm, may fall."""

Array = NDArray[np.float64]


def precision(counts: Array, weight: Array) -> Array:
    """Expected precision: sum_k w_k n_k / sum_k n_k over the last axis. NaN where there is no detection."""
    total = counts.sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(counts @ weight / total)


def log_rate(counts: Array, frames: Array, weight: Array) -> Array:
    """Log of expected true positives per frame: ln(sum_k w_k n_k / frames). -inf without any, NaN without frames."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.log(counts @ weight / frames))
