"""What a gate says, and what it goes by."""

from dataclasses import dataclass
from datetime import datetime

from modelfleet.api.gatespec import Verdict


@dataclass(frozen=True)
class Judgement:
    """The verdict at one moment, with what it rests on.

    reason         CamelCase and stable, for a condition
    message        for a line engineer: what was compared, what came out, what happens next; at most 1,000 characters
    looks          looks made so far
    *_nodes        nodes whose figures were used, without those set aside
    detections     of the canary nodes, since the gate's start
    estimate       difference in expected precision, canary minus control; None where there is none
    interval       confidence interval of `estimate`; None where the method has none (Threshold)
    method         "Threshold" or "Permutation" ("Auto" before the first look), or "Checks" where nothing is compared
    next_look      when to judge again
    timed_out      the verdict is Inconclusive and will stay so: the Rollout's onTimeout applies
    """

    verdict: Verdict
    reason: str
    message: str
    looks: int
    canary_nodes: int
    control_nodes: int
    detections: int
    estimate: float | None
    interval: tuple[float, float] | None
    method: str
    next_look: datetime
    timed_out: bool = False
