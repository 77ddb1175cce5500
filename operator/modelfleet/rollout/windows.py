"""Update windows: when a rollout may move into the next group. Time zones and their clock changes included.

A window opens whenever its cron expression says, on the clock of its time zone, and stays open for `duration`.
Rollbacks never ask here.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from modelfleet import cron
from modelfleet.api import rollout as api


class BadWindow(ValueError):
    """A cron expression or a time zone that means nothing."""


def opens(windows: Sequence[api.Window], now: datetime) -> datetime:
    """When updates may start: `now` inside a window or where there are no windows, else the next opening.

    Raises BadWindow. Every window opens again: `cron.following` refuses one that has no day.
    """
    return max(now, min(_opening(window, now) for window in windows)) if windows else now


def _opening(window: api.Window, now: datetime) -> datetime:
    """The first opening after `now - duration`: in the past it is a window still open, else it is the next one."""
    try:
        local = (now - window.duration).astimezone(ZoneInfo(window.time_zone))
        start = cron.following(window.cron, local)
    except cron.BadCron as error:
        raise BadWindow(f"cron {error}") from error
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise BadWindow(f"window {window.cron!r}: unknown time zone {window.time_zone!r}") from error
    return start.astimezone(now.tzinfo)


def until(opening: datetime, now: datetime) -> timedelta:
    """How long to wait for an opening; at least a second, so that a look can't spin."""
    return max(opening - now, timedelta(seconds=1))
