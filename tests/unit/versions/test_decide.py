"""A ModelVersion's conditions, tags and uses, and the finalizer that keeps it while it is used."""

import pytest

from modelfleet.api import ModelVersion
from modelfleet.api.conditions import find
from modelfleet.kinds import MODEL_VERSION
from modelfleet.versions.decide import decide
from modelfleet.versions.retention import Family
from modelfleet.versions.snapshot import Snapshot
from modelfleet.versions.usage import roles, uses
from unit.training.builders import START, after, condition, model_version, rollout, versions

IN_USE = "modelfleet.dev/in-use"


def look(raw, rollouts=(), siblings=()):
    version = ModelVersion.model_validate(raw)
    family = Family((version, *versions(*siblings)))
    users = [raw for raw in rollouts if version.metadata.name in roles(raw)]
    return decide(Snapshot(version, family, uses=uses(version.metadata.name, users)), START)


def shown(decision):
    return [(entry.type, entry.status, entry.reason) for entry in decision.status.conditions]


def test_where_nothing_is_verified_declared_files_make_it_ready_and_nodes_verify():
    decision = look(model_version(ready=None))
    assert shown(decision) == [("Ready", "True", "Available")]
    message = decision.status.conditions[0].message
    assert message.startswith("2 files are declared with digests; every node verifies")
    assert message.endswith("Not verified at the source: verification is switched off.")
    assert decision.status.tags == ("latest",)
    assert decision.status.observed_generation == 1
    assert decision.actions == ()
    assert decision.announcements == ()


def test_a_failed_evaluation_rejects_it_for_good():
    decision = look(model_version(ready=None, evaluation={"result": "Failed", "message": "recall is 0.2"}))
    assert shown(decision) == [("Ready", "False", "Rejected"), ("Stalled", "True", "Rejected")]
    assert "recall is 0.2" in decision.status.conditions[0].message
    assert decision.status.tags == ()
    assert [(entry.type, entry.reason) for entry in decision.announcements] == [("Warning", "Rejected")]
    stored = model_version(
        evaluation={"result": "Failed", "message": "recall is 0.2"},
        status={"conditions": [condition("Ready", "False", "Rejected")]},
    )
    assert look(stored).announcements == ()


def test_a_passed_evaluation_makes_it_ready():
    assert shown(look(model_version(evaluation={"result": "Passed"})))[0] == ("Ready", "True", "Available")


def test_use_adds_the_finalizer_under_the_version_that_was_read():
    decision = look(model_version(finalizers=("example.com/mine",)), [rollout(stableVersion="v3")])
    (patch,) = decision.actions
    assert (patch.kind, patch.name) == (MODEL_VERSION, "parts-v3")
    assert patch.body == {"metadata": {"resourceVersion": "7", "finalizers": ["example.com/mine", IN_USE]}}
    assert [use.to_dict() for use in decision.status.used_by] == [{"rollout": "line", "role": "Stable"}]


def test_the_finalizer_goes_with_the_last_use_and_others_stay():
    decision = look(model_version(finalizers=(IN_USE, "example.com/mine")), [rollout(stableVersion="v4")])
    (patch,) = decision.actions
    assert patch.body == {"metadata": {"resourceVersion": "7", "finalizers": ["example.com/mine"]}}


def test_nothing_is_written_while_all_is_as_it_should_be():
    decision = look(model_version(finalizers=(IN_USE,)), [rollout(stableVersion="v3")])
    assert decision.actions == ()


def test_deletion_is_held_and_says_by_whom():
    decision = look(
        model_version(deleting=True, finalizers=(IN_USE,)),
        [rollout("line", stableVersion="v3"), rollout("press", candidateVersion="v3")],
    )
    assert decision.actions == ()
    assert shown(decision) == [("Ready", "False", "DeletionHeld"), ("Reconciling", "True", "DeletionHeld")]
    assert "Rollout line as Stable, Rollout press as Candidate" in decision.status.conditions[0].message
    assert decision.status.tags == ()
    assert [entry.reason for entry in decision.announcements] == ["DeletionHeld"]


def test_no_finalizer_is_added_to_a_version_that_is_being_deleted():
    """The API server refuses that; the version may then go, since the rollout's revision holds all it needs."""
    decision = look(model_version(deleting=True, finalizers=("example.com/mine",)), [rollout(stableVersion="v3")])
    assert decision.actions == ()


def test_a_deleted_version_goes_when_the_last_use_ends():
    decision = look(model_version(deleting=True, finalizers=(IN_USE,)))
    assert [patch.body["metadata"]["finalizers"] for patch in decision.actions] == [[]]
    assert decision.status is None


def test_a_deleted_version_that_others_hold_says_so():
    decision = look(model_version(deleting=True, finalizers=(IN_USE, "example.com/mine")))
    assert [patch.body["metadata"]["finalizers"] for patch in decision.actions] == [["example.com/mine"]]
    assert "example.com/mine" in find(decision.status.conditions, "Ready").message


def test_tags_are_those_that_mean_this_version_as_it_will_be():
    newer = model_version("v4", created=after(1), tags=("gold",))
    decision = look(model_version(ready=None, tags=("gold", "factory")), siblings=[newer])
    assert decision.status.tags == ("factory",)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({}, {}),
        ({"stableVersion": "v3"}, {"v3": "Stable"}),
        ({"stableVersion": "v3", "candidateVersion": "v4"}, {"v3": "Stable", "v4": "Candidate"}),
        ({"stableVersion": "v3", "candidateVersion": "v3"}, {"v3": "Stable"}),
        ({"candidateVersion": "v4"}, {"v4": "Candidate"}),
        (
            {"stableVersion": "v3", "groups": [{"name": "a", "version": "v2"}, {"name": "b", "version": "v3"}]},
            {"v3": "Stable", "v2": "Previous"},
        ),
        (
            {
                "stableVersion": "v4",
                "history": [
                    {"version": "v5", "result": "RolledBack"},
                    {"version": "v4", "result": "Promoted"},
                    {"version": "v3", "result": "Promoted"},
                    {"version": "v2", "result": "Installed"},
                ],
            },
            {"v4": "Stable", "v3": "Previous"},
        ),
    ],
)
def test_what_a_rollout_uses_and_as_what(status, expected):
    """In the status of an older release, which names no models."""
    assert roles(rollout(**status)) == {f"parts-{version}": role for version, role in expected.items()}


def test_what_a_rollout_uses_while_it_goes_to_another_model():
    status = {
        "stableVersion": "v1",
        "stableModel": "parts",
        "candidateVersion": "v1",
        "candidateModel": "screws",
        "groups": [
            {"name": "a", "version": "v1", "model": "screws"},
            {"name": "b", "version": "v1", "model": "parts"},
            {"name": "c", "version": "v2", "model": "nuts"},
        ],
        "history": [
            {"version": "v1", "model": "parts", "result": "Promoted"},
            {"version": "v1", "model": "nuts", "result": "Installed"},
        ],
    }
    expected = {"parts-v1": "Stable", "screws-v1": "Candidate", "nuts-v2": "Previous", "nuts-v1": "Previous"}
    assert roles(rollout(model="screws", **status)) == expected


def test_a_rollout_of_another_model_uses_nothing_of_this_one():
    assert roles(rollout(model="other", stableVersion="v3")) == {"other-v3": "Stable"}


def test_at_most_a_hundred_users_are_named_and_all_are_counted():
    found = uses("parts-v3", [rollout(f"line-{number:03}", stableVersion="v3") for number in range(150)])
    assert (found.total, len(found.first), found.first[-1].rollout) == (150, 100, "line-099")
    assert not uses("parts-v3", [])


def test_conditions_keep_their_time():
    raw = model_version(status={"conditions": [condition("Ready", "True", "Available")]})
    decision = decide(Snapshot(ModelVersion.model_validate(raw)), after(100))
    assert find(decision.status.conditions, "Ready").last_transition_time == START
