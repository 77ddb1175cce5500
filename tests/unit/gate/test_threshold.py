"""The Threshold method takes off what the nodes differed by before, where it knows."""

from math import inf, log

import pytest

from modelfleet.gate import Comparison, weights
from modelfleet.gate.messages import difference
from modelfleet.gate.threshold import Difference, compare
from modelfleet.measurement.node_table import Table
from unit.gate.builders import EQUAL, TIMID, canary, control, plan, table

COMPARISON = Comparison()
DARK = (0,) * 10


def past(*nodes) -> Table:
    """The same nodes on the stable version."""
    stable = plan(candidate_version="v1")
    return table(*nodes, of=stable)


def before(name="cam-1", **changes):
    return canary(name, labels={"version": "v1"}, **changes)


def compared(now: Table, then: Table | None) -> Difference:
    found = compare(now, then, weights.of(plan()), COMPARISON)
    assert isinstance(found, Difference)
    return found


def test_a_camera_that_always_differed_says_nothing():
    now = table(canary(counts=TIMID), control())
    found = compared(now, past(before(counts=TIMID), control()))
    assert found.adjusted
    assert found.precision == pytest.approx(0)
    assert found.rate == pytest.approx(0)
    assert found.within
    plain = compared(now, None)
    assert not plain.adjusted
    assert plain.less_precise


def test_what_the_control_nodes_lost_as_well_is_not_the_versions_doing():
    half = tuple(c / 2 for c in EQUAL)
    found = compared(table(canary(counts=half), control(counts=half)), past(before(), control()))
    assert found.rate == pytest.approx(0)


def test_a_change_for_the_worse_shows():
    half = tuple(c / 2 for c in EQUAL)
    found = compared(table(canary(counts=half), control()), past(before(), control()))
    assert found.rate == pytest.approx(log(0.5))
    assert found.finds_less


def test_a_blind_version_is_found_against_any_past():
    found = compared(table(canary(counts=DARK), control()), past(before(), control()))
    assert found.rate == -inf
    assert found.finds_less


@pytest.mark.parametrize(
    "then",
    [
        past(control()),
        past(before()),
        past(before(counts=tuple(c / 10 for c in EQUAL)), control()),
        past(before("another"), control()),
        past(before(frames=0), control()),
    ],
    ids=["no canary", "no control", "too few detections", "another node", "no frames"],
)
def test_without_enough_of_a_past_the_figures_stand_as_they_are(then):
    assert not compared(table(canary(), control()), then).adjusted


def test_only_nodes_with_a_past_count_where_there_are_some():
    now = table(canary(), canary("cam-9", counts=TIMID), control(), control("cam-8", counts=TIMID))
    found = compared(now, past(before(), control()))
    assert found.adjusted
    assert found.precision == pytest.approx(0)


def test_what_the_past_took_off_is_said():
    found = compared(table(canary(counts=TIMID), control()), past(before(), control()))
    assert f"(less what the nodes differed by before, {found.precision:+.3f}, margin -0.030)" in difference(found)


def test_just_as_many_detections_as_are_asked_for_are_enough():
    few = tuple(count * 0.3 for count in EQUAL)  # 300, and the control nodes' version would make fewer
    found = compare(table(canary(counts=few, frames=100), control()), None, weights.of(plan()), COMPARISON)
    assert isinstance(found, Difference)
    found = compare(table(canary(counts=(0, *few[1:]), frames=100), control()), None, weights.of(plan()), COMPARISON)
    assert (found.reason, found.message) == (
        "TooFewDetections",
        "297 of 300 required detections so far on canary nodes",
    )
