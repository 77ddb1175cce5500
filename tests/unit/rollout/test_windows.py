"""Update windows, on the clock of their time zone."""

from datetime import UTC, datetime, timedelta

import pytest

from modelfleet.api import Window
from modelfleet.rollout.windows import BadWindow, opens


def window(cron, duration="6h", zone="UTC"):
    return Window.model_validate({"cron": cron, "duration": duration, "timeZone": zone})


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


NIGHT = window("0 22 * * *", "6h", "Europe/Rome")


@pytest.mark.parametrize(
    ("now", "opening"),
    [
        ("2026-11-21T20:59:59", "2026-11-21T21:00:00"),  # Rome is UTC+1 in winter
        ("2026-11-21T21:00:00", "2026-11-21T21:00:00"),
        ("2026-11-22T02:59:59", "2026-11-22T02:59:59"),  # open since the evening before
        ("2026-11-22T03:00:00", "2026-11-22T21:00:00"),
        ("2026-07-01T19:00:00", "2026-07-01T20:00:00"),  # UTC+2 in summer
        ("2026-07-01T20:30:00", "2026-07-01T20:30:00"),
    ],
)
def test_a_window_of_a_time_zone(now, opening):
    assert opens([NIGHT], at(now)) == at(opening)


def test_a_window_without_a_time_zone_is_of_utc():
    night = Window.model_validate({"cron": "0 22 * * *", "duration": "6h"})
    assert opens([night], at("2026-11-21T21:00:00")) == at("2026-11-21T22:00:00")


def test_no_windows_means_always():
    assert opens([], at("2026-11-21T12:00:00")) == at("2026-11-21T12:00:00")


def test_the_first_of_several_counts():
    found = opens([window("0 22 * * *", "1h"), window("0 14 * * *", "1h")], at("2026-11-21T12:00:00"))
    assert found == at("2026-11-21T14:00:00")


@pytest.mark.parametrize(
    ("day", "hours"),
    [("2026-03-29", 23), ("2026-10-25", 25)],  # clocks change in Rome
)
def test_a_day_on_which_clocks_change(day, hours):
    midnight = window("0 0 * * *", "1m", "Europe/Rome")
    first = opens([midnight], at(f"{day}T00:00:00") - timedelta(hours=3))
    assert first is not None
    second = opens([midnight], first + timedelta(minutes=2))
    assert second is not None
    assert second - first == timedelta(hours=hours)


def test_a_start_in_the_hour_that_is_skipped_still_comes():
    found = opens([window("30 2 * * *", "2h", "Europe/Rome")], at("2026-03-29T00:00:00"))
    assert found is not None
    assert at("2026-03-29T00:30:00") <= found <= at("2026-03-29T02:00:00")


def test_a_window_longer_than_its_period_is_always_open():
    now = at("2026-11-21T12:34:56")
    assert opens([window("0 * * * *", "2h")], now) == now


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (window("0 22 * * *", zone="Europe/Atlantis"), "Europe/Atlantis"),
        (window("0 0 31 2 *"), "0 0 31 2"),
    ],
)
def test_nonsense_is_named(bad, says):
    with pytest.raises(BadWindow, match=says):
        opens([bad], at("2026-11-21T12:00:00"))


def test_a_weekend_is_a_window():
    assert opens([window("0 22 * * SAT-SUN")], at("2026-11-25T12:00:00")) == at("2026-11-28T22:00:00")
    assert opens([window("0 22 * * SAT-SUN")], at("2026-11-29T21:00:00")) == at("2026-11-29T22:00:00")


def test_the_rarest_day_of_a_cron_expression_comes_after_forty_years():
    """A Sunday that is a 29th of February, across 2100, which has none: CronSim looks 50 years ahead."""
    rarest = window("0 22 29 2 */7", "1h")
    assert opens([rarest], at("2088-03-01T00:00:00")) == at("2128-02-29T22:00:00")
    with pytest.raises(BadWindow):
        opens([window("0 22 30 2 */7", "1h")], at("2088-03-01T00:00:00"))
