"""Watching: kopf's watch streams into the store, from their start to their end, and how they log in.

kopf only watches: the handlers are `on.event` (kopf's way to see raw events and to store nothing on the objects), there
are no finalizers, no annotations, no peering. An event of type None is an object of a stream's first list.

Concurrency: kopf handles the events of one object in order, those of different objects side by side, all on the one
event loop. Handlers only write to the store, which tells its subscribers (routing.py) what really changed.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, cast

import kopf

from modelfleet.kinds import WATCHED
from modelfleet.kube import ApiError, Backoff, Connection, Store
from modelfleet.kube.scope import Scope
from modelfleet.kube.streams import Streams
from modelfleet.tasks import cancel

log = logging.getLogger(__name__)

_STOP_TIMEOUT = 8.0
"""Seconds that kopf may take to close its streams; it needs well under one."""

_LOGIN_BACKOFF = Backoff(timedelta(seconds=1), timedelta(seconds=30))


class WatchStreams:
    """All watch streams, as one task of kopf. `on_gap` and `on_list` are those of `kube.streams`."""

    def __init__(
        self,
        store: Store,
        namespaces: Sequence[str],
        all_scopes: Sequence[Scope],
        on_gap: Callable[[Scope], None],
        on_list: Callable[[Scope], None],
    ) -> None:
        self._store = store
        self._namespaces = namespaces
        self._scopes = all_scopes
        self._streams = Streams(all_scopes, on_gap=on_gap, on_list=on_list)
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def refusals(self) -> tuple[str, ...]:
        """Why streams are refused by the API server now; empty when none is."""
        return self._streams.refusals

    @property
    def cuts(self) -> tuple[str, ...]:
        """Which streams the API server has stopped serving; empty when all are live."""
        return self._streams.cuts

    async def wait_all_live(self) -> None:
        """Wait until each stream has begun."""
        await self._streams.wait_all_live()

    def start(self, connection: Connection, spawned: Callable[[], None]) -> asyncio.Task[None]:
        """Begin; the task ends when stopped, or when a stream fails for good. `spawned` is called when kopf has started
        (and has taken the signal handlers)."""
        self._task = asyncio.create_task(self._run(connection, spawned), name="kopf")
        return self._task

    async def stop(self) -> None:
        """End all streams, if they were started. On its way out kopf cancels every younger task of the event loop."""
        self._stopping.set()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=_STOP_TIMEOUT)
            await cancel(self._task)

    async def _run(self, connection: Connection, spawned: Callable[[], None]) -> None:
        registry = kopf.OperatorRegistry()
        take_into(registry, self._store)
        kopf.on.login(registry=registry, id="login")(_Logins(connection, self._streams).log_in)
        others = asyncio.all_tasks()  # whatever is younger, kopf takes for its own
        tasks = await kopf.spawn_tasks(
            registry=registry,
            settings=kopf_settings(self._scopes),
            # kopf would make one of the user's name, and a container's user id has none; nobody reads it: no peering
            identity=cast(Any, "modelfleet"),
            standalone=True,
            clusterwide=not self._namespaces,
            namespaces=self._namespaces,
            stop_flag=self._stopping,
        )
        spawned()
        await kopf.run_tasks(tasks, ignored=others)


def take_into(registry: kopf.OperatorRegistry, store: Store) -> None:
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


def kopf_settings(scopes: Iterable[Scope]) -> kopf.OperatorSettings:
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


class _Logins:
    """Gives kopf its HTTP sessions: one at the start, and another each time that the API server has answered 401, with
    growing delays (kopf itself asks at once, hundreds of times a second)."""

    def __init__(self, connection: Connection, streams: Streams) -> None:
        self._connection = connection
        self._streams = streams
        self._refused = 0  # in a row
        self._last: float | None = None

    async def log_in(self, **_: Any) -> kopf.AiohttpSession:
        """A login handler of kopf."""
        clock = asyncio.get_running_loop().time
        if self._last is not None:
            calm = 2 * _LOGIN_BACKOFF.limit.total_seconds()
            self._refused = 1 if clock() - self._last > calm else self._refused + 1
            delay = _LOGIN_BACKOFF.delay(self._refused).total_seconds()
            log.warning("the API server did not accept the credentials of a watch, trying again in %.0f s", delay)
            await asyncio.sleep(delay)
            try:
                await self._connection.renew()
            except ApiError as error:
                log.error("%s", error.message)
        self._last = clock()
        session = self._connection.session(self._streams.middleware)
        return kopf.AiohttpSession(server=self._connection.server, aiohttp_session=session)
