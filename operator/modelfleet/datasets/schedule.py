"""When a sync is due. Pure.

The first one is, when the Dataset was created; then one at each slot of the schedule. Of slots that nobody saw to (the
operator was away) the last one is made up. A spec that was corrected after a failure is tried at once, and so is what
somebody asks for (`modelfleet.dev/sync: now@1`), also while the Dataset is suspended.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from modelfleet import cron
from modelfleet.api import DatasetSpec, LastSync

_SECOND = timedelta(seconds=1)

_AHEAD = timedelta(hours=1)
"""What is dated later than so much from now, a clock that was wrong has dated: nothing waits for that time."""


@dataclass(frozen=True)
class Due:
    """A sync that is to start now. `command`: the value of the annotation that asks for it."""

    at: datetime
    command: str = ""


def due(spec: DatasetSpec, last: LastSync | None, generation: int, command: str, now: datetime) -> Due | None:
    """The sync that is due, if one is. `last` is what ended last; `command` what somebody asks for, "" for nothing."""
    moment = now.replace(microsecond=0)
    if last is not None:
        moment = max(moment, last.due + _SECOND)  # no two are for the same moment, whatever the clock does
    if command:
        return Due(moment, command)
    if spec.suspend:
        return None
    if last is None or (last.result == "Failed" and generation > last.generation):
        return Due(moment)
    slot = next_slot(spec, last, now)
    if slot is None or slot > now:
        return None
    return Due(max(_slot(spec.schedule, now + _SECOND, reverse=True) or slot, last.due + _SECOND))


def next_slot(spec: DatasetSpec, last: LastSync | None, now: datetime) -> datetime | None:
    """The first slot after the last sync ended; None where there is none, and while none is to be."""
    if spec.suspend or last is None:
        return None
    ended = max((moment for moment in (last.due, last.at) if moment <= now + _AHEAD), default=None)
    return _slot(spec.schedule, now + _SECOND, reverse=True) if ended is None else _slot(spec.schedule, ended)


def _slot(schedule: str, moment: datetime, *, reverse: bool = False) -> datetime | None:
    try:
        return cron.following(schedule, moment, reverse=reverse)
    except cron.BadCron:
        return None
