"""Which version the spec asks for."""

from datetime import timedelta

import pytest

from modelfleet.api import Rollout
from modelfleet.api.modelversion import ModelVersion
from modelfleet.api.reasons import NOTHING_TO_USE
from modelfleet.rollout import revisions as revs
from modelfleet.rollout import selection
from modelfleet.rollout.selection import Stall, choose, passed_over
from unit.rollout import builders
from unit.rollout.builders import AGENT_IMAGE, START

OLD = builders.model_version("v1", tags=("live",))
NEW = builders.model_version("v2", tags=("live",), created=START + timedelta(hours=1))


def unready(raw):
    return {
        **raw,
        "status": {"conditions": [{"type": "Ready", "status": "False", "reason": "Rejected", "message": "bad"}]},
    }


def deleting(raw):
    return {**raw, "metadata": {**raw["metadata"], "deletionTimestamp": builders.wire(START)}}


def made(version, hours, applied=None):
    """A version that was trained so many hours after START, and whose object was applied so many after it."""
    created = START + timedelta(hours=hours if applied is None else applied)
    return builders.model_version(version, created=created, createdAt=builders.wire(START + timedelta(hours=hours)))


UNDATED = builders.model_version("v3", created=START + timedelta(hours=3))
BARE = builders.model_version("v7", tags=("live",), created=START + timedelta(days=1), formats=("pytorch",))
MIXED = (builders.group("canary"), builders.group("fleet", delivery={"format": "engine"}))


def chosen(*versions, stable=None, version=None, tag="latest", carried=()):
    raw = builders.rollout(version)
    if version is None:
        raw["spec"]["model"] = {"name": "parts", "tag": tag}
    rollout = Rollout.model_validate(raw)
    parsed = [ModelVersion.model_validate(each) for each in versions]
    running = None
    if stable is not None:
        running = revs.desired(rollout, ModelVersion.model_validate(stable), (), AGENT_IMAGE, START)
    found = choose(rollout, parsed, running, carried)
    return found.reason if isinstance(found, Stall) else found.spec.version


@pytest.mark.parametrize(
    ("versions", "asked", "found"),
    [
        ([OLD, NEW], {"version": "v1"}, "v1"),
        ([OLD, NEW], {"version": "v3"}, "ModelVersionNotFound"),
        ([OLD, unready(NEW)], {"version": "v2"}, "ModelVersionNotReady"),
        ([OLD, deleting(NEW)], {"version": "v2"}, "ModelVersionBeingDeleted"),
        ([OLD, unready(NEW)], {"version": "v2", "stable": NEW}, "v2"),
        ([OLD, deleting(NEW)], {"version": "v2", "stable": NEW}, "v2"),
        ([OLD, deleting(NEW)], {"version": "v2", "stable": OLD, "carried": {"parts-v2"}}, "v2"),
        ([OLD, deleting(NEW)], {"stable": OLD, "carried": {"parts-v2"}}, "v1"),
        ([OLD, NEW], {}, "v2"),
        ([OLD, NEW], {"tag": "live"}, "v2"),
        ([OLD, NEW], {"tag": "none"}, "ModelVersionNotFound"),
        ([], {}, "ModelVersionNotFound"),
        ([OLD, unready(NEW)], {}, "v1"),
        ([OLD, deleting(NEW)], {}, "v1"),
        ([unready(OLD)], {}, "ModelVersionNotReady"),
        ([OLD, unready(NEW)], {"stable": NEW}, "v2"),  # a version in use is not given up for a moment's doubt
        ([unready(NEW)], {"stable": NEW}, "v2"),
        ([OLD, deleting(NEW)], {"stable": NEW}, "v1"),  # but it is let go when somebody deletes it
        ([OLD, unready(NEW)], {"stable": NEW, "tag": "other"}, "ModelVersionNotFound"),
        ([OLD, NEW], {"stable": OLD}, "v2"),
        # objects that were applied again in another order (a restore, GitOps) are as old as their models
        ([made("v1", 1, applied=9), made("v2", 2)], {"stable": made("v1", 1, applied=9)}, "v2"),
        ([made("v1", 1, applied=9), made("v2", 2)], {"stable": made("v2", 2)}, "v2"),
        ([made("v1", 1), unready(made("v2", 2, applied=0))], {"stable": made("v2", 2, applied=0)}, "v2"),
        ([made("v3", 3, applied=2), unready(made("v2", 2, applied=9))], {"stable": made("v2", 2, applied=9)}, "v3"),
        ([made("v9", 1), made("v10", 1)], {"stable": made("v9", 1)}, "v10"),  # of the same second: by name
        ([made("v9", 1), made("v10", 1)], {"stable": made("v10", 1)}, "v10"),
        ([made("v9", 1), unready(made("v10", 1))], {"stable": made("v10", 1)}, "v10"),
        # without createdAt the object's own time counts
        ([made("v2", 2, applied=9), UNDATED], {"stable": made("v2", 2, applied=9)}, "v3"),
        ([made("v4", 4, applied=0), UNDATED], {"stable": UNDATED}, "v4"),
        ([made("v2", 2, applied=9), unready(UNDATED)], {"stable": UNDATED}, "v3"),
        # the newest is a checkpoint that no group can load
        ([OLD, NEW, BARE], {}, "v2"),
        ([OLD, NEW, BARE], {"tag": "live"}, "v2"),
        ([OLD, NEW, BARE], {"stable": NEW}, "v2"),
        ([OLD, NEW, BARE], {"stable": OLD}, "v2"),
        ([unready(NEW), BARE], {"stable": NEW}, "v2"),
        ([BARE], {}, "FormatNotFound"),
        ([OLD, BARE], {"version": "v7"}, "FormatNotFound"),
    ],
)
def test_choice(versions, asked, found):
    assert chosen(*versions, **asked) == found


def test_what_is_there_instead_is_named_newest_first():
    versions = [ModelVersion.model_validate(each) for each in (OLD, NEW, unready(BARE))]
    found = choose(Rollout.model_validate(builders.rollout("v3")), versions, None)
    assert isinstance(found, Stall)
    assert found.message.endswith(
        " (namespace factory; there are v2, v1). This continues automatically when that changes."
    )


def test_newest_first_is_by_when_the_models_were_made():
    versions = [ModelVersion.model_validate(each) for each in (made("v1", 1, applied=9), made("v2", 2))]
    found = choose(Rollout.model_validate(builders.rollout("v3")), versions, None)
    assert isinstance(found, Stall)
    assert "there are v2, v1)" in found.message


def test_another_model_is_not_meant():
    other = builders.model_version("v9", model="faces", created=START + timedelta(days=1))
    assert chosen(OLD, other) == "v1"
    assert chosen(OLD, other, version="v9") == "ModelVersionNotFound"


def following_latest(*groups):
    raw = builders.rollout(None, **({"groups": groups} if groups else {}))
    raw["spec"]["model"] = {"name": "parts", "tag": "latest"}
    return Rollout.model_validate(raw)


@pytest.mark.parametrize(
    ("groups", "formats", "said"),
    [
        (
            (builders.group("canary"),),
            ("pytorch",),
            "v7 was passed over: it has no onnx file, which group canary needs",
        ),
        (
            (builders.group("canary"), builders.group("fleet")),
            ("pytorch",),
            "v7 was passed over: it has no onnx file, which groups canary, fleet need",
        ),
        (
            MIXED,
            ("pytorch",),
            "v7 was passed over: it has no engine file, which group fleet needs; "
            "it has no onnx file, which group canary needs",
        ),
        (MIXED, ("engine",), ""),  # some group can load it: it is meant for this fleet, and incomplete
        (MIXED, ("onnx", "engine"), ""),
    ],
)
def test_what_was_passed_over_is_said_with_the_groups_that_need_more(groups, formats, said):
    newest = builders.model_version("v7", created=START + timedelta(days=1), formats=formats)
    parsed = [ModelVersion.model_validate(each) for each in (OLD, newest)]
    assert passed_over(following_latest(*groups), parsed) == said


def test_a_version_that_some_groups_can_load_stalls_the_rollout_by_name():
    newest = builders.model_version("v7", created=START + timedelta(days=1), formats=("engine",))
    parsed = [ModelVersion.model_validate(each) for each in (OLD, newest)]
    found = choose(following_latest(*MIXED), parsed, None)
    assert found == Stall("FormatNotFound", "ModelVersion parts-v7 has engine; group canary wants onnx.")


def test_the_stall_names_what_was_passed_over():
    found = choose(following_latest(), [ModelVersion.model_validate(BARE)], None)
    assert isinstance(found, Stall)
    assert "v7 was passed over: it has no onnx file" in found.message


def test_a_pinned_version_passes_nothing_over():
    pinned = Rollout.model_validate(builders.rollout("v1"))
    assert passed_over(pinned, [ModelVersion.model_validate(each) for each in (OLD, BARE)]) == ""


def test_the_cli_knows_each_reason_for_which_there_is_no_version_to_use():
    assert set(selection._REASONS.values()) == NOTHING_TO_USE
