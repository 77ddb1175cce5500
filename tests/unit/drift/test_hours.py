"""From Prometheus' answers to hours: what is known, what is not, and what is set aside."""

from datetime import timedelta

import numpy as np
import pytest

from modelfleet.drift import hours as table
from modelfleet.drift.hours import ALL, EMPTY, FRAMES, LOW, PASSED, TRUE, Hours
from modelfleet.prometheus.results import Samples
from unit.drift.fleets import HOUR, START

FIRST = START + HOUR
NAMES = ("true", "every", "low", "frames", "empty", "coverage")
USUAL = {"true": 80.0, "every": 100.0, "low": 20.0, "frames": 3600.0, "empty": 3000.0, "coverage": 12.0}


def answer(values, *, hours=3, shift=timedelta(0), **labels):
    """A series with the same value at each hour, or with these."""
    row = values if isinstance(values, list) else [values] * hours
    moments = [(FIRST + number * HOUR + shift).timestamp() for number in range(len(row))]
    return labels, tuple((at, value) for at, value in zip(moments, row, strict=True) if value is not None)


def read(changed=None, *, nodes=("a",), extra=(), hours=3):
    """The table where node "a" counts as usual, but for what is changed: name -> value, list of values, or None for no
    series at all. `extra`: (name, series) beside them."""
    found = USUAL | (changed or {})
    answers = {}
    for name in NAMES:
        series = [answer(found[name], hours=hours, node=node) for node in nodes if found[name] is not None]
        series += [each for which, each in extra if which == name]
        answers[name] = Samples(tuple(series)) if series else None
    last = FIRST + (hours - 1) * HOUR
    return table.read(FIRST, last, HOUR, [answers[name] for name in NAMES[:-1]], answers["coverage"])


def known(hours):
    return (
        [bool(np.isfinite(hours.counts[0, number, :PASSED]).all()) for number in range(hours.hours)]
        if hours.nodes
        else []
    )


def test_what_is_usual():
    found = read()
    assert (found.nodes, found.hours, found.start, found.end) == (("a",), 3, START, START + 3 * HOUR)
    assert list(found.counts[0, 0, [TRUE, ALL, LOW, FRAMES, EMPTY]]) == [80, 100, 20, 3600, 3000]
    assert found.set_aside == 0


@pytest.mark.parametrize(
    ("changed", "hours"),
    [
        pytest.param({"frames": [3600.0, None, 3600.0]}, [True, False, True], id="a gap"),
        pytest.param({"coverage": [12.0, 9.0, 10.0]}, [True, False, True], id="scraped for three quarters"),
        pytest.param({"coverage": [13.0, None, 12.0]}, [True, False, True], id="a dialect counts one more"),
        pytest.param({"true": [80.0, 101.0, 80.0]}, [True, False, True], id="more true ones than all"),
        pytest.param({"low": [20.0, 101.0, 20.0]}, [True, False, True], id="more low ones than all"),
        pytest.param({"every": [100.0, np.nan, 100.0]}, [True, False, True], id="not a number"),
        pytest.param({"every": [100.0, np.inf, 100.0]}, [True, False, True], id="infinite"),
        pytest.param({"frames": [3600.0, -5.0, 3600.0]}, [True, False, True], id="negative"),
        pytest.param({"empty": None}, [True] * 3, id="no frame was ever empty"),
        pytest.param({"true": None, "every": None, "low": None}, [True] * 3, id="nothing was ever found"),
        pytest.param({"true": None}, [], id="a histogram of other buckets"),
        pytest.param({"frames": None}, [], id="no frames"),
        pytest.param({"coverage": None}, [], id="never scraped"),
        pytest.param({"coverage": 3.0}, [], id="rarely scraped"),
    ],
)
def test_hours_that_are_known(changed, hours):
    found = read(changed)
    assert known(found) == hours
    assert found.set_aside == (0 if hours else 1)


@pytest.mark.parametrize(
    ("counted", "passed"),
    [
        ([90.0, None, 120.0], [90, np.nan, 120]),
        ([np.nan, -1.0, np.inf], [np.nan] * 3),
        (None, [np.nan] * 3),
    ],
)
def test_a_count_from_elsewhere_is_known_or_not_by_itself(counted, passed):
    usual = [Samples((answer(USUAL[name], node="a"),)) for name in NAMES]
    other = None if counted is None else Samples((answer(counted, node="a"), answer(7.0, node="of-nobody")))
    found = table.read(FIRST, FIRST + 2 * HOUR, HOUR, usual[:-1], usual[-1], other)
    assert np.array_equal(found.counts[0, :, PASSED], passed, equal_nan=True)
    assert known(found) == [True] * 3


def test_nothing_found_counts_as_none_found():
    found = read({"true": None, "every": None, "low": None})
    assert list(found.counts[0, 0, [TRUE, ALL, LOW]]) == [0, 0, 0]


def test_no_answer_at_all_is_an_empty_table():
    found = table.read(FIRST, FIRST + HOUR, HOUR, [None] * 5, None)
    assert (found.nodes, found.hours) == ((), 2)


def test_a_node_in_two_groups_is_added_up():
    extra = [(name, answer(value, node="a", group="other")) for name, value in USUAL.items() if name != "coverage"]
    found = read(extra=extra)
    assert list(found.counts[0, 0, [TRUE, FRAMES]]) == [160, 7200]


def test_the_name_that_the_application_gave_counts():
    extra = [(name, answer(value, node="scraper", exported_node="b")) for name, value in USUAL.items()]
    assert read(extra=extra).nodes == ("a", "b")


def test_series_without_a_node_are_no_node():
    assert read(extra=[("frames", answer(1.0, job="x"))]).nodes == ("a",)


def test_points_elsewhere_are_left_out():
    extra = [(name, answer(value, hours=1, shift=9 * HOUR, node="a")) for name, value in USUAL.items()]
    assert known(read(extra=extra)) == [True] * 3


def test_tables_are_put_behind_each_other_with_what_lies_between_unknown():
    one = read(nodes=("a", "b"))
    two = Hours(("b", "c"), START + 5 * HOUR, HOUR, np.ones((2, 2, 6), np.float32), 1)
    both = one.followed_by(two)
    assert (both.nodes, both.hours, both.set_aside) == (("a", "b", "c"), 7, 1)
    frames = both.counts[:, :, FRAMES]
    assert np.isfinite(frames).tolist() == [
        [True] * 3 + [False] * 4,
        [True] * 3 + [False] * 2 + [True] * 2,
        [False] * 5 + [True] * 2,
    ]


@pytest.mark.parametrize(("hours", "left"), [(-5, 3), (0, 3), (1, 2), (1.5, 1), (3, 0), (9, 0)])
def test_hours_since_a_moment(hours, left):
    found = read().since(START + hours * HOUR)
    assert found.hours == left
    assert found.end == START + 3 * HOUR or not left


@pytest.mark.parametrize("shape", [(2, 3, 6), (1, 3, 5)])
def test_a_table_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match="counts must be"):
        Hours(("a",), START, HOUR, np.zeros(shape, np.float32))


def test_tables_of_other_parts_are_not_joined():
    with pytest.raises(ValueError, match="different lengths"):
        read().followed_by(Hours((), START, 2 * HOUR, np.zeros((0, 1, 6), np.float32)))
