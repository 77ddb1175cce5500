"""A lane of `make test`: targets one after the other beside those of other lanes, each as nice as it is to be.

Each has a session of its own. In the session that they share with what is not nice they would have that one's share of
the processors (``lifetime.be_as_nice``), and the clusters that are started in sessions of their own would wait for it.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import BinaryIO

from harness.lifetime import DYING_WITH_PARENT, be_as_nice

_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_lane(log: Path, targets: Sequence[str]) -> int:
    """Run ``NICENESS:TARGET`` after ``NICENESS:TARGET`` until one fails; what they say goes to ``log``.

    Returns: the exit code of that, or 0. A signal that ends this process reaches them too: Ctrl-C is said to the
    session of the terminal alone.
    """
    with log.open("wb") as said:
        for niceness, _, target in (each.partition(":") for each in targets):
            if code := _make(target, int(niceness), said):
                return code
    return 0


def _make(target: str, niceness: int, said: BinaryIO) -> int:
    # close_fds: make's jobserver is two descriptors. preexec_fn: this process has no threads
    process = subprocess.Popen(
        [*DYING_WITH_PARENT, "make", "--no-print-directory", target],
        stdout=said,
        stderr=said,
        start_new_session=True,
        close_fds=False,
        preexec_fn=partial(_be_nice, niceness),
    )
    with _passing_signals_on(process.pid):
        code = process.wait()
    return code if code >= 0 else 128 - code


def _be_nice(niceness: int) -> None:
    os.nice(niceness)
    be_as_nice()


@contextmanager
def _passing_signals_on(group: int) -> Iterator[None]:
    def pass_on(number: int, _: FrameType | None) -> None:
        with suppress(ProcessLookupError):  # it has just ended
            os.killpg(group, number)

    before = {number: signal.signal(number, pass_on) for number in _ENDS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
