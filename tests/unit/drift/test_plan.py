"""When a watch looks, and at which hours."""

from datetime import UTC, datetime, timedelta

import pytest

from modelfleet.api.driftspec import Drift
from modelfleet.drift.plan import Plan
from modelfleet.drift.policy import Policy, policy
from unit.drift.fleets import DAY, HOUR, START, WEIGHTS, plan

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("after", "last"),
    [
        (59 * MINUTE, None),
        (64 * MINUTE, None),
        (65 * MINUTE, HOUR),
        (124 * MINUTE, HOUR),
        (125 * MINUTE, 2 * HOUR),
        (20 * DAY + 30 * MINUTE, 20 * DAY),
    ],
)
def test_an_hour_is_asked_for_five_minutes_after_its_end(after, last):
    assert plan().last(START + after) == (None if last is None else START + last)


@pytest.mark.parametrize(("minute", "first"), [(0, 1), (1, 2), (59, 2), (60, 2), (61, 3)])
def test_the_first_hour_is_one_that_began_after_the_promotion(minute, first):
    begins = START + minute * MINUTE
    assert plan(begins=begins).first(START + 9 * HOUR) == START + first * HOUR


def test_no_more_hours_are_asked_for_than_are_needed():
    last = START + 60 * DAY
    assert plan().first(last) == last - ((7 + 2) * 24 + 2 * 24 - 1) * HOUR


@pytest.mark.parametrize("minutes", [0, 4, 5, 6, 59, 64])
def test_the_next_look_finds_a_new_hour_and_none_was_there_before(minutes):
    watch, now = plan(begins=START - DAY), START + minutes * MINUTE
    following = watch.next_look(now)
    assert now < following <= now + HOUR + 5 * MINUTE
    assert watch.last(following) == watch.last(now) + HOUR
    assert watch.last(following - 5 * MINUTE) == watch.last(now)


def test_not_all_rollouts_ask_at_once():
    moments = {plan(rollout=f"line-{number}").next_look(START) for number in range(100)}
    assert len(moments) == 100
    assert all(START + 5 * MINUTE <= moment < START + 10 * MINUTE for moment in moments)


def test_a_shorter_window_has_shorter_parts():
    watch = plan(Policy(window=timedelta(minutes=24), baseline=timedelta(minutes=168)))
    assert watch.policy.part == MINUTE
    assert watch.last(START + 10 * MINUTE + timedelta(seconds=5)) == START + 10 * MINUTE
    assert watch.last(START + 10 * MINUTE + timedelta(seconds=4)) == START + 9 * MINUTE


def test_it_is_tried_again_soon_after_no_answer():
    watch = plan(begins=START - DAY)
    assert watch.next_try(START + 10 * MINUTE) == START + 15 * MINUTE
    assert watch.next_try(START + 64 * MINUTE) == watch.next_look(START + 64 * MINUTE)


@pytest.mark.parametrize(("weights", "calibrated"), [(WEIGHTS, True), (None, False), ((), False), ((0.5,), False)])
def test_only_a_calibration_of_the_same_buckets_counts(weights, calibrated):
    watch = plan(weights=weights)
    assert watch.calibrated is calibrated
    assert len(watch.detection_weights) == 10
    assert (watch.basis == "86400s 604800s calibrated") is calibrated


def test_who_is_in_the_fleet_does_not_make_it_another_watch():
    assert plan(members=frozenset({"a"}), strata={"a": "b"}) == plan()


def test_defaults_of_the_api_are_those_of_the_policy():
    assert policy(Drift()) == Policy()


def test_the_policy_of_a_spec():
    spec = Drift.model_validate(
        {
            "signals": [
                {"name": "low-confidence-rate", "minRise": "0.1"},
                {"name": "low-confidence-rate", "minDrop": "0.2"},
                {"name": "detection-rate", "minDrop": "0.5"},
                {"name": "empty-frame-rate", "minRise": "0.3"},
            ],
            "nodes": 3,
            "stratifyBy": "site",
            "baseline": "72h",
            "window": "12h",
            "sustain": "6h",
            "exposure": {"query": "parts"},
            "provider": "west",
        }
    )
    found = policy(spec)
    assert [round(each.change, 3) for each in found.signals] == [0.1, -0.2, -0.693, 0.3]
    assert (found.windows, found.part, found.sustained) == (6, timedelta(minutes=30), 12)
    assert (found.nodes.of(10), found.stratify_by, found.exposure, found.provider) == (3, "site", "parts", "west")


def test_a_moment_is_the_same_whatever_the_clock_of_the_operator_is_set_to():
    early = Plan("n", "r", "x", "v", datetime(2026, 11, 2, tzinfo=UTC))
    assert early.last(datetime(2026, 11, 2, 3, 10, tzinfo=UTC)) == datetime(2026, 11, 2, 3, tzinfo=UTC)
