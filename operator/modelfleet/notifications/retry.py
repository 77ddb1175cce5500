"""What the outcome of a try means: sent, again and when, or lost. Pure.

Waiting doubles from `_FIRST` to `_LONGEST`, and half of each wait is left to chance: receivers that come back are not
met by everything at once. A receiver that says when to come again is believed, up to `_LONGEST`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus

from modelfleet.notifications.notification import Notification

_FIRST = timedelta(seconds=1)
_LONGEST = timedelta(minutes=5)

_FINAL = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.GONE,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    }
)
"""Answers by which the receiver says that it never takes this message. All others may be cured on its side or, as a
wrong address or credential, on ours."""


@dataclass(frozen=True)
class Answered:
    """The receiver answered. `retry_after` is what it asked for, in seconds."""

    status: int
    retry_after: float | None = None


@dataclass(frozen=True)
class Unanswered:
    """It did not. `cause` is for metrics: timeout, unreachable, or configuration; `message` for the log."""

    cause: str
    message: str


@dataclass(frozen=True)
class Sent:
    """The receiver took it."""


@dataclass(frozen=True)
class Again:
    """Try again in `delay`, and leave the receiver alone for `pause`, as it has asked."""

    delay: timedelta
    pause: timedelta = timedelta(0)


@dataclass(frozen=True)
class Lost:
    """It is not tried any more. `cause` is for metrics: refused, or expired."""

    cause: str


def cause_of(outcome: Answered | Unanswered) -> str:
    """Why a try failed, for metrics."""
    return outcome.cause if isinstance(outcome, Unanswered) else f"http_{outcome.status}"


def judge(
    outcome: Answered | Unanswered,
    it: Notification,
    tries: int,
    now: datetime,
    *,
    retry_for: timedelta,
    chance: float,
) -> Sent | Again | Lost:
    """What follows from the outcome of try number `tries` (from 1). `chance` is a random number in [0, 1)."""
    if isinstance(outcome, Answered):
        if 200 <= outcome.status < 300:
            return Sent()
        if outcome.status in _FINAL:
            return Lost("refused")
    wait = min(_FIRST * (1 << min(tries - 1, 32)), _LONGEST)
    delay = wait * (0.5 + chance / 2)
    pause = timedelta(0)
    if isinstance(outcome, Answered) and outcome.retry_after is not None:
        pause = timedelta(seconds=min(outcome.retry_after, _LONGEST.total_seconds()))  # no timedelta takes every number
    delay = max(delay, pause)
    return Again(delay, pause) if now + delay < it.time + retry_for else Lost("expired")
