"""Reads a JSON object that is too large to hold whole: the elements of its arrays one by one.

Annotation files of public datasets have hundreds of megabytes on a single line. Only the element that is being read is
decoded, out of a window that slides over the file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, TextIO

_CHUNK = 1 << 20  # characters
_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"[0-9.eE+-]*")
_DECODER = json.JSONDecoder()


class Malformed(ValueError):
    """The text is not a JSON object; the words say where reading stopped."""


def arrays(stream: TextIO) -> Iterator[tuple[str, Iterator[Any]]]:
    """(key, elements) for each array at the top of the object, in the order of the file; other values are passed over.

    Elements that the caller leaves are read past. Raises Malformed, from the inner iterator too.
    """
    window = _Window(stream)
    window.take("{")
    if window.peek() == "}":
        window.take("}")
    else:
        more = True
        while more:
            key = window.value()
            if not isinstance(key, str):
                raise Malformed(f"a key is {json.dumps(key)[:40]} and no text")
            window.take(":")
            if window.peek() == "[":
                elements = _elements(window)
                yield key, elements
                for _ in elements:
                    pass
            else:
                window.value()
            more = window.take(",}") == ","
    if window.peek():
        raise Malformed(f"something follows the end of the object, at character {window.position}")


def _elements(window: _Window) -> Iterator[Any]:
    window.take("[")
    if window.peek() == "]":
        window.take("]")
        return
    while True:
        yield window.value()
        if window.take(",]") == "]":
            return


class _Window:
    """The part of the text that is looked at now."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._text = ""
        self._at = 0
        self._before = 0  # characters that have left the window

    @property
    def position(self) -> int:
        return self._before + self._at

    def peek(self) -> str:
        """The next character that is no space; "" at the end."""
        while True:
            space = _SPACE.match(self._text, self._at)
            self._at = space.end() if space else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def take(self, expected: str) -> str:
        """The next character, which must be one of `expected`."""
        found = self.peek()
        if not found or found not in expected:
            wanted = " or ".join(expected)
            told = f"{found!r} instead of {wanted}" if found else f"the text ends where {wanted} should be"
            raise Malformed(f"{told}, at character {self.position}")
        self._at += 1
        return found

    def value(self) -> Any:
        """The next value, decoded."""
        self.peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                position = self._before + error.pos
                if self._more():
                    continue
                raise Malformed(f"{error.msg}, at character {position}") from None
            except ValueError as error:  # an integer of thousands of digits
                raise Malformed(f"{error}, at character {self.position}") from None
            except RecursionError:
                raise Malformed(f"it is nested too deeply, at character {self.position}") from None
            # a number may go on behind the window: "22" or "22." may be the beginning of "22.5"
            if isinstance(value, (int, float)) and self._ends_in_number(end) and self._more():
                continue
            self._at = end
            return value

    def _ends_in_number(self, at: int) -> bool:
        rest = _NUMBER.match(self._text, at)
        return rest is not None and rest.end() == len(self._text)

    def _more(self) -> bool:
        """Moves the window on; False at the end of the file. It doubles, so that a long value is not decoded often."""
        chunk = self._stream.read(max(_CHUNK, len(self._text) - self._at))
        self._text, self._before, self._at = self._text[self._at :] + chunk, self.position, 0
        return bool(chunk)
