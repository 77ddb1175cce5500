"""When a cron expression comes next. Pure.

A range that goes past its end goes on from the start, as people write it: SAT-SUN is the weekend, and the hours 22-4
are 22, 23, 0, 1, 2, 3 and 4.
"""

from datetime import datetime
from typing import NamedTuple

from cronsim import CronSim, CronSimError


class BadCron(ValueError):
    """No cron expression of five fields, or one that names no date that ever comes."""


class _Field(NamedTuple):
    first: int
    size: int
    names: tuple[str, ...] = ()  # of the values, from `first` on

    def value(self, text: str) -> int:
        return self.names.index(text) + self.first if text in self.names else int(text)

    def forward(self, item: str) -> str:
        """A range that goes past the end, as a list of its values; anything else as it is."""
        span, _, step = item.partition("/")
        start, dash, end = span.partition("-")
        if not dash or (low := self.value(start)) <= (high := self.value(end)):
            return item
        values = range(low, high + self.size + 1, int(step or 1))
        return ",".join(str((value - self.first) % self.size + self.first) for value in values)


_FIELDS = (
    _Field(0, 60),
    _Field(0, 24),
    _Field(1, 31),
    _Field(1, 12, ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")),
    _Field(0, 7, ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")),
)


def following(expression: str, moment: datetime, *, reverse: bool = False) -> datetime:
    """The first time after `moment`, or the last one before it, on the clock of its time zone.

    Raises BadCron. Of what the API takes as a cron expression, that is what has no day, such as `0 0 31 2 *`; the
    rarest day, a Sunday that is a 29th of February, comes within 40 of the 50 years that CronSim looks ahead.
    """
    try:
        parts = [
            ",".join(map(field.forward, text.split(",")))
            for field, text in zip(_FIELDS, expression.upper().split(), strict=True)
        ]
        found: datetime = next(CronSim(" ".join(parts), moment, reverse=reverse))
    except (ValueError, CronSimError):
        raise BadCron(f"{expression!r} names no date that ever comes") from None
    return found
