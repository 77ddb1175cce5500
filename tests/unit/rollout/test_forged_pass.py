"""A Pass moves a version on, and a soak holds it back: neither is taken from the status, the ControllerRevision says
both."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from modelfleet.gate import Judgement, Plan, Verdict
from modelfleet.kinds import CONTROLLER_REVISION, ROLLOUT
from unit.rollout import builders
from unit.rollout.builders import wire
from unit.rollout.simulation import World, installed, said

MARK = "modelfleet.dev/gate-passed"
QUICK = {"soak": "1m", "interval": "20s", "timeout": "10m"}
MANUAL = [builders.group("canary", approval="Manual"), builders.group("fleet")]


def undecided(plan: Plan, now: object) -> Judgement:
    return said(plan, now, Verdict.INCONCLUSIVE, "not yet")  # type: ignore[arg-type]


def marks(world: World) -> list[str]:
    """What the ControllerRevisions say of gates that were passed."""
    notes = [raw["metadata"].get("annotations") or {} for raw in world.store.list(CONTROLLER_REVISION)]
    return [each[MARK] for each in notes if MARK in each]


def soaking(**spec: object) -> World:
    """v2 is in the canary group, and its gate comes to nothing."""
    world = installed(gate=QUICK)
    world.judge = undecided
    world.spec(**spec)
    world.choose("v2")
    world.run(lambda: world.phase == "Soaking" and (world.status.get("gate") or {}).get("verdict") is not None)
    return world


def waiting() -> World:
    """v2 has passed its gate on the canary group, and awaits approval; later looks come to nothing."""
    world = soaking(groups=MANUAL)
    world.judge = lambda plan, now: said(plan, now, Verdict.PASS)
    world.run(lambda: world.phase == "WaitingForApproval")
    world.judge = undecided
    world.rest()
    assert world.phase == "WaitingForApproval"
    return world


def passes(gate: dict[str, object]) -> None:
    gate.update(verdict="Pass", message="all is well")


def passes_long_ago(gate: dict[str, object]) -> None:
    gate.update(verdict="Pass", startedAt="2020-01-01T00:00:00Z")


@pytest.mark.parametrize("forge", [passes, passes_long_ago])
def test_a_pass_that_somebody_wrote_into_the_status_is_none(forge: Callable[[object], None]) -> None:
    world = soaking()
    world.edit(ROLLOUT, "line", lambda obj: forge(obj["status"]["gate"]))
    world.rest(3)
    assert world.status["gate"]["verdict"] != "Pass"
    assert world.status["currentGroup"] == "canary"
    assert {node for node, version in world.running.items() if version == "v2"} == {"canary-0"}
    assert marks(world) == []


def test_a_pass_is_kept_while_the_version_waits_and_the_mark_goes_with_the_move() -> None:
    world = waiting()
    assert marks(world) == [f"canary {world.status['gate']['startedAt']}"]
    world.annotate("approve", "v2")
    world.run(lambda: world.status.get("currentGroup") == "fleet")
    assert marks(world) == []


def test_a_gate_that_passes_and_goes_on_at_once_leaves_no_mark() -> None:
    world = soaking()
    seen: list[str] = []
    world.after_write = lambda: seen.extend(marks(world))
    world.judge = lambda plan, now: said(plan, now, Verdict.PASS)
    world.run(lambda: world.is_at("v2"))
    assert seen == []


@pytest.mark.parametrize("verdict", [Verdict.NO_DATA, Verdict.PROVIDER_DOWN])
def test_a_pass_that_gave_way_does_not_come_back_by_an_old_status(verdict: Verdict) -> None:
    world = waiting()
    old = dict(world.status["gate"])
    world.judge = lambda plan, now: said(plan, now, verdict)
    world.run(lambda: world.phase == "Holding")
    assert marks(world) == []
    world.judge = undecided
    world.edit(ROLLOUT, "line", lambda obj: obj["status"].update(gate=old))
    world.annotate("approve", "v2")
    world.rest(3)
    assert world.status["currentGroup"] == "canary"


def test_a_gate_that_starts_again_after_a_wiped_status_has_not_passed() -> None:
    world = waiting()
    world.wipe_status()
    world.annotate("approve", "v2")
    world.rest(3)
    assert world.status["gate"]["verdict"] == "Inconclusive"
    assert world.status["currentGroup"] == "canary"
    assert marks(world) == []
    world.judge = lambda plan, now: said(plan, now, Verdict.PASS)
    world.run(lambda: world.status.get("currentGroup") == "fleet")


def test_a_version_that_was_taken_back_has_not_passed_where_it_comes_again() -> None:
    world = waiting()
    old = {key: world.status[key] for key in ("gate", "candidateRevision", "candidateVersion")}
    world.choose("v1")
    world.run(lambda: world.is_at("v1"))
    assert marks(world) == []
    world.choose("v2")
    world.run(lambda: world.running.get("canary-0") == "v2")
    world.edit(ROLLOUT, "line", lambda obj: obj["status"].update(old))
    world.annotate("approve", "v2")
    world.rest(3)
    assert world.status["currentGroup"] == "canary"


# --- the soak ---------------------------------------------------------------------------------------------------------


def write_start(world: World, minutes: int) -> None:
    """Somebody writes another start of the gate into the status."""
    at = wire(world.now + timedelta(minutes=minutes))
    world.edit(ROLLOUT, "line", lambda obj: obj["status"]["gate"].update(startedAt=at))


def soaked(spoil: Callable[[World], None]) -> timedelta:
    """For how long v2 was in the canary group, whose gate has nothing to judge but its soak, while something happens to
    the status all the time."""
    world = installed(gate={"soak": "5m", "interval": "20s", "timeout": "30m"})
    world.choose("v2")
    world.run(lambda: world.phase == "Soaking")
    since = world.now
    for _ in range(100):
        if world.status.get("currentGroup") != "canary":
            break
        if world.status.get("gate"):
            spoil(world)
        world.tick()
        world.operate()
    return world.now - since


@pytest.mark.parametrize(
    "spoil",
    [
        lambda world: write_start(world, -60),
        lambda world: write_start(world, 60),
        lambda world: write_start(world, 0),
        lambda world: world.wipe_status(),
        lambda world: world.edit(ROLLOUT, "line", lambda obj: obj["status"]["gate"].update(verdict="Fail")),
    ],
)
def test_no_status_makes_a_soak_shorter_or_longer(spoil: Callable[[World], None]) -> None:
    assert soaked(spoil) == soaked(lambda world: None)
