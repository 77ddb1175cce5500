"""Is the new version worse on the canary nodes? Node-level difference in differences, tested by permutation.

The unit is the node: detections, frames and hours of one camera are not independent, so that a fleet of twenty cameras
has twenty observations and not a million. Each node's figure is its change against itself, in a window as long before
the start; the canary nodes' changes are held against those of the control nodes in the same minutes. Two questions are
asked of each endpoint at each look, both with the error spread over the looks: is it harmed (worse than equal), and is
it shown to be no worse than by the margin.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelfleet.api.gatespec import Verdict
from modelfleet.gate.cause import Cause
from modelfleet.gate.problem import Problem, too_few
from modelfleet.measurement import permutation
from modelfleet.measurement.endpoints import MIDPOINTS, RATE_MARGIN, Array
from modelfleet.measurement.fleet import Fleet
from modelfleet.measurement.permutation import Assignments

ENDPOINTS = 2  # P and R: harm is sought in either, so each has half of alpha

# A single camera that breaks must not drown the differences of the others. Nothing is lost by it for a version that is
# bad everywhere: all its nodes lie at the bound, and no other choice of canaries does. Both are many margins wide.
_BOUND_PRECISION = 0.25
_BOUND_RATE = float(np.log(2))


@dataclass(frozen=True)
class Rules:
    """What counts as no worse (margin on P), how often to be wrong (alpha), over how many looks, by how much data.

    `looks` is the number of looks that the gate would make until its deadline, fixed when it starts.
    """

    margin: float = 0.03
    alpha: float = 0.05
    looks: int = 1
    min_detections: int = 300
    min_nodes: int = 1
    seed: int = 0

    @property
    def harm_spending(self) -> list[float]:
        """Error that may be spent by each look on finding harm, in one endpoint: in proportion to time."""
        return [self.alpha / ENDPOINTS * k / self.looks for k in range(1, self.looks + 1)]

    @property
    def pass_spending(self) -> list[float]:
        """Error that may be spent by each look on letting a version pass: little at first."""
        return [self.alpha * (k / self.looks) ** 2 for k in range(1, self.looks + 1)]

    @property
    def fewest_assignments(self) -> int:
        """Below this number of ways to choose the canaries, harm could never be found, whatever the figures."""
        return int(np.ceil(ENDPOINTS / self.alpha))

    @property
    def enough_assignments(self) -> int:
        """From this number on, harm can be found at the first look."""
        return int(np.ceil(ENDPOINTS * self.looks / self.alpha))


@dataclass(frozen=True)
class Endpoint:
    """One endpoint at the newest look, canary against control, after each node's own past is taken off.

    estimate       the difference of the differences
    interval       its permutation interval with error alpha on either side, at this look alone
    harmful_at     the look (from 1) by which it is shown to be worse than equal, or None
    proven_at      the look by which it is shown to be no worse than by the margin, or None
    p_harm         one-sided, at this look alone; likewise p_worse, of being worse by the margin
    by_look        (look, estimate) of each look so far that counts, the newest one included
    """

    estimate: float
    interval: tuple[float, float]
    margin: float
    harmful_at: int | None
    proven_at: int | None
    p_harm: float
    p_worse: float
    by_look: tuple[tuple[int, float], ...] = ()

    @property
    def worse(self) -> bool:
        """Harmed, and not shown by the same look to be within the margin: a large fleet finds what does not matter."""
        return self.harmful_at is not None and (self.proven_at is None or self.harmful_at < self.proven_at)

    @property
    def no_worse(self) -> bool:
        """Shown to be within the margin before any harm, and on the right side of it also now."""
        return self.proven_at is not None and not self.worse and self.estimate > -self.margin


@dataclass(frozen=True)
class Inference:
    """What `infer` found at look `look` of `looks` planned. Counts are of the nodes used; the others are in `aside`."""

    precision: Endpoint
    rate: Endpoint
    look: int
    looks: int
    canary_nodes: int
    control_nodes: int
    detections: int
    assignments: int
    alpha: float
    aside: tuple[tuple[str, str], ...]

    @property
    def verdict(self) -> Verdict:
        """Fail where an endpoint is worse, Pass where both are shown to be no worse, else Inconclusive."""
        if self.precision.worse or self.rate.worse:
            return Verdict.FAIL
        return Verdict.PASS if self.precision.no_worse and self.rate.no_worse else Verdict.INCONCLUSIVE


def infer(
    fleet: Fleet,
    candidate_weights: Sequence[float] = MIDPOINTS,
    stable_weights: Sequence[float] = MIDPOINTS,
    rules: Rules | None = None,
) -> Inference | Problem:
    """Test a fleet at the newest of its looks.

    `*_weights` (10,): expected precision of a detection in each bucket on either version, from its calibration; without
    one, the middle of the bucket. Deterministic for the same fleet, rules and seed. Raises ValueError where there are
    more looks than were planned.
    """
    rules = Rules() if rules is None else rules
    look = len(fleet.after.frames)
    if look > rules.looks:
        raise ValueError(f"{look} looks were made, and {rules.looks} planned")
    short = _short(fleet, rules)
    reasons = _aside(fleet, short[-1])
    aside = tuple((name, reason) for name, reason in zip(fleet.names, reasons, strict=True) if reason)
    left = np.array([not reason for reason in reasons], bool)
    used = fleet.only(left)
    problem = _problem(used, rules, aside)
    if problem is not None:
        return problem
    precision, rate = _changes(used, np.array(candidate_weights, float), np.array(stable_weights, float))
    of = permutation.assignments(used.canary, used.groups, rules.seed)
    counted = (short[:, left] == "").all(axis=1)
    return Inference(
        precision=_endpoint(precision, used, of, counted, rules, rules.margin),
        rate=_endpoint(rate, used, of, counted, rules, RATE_MARGIN),
        look=look,
        looks=rules.looks,
        canary_nodes=int(used.canary.sum()),
        control_nodes=int((~used.canary).sum()),
        detections=round(float(used.after.detections[-1][used.canary].sum())),
        assignments=of.possible,
        alpha=rules.alpha,
        aside=aside,
    )


def _short(fleet: Fleet, rules: Rules) -> NDArray[np.str_]:
    """Of what each node has too little at each look, (L, n); empty where it has enough.

    Only by what the stable version did on it, and by frames: a version that detects nothing must not lose its nodes by
    that.
    """
    past, frames = fleet.before.detections.sum(axis=2), fleet.after.frames
    past_frames = fleet.before.frames
    expected = past / np.where(past_frames > 0, past_frames, 1) * frames
    few = f"fewer than {rules.min_detections} detections to be expected"
    return np.select(
        [past_frames <= 0, frames <= 0, np.minimum(past, expected) < rules.min_detections],
        ["too few figures from before the update", "no frames", few],
        default="",
    )


def _aside(fleet: Fleet, short: NDArray[np.str_]) -> list[str]:
    """Why a node can't be used at the newest look, where it is `short` of things; empty where it can."""
    groups, left = fleet.groups, short == ""
    matched = np.isin(groups, groups[left & fleet.canary]) & np.isin(groups, groups[left & ~fleet.canary])
    lonely = left & ~matched & (fleet.strata is not None)
    return [str(reason) for reason in np.where(lonely, "no counterpart in its stratum", short)]


def _problem(used: Fleet, rules: Rules, aside: tuple[tuple[str, str], ...]) -> Problem | None:
    canaries, controls = int(used.canary.sum()), int((~used.canary).sum())
    for number, name in ((canaries, "canary"), (controls, "control")):
        required = max(1, rules.min_nodes)
        if number < required:
            return Problem(Cause.TOO_FEW_NODES, too_few(name, number, required), aside=aside)
    possible = permutation.possible(used.canary, used.groups)
    if possible < rules.fewest_assignments:
        message = (
            f"{canaries} canary and {controls} control nodes can be chosen in {possible} ways, "
            f"{rules.fewest_assignments} required for alpha {rules.alpha:g}"
        )
        return Problem(Cause.TOO_FEW_ASSIGNMENTS, message, aside=aside)
    return None


def _changes(fleet: Fleet, candidate: Array, stable: Array) -> tuple[Array, Array]:
    """d of P and of R, each (n, L): the node's figure at each look, less its own before the update."""
    weight = np.where(fleet.canary[:, None], candidate, stable)
    past_true = (fleet.before.detections * stable).sum(axis=2)
    past_all = fleet.before.detections.sum(axis=2)
    now_true = (fleet.after.detections * weight).sum(axis=2)
    now_all = fleet.after.detections.sum(axis=2)
    # One detection as precise as the node's past is added, so that a node without any says nothing about precision (and
    # everything about the rate, where half a detection keeps the logarithm finite).
    past = past_true / np.maximum(past_all, 1)
    precision = (now_true + past) / (now_all + 1) - past
    tiny = 0.5 * stable.mean()
    now, then = fleet.after.frames, fleet.before.frames
    rate = np.log((now_true + tiny) / np.maximum(now, 1)) - np.log((past_true + tiny) / np.maximum(then, 1))
    rate[(now <= 0) | (then <= 0)] = 0
    return (
        np.clip(precision, -_BOUND_PRECISION, _BOUND_PRECISION).T,
        np.clip(rate, -_BOUND_RATE, _BOUND_RATE).T,
    )


def _endpoint(
    changes: Array, fleet: Fleet, of: Assignments, counted: NDArray[np.bool_], rules: Rules, margin: float
) -> Endpoint:
    """The test of one endpoint; `counted` (L,) are the looks at which all nodes had enough to go by.

    At the first looks the canary nodes may have no past, since they were being updated; without it there is no change
    to speak of, and they would all look as if nothing had become worse. What such a look may spend of the error goes to
    the looks that follow.
    """
    looks, newest, canary = changes.shape[1], changes[:, -1:], fleet.canary[:, None]
    estimate, shrinkage = _difference(newest[:, 0], fleet)
    hypotheses = np.hstack([changes, changes + margin * canary, newest - estimate * canary])
    statistic = permutation.studentised(_within(hypotheses, fleet.groups), of)
    equal, worse, centred = np.split(statistic.t.T, [looks, 2 * looks])
    equal[~counted], worse[~counted] = 0, 0
    harm = permutation.sequential(-equal, rules.harm_spending)
    good = permutation.sequential(worse, rules.pass_spending)
    low, high = np.quantile(centred[0], [rules.alpha, 1 - rules.alpha])
    error = float(statistic.error[0, -1]) / shrinkage
    return Endpoint(
        estimate=estimate,
        interval=(estimate - float(high) * error, estimate - float(low) * error) if error else (estimate, estimate),
        margin=margin,
        harmful_at=harm.look,
        proven_at=good.look,
        p_harm=harm.p,
        p_worse=good.p,
        by_look=tuple((look + 1, _difference(changes[:, look], fleet)[0]) for look in np.flatnonzero(counted).tolist()),
    )


def _within(values: Array, groups: NDArray[np.int64]) -> Array:
    """`values` (n, m) less their stratum's mean: differences between sites are not differences between versions."""
    sums = np.zeros((int(groups.max()) + 1, values.shape[1]))
    np.add.at(sums, groups, values)
    return np.asarray(values - (sums / np.bincount(groups)[:, None])[groups])


def _difference(values: Array, fleet: Fleet) -> tuple[float, float]:
    """Canary minus control within strata, weighted as by a regression on the strata (Cochran 1954); and the shrinkage.

    The shrinkage is by how much a plain difference of figures less their stratum's mean is smaller: 1 with one stratum.
    """
    label = _within(fleet.canary[:, None].astype(float), fleet.groups)[:, 0]
    canaries, controls = int(fleet.canary.sum()), int((~fleet.canary).sum())
    spread = float(label @ label)
    return float(label @ values) / spread, spread * (canaries + controls) / (canaries * controls)
