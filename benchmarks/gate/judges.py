"""The judges: ours, and those that the field uses, each after its public documentation or source.

All see the same recording and may look six times, every half hour. None of the others subtracts a node's own past or
knows of calibration; they judge the mean raw confidence, as somebody does who puts that metric into such a tool.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from math import comb, sqrt

import numpy as np

from gate.scenarios import MARGIN
from gate.simulator import LOOK, LOOKS, WINDOW, Array, Recording
from modelfleet.gate import threshold
from modelfleet.gate.inference import Inference, Rules, infer
from modelfleet.gate.policy import Comparison
from modelfleet.gate.weights import Weights
from modelfleet.measurement.endpoints import MIDPOINTS
from modelfleet.measurement.fleet import Counts, Fleet
from modelfleet.measurement.node_table import Rows, Table

PER_LOOK = LOOK // WINDOW
_MIDPOINTS = np.array(MIDPOINTS)


class Decision(StrEnum):
    """How a gate ended."""

    PROMOTED = "promoted"
    ROLLED_BACK = "rolled back"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Outcome:
    """The decision, the look (1..6) at which it was made, and by which method."""

    decision: Decision
    look: int
    method: str = ""


Judge = Callable[[Recording], Outcome]


def _guard(fails: Callable[[Recording, int], bool]) -> Judge:
    """A judge that rolls back at the first look that fails, and promotes when none did."""

    def judge(recording: Recording) -> Outcome:
        for look in range(1, LOOKS + 1):
            if fails(recording, look):
                return Outcome(Decision.ROLLED_BACK, look)
        return Outcome(Decision.PROMOTED, LOOKS)

    return judge


def _pooled(recording: Recording, start: int, stop: int) -> tuple[Array, Array]:
    """Detections by bucket of all canary and of all control nodes in some windows; what is no number is left out."""
    canary, control = recording.sides
    return canary[start:stop].sum(axis=0), control[start:stop].sum(axis=0)


def _mean(counts: Array) -> float:
    return float(counts @ _MIDPOINTS / max(counts.sum(), 1))


def _ratio(recording: Recording, look: int) -> bool:
    """Argo Rollouts: an AnalysisTemplate that queries canary / control, with `successCondition: result >= 0.95` and
    failureLimit 0. Flagger's `thresholdRange` does the same. Each look sees the half hour before it.
    """
    canary, control = _pooled(recording, (look - 1) * PER_LOOK, look * PER_LOOK)
    return bool(canary.sum() and control.sum()) and _mean(canary) / _mean(control) < 0.95


def _z_test(recording: Recording, look: int) -> bool:
    """A two-sample z-test of the mean over single detections since the start, one-sided at 5%, at every look."""
    canary, control = _pooled(recording, 0, look * PER_LOOK)
    if min(canary.sum(), control.sum()) < 2:
        return False
    variances = [_mean_square(counts) / counts.sum() for counts in (canary, control)]
    return (_mean(canary) - _mean(control)) / sqrt(sum(variances)) < -1.645


def _mean_square(counts: Array) -> float:
    return float(counts @ (_MIDPOINTS - _mean(counts)) ** 2 / counts.sum())


def _kolmogorov_smirnov(recording: Recording, look: int) -> bool:
    """Two-sample Kolmogorov-Smirnov on the confidences since the start (as binned by the histogram), at 5%."""
    canary, control = _pooled(recording, 0, look * PER_LOOK)
    if min(canary.sum(), control.sum()) < 2:
        return False
    distance = np.abs((canary / canary.sum()).cumsum() - (control / control.sum()).cumsum()).max()
    return bool(distance > 1.358 * sqrt(1 / canary.sum() + 1 / control.sum()))


def _psi(recording: Recording, look: int) -> bool:
    """Population stability index over the ten buckets since the start, above the usual .1."""
    canary, control = (
        np.maximum(counts / max(counts.sum(), 1), 1e-4) for counts in _pooled(recording, 0, look * PER_LOOK)
    )
    return bool(((canary - control) * np.log(canary / control)).sum() > 0.1)


def _kayenta(recording: Recording, look: int) -> bool:
    """Kayenta's NetflixACAJudge on five-minute points of the mean confidence since the start: outliers beyond 3 IQR are
    removed, then the 98% interval of the Mann-Whitney shift must not lie below -25% of the Hodges-Lehmann estimate.
    """
    points = [_pooled(recording, step, step + 1) for step in range(look * PER_LOOK)]
    canary, control = (
        _without_outliers(np.array([_mean(pair[side]) for pair in points if pair[side].sum()])) for side in (0, 1)
    )
    if not len(canary) or not len(control):
        return False
    shifts = np.sort((canary[:, None] - control[None, :]).ravel())
    count = len(shifts)
    deviation = sqrt(count * (len(canary) + len(control) + 1) / 12)
    upper = shifts[min(count - 1, int(np.ceil(count / 2 + 2.326 * deviation)))]
    return bool(upper < -0.25 * abs(float(np.median(shifts))))


def _without_outliers(values: Array) -> Array:
    low, high = np.quantile(values, [0.25, 0.75]) if len(values) else (0, 0)
    return values[(values >= low - 3 * (high - low)) & (values <= high + 3 * (high - low))]


PERMUTATION = "modelfleet Permutation"
THRESHOLD = "modelfleet Threshold"
RULES = Rules(margin=MARGIN, looks=LOOKS, min_detections=300)


def permutation(recording: Recording) -> Outcome:
    """modelfleet, method Permutation."""
    # The test at a look is contained in that at a later one, so that the last tells at which looks something happens.
    last = infer(fleet(recording, LOOKS), recording.candidate_weights, recording.stable_weights, RULES)
    looks: set[int | None] = set(range(1, LOOKS + 1))
    if isinstance(last, Inference) and not last.aside:
        looks = {at for e in (last.precision, last.rate) for at in (e.harmful_at, e.proven_at)} | {LOOKS}
    for look in sorted(look for look in looks if look is not None):
        found = infer(fleet(recording, look), recording.candidate_weights, recording.stable_weights, RULES)
        if isinstance(found, Inference):
            endpoints = (found.precision, found.rate)
            if any(endpoint.worse for endpoint in endpoints):
                return Outcome(Decision.ROLLED_BACK, look, "Permutation")
            if all(endpoint.no_worse for endpoint in endpoints):
                return Outcome(Decision.PROMOTED, look, "Permutation")
    return Outcome(Decision.UNDECIDED, LOOKS, "Permutation")


def pooled_threshold(recording: Recording) -> Outcome:
    """modelfleet, method Threshold: pooled figures, less the nodes' past, against the margins; three looks in a row."""
    weights = Weights(recording.candidate_weights, recording.stable_weights, "holdout", "")
    now, then = recording.after, recording.before
    compared = []
    for look in range(1, LOOKS + 1):
        steps = look * PER_LOOK
        back = max(steps, 60 // WINDOW)
        table = _table(recording, now[0][:, :steps], now[1][:, :steps])
        past = _table(recording, then[0][:, -back:], then[1][:, -back:])
        compared.append(threshold.compare(table, past, weights, Comparison(margin=MARGIN)))
    for look in range(threshold_looks := 3, LOOKS + 1):
        newest = [each for each in compared[look - threshold_looks : look] if isinstance(each, threshold.Difference)]
        if len(newest) < threshold_looks:
            continue
        if all(each.less_precise for each in newest) or all(each.finds_less for each in newest):
            return Outcome(Decision.ROLLED_BACK, look, "Threshold")
        if all(each.within for each in newest):
            return Outcome(Decision.PROMOTED, look, "Threshold")
    return Outcome(Decision.UNDECIDED, LOOKS, "Threshold")


def auto(recording: Recording) -> str:
    """The judge that modelfleet's method Auto takes for this fleet."""
    ways = comb(len(recording.canary), int(recording.canary.sum()))
    return PERMUTATION if ways >= RULES.enough_assignments else THRESHOLD


def fleet(recording: Recording, look: int) -> Fleet:
    """The recording as a permutation test takes it; nodes whose counters are no numbers are set aside."""
    good = np.isfinite(recording.detections[:, : (LOOKS + look) * PER_LOOK]).all(axis=(1, 2))
    steps = [PER_LOOK * k for k in range(1, look + 1)]
    (after, after_frames), (before, before_frames) = recording.after, recording.before
    names = tuple(f"node-{i}" for i in np.flatnonzero(good))
    strata = None if recording.strata is None else tuple(recording.strata[i] for i in np.flatnonzero(good))
    return Fleet(
        names,
        recording.canary[good],
        Counts(
            np.stack([after[good, :s].sum(axis=1) for s in steps]),
            np.stack([after_frames[good, :s].sum(axis=1) for s in steps]),
        ),
        Counts(
            np.stack([before[good, -s:].sum(axis=1) for s in steps]),
            np.stack([before_frames[good, -s:].sum(axis=1) for s in steps]),
        ),
        strata,
    )


def _table(recording: Recording, windows: Array, frames_by_window: Array) -> Table:
    counts, frames = windows.sum(axis=1), frames_by_window.sum(axis=1)
    good = np.isfinite(counts).all(axis=1) & (frames > 0)
    canary, control = recording.canary & good, ~recording.canary & good
    canary_side, control_side = (
        Rows(tuple(map(str, np.flatnonzero(s))), counts[s], frames[s]) for s in (canary, control)
    )
    return Table(canary_side, control_side)


JUDGES: dict[str, Judge] = {
    "ratio >= .95 (Argo Rollouts, Flagger)": _guard(_ratio),
    "z-test over detections": _guard(_z_test),
    "Kolmogorov-Smirnov": _guard(_kolmogorov_smirnov),
    "PSI > .1": _guard(_psi),
    "Mann-Whitney (Kayenta)": _guard(_kayenta),
    THRESHOLD: pooled_threshold,
    PERMUTATION: permutation,
}
