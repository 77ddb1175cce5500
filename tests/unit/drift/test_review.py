"""Drift by reviewed frames: when it is declared, when it is taken back, and what can't be measured."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from modelfleet.api.driftspec import Drift
from modelfleet.drift import Before, Interval, Judgement, Reviewed, State, judge, overlay, policy
from modelfleet.drift.judgement import SignalChange
from modelfleet.drift.policy import Policy
from unit.drift.fleets import DAY, START, Fleet, plan

NOW = START + 20 * DAY
SINCE = NOW - 2 * DAY
RECALL = {"name": "reviewed-recall", "minimum": "0.85"}
POLICY = policy(Drift.model_validate({"signals": [{"name": "confidence", "minDrop": "0.05"}, RECALL]}))
LOW, DOUBT = Interval(0.78, 0.74, 0.82), Interval(0.82, 0.77, 0.87)
AT, GOOD = Interval(0.85, 0.8, 0.9), Interval(0.93, 0.9, 0.96)
STEADY = Judgement(State.STEADY, "as usual", signals=(SignalChange("confidence", -0.01, -0.05),))
FIGURES = Judgement(State.DRIFTING, "confidence fell", declared=True, since=SINCE)
WAS = Before(state="Drifting", since=SINCE, reviewed=("reviewed-recall",), declared_since=SINCE)


def seen(recall: Interval | None = None, precision: Interval | None = None, **fields: Any) -> Reviewed:
    return Reviewed("parts", 420, recall, precision, **fields)


def laid(
    found: Judgement, reviewed: Reviewed, before: Before | None = None, of: Policy = POLICY, *, held: bool = False
) -> Judgement:
    return overlay(found, plan(of), reviewed, before or Before(), NOW, held=held)


@pytest.mark.parametrize(
    ("recall", "before", "declared", "said"),
    [
        (
            LOW,
            None,
            True,
            "v3 misses too many objects in production: recall 0.780 by 420 reviewed frames (95% interval",
        ),
        (Interval(0.8, 0.75, 0.85), None, False, "not for certain"),  # the minimum itself is good enough
        (Interval(0.8, 0.75, 0.8499), None, True, "misses"),
        (DOUBT, None, False, "That is less, but not for certain: review more frames."),
        (AT, None, False, "v3 in production: recall 0.850"),
        (GOOD, None, False, "v3 in production: recall 0.930"),
        (
            None,
            None,
            False,
            "reviewed-recall can't be measured: 420 reviewed frames of v3 in Dataset parts do not suffice",
        ),
        (LOW, WAS, True, "misses"),
        (DOUBT, WAS, True, "It was lower, and is drift until it is back at 0.85."),
        (AT, WAS, False, "v3 in production: recall 0.850"),
        (GOOD, WAS, False, "v3 in production"),
        (None, WAS, True, "It was below 0.85: drift stays declared until it can be measured."),
    ],
)
def test_drift_is_declared_by_the_whole_interval_and_taken_back_by_the_estimate(recall, before, declared, said):
    found = laid(STEADY, seen(recall), before)
    assert found.state is (State.DRIFTING if declared else State.STEADY)
    assert found.declared is declared
    assert found.by == (("reviewed-recall",) if declared else ())
    assert found.signals == (*STEADY.signals, SignalChange("reviewed-recall", recall and recall.value, 0.85))
    assert said in found.message
    assert "as usual" in found.message


@pytest.mark.parametrize("state", [State.LEARNING, State.PAUSED, State.SUSPECTED, State.MORE_CONFIDENT])
def test_it_needs_neither_a_baseline_nor_prometheus(state):
    figures = Judgement(state, "no figures", learning_until=NOW)
    assert laid(figures, seen(LOW)).state is State.DRIFTING
    for recall in (DOUBT, GOOD, None):
        found = laid(figures, seen(recall))
        assert (found.state, found.declared) == (state, False)


@pytest.mark.parametrize("recall", [LOW, DOUBT, GOOD, None])
def test_while_a_version_is_on_its_way_nothing_changes(recall):
    paused = Judgement(State.PAUSED, "Paused: v2 is on its way.")
    assert laid(paused, seen(recall), held=True).declared is False
    found = laid(paused, seen(recall), replace(WAS, state="Paused"), held=True)
    assert (found.state, found.declared, found.by) == (State.PAUSED, True, ("reviewed-recall",))
    assert found.message == paused.message


@pytest.mark.parametrize(
    ("figures", "recall", "by"),
    [
        (FIGURES, LOW, ("figures", "reviewed-recall")),
        (FIGURES, GOOD, ("figures",)),
        (FIGURES, None, ("figures",)),
        (STEADY, LOW, ("reviewed-recall",)),
    ],
)
def test_each_declares_drift_for_itself(figures, recall, by):
    found = laid(figures, seen(recall))
    assert (found.state, found.by) == (State.DRIFTING, by)


@pytest.mark.parametrize(
    ("figures", "before", "since"),
    [
        (STEADY, Before(), NOW),
        (FIGURES, Before(), SINCE),
        (STEADY, Before(state="Steady", since=SINCE), NOW),
        (STEADY, Before(state="Drifting", since=SINCE), SINCE),
        (STEADY, Before(state="Paused", since=NOW - DAY, reviewed=WAS.reviewed, declared_since=SINCE), SINCE),
    ],
)
def test_an_episode_begins_once(figures, before, since):
    assert laid(figures, seen(LOW), before).since == since


def test_precision_has_a_minimum_of_its_own_and_one_that_is_not_listed_has_none():
    of = policy(Drift.model_validate({"signals": [{"name": "reviewed-precision", "minimum": "0.9"}]}))
    assert not of.signals
    assert laid(STEADY, seen(recall=LOW, precision=GOOD), of=of).state is State.STEADY
    found = laid(STEADY, seen(recall=GOOD, precision=LOW), of=of)
    assert (found.state, found.by) == (State.DRIFTING, ("reviewed-precision",))
    assert "v3 sees too many objects where there are none in production: precision 0.780" in found.message
    assert laid(STEADY, seen(recall=LOW), before=WAS, of=of).by == ()  # no longer listed


def test_where_reviewed_frames_are_not_watched_nothing_is_said_of_them():
    assert laid(STEADY, seen(LOW), of=Policy()) is STEADY


def test_why_there_is_no_figure_is_said_in_the_words_of_who_looked():
    found = laid(STEADY, Reviewed(missing="there is no Dataset of model parts"))
    assert "reviewed-recall can't be measured: there is no Dataset of model parts." in found.message


@pytest.mark.parametrize(
    ("fleet", "state"),
    [
        (Fleet(), State.STEADY),
        (Fleet(precision=-0.2), State.STEADY),  # nobody asked
        (Fleet(precision=-0.2, affected=(3,)), State.STEADY),
        (Fleet(found=0.5, days=20), State.STEADY),
        (Fleet(precision=0.05, low=-0.14, found=0.85), State.MORE_CONFIDENT),
        (Fleet(days=3), State.LEARNING),
    ],
)
def test_with_reviewed_frames_alone_the_figures_of_the_nodes_are_no_drift(fleet, state):
    of = policy(Drift.model_validate({"signals": [RECALL]}))
    hours = fleet.hours()
    found = judge(plan(of), hours, None, Before(), hours.end)
    assert (found.state, found.declared, found.lone) == (state, False, ())
    assert found.next_look is not None
    assert found.next_look - hours.end < timedelta(hours=2)
