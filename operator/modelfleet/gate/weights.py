"""What a detection counts for: by the versions' calibrations, or by raw confidence where one of them has none. Pure."""

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
    without = [
        version
        for version, known in ((plan.candidate_version, candidate), (plan.stable_version, stable))
        if version is not None and (known is None or len(known) != BUCKETS)
    ]
    midpoints = np.array(MIDPOINTS)
    names = list(dict.fromkeys(without))
    note = f"Raw confidence was used: no calibration of {' and '.join(names)}."
    return Weights(midpoints, midpoints, False, note)
