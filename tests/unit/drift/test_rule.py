"""How many nodes must have changed, and for how long."""

import numpy as np
import pytest

from modelfleet.api.quantities import IntOrPercent
from modelfleet.drift import rule
from modelfleet.drift.policy import Figure, Signal

DOWN = Signal(Figure.CONFIDENCE, -0.05)
UP = Signal(Figure.LOW, 0.05)
SHARE = IntOrPercent(30, is_percent=True)
NAN = np.nan


def seen(changes, error=0.001, signal=DOWN, nodes=SHARE, strata=None):
    return rule.look(signal, np.array(changes, np.float32)[:, None], error, nodes, strata)


@pytest.mark.parametrize(
    ("changes", "holds"),
    [
        pytest.param([-0.06] * 3 + [0.0] * 7, True, id="30% of ten"),
        pytest.param([-0.06] * 2 + [0.0] * 8, False, id="20% of ten"),
        pytest.param([-0.06, 0.0, 0.0], False, id="one of three"),
        pytest.param([-0.06, -0.06, 0.0], True, id="two of three"),
        pytest.param([-0.06], True, id="one of one"),
        pytest.param([-0.06, 0.0], False, id="one of two"),
        pytest.param([-0.06] * 3 + [0.0] * 7 + [NAN] * 4, True, id="of those with a figure"),
        pytest.param([0.06] * 10, False, id="the other way"),
        pytest.param([-0.05] * 10, True, id="just as much as asked for"),
        pytest.param([-0.0499] * 10, False, id="not quite"),
    ],
)
def test_so_many_nodes_must_have_changed(changes, holds):
    assert seen(changes).holds[0] == holds


def test_few_of_those_that_had_a_figure_say_nothing():
    before = [-0.06] * 10
    found = rule.look(DOWN, np.array([before, [-0.06] * 2 + [NAN] * 8], np.float32).T, 0.001, SHARE)
    assert list(found.measured) == [True, False]
    assert list(found.holds) == [True, False]


@pytest.mark.parametrize(("error", "holds"), [(0.016, True), (0.03, False), (NAN, False)])
def test_a_change_must_be_certain_too(error, holds):
    assert seen([-0.06] * 10, error).holds[0] == holds


def test_nothing_is_measured_without_an_error():
    assert not seen([-0.06] * 10, NAN).measured[0]


@pytest.mark.parametrize(
    ("strata", "holds"),
    [
        (None, False),
        (["a"] * 3 + ["b"] * 9, True),
        (["a", "a", "c"] + ["b"] * 9, False),  # a stratum of two does not count
        ([None] * 12, False),
    ],
)
def test_most_of_a_stratum_of_three_is_enough(strata, holds):
    found = seen([-0.06, -0.06, 0.0] + [0.0] * 9, strata=strata)
    assert found.holds[0] == holds
    assert found.strata == ((("a", 3, 2),) if holds else ())


def test_a_rise_is_looked_for_upwards():
    found = seen([0.06] * 10, signal=UP)
    assert found.holds[0]
    assert found.threshold == pytest.approx(0.05)
    assert found.median[0] == pytest.approx(0.06)


def test_it_lasts_while_half_of_what_was_asked_for_is_there():
    assert seen([-0.03] * 10).keeps[0]
    assert not seen([-0.02] * 10).keeps[0]


def track(text, sustained=3, active=False):
    """`text`: for each look `+` the rule holds, `~` it does by half, `-` it does not, `.` nothing was measured."""
    looks = np.array(list(text))
    return rule.follow(looks == "+", (looks == "+") | (looks == "~"), looks != ".", sustained, active)


@pytest.mark.parametrize(
    ("looks", "active", "since", "suspected"),
    [
        ("", False, None, None),
        ("-----", False, None, None),
        ("--++", False, None, 2),
        ("--+++", True, 4, 2),
        ("--+.+.+", True, 6, 2),
        ("++-++", False, None, 3),
        ("+~+", False, None, 0),  # still suspected, and counted again
        ("+++--", True, 2, None),
        ("+++---", False, None, None),
        ("+++-~--", True, 2, None),
        ("+++-.-.-", False, None, None),
        ("+++---+++", True, 8, 6),
    ],
)
def test_declared_and_taken_back(looks, active, since, suspected):
    found = track(looks)
    assert (found.active, found.since, found.suspected_since) == (active, since, suspected)
    assert found.suspected == (suspected is not None)


@pytest.mark.parametrize(("looks", "active"), [("", True), ("--", True), ("---", False), ("...", True)])
def test_what_was_declared_before_the_first_look(looks, active):
    found = track(looks, active=True)
    assert (found.active, found.since) == (active, None)


def test_severity_is_the_share_first():
    assert seen([-0.06] * 5 + [0.0] * 5).severity(0) < seen([-0.051] * 6 + [0.0] * 4).severity(0)
    assert seen([-0.06] * 10).severity(0) < seen([-0.2] * 10).severity(0)
