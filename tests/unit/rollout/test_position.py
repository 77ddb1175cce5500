"""Where a rollout stands, and what each group should run as things stand."""

from dataclasses import replace

import pytest

from modelfleet.api.modelversion import ModelVersion
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
    ("carry", "reached", "current", "following"),
    [
        ((None, None, None), 0, None, "canary"),
        (("v1", "v1", "v1"), 0, None, "canary"),
        (("v2", "v1", "v1"), 1, "canary", "middle"),
        (("v2", "v2", "v1"), 2, "middle", "fleet"),
        (("v2", "v1", "v2"), 1, "canary", "middle"),
        (("v1", "v2", "v2"), 0, None, "canary"),
        (("v2", "v2", "v2"), 3, "fleet", None),
    ],
)
def test_how_far_the_candidate_has_come(carry, reached, current, following):
    at = locate(snapshot(carry), V1, V2)
    assert at.reached == reached
    assert (at.current.name if at.current else None) == current
    assert (at.next_group.name if at.next_group else None) == following


@pytest.mark.parametrize(
    ("carry", "known", "spec", "held"),
    [
        (("v2", "v1", "v1"), (V1, V2), {}, False),
        (("v2", "v1", "v1"), (V1, V2), KEEP, False),
        (("v2", "v1", "v1"), (V1, FAILED), {}, False),
        (("v2", "v1", "v1"), (V1, FAILED), KEEP, True),
        (("v1", "v1", "v1"), (V1, FAILED), KEEP, False),
        (("v2", "v1", "v1"), (V1, ABORTED), KEEP, False),
        (("v2", None, None), (FAILED,), {}, True),
        ((None, None, None), (FAILED,), {}, True),
        (("v2", None, None), (V2,), KEEP, False),
    ],
)
def test_what_failed_is_held_where_it_may_not_or_can_not_go_back(carry, known, spec, held):
    assert locate(snapshot(carry, rollout("v2", **spec)), *known).held is held


@pytest.mark.parametrize(
    ("known", "quarantined", "candidate", "at_stable"),
    [
        ((V1,), False, "v2", False),
        ((V1, V2), False, "v2", False),
        ((V1, FAILED), True, None, False),
        ((V1, sibling(failed())), True, None, False),
        ((V1, sibling(failed(scope="Revision"))), False, "v2", False),
        ((V1, failed(scope="Revision")), True, None, False),
        ((V1, stable("v2")), False, None, True),
        ((V1, replace(FAILED, promoted_at=START)), True, None, False),
        ((sibling(V2, promoted_at=START), FAILED), True, None, False),  # its new pod template failed
        ((stable("v2"), sibling(failed())), False, None, True),  # what the fleet is well on is under no quarantine
    ],
)
def test_the_candidate_is_what_the_spec_asks_for_unless_it_failed_or_is_stable(
    known, quarantined, candidate, at_stable
):
    at = locate(snapshot(("v1", "v1", "v1")), *known)
    assert (at.quarantine is not None) is quarantined
    assert (at.candidate.version if at.candidate else None) == candidate
    assert at.at_stable is at_stable
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
    assert at.candidate == (V2 if found else None), "what is on its way is still judged"
    assert (at.chosen, at.reached) == ((V2, 1) if found else (None, 0))
    assert (at.stable, at.revisions) == (V1, (V1, V2))


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
    assert at.at_stable


def test_the_newest_promotion_is_stable_also_while_nothing_can_be_chosen():
    newer = stable("v2")
    assert locate(snapshot(("v2", "v2", "v2"), rollout("v9")), V1, newer).stable == newer
    assert (
        locate(snapshot(("v2", "v2", "v2"), rollout("v9")), V1, replace(newer, quarantine=FAILED.quarantine)).stable
        == V1
    )
