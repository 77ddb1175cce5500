"""The members of a JSON object that comes from anywhere, each checked as it is taken."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

_SHA256 = re.compile(r"[0-9a-f]{64}")
_TEXT_LIMIT = 1024  # characters


class Wrong(ValueError):
    """A member is missing, or not as it should be; the text says which."""


class Fields:
    """Raises Wrong where the value is no object. Members that nobody asks for are of no interest."""

    def __init__(self, value: Any, path: str = "") -> None:
        if not isinstance(value, Mapping):
            raise Wrong(f"{path.rstrip('.') or 'the document'} is not an object")
        self._fields = cast("Mapping[str, Any]", value)
        self._path = path

    def has(self, name: str) -> bool:
        return self._fields.get(name) is not None

    def inner(self, name: str) -> Fields:
        return Fields(self._fields.get(name), f"{self._path}{name}.")

    def entries(self, name: str, most: int) -> list[Fields]:
        return [Fields(value, f"{self._path}{name}[{at}].") for at, value in enumerate(self._list(name, most))]

    def text(self, name: str) -> str:
        return self._text(self._fields.get(name), name)

    def lines(self, name: str, most: int) -> str:
        """A text of several lines, of at most so many characters."""
        value = self._fields.get(name)
        if not isinstance(value, str) or not 0 < len(value) <= most or not value.replace("\n", "").isprintable():
            raise Wrong(f"{self._path}{name} is not a text of at most {most} characters")
        return value

    def texts(self, name: str, most: int) -> tuple[str, ...]:
        return tuple(self._text(value, name) for value in self._list(name, most))

    def count(self, name: str, least: int, most: int) -> int:
        value = self._fields.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise Wrong(f"{self._path}{name} is not a whole number from {least} to {most}")
        return value

    def number(self, name: str, least: float, most: float) -> float:
        value = self._number(self._fields.get(name), name)
        if not least <= value <= most:
            raise Wrong(f"{self._path}{name} is not from {least:g} to {most:g}")
        return value

    def numbers(self, name: str, count: int) -> tuple[float, ...]:
        found = tuple(self._number(value, name) for value in self._list(name, count))
        if len(found) != count:
            raise Wrong(f"{self._path}{name} has not {count} numbers")
        return found

    def sha256(self, name: str) -> str:
        value = self.text(name)
        if not _SHA256.fullmatch(value):
            raise Wrong(f"{self._path}{name} is not a SHA-256")
        return value

    def time(self, name: str) -> datetime:
        try:
            found = datetime.fromisoformat(self.text(name))
            return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
        except (ValueError, OverflowError):
            raise Wrong(f"{self._path}{name} is not a time") from None

    def _text(self, value: Any, name: str) -> str:
        if not isinstance(value, str) or not 0 < len(value) <= _TEXT_LIMIT or not value.isprintable():
            raise Wrong(f"{self._path}{name} is not a text")
        return value

    def _number(self, value: Any, name: str) -> float:
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not -1e12 < value < 1e12:
            raise Wrong(f"{self._path}{name} is not a number")
        return float(value)

    def _list(self, name: str, most: int) -> list[Any]:
        value = self._fields.get(name)
        if not isinstance(value, list) or len(value) > most:
            raise Wrong(f"{self._path}{name} is not a list of at most {most}")
        return value
