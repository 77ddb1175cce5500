"""What the watch says of fleets of which it is known what happened to them."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from modelfleet.api.quantities import IntOrPercent
from modelfleet.drift import Before, Judgement, State, anchor, figures, judge, provider_down
from modelfleet.drift.hours import ALL, EMPTY, FRAMES, LOW, PASSED, TRUE, Hours
from modelfleet.drift.policy import FEWER, FIGURES, Figure, Policy, Signal
from modelfleet.prometheus.results import ProviderDown
from unit.drift.fleets import DAY, HOUR, START, Fleet, plan, until, without

SITES = {f"edge-{number}": "north" if number < 7 else "south" for number in range(30)}
LISTED = Policy(signals=(Signal(Figure.CONFIDENCE, -0.05), Signal(Figure.LOW, -0.1)))


NEVER = Before()


def judged(hours: Hours, before: Before = NEVER, kept: anchor.Anchor | None = None, **changed: Any) -> Judgement:
    return judge(plan(**changed), hours, kept, before, hours.end)


@pytest.mark.parametrize(
    ("fleet", "policy", "state", "said"),
    [
        pytest.param(Fleet(), None, "Steady", "on the median of 10 nodes (drift: a fall of 0.050)", id="nothing"),
        pytest.param(Fleet(days=3), None, "Learning", "until 2026-11-06 10:00 UTC", id="three days"),
        pytest.param(Fleet(days=5), None, "Steady", "", id="five days"),
        pytest.param(Fleet(precision=-0.08), None, "Drifting", "detects about as much as before", id="scene"),
        pytest.param(Fleet(precision=-0.08), None, "Drifting", "expected precision fell by 0.0", id="how much"),
        pytest.param(Fleet(precision=-0.08, found=0.6, days=16), None, "Drifting", "less per frame", id="and misses"),
        pytest.param(Fleet(precision=-0.08, found=1.6, days=16), None, "Drifting", "more per frame", id="and clutter"),
        pytest.param(Fleet(precision=-0.08, days=10.2), None, "Suspected", "must last for 24h", id="not for long"),
        pytest.param(Fleet(precision=-0.03), None, "Steady", "", id="less than asked for"),
        pytest.param(Fleet(precision=0.1), None, "Steady", "", id="better"),
        pytest.param(Fleet(precision=-0.1, gradual=20, days=29), None, "Drifting", "", id="slowly"),
        pytest.param(Fleet(found=0.5, days=20), None, "FewerObjects", "per frame fell by 5", id="half the traffic"),
        pytest.param(Fleet(found=2, days=20), None, "Steady", "", id="double the traffic"),
        pytest.param(Fleet(weekends=0.4, days=21, onset=99), None, "Steady", "", id="weekends"),
        pytest.param(Fleet(precision=0.05, low=-0.14, found=0.85), None, "MoreConfident", "misses", id="misses"),
        pytest.param(Fleet(precision=0.05, low=-0.14, found=0.85), LISTED, "Drifting", "", id="misses, listed"),
        pytest.param(Fleet(precision=-0.2, affected=(3,)), None, "Steady", "edge-3 has drifted alone", id="one camera"),
        pytest.param(Fleet(nodes=3, precision=-0.2, affected=(1,)), None, "Steady", "edge-1", id="one of three"),
        pytest.param(Fleet(nodes=3, precision=-0.2, affected=(1, 2)), None, "Drifting", "", id="two of three"),
        pytest.param(Fleet(nodes=1, precision=-0.1), None, "Drifting", "1 of 1 node", id="a fleet of one"),
        pytest.param(
            Fleet(nodes=30, precision=-0.1, affected=tuple(range(6))), None, "Steady", "edge-", id="six of thirty"
        ),
        pytest.param(
            Fleet(nodes=30, precision=-0.1, affected=tuple(range(6))),
            None,
            "Steady",
            "6 in all; the dashboard Drift shows each node",
            id="more than can be named",
        ),
        pytest.param(
            Fleet(nodes=30, precision=-0.1, affected=tuple(range(6))),
            Policy(stratify_by="site"),
            "Drifting",
            "north: 6 of 7",
            id="a site",
        ),
        pytest.param(
            Fleet(nodes=30, precision=-0.1, affected=tuple(range(6))),
            Policy(nodes=IntOrPercent(5, is_percent=False)),
            "Drifting",
            "",
            id="as many as asked for",
        ),
        pytest.param(Fleet(per_hour=5), None, "Steady", "", id="few detections"),
        pytest.param(Fleet(per_hour=5, precision=-0.3), None, "Drifting", "", id="few detections, much worse"),
        pytest.param(Fleet(per_hour=0.2), None, "Learning", "at least 20 detections", id="hardly any detection"),
    ],
)
def test_what_is_said_of_a_fleet(fleet: Fleet, policy: Policy | None, state: str, said: str) -> None:
    found = judged(fleet.hours(), policy=policy or Policy(), strata=SITES)
    assert found.state == state
    assert said in found.message
    assert found.declared is (state == "Drifting")


@pytest.mark.parametrize("seed", range(6))
def test_a_fleet_to_which_nothing_happens_is_left_alone_at_every_look(seed: int) -> None:
    hours = Fleet(seed=seed, onset=99, days=16).hours()
    for day in np.arange(4, 16, 0.25):
        assert judged(until(hours, float(day))).state in ("Learning", "Steady", "Suspected")


def test_what_is_seen_hour_by_hour_is_what_is_seen_after_a_restart() -> None:
    """The anchor is kept as text and the declaration in the status; all else is made again from the hours there are."""
    hours, policy = Fleet(precision=-0.08, days=15).hours(), Policy()
    kept, before = None, Before()
    for hour in range(96, hours.hours + 1):
        now = START + hour * HOUR
        table = until(hours, hour / 24).since(now - policy.parts * HOUR)
        found = judged(table, before, kept)
        again = judged(table, before, None if kept is None else anchor.unpack(anchor.pack(kept)))
        assert (again.state, again.message, again.signals) == (found.state, found.message, found.signals)
        if found.anchor is not None:
            kept = anchor.unpack(anchor.pack(found.anchor))
        before = Before(found.declared, found.state.value, found.since)
    assert before.declared
    assert before.since is not None
    assert START + 10 * DAY < before.since < START + 11 * DAY


def test_with_the_status_wiped_it_finds_drift_again() -> None:
    hours = Fleet(precision=-0.08, days=16).hours()
    kept = judged(until(hours, 8)).anchor
    table = hours.since(hours.end - Policy().parts * HOUR)
    assert judged(table, Before(), kept).state is State.DRIFTING


@pytest.mark.parametrize(("days", "older"), [(16, False), (30, True)])
def test_where_the_figures_begin_with_drift_that_is_said(days: int, older: bool) -> None:
    """With the status lost nobody knows, then, since when it has lasted."""
    hours = Fleet(precision=-0.08, days=days).hours()
    found = judged(hours.since(hours.end - Policy().parts * HOUR), Before(), judged(until(hours, 8)).anchor)
    assert (found.state, found.older) == (State.DRIFTING, older)


def test_a_step_that_the_rolling_baseline_has_swallowed_is_still_there_against_the_anchor() -> None:
    hours = Fleet(precision=-0.08, days=30).hours()
    kept = judged(until(hours, 8)).anchor
    table = hours.since(hours.end - Policy().parts * HOUR)
    assert judged(table, Before(), kept).state is State.DRIFTING
    assert judged(table, Before(), None).state is State.STEADY  # which is why there is one


def test_a_lost_anchor_is_built_again_and_the_message_says_from_when() -> None:
    hours = Fleet(days=30, onset=99).hours()
    table = hours.since(hours.end - Policy().parts * HOUR)
    found = judged(table)
    assert found.anchor is not None
    assert found.baseline_from == found.anchor.begins > START + 15 * DAY
    assert f"since {found.baseline_from:%Y-%m-%d %H:%M} UTC" in found.message


def test_where_prometheus_remembers_three_days_the_anchor_is_compared_with() -> None:
    hours = Fleet(precision=-0.08, days=16).hours()
    kept = judged(until(hours, 8)).anchor
    short = hours.since(hours.end - 3 * DAY)
    assert judged(short).state is State.LEARNING
    assert judged(short, Before(), kept).state is State.DRIFTING


def test_where_prometheus_does_not_remember_the_beginning_that_is_said_while_there_is_no_baseline() -> None:
    short = without(Fleet(days=12, onset=99).hours(), slice(None), slice(0, 9 * 24))
    found = judged(short)
    assert found.state is State.LEARNING
    assert "stable since 2026-11-02 00:00 UTC, and Prometheus has no figures of it before 2026-11-11" in found.message
    assert "does not keep figures for 264h" in found.message
    assert "does not keep" not in judged(Fleet(days=3).hours()).message


@pytest.mark.parametrize("days", [3, 14], ids=["Learning", "Steady"])
def test_what_the_spec_asks_for_and_nothing_has_is_said(days: int) -> None:
    hours = Fleet(days=days, onset=99).hours()
    misspelt = Policy(stratify_by="example.com/sitte", exposure="sum by (instance) (increase(plc_parts[${part}]))")
    said = judged(hours, policy=misspelt, strata={}).message
    assert "No node has the label example.com/sitte (drift.stratifyBy)" in said
    assert "drift.exposure.query has given no count for any of these nodes" in said
    said = judged(counted(Fleet(days=days, onset=99)), policy=misspelt, strata=SITES).message
    assert "No node has the label" not in said
    assert "drift.exposure.query" not in said


@pytest.mark.parametrize("precision", [0.0, -0.08])
def test_a_gap_of_thirty_hours_changes_nothing(precision: float) -> None:
    hours = Fleet(precision=precision, days=16).hours()
    with_gap = without(hours, slice(None), slice(11 * 24, 11 * 24 + 30))
    assert judged(with_gap).state == judged(hours).state


def one_shift(hours: Hours, *, off: bool) -> Hours:
    """The table of a line that works from 6 to 14, Monday to Friday: then its nodes are off, or have nothing to see."""
    counts, number = hours.counts.copy(), np.arange(hours.hours)
    rest = (number % 24 < 6) | (number % 24 >= 14) | (number // 24 % 7 >= 5)
    if off:
        counts[:, rest] = np.nan
    else:
        counts[:, rest, : LOW + 1] = 0
        counts[:, rest, EMPTY] = counts[:, rest, FRAMES]
    return replace(hours, counts=counts)


@pytest.mark.parametrize("off", [False, True])
@pytest.mark.parametrize(("precision", "state"), [(0.0, "Steady"), (-0.08, "Drifting")])
def test_a_line_that_works_one_shift_is_watched(precision: float, state: str, off: bool) -> None:
    """It is known for a third of the hours of a window, and that is all that there is to know."""
    hours = one_shift(Fleet(precision=precision, days=18.6).hours(), off=off)  # until Friday's shift is over
    assert judged(hours).state == state


@pytest.mark.parametrize("off", [False, True])
def test_a_line_that_works_one_shift_and_to_which_nothing_happens_is_left_alone(off: bool) -> None:
    hours = one_shift(Fleet(onset=99, days=21).hours(), off=off)
    found = {judged(until(hours, day)).state for day in np.arange(1, 21, 0.375)}
    assert found <= {State.LEARNING, State.STEADY, State.PAUSED}


RATE = FIGURES.index(Figure.RATE)


@pytest.mark.parametrize("off", [False, True])
@pytest.mark.parametrize(("found", "state"), [(1.0, "Steady"), (0.6, "FewerObjects")])
def test_that_less_is_found_is_seen_on_a_line_that_works_one_shift(found: float, state: str, off: bool) -> None:
    """Where its nodes are off for the rest, a quarter of a week's hours is known, and that is a whole week of it."""
    hours = one_shift(Fleet(found=found, onset=10, days=24).hours(), off=off)
    seen = judged(hours)
    assert seen.state == state
    (rate,) = (each for each in seen.signals if each.name == "detection-rate")
    assert rate.change is not None
    assert rate.change == pytest.approx(found - 1, abs=0.12)


def test_a_week_of_a_shift_of_which_little_is_known_says_nothing_of_what_is_found() -> None:
    hours = one_shift(Fleet(days=21).hours(), off=True)
    whole = figures.changes(Policy(), hours, None, "b").change[RATE]
    closed = figures.changes(Policy(), without(hours, slice(None), slice(16 * 24, 21 * 24)), None, "b").change[RATE]
    assert np.isfinite(whole[:, 7 * 24 + 6 :]).all(), "it began at 6"
    assert not np.isfinite(whole[:, : 7 * 24 + 5]).any(), "before a whole week nobody knows what is usual"
    assert np.isfinite(closed[:, 17 * 24 + 5]).all(), "of five shifts one is missing"
    assert not np.isfinite(closed[:, 20 * 24]).any(), "of five shifts four are missing"


def test_a_line_of_a_few_hours_a_week_is_not_judged_by_what_is_found() -> None:
    hours = Fleet(days=21).hours()
    counts, number = hours.counts.copy(), np.arange(hours.hours)
    counts[:, (number % 24 >= 3) | (number // 24 % 7 >= 5)] = np.nan  # three hours on five days
    assert not np.isfinite(figures.changes(Policy(), replace(hours, counts=counts), None, "b").change[RATE]).any()


def test_fewer_days_of_a_week_say_less_of_it() -> None:
    """By the root of 7 / 5, on average: how much days differ is estimated from few of them."""
    ratios = []
    for seed in range(30):
        hours = Fleet(days=14, onset=99, weather=0.0, seed=seed).hours()
        weekdays = hours.counts.copy()
        weekdays[:, np.arange(hours.hours) // 24 % 7 >= 5] = np.nan
        whole, part = (
            figures.changes(Policy(), each, None, "b").error[RATE] for each in (hours, replace(hours, counts=weekdays))
        )
        ratios.append(part / whole)
    assert np.exp(np.mean(np.log(ratios))) == pytest.approx(np.sqrt(7 / 5), abs=0.15)


def test_a_window_of_which_little_is_known_says_nothing_of_a_line_that_never_rests() -> None:
    """A third of its hours is not enough, though it is for one that works no more."""
    hours = Fleet(days=14, onset=99).hours()
    found = figures.changes(Policy(), without(hours, slice(None), slice(13 * 24, 13 * 24 + 16)), None, "b")
    assert not np.isfinite(found.change[0, :, 13 * 24 + 23]).any()
    assert np.isfinite(found.change[0, :, 13 * 24 + 7]).all()


def test_without_figures_for_a_window_it_is_paused_since_the_last_ones() -> None:
    hours = without(Fleet(precision=-0.08, days=16).hours(), slice(None), slice(15 * 24 - 6, None))
    found = judged(hours, Before(declared=True, state="Drifting"))
    assert (found.state, found.declared) == (State.PAUSED, True)
    assert found.since is not None
    assert found.since == START + 14.75 * DAY
    assert "too few nodes" in found.message


@pytest.mark.parametrize("declared", [False, True])
def test_while_it_is_paused_what_was_declared_stays(declared: bool) -> None:
    last = judged(Fleet(days=16).hours())
    before = Before(declared, "Drifting" if declared else "Steady", START)
    found = provider_down(plan(), before, ProviderDown("no answer"), START + 16 * DAY, last)
    assert (found.state, found.declared, found.since) == (State.PAUSED, declared, START + 16 * DAY)
    assert "no answer" in found.message
    assert found.signals == last.signals
    again = provider_down(plan(), Before(declared, "Paused", START), ProviderDown("x"), START + 17 * DAY, last)
    assert again.since == START
    assert again.next_look is not None
    assert again.next_look <= START + 17 * DAY + timedelta(minutes=5)


@pytest.mark.parametrize("days", [16, 30], ids=["declared within the hours there are", "declared before"])
def test_drift_that_was_declared_before_a_pause_is_the_same_episode_after_it(days: int) -> None:
    hours = Fleet(precision=-0.08, days=days).hours()
    kept = judged(until(hours, 8)).anchor
    table = hours.since(hours.end - Policy().parts * HOUR)
    began = START + 10.5 * DAY
    paused = Before(declared=True, state="Paused", since=hours.end - DAY, declared_since=began)
    assert judged(table, paused, kept).since == began


def test_drift_ends_once_it_is_gone_by_half_for_as_long_as_it_had_to_last() -> None:
    back = Fleet(precision=-0.08, days=22).hours()
    well = Fleet(days=22, onset=99).hours()
    hours = replace(well, counts=np.concatenate([back.counts[:, : 15 * 24], well.counts[:, 15 * 24 :]], axis=1))
    before = Before(declared=True, state="Drifting", since=START + 10.5 * DAY)
    kept = judged(until(hours, 8)).anchor
    assert judged(until(hours, 16), before, kept).declared
    assert judged(until(hours, 17.9), before, kept).state is State.STEADY


def test_a_node_that_joins_has_a_baseline_of_its_own_and_counts_then() -> None:
    hours = Fleet(days=16, onset=99).hours()
    late = without(hours, [0], slice(0, 12 * 24))
    assert judged(late).nodes == 9
    assert judged(hours).nodes == 10
    later = judged(late, Before(), judged(until(hours, 8)).anchor)
    assert later.anchor is not None
    assert "edge-9" in later.anchor.means


def test_nodes_that_left_the_fleet_are_not_counted() -> None:
    hours = Fleet(precision=-0.2, affected=tuple(range(8)), days=16).hours()
    assert judged(hours).state is State.DRIFTING
    stayed = frozenset({"edge-8", "edge-9"})
    found = judged(hours, members=stayed)
    assert (found.state, found.nodes) == (State.STEADY, 2)
    assert judged(hours, members=frozenset({"of-another-name"})).nodes == 10


def test_without_a_calibration_raw_confidence_is_used_and_it_is_said() -> None:
    found = judged(Fleet().hours(), weights=None)
    assert "raw confidence was used" in found.message


@pytest.mark.parametrize("set_aside", [0, 3])
def test_without_any_hour_it_says_what_is_missing(set_aside: int) -> None:
    empty = Hours((), START, HOUR, np.zeros((0, 0, 6), np.float32), set_aside)
    found = judge(plan(), empty, None, Before(), START)
    assert found.state is State.LEARNING
    assert ("3 nodes" in found.message) is bool(set_aside)
    assert judge(plan(), None, None, Before(), START).state is State.LEARNING


def test_the_detection_rate_is_shown_as_a_share_whether_or_not_it_is_watched() -> None:
    only = Policy(signals=(Signal(Figure.CONFIDENCE, -0.05),))
    found = judged(Fleet(found=0.5, days=20).hours(), policy=only)
    assert found.state is State.STEADY
    shown = {each.name: each for each in found.signals}
    assert shown["detection-rate"].threshold == pytest.approx(-0.2)
    assert shown["detection-rate"].change == pytest.approx(-0.5, abs=0.1)
    assert judged(Fleet(found=0.5, days=20).hours(), policy=Policy(signals=(FEWER,))).state is State.FEWER_OBJECTS


def counted(fleet: Fleet) -> Hours:
    """The fleet's hours, beside a light barrier that counts what passes: it knows nothing of what the model finds."""
    hours, passed = fleet.hours(), replace(fleet, found=1.0).hours()
    counts = hours.counts.copy()
    counts[:, :, PASSED] = passed.counts[:, :, ALL]
    return replace(hours, counts=counts)


@pytest.mark.parametrize(
    ("fleet", "state"),
    [
        pytest.param(Fleet(onset=99, days=14), "Steady", id="nothing"),
        pytest.param(Fleet(found=0.7, days=14), "Drifting", id="misses, whatever the object"),
        pytest.param(Fleet(found=0.9, days=14), "Steady", id="few misses"),
        pytest.param(Fleet(found=0.7, days=14, weekends=0.3), "Drifting", id="misses, and weekends"),
    ],
)
def test_with_a_count_from_elsewhere_misses_are_drift(fleet: Fleet, state: str) -> None:
    found = judged(counted(fleet), policy=Policy(exposure="sum by (node) (parts)"))
    assert found.state == state
    if state == "Drifting":
        assert "fewer of the objects that passed" in found.message
        assert "per frame fell by 3" in found.message


def test_with_a_count_from_elsewhere_less_traffic_is_nothing() -> None:
    less = Fleet(found=0.5, days=14)
    hours = less.hours()
    counts = hours.counts.copy()
    counts[:, :, PASSED] = hours.counts[:, :, ALL]
    assert judged(replace(hours, counts=counts), policy=Policy(exposure="x")).state is State.STEADY


def test_a_count_from_elsewhere_that_is_missing_leaves_the_rest() -> None:
    assert judged(Fleet(precision=-0.08).hours(), policy=Policy(exposure="x")).state is State.DRIFTING


def test_a_thousand_nodes_and_strata_stay_bounded() -> None:
    fleet = Fleet(nodes=60, precision=-0.2)
    strata = {name: f"site-{number // 4}" for number, name in enumerate(fleet.names())}
    found = judged(fleet.hours(), policy=Policy(stratify_by="site"), strata=strata)
    assert (len(found.strata), len(found.examples)) == (5, 3)


def test_pooling_leaves_nodes_with_many_detections_as_they_are() -> None:
    hours = Fleet(nodes=2).hours()
    part, every = figures._pooled(hours.counts[:, :, TRUE], hours.counts[:, :, ALL])
    assert np.array_equal(part, hours.counts[:, :, TRUE])
    assert np.array_equal(every, hours.counts[:, :, ALL])
    assert np.isfinite(hours.counts[:, :, FRAMES]).all()
