"""A request to stop (SIGTERM), answered in time whatever the process is doing.

Python runs signal handlers between two statements of the main thread, and that thread may be far away for long: in a
download that stalls, in a step of a large network. So there are two ways out. The handler raises Interrupted, and in
most cases the run unwinds from there. A second thread is woken by the signal itself (its number is written to a socket
in C, at once), gives the main thread a few seconds, and then says the last words and ends the process. Python drops
what is raised while it runs a destructor, so a training also asks from time to time (`check`).
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from trainer.failure import EXIT_STOPPED, Interrupted

PATIENCE = 5.0  # seconds; a pod has 30 by default
MORE = 15.0  # seconds on top while there is something to save that would have to be trained again


class StopRequests:
    """Armed from `__enter__` on until `over`, which the main thread calls once nothing is left to interrupt."""

    def __init__(self, last_words: Callable[[], None]) -> None:
        self._last_words = last_words
        self._over = threading.Event()
        self._more = threading.Event()
        self._requested = threading.Event()
        self._end = threading.Lock()  # whoever has it says how the run ended

    def check(self) -> None:
        """Raises Interrupted where a stop was requested, and whatever ran at that moment swallowed the first one."""
        if self._requested.is_set():
            raise Interrupted

    def __enter__(self) -> StopRequests:
        self._listening, self._speaking = socket.socketpair()
        self._speaking.setblocking(False)
        signal.set_wakeup_fd(self._speaking.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._raise)
        os.register_at_fork(after_in_child=_forget)  # loading processes are ended by SIGTERM, and share the socket
        threading.Thread(target=self._watch, name="stop-requests", daemon=True).start()
        return self

    def over(self) -> None:
        """From here on a request to stop changes nothing. Never returns if the watching thread was first."""
        self._end.acquire()
        self._over.set()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def allow_more(self, wanted: bool) -> None:
        """Whether a request to stop is answered MORE seconds later. Said ahead: on the way out it may be too late."""
        if wanted:
            self._more.set()
        else:
            self._more.clear()

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(-1)

    def _raise(self, number: int, frame: FrameType | None) -> NoReturn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough
        self._requested.set()
        raise Interrupted

    def _watch(self) -> None:
        while self._listening.recv(1) != bytes([signal.SIGTERM]):
            pass
        over = self._over.wait(PATIENCE) or (self._more.is_set() and self._over.wait(MORE))
        if not over and self._end.acquire(blocking=False):
            self._last_words()
            os._exit(EXIT_STOPPED)


def _forget() -> None:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
