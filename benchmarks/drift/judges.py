"""The judges: ours, and those that the field uses, each after its public documentation or source.

All see the same recording. Each says after how many hours it first declared drift. The others know no season, no
calibration and no node's past, unless it is said; those that judge a stream see what we call expected precision.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from drift import ours
from drift.scenarios import MIN_DROP, Scenario
from drift.simulator import DAY, LOW_BUCKETS, TRUTH, Array, Recording
from modelfleet.drift.figures import MIN_DETECTIONS
from modelfleet.drift.judgement import State
from modelfleet.measurement.endpoints import BUCKETS, EDGES

OURS = "modelfleet"
NOT_SUSTAINED = "modelfleet, not sustained"
SUSTAINED_48 = "modelfleet, 48 h sustained"
DECLARED = (State.DRIFTING, State.MORE_CONFIDENT, State.FEWER_OBJECTS)

BASELINE = 7 * DAY
CHUNKS = 10  # NannyML's default number of reference chunks
RESAMPLES = 100
NODES = 0.3  # as our default: so many must have alarmed


@dataclass(frozen=True, eq=False)
class Case:
    """One run of a scenario, with figures that several judges use."""

    scenario: Scenario
    recording: Recording
    seed: int

    @cached_property
    def precision(self) -> Array:
        """(nodes, hours): expected precision, NaN where there are too few detections."""
        total = self.recording.detections.sum(axis=2)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(total >= MIN_DETECTIONS, self.recording.detections @ TRUTH / total, np.nan)

    @cached_property
    def residual(self) -> Array:
        """(nodes, hours): precision less the node's mean at that hour of the day in the first seven days."""
        with np.errstate(invalid="ignore"):
            days = self.precision[:, :BASELINE].reshape(-1, BASELINE // DAY, DAY)
            profile = np.nansum(days, axis=1) / np.isfinite(days).sum(axis=1)
        return np.asarray(self.precision - np.tile(profile, self.recording.world.days))

    @cached_property
    def days(self) -> Array:
        """(days, 10): the fleet's detections."""
        fleet = np.nansum(self.recording.detections, axis=0)
        return np.asarray(fleet.reshape(-1, DAY, BUCKETS).sum(axis=1))


Judge = Callable[[Case], int | None]
"""After how many hours drift is declared first; None: never."""


def first(alarms: NDArray[np.bool_]) -> int | None:
    """Hours until the first of hourly alarms, each at the end of its hour."""
    return int(np.argmax(alarms)) + 1 if alarms.any() else None


def declared(case: Case, with_variants: bool = False) -> dict[str, dict[State, int | None]]:
    """Our judge, and its variants: after how many hours each state was reached first."""
    scenario, recording = case.scenario, case.recording
    policy = scenario.policy
    strata = None if policy.stratify_by is None else list(recording.world.strata.values())
    asked = {OURS: policy.sustained}
    if with_variants:
        asked |= {NOT_SUSTAINED: 1, SUSTAINED_48: 2 * policy.sustained}
    found: dict[str, list[State]] = {name: [] for name in asked}
    if scenario.retention is not None:
        found[OURS] = ours.remembered(policy, recording.table(), strata, scenario.retention)
    else:
        for begin, end in ((0, scenario.begins), (scenario.begins, recording.world.hours)):
            if begin < end:
                courses = ours.judged(policy, recording.table(begin, end), strata, list(asked.values()))
                for name, course in zip(asked, courses, strict=True):
                    found[name] += course
    return {
        name: {state: first(np.array([each is state for each in course])) for state in DECLARED}
        for name, course in found.items()
    }


def _fleet(nodes: NDArray[np.bool_]) -> int | None:
    """Nodes' alarms (nodes, hours), as ours are: 30% of the nodes, and never fewer than two."""
    return first(nodes.sum(axis=0) >= max(NODES * len(nodes), min(2, len(nodes))))


def _cusum(case: Case) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Where each node's lower CUSUM (allowance half a standard deviation) is beyond a limit that 1% of 28-day courses
    reach which are put together from days of its baseline; and where the last day's mean is down by minDrop, too."""
    random = np.random.default_rng(case.seed)
    base = case.residual[:, :BASELINE]
    deviation = np.nanstd(base, axis=1, keepdims=True)
    scaled = np.nan_to_num(-case.residual / deviation).astype(np.float32) - np.float32(0.5)
    days = scaled[:, :BASELINE].reshape(len(scaled), -1, DAY)
    picked = random.integers(0, days.shape[1], (RESAMPLES, 4 * 7))
    courses = days[:, picked].reshape(len(scaled), RESAMPLES, -1)
    limit = np.quantile(_sums(courses).max(axis=2), 0.99, axis=1)
    beyond = _sums(scaled) > limit[:, None]
    beyond[:, :BASELINE] = False
    window = np.nan_to_num(case.residual).cumsum(axis=1)
    window[:, DAY:] -= window[:, :-DAY].copy()
    return beyond, beyond & (window / DAY <= -MIN_DROP)


def _sums(steps: Array) -> Array:
    """CUSUM along the last axis: max(0, the sum before + the step)."""
    total = steps.cumsum(axis=-1)
    return np.asarray(total - np.minimum(np.minimum.accumulate(total, axis=-1), 0))


def cusum(case: Case) -> int | None:
    """CUSUM per node, its limit by a bootstrap of whole days."""
    return _fleet(_cusum(case)[0])


def cusum_min_drop(case: Case) -> int | None:
    """The same, and only where the node's last day is down by minDrop."""
    return _fleet(_cusum(case)[1])


def _daily(alarms: NDArray[np.bool_], reference: int) -> int | None:
    """Alarms of whole days, (days,), those of the reference left out."""
    alarms = alarms & (np.arange(len(alarms)) >= reference)
    return (int(np.argmax(alarms)) + 1) * DAY if alarms.any() else None


def nannyml(case: Case) -> int | None:
    """NannyML: mean of the calibrated scores in chunks of a day, beyond three standard deviations (ddof 0) of ten
    reference chunks, either way."""
    means = case.days @ TRUTH / np.maximum(case.days.sum(axis=1), 1)
    usual = means[:CHUNKS]
    return _daily(np.abs(means - usual.mean()) > 3 * usual.std(), CHUNKS)


def _shares(case: Case) -> tuple[Array, Array]:
    """Shares of the buckets in the reference (10,) and on each day (days, 10)."""
    reference = case.days[: BASELINE // DAY].sum(axis=0)
    return reference / reference.sum(), case.days / np.maximum(case.days.sum(axis=1, keepdims=True), 1)


def psi(case: Case) -> int | None:
    """Population stability index of a day against the first week, above the usual .1."""
    reference, days = (np.maximum(shares, 1e-4) for shares in _shares(case))
    return _daily(((days - reference) * np.log(days / reference)).sum(axis=1) > 0.1, BASELINE // DAY)


def wasserstein(case: Case) -> int | None:
    """Evidently with more than 1,000 rows: Wasserstein distance of a day to the first week, in standard deviations of
    that week, above .1."""
    reference, days = _shares(case)
    widths = np.diff(EDGES)
    middles = np.array(EDGES[:-1]) + widths / 2
    deviation = np.sqrt(reference @ middles**2 - (reference @ middles) ** 2)
    apart = (days - reference).cumsum(axis=1)
    before = np.concatenate([np.zeros((len(apart), 1)), apart[:, :-1]], axis=1)
    distance = (np.abs(apart + before) / 2) @ widths  # the difference of two lines is a line in each bucket
    return _daily(distance / deviation > 0.1, BASELINE // DAY)


def kolmogorov_smirnov(case: Case) -> int | None:
    """Evidently with at most 1,000 rows: Kolmogorov-Smirnov of 1,000 detections of a day and of the first week, 5%."""
    random = np.random.default_rng(case.seed)
    reference, days = _shares(case)
    known = days.sum(axis=1) > 0
    ours_, theirs = (
        random.multinomial(1000, shares) / 1000 for shares in (reference, np.where(known[:, None], days, reference))
    )
    distance = np.abs((theirs - ours_).cumsum(axis=1)).max(axis=1)
    return _daily(known & (distance > 1.358 * np.sqrt(2 / 1000)), BASELINE // DAY)


def static(case: Case) -> int | None:
    """A Prometheus alert: the fleet's share of confidences up to .5 in an hour is .10 above that of the first day, two
    hours in a row."""
    low, total = (
        np.nansum(each, axis=0)
        for each in (case.recording.detections[..., :LOW_BUCKETS].sum(axis=2), case.recording.detections.sum(axis=2))
    )
    usual = low[:DAY].sum() / total[:DAY].sum()
    high = low / np.maximum(total, 1) > usual + 0.10
    high[:DAY] = False
    return first(high & np.roll(high, 1))


JUDGES: Mapping[str, Judge] = {
    "CUSUM per node": cusum,
    "CUSUM per node and minDrop": cusum_min_drop,
    "NannyML, 3 sd of days": nannyml,
    "PSI > .1 of a day": psi,
    "Evidently, Wasserstein > .1": wasserstein,
    "Evidently, KS of 1,000 rows": kolmogorov_smirnov,
    "low confidence +.10 (static alert)": static,
}
