"""When a cron expression comes next, and which ones never do."""

from datetime import UTC, datetime
from typing import Any

import pytest

from modelfleet import cron

WEDNESDAY = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


def days(expression: str, count: int) -> list[str]:
    found, moment = [], WEDNESDAY
    for _ in range(count):
        moment = cron.following(expression, moment)
        found.append(f"{moment:%a %d %b %H:%M}")
    return found


@pytest.mark.parametrize(
    ("expression", "comes"),
    [
        ("0 3 * * SAT-SUN", ["Sat 28 Nov 03:00", "Sun 29 Nov 03:00", "Sat 05 Dec 03:00"]),
        ("0 3 * * 6-7", ["Sat 28 Nov 03:00", "Sun 29 Nov 03:00", "Sat 05 Dec 03:00"]),
        ("0 3 * * 6-0", ["Sat 28 Nov 03:00", "Sun 29 Nov 03:00", "Sat 05 Dec 03:00"]),
        ("0 3 * * 7-1", ["Sun 29 Nov 03:00", "Mon 30 Nov 03:00", "Sun 06 Dec 03:00"]),
        ("0 3 * * FRI-MON/2", ["Fri 27 Nov 03:00", "Sun 29 Nov 03:00", "Fri 04 Dec 03:00"]),
        ("0 22-1 * * *", ["Wed 25 Nov 22:00", "Wed 25 Nov 23:00", "Thu 26 Nov 00:00", "Thu 26 Nov 01:00"]),
        ("0 9,22-0 * * *", ["Wed 25 Nov 22:00", "Wed 25 Nov 23:00", "Thu 26 Nov 00:00", "Thu 26 Nov 09:00"]),
        ("58-1 13 * * *", ["Wed 25 Nov 13:00", "Wed 25 Nov 13:01", "Wed 25 Nov 13:58", "Wed 25 Nov 13:59"]),
        ("0 0 30-2 * *", ["Mon 30 Nov 00:00", "Tue 01 Dec 00:00", "Wed 02 Dec 00:00", "Wed 30 Dec 00:00"]),
        ("0 0 1 NOV-JAN *", ["Tue 01 Dec 00:00", "Fri 01 Jan 00:00", "Mon 01 Nov 00:00"]),
        ("0 22 * * MON-FRI", ["Wed 25 Nov 22:00", "Thu 26 Nov 22:00", "Fri 27 Nov 22:00", "Mon 30 Nov 22:00"]),
        ("*/30 * * * *", ["Wed 25 Nov 12:30", "Wed 25 Nov 13:00"]),
        ("0 3 * * 5/2", ["Fri 27 Nov 03:00", "Sun 29 Nov 03:00"]),
    ],
)
def test_a_range_that_goes_past_its_end_goes_on_from_the_start(expression: str, comes: list[str]) -> None:
    assert days(expression, len(comes)) == comes


def test_the_last_one_before() -> None:
    assert cron.following("0 3 * * SAT-SUN", WEDNESDAY, reverse=True) == datetime(2026, 11, 22, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    "expression", ["0 0 31 2 *", "0 0 30 FEB *", "0 0 31 4-4 *", "", "0 0 * *", "a b c d e", "0 25 * * *"]
)
def test_what_never_comes_is_said(expression: Any) -> None:
    with pytest.raises(cron.BadCron, match=f"^{expression!r} names no date that ever comes$".replace("*", r"\*")):
        cron.following(expression, WEDNESDAY)
