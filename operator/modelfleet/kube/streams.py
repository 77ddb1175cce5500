"""Keeps an eye on kopf's watch streams, from the HTTP requests they make.

kopf tells its handlers of objects, but not that a stream has begun, that it restarted after a gap, or that it is
refused; and a stream without objects says nothing at all. All of that shows in the requests: a GET of a kind's path is
a list when it has no `watch` parameter. So kopf gets an HTTP session (`middleware`) that takes notes here.

Concurrency: all on the one event loop; `middleware` runs inside kopf's tasks and never raises on its own.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping

import aiohttp

from modelfleet.kube.errors import from_response
from modelfleet.kube.resync import explain
from modelfleet.kube.scope import Scope, by_path

log = logging.getLogger(__name__)


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
        self._all_live = asyncio.Event()

    @property
    def refusals(self) -> tuple[str, ...]:
        """Why streams are refused by the API server now; empty when none is."""
        return tuple(self._refused.values())

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
        response = await handler(request)
        scope = self._by_path.get(request.url.raw_path) if request.method == "GET" else None
        if scope is not None:
            watch = "watch" in request.url.query
            if response.status < 400:
                self.succeeded(scope, watch)
            elif response.status in (403, 404):
                body = await response.text()  # kept by aiohttp: kopf reads it again
                self.refused(scope, watch, response.status, body)
        return response

    def succeeded(self, scope: Scope, watch: bool) -> None:
        """The API server has accepted a list or a watch."""
        if self._refused.pop(scope, None) is not None:
            log.info("the API server serves %s again", scope)
        if watch:
            self._live.add(scope)
            if not self.pending:
                self._all_live.set()
            return
        self._on_list(scope)
        if scope in self._listed:
            self._on_gap(scope)
        self._listed.add(scope)

    def refused(self, scope: Scope, watch: bool, status: int, body: str) -> None:
        """The API server has refused a list or a watch; said once, until it changes. kopf goes on trying."""
        why = explain(scope, from_response(status, "", body), "watch" if watch else "list")
        if self._refused.get(scope) != why:
            log.error("%s", why)
        self._refused[scope] = why
