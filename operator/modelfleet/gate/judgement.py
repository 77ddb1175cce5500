"""What a gate says, and what it goes by."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

from modelfleet.api.gatespec import Verdict
from modelfleet.gate.cause import Cause

_EXAMPLES = 3


class EndpointName(StrEnum):
    """The two figures by which a version is judged, as metrics and the audit name them."""

    PRECISION = "precision"
    DETECTIONS = "detections"


@dataclass(frozen=True)
class Tested:
    """What a permutation test found in one endpoint.

    p_harm, p_worse          one-sided, at the newest look alone: of a harm, and of being worse by the margin
    harmful_at, proven_at    the look (from 1) by which it is shown to be harmed, and to be no worse; None: not yet
    """

    p_harm: float
    p_worse: float
    harmful_at: int | None
    proven_at: int | None


@dataclass(frozen=True)
class Figure:
    """One endpoint, canary beside control, each node's own past taken off.

    estimate   precision: difference of expected precision. detections: relative change of the expected true detections
               of a frame (-0.1: a tenth fewer; -1: none). What lies below -margin is worse
    interval   lower and upper bound; None where the method has none (Threshold)
    by_look    (look, estimate) of the looks that the verdict rests on, oldest first; tests where `test` is given
    """

    endpoint: EndpointName
    estimate: float
    margin: float
    interval: tuple[float, float] | None = None
    by_look: tuple[tuple[int, float], ...] = ()
    test: Tested | None = None


@dataclass(frozen=True)
class SetAside:
    """So many nodes of one side are not used, for one reason; with some of their names."""

    side: Literal["canary", "control"]
    reason: str
    nodes: int
    examples: tuple[str, ...]


def tally(side: Literal["canary", "control"], aside: Iterable[tuple[str, str]]) -> tuple[SetAside, ...]:
    """(node, reason) pairs counted by reason: as many entries as there are reasons, however many nodes."""
    pairs = list(aside)
    return tuple(
        SetAside(side, str(reason), number, _first([node for node, its in pairs if its == reason]))
        for reason, number in Counter(reason for _, reason in pairs).items()
    )


def _first(nodes: Sequence[str]) -> tuple[str, ...]:
    return tuple(nodes[:_EXAMPLES])


@dataclass(frozen=True)
class Judgement:
    """The verdict at one moment, with what it rests on.

    message        for a line engineer: what was compared, what came out, what happens next; at most 1,000 characters
    looks          looks made so far
    *_nodes        nodes whose figures were used, without those set aside
    detections     of the canary nodes, since the gate's start
    endpoints      the figures of both endpoints; of those that can be given, and none where nothing is compared
    aside          nodes that are not used, counted by side and reason
    method         "Threshold" or "Permutation" ("Auto" before the first look), or "Checks" where nothing is compared
    next_look      when to judge again
    timed_out      the verdict is Inconclusive and will stay so: the Rollout's onTimeout applies
    again          the verdict is NoData and would stay so, since the last look is over; a gate that begins now would
                   have something to go by
    """

    verdict: Verdict
    reason: Cause
    message: str
    looks: int
    canary_nodes: int
    control_nodes: int
    detections: int
    method: str
    next_look: datetime
    endpoints: tuple[Figure, ...] = ()
    aside: tuple[SetAside, ...] = ()
    timed_out: bool = False
    again: bool = False

    @property
    def estimate(self) -> float | None:
        """Difference in expected precision, canary minus control; None where there is none."""
        return None if (found := self._precision) is None else found.estimate

    @property
    def interval(self) -> tuple[float, float] | None:
        """Confidence interval of `estimate`; None where the method has none (Threshold)."""
        return None if (found := self._precision) is None else found.interval

    @property
    def _precision(self) -> Figure | None:
        return next((each for each in self.endpoints if each.endpoint is EndpointName.PRECISION), None)
