"""One tracker's backlog, and the thread that works it off. A tracker that is down costs records, and nothing else.

Records are delivered in order. A failure is said once; from then on it is tried again every RETRY seconds, with a new
client that starts again (which finds the run it began before). Beyond LIMIT records the oldest are lost; a record that
the tracker refuses twice, though it lets the run begin, is lost too.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

LIMIT = 1000
RETRY = 15.0
CLOSING = 30.0
"""Seconds that a run waits at its end, at most, for all its trackers together."""

_ANSWER = {"begin": 90.0, "metrics": 30.0, "files": 60.0, "end": 60.0}  # seconds, before the client is given up

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Settings:
    """A tracker to report to.

    name       "mlflow" or "wandb"
    place      for people: which server, which project
    document   what the client is told with "begin"
    variables  of the environment, in addition to this process's
    secrets    texts that are never repeated in a message
    """

    name: str
    place: str
    document: Mapping[str, Any]
    variables: Mapping[str, str]
    secrets: tuple[str, ...] = ()


class Feed:
    """Started by `begin`. `url` is where the run is shown, once it said so; `on_url` is called with it then."""

    def __init__(
        self,
        settings: Settings,
        warn: Callable[[str], None],
        on_url: Callable[[str], None],
        command: tuple[str, ...] = (sys.executable, "-P", "-m", "trainer.tracking.client"),
    ) -> None:
        self._settings, self._warn, self._on_url, self._command = settings, warn, on_url, command
        self.name = settings.name
        self.url: str | None = None
        self._begin: Record = {}
        self._backlog: deque[Record] = deque()
        self._changed = threading.Condition()
        self._deadline: float | None = None
        self._since = 0.0
        self._reached = False
        self._lost = 0
        self._told = False
        self._client: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._work, name=f"tracking-{settings.name}", daemon=True)

    def begin(self, document: Mapping[str, Any]) -> None:
        self._begin = {"do": "begin", **document, "settings": dict(self._settings.document)}
        self._since = time.monotonic()
        self._thread.start()

    def put(self, record: Record) -> None:
        with self._changed:
            if len(self._backlog) >= LIMIT:
                self._backlog.popleft()
                self._lost += 1
            self._backlog.append(record)
            self._changed.notify()

    def hurry(self, deadline: float) -> None:
        """There will be no more records, and no more time than until `deadline` (monotonic seconds).

        A tracker that was never reached had its time while the training went on.
        """
        with self._changed:
            self._deadline = deadline if self._reached else min(deadline, self._since + CLOSING)
            self._changed.notify()

    def close(self) -> None:
        """Waits for what is left until the deadline of `hurry`, then gives up. Says what was lost."""
        if self._thread.ident is not None:
            self._thread.join(max(0.0, self._left()))
        self.abandon()
        lost = self._lost + len(self._backlog)
        if lost:
            self._warn(f"{self._settings.name} ({self._settings.place}) lacks {lost} records of this run")

    def abandon(self) -> None:
        """Ends the client at once, and with it whatever the thread waits for."""
        self.hurry(0.0)
        client = self._client
        if client is not None:
            client.kill()
        if self._thread.ident is not None:
            self._thread.join(1.0)

    def _work(self) -> None:
        try:
            self._deliver()
        finally:
            self._end_client()

    def _deliver(self) -> None:
        refused = 0
        while (record := self._next()) is not None:
            problem = None if self._client is not None else self._start()
            begun = problem is None
            problem = problem or self._ask(record)
            if problem is None or (begun and refused):
                self._drop(record, lost=problem is not None)
                refused = 0
                continue
            refused += begun
            self._end_client()
            self._say(problem)
            if not self._pause():
                return

    def _next(self) -> Record | None:
        """The oldest record, waited for; None when there will be no more, or no more time."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._backlog) or self._deadline is not None)
            return self._backlog[0] if self._backlog and self._left() > 0 else None

    def _drop(self, record: Record, *, lost: bool) -> None:
        with self._changed:
            if self._backlog and self._backlog[0] is record:  # else `put` needed its place meanwhile, and counted it
                self._backlog.popleft()
                self._lost += lost

    def _pause(self) -> bool:
        """False when the run is over: what was tried just now was the last try."""
        with self._changed:
            return not self._changed.wait_for(lambda: self._deadline is not None, timeout=RETRY)

    def _left(self) -> float:
        return float("inf") if self._deadline is None else self._deadline - time.monotonic()

    def _start(self) -> str | None:
        """A new client that has begun; or what is wrong."""
        try:
            self._client = subprocess.Popen(
                [*self._command, self._settings.name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # libraries may print what they were told, secrets too
                env={**os.environ, **self._settings.variables},
            )
        except OSError as error:
            return f"its client can't be started: {error}"
        problem = self._ask(self._begin)
        self._reached |= problem is None
        return problem

    def _end_client(self) -> None:
        client, self._client = self._client, None
        if client is None or client.stdin is None or client.stdout is None:
            return
        client.kill()
        client.wait()
        client.stdout.close()
        with suppress(BrokenPipeError):  # what it did not read any more
            client.stdin.close()

    def _ask(self, record: Record) -> str | None:
        """Hands the record to the client and waits for its answer; or what is wrong."""
        client = self._client
        if client is None or client.stdin is None or client.stdout is None:
            return "its client was ended"
        seconds = max(0.0, min(_ANSWER[record["do"]], self._left()))
        try:
            client.stdin.write(json.dumps(record).encode() + b"\n")
            client.stdin.flush()
            answer = json.loads(_line(client.stdout.fileno(), seconds))
        except TimeoutError:
            self._end_client()
            return f"it did not answer within {seconds:.0f} s"
        except (OSError, ValueError) as error:
            self._end_client()
            return f"its client ended: {error}" if self._left() > 0 else "it did not answer before the run ended"
        if answer.get("url") and self.url is None:
            self.url = str(answer["url"])
            self._on_url(self.url)
        return None if answer.get("error") is None else str(answer["error"])

    def _say(self, problem: str) -> None:
        if self._told:
            return
        self._told = True
        for secret in self._settings.secrets:
            problem = problem.replace(secret, "***")
        self._warn(
            f"{self._settings.name} ({self._settings.place}) is not informed of this run: {problem}. The training goes "
            f"on; it is tried again every {RETRY:.0f} s."
        )


def _line(descriptor: int, seconds: float) -> bytes:
    """One line from a pipe on which nothing else waits to be read. Raises TimeoutError, ValueError at its end."""
    deadline = time.monotonic() + seconds
    received = b""
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while not received.endswith(b"\n"):
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise TimeoutError
            piece = os.read(descriptor, 65536)
            if not piece:
                raise ValueError("no answer")
            received += piece
    return received
