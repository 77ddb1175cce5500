"""Watching: kopf's watch streams into the store, from their start to their end, and how they log in."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, cast

import kopf

from modelfleet import routing
from modelfleet.kube import ApiError, Backoff, Connection, Store
from modelfleet.kube.scope import Scope
from modelfleet.kube.streams import Streams
from modelfleet.runtime.tasks import cancel

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
        routing.register(registry, self._store)
        kopf.on.login(registry=registry, id="login")(_Logins(connection, self._streams).log_in)
        others = asyncio.all_tasks()  # whatever is younger, kopf takes for its own
        tasks = await kopf.spawn_tasks(
            registry=registry,
            settings=routing.watch_settings(self._scopes),
            # kopf would make one of the user's name, and a container's user id has none; nobody reads it: no peering
            identity=cast(Any, "modelfleet"),
            standalone=True,
            clusterwide=not self._namespaces,
            namespaces=self._namespaces,
            stop_flag=self._stopping,
        )
        spawned()
        await kopf.run_tasks(tasks, ignored=others)


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
