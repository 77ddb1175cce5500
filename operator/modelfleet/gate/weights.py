"""What a detection counts for: by the calibrations of both versions, or by raw confidence where one has none. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from modelfleet.gate.plan import Plan
from modelfleet.measurement.endpoints import BUCKETS, MIDPOINTS, Array


@dataclass(frozen=True)
class Weights:
    """What a detection in each bucket counts, for either side, and where that is from."""

    canary: Array
    control: Array
    calibrated: bool
    note: str


def of(plan: Plan) -> Weights:
    """Calibrated weights where both versions have them, else midpoints for both: never one scale against another."""
    candidate, stable = plan.candidate_weights, plan.stable_weights
    if candidate is not None and stable is not None and len(candidate) == len(stable) == BUCKETS:
        return Weights(np.array(candidate, float), np.array(stable, float), True, "")
    sides = ((plan.candidate_version, candidate), (plan.stable_version, stable))
    named = [(version, known) for version, known in sides if version is not None]
    missing = dict.fromkeys(version for version, known in named if known is None)
    other = dict.fromkeys(version for version, known in named if known is not None and len(known) != BUCKETS)
    midpoints = np.array(MIDPOINTS)
    return Weights(midpoints, midpoints, False, _note(list(missing), list(other)))


def _note(missing: Sequence[str], other: Sequence[str]) -> str:
    """Why raw confidence is used: versions without a calibration, and versions with one for other buckets."""
    why = [f"no calibration of {' and '.join(missing)}"] if missing else []
    if other:
        have = "calibration of {} has" if len(other) == 1 else "calibrations of {} have"
        why.append(f"the {have.format(' and '.join(other))} other buckets than the metrics")
    return f"Raw confidence was used: {'; '.join(why)}."
