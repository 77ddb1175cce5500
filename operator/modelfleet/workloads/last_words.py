"""What every reader of a container's last word, its termination message, needs. Pure."""

from dataclasses import dataclass

_EXCERPT = 200
_MESSAGE = 900


@dataclass(frozen=True)
class Failed:
    """A run's own word of why it failed, or what is said in its place: a CamelCase reason, and what to do."""

    reason: str
    message: str


def camel_case(text: str, otherwise: str) -> str:
    """`text` as a condition's reason: letters and digits, at most 64; `otherwise` when nothing is left."""
    kept = "".join(character for character in text if character.isascii() and character.isalnum())
    return kept.lstrip("0123456789")[:64] or otherwise


def readable(text: str) -> str:
    """What a container tells the user, as a status can have it: cut, and in UTF-8."""
    return in_utf8(text[:_MESSAGE])


def in_utf8(text: str) -> str:
    """With half a character (a lone surrogate, which JSON can escape and UTF-8 can't write) replaced."""
    return text.encode(errors="replace").decode()


def excerpt(text: str) -> str:
    """The beginning of a text, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= _EXCERPT else line[:_EXCERPT] + "…"
