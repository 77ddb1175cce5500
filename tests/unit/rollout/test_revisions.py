"""Revisions: their identity, what is written on them, and that it can be read back."""

from dataclasses import replace
from datetime import timedelta

import pytest

from modelfleet.api import Rollout
from modelfleet.api.modelversion import ModelVersion
from modelfleet.rollout import revisions as revs
from modelfleet.rollout.revisions import Quarantine
from unit.rollout import builders
from unit.rollout.builders import AGENT_IMAGE, START


def revision(version="v1", revisions=(), image=AGENT_IMAGE, now=START, **spec):
    rollout = Rollout.model_validate(builders.rollout(version, **spec))
    given = ModelVersion.model_validate(builders.model_version(version, formats=("onnx", "engine")))
    return revs.desired(rollout, given, revisions, image, now)


@pytest.mark.parametrize(
    ("spec", "same"),
    [
        ({}, True),
        ({"delivery": {"format": "onnx", "cache": "Node"}}, True),
        ({"gate": {"soak": "2h"}, "paused": True, "progressDeadline": "5m"}, True),
        ({"groups": (builders.group("other"),)}, True),
        ({"image": "agent:2"}, True),
        ({"version": "v2"}, False),
        ({"template": builders.template("app:2")}, False),
        ({"delivery": {"mountPath": "/m"}}, False),
        ({"groups": (builders.group("canary", delivery={"format": "engine"}), builders.group("fleet"))}, False),
    ],
    ids=str,
)
def test_a_revision_is_version_template_and_delivery(spec, same):
    assert (revision(**spec).hash == revision().hash) is same


def test_another_operator_release_restarts_nothing():
    first = revision()
    again = revision(revisions=(first,), image="agent:2")
    assert again.data["agentImage"] == AGENT_IMAGE


def test_a_model_version_made_anew_with_other_files_is_another_revision():
    rollout = Rollout.model_validate(builders.rollout("v1"))
    raw = builders.model_version("v1")
    first = revs.desired(rollout, ModelVersion.model_validate(raw), (), AGENT_IMAGE, START)
    raw["spec"]["artifact"]["files"][0]["sha256"] = "0" * 64
    other = revs.desired(rollout, ModelVersion.model_validate(raw), (first,), AGENT_IMAGE, START)
    assert (other.hash == first.hash, other.number) == (False, 2)


def test_everything_written_is_read_back():
    owner = Rollout.model_validate(builders.rollout("v1"))
    written = replace(
        revision(),
        promoted_at=START,
        promoted_reason="passed",
        retried_at=START,
        quarantine=Quarantine(START, "GateFailed", "why", "Revision"),
        passed=("canary", "fleet"),
        commands={"approve=v1@2": "canary"},
        baseline="eJw",
        retrained={"line-r1": "Drift 2026-11-20T10:00:00Z"},
    )
    raw = revs.manifest(written, owner)
    raw["metadata"] |= {"uid": "u", "creationTimestamp": builders.wire(START)}
    assert revs.read(raw) == replace(written, uid="u")


def test_changes_are_the_least_writes():
    owner = Rollout.model_validate(builders.rollout("v1"))
    old, new = replace(revision(), uid="u", quarantine=Quarantine(START, "C", "r", "Version")), revision("v2")
    assert revs.changes([old], [old], owner) == []
    lifted = revs.lifted(old, START)
    changed, made = (action.manifest for action in revs.changes([old], [lifted, new], owner))
    assert changed["metadata"]["uid"] == "u"
    assert changed["metadata"]["annotations"] == {"modelfleet.dev/retried-at": builders.wire(START)}
    assert made["metadata"]["name"] == f"line-{new.hash}"
    assert "uid" not in made["metadata"]


def test_stable_is_the_newest_promoted_that_did_not_fail():
    one = replace(revision("v1"), promoted_at=START)
    two = replace(revision("v2"), promoted_at=START + timedelta(hours=1))
    three = revision("v3")
    assert revs.stable([three, two, one]) == two
    failed = replace(two, quarantine=Quarantine(START, "C", "r", "Version"))
    assert revs.stable([three, failed, one]) == one
    assert revs.stable([three]) is None


def test_the_quarantine_of_a_version_covers_all_its_revisions_and_that_of_a_revision_only_itself():
    other = revision("v2", template=builders.template("app:2"))
    whole = replace(revision("v2"), quarantine=Quarantine(START, "C", "r", "Version"))
    alone = replace(revision("v2"), quarantine=Quarantine(START, "C", "r", "Revision"))
    assert revs.quarantine_of([whole, other], other) == whole.quarantine
    assert revs.quarantine_of([alone, other], other) is None
    assert revs.quarantine_of([alone, other], alone) == alone.quarantine


def test_the_oldest_beyond_the_limit_are_superfluous_and_those_in_use_never():
    five = [replace(revision(f"v{n}"), created=START + timedelta(hours=n), number=n) for n in range(5)]
    gone = revs.superfluous(five, keep=[five[0].hash], limit=2)
    assert [revision.version for revision in gone] == ["v1", "v2"]
