"""Where a rollout stands, and what each group should run as things stand."""

from dataclasses import replace

import pytest

from modelfleet.api.modelversion import ModelVersion
from modelfleet.rollout.position import AtStable, Blocked, GoingBack, Held, Moving, NotBegun
from modelfleet.rollout.signatures import Signing
from unit.rollout import builders
from unit.rollout.builders import AGENT_IMAGE, START
from unit.rollout.positions import NOW, VERSIONS, failed, locate, revision, rollout, snapshot, stable

V1, V2, V3 = stable(), revision("v2"), revision("v3")
FAILED, ABORTED = failed(), failed(cause="Aborted")
KEEP = {"rollback": {"onFailure": False}}
BAD_WINDOW = {"windows": [{"cron": "0 2 * * *", "duration": "1h", "timeZone": "Nowhere/Else"}]}


def version(name, **fields):
    return ModelVersion.model_validate(builders.model_version(name, **fields))


def versions_of(revisions):
    return tuple(None if each is None else each.version for each in revisions)


def sibling(of, **facts):
    """A revision of the same model version, with another pod template."""
    return replace(of, name=f"line-other-{of.version}", hash=f"other-{of.version}", uid="uid-other", **facts)


# --- what each group should run ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("carry", "known", "spec", "targets"),
    [
        # on its way
        (("v1", "v1", "v1"), (V1, V2), {}, ("v1", "v1", "v1")),
        (("v2", "v1", "v1"), (V1, V2), {}, ("v2", "v1", "v1")),
        (("v2", None, "v1"), (V1, V2), {}, ("v2", "v1", "v1")),  # a new group begins with stable
        (("v2", "v1", "v2"), (V1, V2), {}, ("v2", "v1", "v2")),  # reordered: it keeps the candidate
        (("v3", "v1", "v1"), (V1, V2, V3), {}, ("v1", "v1", "v1")),  # superseded
        (("v2", "v3", "v1"), (V1, V2, V3), {}, ("v2", "v1", "v1")),
        (("v2", "gone", "v1"), (V1, V2), {}, ("v2", "v1", "v1")),
        (("v2", "v2", "v2"), (V1, V2), {}, ("v2", "v2", "v2")),
        (("v2", "v2", "v2"), (V1, stable("v2")), {}, ("v2", "v2", "v2")),
        # a first install has nothing to go back to
        ((None, None, None), (), {}, (None, None, None)),
        (("v2", None, None), (V2,), {}, ("v2", None, None)),
        (("v3", None, None), (V2, V3), {}, ("v3", None, None)),
        (("v2", None, None), (FAILED,), {}, ("v2", None, None)),
        # failed
        (("v2", "v1", "v1"), (V1, FAILED), {}, ("v1", "v1", "v1")),
        (("v2", "v2", None), (V1, FAILED), {}, ("v1", "v1", "v1")),
        (("v2", None, "v1"), (V1, FAILED), KEEP, ("v2", "v1", "v1")),
        (("v2", "v1", "v1"), (V1, ABORTED), KEEP, ("v1", "v1", "v1")),
        (("v1", "v2", "v1"), (V1, FAILED), KEEP, ("v1", "v1", "v1")),  # not held: no group in order has reached it
        (("other-v2", "v1", "v1"), (V1, FAILED, sibling(V2)), {}, ("v1", "v1", "v1")),  # the version failed
        # paused: all stays, but for what failed
        (("v2", None, "v1"), (V1, V2), {"paused": True}, ("v2", None, "v1")),
        (("v3", "gone", "v1"), (V1, V2, V3), {"paused": True}, ("v3", None, "v1")),
        (("v2", None, "v1"), (V1, FAILED), {"paused": True}, ("v1", "v1", "v1")),
        (("v1", None, "v1"), (V1, FAILED), {"paused": True}, ("v1", "v1", "v1")),
        (("v3", None, "v1"), (V1, V2, failed("v3")), {"paused": True}, ("v1", None, "v1")),
        (("v3", None, "v1"), (V1, V2, failed("v3")), {"paused": True} | KEEP, ("v3", None, "v1")),
        (("v3", None, "v1"), (V1, V2, failed("v3", "Aborted")), {"paused": True} | KEEP, ("v1", None, "v1")),
        (("v3", None, "v1"), (V1, V2, V3, sibling(failed("v3"))), {"paused": True}, ("v1", None, "v1")),
        # the spec can't be used: what runs goes on, new groups get stable
        (("v2", None, "v1"), (V1, V2), BAD_WINDOW, ("v2", "v1", "v1")),
        (("v3", "gone", "v1"), (V1, V2, V3), BAD_WINDOW, ("v3", None, "v1")),
        (("v2", "v1", "v1"), (V1, FAILED), BAD_WINDOW, ("v1", "v1", "v1")),
        (("v2", None, "v1"), (V1, V2), BAD_WINDOW | {"paused": True}, ("v2", None, "v1")),
    ],
)
def test_what_each_group_should_run(carry, known, spec, targets):
    at = locate(snapshot(carry, rollout("v2", **spec)), *known)
    assert versions_of(at.targets) == targets


# --- where it stands --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("carry", "passed", "reached", "current", "following"),
    [
        ((None, None, None), (), 0, None, "canary"),
        (("v1", "v1", "v1"), (), 0, None, "canary"),
        (("v2", "v1", "v1"), (), 1, "canary", "middle"),
        (("v2", "v1", "v1"), ("canary",), 1, "canary", "middle"),
        (("v2", "v2", "v1"), ("canary",), 2, "middle", "fleet"),
        (("v2", "v1", "v2"), ("canary",), 1, "canary", "middle"),
        (("v1", "v2", "v2"), ("middle",), 0, None, "canary"),
        (("v2", "v2", "v2"), ("canary", "middle"), 3, "fleet", None),
        # groups that were added or reordered on its way: none is passed over because a later one has it
        (("v2", "v2", "v1"), (), 1, "canary", "middle"),
        (("v2", "v2", "v1"), ("middle",), 1, "canary", "middle"),
        (("v2", "v2", "v2"), ("middle",), 1, "canary", "middle"),
    ],
)
def test_how_far_the_candidate_has_come(carry, passed, reached, current, following):
    v2 = replace(V2, passed=passed)
    at = locate(snapshot(carry), V1, v2)
    assert at.reached == reached
    match at.course:
        case NotBegun(candidate, after):
            assert (candidate, None, after.name) == (v2, current, following)
        case Moving(candidate, group, after):
            assert (candidate, group.name, after.name if after else None) == (v2, current, following)
        case _:
            pytest.fail(f"v2 is neither before its first group nor in one: {at.course}")


@pytest.mark.parametrize(
    ("carry", "known", "spec", "course"),
    [
        (("v2", "v1", "v1"), (V1, V2), {}, Moving),
        (("v2", "v1", "v1"), (V1, V2), KEEP, Moving),
        (("v2", "v1", "v1"), (V1, FAILED), {}, GoingBack),
        (("v2", "v1", "v1"), (V1, FAILED), KEEP, Held),
        (("v1", "v1", "v1"), (V1, FAILED), KEEP, GoingBack),
        (("v2", "v1", "v1"), (V1, ABORTED), KEEP, GoingBack),
        (("v2", None, None), (FAILED,), {}, Held),
        ((None, None, None), (FAILED,), {}, Held),
        (("v2", None, None), (V2,), KEEP, Moving),
        ((None, None, None), (), {}, NotBegun),
        (("v1", "v1", "v1"), (V1, V2), {}, NotBegun),
        (("v2", "v2", "v2"), (V1, V2), {}, Moving),
        (("v2", "v2", "v2"), (V1, stable("v2")), {}, AtStable),
        (("v2", "v1", "v1"), (V1, V2), BAD_WINDOW, Moving),  # what is on its way is still judged
        (("v2", "v1", "v1"), (V1, FAILED), BAD_WINDOW, GoingBack),
    ],
)
def test_what_failed_is_held_where_it_may_not_or_can_not_go_back(carry, known, spec, course):
    assert type(locate(snapshot(carry, rollout("v2", **spec)), *known).course) is course


@pytest.mark.parametrize(
    ("carry", "known", "spec", "attempted"),
    [
        (("v1", "v1", "v1"), (V1, V2), {}, "v2"),
        (("v2", "v1", "v1"), (V1, V2), {}, "v2"),
        (("v2", "v1", "v1"), (V1, FAILED), KEEP, "v2"),
        (("v2", "v1", "v1"), (V1, FAILED), {}, None),
        (("v2", "v2", "v2"), (V1, stable("v2")), {}, None),
    ],
)
def test_an_attempt_is_shown_until_it_ends_and_while_it_is_held(carry, known, spec, attempted):
    at = locate(snapshot(carry, rollout("v2", **spec)), *known)
    assert versions_of([at.attempted]) == (attempted,)


@pytest.mark.parametrize(
    ("known", "course", "candidate"),
    [
        ((V1,), NotBegun, "v2"),
        ((V1, V2), NotBegun, "v2"),
        ((V1, FAILED), GoingBack, None),
        ((V1, sibling(failed())), GoingBack, None),
        ((V1, sibling(failed(scope="Revision"))), NotBegun, "v2"),
        ((V1, failed(scope="Revision")), GoingBack, None),
        ((V1, stable("v2")), AtStable, None),
        ((V1, replace(FAILED, promoted_at=START)), GoingBack, None),
        ((sibling(V2, promoted_at=START), FAILED), GoingBack, None),  # its new pod template failed
        ((stable("v2"), sibling(failed())), AtStable, None),  # what the fleet is well on is under no quarantine
    ],
)
def test_the_candidate_is_what_the_spec_asks_for_unless_it_failed_or_is_stable(known, course, candidate):
    at = locate(snapshot(("v1", "v1", "v1")), *known)
    assert type(at.course) is course
    assert versions_of([at.candidate]) == (candidate,)
    assert at.chosen is not None
    assert at.chosen.version == "v2"


@pytest.mark.parametrize(
    ("known", "names"),
    [
        ((V1,), {V1.name, V2.name}),
        ((V1, V2), {V1.name, V2.name}),
        ((V1, FAILED), {V1.name, FAILED.name}),
        ((V1, sibling(failed())), {V1.name, sibling(V2).name}),  # of a version that failed none is made
    ],
)
def test_a_new_revision_is_made_unless_its_version_failed(known, names):
    at = locate(snapshot(("v1", "v1", "v1")), *known)
    assert {each.name for each in at.revisions} == names


def test_a_new_revision_is_of_now_and_takes_the_agent_image_of_now():
    chosen = locate(snapshot(("v1", "v1", "v1")), V1).chosen
    assert chosen is not None
    assert (chosen.created, chosen.data["agentImage"]) == (NOW, AGENT_IMAGE)


# --- what stands in the way -------------------------------------------------------------------------------------------


def tangled(**spec):
    """Groups whose selectors multiply out to too many alternatives for the last one."""
    labels = [{f"{name}{index}": "1" for name in "xyz"} for index in range(4)]
    groups = [{"name": f"g{index}", "nodeSelector": {"matchLabels": each}} for index, each in enumerate(labels)]
    return rollout("v2", groups=[*groups, builders.group("rest")], **spec)


@pytest.mark.parametrize(
    ("of", "fields", "reason", "says"),
    [
        (rollout(), {}, None, ""),
        (rollout(), {"taken": ("line-canary",)}, "NameTaken", "DaemonSet line-canary exists and belongs to"),
        (rollout(**BAD_WINDOW), {}, "InvalidWindow", "spec.windows: window '0 2 * * *': unknown time zone"),
        (rollout(**BAD_WINDOW), {"taken": ("line-canary",)}, "NameTaken", ""),
        (tangled(), {}, "SelectorsTooComplex", "Group rest: the node selectors"),
        (tangled(**BAD_WINDOW), {}, "InvalidWindow", ""),
        (rollout("v9"), {}, "ModelVersionNotFound", "parts-v9"),
        (rollout("v9", **BAD_WINDOW), {}, "InvalidWindow", ""),
        (rollout("v9"), {"taken": ("line-canary",)}, "NameTaken", ""),
    ],
)
def test_the_first_obstacle_is_named(of, fields, reason, says):
    at = locate(snapshot(["v2"] + ["v1"] * (len(of.spec.groups) - 1), of, **fields), V1, V2)
    if reason is None:
        assert at.stall is None
    else:
        assert at.stall is not None
        assert at.stall.reason == reason
        assert says in at.stall.message
    found = of.spec.model.version == "v2"
    assert at.candidate == V2, "what is on its way is still judged"
    assert (at.chosen, at.unasked, at.reached) == (V2 if found else None, not found, 1)
    assert type(at.course) is Moving
    assert (at.stable, at.revisions) == (V1, (V1, V2))


@pytest.mark.parametrize(
    ("carry", "revisions", "course", "of", "reached"),
    [
        (["v1", "v1", "v1"], (V1,), Blocked, None, 0),
        ([None, None, None], (), Blocked, None, 0),
        (["v2", "v1", "v1"], (V1, V2), Moving, "v2", 1),
        (["v3", "v2", "v1"], (V1, V2, revision("v3")), Moving, "v3", 1),
        (["v1", "v2", "v1"], (V1, V2), NotBegun, "v2", 0),
        (["v2", "v1", "v1"], (V1, failed("v2")), GoingBack, "v2", 1),
        (["v2", None, None], (failed("v2"),), Held, "v2", 1),
        (["away", "v1", "v1"], (V1,), Blocked, None, 0),
    ],
)
def test_where_the_spec_comes_to_nothing_what_the_first_group_has_is_on_its_way(carry, revisions, course, of, reached):
    at = locate(snapshot(carry, rollout("v9")), *revisions)
    assert (type(at.course), at.reached, at.unasked, at.chosen) == (course, reached, True, None)
    if of is not None:
        left = at.course.candidate if isinstance(at.course, NotBegun | Moving) else at.course.chosen
        assert left.version == of


def test_without_a_key_nothing_that_must_be_signed_moves():
    of = rollout("v2", delivery={"signed": True})
    at = locate(snapshot(["v1", "v1", "v1"], of), V1)
    assert at.stall is not None
    assert at.stall.reason == "SignatureKeysMissing"
    assert all(target == V1 for target in at.targets)
    assert locate(snapshot(["v1", "v1", "v1"], of, signing=Signing("a key")), V1).stall is None


@pytest.mark.parametrize(
    ("carry", "candidate"),
    [(("v2", "v1", "v1"), "v2"), (("v1", "v1", "v2"), "v2"), (("v1", "v1", "v1"), None)],
)
def test_a_version_that_is_being_deleted_goes_on_where_some_group_runs_it(carry, candidate):
    versions = (VERSIONS["v1"], version("v2", deleting=True))
    at = locate(snapshot(carry, versions=versions), V1, V2)
    assert (at.candidate.version if at.candidate else None) == candidate
    assert (at.stall.reason if at.stall else None) == (None if candidate else "ModelVersionBeingDeleted")


def test_what_is_stable_is_kept_while_its_version_is_doubted():
    of = rollout(None)
    at = locate(snapshot(("v1", "v1", "v1"), of, versions=(version("v1", ready=False),)), V1)
    assert at.stall is None
    assert isinstance(at.course, AtStable)


def test_the_newest_promotion_is_stable_also_while_nothing_can_be_chosen():
    newer = stable("v2")
    assert locate(snapshot(("v2", "v2", "v2"), rollout("v9")), V1, newer).stable == newer
    assert (
        locate(snapshot(("v2", "v2", "v2"), rollout("v9")), V1, replace(newer, quarantine=FAILED.quarantine)).stable
        == V1
    )
