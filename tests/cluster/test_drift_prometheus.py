"""The watch for drift against a real Prometheus, and a real VictoriaMetrics, that hold twelve days of recorded series.

Recorded once for all tests, a scenario for each Rollout: scraped every four minutes for twelve days, with a change
after nine. Most differ from "drifts" or "steady" in one thing that must not matter, or must be seen.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from math import inf
from pathlib import Path

import numpy as np
import pytest

from modelfleet import drift
from modelfleet.drift import Before, Hours, Judgement, Plan, Policy, State
from modelfleet.drift.hours import ALL, EMPTY, FRAMES, LOW, TRUE
from modelfleet.drift.observe import NotAnswered
from modelfleet.prometheus import Client
from worlds.recording import EQUAL, START, TIMID, Node, Prometheus, Recording, serve_recording

pytestmark = pytest.mark.cluster

DAY = 86_400.0
LENGTH = timedelta(days=12)
ONSET = 9 * DAY
WEIGHTS = tuple(0.4 + 0.06 * k for k in range(10))
GAP = (10.5 * DAY, 10.5 * DAY + 30 * 3600)
NOW = START + LENGTH


def node(name: str, **changes) -> Node:
    return Node(name, "fleet", "v1", **{"every": 240, "born": -240, "rate": 0.05, "per_frame": 4.0, **changes})


def day_and_night(second: float) -> float:
    return 1.0 + 0.8 * float(np.sin(2 * np.pi * second / DAY))


def nodes(count: int = 3, **changes) -> tuple[Node, ...]:
    return tuple(node(f"n{number}", light=day_and_night, **changes) for number in range(count))


LATER = {"later": (ONSET, TIMID)}
TWICE = ({"job": "a"}, {"job": "b"})

ROLLOUTS = {
    "steady": nodes(),
    "drifts": nodes(**LATER),
    "half-the-traffic": tuple(
        replace(each, light=lambda second: day_and_night(second) * (1.0 if second < ONSET - 2 * DAY else 0.4))
        for each in nodes()
    ),
    "one-camera": (*nodes(3), node("n3", **LATER)),
    "of-one": nodes(1, **LATER),
    "restarts": nodes(restarts=tuple(np.arange(1, 12, 0.3) * DAY), **LATER),
    "pod-restarts": nodes(new_pods=tuple(np.arange(1, 12, 0.7) * DAY), **LATER),
    "steady-restarts": nodes(restarts=tuple(np.arange(1, 12, 0.3) * DAY)),
    "gap": nodes(scraped=lambda second: not GAP[0] <= second < GAP[1], **LATER),
    "steady-gap": nodes(scraped=lambda second: not GAP[0] <= second < GAP[1]),
    "nights-off": nodes(scraped=lambda second: second % DAY > 0.45 * DAY, **LATER),
    "scraped-twice": nodes(copies=TWICE, **LATER),
    "two-replicas": nodes(copies=({"replica": "0"}, {"replica": "1"}), **LATER),
    "renamed-node": tuple(replace(each, labels={"node": "ip", "exported_node": each.name}) for each in nodes(**LATER)),
    "no-node-label": nodes(labels={"node": ""}, **LATER),
    "not-a-number": (*nodes(**LATER), node("bad", broken=DAY)),
    "infinite": (*nodes(**LATER), node("bad", broken=DAY, value=inf)),
    "other-buckets": (*nodes(2), *(node(f"o{n}", mix=(0.1, 0.4, 0.5, 0)) for n in range(2))),
    "rarely-scraped": nodes(scraped=lambda second: second % 3600 < 1500),
    "another-version": (*nodes(), *(Node(n.name, "fleet", "v0", every=240, born=-240, mix=TIMID) for n in nodes())),
    "promoted-later": (
        *(replace(each, version="v0", died=DAY) for each in nodes()),
        *(replace(each, born=DAY, later=(ONSET, TIMID)) for each in nodes()),
    ),
    "joins-and-leaves": (*nodes(**LATER), node("joins", born=8 * DAY), node("leaves", died=5 * DAY)),
    "sees-nothing": nodes(mix=(0.0,) * 12),
    "silent": nodes(died=10.5 * DAY),
}


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return Recording(ROLLOUTS, LENGTH, Path(__file__), tmp_path_factory.mktemp("recording"))


@pytest.fixture(scope="module", params=["cluster", "victoria-metrics"])
def prometheus(
    request: pytest.FixtureRequest, recording: Recording, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    with serve_recording(request.param, recording, tmp_path_factory.mktemp("drift")) as running:
        yield running


def plan_of(rollout: str, **changes) -> Plan:
    given = {"begins": START, "weights": WEIGHTS, "policy": Policy(), **changes}
    return Plan("factory", rollout, f"{rollout}-abc", "v1", **given)


async def gather(prometheus: Prometheus, plan: Plan, known: Hours | None = None, now=NOW) -> Hours | None:
    async with Client(prometheus.url) as client:
        return await drift.observe.extend(client, plan, known, now)


async def judged(prometheus: Prometheus, rollout: str, now=NOW, **changes) -> Judgement:
    plan = plan_of(rollout, **changes)
    hours = await gather(prometheus, plan, now=now)
    return drift.judge(plan, hours, None, Before(), now)


@pytest.mark.parametrize(
    ("rollout", "state"),
    [
        ("steady", "Steady"),
        ("drifts", "Drifting"),
        ("half-the-traffic", "FewerObjects"),
        ("one-camera", "Steady"),
        ("of-one", "Drifting"),
        ("restarts", "Drifting"),
        ("pod-restarts", "Drifting"),
        ("steady-restarts", "Steady"),
        ("gap", "Drifting"),
        ("steady-gap", "Steady"),
        ("nights-off", "Drifting"),
        ("scraped-twice", "Drifting"),
        ("two-replicas", "Drifting"),
        ("renamed-node", "Drifting"),
        ("no-node-label", "Learning"),
        ("not-a-number", "Drifting"),
        ("infinite", "Drifting"),
        ("other-buckets", "Steady"),
        ("rarely-scraped", "Learning"),
        ("another-version", "Steady"),
        ("promoted-later", "Drifting"),
        ("joins-and-leaves", "Drifting"),
        ("sees-nothing", "Learning"),
        ("silent", "Paused"),
        ("of-nobody", "Learning"),
    ],
)
async def test_states(prometheus: Prometheus, rollout: str, state: str) -> None:
    found = await judged(prometheus, rollout)
    assert found.state == state, found.message


async def test_an_hour_has_what_was_counted(prometheus: Prometheus) -> None:
    """Against the mixes and rates that were recorded."""
    hours = await gather(prometheus, plan_of("steady"))
    assert hours is not None
    assert (hours.nodes, hours.hours) == (("n0", "n1", "n2"), 11 * 24)
    total = np.nansum(hours.counts, axis=(0, 1))
    mix = np.array(EQUAL[1:-1])
    known = np.isfinite(hours.counts[:, :, FRAMES]).sum()
    assert total[FRAMES] == pytest.approx(0.05 * 3600 * known, rel=0.01)
    assert total[TRUE] / total[ALL] == pytest.approx(float(mix @ WEIGHTS / mix.sum()), abs=0.006)
    assert total[LOW] / total[ALL] == pytest.approx(float(mix[:3].sum() / mix.sum()), abs=0.006)
    assert 0 < total[EMPTY] < total[FRAMES]


@pytest.mark.parametrize("rollout", ["drifts", "gap", "restarts", "joins-and-leaves"])
async def test_hour_by_hour_and_after_a_restart_the_same(prometheus: Prometheus, rollout: str) -> None:
    plan = plan_of(rollout)
    known = None
    for hours in range(252, 288, 7):
        known = await gather(prometheus, plan, known, START + timedelta(hours=hours, minutes=6))
    at_once = await gather(prometheus, plan, None, START + timedelta(hours=287, minutes=6))
    now = START + timedelta(hours=287, minutes=6)
    one, other = (drift.judge(plan, table, None, Before(), now) for table in (known, at_once))
    assert one.message == other.message
    assert (one.state, one.since, one.nodes_down) == (other.state, other.since, other.nodes_down)


async def test_a_part_whose_late_scrapes_are_not_in_yet_is_not_asked_for(prometheus: Prometheus) -> None:
    plan = plan_of("drifts")
    early = await gather(prometheus, plan, now=START + timedelta(days=10, minutes=4))
    late = await gather(prometheus, plan, now=START + timedelta(days=10, minutes=5))
    assert early is not None
    assert late is not None
    assert late.end - early.end == timedelta(hours=1)


async def test_a_node_set_aside_is_counted_in_the_message(prometheus: Prometheus) -> None:
    found = await judged(prometheus, "other-buckets")
    assert "2 nodes with figures that can't be used" in found.message


async def test_retention_of_three_days_is_said_and_the_anchor_goes_on(prometheus: Prometheus) -> None:
    plan = plan_of("drifts")
    first = await judged(prometheus, "drifts", now=START + timedelta(days=8))
    assert first.anchor is not None
    hours = await gather(prometheus, plan)
    assert hours is not None
    short = hours.since(NOW - timedelta(days=3))
    assert drift.judge(plan, short, None, Before(), NOW).state is State.LEARNING
    found = drift.judge(plan, short, first.anchor, Before(), NOW)
    assert found.state is State.DRIFTING
    assert found.baseline_from == first.anchor.begins


async def test_while_prometheus_is_away_it_is_paused_and_goes_on_afterwards(prometheus: Prometheus) -> None:
    plan = plan_of("drifts")
    known = await gather(prometheus, plan, now=START + timedelta(days=11))
    prometheus.stop()
    try:
        with pytest.raises(NotAnswered) as failed:
            await gather(prometheus, plan, known)
        found = drift.provider_down(plan, Before(True, "Drifting"), failed.value.down, NOW, None)
        assert (found.state, found.declared) == (State.PAUSED, True)
    finally:
        prometheus.start()
    hours = await gather(prometheus, plan, failed.value.known)
    assert drift.judge(plan, hours, None, Before(), NOW).state is State.DRIFTING


async def test_other_parts_of_a_window(prometheus: Prometheus) -> None:
    """Two days as a window: parts of two hours."""
    policy = Policy(window=timedelta(days=2), baseline=timedelta(days=6), sustain=timedelta(days=1))
    early = await judged(prometheus, "drifts", policy=policy)
    assert early.state in (State.DRIFTING, State.SUSPECTED)
    assert (await judged(prometheus, "steady", policy=policy)).state is State.STEADY
