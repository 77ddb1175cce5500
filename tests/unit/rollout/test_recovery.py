"""The operator may die after any write, and the status may be lost at any moment: the end is the same."""

from collections.abc import Callable

import pytest

from modelfleet.gate import Verdict
from modelfleet.kinds import ROLLOUT
from unit.rollout import builders
from unit.rollout.simulation import World, fleet, installed, said

QUICK = {"soak": "1m", "interval": "20s", "timeout": "10m"}

Step = tuple[Callable[[World], None], Callable[[World], bool]]
"""Something happens, and then time passes until something is so."""


def fails_v2(world: World) -> None:
    world.judge = lambda plan, now: said(plan, now, Verdict.FAIL, "bad") if plan.candidate_version == "v2" else None
    world.choose("v2")


def cannot_start_v2(world: World) -> None:
    world.broken.add("v2")
    world.spec(progressDeadline="2m")
    world.choose("v2")


def tries_again(world: World) -> None:
    world.judge = lambda plan, now: None
    world.annotate("retry", "v2@1")


def choose(version: str) -> Callable[[World], None]:
    return lambda world: world.choose(version)


def is_at(version: str) -> Callable[[World], bool]:
    return lambda world: world.is_at(version)


def rolled_back(world: World) -> bool:
    return world.reason("Stalled") == "RolledBack" and world.versions == {"v1"} and len(world.running) == 4


def canary_runs_v2(world: World) -> bool:
    return world.running.get("canary-0") == "v2"


STORIES: dict[str, list[Step]] = {
    "upgrade": [(choose("v2"), is_at("v2"))],
    "failure": [(fails_v2, rolled_back)],
    "deadline": [(cannot_start_v2, rolled_back)],
    "abortion": [(choose("v2"), canary_runs_v2), (lambda world: world.annotate("abort", "v2"), rolled_back)],
    "second thoughts": [
        (choose("v2"), canary_runs_v2),
        (
            lambda world: world.spec(template=builders.template("app:2")),
            lambda world: world.status.get("currentGroup") == "fleet",
        ),
        (choose("v1"), is_at("v1")),
    ],
    "retry": [(fails_v2, rolled_back), (tries_again, is_at("v2"))],
}
FLEET_IS_SPARED = {"failure", "deadline", "abortion"}


def go_on(world: World, steps: list[Step], first: int = 0) -> World:
    """Play the steps, in the first of which something has happened already where `first` is 1."""
    for index, (happens, until) in enumerate(steps):
        if index >= first:
            happens(world)
        world.run(lambda until=until: until(world))
    world.rest(3)
    return world


def forks(world: World, steps: list[Step]) -> tuple[World, list[tuple[int, World]]]:
    """Play a story, and give its end, with the world as it was after each write: (steps left, world)."""
    found: list[tuple[int, World]] = []
    for index, (happens, until) in enumerate(steps):
        world.after_write = lambda index=index: found.append((index, world.killed()))
        happens(world)
        world.run(lambda until=until: until(world))
    world.rest(3)
    return world, found


@pytest.mark.parametrize("lost", [False, True], ids=["killed", "killed and status lost"])
@pytest.mark.parametrize("story", STORIES)
def test_after_any_single_write_it_ends_the_same(story, lost):
    undisturbed, moments = forks(installed(gate=QUICK), STORIES[story])
    assert len(moments) > 5
    for count, (index, world) in enumerate(moments):
        if lost:
            world.wipe_status()
        go_on(world, STORIES[story][index:], first=1)
        assert world.end() == undisturbed.end(), f"after write {count + 1} of {len(moments)}"
        if story in FLEET_IS_SPARED:
            assert {node for node, version in world.ran if version == "v2"} <= {"canary-0"}


@pytest.mark.parametrize("lost", [False, True], ids=["killed", "killed and status lost"])
def test_a_first_install_ends_the_same(lost):
    install: list[Step] = [(lambda world: None, is_at("v1"))]
    undisturbed, moments = forks(fleet(gate=QUICK), install)
    for _, world in moments:
        if lost:
            world.wipe_status()
        assert go_on(world, install, first=1).end() == undisturbed.end()


def test_history_can_be_told_again_without_the_status():
    world = go_on(installed(gate=QUICK), STORIES["failure"])
    before = [(entry["version"], entry["result"]) for entry in world.status["history"]]
    world.wipe_status()
    world.rest(1)
    assert [(entry["version"], entry["result"]) for entry in world.status["history"]] == before
    assert world.status["quarantined"][0]["reason"] == "GateFailed: bad"


def test_a_status_that_cannot_be_read_is_built_anew():
    world = installed()
    world.edit(ROLLOUT, "line", lambda obj: obj["status"].update(gate={"looks": 1}))
    world.rest(1)
    assert world.is_at("v1")
    assert world.status.get("gate") is None


def test_a_gate_whose_status_was_lost_goes_on_from_its_start():
    world = installed()
    world.choose("v2")
    world.run(lambda: world.phase == "Soaking")
    world.rest()
    started = world.status["gate"]["startedAt"]
    world.wipe_status()
    plans = []
    world.judge = lambda plan, now: plans.append(plan)
    world.rest(3)
    assert world.status["gate"]["startedAt"] == started
    assert plans
    assert all(plan.past_until <= plan.started_at for plan in plans)
    world.judge = lambda plan, now: None
    world.run(lambda: world.is_at("v2"))
