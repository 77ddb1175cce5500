"""The Threshold method: pooled canary nodes against pooled control nodes, three looks in a row.

Where the same nodes have figures from before the update, what they differed by then is taken off.

For fleets too small for a permutation test. It has no error rate of its own to promise: nodes differ, and with one
canary node nobody can tell a node that differs from a version that does. So it asks for the same answer three times,
names itself in every verdict, and gives no confidence interval.
"""

from dataclasses import dataclass
from math import inf, nan

from modelfleet.gate.cause import Cause
from modelfleet.gate.policy import Comparison
from modelfleet.gate.problem import Problem, too_few
from modelfleet.gate.weights import Weights
from modelfleet.measurement import endpoints
from modelfleet.measurement.endpoints import RATE_MARGIN
from modelfleet.measurement.node_table import Rows, Table


@dataclass(frozen=True)
class Difference:
    """Canary against control at one look. P: expected precision; R: log expected true positives per frame.

    precision, rate   canary minus control; where `adjusted`, less what the same nodes differed by before the start
    canary_, control_precision   as they are. NaN where the canary nodes detected nothing; `rate` is then -inf
    """

    canary_precision: float
    control_precision: float
    precision: float
    rate: float
    margin: float
    adjusted: bool

    @property
    def less_precise(self) -> bool:
        """P is beyond its margin."""
        return self.precision < -self.margin

    @property
    def finds_less(self) -> bool:
        """R is beyond its margin."""
        return self.rate < -RATE_MARGIN

    @property
    def within(self) -> bool:
        """Both are within their margins."""
        return self.precision >= -self.margin and self.rate >= -RATE_MARGIN


def compare(table: Table, past: Table | None, weights: Weights, comparison: Comparison) -> Problem | Difference:
    """One look. `past` is the same nodes on the stable version, before the update; None where it is not known."""
    canary, control = table.canary, table.control
    problem = _problem(canary, control, comparison)
    if problem is not None:
        return problem
    common = None if past is None else _common(table, past, comparison)
    if common is not None:
        (canary, canary_past), (control, control_past) = common
    p_canary, r_canary = _pooled(canary, weights.canary)
    p_control, r_control = _pooled(control, weights.control)
    precision, rate = p_canary - p_control, r_canary - r_control
    if common is not None:
        # The cameras are not the same: what the canary nodes differed by on the stable version is theirs, and not due
        # to the new version.
        p_past, r_past = _pooled(canary_past, weights.control)
        p_other, r_other = _pooled(control_past, weights.control)
        precision, rate = precision - (p_past - p_other), rate - (r_past - r_other)
    return Difference(p_canary, p_control, precision, rate, comparison.margin, common is not None)


def _common(table: Table, past: Table, comparison: Comparison) -> tuple[tuple[Rows, Rows], tuple[Rows, Rows]] | None:
    """For either side, the nodes with a past, now and then; None where a side has too little of it."""
    pairs = []
    for now, then in ((table.canary, past.canary), (table.control, past.control)):
        names = set(now.nodes) & set(then.nodes)
        now, then = now.only(names), then.only(names)
        if not names or then.detections < comparison.min_detections:
            return None
        pairs.append((now, then))
    return (pairs[0], pairs[1]) if pairs[1][0].detections else None


def _problem(canary: Rows, control: Rows, comparison: Comparison) -> Problem | None:
    for side, name in ((canary, "canary"), (control, "control")):
        if not side.nodes:
            return Problem(Cause.NO_NODES, f"no usable {name} node", missing=True)
        if len(side.nodes) < comparison.min_nodes:
            message = f"{too_few(name, len(side.nodes), comparison.min_nodes)} (minNodes)"
            return Problem(Cause.TOO_FEW_NODES, message, missing=True)
    if not control.detections and not canary.detections:
        return Problem(Cause.NO_DETECTIONS, "there was no detection on either side", missing=True)
    need = comparison.min_detections
    if control.detections < need:
        return Problem(Cause.TOO_FEW_DETECTIONS, f"{_of(control.detections, need)} on control nodes")
    # A version that misses everything must not hide behind too few detections: what counts is how many the control
    # nodes' version would have made in as many frames.
    expected = control.detections / float(control.frames.sum()) * float(canary.frames.sum())
    if canary.detections < need and expected < need:
        return Problem(Cause.TOO_FEW_DETECTIONS, f"{_of(canary.detections, need)} on canary nodes")
    return None


def _of(detections: int, required: int) -> str:
    return f"{detections:,} of {required:,} required detections so far"


def _pooled(side: Rows, weight: endpoints.Array) -> tuple[float, float]:
    counts, frames = side.counts.sum(axis=0), side.frames.sum()
    if not counts.sum():
        return nan, -inf
    return float(endpoints.precision(counts, weight)), float(endpoints.log_rate(counts, frames, weight))
