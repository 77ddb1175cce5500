"""The work queue: which objects to look at next. The semantics of client-go's workqueue, on one event loop.

* An item is queued at most once, however often it is added.
* An item is never handed to two workers at once; added while it is being processed, it comes again after `done`.
* `add_after` keeps the earliest of several times. Handing an item out cancels its pending time: the worker looks at
  everything anyway and then says when it wants to look again.
* `retry` adds after an exponential backoff per item; `forget` resets it.

Concurrency: all methods but `get` are synchronous and run on the one event loop. `get` waits for an item or for the
next due time, whichever is first. The clock is passed in: with `take` and a clock of their own, tests need no
sleeping.
"""

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, Protocol, TypeVar

Item = TypeVar("Item", bound=Hashable)


@dataclass(frozen=True)
class Backoff:
    """Delay before the n-th retry in a row: `base` doubled each time, at most `limit`."""

    base: timedelta = timedelta(milliseconds=500)
    limit: timedelta = timedelta(minutes=5)

    def delay(self, failures: int) -> timedelta:
        """The delay after this many failures (from 1)."""
        doublings = min(max(failures, 1) - 1, 32)  # bounded: 2**n of a timedelta overflows
        return min(self.base * (1 << doublings), self.limit)


class Meter(Protocol):
    """What the queue reports about itself."""

    def depth(self, items: int) -> None:
        """Items that are ready and wait for a worker."""

    def waited(self, seconds: float) -> None:
        """How long an item was ready before a worker took it."""

    def retried(self) -> None:
        """An item failed and was put back with backoff."""

    def failing(self, items: int) -> None:
        """Items whose last try failed."""


class _NoMeter:
    def depth(self, items: int) -> None: ...
    def waited(self, seconds: float) -> None: ...
    def retried(self) -> None: ...
    def failing(self, items: int) -> None: ...


class Queue(Generic[Item]):
    """`clock` returns monotonic seconds; it must be the event loop's own for `get` to wake in time."""

    def __init__(self, clock: Callable[[], float], backoff: Backoff | None = None, meter: Meter | None = None) -> None:
        self._clock = clock
        self._backoff = backoff or Backoff()
        self._meter: Meter = meter or _NoMeter()
        self._ready: deque[Item] = deque()
        self._since: dict[Item, float] = {}  # when a queued item became ready; its keys are client-go's dirty set
        self._processing: set[Item] = set()
        self._due: dict[Item, float] = {}
        self._heap: list[tuple[float, int, Item]] = []  # may hold stale entries: only those that agree with _due count
        self._order = itertools.count()
        self._failures: dict[Item, int] = {}
        self._changed = asyncio.Event()
        self._closed = False

    def __len__(self) -> int:
        """Items that are ready and wait for a worker."""
        return len(self._ready)

    @property
    def busy(self) -> int:
        """Items that are being processed."""
        return len(self._processing)

    def add(self, item: Item) -> None:
        """Queue the item now. Nothing happens when it is queued already."""
        if self._closed or item in self._since:
            return
        self._since[item] = self._clock()
        if item not in self._processing:  # else `done` puts it into the line
            self._enqueue(item)

    def add_after(self, item: Item, delay: timedelta) -> None:
        """Queue the item in `delay`, unless an earlier time is set already."""
        if self._closed:
            return
        if delay <= timedelta(0):
            self.add(item)
            return
        due = self._clock() + delay.total_seconds()
        if due < self._due.get(item, float("inf")):
            self._due[item] = due
            heapq.heappush(self._heap, (due, next(self._order), item))
            self._changed.set()

    def retry(self, item: Item, at_least: timedelta = timedelta(0)) -> timedelta:
        """Queue the item after its backoff, at least `at_least`, and return the delay chosen."""
        self._failures[item] = self._failures.get(item, 0) + 1
        delay = max(self._backoff.delay(self._failures[item]), at_least)
        self._meter.retried()
        self._meter.failing(len(self._failures))
        self.add_after(item, delay)
        return delay

    def forget(self, item: Item) -> None:
        """The item succeeded or is gone: its next failure begins with the shortest backoff."""
        if self._failures.pop(item, None) is not None:
            self._meter.failing(len(self._failures))

    def failures(self, item: Item) -> int:
        """How often in a row the item failed."""
        return self._failures.get(item, 0)

    def take(self) -> Item | None:
        """The next item that is ready now, or None. It must be given back with `done`."""
        self._promote()
        if not self._ready:
            return None
        item = self._ready.popleft()
        self._meter.depth(len(self._ready))
        self._meter.waited(self._clock() - self._since.pop(item))
        self._due.pop(item, None)
        self._processing.add(item)
        return item

    def observed(self, item: Item) -> None:
        """All that was added for an item under way until now is about to be looked at: it need not come again for
        that."""
        if item in self._processing:
            self._since.pop(item, None)

    def done(self, item: Item) -> None:
        """Processing has ended; when the item was added meanwhile, it goes back into the line."""
        self._processing.discard(item)
        if item in self._since and not self._closed:
            self._enqueue(item)
        self._changed.set()

    async def get(self) -> Item | None:
        """Wait for an item. None when the queue was closed; what is still queued then is dropped (it is found again by
        observing, at the next start)."""
        while not self._closed:
            item = self.take()
            if item is not None:
                return item
            self._changed.clear()
            delay = self.next_due()
            try:
                async with asyncio.timeout(None if delay is None else max(delay - self._clock(), 0)):
                    await self._changed.wait()
            except TimeoutError:
                continue  # an item became due
        return None

    def next_due(self) -> float | None:
        """When (on the clock) the next delayed item becomes ready; None when there is none."""
        while self._heap and self._due.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def close(self) -> None:
        """Take no more items; every waiting `get` returns None."""
        self._closed = True
        self._changed.set()

    def _enqueue(self, item: Item) -> None:
        self._ready.append(item)
        self._meter.depth(len(self._ready))
        self._changed.set()

    def _promote(self) -> None:
        now = self._clock()
        while (due := self.next_due()) is not None and due <= now:
            _, _, item = heapq.heappop(self._heap)
            del self._due[item]
            self.add(item)
