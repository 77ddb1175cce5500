"""Builds plans and Prometheus answers for the tests of the gate: a fleet in a few words."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from modelfleet.gate import Comparison, Evidence, Plan, Policy
from modelfleet.gate.checks import Outcome
from modelfleet.gate.evidence import Look
from modelfleet.measurement.endpoints import BUCKETS, EDGES
from modelfleet.measurement.node_table import Table, read
from modelfleet.prometheus import NoData, ProviderDown, Result, Samples

START = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
DAY = timedelta(days=1)
EQUAL = (10, 20, 40, 60, 80, 120, 100, 140, 200, 230)  # 1,000 detections, mean weight by midpoints .81
TIMID = (260, 260, 200, 200, 150, 150, 60, 50, 40, 30)  # as many true ones among more, far less confident
RAMP = tuple(round(0.4 + 0.06 * k, 2) for k in range(BUCKETS))


def plan(**changes) -> Plan:
    policy = Policy(
        soak=timedelta(minutes=10), interval=timedelta(minutes=1), timeout=timedelta(hours=1), comparison=Comparison()
    )
    default = Plan(
        namespace="factory",
        rollout="line",
        group="canary",
        control_groups=("fleet",),
        model="parts",
        candidate_version="v2",
        stable_version="v1",
        candidate_weights=RAMP,
        stable_weights=RAMP,
        policy=policy,
        past_until=START,
        started_at=START,
    )
    of_policy = {name: changes.pop(name) for name in list(changes) if hasattr(policy, name)}
    return replace(default, policy=replace(policy, **of_policy), **changes)


@dataclass(frozen=True)
class Node:
    """What one node would show: detections by bucket, frames, and the share of time it was scraped."""

    name: str
    group: str
    version: str
    counts: tuple[float, ...] = EQUAL
    frames: float = 500
    coverage: float = 1.0
    low: float = 0  # detections at or below the lowest edge
    above: float = 0  # detections above the highest edge
    labels: Mapping[str, str] | None = None

    def identity(self) -> dict[str, str]:
        given = {"group": self.group, "version": self.version, "node": self.name}
        return {key: value for key, value in {**given, **(self.labels or {})}.items() if value}

    def histogram(self) -> dict[str, float]:
        total, cumulative = self.low, {"0.25": self.low}
        for edge, count in zip(EDGES[1:], self.counts, strict=True):
            total += count
            cumulative[str(edge)] = total
        return {**cumulative, "+Inf": total + self.above}


def canary(name: str = "cam-1", **changes) -> Node:
    return Node(name, "canary", "v2", **changes)


def control(name: str = "cam-2", **changes) -> Node:
    return Node(name, "fleet", "v1", **changes)


FLEET = (canary(), control("cam-2"), control("cam-3"))


def answers(nodes: Iterable[Node], at: datetime = START) -> tuple[Samples | None, Samples | None, Samples | None]:
    """The three answers (buckets, frames, coverage) in which a Prometheus would speak of these nodes."""
    time, nodes = at.timestamp(), tuple(nodes)
    buckets = [
        ({**node.identity(), "le": le}, ((time, value),)) for node in nodes for le, value in node.histogram().items()
    ]
    frames = [(node.identity(), ((time, node.frames),)) for node in nodes]
    coverage = [(node.identity(), ((time, 20 * node.coverage),)) for node in nodes]
    return tuple(Samples(tuple(series)) if series else None for series in (buckets, frames, coverage))


def table(*nodes: Node, of: Plan | None = None) -> Table:
    return read((of or plan()).sides, *answers(nodes))


def evidence(of: Plan, now: datetime, *looks: Iterable[Node], checks: tuple[Outcome, ...] = (), **rest) -> Evidence:
    """The newest looks at `now`, oldest first; one set of nodes stands for all of them."""
    newest = of.newest_look(now)
    if newest < of.first_look:
        return Evidence()
    numbers = range(max(of.first_look, newest - 2), newest + 1)
    sets = looks if len(looks) > 1 else looks * len(numbers)
    made = (Look(n, of.look_time(n), table(*nodes, of=of)) for n, nodes in zip(numbers, sets, strict=True))
    return Evidence(tuple(made) if looks else (), checks, **rest)


def seen(nodes: Iterable[Node], ago: timedelta = timedelta(0), until: datetime = START) -> Samples | None:
    """The answer that says when there were figures of these nodes for the first time, or for the last."""
    moment = (until - ago).timestamp()
    series = tuple((node.identity(), ((until.timestamp(), moment),)) for node in nodes)
    return Samples(series) if series else None


def running(nodes: Iterable[Node]) -> Result:
    """The answer that says which backend the nodes run, as their labels have it."""
    numbers = Counter(
        tuple((key, node.identity().get(key, "")) for key in ("group", "version", "backend")) for node in nodes
    )
    series = tuple(
        ({key: value for key, value in labels if value}, ((START.timestamp(), float(number)),))
        for labels, number in numbers.items()
    )
    return Samples(series) if series else NoData()


class Recorded:
    """A provider that answers each of the gate's queries with the same fleet, and keeps what it was asked."""

    def __init__(self, nodes: Collection[Node] = FLEET, checks: Mapping[str, Result] | None = None) -> None:
        self.buckets, self.frames, self.coverage = answers(nodes)
        self.checks = checks or {}
        self.known: Result = NoData()
        self.backends: Result = running(nodes)
        before = [replace(node, version="v1") for node in nodes]
        self.first, self.last = seen(before, DAY) or NoData(), seen(before) or NoData()
        self.asked: list[tuple[str, datetime]] = []
        self.ranges: list[tuple[str, datetime, datetime, timedelta]] = []
        self.down: ProviderDown | None = None

    async def instant(self, query: str, at: datetime) -> Result:
        self.asked.append((query, at))
        if self.down is not None:
            return self.down
        if query.startswith("count by (namespace"):
            return self.known
        if "timestamp(" in query:
            return self.first if query.startswith("min") else self.last
        if "model_info" in query:
            return self.backends
        kinds = (("confidence_bucket", self.buckets), ("count_over_time", self.coverage), ("frames_total", self.frames))
        return next(found for part, found in kinds if part in query) or NoData()

    async def range(self, query: str, start: datetime, end: datetime, step: timedelta) -> Result:
        self.ranges.append((query, start, end, step))
        return self.down or self.checks[query]
