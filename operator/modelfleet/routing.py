"""All event handlers, in one place: kopf watches, the store takes in, and the router says who must look again.

kopf only watches: the handlers are `on.event` (kopf's way to see raw events and to store nothing on the objects), there
are no finalizers, no annotations, no peering. An event of type None is an object of a stream's first list.

Concurrency: kopf handles the events of one object in order, those of different objects side by side, all on the one
event loop. Handlers only write to the store; the store tells the router of what really changed, and the router adds
keys to queues. So an event costs microseconds, and whatever brings the news (a watch, a list, a response to our own
write) wakes the same owners.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import kopf

from modelfleet.kinds import OWNERS, WATCHED, Key, Kind, key_of
from modelfleet.kube import Object, Queue, Store
from modelfleet.kube.scope import Scope
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


def register(registry: kopf.OperatorRegistry, store: Store) -> None:
    """Watch every kind into the store."""

    async def take_in(event: Mapping[str, Any], **_: Any) -> None:
        if event["type"] == "DELETED":
            store.remove(event["object"])
        else:
            store.put(event["object"])

    for kind in WATCHED:
        kopf.on.event(
            group=kind.group, version=kind.version, plural=kind.plural, id=f"store-{kind.plural}", registry=registry
        )(take_in)


def watch_settings(scopes: Iterable[Scope]) -> kopf.OperatorSettings:
    """kopf's settings: only watch, post nothing, never give up."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.scanning.disabled = True  # else it wants to watch namespaces and CRDs, which takes more rights
    settings.networking.error_backoffs = _Forever()
    settings.networking.connect_timeout = 10
    settings.watching.connect_timeout = 10
    settings.queueing.idle_timeout = 0.5  # for so long kopf keeps a task for each object that changed
    settings.persistence.diffbase_storage = _NoDiffs()
    settings.persistence.progress_storage = _NoProgress()
    for scope in scopes:
        if scope.selector:
            kind = scope.kind
            settings.watching.label_selectors[kind.group, kind.version, kind.plural] = scope.selector
    return settings


class _NoDiffs(kopf.DiffBaseStorage):
    """kopf copies each object of each event, twice, to compare it with what its handlers saw last. Ours see raw events,
    and the store compares."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None: ...


class _NoProgress(kopf.ProgressStorage):
    """kopf remembers on the objects how far their handlers are. Ours are done at once."""

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None: ...
    def purge(self, **_: Any) -> None: ...
    def touch(self, **_: Any) -> None: ...

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        return essence


class _Forever:
    """Delays between attempts that never end: kopf would give up after the last one and stop the operator, although an
    API server that is being upgraded answers 403 or 503 for minutes."""

    def __iter__(self) -> Iterator[float]:
        yield from (1, 1, 2, 3, 5, 8, 13)
        while True:
            yield 20
