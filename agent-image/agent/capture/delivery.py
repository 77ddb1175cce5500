"""What to send next, and what to make of the store's answers. Pure.

The store may refuse one capture or all of them, and its status does not say which: 403 is a missing right on the
bucket, credentials that expired, or one object that a policy forbids. A capture is set aside when the store has refused
it twice and has taken another one in between. While it takes nothing, all captures stay where they are, and the upload
waits: what a person can correct costs no capture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from agent.capture.settings import DISAGREE, SAMPLE

FIRST_WAIT, LAST_WAIT = 1.0, 600.0
"""Seconds."""
PATIENCE = 5
"""Captures refused in a row until the upload waits: one bad capture must not keep the others."""
_TRY_AGAIN = frozenset({408, 429})

Name = tuple[str, str]
"""A capture in the spool: its reason and its file name without suffix."""


def is_refusal(status: int | None) -> bool:
    """The store has seen the request and does not want it: repeating it as it is can't help."""
    return status is not None and 400 <= status < 500 and status not in _TRY_AGAIN


@dataclass
class Delivery:
    """The state of one run of the upload; a new one starts with nothing. `draw` gives numbers in [0, 1)."""

    draw: Callable[[], float]
    _failures: int = 0
    _taken: int = 0
    _refused: dict[Name, int] = field(default_factory=dict)  # how many had been taken when it was last refused
    _in_a_row: int = 0

    def order(self, waiting: Iterable[Name]) -> list[Name]:
        """The sample first, then what versions disagree about, then the rest; each by age, the refused last."""
        first = {SAMPLE: 0, DISAGREE: 1}
        return sorted(waiting, key=lambda name: (name in self._refused, first.get(name[0], 2), name[1], name[0]))

    def taken(self, name: Name) -> None:
        """The store took this one."""
        self._refused.pop(name, None)
        self._taken += 1
        self._failures = self._in_a_row = 0

    def refused(self, name: Name) -> bool:
        """The store refused this one. True: it is to be set aside."""
        before = self._refused.get(name, self._taken)
        if self._taken > before:
            del self._refused[name]
            return True
        self._refused[name] = self._taken
        self._in_a_row += 1
        return False

    def pause(self) -> float:
        """Seconds to wait after a refusal; 0 means: try the next."""
        return self.failed() if self._in_a_row >= PATIENCE else 0.0

    def failed(self) -> float:
        """The store could not be reached, or asked for time. Returns the seconds to wait: twice as many each time, less
        a random part.
        """
        longest = min(LAST_WAIT, FIRST_WAIT * 2.0 ** min(self._failures, 20))
        self._failures += 1
        self._in_a_row = 0
        return longest * (0.5 + 0.5 * self.draw())

    def exhausted(self, waiting: Iterable[Name]) -> float:
        """All of `waiting` was tried. Returns the seconds to wait where some of it was refused; else 0."""
        self._refused = {name: self._refused[name] for name in waiting if name in self._refused}  # others are gone
        return self.failed() if self._refused else 0.0
