"""What waits for one receiver, and the task that sends it.

Concurrency: one request at a time for each receiver, and receivers do not wait for each other. `put` is synchronous and
never waits, so that no reconcile does. What failed goes back with a delay of its own, and what comes after it is tried
meanwhile: one message that a receiver can't take holds up no other. Only where it says when to come again is everything
left until then. So the order is that of the transitions only while
nothing fails; each notification has its time.
"""

import asyncio
import heapq
import itertools
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from modelfleet.notifications.notification import Notification
from modelfleet.notifications.retry import Again, Answered, Lost, Sent, Unanswered, cause_of, judge
from modelfleet.notifications.sender import Sender
from modelfleet.telemetry import NotificationMeter

log = logging.getLogger(__name__)


@dataclass
class _Waiting:
    notification: Notification
    tries: int = 0


class Mailbox:
    """`done` is called with the id of each notification that is sent or lost: it needs no keeping any more."""

    def __init__(
        self,
        name: str,
        sender: Sender,
        *,
        limit: int,
        retry_for: timedelta,
        clock: Callable[[], datetime],
        done: Callable[[str], None],
        meter: NotificationMeter,
    ) -> None:
        self._name = name
        self._sender = sender
        self._limit = limit
        self._retry_for = retry_for
        self._clock = clock
        self._done = done
        self._meter = meter
        self._waiting: dict[str, _Waiting] = {}  # by id
        self._heap: list[tuple[float, int, str]] = []  # when each is due; may have entries of some that are gone
        self._order = itertools.count()
        self._changed = asyncio.Event()
        self._resume_at = 0.0  # the receiver asked for being left alone until then
        self._closing = False
        self._failing = False

    def __len__(self) -> int:
        """How many wait, the one under way left out."""
        return len(self._waiting)

    def put(self, it: Notification) -> None:
        """Send it as soon as may be. One that waits already is not put in twice."""
        if it.id in self._waiting:
            return
        if len(self._waiting) >= self._limit:
            oldest = min((each.notification for each in self._waiting.values()), key=lambda each: each.time)
            del self._waiting[oldest.id]
            self._lose(oldest, "queue_full", f"more than {self._limit} wait (notifications.queue)")
        self._schedule(_Waiting(it), 0.0)

    def close(self) -> None:
        """Let `run` end once nothing is due."""
        self._closing = True
        self._changed.set()

    async def run(self) -> None:
        """Send what is due, until closed."""
        try:
            while (next_ := await self._next()) is not None:
                await self._try(next_)
        finally:
            await self._sender.aclose()

    async def _next(self) -> _Waiting | None:
        loop = asyncio.get_running_loop()
        while True:
            while self._heap and self._heap[0][2] not in self._waiting:
                heapq.heappop(self._heap)
            delay = max(self._heap[0][0], self._resume_at) - loop.time() if self._heap else None
            if delay is not None and delay <= 0:
                found = self._waiting.pop(heapq.heappop(self._heap)[2])
                self._meter.waiting(len(self._waiting) + 1)
                return found
            if self._closing:
                return None
            self._changed.clear()
            try:
                async with asyncio.timeout(delay):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _try(self, item: _Waiting) -> None:
        it = item.notification
        item.tries += 1
        try:
            outcome = await self._sender.post(it, self._clock())
        except asyncio.CancelledError:
            self._waiting[it.id] = item  # it is not lost: the next start finds it in the outbox
            raise
        except Exception as error:  # a bug: it must end neither the task nor, at each start again, the operator
            log.error("notifying %s failed in a way that it should not", self._name, exc_info=error)
            outcome = Unanswered("error", f"an error of the operator's own ({type(error).__name__})")
        follows = judge(outcome, it, item.tries, self._clock(), retry_for=self._retry_for, chance=random.random())
        if isinstance(follows, Sent):
            self._meter.sent()
            log.info("notified %s of %s: %s", self._name, it.topic, it.message)
            if self._failing:
                self._failing = False
                log.info("notifications to %s arrive again", self._name)
            self._done(it.id)
        else:
            self._failed(outcome, it, item.tries, follows)
            if isinstance(follows, Lost):
                self._lose(it, follows.cause, f"{_told(outcome)}, in try {item.tries}")
            else:
                if follows.pause:
                    self._resume_at = asyncio.get_running_loop().time() + follows.pause.total_seconds()
                self._schedule(item, follows.delay.total_seconds())
        self._meter.waiting(len(self._waiting))

    def _failed(self, outcome: Answered | Unanswered, it: Notification, tries: int, follows: Again | Lost) -> None:
        """Count a try, and log the first of a row of them: a receiver that is away for hours must not fill the log."""
        self._meter.failed(cause_of(outcome))
        level = logging.DEBUG if self._failing else logging.WARNING
        log.log(level, "could not notify %s of %s (try %d): %s", self._name, it.topic, tries, _told(outcome))
        self._failing = self._failing or isinstance(follows, Again)

    def _lose(self, it: Notification, cause: str, why: str) -> None:
        self._meter.lost(cause)
        about = f"{it.kind} {it.namespace}/{it.name}"
        log.error("a notification to %s is lost, %s of %s: %s (%s)", self._name, it.topic, about, it.message, why)
        self._done(it.id)

    def _schedule(self, item: _Waiting, delay: float) -> None:
        self._waiting[item.notification.id] = item
        due = asyncio.get_running_loop().time() + delay
        heapq.heappush(self._heap, (due, next(self._order), item.notification.id))
        self._meter.waiting(len(self._waiting))
        self._changed.set()


def _told(outcome: Answered | Unanswered) -> str:
    return outcome.message if isinstance(outcome, Unanswered) else f"it answered HTTP {outcome.status}"
