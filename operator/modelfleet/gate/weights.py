"""What a detection counts for: by the calibrations of both versions, or by raw confidence where one has none. Pure.

Always one scale for both sides: production, the holdout, or raw confidence.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from modelfleet.gate.plan import Plan
from modelfleet.gate.production import Production
from modelfleet.measurement.endpoints import BUCKETS, MIDPOINTS, Array
from modelfleet.wording import counted


@dataclass(frozen=True)
class Weights:
    """What a detection in each bucket counts, for either side, where that is from, and what must be known about it."""

    canary: Array
    control: Array
    source: Literal["production", "holdout", "raw"]
    note: str


def of(plan: Plan) -> Weights:
    """Calibrated weights where both versions have them, by production where frames of one were reviewed; else midpoints
    for both: never one scale against another."""
    candidate, stable, production = plan.candidate_weights, plan.stable_weights, plan.production
    if production is not None and plan.candidate_version == plan.stable_version == production.version:
        both = np.array(production.precision, float)  # another template alone: nothing has to be carried over
        return Weights(both, both, "production", _by_production(production))
    if candidate is not None and stable is not None and len(candidate) == len(stable) == BUCKETS:
        if production is None:
            return Weights(np.array(candidate, float), np.array(stable, float), "holdout", "")
        reviewed = candidate if production.version == plan.candidate_version else stable
        canary, control = (production.carried(reviewed, each) for each in (candidate, stable))
        return Weights(canary, control, "production", _by_production(production, ", carried over to both versions"))
    sides = ((plan.candidate_version, candidate), (plan.stable_version, stable))
    named = [(version, known) for version, known in sides if version is not None]
    missing = dict.fromkeys(version for version, known in named if known is None)
    other = dict.fromkeys(version for version, known in named if known is not None and len(known) != BUCKETS)
    midpoints = np.array(MIDPOINTS)
    return Weights(midpoints, midpoints, "raw", _note(list(missing), list(other)))


def _by_production(production: Production, how: str = "") -> str:
    frames = counted(production.frames, "reviewed frame")
    return f"Calibrated by {frames} of {production.version} in production (Dataset {production.dataset}){how}."


def _note(missing: Sequence[str], other: Sequence[str]) -> str:
    """Why raw confidence is used: versions without a calibration, and versions with one for other buckets."""
    why = [f"no calibration of {' and '.join(missing)}"] if missing else []
    if other:
        have = "calibration of {} has" if len(other) == 1 else "calibrations of {} have"
        why.append(f"the {have.format(' and '.join(other))} other buckets than the metrics")
    return f"Raw confidence was used: {'; '.join(why)}."
