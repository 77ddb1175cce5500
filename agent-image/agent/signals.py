"""Ending on request. In a container the agent is process 1, for which the kernel drops a signal that nobody handles."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType


class Stop:
    """Whether the process was asked to end (SIGTERM, SIGINT), from construction on.

    A plain flag: a signal handler must not touch locks, which the code it interrupts may hold.
    """

    def __init__(self) -> None:
        self.asked = False
        signal.signal(signal.SIGTERM, self._ask)
        signal.signal(signal.SIGINT, self._ask)

    def _ask(self, number: int, _: FrameType | None) -> None:
        self.asked = True


def end_at_once() -> None:
    """End the process as soon as SIGTERM comes, as if killed by it, also from the middle of a download in native code.

    For work that may be cut off anywhere. Python runs its signal handlers in the main thread, which may hang in a read;
    hence a thread of its own that waits for the signal.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # for threads started later too

    def wait() -> None:
        os._exit(128 + signal.sigwait({signal.SIGTERM}))

    threading.Thread(target=wait, name="signals", daemon=True).start()


def wait_forever() -> None:
    """Do nothing until a signal ends the process."""
    while True:
        signal.pause()
