"""Update windows: when a rollout may move into the next group. Time zones and their clock changes included.

A window opens whenever its cron expression says, on the clock of its time zone, and stays open for `duration`.
Rollbacks never ask here.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from modelfleet.api import rollout as api


class BadWindow(ValueError):
    """A cron expression or a time zone that means nothing."""


def opens(windows: Sequence[api.Window], now: datetime) -> datetime | None:
    """When updates may start: `now` inside a window or where there are no windows, else the next opening.

    None when no window ever opens again. Raises BadWindow.
    """
    if not windows:
        return now
    starts = [start for window in windows if (start := _opening(window, now)) is not None]
    return max(now, min(starts)) if starts else None


def _opening(window: api.Window, now: datetime) -> datetime | None:
    """The first opening after `now - duration`: in the past it is a window still open, else it is the next one."""
    try:
        local = (now - window.duration).astimezone(ZoneInfo(window.time_zone))
        start: datetime = next(CronSim(window.cron, local))
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise BadWindow(f"window {window.cron!r}: unknown time zone {window.time_zone!r}") from error
    except CronSimError as error:
        raise BadWindow(f"window {window.cron!r} is no cron expression: {error}") from error
    except StopIteration:
        return None
    return start.astimezone(now.tzinfo)


def until(opening: datetime, now: datetime) -> timedelta:
    """How long to wait for an opening; at least a second, so that a look can't spin."""
    return max(opening - now, timedelta(seconds=1))
