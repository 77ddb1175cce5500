"""Runs a function over many items in processes beside this one, so that one which ends its process names its item.

Decoders of pictures are C: a picture that is made for it, or by chance, can end the process that decodes it, and hours
of training with it. The processes are fresh ones and no forks: a fork of a process with threads may wait for a lock for
ever. Each works on one item at a time, so that it is known at which one it died; another takes its place.
"""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any, TypeVar

_MOST = 16  # each holds OpenCV and NumPy: about 60 MB, of which half is shared

Item = TypeVar("Item")
Result = TypeVar("Result")

_idle: list[_Process] = []  # what is waiting for work; appending and popping are atomic


@dataclass(frozen=True)
class Died:
    """`how` the process ended in the middle of an item: "SIGSEGV"."""

    how: str


def isolated(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result | Died]:
    """The results of `function` in the order of `items`, which are taken at once. All of them must be picklable.

    Raises what `function` raises, and MemoryError where the system killed the process. The processes stay for the next
    call, until `end`.
    """
    with ThreadPoolExecutor(min(max(len(os.sched_getaffinity(0)), 2), _MOST)) as threads:
        try:
            yield from threads.map(partial(_run, function), items)
        finally:
            threads.shutdown(cancel_futures=True)


@atexit.register
def end() -> None:
    """Ends the processes that wait for work."""
    while _idle:
        _idle.pop().end()


def _run(function: Callable[[Item], Result], item: Item) -> Result | Died:
    try:
        process = _idle.pop()
    except IndexError:
        process = _Process()
    try:
        ok, result = process.ask(function, item)
    except (EOFError, ConnectionError):
        ended = process.end()
        if ended == -signal.SIGKILL:  # no decoder does that
            raise MemoryError from None
        return Died(signal.Signals(-ended).name if ended < 0 else f"exit code {ended}")
    _idle.append(process)
    if not ok:
        raise result
    return result  # type: ignore[no-any-return]


class _Process:
    def __init__(self) -> None:
        self._connection, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", f"from {__name__} import serve; serve({theirs.fileno()})"],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # stdout is the trainer's own
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )

    def ask(self, function: object, item: object) -> tuple[bool, Any]:
        self._connection.send((function, item))
        answer: tuple[bool, Any] = self._connection.recv()
        return answer

    def end(self) -> int:
        """It ends when nobody can ask it any more; its exit code."""
        self._connection.close()
        return self._process.wait()


def serve(number: int) -> None:
    """What runs in the other process: answers until its asker is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the asker's to handle; its end is this one's
    with Connection(number) as connection:
        try:
            while True:
                function, item = connection.recv()
                try:
                    answer = True, function(item)
                except Exception as error:  # noqa: BLE001  raised again by the asker
                    answer = False, error
                connection.send(answer)
        except (EOFError, ConnectionError):
            return
