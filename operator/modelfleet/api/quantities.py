"""Scalars as people write them: Go-style durations, decimal strings, int-or-percent, quantities, bounded text.

Each is a plain Python value inside (`timedelta`, `Decimal`, `IntOrPercent`, `str`) and a string (or int-or-string) on
the wire, with the JSON schema and the CEL message that the API server needs to refuse a bad one on its own.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from modelfleet.api.base import Constraint, Rule, add_rules
from modelfleet.wording import clip

_DURATION: Final = r"^([0-9]{1,6}(\.[0-9]{1,3})?(ms|s|m|h)){1,6}$"
DURATION_CEL: Final = _DURATION.replace("\\", "\\\\")
_DURATION_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_MILLISECONDS: Final = {"ms": Decimal(1), "s": Decimal(1_000), "m": Decimal(60_000), "h": Decimal(3_600_000)}


def parse_duration(text: str) -> timedelta:
    """Read a Go-style duration: "90s", "1h30m", "1.5h", "250ms". Raises ValueError with what is allowed."""
    if not isinstance(text, str) or not re.fullmatch(_DURATION[1:-1], text):
        raise ValueError(f"{text!r} is not a duration such as 90s, 10m or 1h30m (units: ms, s, m, h)")
    parts = _DURATION_PART.findall(text)
    return timedelta(milliseconds=float(sum(Decimal(number) * _MILLISECONDS[unit] for number, unit in parts)))


def format_duration(duration: timedelta) -> str:
    """Write a duration as Go-style text, in the largest whole units: "1h30m", "90ms", "0s". Raises on negative ones."""
    if duration < timedelta(0):
        raise ValueError(f"a duration can't be negative: {duration}")
    rest = duration // timedelta(milliseconds=1)
    text = ""
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)):
        count, rest = divmod(rest, size)
        text += f"{count}{unit}" if count else ""
    return text or "0s"


@dataclass(frozen=True)
class DurationText:
    """Marks a `timedelta` as a Go-style duration between `minimum` and `maximum` (both inclusive)."""

    minimum: str = "0s"
    maximum: str = "99999h"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        least, most = parse_duration(self.minimum), parse_duration(self.maximum)

        def read(value: Any) -> timedelta:
            duration = value if isinstance(value, timedelta) else parse_duration(value)
            if not least <= duration <= most:
                raise ValueError(f"must be between {self.minimum} and {self.maximum}")
            return duration

        return core_schema.no_info_plain_validator_function(
            read, serialization=core_schema.plain_serializer_function_ser_schema(format_duration, when_used="json")
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        rule = (
            f"self.matches('{DURATION_CEL}') && duration(self) >= duration('{self.minimum}')"
            f" && duration(self) <= duration('{self.maximum}')"
        )
        says = f"must be a duration between {self.minimum} and {self.maximum}, such as 90s, 10m or 1h30m (a day is 24h)"
        return add_rules({"type": "string", "minLength": 2, "maxLength": 20}, (Rule(rule, says),))


Duration = Annotated[timedelta, DurationText()]


def parse_decimal(value: Any) -> Decimal:
    """Read a finite decimal from text, int or Decimal; a float (only our own code has them) is rounded to 6 places."""
    if isinstance(value, bool):
        raise ValueError("must be a decimal string such as '0.03'")
    try:
        number = Decimal(str(round(value, 6))) if isinstance(value, float) else Decimal(value)
    except (InvalidOperation, TypeError, ValueError) as error:
        raise ValueError(f"{value!r} is not a decimal string such as '0.03'") from error
    if not number.is_finite():
        raise ValueError(f"{value!r} is not a finite number")
    return number


def format_decimal(value: Decimal) -> str:
    """Write a decimal without exponent, as it was given: "0.50" stays "0.50"."""
    return format(value, "f")


@dataclass(frozen=True)
class DecimalText:
    """Marks a `Decimal` as a decimal string between `minimum` and `maximum` (both inclusive, None: unbounded)."""

    minimum: str | None = None
    maximum: str | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def read(value: Any) -> Decimal:
            number = parse_decimal(value)
            if (self.minimum is not None and number < Decimal(self.minimum)) or (
                self.maximum is not None and number > Decimal(self.maximum)
            ):
                raise ValueError(self._says())
            return number

        return core_schema.no_info_plain_validator_function(
            read, serialization=core_schema.plain_serializer_function_ser_schema(format_decimal, when_used="json")
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        rule = r"self.matches('^-?[0-9]{1,15}(\\.[0-9]{1,15})?$')"
        if self.minimum is not None:
            rule += f" && double(self) >= {float(self.minimum)}"
        if self.maximum is not None:
            rule += f" && double(self) <= {float(self.maximum)}"
        return add_rules({"type": "string", "minLength": 1, "maxLength": 32}, (Rule(rule, self._says()),))

    def _says(self) -> str:
        if self.minimum is not None and self.maximum is not None:
            return f"must be a decimal string between {self.minimum} and {self.maximum}, such as '0.03'"
        if self.minimum is not None:
            return f"must be a decimal string of at least {self.minimum}, such as '0.03'"
        return "must be a decimal string, such as '0.03' or '-12.5'"


Fraction = Annotated[Decimal, DecimalText("0", "1")]
Number = Annotated[Decimal, DecimalText()]


@dataclass(frozen=True)
class IntOrPercent:
    """A number of nodes, or a share of them: `3` or `25%`."""

    value: int
    is_percent: bool = False

    @classmethod
    def parse(cls, value: Any) -> "IntOrPercent":
        """Read an int >= 0 or a string "0%".."100%". Raises ValueError with what is allowed."""
        if isinstance(value, IntOrPercent):
            return value
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return cls(value)
        if isinstance(value, str) and (found := re.fullmatch(r"([0-9]{1,3})%", value)) and int(found[1]) <= 100:
            return cls(int(found[1]), is_percent=True)
        raise ValueError(f"{value!r} is neither a whole number of nodes nor a percentage from 0% to 100%")

    def of(self, total: int, round_up: bool = True) -> int:
        """The number of nodes that this means among `total`: a percentage is rounded up or down, a number stays."""
        if not self.is_percent:
            return self.value
        product = self.value * total
        return -(-product // 100) if round_up else product // 100

    def to_wire(self) -> int | str:
        """`3` or `"25%"`."""
        return f"{self.value}%" if self.is_percent else self.value

    def __str__(self) -> str:
        return str(self.to_wire())

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.plain_serializer_function_ser_schema(cls.to_wire, when_used="json")
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        rule = "type(self) == int ? self >= 0 && self <= 1000000 : self.matches('^(100|[0-9]{1,2})%$')"
        says = "must be a whole number of nodes or a percentage from 0% to 100%, such as 2 or 25%"
        return add_rules({"x-kubernetes-int-or-string": True, "maxLength": 8}, (Rule(rule, says),))


def _positive(value: IntOrPercent) -> IntOrPercent:
    if value.value < 1:
        raise ValueError("must not be 0")
    return value


PositiveIntOrPercent = Annotated[
    IntOrPercent,
    AfterValidator(_positive),
    Constraint("type(self) == int ? self >= 1 : !self.matches('^0+%$')", "must not be 0"),
]


@dataclass(frozen=True, order=True)
class Percent:
    """A share in whole percent: `15%`."""

    value: int

    @classmethod
    def parse(cls, value: Any) -> "Percent":
        """Read a string "0%".."100%". Raises ValueError with what is allowed."""
        if isinstance(value, Percent):
            return value
        if isinstance(value, str) and (found := re.fullmatch(r"([0-9]{1,3})%", value)) and int(found[1]) <= 100:
            return cls(int(found[1]))
        raise ValueError(f"{value!r} is not a percentage from 0% to 100%")

    @property
    def share(self) -> Decimal:
        """`0.15`."""
        return Decimal(self.value).scaleb(-2)

    def to_wire(self) -> str:
        """`"15%"`."""
        return f"{self.value}%"

    def __str__(self) -> str:
        return self.to_wire()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.plain_serializer_function_ser_schema(cls.to_wire, when_used="json")
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        rule = "self.matches('^(100|[0-9]{1,2})%$')"
        says = "must be a percentage from 0% to 100%, such as 15%"
        return add_rules({"type": "string", "minLength": 2, "maxLength": 4}, (Rule(rule, says),))


_QUANTITY: Final = r"^[0-9]{1,15}(\.[0-9]{1,9})?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"


@dataclass(frozen=True)
class QuantityText:
    """Marks a `str` as a Kubernetes resource quantity; a bare number is read as text."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def read(value: Any) -> str:
            text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
            if not isinstance(text, str) or not re.fullmatch(_QUANTITY[1:-1], text):
                raise ValueError(f"{value!r} is not a quantity such as 500m, 2 or 4Gi")
            return text

        return core_schema.no_info_plain_validator_function(read)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        pattern = _QUANTITY.replace("\\", "\\\\")
        rule = f"type(self) == int ? self >= 0 : self.matches('{pattern}')"
        says = "must be a quantity such as 500m, 2 or 4Gi"
        return add_rules({"x-kubernetes-int-or-string": True, "maxLength": 32}, (Rule(rule, says),))


Quantity = Annotated[str, QuantityText()]


@dataclass(frozen=True)
class Text:
    """Marks a `str` as bounded text, with a `pattern` and with `says`, the message for text that does not match it.

    A message costs a CEL rule; without one (what only our own code writes) the schema has the bare pattern.
    """

    max_length: int
    pattern: str | None = None
    says: str = ""
    min_length: int = 1

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.str_schema(min_length=self.min_length, max_length=self.max_length, pattern=self.pattern)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        result: dict[str, Any] = {"type": "string", "minLength": self.min_length, "maxLength": self.max_length}
        if self.pattern is None:
            return result
        if not self.says:
            return result | {"pattern": self.pattern}
        pattern = self.pattern.replace("\\", "\\\\")
        return add_rules(result, (Rule(f"self.matches('{pattern}')", self.says),))


@dataclass(frozen=True)
class ClippedText:
    """Marks a `str` that our own code writes into a status: cut with an ellipsis instead of refused when too long."""

    max_length: int

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(
            lambda text: clip(text, self.max_length), core_schema.str_schema()
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "maxLength": self.max_length}


ShortText = Annotated[str, ClippedText(256)]
Message = Annotated[str, ClippedText(1024)]


def _utc_seconds(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("a time needs its time zone")
    try:
        return value.astimezone(UTC).replace(microsecond=0)
    except OverflowError as error:
        raise ValueError("a time in UTC must be of the years 1 to 9999") from error


# Whole seconds, as Kubernetes keeps them: what is written equals what is read back.
Time = Annotated[datetime, AfterValidator(_utc_seconds)]


def clip_list(length: int) -> BeforeValidator:
    """A validator that keeps the first `length` entries of a list that our own code writes into a status. What is no
    list is left to the field's own type to refuse: others write statuses and last words, too."""

    def clipped(values: Any) -> Any:
        return tuple(values)[:length] if isinstance(values, (list, tuple)) else values

    return BeforeValidator(clipped)
