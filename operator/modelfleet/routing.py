"""Who must look again: the store tells the router of what really changed, and the router adds keys to queues.

So whatever brings the news (a watch, a list, a response to our own write) wakes the same owners, and it costs
microseconds.
"""

import logging
from collections.abc import Iterable, Mapping

from modelfleet.kinds import OWNERS, Key, Kind, key_of
from modelfleet.kube import Object, Queue, Store
from modelfleet.watches import Watch

log = logging.getLogger(__name__)


class Router:
    """Turns changes of objects into keys in the owners' queues."""

    def __init__(self, store: Store, queues: Mapping[Kind, Queue[Key]], watches: Iterable[Watch]) -> None:
        self._store = store
        self._queues = queues
        self._watches: dict[Kind, list[Watch]] = {}
        for watch in watches:
            self._watches.setdefault(watch.kind, []).append(watch)

    def changed(self, kind: Kind, before: Object | None, now: Object | None) -> None:
        """An object has changed (a subscriber of the store)."""
        for watch in self._watches.get(kind, ()):
            try:
                woken = watch.woken(before, now, self._store)
            except Exception:  # a bug in one capability must not keep the news from the others
                key = key_of(next(form for form in (now, before) if form is not None))
                log.exception("could not tell who depends on %s %s; all owners look again", kind, key)
                self.wake_all()
                continue
            for key in woken:
                self._queues[watch.owner].add_after(key, watch.delay)

    def wake(self, kind: Kind, key: Key) -> None:
        """Have an owner look again, now."""
        self._queues[kind].add(key)

    def wake_all(self) -> None:
        """Have every owner look again: at start-up, and at each resync."""
        for kind in OWNERS:
            if kind in self._queues:
                for obj in self._store.list(kind):
                    self._queues[kind].add(key_of(obj))
