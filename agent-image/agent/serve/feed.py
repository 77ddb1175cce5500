"""The feed: a thread that takes frames from a source at an even pace and keeps the newest few for the model.

Pace. Frame k is due at start + k / rate, reckoned from the start, so that small delays don't add up. A frame that could
not be taken when it was due is left out, not caught up: after a stall come no bursts. Of a live source every frame is
grabbed, and those that are due are decoded: what the model gets is never older than the backlog.

Backlog. When the model is slower than the pace the oldest waiting frame gives way. Frames that were left out or gave
way are reported as dropped, but for those that a live source never gave: a camera may be slower than the pace. Those
that can't be decoded are reported as broken. When the source is lost it is opened again, after
1 s at first and every 30 s in the end.

No evidence. A frame that is damaged, and one of a picture that is frozen, say nothing of the model. They are reported
as what they are and go no further. Only a live source can be frozen: files and folders hold what they hold.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable

from agent.serve.frames import BrokenFrame, DamagedFrame, Frame, Source, SourceLost
from agent.serve.frozen import Frozen
from agent.serve.health import Health

FIRST_RETRY, LAST_RETRY = 1.0, 30.0  # seconds
PART = "frame reader"

_log = logging.getLogger(__name__)


class Pace:
    """When the next frame is due. Times are seconds of one monotonic clock."""

    def __init__(self, rate: float, start: float) -> None:
        self._rate = rate
        self._start = start
        self._next = 0  # number of the next frame

    def wait(self, now: float) -> float:
        """Seconds until the next frame is due; 0 when it is."""
        return max(0.0, self._start + self._next / self._rate - now)

    def take(self, now: float, busy_until: float | None = None) -> int:
        """The frame that is due is taken now. Returns how many before it were missed: due, and now too late; with
        `busy_until` those that were due up to then."""
        newest = until = self._newest(now)
        if busy_until is not None:  # before the first frame there is nothing to be busy with
            until = min(newest, self._newest(busy_until) + 1) if self._next else 0
        missed = max(0, until - self._next)
        self._next = max(self._next, newest) + 1
        return missed

    def _newest(self, now: float) -> int:
        """The newest frame that is due; a hair is forgiven, or rounding would call a frame taken on the dot missed."""
        return math.floor((now - self._start) * self._rate + 1e-6)


class Feed:
    """Frames at `rate` per second from `source`, with at most `backlog` of them waiting.

    `on_dropped` and `on_broken` are called from the feed's thread, once for each such frame; `on_damaged` and
    `on_frozen` likewise, and `on_lost` whenever the source is lost, with what is said of it. `frozen_after`: seconds
    without a new picture after which a live source is frozen; 0: never.
    """

    def __init__(
        self,
        source: Source,
        rate: float,
        backlog: int,
        health: Health,
        *,
        on_dropped: Callable[[], None],
        on_broken: Callable[[], None],
        on_lost: Callable[[str], None] | None = None,
        on_damaged: Callable[[str], None] | None = None,
        on_frozen: Callable[[str], None] | None = None,
        frozen_after: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._rate = rate
        self._health = health
        self._on_dropped = on_dropped
        self._on_broken = on_broken
        self._on_lost = on_lost
        self._on_damaged = on_damaged
        self._on_frozen = on_frozen
        self._frozen = Frozen(frozen_after) if source.live and frozen_after else None
        self._is_frozen = False
        self._clock = clock
        self._stop = threading.Event()
        self._waiting: deque[Frame] = deque()
        self._backlog = backlog
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="frames", daemon=True)
        self._last_broken_log = self._last_damaged_log = -math.inf

    def start(self) -> None:
        """Begin to take frames."""
        self._health.beat(PART)
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """End, within `timeout` seconds where the source lets it: a read that hangs ends with the process."""
        self._stop.set()
        self._thread.join(timeout)

    @property
    def alive(self) -> bool:
        """False after `stop`, and after an error that should not have been."""
        return self._thread.is_alive()

    def take(self, timeout: float) -> Frame | None:
        """The oldest waiting frame; None when none came within `timeout` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._waiting), timeout)
            return self._waiting.popleft() if self._waiting else None

    def _run(self) -> None:
        retry = FIRST_RETRY
        while not self._stop.is_set():
            try:
                self._health.beat(PART)
                self._source.open()
                _log.info("reading frames from %s", self._source.name)
                if self._frozen:
                    self._frozen.restart()
                    self._is_frozen = False
                pace = Pace(self._rate, self._clock())
                while self._step(pace):
                    retry = FIRST_RETRY
            except SourceLost as lost:
                _log.warning("no frames: %s; trying again in %.0f s", lost, retry)
                if self._on_lost:
                    self._on_lost(str(lost))
            finally:
                self._source.close()
            self._pause(retry)
            retry = min(2 * retry, LAST_RETRY)

    def _step(self, pace: Pace) -> bool:
        """Take one frame from the source, and keep it if it is due. False at the end. Raises SourceLost."""
        if not self._source.live and not self._pause(pace.wait(self._clock())):
            return False
        self._health.beat(PART)
        asked = self._clock()
        self._source.advance()
        now = self._clock()
        if pace.wait(now) > 0:
            return not self._stop.is_set()
        # While a live source is waited for nobody is busy: what was due then was not dropped, it never came.
        for _ in range(pace.take(now, asked if self._source.live else None)):
            self._on_dropped()
        try:
            frame = self._source.decode()
        except BrokenFrame as broken:
            self._on_broken()
            if now - self._last_broken_log >= 60:  # the counter has them all
                self._last_broken_log = now
                _log.warning("broken frame: %s", broken)
        except DamagedFrame as damaged:
            if self._on_damaged:
                self._on_damaged(str(damaged))
            if now - self._last_damaged_log >= 60:  # the counter has them all
                self._last_damaged_log = now
                _log.warning("left out: %s", damaged)
        else:
            if not self._froze(frame):
                self._offer(frame)
        return not self._stop.is_set()

    def _froze(self, frame: Frame) -> bool:
        """Whether the frame is one of a frozen picture, which is reported."""
        frozen = self._frozen is not None and self._frozen.frozen(frame)
        what = f"the picture of {self._source.name} is frozen: nothing new in it, to the last bit"
        if frozen and not self._is_frozen:
            _log.warning("left out until it moves: %s (FROZEN_AFTER=0 if this source is meant to stand still)", what)
        elif self._is_frozen and not frozen:
            _log.info("the picture of %s moves again", self._source.name)
        self._is_frozen = frozen
        if frozen and self._on_frozen:
            self._on_frozen(what)
        return frozen

    def _offer(self, frame: Frame) -> None:
        with self._changed:
            gone = len(self._waiting) >= self._backlog
            if gone:
                self._waiting.popleft()
            self._waiting.append(frame)
            self._changed.notify()
        if gone:
            self._on_dropped()

    def _pause(self, seconds: float) -> bool:
        """Wait, giving signs of life. False when the feed is to end."""
        end = self._clock() + seconds
        while (left := end - self._clock()) > 0:
            self._health.beat(PART)
            if self._stop.wait(min(left, 0.5)):
                return False
        return not self._stop.is_set()
