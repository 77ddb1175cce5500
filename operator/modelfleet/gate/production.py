"""From the holdout to production: what reviewed frames of one version say about the calibrations of both. Pure.

Frames are reviewed of a version that is deployed, so that there is such a calibration of the stable version alone, as a
rule. Taken as it is it would stand on another scale than the holdout's of the new version. What carries over is how the
two differ: a detection that is right with probability p on the holdout is right with probability f(p) in production.
Where production shows another share of true objects among alike ones, f is the same for all models (odds times a
constant), whatever their confidences are like. So f is read off the reviewed version, and applied to both.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from modelfleet.measurement.endpoints import Array

_LEAST = 0.001
"""Precisions are taken to be at least so far from 0 and 1, where odds have no logarithm."""


@dataclass(frozen=True)
class Production:
    """A calibration by reviewed frames of the random sample, as it was when the gate started.

    dataset    the Dataset that has it
    version    of which of the two versions it is
    frames     how many frames were reviewed
    precision  the share of right detections in each of the metrics' buckets
    """

    dataset: str
    version: str
    frames: int
    precision: tuple[float, ...]

    def carried(self, reviewed: Sequence[float], holdout: Sequence[float]) -> Array:
        """f of `holdout`, a version's calibration, by `reviewed`, that of the reviewed version on its holdout.

        Between the precisions of `reviewed` the logarithm of the odds is interpolated; beyond them it is moved by as
        much as at the nearest. Buckets that `reviewed` calls equal are moved alike: by their mean.
        """
        moves: defaultdict[float, list[float]] = defaultdict(list)
        for before, after in zip(_log_odds(reviewed), _log_odds(self.precision), strict=True):
            moves[float(before)].append(float(after - before))
        known = sorted(moves)
        odds = _log_odds(holdout)
        moved = odds + np.interp(odds, known, [float(np.mean(moves[each])) for each in known])
        return np.asarray(1 / (1 + np.exp(-moved)), float)


def _log_odds(precision: Sequence[float]) -> Array:
    inside = np.clip(np.array(precision, float), _LEAST, 1 - _LEAST)
    return np.asarray(np.log(inside / (1 - inside)), float)
