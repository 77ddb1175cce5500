"""A command acts once, also after the history limit took away the revision on which it was noted."""

import json
from datetime import timedelta
from typing import Any

import pytest

from modelfleet.api.commands import Command, Verb
from modelfleet.gate import Verdict
from modelfleet.kinds import CONTROLLER_REVISION
from modelfleet.rollout import commands
from unit.rollout import builders, positions
from unit.rollout.simulation import World, installed, said

GATE = {"soak": "1m", "interval": "20s", "timeout": "10m"}


class Judged:
    """A fleet on v1 whose gates say Pass, and which of them were asked: (version, group)."""

    def __init__(self, **spec: Any) -> None:
        self.world = installed(gate=GATE, revisionHistoryLimit=1, **spec)
        self.gates: set[tuple[str, str]] = set()
        self.world.judge = lambda plan, now: (
            self.gates.add((plan.candidate_version, plan.group)) or said(plan, now, Verdict.PASS)
        )

    def go_to(self, version: str) -> None:
        self.world.choose(version)
        self.world.run(lambda: self.world.is_at(version))

    def go_on(self) -> None:
        """As many versions later as it takes until there is no revision of v2 any more."""
        for number in range(3, 6):
            self.world.put(builders.model_version(f"v{number}", created=self.world.now + timedelta(hours=number)))
            self.go_to(f"v{number}")
        assert "v2" not in {of["data"]["version"] for of in self.world.store.list(CONTROLLER_REVISION)}


def notes(world: World) -> set[str]:
    """All commands that are noted anywhere."""
    every = (raw["metadata"]["annotations"] for raw in world.store.list(CONTROLLER_REVISION))
    return {key for said in every for key in json.loads(said.get("modelfleet.dev/commands", "{}"))}


def test_an_old_promote_does_not_skip_the_gates_of_a_later_attempt():
    seen = Judged()
    seen.world.annotate("promote", "v2")
    seen.go_to("v2")
    assert seen.gates == set()
    seen.go_on()
    seen.gates.clear()
    seen.go_to("v2")
    assert seen.gates == {("v2", "canary"), ("v2", "fleet")}
    assert seen.world.status.get("promoted", []) == []
    assert "CommandIgnored" not in seen.world.events


def test_an_old_promote_that_git_brings_back_does_not_act_again_either():
    seen = Judged()
    seen.world.annotate("promote", "v2")
    seen.go_to("v2")
    seen.world.annotate("promote", "v9")
    seen.go_on()
    seen.gates.clear()
    seen.world.annotate("promote", "v2")
    seen.go_to("v2")
    assert seen.gates == {("v2", "canary"), ("v2", "fleet")}


def test_an_old_approval_does_not_let_a_later_attempt_leave_a_manual_group():
    seen = Judged()
    seen.world.spec(groups=[builders.group("canary", approval="Manual"), builders.group("fleet")])
    seen.world.rest(1)
    seen.world.annotate("approve", "v2")
    seen.go_to("v2")
    seen.world.spec(groups=[builders.group("canary"), builders.group("fleet")])
    seen.go_on()
    seen.world.spec(groups=[builders.group("canary", approval="Manual"), builders.group("fleet")])
    seen.world.choose("v2")
    seen.world.run(lambda: seen.world.phase == "WaitingForApproval")
    seen.world.rest()
    assert seen.world.phase == "WaitingForApproval"
    assert "modelfleet.dev/approve=v2@2" in seen.world.message(), "the old value is known to be used"


def test_an_old_abort_does_not_hit_a_later_attempt():
    seen = Judged()
    seen.go_to("v2")
    seen.world.annotate("abort", "v2")  # there is nothing to stop
    seen.world.rest(1)
    seen.go_on()
    seen.go_to("v2")


def test_it_is_noted_somewhere_after_every_single_write():
    seen = Judged()
    world = seen.world
    world.annotate("promote", "v2")
    seen.go_to("v2")
    after: list[bool] = []
    world.after_write = lambda: after.append("promote=v2" in notes(world))
    seen.go_on()
    assert after
    assert all(after)


def test_a_new_value_acts_after_the_old_one_was_carried_over():
    seen = Judged()
    seen.world.annotate("promote", "v2")
    seen.go_to("v2")
    seen.go_on()
    seen.gates.clear()
    seen.world.annotate("promote", "v2@2")
    seen.go_to("v2")
    assert seen.gates == set()


def test_what_stands_on_the_rollout_is_not_forgotten_over_another_verb():
    revision = positions.stable()
    promote = Command.parse(Verb.PROMOTE, "v1")
    assert promote is not None
    revision = commands.noted(revision, promote, commands.GATES)
    for number in range(200):
        retry = Command.parse(Verb.RETRY, f"v1@{number}")
        assert retry is not None
        revision = commands.noted(revision, retry, revision.hash)
    assert commands.used([revision], promote)
    assert commands.past_gates(revision)
    assert len(revision.commands) < 50
    assert list(revision.commands)[-1] == "retry=v1@199"


@pytest.mark.parametrize("number", [0, 99])
def test_what_is_carried_over_is_bounded_and_what_stands_on_the_rollout_goes_last(number: int):
    told = {f"promote=v2@{each}": commands.GATES for each in range(100)}
    gone = positions.revision("v2", commands=told)
    kept = positions.stable(commands={"promote=v1": "gates", "retry=v1": "x"})
    given = positions.rollout("v1", metadata={"annotations": {"modelfleet.dev/promote": f"v2@{number}"}})
    (after,) = (r for r in commands.carried_over(given, (kept, gone), [gone]) if r.hash == kept.hash)
    assert after.commands[f"promote=v2@{number}"] == commands.NOWHERE
    assert after.commands["promote=v1"] == "gates", "what counts here still counts"
    assert after.commands["retry=v1"] == "x"
    assert len(after.commands) < 50


def test_where_nothing_was_noted_nothing_is_written():
    kept, gone = positions.stable(), positions.revision("v2")
    assert commands.carried_over(positions.rollout(), (kept, gone), [gone]) == (kept, gone)
    told = positions.revision("v2", commands={"promote=v2": ""})
    same = positions.stable(commands={"promote=v2": ""})
    assert commands.carried_over(positions.rollout(), (same, told), [told]) == (same, told)
