"""The HTTP client: bounded in time, size, retries and concurrency; follows no redirect and repeats no body.

Concurrency: one client is shared by all workers of the operator. A semaphore bounds the queries under way, so that a
fleet of gates that wake at the same minute can't overload the provider; a query that waits for its turn does not use
up its time.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

import httpx

from modelfleet.addresses import is_address
from modelfleet.credentials import Credentials, HttpClient
from modelfleet.prometheus import answers
from modelfleet.prometheus.results import NoData, ProviderDown, Result, Samples, Series
from modelfleet.unreachable import why

_RETRIED = frozenset({429, 500, 502, 503, 504})
_BACKOFF = 0.25  # seconds before the first retry; doubles
_MAX_BODY = 256 * 2**20  # 10,000 nodes with 12 buckets each are about 25 MiB
_MAX_POINTS = 5_000  # per series and request; the providers' own limit is 11,000


class Client:
    """Queries one provider.

    `url` is the address up to and without `/api/v1`. `timeout` bounds one query with all its retries; the provider is
    told of it as well. `setting` is where the operator's settings have it from, for messages. `observer` is told of the
    result of each query. `transport` replaces the network in tests. Close it with `aclose`, or use it as a context
    manager.
    """

    def __init__(
        self,
        url: str,
        timeout: timedelta = timedelta(seconds=30),
        *,
        credentials: Credentials | None = None,
        setting: str = "prometheus",
        retries: int = 2,
        concurrency: int = 8,
        observer: Callable[[Result], None] = lambda result: None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        if not is_address(url):
            raise ValueError(f"{setting}.url must be an http or https address, and is {url!r}")
        self._base = httpx.URL(url.rstrip("/"))
        self._timeout = timeout.total_seconds()
        self._setting = setting
        self._retries = retries
        self._observer = observer
        self._turns = asyncio.Semaphore(concurrency)
        self._http = HttpClient(
            credentials or Credentials(), self._timeout, https=self._base.scheme == "https", transport=transport
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections; a later query opens new ones."""
        await self._http.aclose()

    async def instant(self, query: str, at: datetime) -> Result:
        """`query` at one moment."""
        return await self._ask("query", {"query": query, "time": _unix(at)})

    async def range(self, query: str, start: datetime, end: datetime, step: timedelta) -> Result:
        """`query` at start, start + step, ... up to end; long ranges are asked for in parts."""
        if step <= timedelta(0) or end < start:
            raise ValueError(f"a range needs start <= end and a positive step, not {start} .. {end} by {step}")
        parts: list[Samples] = []
        stride = step * (_MAX_POINTS - 1)
        while start <= end:
            last = min(end, start + stride)
            form = {"query": query, "start": _unix(start), "end": _unix(last), "step": f"{step.total_seconds():.3f}"}
            result = await self._ask("query_range", form)
            if isinstance(result, ProviderDown):
                return result
            if isinstance(result, Samples):
                parts.append(result)
            start = start + stride + step
        return _joined(parts)

    async def _ask(self, endpoint: str, form: Mapping[str, str]) -> Result:
        form = {**form, "timeout": f"{max(1, round(self._timeout * 1000))}ms", "partial_response": "false"}
        async with self._turns:
            try:
                async with asyncio.timeout(self._timeout):
                    result = await self._with_retries(endpoint, form)
            except TimeoutError:
                result = ProviderDown(f"{self._where} did not answer within {self._timeout:g}s")
        self._observer(result)
        return result

    async def _with_retries(self, endpoint: str, form: Mapping[str, str]) -> Result:
        for attempt in range(self._retries + 1):
            if attempt:
                await asyncio.sleep(_BACKOFF * 2 ** (attempt - 1))
            try:
                status, body = await self._post(endpoint, form)
            except httpx.TimeoutException:
                result: Result = ProviderDown(f"{self._where} did not answer in time")
            except httpx.RequestError as error:
                result = ProviderDown(f"{self._where} can't be reached ({why(error)})")
            except (OSError, UnicodeError) as error:
                # Not the network (httpx wraps that): a file of the credentials can't be read. Waiting does not fix it.
                return ProviderDown(f"{self._setting}.credentials can't be read ({type(error).__name__})")
            except _TooLargeError:
                return ProviderDown(f"{self._where} answered with more than {_MAX_BODY // 2**20} MiB")
            else:
                result = answers.read(status, body, self._setting)
                if status not in _RETRIED:
                    return result
        return result

    async def _post(self, endpoint: str, form: Mapping[str, str]) -> tuple[int, bytes]:
        http = await self._http.get()
        async with http.stream("POST", f"{self._base}/api/v1/{endpoint}", data=form) as response:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > _MAX_BODY:
                    raise _TooLargeError
            return response.status_code, bytes(body)

    @property
    def _where(self) -> str:
        """Host and port: a URL may carry a password."""
        return f"Prometheus at {self._base.host}" + (f":{self._base.port}" if self._base.port else "")


class _TooLargeError(Exception):
    """The answer exceeds what the operator is willing to hold."""


def _unix(moment: datetime) -> str:
    return f"{moment.astimezone(UTC).timestamp():.3f}"


def _joined(parts: list[Samples]) -> Result:
    """One result from consecutive parts of a range: a series goes on where its labels are the same."""
    merged: dict[tuple[tuple[str, str], ...], Series] = {}
    for part in parts:
        for labels, values in part.series:
            key = tuple(sorted(labels.items()))
            merged[key] = (labels, merged[key][1] + values) if key in merged else (labels, values)
    return Samples(tuple(merged.values())) if merged else NoData()
