"""Assertions about time that hold on a machine that is busy with other work."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

_WORK = 0.05  # seconds of processor time


def slowness() -> float:
    """How many times longer than on an idle machine a piece of work takes just now: its time by the clock over its
    time on a processor. At least 1."""
    began, used = time.monotonic(), time.thread_time()
    while (spent := time.thread_time() - used) < _WORK:
        pass
    return max(1.0, (time.monotonic() - began) / spent)


def a_moment() -> None:
    """Wait for what follows from a write that was seen: a status on another object, an Event. To look with kubectl
    took as long, and longer on a busy machine."""
    time.sleep(0.25)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """The block takes less than so many seconds, or as many times more as the machine is slower before or after it.

    Raises:
        AssertionError: it took longer.
    """
    before = slowness()
    began = time.monotonic()
    yield
    took = time.monotonic() - began
    slower = max(before, slowness())
    assert took < seconds * slower, f"took {took:.1f} s, and not {seconds} s, on a machine {slower:.1f} times slower"
