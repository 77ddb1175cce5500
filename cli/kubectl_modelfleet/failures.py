"""What ends a command before it is done, each with a sentence that says what to do, and the exit codes."""

import difflib
from collections.abc import Iterable
from enum import IntEnum
from typing import Final

FAULTY: Final = 60.0
"""So many seconds what waits or follows bears an API server that fails: one that restarts does for a moment."""


class Exit(IntEnum):
    """The exit codes of every command. docs/cli.md explains them."""

    DONE = 0
    """Done, healthy, nothing found."""
    BAD = 1
    """It failed, was rolled back, is refused, or something is wrong."""
    IN_PROGRESS = 2
    """`status` alone: it is not decided yet."""
    UNKNOWN = 3
    """It could not be found out, or not be asked for: no connection, no rights, no such object, a wrong argument."""


class Failure(Exception):
    """The command can't be carried out; the message says why and what to do. `said`: kubectl's own words, if any."""

    exit = Exit.UNKNOWN

    def __init__(self, message: str, said: str = "") -> None:
        super().__init__(message)
        self.said = said


class Refused(Failure):
    """What was asked for makes no sense as things stand."""

    exit = Exit.BAD


class NotFound(Failure):
    """The object is not there."""


class Forbidden(Failure):
    """The current user may not do it; the message names the verb and the resource."""


class Unreachable(Failure):
    """The API server does not answer, or kubectl is not there."""


class ServerFault(Unreachable):
    """The API server answers, with an error of its own. It may be over at once, or stay until somebody mends it."""


def near(name: str, known: Iterable[str], *, most: int = 3) -> str:
    """` Did you mean a, b?`, or what there is where nothing is near; "" where there is nothing at all."""
    known = sorted(set(known))
    close = difflib.get_close_matches(name, known, n=most, cutoff=0.6)
    if close:
        return f" Did you mean {' or '.join(close)}?"
    if not known:
        return ""
    shown = ", ".join(known[:5])
    return f" There {'is' if len(known) == 1 else 'are'} {shown}" + (
        f" and {len(known) - 5} more." if len(known) > 5 else "."
    )
