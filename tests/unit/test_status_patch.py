"""When a status is written, and how."""

from datetime import UTC, datetime, timedelta

import pytest

from modelfleet import status_patch
from modelfleet.api import TrainingJobStatus, conditions
from modelfleet.api.reasons import Reason
from modelfleet.kinds import TRAINING_JOB
from unit.kube.raw import obj

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)


def status(**changes):
    ready = conditions.merge((), [conditions.true("Ready", "Done", "all is well")], 3, NOW)
    return TrainingJobStatus(**{"observed_generation": 3, "phase": "Running", "conditions": ready, **changes})


def test_same_status_is_not_written():
    assert status_patch.patch_for(status().to_dict(), status()) is None


def test_other_spellings_and_unknown_fields_are_no_reason_to_write():
    stored = status().to_dict()
    stored["conditions"][0]["lastTransitionTime"] = "2026-11-21T11:00:00+01:00"
    stored["fromANewerRelease"] = {"x": 1}
    assert status_patch.patch_for(stored, status()) is None


def test_only_what_differs_is_in_the_patch_and_what_is_gone_is_null():
    stored = status(model_version="parts-v1", started_at=NOW).to_dict()
    assert status_patch.patch_for(stored, status(phase="Succeeded", started_at=NOW)) == {
        "phase": "Succeeded",
        "modelVersion": None,
    }


def test_status_that_can_not_be_read_is_replaced():
    stored = {**status().to_dict(), "phase": "Nonsense", "attempts": "many"}
    patch = status_patch.patch_for(stored, status())
    assert patch["phase"] == "Running"
    assert patch["attempts"] == 0


@pytest.mark.parametrize(
    ("old", "new", "patch"),
    [
        ({}, {}, {}),
        ({"a": 1}, {"a": 1}, {}),
        ({"a": 1}, {"a": 2, "b": 3}, {"a": 2, "b": 3}),
        ({"a": 1}, {}, {"a": None}),
        ({"a": {"x": 1, "y": 2}}, {"a": {"x": 1, "z": 3}}, {"a": {"y": None, "z": 3}}),
        ({"a": {"x": 1}}, {"a": {"x": 1}}, {}),
        ({"a": [1, 2]}, {"a": [1]}, {"a": [1]}),
        ({"a": [1]}, {"a": {"x": 1}}, {"a": {"x": 1}}),
        ({"a": {"x": 1}}, {"a": {}}, {"a": {"x": None}}),
        ({}, {"a": {}}, {"a": {}}),
    ],
)
def test_difference_is_a_merge_patch(old, new, patch):
    assert status_patch.difference(old, new) == patch
    assert merge_patch(old, status_patch.difference(old, new)) == new


def merge_patch(target, patch):
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge_patch(result.get(name), value)
    return result


def owner(**changes):
    raw = obj(TRAINING_JOB, "t", 7, status={**status().to_dict(), **changes})
    raw["metadata"]["generation"] = 4
    return raw


REASON = Reason.APPLY_REJECTED


def test_stuck_says_why_and_keeps_the_rest():
    extra = conditions.merge((), [conditions.true("Ready", "Done"), conditions.true("Complete", "Done")], 3, NOW)
    later = NOW + timedelta(minutes=5)
    patch = status_patch.stuck(owner(conditions=[each.to_dict() for each in extra]), REASON, "a quota", later)
    found = {each["type"]: each for each in patch["conditions"]}
    assert patch["observedGeneration"] == 4
    assert found["Ready"]["status"] == "False"
    assert found["Stalled"]["status"] == "True"
    assert {found[name]["reason"] for name in ("Ready", "Stalled")} == {"ApplyRejected"}
    assert found["Stalled"]["message"] == "a quota"
    assert found["Stalled"]["lastTransitionTime"] == "2026-11-21T10:05:00Z"
    assert found["Complete"]["lastTransitionTime"] == "2026-11-21T10:00:00Z"
    assert "Reconciling" not in found


def test_what_is_told_already_is_not_written_again():
    first = status_patch.stuck(owner(), REASON, "no", NOW)
    told = owner(**first)
    assert status_patch.stuck(told, REASON, "no", NOW + timedelta(hours=1)) is None
    assert status_patch.stuck(told, REASON, "still no, but otherwise", NOW) is not None


def test_an_owner_without_a_status_is_stuck_all_the_same():
    raw = obj(TRAINING_JOB, "t", 7)
    assert len(status_patch.stuck(raw, REASON, "no", NOW)["conditions"]) == 2
