"""Listing everything into the store: at the start, after each gap in a watch stream, and every `period`."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import timedelta

from modelfleet import telemetry
from modelfleet.kube import ApiError, Backoff, Client, Store, resync
from modelfleet.kube.scope import Scope

log = logging.getLogger(__name__)

_GAP_DELAY = 1.0
"""Seconds between a gap in a stream and the resync: gaps come together, and one resync serves them all."""

_BACKOFF = Backoff(timedelta(seconds=1), timedelta(seconds=30))


class Resyncs:
    """Brings the store in line with the cluster, again and again."""

    def __init__(
        self, store: Store, all_scopes: Sequence[Scope], period: timedelta, metrics: telemetry.Metrics
    ) -> None:
        self._store = store
        self._scopes = all_scopes
        self._period = period
        self._metrics = metrics
        self._gap = asyncio.Event()

    def on_gap(self, scope: Scope) -> None:
        """A watch stream restarted: a resync comes soon."""
        log.info("the watch of %s restarted, events may have been missed", scope)
        self._gap.set()

    async def until_possible(self, client: Client, say: Callable[[str], None]) -> None:
        """Wait until everything can be listed, and `say` what is missing until then."""
        known: tuple[resync.Problem, ...] = ()
        failures = 0
        while problems := await resync.check(client, self._scopes):
            say("; ".join(problem.message for problem in problems))
            if problems != known:
                for problem in problems:
                    log.error("%s", problem.message)
                known = problems
            failures += 1
            delay = _BACKOFF.delay(failures).total_seconds()
            log.warning("can't start yet (%d problems), trying again in %.0f s", len(problems), delay)
            await asyncio.sleep(delay)

    async def first(self, client: Client) -> None:
        """Fill the store, once all streams have begun."""
        await self._fill(client)
        self._metrics.resyncs.labels("start").inc()

    async def keep_on(self, client: Client, after: Callable[[], None]) -> None:
        """Resync for ever, and call `after` each time."""
        while True:
            try:
                async with asyncio.timeout(self._period.total_seconds()):
                    await self._gap.wait()
                reason = "gap"
                await asyncio.sleep(_GAP_DELAY)
            except TimeoutError:
                reason = "period"
            self._gap.clear()  # before listing: a gap from now on needs another resync
            changes = await self._fill(client)
            self._metrics.resyncs.labels(reason).inc()
            for scope, count in changes.items():
                self._metrics.missed.labels(scope.kind.kind).inc(count)
            log.info("listed everything again (%s), %d objects differed", reason, sum(changes.values()))
            after()

    async def _fill(self, client: Client) -> dict[Scope, int]:
        """List everything into the store; repeated until it succeeds. Returns how many objects differed."""
        failures = 0
        while True:
            try:
                return await resync.fill(client, self._store, self._scopes)
            except ApiError as error:
                failures += 1
                delay = _BACKOFF.delay(failures).total_seconds()
                log.warning("could not list everything, trying again in %.0f s: %s", delay, error.message)
                await asyncio.sleep(delay)
