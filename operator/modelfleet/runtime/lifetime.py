"""The lifetime of the operator: start, readiness, signals, end.

Start: HTTP server -> may everything be listed? -> kopf's watch streams -> all streams have begun -> list everything
into the store -> take up the notifications that an earlier process left -> workers. No worker looks at anything before
the store is complete, and the list is made when all streams have begun, so that no deletion falls between the two.

Where several operators share the work, what follows the list begins once this one leads (leadership.py); until then it
stands by, ready, with its store full.

Then a resync (list everything again) follows each gap in a stream, and comes every `resync_period`.

End, on SIGTERM or SIGINT: the queues close, reconciles under way end (for at most `shutdown_timeout`), then what waits
to be notified (for at most `notifications.drain_timeout`), the Lease, the followed logs, the HTTP server, and kopf
last: on its way out kopf cancels every task of the event loop that is younger than itself. Anything else that ends
(kopf, a worker, the leadership) is a failure: the process ends too, with status 1, and is started again by its
Deployment. State is all in the cluster.
"""

import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from modelfleet import prometheus, telemetry
from modelfleet.kinds import POD, WATCHED, Kind
from modelfleet.kube import Backoff, Client, Connection, LogTails, Store
from modelfleet.kube.lease import Terms
from modelfleet.kube.scope import Scope, scopes
from modelfleet.notifications.notifier import Notifier
from modelfleet.observability.objects import ObjectStates
from modelfleet.reconcile import Deps
from modelfleet.routing import Router
from modelfleet.runtime import clients, collector
from modelfleet.runtime.leadership import Leadership, own_namespace
from modelfleet.runtime.logs import container_ended, forgetting
from modelfleet.runtime.resyncs import Resyncs
from modelfleet.runtime.streams import WatchStreams
from modelfleet.runtime.workers import Capability, Workers, make_loops, make_queues
from modelfleet.server import Server
from modelfleet.settings import Settings
from modelfleet.tasks import cancel

log = logging.getLogger(__name__)


class Operator:
    """One operator process. `run` it once."""

    def __init__(
        self, settings: Settings, kubeconfig: Path | None, version: str, capabilities: Sequence[Capability]
    ) -> None:
        self._capabilities = capabilities
        self._settings = settings
        self._kubeconfig = kubeconfig
        self._metrics = telemetry.Metrics(version)
        self._store = Store()
        self._metrics.registry.register(ObjectStates(self._store))
        all_scopes = scopes(settings.namespaces)
        self._resyncs = Resyncs(self._store, all_scopes, settings.resync_period, self._metrics)
        self._streams = WatchStreams(
            self._store, settings.namespaces, all_scopes, on_gap=self._resyncs.on_gap, on_list=self._on_list
        )
        self._helpers: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()
        self._not_ready = "starting"
        self._metrics.ready.set_function(lambda: float(not self._why_not_ready()))

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT. Raises ApiError when there are no credentials, OSError when the port is taken,
        ValueError when two capabilities have a controller of one kind, and RuntimeError when a part ends that must
        not."""
        self._catch_signals()
        collector.calm()
        async with AsyncExitStack() as closing:
            server = Server(self._metrics.registry, self._why_not_ready)
            closing.push_async_callback(server.close)
            await server.open(self._settings.server.address, self._settings.server.port)
            connection = await Connection.open(self._kubeconfig)
            closing.push_async_callback(connection.close)
            leadership = self._leadership(connection, closing)
            may_write = leadership.check if leadership is not None else _always
            client = clients.api_client(connection, self._settings.api, self._metrics.request, may_write)
            closing.push_async_callback(client.close)
            logs = LogTails(client, self._container_ended)
            closing.push_async_callback(logs.close)
            providers = clients.providers(self._settings.prometheus, self._metrics.asked)
            closing.push_async_callback(providers.aclose)

            notifier = Notifier(
                self._settings.notifications, self._settings.namespaces, client, self._metrics, clock=_now
            )
            workers, router = self._workers(client, logs, providers, notifier)
            self._store.subscribe(forgetting(logs))
            for kind in WATCHED:
                self._metrics.store_objects.labels(kind.kind).set_function(_counter(self._store, kind))
            served = ", ".join(self._settings.namespaces) or "all namespaces"
            log.info("connected to %s, serving %s", connection.server, served)

            work = partial(_work, workers, notifier, leadership)
            main = asyncio.create_task(self._serve(connection, client, router, work), name="operator")
            stop = asyncio.create_task(self._stopping.wait(), name="stop signal")
            await asyncio.wait({main, stop}, return_when=asyncio.FIRST_COMPLETED)
            self._not_ready = "stopping"
            if self._stopping.is_set():
                await workers.drain(self._settings.shutdown_timeout)
            await cancel(stop, *self._helpers, *workers.tasks)
            if self._stopping.is_set():
                await notifier.drain()
                if leadership is not None:
                    await leadership.release()  # not before: the next leader would send again what is under way
            await cancel(*notifier.tasks)
            await logs.close()
            await server.close()
            await self._streams.stop()
            if self._stopping.is_set():
                await cancel(main)
            else:
                await main  # raises what went wrong
        log.info("stopped")

    def _workers(
        self, client: Client, logs: LogTails, providers: prometheus.Providers, notifier: Notifier
    ) -> tuple[Workers, Router]:
        """The workers, who empty the queues, and the router, who fills them."""
        queues = make_queues(Backoff(self._settings.backoff.base, self._settings.backoff.limit), self._metrics)
        router = Router(self._store, queues, [watch for each in self._capabilities for watch in each.WATCHES])
        deps = Deps(
            store=self._store,
            client=client,
            logs=logs,
            prometheus=providers,
            settings=self._settings,
            wake=router.wake,
            clock=_now,
            metrics=self._metrics,
            notifier=notifier,
        )
        return Workers(make_loops(self._capabilities, deps, queues), self._settings.workers), router

    def _leadership(self, connection: Connection, closing: AsyncExitStack) -> Leadership | None:
        """The election, with a client of its own: its writes wait for no others, and are made before leading."""
        of = self._settings.leader_election
        if not of.enabled:
            self._metrics.leader.set(1)
            return None
        client = Client(connection, timeout=of.renew_deadline.total_seconds(), observer=self._metrics.request)
        closing.push_async_callback(client.close)
        terms = Terms(of.lease_duration, of.renew_deadline, of.retry_period)
        leadership = Leadership(client, of.namespace or own_namespace(), of.name, terms)
        self._metrics.leader.set_function(lambda: float(leadership.leading))
        return leadership

    async def _serve(
        self,
        connection: Connection,
        client: Client,
        router: Router,
        work: Callable[[], Coroutine[Any, Any, None]],
    ) -> None:
        """Everything between start and end. Ends only by failing, or when kopf was stopped."""
        await self._resyncs.until_possible(client, self._wait_for)
        watching = self._streams.start(connection, spawned=self._catch_signals)
        begin = self._help(self._begin(client, router), "start")
        await asyncio.wait({watching, begin}, return_when=asyncio.FIRST_COMPLETED)
        if begin.done() and not begin.cancelled():
            begin.result()
            collector.freeze()
            self._not_ready = ""
            log.info("ready, with %d objects", sum(self._store.count(kind) for kind in WATCHED))
            resyncs = self._help(self._resyncs.keep_on(client, router.wake_all), "resyncs")
            working = self._help(work(), "workers")
            done, _ = await asyncio.wait({watching, resyncs, working}, return_when=asyncio.FIRST_COMPLETED)
            if not self._stopping.is_set():
                for task in done:
                    task.result()  # raises what went wrong
                raise RuntimeError(f"{', '.join(sorted(task.get_name() for task in done))} ended unexpectedly")
        await watching
        if not self._stopping.is_set():
            raise RuntimeError("the watch streams ended unexpectedly")

    async def _begin(self, client: Client, router: Router) -> None:
        """Wait for all streams, then fill the store and queue every owner. Only from then on single changes are routed:
        to ask for each of thousands of objects who depends on it, when all are to look anyway, would be a waste."""
        self._wait_for("waiting for the watch streams to begin")
        await self._streams.wait_all_live()
        self._wait_for("listing")
        await self._resyncs.first(client)
        self._store.subscribe(router.changed)
        router.wake_all()

    def _help(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run something beside the workers, until the end."""
        task = asyncio.create_task(work, name=name)
        self._helpers.append(task)
        return task

    def _wait_for(self, what: str) -> None:
        self._not_ready = what

    def _why_not_ready(self) -> str:
        return "; ".join(filter(None, (self._not_ready, *self._streams.refusals, *self._streams.cuts)))

    def _catch_signals(self) -> None:
        """Take the signal handlers; again once kopf has started, since it takes them too."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)

    def _on_signal(self, number: signal.Signals) -> None:
        log.info("received %s, stopping", number.name)
        self._stopping.set()

    def _on_list(self, scope: Scope) -> None:
        self._metrics.watch_lists.labels(scope.kind.qualified).inc()

    def _container_ended(self, namespace: str, name: str, uid: str, container: str) -> bool:
        return container_ended(self._store.get(POD, namespace, name), uid, container)


async def _work(workers: Workers, notifier: Notifier, leadership: Leadership | None) -> None:
    """Let the workers work while this process leads. Ends only by failing, or when the queues were closed."""
    keeping: set[asyncio.Task[None]] = set()
    if leadership is not None:
        await leadership.acquire()
        keeping.add(asyncio.create_task(leadership.keep(), name="leadership"))
    try:
        await notifier.begin()
        workers.start()
        lasting = {*keeping, *workers.tasks, *notifier.tasks}
        done, _ = await asyncio.wait(lasting, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()  # raises what went wrong
        if keeping:
            await asyncio.wait(workers.tasks)  # the Lease is renewed until the last of them has ended
    finally:
        await cancel(*keeping)


def _always() -> None:
    """Without an election this process may always write."""


def _now() -> datetime:
    return datetime.now(UTC)


def _counter(store: Store, kind: Kind) -> Callable[[], float]:
    return lambda: float(store.count(kind))
