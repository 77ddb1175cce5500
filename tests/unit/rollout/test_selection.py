"""Which version the spec asks for."""

from datetime import timedelta

import pytest

from modelfleet.api import Rollout
from modelfleet.api.modelversion import ModelVersion
from modelfleet.rollout import revisions as revs
from modelfleet.rollout.selection import Stall, choose
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
    ],
)
def test_choice(versions, asked, found):
    assert chosen(*versions, **asked) == found


def test_another_model_is_not_meant():
    other = builders.model_version("v9", model="faces", created=START + timedelta(days=1))
    assert chosen(OLD, other) == "v1"
    assert chosen(OLD, other, version="v9") == "ModelVersionNotFound"
