"""What is checked once and not simulated many times: restarts, queries, and how long a look takes."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import numpy as np

from drift.scenarios import Scenario
from drift.simulator import START, Recording, World, simulate
from modelfleet.drift import Before, Hours, Judgement, Plan, judge, observe, pack, unpack
from modelfleet.drift.policy import Policy
from modelfleet.prometheus.results import NoData

LATE = timedelta(minutes=6)  # after the end of an hour: then its figures can be asked for


def plan_of(world: World, policy: Policy, nodes: int | None = None) -> Plan:
    """The watch over a simulated fleet."""
    strata = world.strata if policy.stratify_by is not None else {}
    return Plan("demo", "line", "revision", "v1", START - timedelta(minutes=30), policy=policy, strata=strata)


def course(recording: Recording, policy: Policy, forgetful: bool) -> list[Judgement]:
    """The real judgements, hour by hour, from the hours that the operator has at each. `forgetful`: it restarts before
    each look, and its status is wiped; only the baseline kept on the revision is left."""
    plan = plan_of(recording.world, policy)
    hours = recording.table()
    found: list[Judgement] = []
    anchor, kept, before = None, "", Before()
    for hour in range(1, hours.hours + 1):
        now = START + hour * hours.part + LATE
        known = Hours(hours.nodes, hours.start, hours.part, hours.counts[:, :hour])
        known = known.since(plan.first(known.end) - hours.part)
        if forgetful:
            anchor, before = unpack(kept) if kept else None, Before()
        judgement = judge(plan, known, anchor, before, now)
        if judgement.anchor is not None and judgement.anchor is not anchor:
            kept = pack(judgement.anchor)
        anchor, before = judgement.anchor, Before(judgement.declared, judgement.state, judgement.since)
        found.append(judgement)
    return found


def restarts(scenarios: tuple[Scenario, ...], seed: int) -> tuple[int, int]:
    """Looks, and how many of them found another state, or other nodes down, where the operator restarts at each."""
    looks = differ = 0
    for scenario in scenarios:
        recording = simulate(scenario.world, scenario.change, scenario.onset, seed)
        steady, restarted = (course(recording, scenario.policy, forgetful) for forgetful in (False, True))
        looks += len(steady)
        differ += sum(
            (a.state, a.nodes, a.nodes_down, a.signals) != (b.state, b.nodes, b.nodes_down, b.signals)
            for a, b in zip(steady, restarted, strict=True)
        )
    return looks, differ


def seconds_of_a_look(nodes: int) -> float:
    """Processor time of one look at a large fleet, with a complete baseline and all the hours that are kept."""
    world, policy = World(nodes=nodes), Policy()
    random = np.random.default_rng(1)
    total = random.integers(50, 200, (nodes, policy.parts)).astype(np.float32)
    ones = random.uniform(0.68, 0.72, total.shape), np.ones(total.shape), random.uniform(0.2, 0.25, total.shape)
    nobody = np.full_like(total, np.nan)
    columns = [*(each * total for each in ones), np.full_like(total, 1200), total, nobody]
    counts = np.stack(columns, axis=2).astype(np.float32)
    plan = plan_of(world, policy)
    hours = Hours(world.names, START, timedelta(hours=1), counts)
    anchor = judge(plan, hours, None, Before(), hours.end + LATE).anchor
    took = []
    for _ in range(3):
        start = time.process_time()
        judge(plan, hours, anchor, Before(), hours.end + LATE)
        took.append(time.process_time() - start)
    return min(took)


class _Counter:
    """A Prometheus that counts what it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    async def range(self, query: str, start: datetime, end: datetime, step: timedelta) -> NoData:
        self.asked += 1
        return NoData()


def queries_of_a_look() -> int:
    """Queries of a look, when the hours before are known."""
    plan, prometheus = plan_of(World(), Policy()), _Counter()
    now = datetime(2026, 1, 8, 12, 10, tzinfo=UTC)
    known = asyncio.run(observe.extend(prometheus, plan, None, now))
    prometheus.asked = 0
    asyncio.run(observe.extend(prometheus, plan, known, now + plan.policy.part))
    return prometheus.asked
