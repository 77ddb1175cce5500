"""The running operator: what is started, in which order, and how it ends.

Start: HTTP server -> may everything be listed? -> kopf's watch streams -> all streams have begun -> list everything
into the store -> workers. No worker looks at anything before the store is complete, and the list is made when all
streams have begun, so that no deletion falls between the two.

Then a resync (list everything again) follows each gap in a stream, and comes every `resync_period`.

End, on SIGTERM or SIGINT: the queues close, reconciles under way end (for at most `shutdown_timeout`), then the
followed logs, the HTTP server, and kopf last: on its way out kopf cancels every task of the event loop that is younger
than itself. Anything else that ends (kopf, a worker) is a failure: the process ends too, with status 1, and is started
anew by its Deployment. State is all in the cluster.

Concurrency: one event loop for all: kopf's streams, the workers, the logs, the HTTP server.
"""

import asyncio
import gc
import logging
import signal
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, cast

import kopf

from modelfleet import prometheus, routing, telemetry
from modelfleet.kinds import OWNERS, POD, WATCHED, Key, Kind
from modelfleet.kube import ApiError, Backoff, Client, Connection, LogTails, Object, Queue, Store, resync
from modelfleet.kube.rate_limit import TokenBucket
from modelfleet.kube.scope import Scope, scopes
from modelfleet.kube.streams import Streams
from modelfleet.reconcile import Controller, Deps, Loop
from modelfleet.server import Server
from modelfleet.settings import Settings
from modelfleet.watches import Watch

log = logging.getLogger(__name__)

_RESYNC_DELAY = 1.0
"""Seconds between a gap in a stream and the resync: gaps come together, and one resync serves them all."""

_RETRY_LONGEST = 30.0

_KOPF_STOP_TIMEOUT = 8.0
"""Seconds that kopf may take to close its streams; it needs well under one."""


def calm_collector() -> None:
    """Let Python's garbage collector look at young objects in large batches, and at the store hardly ever.

    A look at a large fleet makes ten thousands of values that are gone with it; with the default of 700 the collector
    went through the whole store in the middle of it, for half of the time. Nearly nothing here is in cycles.
    """
    gc.set_threshold(50_000, 20, 100)


class Capability(Protocol):
    """What a capability's package exports."""

    @property
    def WATCHES(self) -> tuple[Watch, ...]:
        """Which changes make its owners look again."""
        ...

    def controller(self, deps: Deps, /) -> Controller[Any]:
        """Its controller, of one of the owners' kinds."""
        ...


class Operator:
    """One operator process. `run` it once."""

    def __init__(
        self, settings: Settings, kubeconfig: Path | None, version: str, capabilities: Sequence[Capability]
    ) -> None:
        self._capabilities = capabilities
        self._settings = settings
        self._kubeconfig = kubeconfig
        self._metrics = telemetry.Metrics(version)
        self._scopes = scopes(settings.namespaces)
        self._stopping = asyncio.Event()
        self._gap = asyncio.Event()
        self._not_ready = "starting"
        self._streams = Streams(self._scopes, on_gap=self._on_gap, on_list=self._on_list)
        self._store = Store()
        self._workers: list[asyncio.Task[None]] = []
        self._helpers: list[asyncio.Task[None]] = []
        self._watching: asyncio.Task[None] | None = None
        self._kopf_stop = asyncio.Event()

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT. Raises ApiError when there are no credentials, OSError when the port is taken,
        and RuntimeError when a part ends that must not."""
        self._catch_signals()
        calm_collector()
        async with AsyncExitStack() as closing:
            server = Server(self._metrics.registry, self._why_not_ready)
            closing.push_async_callback(server.close)
            await server.open(self._settings.server.address, self._settings.server.port)
            connection = await Connection.open(self._kubeconfig)
            closing.push_async_callback(connection.close)
            client = self._client(connection)
            closing.push_async_callback(client.close)
            logs = LogTails(client, self._container_ended)
            closing.push_async_callback(logs.close)
            providers = self._prometheus()
            closing.push_async_callback(providers.aclose)

            loops, router = self._loops(client, logs, providers)
            self._store.subscribe(_forget_logs(logs))
            for kind in WATCHED:
                self._metrics.store_objects.labels(kind.kind).set_function(_counter(self._store, kind))
            served = ", ".join(self._settings.namespaces) or "all namespaces"
            log.info("connected to %s, serving %s", connection.server, served)

            main = asyncio.create_task(self._serve(connection, client, loops, router), name="operator")
            stop = asyncio.create_task(self._stopping.wait(), name="stop signal")
            await asyncio.wait({main, stop}, return_when=asyncio.FIRST_COMPLETED)
            self._not_ready = "stopping"
            self._metrics.ready.set(0)
            if self._stopping.is_set():
                await self._drain(loops)
            await _cancel(stop, *self._helpers, *self._workers)
            await logs.close()
            await server.close()
            self._kopf_stop.set()
            if self._watching is not None:
                await _end(self._watching)
            if self._stopping.is_set():
                await _cancel(main)
            else:
                await main  # raises what went wrong
        log.info("stopped")

    async def _serve(
        self, connection: Connection, client: Client, loops: tuple[Loop[Any], ...], router: routing.Router
    ) -> None:
        """Everything between start and end. Ends only by failing, or when kopf was told to stop."""
        await self._until_possible(client)
        self._watching = watching = asyncio.create_task(self._watch(connection), name="kopf")
        begin = self._help(self._begin(client, router), "start")
        await asyncio.wait({watching, begin}, return_when=asyncio.FIRST_COMPLETED)
        if begin.done() and not begin.cancelled():
            begin.result()
            self._workers = [
                asyncio.create_task(loop.work(), name=f"{loop.kind} worker {number}")
                for loop in loops
                for number in range(self._settings.workers)
            ]
            gc.collect()
            gc.freeze()  # what was listed at the start stays for long
            self._not_ready = ""
            self._metrics.ready.set(1)
            log.info("ready, with %d objects", sum(self._store.count(kind) for kind in WATCHED))
            resyncs = self._help(self._resync_forever(client, router), "resyncs")
            done, _ = await asyncio.wait({watching, resyncs, *self._workers}, return_when=asyncio.FIRST_COMPLETED)
            if not self._stopping.is_set():
                for task in done:
                    task.result()  # raises what went wrong
                raise RuntimeError(f"{', '.join(sorted(task.get_name() for task in done))} ended unexpectedly")
        await watching
        if not self._stopping.is_set():
            raise RuntimeError("the watch streams ended unexpectedly")

    def _help(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run something beside the workers, until the end."""
        task = asyncio.create_task(work, name=name)
        self._helpers.append(task)
        return task

    async def _until_possible(self, client: Client) -> None:
        """Wait until everything can be listed, and say what is missing until then."""
        said: tuple[resync.Problem, ...] = ()
        delay = 1.0
        while problems := await resync.check(client, self._scopes):
            self._not_ready = "; ".join(problem.message for problem in problems)
            if problems != said:
                for problem in problems:
                    log.error("%s", problem.message)
                said = problems
            log.warning("can't start yet (%d problems), trying again in %.0f s", len(problems), delay)
            await asyncio.sleep(delay)
            delay = min(delay * 2, _RETRY_LONGEST)

    async def _begin(self, client: Client, router: routing.Router) -> None:
        """Wait for all streams, then fill the store and queue every owner. Only from then on single changes are routed:
        to ask for each of thousands of objects who depends on it, when all are to look anyway, would be a waste."""
        self._not_ready = "waiting for the watch streams to begin"
        await self._streams.wait_all_live()
        self._not_ready = "listing"
        await self._fill(client)
        self._metrics.resyncs.labels("start").inc()
        self._store.subscribe(router.changed)
        router.wake_all()

    async def _resync_forever(self, client: Client, router: routing.Router) -> None:
        period = self._settings.resync_period.total_seconds()
        while True:
            try:
                async with asyncio.timeout(period):
                    await self._gap.wait()
                reason = "gap"
                await asyncio.sleep(_RESYNC_DELAY)
            except TimeoutError:
                reason = "period"
            self._gap.clear()  # before listing: a gap from now on needs another resync
            changes = await self._fill(client)
            self._metrics.resyncs.labels(reason).inc()
            for scope, count in changes.items():
                self._metrics.missed.labels(scope.kind.kind).inc(count)
            log.info("listed everything again (%s), %d objects differed", reason, sum(changes.values()))
            router.wake_all()

    async def _fill(self, client: Client) -> dict[Scope, int]:
        """List everything into the store; repeated until it succeeds. Returns how many objects differed."""
        delay = 1.0
        while True:
            try:
                return await resync.fill(client, self._store, self._scopes)
            except ApiError as error:
                log.warning("could not list everything, trying again in %.0f s: %s", delay, error.message)
                await asyncio.sleep(delay)
                delay = min(delay * 2, _RETRY_LONGEST)

    async def _watch(self, connection: Connection) -> None:
        """Run kopf's watch streams, until `_kopf_stop` or until one fails for good."""
        registry = kopf.OperatorRegistry()
        routing.register(registry, self._store)
        logins = _Logins(connection, self._streams)
        kopf.on.login(registry=registry, id="login")(logins.log_in)
        others = asyncio.all_tasks()  # whatever is younger, kopf takes for its own
        tasks = await kopf.spawn_tasks(
            registry=registry,
            settings=routing.watch_settings(self._scopes),
            # kopf would make one of the user's name, and a container's user id has none; nobody reads it: no peering
            identity=cast(Any, "modelfleet"),
            standalone=True,
            clusterwide=not self._settings.namespaces,
            namespaces=self._settings.namespaces,
            stop_flag=self._kopf_stop,
        )
        self._catch_signals()  # again: kopf has taken the signal handlers
        await kopf.run_tasks(tasks, ignored=others)

    async def _drain(self, loops: tuple[Loop[Any], ...]) -> None:
        """Let the reconciles under way end."""
        for loop in loops:
            loop.queue.close()
        if self._workers:
            timeout = self._settings.shutdown_timeout.total_seconds()
            _, late = await asyncio.wait(self._workers, timeout=timeout)
            if late:
                log.warning("%d reconciles did not end within %.0f s and were cut off", len(late), timeout)

    def _loops(
        self, client: Client, logs: LogTails, providers: prometheus.Providers
    ) -> tuple[tuple[Loop[Any], ...], routing.Router]:
        """The queues, and what fills and empties them."""
        clock = asyncio.get_running_loop().time
        backoff = Backoff(self._settings.backoff.base, self._settings.backoff.limit)
        queues: dict[Kind, Queue[Key]] = {
            kind: Queue(clock, backoff, telemetry.QueueMeter(self._metrics, kind)) for kind in OWNERS
        }
        router = routing.Router(self._store, queues, [watch for each in self._capabilities for watch in each.WATCHES])
        deps = Deps(
            store=self._store,
            client=client,
            logs=logs,
            prometheus=providers,
            settings=self._settings,
            wake=router.wake,
            clock=lambda: datetime.now(UTC),
            metrics=self._metrics,
        )
        controllers = [each.controller(deps) for each in self._capabilities]
        kinds = [each.kind for each in controllers]
        if twice := {kind.kind for kind in kinds if kinds.count(kind) > 1}:
            raise ValueError(f"more than one capability has a controller of {', '.join(sorted(twice))}")
        return tuple(Loop(each, deps, queues[each.kind], self._metrics) for each in controllers), router

    def _client(self, connection: Connection) -> Client:
        api = self._settings.api
        return Client(
            connection,
            timeout=api.request_timeout.total_seconds(),
            writes=TokenBucket(api.writes_per_second, api.write_burst),
            observer=self._metrics.request,
        )

    def _prometheus(self) -> prometheus.Providers:
        of = self._settings.prometheus
        clients = {
            name: prometheus.Client(each.url, each.timeout, credentials=each.credentials, setting=of.path(name))
            for name, each in of.by_name().items()
        }
        return prometheus.Providers(clients, of.default)

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)

    def _on_signal(self, number: signal.Signals) -> None:
        log.info("received %s, stopping", number.name)
        self._stopping.set()

    def _on_gap(self, scope: Scope) -> None:
        log.info("the watch of %s began anew, events may have been missed", scope)
        self._gap.set()

    def _on_list(self, scope: Scope) -> None:
        self._metrics.watch_lists.labels(scope.kind.qualified).inc()

    def _why_not_ready(self) -> str:
        return "; ".join(filter(None, (self._not_ready, *self._streams.refusals)))

    def _container_ended(self, namespace: str, name: str, uid: str, container: str) -> bool:
        return container_ended(self._store.get(POD, namespace, name), uid, container)


class _Logins:
    """Gives kopf its HTTP sessions: one at the start, and another each time that the API server has answered 401, with
    growing delays (kopf itself asks at once, hundreds of times a second)."""

    def __init__(self, connection: Connection, streams: Streams) -> None:
        self._connection = connection
        self._streams = streams
        self._backoff = Backoff(timedelta(seconds=1), timedelta(seconds=_RETRY_LONGEST))
        self._refused = 0  # in a row
        self._last: float | None = None

    async def log_in(self, **_: Any) -> kopf.AiohttpSession:
        """A login handler of kopf."""
        clock = asyncio.get_running_loop().time
        if self._last is not None:
            self._refused = 1 if clock() - self._last > 2 * _RETRY_LONGEST else self._refused + 1
            delay = self._backoff.delay(self._refused).total_seconds()
            log.warning("the API server did not accept the credentials of a watch, trying again in %.0f s", delay)
            await asyncio.sleep(delay)
            try:
                await self._connection.renew()
            except ApiError as error:
                log.error("%s", error.message)
        self._last = clock()
        session = self._connection.session(self._streams.middleware)
        return kopf.AiohttpSession(server=self._connection.server, aiohttp_session=session)


def container_ended(pod: Object | None, uid: str, container: str) -> bool:
    """Whether a container will write no more: it has terminated for good, or its pod has, or the pod is gone."""
    if pod is None or pod["metadata"]["uid"] != uid:
        return True
    status = pod.get("status") or {}
    if status.get("phase") in ("Succeeded", "Failed"):
        return True
    if (pod.get("spec") or {}).get("restartPolicy", "Always") != "Never":
        return False
    return any(
        each["name"] == container and "terminated" in (each.get("state") or {})
        for each in status.get("containerStatuses") or ()
    )


def _forget_logs(logs: LogTails) -> Callable[[Kind, Object | None, Object | None], None]:
    def changed(kind: Kind, before: Object | None, now: Object | None) -> None:
        if kind == POD and before is not None and (now is None or now["metadata"]["uid"] != before["metadata"]["uid"]):
            logs.forget(before["metadata"]["uid"])

    return changed


def _counter(store: Store, kind: Kind) -> Callable[[], float]:
    return lambda: float(store.count(kind))


async def _cancel(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait for their end; what they raise on the way is of no interest any more."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _end(task: asyncio.Task[None]) -> None:
    """Give a task that has been told to end some time for it, and then no more."""
    await asyncio.wait({task}, timeout=_KOPF_STOP_TIMEOUT)
    await _cancel(task)
