"""Which commands make sense in which phase, what they say, how they refuse; and the exit codes of status."""

from dataclasses import replace

import pytest

from kubectl_modelfleet import sense
from kubectl_modelfleet.failures import Exit, Refused
from kubectl_modelfleet.outcome import outcome
from kubectl_modelfleet.tree import line
from kubectl_modelfleet.view import RolloutView, Standing, view
from kubectl_modelfleet.wording import UNICODE
from unit.cli.stories import GATE, STORIES, fails, kept, recorded, story, undecided
from unit.rollout import builders
from unit.rollout.simulation import installed

MOVING = {"Progressing", "Soaking", "Holding", "WaitingForApproval", "WaitingForWindow", "Failed"}


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("Pending", 2),
        ("Progressing", 2),
        ("Soaking", 2),
        ("Holding", 2),
        ("WaitingForApproval", 2),
        ("WaitingForWindow", 2),
        ("Paused", 2),
        ("Ready", 0),
        ("Drifting", 0),
        ("Degraded", 1),
        ("RollingBack", 2),
        ("RolledBack", 1),
        ("Failed", 1),
        ("Stalled", 1),
    ],
)
def test_exit_codes_of_status(name: str, code: int):
    found = outcome(story(name).view)
    assert found.exit == code
    assert found.message.startswith("line: ")


def test_what_is_being_deleted_is_not_waited_for():
    """Its generation went up with the deletion, and the operator will not see it: that is not Pending."""
    raw = story("Ready").rollout
    going = {"deletionTimestamp": "2026-05-01T00:00:00Z", "finalizers": ["foregroundDeletion"], "generation": 99}
    shown = view({**raw, "metadata": raw["metadata"] | going})
    found = outcome(shown, "v2")
    assert found.exit is Exit.BAD
    assert found.message == "line: Deleting. It is being deleted, and waits for its finalizers: foregroundDeletion."
    assert line(shown, UNICODE).startswith("line Deleting; ")


def test_status_of_one_version():
    assert outcome(story("Ready").view, "v2").exit is Exit.DONE
    other = outcome(story("Ready").view, "v3")
    assert other.exit is Exit.IN_PROGRESS
    assert "v2 is stable, and v3 is not chosen (spec.model: v2)" in other.message
    failed = outcome(story("RolledBack").view, "v2")
    assert failed.exit is Exit.BAD
    assert "v2 is quarantined. GateFailed: worse by 0.2" in failed.message


def test_a_template_that_failed_says_nothing_of_the_version_with_another_one():
    """Nor does the first install that failed, of the one after it."""
    restored = story("Restored").view
    assert restored.quarantined == ("v1",)
    assert outcome(restored, "v1").exit is Exit.DONE
    with pytest.raises(Refused, match="v1 is stable already"):
        sense.undo(restored, "v1")
    moved = replace(restored, status=restored.status.replace(stable_version="v2"))
    undone = sense.undo(moved, "v1")
    assert undone.version == "v1"
    [failed] = restored.status.quarantined
    assert undone.notes == (
        f"v1 failed with the template of {failed.revision}: where the spec has that one, it is not rolled out before"
        " kubectl modelfleet retry line v1.",
    )
    assert not sense.undo(story("Ready").view, None).notes
    assert sense.retry(restored, None).effect.endswith("it is rolled out again if spec.model means it.")
    itself = restored.status.replace(candidate_version="v1", candidate_revision=restored.status.quarantined[0].revision)
    assert outcome(replace(restored, status=itself), "v1").exit is Exit.BAD


@pytest.mark.parametrize("name", STORIES)
def test_only_what_waits_can_be_approved(name: str):
    shown = story(name).view
    if name == "WaitingForApproval":
        assert sense.approve(shown, None, in_advance=False) == sense.Sensible("v2", "v2 may leave group canary.")
        with pytest.raises(Refused, match="v3 does not wait for approval, v2 does, in group canary"):
            sense.approve(shown, "v3", in_advance=False)
    else:
        with pytest.raises(Refused, match=f"nothing waits for approval: line is {'(Ready|Pending)|'}{name}"):
            sense.approve(shown, None, in_advance=False)
    assert sense.approve(shown, "v4", in_advance=True).version == "v4"


@pytest.mark.parametrize("name", STORIES)
def test_only_what_moves_can_be_promoted_or_aborted(name: str):
    shown = story(name).view
    if shown.moving is not None and name != "RollingBack":
        assert sense.abort(shown, "v2").version == "v2"
        if name != "Failed":
            assert sense.promote(shown, None).version == "v2"
        with pytest.raises(Refused, match="v1 is not on its way, v2 is"):
            sense.abort(shown, "v1")
    else:
        assert name not in MOVING
        for command in (sense.promote, sense.abort):
            with pytest.raises(Refused, match=r"there is nothing to (promote|abort): line is"):
                command(shown, None)


def test_what_the_spec_does_not_ask_for_any_more_can_be_aborted_and_not_promoted():
    """A typo in spec.model.version, while v2 soaks."""
    world = installed(gate=GATE)
    world.judge = undecided
    world.choose("v2")
    world.run(lambda: world.phase == "Soaking")
    world.choose("v33")
    world.rest(1)
    shown = recorded(world).view
    assert sense.abort(shown, None).version == "v2"
    with pytest.raises(Refused, match=r"v2 is on its way, and spec\.model does not come to it: line is Stalled: .*v33"):
        sense.promote(shown, "v2")


def test_what_happens_is_said():
    soaking = story("Soaking").view
    assert sense.promote(soaking, None).effect == "v2 passes all remaining gates and approvals: of canary, fleet."
    assert "1 node goes back to v1, and v2 is quarantined (retry lifts that)" in sense.abort(soaking, None).effect
    waiting = story("WaitingForWindow").view
    assert sense.abort(waiting, None).effect.startswith("v2 is stopped before a node has it, and v2 is quarantined")
    assert (
        "line is paused" in sense.promote(story("Paused").view, None).notes[-1] if story("Paused").view.moving else True
    )


def test_a_quarantine_is_lifted_where_there_is_one():
    shown = story("RolledBack").view
    assert sense.retry(shown, None).effect == "the quarantine of v2 is lifted, and it starts again in the first group."
    with pytest.raises(Refused, match=r"v22 is not quarantined\. Did you mean v2\?"):
        sense.retry(shown, "v22")
    with pytest.raises(Refused, match="nothing is quarantined: line is Ready"):
        sense.retry(story("Ready").view, None)


def test_undo_goes_to_the_version_before():
    shown = story("Ready").view
    found = sense.undo(shown, None)
    assert (found.version, found.notes) == ("v1", ())
    assert found.effect == "v1 is rolled out in place of v2, through all groups and gates."
    with pytest.raises(Refused, match="v2 is stable already"):
        sense.undo(shown, "v2")
    with pytest.raises(Refused, match="v2 is on its way: abort takes it back"):
        sense.undo(story("Soaking").view, None)
    with pytest.raises(Refused, match="v2 is quarantined: lift that first"):
        sense.undo(story("RolledBack").view, "v2")
    with pytest.raises(Refused, match="has no version before v1: say one with --to"):
        sense.undo(story("RolledBack").view, None)
    with pytest.raises(Refused, match="nothing is stable yet"):
        sense.undo(story("Pending").view, None)


def of_another_model(shown: RolloutView) -> RolloutView:
    """The same, where what is over was of the model that the Rollout had before."""
    status = shown.status
    return replace(
        shown,
        status=status.replace(
            quarantined=tuple(entry.replace(model="before") for entry in status.quarantined),
            history=tuple(entry.replace(model="before") for entry in status.history),
        ),
    )


def test_what_was_of_another_model_says_nothing_of_a_version_of_the_same_name():
    failed = of_another_model(story("RolledBack").view)
    assert failed.status.quarantined
    assert "is quarantined" not in outcome(failed, "v2").message
    assert failed.called(failed.status.quarantined[0]) == "v2 of before"
    with pytest.raises(Refused, match="nothing is quarantined"):
        sense.retry(failed, "v2")
    with pytest.raises(Refused, match="has no version before v2"):
        sense.undo(of_another_model(story("Ready").view), None)


def test_a_retraining_needs_a_template():
    assert sense.retrain(story("Drifting").view).effect.endswith("starting from v1.")
    with pytest.raises(Refused, match=r"has no spec\.drift\.retrain"):
        sense.retrain(story("Ready").view)


def to_another_model(until: str, judge: object = None) -> RolloutView:
    """v1 of parts is stable, and the spec goes to v1 of screws."""
    world = installed()
    world.put(builders.model_version("v1", model="screws", created=world.now))
    if judge is not None:
        world.judge = judge
        world.spec(gate=GATE)
    world.spec(model={"name": "screws", "version": "v1"})
    world.run(lambda: world.phase == until)
    return recorded(world).view


def test_a_version_of_another_model_is_not_what_is_stable():
    going = to_another_model("Soaking", undecided)
    assert "v1 of parts → v1 in group canary (screws v1)" in line(going, UNICODE)
    assert "fleet Ready v1 of parts" in line(going, UNICODE)
    with pytest.raises(Refused, match="v1 is on its way: abort takes it back"):
        sense.undo(going, None)
    effect = "1 node goes back to v1 of parts, and v1 is quarantined (retry lifts that)."
    assert sense.abort(going, None).effect == effect, "the nodes of group fleet have v1 of parts"


def test_status_of_a_version_is_of_the_model_that_the_spec_names():
    """A pipeline that waits for v1 of screws must not go on because v1 of parts is stable."""
    failed = to_another_model("RolledBack", fails)
    at_ready = replace(failed, standing=Standing.READY, status=failed.status.replace(quarantined=()))
    waits = outcome(at_ready, "v1")
    assert (waits.exit, "v1 of parts is stable, and v1 is not chosen" in waits.message) == (Exit.IN_PROGRESS, True)
    with pytest.raises(Refused, match=r"spec.model names screws.*v1 of parts is stable.*Set spec.model.name to parts"):
        sense.undo(failed, None)
    assert sense.undo(at_ready, "v1").effect.startswith("v1 is rolled out in place of v1 of parts")


def test_what_was_left_where_it_failed_is_taken_back_or_tried_again_and_not_promoted():
    """The operator ignores a promote of what is in quarantine, and the CLI said that it passes all gates."""
    failed = story("Failed").view
    with pytest.raises(Refused, match=r"v2 failed, and is judged no more: kubectl modelfleet retry line v2 lifts that"):
        sense.promote(failed, None)
    assert "1 node goes back to v1" in sense.abort(failed, None).effect
    world = installed()
    kept(world)
    world.run(lambda: world.phase == "Failed")
    world.annotate("promote", "v2")
    world.rest()
    assert (world.phase, world.events[-1]) == ("Failed", "CommandIgnored")
    assert sense.retry(failed, None).version == "v2"
