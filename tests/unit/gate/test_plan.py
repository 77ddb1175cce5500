"""Looks are fixed when the gate starts."""

from datetime import timedelta

import pytest

from unit.gate.builders import START, plan


@pytest.mark.parametrize(
    ("interval", "measured_from", "first", "settle"),
    [(10, 10, 2, 5), (60, 60, 2, 30), (90, 60, 1, 30), (1800, 60, 1, 30)],
)
def test_the_first_window_is_dropped(interval, measured_from, first, settle):
    of = plan(interval=timedelta(seconds=interval))
    assert (of.measured_from - START).total_seconds() == measured_from
    assert of.first_look == first
    assert of.look_time(first) > of.measured_from
    assert of.settle.total_seconds() == settle


@pytest.mark.parametrize(
    ("seconds", "newest"), [(-60, 0), (0, 0), (89, 0), (90, 1), (149, 1), (150, 2), (3629, 59), (3630, 60), (86400, 60)]
)
def test_a_look_is_due_once_its_scrapes_have_settled_and_none_after_the_deadline(seconds, newest):
    assert plan().newest_look(START + timedelta(seconds=seconds)) == newest


def test_next_look_is_always_ahead():
    of = plan()
    assert of.next_look(START) == START + timedelta(seconds=150)
    for seconds in range(0, 7200, 7):
        now = START + timedelta(seconds=seconds)
        ahead = of.next_look(now) - now
        assert timedelta(0) < ahead <= timedelta(seconds=150)


def test_times_out_with_the_last_look():
    of = plan()
    assert not of.timed_out(START + timedelta(hours=1))
    assert of.timed_out(START + timedelta(hours=1, seconds=30))


def test_a_timeout_shorter_than_three_looks_still_gets_three():
    of = plan(timeout=timedelta(minutes=1), soak=timedelta(0))
    assert of.last_look == 4


@pytest.mark.parametrize(
    "changes", [{"control_groups": ()}, {"stable_version": None}, {"comparison": None}], ids=lambda c: next(iter(c))
)
def test_there_is_nothing_to_compare_without(changes):
    assert plan().compared
    assert not plan(**changes).compared
