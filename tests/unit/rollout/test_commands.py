"""Commands: what they do, on which version, and that each acts once."""

import json

from modelfleet.gate import Verdict
from modelfleet.kinds import CONTROLLER_REVISION
from unit.rollout import builders
from unit.rollout.simulation import World, fleet, installed, said


def manual(*names: str) -> tuple[builders.Json, ...]:
    return tuple(
        builders.group(name, **({"approval": "Manual"} if name in names else {})) for name in ("canary", "fleet")
    )


def installed_manual(*names: str) -> World:
    """v1 installed, and from now on these groups ask."""
    world = installed()
    world.spec(groups=list(manual(*names)))
    world.rest(1)
    return world


def asked(world: World) -> bool:
    return world.phase == "WaitingForApproval"


def test_a_manual_group_is_left_when_somebody_approves():
    world = installed_manual("canary")
    world.choose("v2")
    world.run(lambda: asked(world))
    assert "modelfleet.dev/approve=v2" in world.message()
    assert world.reason("Reconciling") == "WaitingForApproval"
    world.rest()
    assert world.running["fleet-0"] == "v1"
    world.annotate("approve", "v2")
    world.run(lambda: world.status.get("currentGroup") == "fleet", limit=3)
    assert world.status["approved"] == ["v2"]
    world.run(lambda: world.is_at("v2"))
    assert "WaitingForApproval" in world.events


def test_a_message_says_the_annotation_so_that_flux_leaves_it_and_an_older_value_is_no_obstacle():
    world = installed_manual("canary", "fleet")
    world.choose("v2")
    world.run(lambda: asked(world))
    assert "annotate with modelfleet.dev/approve=v2 --overwrite --field-manager=modelfleet-cli." in world.message()
    world.annotate("approve", "v2")
    world.run(lambda: world.running.get("fleet-0") == "v2")
    world.run(lambda: asked(world))
    hint = "annotate with modelfleet.dev/approve=v2@2 --overwrite --field-manager=modelfleet-cli."
    assert hint in world.message()


def test_approval_may_be_given_in_advance():
    world = installed_manual("canary")
    world.choose("v2")
    world.annotate("approve", "v2")
    world.run(lambda: world.is_at("v2"))
    assert "WaitingForApproval" not in world.events


def test_approval_of_one_version_does_not_count_for_another():
    world = installed_manual("canary")
    world.annotate("approve", "v1")
    world.choose("v2")
    world.run(lambda: asked(world))
    world.rest()
    assert asked(world)


def test_each_manual_group_is_approved_by_itself():
    world = installed_manual("canary", "fleet")
    world.choose("v2")
    world.run(lambda: asked(world))
    world.annotate("approve", "v2")
    world.run(lambda: world.running.get("fleet-0") == "v2")
    world.run(lambda: asked(world))
    assert "modelfleet.dev/approve=v2@2" in world.message(), "the same word once more needs a number"
    world.rest()
    assert asked(world)
    world.annotate("approve", "v2@2")
    world.run(lambda: world.is_at("v2"))


def test_an_old_approval_in_git_does_not_count_for_a_new_template():
    world = installed_manual("canary")
    world.choose("v2")
    world.annotate("approve", "v2")
    world.run(lambda: world.is_at("v2"))
    world.spec(template=builders.template("app:2"))
    world.run(lambda: asked(world))
    world.wipe_status()
    world.run(lambda: asked(world))
    world.rest()
    assert asked(world), "nor after the status was lost"


def test_abort_goes_back_and_quarantines():
    world = installed()
    world.choose("v2")
    world.run(lambda: world.running.get("canary-0") == "v2")
    world.annotate("abort", "v2")
    world.run(lambda: world.reason("Stalled") == "RolledBack" and world.versions == {"v1"}, limit=10)
    assert world.status["history"][0]["result"] == "Aborted"
    assert world.status["quarantined"][0]["version"] == "v2"
    assert world.events[-1] == "Aborted"


def test_abort_of_another_version_does_nothing():
    world = installed()
    world.annotate("abort", "v9")
    world.choose("v2")
    world.run(lambda: world.is_at("v2"))


def test_an_abort_of_what_is_stable_is_told_to_be_without_effect_and_never_hits_a_later_attempt():
    world = installed()
    world.annotate("abort", "v1")
    world.rest(1)
    assert world.is_at("v1")
    assert world.events[-1] == "CommandIgnored"
    world.spec(template=builders.template("app:2"))
    world.run(lambda: world.is_at("v1") and len(world.status["history"]) == 2)


def test_promote_passes_the_remaining_gates_and_approvals():
    world = installed_manual("canary", "fleet")
    world.judge = lambda plan, now: said(plan, now, Verdict.PROVIDER_DOWN, "down")
    world.choose("v2")
    world.run(lambda: world.phase == "Holding")
    world.annotate("promote", "v2")
    world.run(lambda: world.is_at("v2"), limit=30)
    assert "annotation" in world.status["history"][0]["message"]


def test_promote_still_waits_for_nodes_windows_and_pauses():
    world = installed()
    world.annotate("promote", "v2")
    world.spec(paused=True)
    world.choose("v2")
    world.rest()
    assert world.versions == {"v1"}
    world.broken.add("v2")
    world.spec(paused=False)
    world.rest()
    assert world.running.get("fleet-0") == "v1"
    world.broken.clear()
    world.run(lambda: world.is_at("v2"), limit=30)


def test_an_old_promote_does_not_let_a_new_template_pass():
    world = installed()
    world.annotate("promote", "v2")
    world.choose("v2")
    world.run(lambda: world.is_at("v2"), limit=30)
    world.judge = lambda plan, now: said(plan, now, Verdict.FAIL, "bad")
    world.spec(template=builders.template("app:2"))
    world.run(lambda: world.reason("Stalled") == "RolledBack")


def test_retry_lifts_a_quarantine_once():
    world = installed()
    bad = lambda plan, now: said(plan, now, Verdict.FAIL, "bad")  # noqa: E731
    world.judge = bad
    world.choose("v2")
    world.run(lambda: world.reason("Stalled") == "RolledBack")
    assert "modelfleet.dev/retry=v2" in world.message()
    world.annotate("retry", "v2@1")
    world.operate()
    assert world.status["currentGroup"] == "canary"
    assert world.status["retried"] == ["v2@1"]
    assert world.status.get("quarantined", []) == []
    world.run(lambda: world.reason("Stalled") == "RolledBack")
    world.rest()
    world.wipe_status()
    world.rest()
    assert world.reason("Stalled") == "RolledBack", "the same word does not count twice"
    world.judge = lambda plan, now: None
    world.annotate("retry", "v2@2")
    world.run(lambda: world.is_at("v2"))


def test_retry_asks_for_approval_anew():
    world = installed_manual("canary")
    world.judge = lambda plan, now: said(plan, now, Verdict.FAIL, "bad") if plan.group == "fleet" else None
    world.choose("v2")
    world.annotate("approve", "v2")
    world.run(lambda: world.reason("Stalled") == "RolledBack")
    world.annotate("retry", "v2@1")
    world.run(lambda: asked(world))


def test_a_command_for_a_version_to_come_waits_for_it():
    world = installed()
    world.annotate("promote", "v3")
    world.rest(2)
    assert "CommandIgnored" not in world.events
    world.put(builders.model_version("v3", created=world.now))
    world.choose("v3")
    world.run(lambda: world.is_at("v3"), limit=30)


def test_what_was_seen_is_noted_on_the_revision():
    world = fleet(annotations={"modelfleet.dev/promote": "v1"})
    world.run(lambda: bool(world.store.list(CONTROLLER_REVISION)))
    notes = world.store.list(CONTROLLER_REVISION)[0]["metadata"]["annotations"]["modelfleet.dev/commands"]
    assert json.loads(notes) == {"promote=v1": "gates"}
    world.run(lambda: world.is_at("v1"))
    notes = world.store.list(CONTROLLER_REVISION)[0]["metadata"]["annotations"]["modelfleet.dev/commands"]
    assert json.loads(notes) == {"promote=v1": ""}, "it was for that rollout alone"
