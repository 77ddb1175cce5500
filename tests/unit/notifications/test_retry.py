"""Sent, again and when, or lost."""

from datetime import timedelta

import pytest

from modelfleet.notifications.retry import Again, Answered, Lost, Sent, Unanswered, cause_of, judge
from unit.notifications.samples import NOW, PROMOTED

AWAY = Unanswered("unreachable", "it can't be reached")


def follows(outcome, tries=1, after=timedelta(0), chance=0.0, retry_for=timedelta(hours=24)):
    return judge(outcome, PROMOTED, tries, NOW + after, retry_for=retry_for, chance=chance)


@pytest.mark.parametrize("status", [200, 202, 204, 299])
def test_any_success_is_one(status):
    assert follows(Answered(status)) == Sent()


@pytest.mark.parametrize("status", [400, 410, 413, 415, 422])
def test_what_the_receiver_never_takes_is_not_tried_again(status):
    assert follows(Answered(status)) == Lost("refused")


@pytest.mark.parametrize("status", [301, 401, 403, 404, 408, 409, 425, 429, 500, 502, 503, 504])
def test_what_may_be_cured_is(status):
    assert follows(Answered(status)) == Again(timedelta(seconds=0.5))
    assert cause_of(Answered(status)) == f"http_{status}"


@pytest.mark.parametrize(
    ("tries", "chance", "seconds"),
    [(1, 0.0, 0.5), (1, 1.0, 1), (2, 0.0, 1), (5, 1.0, 16), (9, 0.0, 128), (10, 0.0, 150), (10_000, 1.0, 300)],
)
def test_waiting_doubles_up_to_five_minutes_and_half_of_it_is_chance(tries, chance, seconds):
    assert follows(AWAY, tries, chance=chance) == Again(timedelta(seconds=seconds))


@pytest.mark.parametrize(("asked", "seconds"), [(None, 0.5), (0.1, 0.5), (30.0, 30), (9999.0, 300), (1.785e15, 300)])
def test_a_receiver_that_says_when_is_believed_within_bounds(asked, seconds):
    found = follows(Answered(429, asked))
    assert found.delay == timedelta(seconds=seconds)
    assert found.pause == timedelta(seconds=min(asked or 0, 300))


def test_the_receiver_is_left_alone_for_as_long_as_it_asked_and_not_for_as_long_as_one_message_waits():
    assert follows(Answered(503, 2.0), tries=10) == Again(timedelta(seconds=150), pause=timedelta(seconds=2))


@pytest.mark.parametrize(
    ("after", "result"),
    [
        (timedelta(hours=24) - timedelta(seconds=1), Again(timedelta(seconds=0.5))),
        (timedelta(hours=24) - timedelta(seconds=0.5), Lost("expired")),
        (timedelta(hours=24), Lost("expired")),
    ],
)
def test_it_ends_where_the_next_try_would_come_too_late(after, result):
    assert follows(AWAY, after=after) == result


def test_what_comes_too_late_is_still_sent_once():
    """After an operator that was away for days: the receiver is asked, and only a failure is the end."""
    assert follows(Answered(200), after=timedelta(days=3)) == Sent()
