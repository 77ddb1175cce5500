"""Parts of messages that several capabilities need. Pure."""

from collections.abc import Iterable

LISTED = 5
"""So many examples are given, where nothing else is said."""


def listed(items: Iterable[str], most: int = LISTED, *, total: int | None = None) -> str:
    """The first of them, and how many more there are: "n1, n2, n3, n4, n5 and 2 more".

    `total` is how many there are where `items` has only the first of them.
    """
    shown, more = _first(items, most, total)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def clauses(items: Iterable[str], most: int = LISTED, *, rest: str = "more") -> str:
    """The same for what has commas of its own: "x is 1, below 2; y is 3, below 4; and 2 more"."""
    shown, more = _first(items, most)
    return "; ".join([*shown, *([f"and {more} {rest}"] if more else [])])


def counted(number: int, noun: str) -> str:
    """`1 node`, `3 nodes`, `1,234 detections`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def sentence(text: str) -> str:
    """With a capital letter at the beginning and a full stop at the end, if it has no other end."""
    return ended(text[:1].upper() + text[1:])


def ended(text: str) -> str:
    """With a full stop at the end, if it has no other end."""
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."


def clip(text: str, length: int) -> str:
    """A text of at most so many characters; one that was cut ends in "…"."""
    return text if len(text) <= length else text[: length - 1] + "…"


def _first(items: Iterable[str], most: int, total: int | None = None) -> tuple[list[str], int]:
    known = list(items)
    shown = known[:most]
    return shown, max(0, (len(known) if total is None else total) - len(shown))
