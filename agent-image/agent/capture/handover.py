"""The queue between the inference loop and the thread that encodes: the loop never waits.

At most QUEUE frames wait. Where there is no place, one that the random sample did not draw gives way to one that it
did: losing drawn frames when the node is busy would bend the figures made from them.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from agent.capture.policy import Choice
from agent.detection import Detection
from agent.masking import Image

QUEUE = 4
"""Decoded frames that may wait to be encoded; a 1080p frame is 6 MB."""


@dataclass(frozen=True, eq=False)
class Job:
    """One frame to be encoded. `now` is monotonic, in seconds."""

    image: Image
    detections: Sequence[Detection]
    choice: Choice
    now: float
    at: datetime


class Handover:
    """`put` and `take` may be called from any thread."""

    def __init__(self) -> None:
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def put(self, job: Job) -> Job | None:
        """Add a job. Returns the one that found no place: this one or one that waited."""
        with self._changed:
            gone: Job | None = None
            if len(self._jobs) >= QUEUE:
                gone = next((each for each in self._jobs if not each.choice.draw), None) if job.choice.draw else job
                if gone is None or gone is job:
                    return job
                self._jobs.remove(gone)
            self._jobs.append(job)
            self._changed.notify()
            return gone

    def take(self, timeout: float) -> Job | None:
        """The oldest job; None where none came within `timeout` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._jobs) or self._closed, timeout)
            return self._jobs.popleft() if self._jobs else None

    def close(self) -> None:
        """From now on `take` waits for nothing; what waits is still given out."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
