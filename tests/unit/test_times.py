"""Times as Kubernetes and people read them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from modelfleet.times import clock, parse_optional_time, parse_time, to_minute, to_second, wire_time

MOMENT = datetime(2026, 11, 20, 14, 5, 30, 123_456, tzinfo=UTC)
WHOLE = MOMENT.replace(microsecond=0)
BERLIN = timezone(timedelta(hours=1))


@pytest.mark.parametrize("text", ["2026-11-20T14:05:30Z", "2026-11-20T15:05:30+01:00", "2026-11-20T14:05:30"])
def test_a_time_is_read_with_its_zone_or_as_utc(text: str) -> None:
    assert parse_time(text) == WHOLE


def test_what_is_no_time_is_refused() -> None:
    with pytest.raises(ValueError, match="yesterday"):
        parse_time("yesterday")


@pytest.mark.parametrize("text", [None, ""])
def test_there_may_be_no_time(text: str | None) -> None:
    assert parse_optional_time(text) is None


def test_times_are_written_in_utc_and_cut_off() -> None:
    assert wire_time(MOMENT.astimezone(BERLIN)) == "2026-11-20T14:05:30Z"
    assert wire_time(MOMENT, "milliseconds") == "2026-11-20T14:05:30.123Z"
    assert parse_optional_time(wire_time(MOMENT)) == WHOLE


def test_messages_say_times_in_utc() -> None:
    moment = MOMENT.astimezone(BERLIN)
    assert to_minute(moment) == "2026-11-20 14:05 UTC"
    assert to_second(moment) == "2026-11-20 14:05:30 UTC"
    assert clock(moment) == "14:05:30 UTC"
