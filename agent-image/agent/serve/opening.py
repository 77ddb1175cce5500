"""When an agent with a loaded model is ready: with the first frame that went through it.

Where a new pod starts beside the old one (`maxSurge`) the old one is taken away as soon as the new one is ready. Ready
before it has the camera would leave the node without one for as long as opening a stream takes.

It is waited for, and not insisted on: a camera that is away says nothing about the model, so it must not hold back a
rollout. Once the source is lost, or after `PATIENCE`, the agent is ready without a frame.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from agent.serve.health import Health

PATIENCE = 10.0
"""Seconds: as long as a stream may take to open, and longer than most cameras take from one key frame to the next."""


class Opening:
    """Makes the agent ready, once. `lost` may be called from any thread, all else from that of the inference loop."""

    def __init__(self, health: Health, clock: Callable[[], float] = time.monotonic) -> None:
        self._health = health
        self._clock = clock
        self._lost = threading.Event()
        self._over = False
        self._until = 0.0

    def begin(self) -> None:
        """The source is about to be opened."""
        self._until = self._clock() + PATIENCE
        self._health.waiting("waiting for the first frame")

    def lost(self) -> None:
        """The source can't be opened, or gives no more frames."""
        self._lost.set()

    def frame(self) -> None:
        """A frame went through the model, whatever came of it."""
        if not self._over:
            self._over = True
            self._health.ready()

    def nothing(self) -> None:
        """No frame has come for a moment."""
        if self._lost.is_set() or self._clock() >= self._until:
            self.frame()
