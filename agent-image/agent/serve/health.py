"""Health: is the agent alive, and is it ready to be counted?

Ready means that the model was verified, loaded and tried once, and that the source of frames was given its time to open
(opening.py). It does not mean that frames come in: a camera that is away says nothing about the model, so it must not
hold back a rollout.

Alive means that each part that must make progress (the start-up, the frame reader, the inference loop) gave a sign of
life not longer than the limit ago. A part that waits, for a camera to come back or for a frame, keeps giving signs of
life; one that hangs in native code can't.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Health:
    """Signs of life of the agent's parts, and readiness. All methods may be called from any thread."""

    def __init__(self, stuck_after: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._stuck_after = stuck_after
        self._clock = clock
        self._lock = threading.Lock()
        self._beats: dict[str, float] = {}
        self._not_ready: str | None = "the agent has just started"

    def beat(self, part: str) -> None:
        """`part` is alive now, and must say so again within `stuck_after` seconds."""
        with self._lock:
            self._beats[part] = self._clock()

    def waiting(self, for_what: str) -> None:
        """Not ready, because of this."""
        with self._lock:
            self._not_ready = for_what

    def ready(self) -> None:
        """Ready from now on."""
        with self._lock:
            self._not_ready = None

    def dead(self) -> str | None:
        """Why the agent should be restarted; None while it is alive."""
        now = self._clock()
        with self._lock:
            silent = {part: now - at for part, at in self._beats.items() if now - at > self._stuck_after}
        if not silent:
            return None
        return "; ".join(f"no sign of life from the {part} for {age:.0f} s" for part, age in sorted(silent.items()))

    def unready(self) -> str | None:
        """Why the agent isn't ready; None when it is."""
        with self._lock:
            return self._not_ready
