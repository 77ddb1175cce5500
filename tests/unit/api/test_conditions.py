"""Conditions: when a transition time moves, and which conditions are there at all."""

from datetime import UTC, datetime, timedelta

import pytest

from modelfleet.api import conditions
from modelfleet.api.conditions import Condition, false, find, is_true, merge, true, unknown, unsupported

THEN = datetime(2026, 11, 20, 12, tzinfo=UTC)
NOW = THEN + timedelta(hours=1)


def stored(condition: Condition, since: datetime = THEN, generation: int = 1) -> Condition:
    return condition.replace(last_transition_time=since, observed_generation=generation)


@pytest.mark.parametrize(
    ("existing", "desired", "since"),
    [
        ([], true("Ready", "Done"), NOW),
        ([stored(true("Ready", "Done"))], true("Ready", "Done"), THEN),
        ([stored(true("Ready", "Done"))], true("Ready", "Other", "another message"), THEN),
        ([stored(true("Ready", "Done"))], false("Ready", "Broken"), NOW),
        ([stored(unknown("Ready", "Pending"))], unknown("Ready", "Progressing"), THEN),
        ([stored(unknown("Ready", "Pending"), conditions.NEVER)], unknown("Ready", "Progressing"), NOW),
        ([unknown("Ready", "Pending")], unknown("Ready", "Progressing"), NOW),
        ([stored(true("Ready", "Done"), NOW + timedelta(hours=6))], true("Ready", "Done"), NOW),
    ],
    ids=["new", "same", "other words", "other status", "still unknown", "schema default", "without a time", "ahead"],
)
def test_the_transition_time_moves_with_the_status_only(
    existing: list[Condition], desired: Condition, since: datetime
) -> None:
    (merged,) = merge(existing, [desired], 7, NOW)
    assert merged == desired.replace(last_transition_time=since, observed_generation=7)


def test_desired_is_the_complete_set_in_its_order() -> None:
    before = [stored(false("Ready", "Busy")), stored(true("Reconciling", "Busy")), stored(true("Other", "Old"))]
    merged = merge(before, [true("Complete", "Done"), true("Ready", "Done")], 2, NOW)
    assert [condition.type for condition in merged] == ["Complete", "Ready"]


def test_reconciling_and_stalled_are_there_only_while_true() -> None:
    desired = [
        false("Ready", "Busy"),
        false("Reconciling", "Idle"),
        true("Stalled", "Stuck"),
        unknown("UnsupportedFields", "X"),
    ]
    assert [condition.type for condition in merge([], desired, 1, NOW)] == ["Ready", "Stalled"]


def test_a_second_merge_changes_nothing() -> None:
    desired = [true("Ready", "Done"), false("DriftDetected", "Calm")]
    once = merge([], desired, 1, NOW)
    assert merge(once, desired, 1, NOW + timedelta(days=1)) == once


def test_a_type_given_twice_is_an_error() -> None:
    with pytest.raises(ValueError, match="Ready is given twice"):
        merge([], [true("Ready", "A"), false("Ready", "B")], 1, NOW)


def test_find_and_is_true() -> None:
    have = [true("Ready", "Done"), false("Complete", "Busy")]
    assert find(have, "Complete") == have[1]
    assert find(have, "Failed") is None
    assert [is_true(have, type) for type in ("Ready", "Complete", "Failed")] == [True, False, False]


def test_unsupported_fields_are_named() -> None:
    assert unsupported(()) == ()
    (condition,) = unsupported(["spec.drift", "spec.tracking"])
    assert (condition.type, condition.status, condition.reason) == ("UnsupportedFields", "True", "NotActedOn")
    assert "spec.drift, spec.tracking" in condition.message


def test_a_long_message_is_cut() -> None:
    assert len(true("Ready", "Done", "x" * 3000).message) == 1024
