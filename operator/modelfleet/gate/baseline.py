"""The time before an update that counts: the same for all nodes.

A version reaches one group an hour before the next, and nodes join at any time: not everybody has figures from as long
ago. A node of which only the evening is known, held against one of which the whole day is, would differ by the day. So
the past begins when four fifths of either side's nodes had figures, and a node that came later has none. It ends when
the update began; or before, if canary nodes ran yet another version by then.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil

from modelfleet.gate.plan import Plan
from modelfleet.measurement import queries
from modelfleet.measurement.sides import CANARY, CONTROL, NodeKey, node_of
from modelfleet.prometheus.results import Samples

SHARE = 0.8


@dataclass(frozen=True)
class Past:
    """From when to when the past counts, and the nodes that have one."""

    since: datetime
    until: datetime
    keys: frozenset[NodeKey]

    @property
    def length(self) -> timedelta:
        """How long it is; positive."""
        return self.until - self.since

    def steps(self, step: timedelta, most: int) -> int:
        """How many whole steps it has, at most `most`."""
        return min(most, self.length // step)

    def nodes(self, side: int) -> frozenset[str]:
        """The nodes of one side."""
        return frozenset(node for its, node in self.keys if its == side)


def shared(plan: Plan, first_seen: Samples | None, last_seen: Samples | None, window: timedelta) -> Past | None:
    """The past that both sides share, of at most `window` before the update; None where there is none.

    `first_seen` and `last_seen` answer the queries of these names for that window.
    """
    first, last = _moments(plan, first_seen, min), _moments(plan, last_seen, max)
    sides = [[key for key in first if key[0] == side and key in last] for side in (CANARY, CONTROL)]
    if not all(sides):
        return None
    slack = max(2 * queries.seen_resolution(window), plan.policy.interval)  # scrapes are not all at one moment
    until = min(_most([last[key] for key in side], latest_first=True) for side in sides)
    until = plan.past_until if until >= plan.past_until - slack else until
    since = max(until - window, *(_most([first[key] for key in side]) for side in sides))
    if since >= until:
        return None
    keys = (key for side in sides for key in side if first[key] <= since + slack and last[key] >= until - slack)
    return Past(since, until, frozenset(keys))


def _moments(
    plan: Plan, answer: Samples | None, of: Callable[[datetime, datetime], datetime]
) -> dict[NodeKey, datetime]:
    """When each node of either side was seen on the stable version: `of` picks one of several moments."""
    found: dict[NodeKey, datetime] = {}
    then = plan.sides.before_the_update
    for labels, values in () if answer is None else answer.series:
        side, node = then.of(labels), node_of(labels)
        if side is not None and node:
            moment = datetime.fromtimestamp(values[-1][1], UTC)
            found[side, node] = of(moment, found.get((side, node), moment))
    return found


def _most(moments: Collection[datetime], *, latest_first: bool = False) -> datetime:
    """The moment by which four fifths of them are reached."""
    return sorted(moments, reverse=latest_first)[ceil(SHARE * len(moments)) - 1]
