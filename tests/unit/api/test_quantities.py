"""Durations, decimals, int-or-percent and quantities: what is read, what is written, what is refused."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any

import pytest
from pydantic import TypeAdapter, ValidationError

from modelfleet.api.quantities import (
    DecimalText,
    Duration,
    DurationText,
    Fraction,
    IntOrPercent,
    Message,
    Number,
    Percent,
    PositiveIntOrPercent,
    Quantity,
    Time,
    format_duration,
    parse_decimal,
    parse_duration,
)


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("0s", timedelta(0)),
        ("90s", timedelta(seconds=90)),
        ("10m", timedelta(minutes=10)),
        ("24h", timedelta(hours=24)),
        ("1h30m", timedelta(minutes=90)),
        ("1h30m15s250ms", timedelta(hours=1, minutes=30, seconds=15, milliseconds=250)),
        ("1.5h", timedelta(minutes=90)),
        ("0.25s", timedelta(milliseconds=250)),
        ("1m1m", timedelta(minutes=2)),
        ("168h", timedelta(days=7)),
    ],
)
def test_durations_are_read(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize(
    "text", ["", "5", "1d", "1 h", "-1h", "h", "1h ", "1e3s", "1hour", ".5h", "1h\n", 5, None, True]
)
def test_what_is_no_duration_is_refused(text: Any) -> None:
    with pytest.raises(ValueError, match="is not a duration such as 90s, 10m or 1h30m"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(0), "0s"),
        (timedelta(seconds=90), "1m30s"),
        (timedelta(hours=168), "168h"),
        (timedelta(milliseconds=1500), "1s500ms"),
        (timedelta(hours=1, milliseconds=1), "1h1ms"),
        (timedelta(microseconds=10), "0s"),
    ],
)
def test_durations_are_written(duration: timedelta, text: str) -> None:
    assert format_duration(duration) == text


def test_a_negative_duration_can_not_be_written() -> None:
    with pytest.raises(ValueError, match="can't be negative"):
        format_duration(timedelta(seconds=-1))


def test_a_duration_keeps_its_bounds_and_survives_the_wire() -> None:
    bounded = TypeAdapter(Annotated[timedelta, DurationText("1m", "2h")])
    assert bounded.validate_python("1h") == timedelta(hours=1)
    for text in ("59s", "2h1ms"):
        with pytest.raises(ValidationError, match="must be between 1m and 2h"):
            bounded.validate_python(text)
    anything = TypeAdapter(Duration)
    for hours in (0, 1, 1.25, 9999):
        duration = timedelta(hours=hours)
        assert anything.validate_python(anything.dump_python(duration, mode="json")) == duration


@pytest.mark.parametrize(
    ("value", "number"),
    [("0.03", "0.03"), ("-12.5", "-12.5"), (1, "1"), (Decimal("0.50"), "0.50"), (0.1 + 0.2, "0.3")],
)
def test_decimals_are_read_and_kept_as_given(value: Any, number: str) -> None:
    adapter = TypeAdapter(Number)
    assert adapter.dump_python(adapter.validate_python(value), mode="json") == number


@pytest.mark.parametrize("value", ["", "3%", "many", "nan", "inf", float("nan"), None, True, "0,5"])
def test_what_is_no_decimal_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"decimal|finite"):
        parse_decimal(value)


def test_a_decimal_is_written_without_exponent() -> None:
    assert TypeAdapter(Number).dump_python(Decimal("1E-7"), mode="json") == "0.0000001"


@pytest.mark.parametrize("text", ["-0.01", "1.01"])
def test_a_fraction_is_between_0_and_1(text: str) -> None:
    with pytest.raises(ValidationError, match="between 0 and 1"):
        TypeAdapter(Fraction).validate_python(text)


def test_a_decimal_may_have_a_lower_bound_alone() -> None:
    with pytest.raises(ValidationError, match="at least 0"):
        TypeAdapter(Annotated[Decimal, DecimalText("0")]).validate_python("-1")


@pytest.mark.parametrize(
    ("value", "total", "up", "down"),
    [
        (3, 10, 3, 3),
        (3, 1, 3, 3),
        (0, 10, 0, 0),
        ("25%", 10, 3, 2),
        ("25%", 4, 1, 1),
        ("0%", 10, 0, 0),
        ("100%", 7, 7, 7),
        ("1%", 1, 1, 0),
        ("50%", 0, 0, 0),
        ("33%", 10_000, 3300, 3300),
    ],
)
def test_int_or_percent_of_a_total(value: int | str, total: int, up: int, down: int) -> None:
    parsed = IntOrPercent.parse(value)
    assert (parsed.of(total), parsed.of(total, round_up=False)) == (up, down)
    assert parsed.to_wire() == value
    assert str(parsed) == str(value)


@pytest.mark.parametrize("value", [-1, "101%", "5", "%", "1.5%", " 5%", 2.5, None, True])
def test_what_is_neither_a_number_nor_a_percentage_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="whole number of nodes nor a percentage"):
        IntOrPercent.parse(value)


@pytest.mark.parametrize("value", [0, "0%"])
def test_a_positive_int_or_percent_is_not_zero(value: int | str) -> None:
    with pytest.raises(ValidationError, match="must not be 0"):
        TypeAdapter(PositiveIntOrPercent).validate_python(value)


@pytest.mark.parametrize(("value", "text"), [("500m", "500m"), ("4Gi", "4Gi"), (2, "2"), ("1.5", "1.5"), ("1k", "1k")])
def test_quantities_are_kept_as_text(value: Any, text: str) -> None:
    assert TypeAdapter(Quantity).validate_python(value) == text


@pytest.mark.parametrize("value", ["", "4 Gi", "4gb", "-1", 1.5, True, None])
def test_what_is_no_quantity_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError, match="is not a quantity such as 500m, 2 or 4Gi"):
        TypeAdapter(Quantity).validate_python(value)


def test_a_time_is_whole_seconds_of_utc() -> None:
    adapter = TypeAdapter(Time)
    rome = timezone(timedelta(hours=1))
    assert adapter.validate_python(datetime(2026, 11, 21, 4, 0, 1, 999_999, rome)) == datetime(
        2026, 11, 21, 3, 0, 1, tzinfo=UTC
    )
    assert adapter.dump_python(adapter.validate_python("2026-11-21T03:00:01.5Z"), mode="json") == "2026-11-21T03:00:01Z"
    with pytest.raises(ValidationError, match="time zone"):
        adapter.validate_python("2026-11-21T03:00:01")


def test_a_message_is_cut_and_not_refused() -> None:
    message = TypeAdapter(Message).validate_python("x" * 5000)
    assert len(message) == 1024
    assert message.endswith("x…")


@pytest.mark.parametrize(("text", "share"), [("0%", "0.00"), ("7%", "0.07"), ("15%", "0.15"), ("100%", "1.00")])
def test_a_percentage_is_read_and_written(text: str, share: str) -> None:
    percent = TypeAdapter(Percent).validate_python(text)
    assert (percent.share, percent.to_wire(), str(percent)) == (Decimal(share), text, text)
    assert TypeAdapter(Percent).dump_json(percent) == f'"{text}"'.encode()
    assert Percent.parse(percent) is percent


@pytest.mark.parametrize("value", ["101%", "15", "0.15", 15, "-1%", "1.5%", "", None])
def test_what_is_no_percentage_is_refused(value: object) -> None:
    with pytest.raises(ValidationError, match="not a percentage from 0% to 100%"):
        TypeAdapter(Percent).validate_python(value)
