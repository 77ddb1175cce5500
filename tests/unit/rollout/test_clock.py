"""The operator's clock was ahead and is put right, or the next leader's differs: nothing waits for that time."""

from datetime import timedelta

import pytest

from modelfleet.gate import Verdict
from modelfleet.kinds import CONTROLLER_REVISION, POD
from modelfleet.rollout import revisions as revs
from unit.rollout import builders, positions
from unit.rollout.positions import NOW
from unit.rollout.simulation import World, installed, said

QUICK = {"soak": "1m", "interval": "20s", "timeout": "10m"}
SECOND = timedelta(seconds=1)


def passes(plan, now):
    return said(plan, now, Verdict.PASS if now >= plan.started_at + plan.policy.soak else Verdict.INCONCLUSIVE)


def ahead(by: timedelta) -> World:
    """A fleet at v1, with an operator whose clock is ahead; v3 is there too."""
    world = installed(gate=QUICK)
    world.put(builders.model_version("v3", created=builders.START + timedelta(hours=2)))
    world.judge = passes
    world.now += by
    return world


def put_right(world: World, by: timedelta) -> None:
    """Only the operator was ahead: what the API server and the kubelets wrote was right all along."""
    world.now -= by
    now = builders.wire(world.now)
    for pod in list(world.store.list(POD)):
        world.edit(
            POD,
            pod["metadata"]["name"],
            lambda obj: (
                obj["metadata"].update(creationTimestamp=now),
                obj["status"]["conditions"][0].update(lastTransitionTime=now),
            ),
        )
    for raw in list(world.store.list(CONTROLLER_REVISION)):
        world.edit(
            CONTROLLER_REVISION, raw["metadata"]["name"], lambda obj: obj["metadata"].update(creationTimestamp=now)
        )


@pytest.mark.parametrize("by", [timedelta(minutes=4), timedelta(hours=6)])
def test_a_promotion_counts_after_one_that_was_dated_ahead(by):
    world = ahead(by)
    world.choose("v2")
    world.run(lambda: world.is_at("v2"))
    put_right(world, by)
    world.choose("v3")
    began = world.now
    world.run(lambda: world.is_at("v3"), limit=60)
    assert world.now - began < timedelta(minutes=10)
    writes = world.writes
    world.rest()
    assert world.writes == writes
    assert [entry["version"] for entry in world.status["history"]] == ["v3", "v2", "v1"]


@pytest.mark.parametrize("by", [timedelta(minutes=4), timedelta(hours=6)])
def test_a_gate_that_was_started_ahead_starts_again(by):
    world = ahead(by)
    world.choose("v2")
    world.run(lambda: world.phase == "Soaking")
    put_right(world, by)
    began = world.now
    world.run(lambda: world.is_at("v2"), limit=60)
    assert timedelta(minutes=2) < world.now - began < timedelta(minutes=10), "two soaks, and no more"


def test_a_gate_does_not_start_again_for_a_few_seconds():
    world = ahead(timedelta(seconds=30))
    world.choose("v2")
    world.run(lambda: world.phase == "Soaking")
    started = world.status["gate"]["startedAt"]
    put_right(world, timedelta(seconds=30))
    world.rest(1)
    assert world.status["gate"]["startedAt"] == started


@pytest.mark.parametrize("last", [NOW - timedelta(hours=1), NOW, NOW + timedelta(hours=6)])
def test_promotions_are_in_the_order_in_which_they_were_made(last):
    before, lifted = positions.stable(), positions.failed("v3", promoted_at=last)
    at = revs.promotion_time((before, lifted), NOW)
    assert at == max(NOW, last + SECOND)
    assert revs.promotion_time((), NOW) == NOW


@pytest.mark.parametrize(
    ("lifted", "late"),
    [
        (timedelta(minutes=-1), False),
        (timedelta(minutes=1), False),
        (timedelta(hours=6), True),
        (timedelta(hours=-6), True),
    ],
)
def test_a_quarantine_that_was_lifted_ahead_excuses_no_node_for_hours(lifted, late):
    world = installed(progressDeadline="2m")
    world.broken.add("v2")
    world.choose("v2")
    world.run(lambda: world.reason("Stalled") == "RolledBack")
    world.annotate("retry", "v2@1")
    world.operate()
    raw = next(raw for raw in world.store.list(CONTROLLER_REVISION) if raw["data"]["version"] == "v2")
    world.rest(5)  # the pod is there for less than the deadline
    assert world.phase == "Progressing"
    world.now += timedelta(seconds=100)  # and now for longer
    at = builders.wire(world.now + lifted)
    world.edit(
        CONTROLLER_REVISION,
        raw["metadata"]["name"],
        lambda obj: obj["metadata"]["annotations"].update({revs.RETRIED_AT: at}),
    )
    world.operate()
    assert (world.phase != "Progressing") is late
