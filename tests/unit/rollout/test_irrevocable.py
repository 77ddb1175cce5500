"""Which decisions need the Rollout as the API server has it now: those that can't be taken back, and no others."""

import pytest

from modelfleet.decision import Apply
from modelfleet.gate import Verdict
from unit.rollout import builders, simulation
from unit.rollout.simulation import World, fleet, installed, said


@pytest.fixture
def decided(monkeypatch):
    """What was decided: (needs the newest, what was announced, kinds applied)."""
    found = []

    def spy(snapshot, now):
        decision = real(snapshot, now)
        kinds = {action.manifest["kind"] for action in decision.actions if isinstance(action, Apply)}
        found.append((decision.needs_newest, [each.reason for each in decision.announcements], kinds))
        return decision

    real = simulation.decide
    monkeypatch.setattr(simulation, "decide", spy)
    return found


def announced(decided, newest):
    return [reason for needs_newest, reasons, _ in decided if needs_newest is newest for reason in reasons]


def test_each_step_to_more_machines_and_the_promotion(decided):
    world = fleet()
    world.run(lambda: world.is_at("v1"))
    assert announced(decided, newest=True) == [
        "RolloutStarted",
        "GatePassed",
        "GroupAdvanced",
        "GatePassed",
        "Installed",
    ]
    assert announced(decided, newest=False) == []
    assert all(needs_newest for needs_newest, _, kinds in decided if "DaemonSet" in kinds)


def test_a_quarantine(decided):
    world: World = installed()
    decided.clear()
    world.judge = lambda plan, now: said(plan, now, Verdict.FAIL)
    world.choose("v2")
    world.run(lambda: world.reason("Stalled") == "RolledBack")
    assert "GateFailed" in announced(decided, newest=True)


def test_each_node_that_leaves_a_removed_group(decided):
    world = installed()
    decided.clear()
    world.spec(groups=[builders.group("canary"), builders.group("fleet") | {"name": "rest"}])
    world.rest(20)
    assert len(world.running) == 4
    assert len([needs_newest for needs_newest, _, _ in decided if needs_newest]) >= 4, "three nodes, and the DaemonSet"


def test_neither_waiting_nor_showing_nor_going_back(decided):
    world = installed()
    decided.clear()
    world.choose("v2")
    world.run(lambda: "v2" in world.versions)
    world.rest(1)
    world.annotate("abort", "v2")
    world.run(lambda: world.reason("Stalled") == "RolledBack")
    needed = sum(needs_newest for needs_newest, _, _ in decided)
    assert needed == 2  # v2 goes into the canary group; v2 is quarantined
    assert len(decided) > 4
