"""Keeps an eye on kopf's watch streams, from the HTTP requests they make.

kopf tells its handlers of objects, but not that a stream has begun, that it restarted after a gap, or that it is
refused or cut; and a stream without objects says nothing at all. All of that shows in the requests: a GET of a kind's
path is a list when it has no `watch` parameter. So kopf gets an HTTP session (`middleware`) that takes notes here.

A stream is cut while the API server can't be reached or answers 429 or 5xx: kopf goes on asking, and what the operator
knows of that kind grows old. One that dies in silence shows when kopf asks again, after about a minute.

Concurrency: all on the one event loop; `middleware` runs inside kopf's tasks and never raises on its own.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus

import aiohttp

from modelfleet.kube.errors import from_response
from modelfleet.kube.resync import explain
from modelfleet.kube.scope import Scope, by_path

log = logging.getLogger(__name__)

_SHORT_CUT = 5.0
"""Seconds that a cut may last before it makes the operator not ready."""


class Streams:
    """The state of all watch streams.

    `on_list` is called for each list that kopf makes, and `on_gap` for each but a stream's first: events may have been
    missed.
    """

    def __init__(
        self, all_scopes: Iterable[Scope], on_gap: Callable[[Scope], None], on_list: Callable[[Scope], None]
    ) -> None:
        self._by_path: Mapping[str, Scope] = by_path(all_scopes)
        self._on_gap = on_gap
        self._on_list = on_list
        self._live: set[Scope] = set()
        self._listed: set[Scope] = set()
        self._refused: dict[Scope, str] = {}
        self._cut: dict[Scope, float] = {}  # since when, in the event loop's seconds
        self._all_live = asyncio.Event()

    @property
    def refusals(self) -> tuple[str, ...]:
        """Why streams are refused by the API server now; empty when none is."""
        return tuple(self._refused.values())

    @property
    def cuts(self) -> tuple[str, ...]:
        """Which streams are cut now and since when, in one sentence for all; empty when none is.

        One that is back within a few seconds, as when an API server is restarted behind a load balancer, is not told.
        """
        if not self._cut:
            return ()
        longest = _clock() - min(self._cut.values())
        if longest < _SHORT_CUT:
            return ()
        some = ", ".join(sorted(str(scope) for scope in self._cut)[:3])
        more = f" and {len(self._cut) - 3} more" if len(self._cut) > 3 else ""
        return (f"the API server has not served the watch of {some}{more} for {longest:.0f} s",)

    @property
    def pending(self) -> tuple[Scope, ...]:
        """The streams that have not begun yet."""
        return tuple(sorted(set(self._by_path.values()) - self._live))

    async def wait_all_live(self) -> None:
        """Wait until each stream has begun: from then on, no event after the stream's first list is missed."""
        await self._all_live.wait()

    async def middleware(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Watch the requests of one session (a client middleware of aiohttp)."""
        scope = self._by_path.get(request.url.raw_path) if request.method == "GET" else None
        try:
            response = await handler(request)
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            if scope is not None:
                self.cut(scope, repr(error))
            raise
        if scope is not None:
            watch = "watch" in request.url.query
            if response.status == HTTPStatus.TOO_MANY_REQUESTS or response.status >= 500:
                self.cut(scope, f"HTTP {response.status}")
            elif response.status < 400:
                self.succeeded(scope, watch)
            elif response.status in (403, 404):
                body = await response.text()  # kept by aiohttp: kopf reads it again
                self.refused(scope, watch, response.status, body)
        return response

    def succeeded(self, scope: Scope, watch: bool) -> None:
        """The API server has accepted a list or a watch."""
        if self._refused.pop(scope, None) is not None:
            log.info("the API server serves %s again", scope)
        if (since := self._cut.pop(scope, None)) is not None:
            log.info("the API server serves %s again after %.0f s", scope, _clock() - since)
        if watch:
            self._live.add(scope)
            if not self.pending:
                self._all_live.set()
            return
        self._on_list(scope)
        if scope in self._listed:
            self._on_gap(scope)
        self._listed.add(scope)

    def cut(self, scope: Scope, why: str) -> None:
        """The API server could not be asked, or could not answer; said once for each stream. kopf goes on trying."""
        if scope not in self._cut:
            self._cut[scope] = _clock()
            log.warning("the watch of %s is cut: %s", scope, why)

    def refused(self, scope: Scope, watch: bool, status: int, body: str) -> None:
        """The API server has refused a list or a watch; said once, until it changes. kopf goes on trying."""
        why = explain(scope, from_response(status, "", body), "watch" if watch else "list")
        if self._refused.get(scope) != why:
            log.error("%s", why)
        self._refused[scope] = why


def _clock() -> float:
    return asyncio.get_running_loop().time()
