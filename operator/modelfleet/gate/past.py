"""The time before an update that counts: the same for all nodes.

A version reaches one group an hour before the next, and nodes join at any time: not everybody has figures from as long
ago. A node of which only the evening is known, held against one of which the whole day is, would differ by the day. So
the past begins when four fifths of either side's nodes had figures, and a node that came later has none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil

from modelfleet.gate import queries
from modelfleet.gate.plan import Plan
from modelfleet.gate.tables import node_of, of_the_past, side_of
from modelfleet.prometheus.results import Samples

SHARE = 0.8


@dataclass(frozen=True)
class Past:
    """From when on the past counts, and the nodes that have one, by side: 0 the canary's, 1 the control's."""

    since: datetime
    keys: frozenset[tuple[int, str]]

    def nodes(self, side: int) -> frozenset[str]:
        """The nodes of one side."""
        return frozenset(node for its, node in self.keys if its == side)

    def steps(self, plan: Plan, most: int) -> int:
        """How many whole steps of a permutation test it has, at most `most`."""
        return min(most, (plan.past_until - self.since) // plan.test_spacing)


def shared(plan: Plan, first_seen: Samples | None, window: timedelta) -> Past | None:
    """The past that both sides share, of at most `window` before the update; None where a side has none.

    `first_seen` answers `queries.first_seen` for that window.
    """
    sides: tuple[dict[str, float], dict[str, float]] = ({}, {})
    then = of_the_past(plan)
    for labels, values in () if first_seen is None else first_seen.series:
        side, node = side_of(then, labels), node_of(labels)
        if side is not None and node:
            sides[side][node] = min(values[-1][1], sides[side].get(node, values[-1][1]))
    if not all(sides):
        return None
    since = max(plan.past_until - window, *(_most(list(side.values())) for side in sides))
    slack = max(2 * queries.first_seen_resolution(window), plan.policy.interval)  # scrapes are not all at one moment
    latest = (since + slack).timestamp()
    keys = ((number, node) for number, side in enumerate(sides) for node, seen in side.items() if seen <= latest)
    return Past(since, frozenset(keys)) if since < plan.past_until else None


def _most(seen: Sequence[float]) -> datetime:
    """When four fifths of the nodes had been seen."""
    return datetime.fromtimestamp(sorted(seen)[ceil(SHARE * len(seen)) - 1], UTC)
