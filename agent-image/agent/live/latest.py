"""The last frame that went through the model, kept by reference with what was found on it, and how fresh it is.

The inference loop only hands references over. Whatever costs time is done by whoever looks.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from agent.serve.detector import Detections
from agent.serve.frames import Frame

STALE_AFTER = 3.0
"""Seconds without a new frame after which the picture is stale, where frames are due at least once a second."""

_FRAMES_LATE = 3  # this many frames that did not come make a slower feed stale
_COUNTED, _WINDOW = 64, 10.0  # frames per second: over at most so many frames of the last so many seconds

State = Literal["waiting", "live", "stale"]


@dataclass(frozen=True, eq=False)
class Shown:
    """A frame that went through the model. `number` counts from 1."""

    number: int
    frame: Frame
    found: Detections


@dataclass(frozen=True)
class Look:
    """What is true now. `age`: seconds since the frame was decoded; `fps`: frames per second through the model."""

    state: State
    shown: Shown | None
    age: float | None
    fps: float
    problem: str | None  # why there are no new frames, where that is known


class Latest:
    """The last frame. All methods may be called from any thread; `show` never waits for more than a copy of figures.

    `frame_rate` is how many frames per second are due. `waiting_for` says what the agent is doing before it is ready.
    """

    def __init__(
        self,
        frame_rate: float,
        waiting_for: Callable[[], str | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stale_after = max(STALE_AFTER, _FRAMES_LATE / frame_rate)
        self._waiting_for = waiting_for
        self._clock = clock
        self._lock = threading.Lock()
        self._shown: Shown | None = None
        self._taken: deque[float] = deque(maxlen=_COUNTED)
        self._problem: str | None = None

    def show(self, frame: Frame, found: Detections) -> None:
        """This frame went through the model, and this was found on it. Neither may be changed from now on."""
        with self._lock:
            self._shown = Shown(self._shown.number + 1 if self._shown else 1, frame, found)
            self._taken.append(frame.taken)
            self._problem = None

    def problem(self, what: str) -> None:
        """Why there are no new frames. Forgotten as soon as one comes."""
        with self._lock:
            self._problem = what

    def look(self) -> Look:
        """What there is to see now."""
        with self._lock:
            shown, taken, problem = self._shown, list(self._taken), self._problem
        if shown is None:
            return Look("waiting", None, None, 0.0, problem or self._waiting_for())
        now = self._clock()
        age = max(0.0, now - shown.frame.taken)
        if age > self._stale_after:
            return Look("stale", shown, age, 0.0, problem)
        return Look("live", shown, age, _per_second(taken, now), problem)


def _per_second(taken: list[float], now: float) -> float:
    """Frames per second, from the times of the newest: of the last seconds, or of the last two where they are rare."""
    recent = [at for at in taken if now - at <= _WINDOW]
    counted = recent if len(recent) >= 2 else taken[-2:]
    span = counted[-1] - counted[0]
    return (len(counted) - 1) / span if span > 0 else 0.0
