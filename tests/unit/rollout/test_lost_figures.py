"""A Prometheus that forgets: what it does not have at a gate's last look it will never have."""

import asyncio
import re
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from modelfleet import gate
from modelfleet.gate import Judgement, Plan
from modelfleet.prometheus import NoData, ProviderDown, Result, Samples
from unit.gate.builders import FLEET, Recorded
from unit.rollout import builders
from unit.rollout.simulation import World, installed

GATE = {"soak": "5m", "interval": "1m", "timeout": "10m", "comparison": {"minDetections": 100}}
MANUAL = [builders.group("canary", approval="Manual"), builders.group("fleet")]
DAY = timedelta(days=1)


class Forgetful(Recorded):
    """It has figures of the fleet from `since` on, and of no time before."""

    def __init__(self) -> None:
        super().__init__(FLEET)
        self.since = builders.START - DAY

    async def instant(self, query: str, at: datetime) -> Result:
        found = await super().instant(query, at)
        if at <= self.since and self.down is None:
            return NoData()
        window = re.search(r"\)\[([0-9]+)ms:", query)
        if window is None or not isinstance(found, Samples):
            return found
        share = min(1.0, (at - self.since) / timedelta(milliseconds=int(window[1])))
        return Samples(tuple((labels, ((moment, 20 * share),)) for labels, ((moment, _),) in found.series))

    def judge(self, plan: Plan, now: datetime) -> Judgement:
        return gate.judge(plan, asyncio.run(gate.observe.gather(self, plan, now)), now)


class Flapping(Forgetful):
    """Scrapes come and go: three of four arrive of any time, and all of the five minutes that are asked for when a gate
    is over. From `steady` on all do."""

    steady = builders.START + 365 * DAY

    async def instant(self, query: str, at: datetime) -> Result:
        found = await super().instant(query, at)
        window = re.search(r"\)\[([0-9]+)ms:", query)
        if window is None or not isinstance(found, Samples):
            return found
        length = timedelta(milliseconds=int(window[1]))
        if length == timedelta(minutes=5) or at - length >= self.steady:
            return found
        return Samples(tuple((labels, ((moment, 15.0),)) for labels, ((moment, _),) in found.series))


def judged(**spec: object) -> tuple[World, Forgetful]:
    """v2 is judged in the canary group, by what this Prometheus has."""
    world, prometheus = installed(gate=GATE), Forgetful()
    world.judge = prometheus.judge
    world.spec(**spec)
    world.choose("v2")
    world.run(lambda: world.phase == "Soaking")
    return world, prometheus


def later(world: World, time: timedelta) -> None:
    """Much time passes, in which nothing but the gate is looked at."""
    world.now += time
    world.rest(12)


@pytest.mark.parametrize("restart", [False, True], ids=["at once", "after it was away for a while"])
def test_a_version_that_waits_goes_on_though_its_figures_were_lost_meanwhile(restart: bool) -> None:
    """Friday's Pass waits for somebody's approval; on Saturday Prometheus starts anew, with an empty disk."""
    world, prometheus = judged(groups=MANUAL)
    world.run(lambda: world.phase == "WaitingForApproval")
    later(world, DAY)
    assert world.phase == "WaitingForApproval"
    if restart:
        prometheus.down = ProviderDown("connection refused")
        world.run(lambda: world.phase == "Holding")
        prometheus.down = None
    prometheus.since = world.now
    world.run(lambda: world.phase == "Holding")
    world.run(lambda: world.phase == "WaitingForApproval")
    assert world.running["fleet-0"] == "v1"
    world.annotate("approve", "v2")
    world.run(lambda: world.status.get("currentGroup") == "fleet")


def test_figures_that_came_too_late_for_a_gate_are_judged_by_the_next() -> None:
    """The pods were scraped only after the gate had given up."""
    world, prometheus = judged()
    prometheus.since = world.now + DAY
    world.run(lambda: world.phase == "Holding")
    since = world.status["gate"]["since"]
    later(world, DAY / 2)
    assert (world.phase, world.status["gate"]["since"]) == ("Holding", since), "nothing flaps while there is nothing"
    assert world.events.count("GateHeld") == 1
    later(world, DAY)
    world.run(lambda: world.status.get("currentGroup") == "fleet")
    [resumed] = [each.message for each in world.announced if each.reason == "GateResumed"]
    assert resumed.startswith(
        "v2 on group canary is judged anew: until the last look there was nothing to go by, and now there is "
        "(1 of at most 3 times). v2 on group canary can't be judged: "
    )
    assert "v2 on group canary is no worse than v1" in world.status["groups"][0]["passed"]


def test_what_is_worse_is_found_to_be_so_by_the_next_gate() -> None:
    world, prometheus = judged()
    prometheus.since = world.now + DAY
    world.run(lambda: world.phase == "Holding")
    bad = Recorded([replace(node, counts=(0,) * 10) if node.group == "canary" else node for node in FLEET])
    prometheus.buckets, prometheus.frames = bad.buckets, bad.frames
    later(world, 2 * DAY)
    world.run(lambda: world.reason("Stalled") == "RolledBack")


def test_where_the_policy_is_to_go_back_without_figures_no_other_gate_begins() -> None:
    world, prometheus = judged(gate={**GATE, "onNoData": "Rollback"})
    prometheus.since = world.now + timedelta(minutes=11)
    world.run(lambda: world.reason("Stalled") == "RolledBack")
    assert "NoData" in world.status["quarantined"][0]["reason"]


def test_a_killed_operator_begins_the_same_gate_again() -> None:
    world, prometheus = judged()
    prometheus.since = world.now + DAY
    world.run(lambda: world.phase == "Holding")
    later(world, 2 * DAY)
    world.wipe_status()
    world.run(lambda: world.status.get("currentGroup") == "fleet")


def flapping(**spec: object) -> tuple[World, Flapping]:
    """v2 is judged in the canary group, whose nodes are scraped three times of four."""
    world, prometheus = installed(gate=GATE), Flapping()
    world.judge = prometheus.judge
    world.spec(**spec)
    world.choose("v2")
    world.run(lambda: world.phase == "Soaking")
    return world, prometheus


def resumed(world: World) -> list[str]:
    return [each.message for each in world.announced if each.reason == "GateResumed" and "judged anew" in each.message]


def test_a_gate_does_not_begin_again_for_ever_where_figures_come_and_go() -> None:
    world, prometheus = flapping()
    world.run(lambda: world.reason("Stalled") == "GateTimedOut")
    assert [("1 of" in said, "2 of" in said, "3 of" in said) for said in resumed(world)] == [
        (True, False, False),
        (False, True, False),
        (False, False, True),
    ]
    assert all("scraped less than 80% of the time" in said for said in resumed(world)), "each says why"
    assert world.running["fleet-0"] == "v1", "nothing is promoted by what was not seen"
    prometheus.steady = world.now
    later(world, DAY)
    assert world.phase == "Paused", "somebody is asked, and it does not begin by itself"
    assert world.events.count("GateTimedOut") == 1
    message = world.message("Stalled")
    for word in (
        "modelfleet.dev/abort=v2",
        "modelfleet.dev/retry=v2",
        "modelfleet.dev/promote=v2",
        "scraped less than",
    ):
        assert word in message


def test_a_gate_that_began_again_says_so_with_each_look_and_needs_a_whole_soak() -> None:
    world, prometheus = flapping()
    world.run(lambda: len(resumed(world)) == 1)
    begun, said = world.now, "Judged anew (1 of at most 3 times), since the gate before ended so: v2 on group canary"
    assert said in world.message("Ready")
    prometheus.steady = world.now
    world.run(lambda: world.status["gate"].get("looks", 0) >= 2)
    assert said in world.status["gate"]["message"]
    world.wipe_status()
    world.run(lambda: world.status.get("gate", {}).get("message"))
    assert said in world.status["gate"]["message"], "it outlives the status"
    world.run(lambda: world.status.get("currentGroup") == "fleet")
    assert world.now - begun >= timedelta(minutes=5)


def test_whoever_starts_over_after_it_was_asked_has_all_gates_again() -> None:
    world, prometheus = flapping()
    world.run(lambda: world.reason("Stalled") == "GateTimedOut")
    prometheus.steady = world.now
    world.annotate("abort", "v2")
    world.run(lambda: world.phase == "RolledBack")
    world.annotate("retry", "v2")
    world.run(lambda: world.status.get("currentGroup") == "fleet")
    assert "Judged anew" not in world.status["groups"][0]["passed"]


def test_a_pass_counts_as_an_answer() -> None:
    """Figures that are lost once in a month, while a version waits, use nothing up."""
    world, prometheus = judged(groups=MANUAL)
    for _ in range(5):
        world.run(lambda: world.phase == "WaitingForApproval")
        later(world, DAY)
        prometheus.since = world.now
        world.run(lambda: world.phase == "Holding")
    world.run(lambda: world.phase == "WaitingForApproval")
