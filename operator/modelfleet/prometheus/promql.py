"""Quoting for PromQL: whatever a label holds, it can't end the string that it stands in."""

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from string import Template

_ESCAPES = {ord("\\"): "\\\\", ord('"'): '\\"', ord("'"): "\\'", ord("`"): "\\x60", ord("\n"): "\\n", ord("\r"): "\\r"}


def escape(value: str) -> str:
    """`value` as it stands between PromQL quotes, single or double."""
    return value.translate(_ESCAPES)


def equals(label: str, value: str) -> str:
    """The matcher `label="value"`."""
    return f'{label}="{escape(value)}"'


def one_of(label: str, values: Iterable[str]) -> str:
    """The matcher that takes exactly these values, as an anchored regular expression (RE2)."""
    alternatives = "|".join(re.sub(r"([^0-9A-Za-z_-])", r"\\\1", value) for value in values)
    return f'{label}=~"{escape(alternatives)}"'


def filled(query: str, names: Mapping[str, str]) -> str:
    """The query with ${name} filled in for each of the names, quoted; anything else stays."""
    return Template(query).safe_substitute({name: escape(value) for name, value in names.items()})


def duration(value: timedelta) -> str:
    """A PromQL duration, in whole milliseconds, which every dialect reads the same way."""
    return f"{max(1, round(value.total_seconds() * 1000))}ms"
