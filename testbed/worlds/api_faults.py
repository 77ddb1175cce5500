"""What goes wrong between the operator and the API server: cut off after its n-th write, or a storm of faults.

Each is a `Meddler` of the proxy (operator_proxy.py), and looks at every write before it reaches the API server
(chaos_invariants.py); what must not be is in `broken`.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from random import Random

from aiohttp import web

from worlds import chaos_invariants
from worlds.operator_proxy import Meddler

_NAMESPACE = re.compile(r"/namespaces/([^/]+)/")
_GUARDED = ("/daemonsets/", "/controllerrevisions/")
_GONE = json.dumps({"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "late"}})
_SILENCE = 6.0
"""Seconds for which a request gets no answer: longer than the operator waits in these tests."""

PATIENCE = "3s"
"""The operator's limit on each request, while it is behind one of these."""


class Guard(Meddler):
    """Lets everything through, counts the writes that the API server has carried out, and looks at each."""

    def __init__(self) -> None:
        self.writes: Counter[str] = Counter()
        """By namespace, Events included."""
        self.broken: list[str] = []

    async def asked(self, method: str, path: str, body: bytes) -> web.Response | None:
        namespace = namespace_of(path)
        if method == "PATCH" and namespace and any(each in path for each in _GUARDED):
            written = chaos_invariants.parsed(body)
            children = f"/apis/apps/v1/namespaces/{namespace}"
            there = chaos_invariants.of(
                await self.look(f"/apis/modelfleet.dev/v1alpha1/namespaces/{namespace}/rollouts/line"),
                await self.look(f"{children}/daemonsets"),
                await self.look(f"{children}/controllerrevisions"),
                await self.look(f"/api/v1/namespaces/{namespace}/pods"),
            )
            self.broken += [f"{namespace}: {said}" for said in chaos_invariants.broken(written, there)]
        return None

    async def answered(self, method: str, path: str, body: bytes, status: int) -> web.Response | None:
        if method != "GET" and status < 300:
            self.writes[namespace_of(path)] += 1
        return None


class Scissors(Guard):
    """Cuts the operator off from a namespace right after its n-th write there: the answer never comes, and nothing more
    gets through, neither way, until `mend`. For that namespace it is as though the operator had been killed then; the
    kill itself follows once all have been cut.
    """

    def __init__(self) -> None:
        super().__init__()
        self._left: dict[str, int] = {}
        self.cut: set[str] = set()
        """The namespaces that it is cut off from."""

    def arm(self, after: Mapping[str, int]) -> None:
        """Cut each of these namespaces after so many more writes, at least one."""
        self._left = dict(after)

    def mend(self) -> None:
        """Let everything through again. What waited is lost: it was never sent."""
        self._left, self.cut = {}, set()

    async def asked(self, method: str, path: str, body: bytes) -> web.Response | None:
        return await self._silence(path) or await super().asked(method, path, body)

    async def answered(self, method: str, path: str, body: bytes, status: int) -> web.Response | None:
        await super().answered(method, path, body, status)
        namespace = namespace_of(path)
        if method != "GET" and status < 300 and namespace in self._left:
            self._left[namespace] -= 1
            if self._left[namespace] == 0:
                self.cut.add(namespace)
        return await self._silence(path)

    async def _silence(self, path: str) -> web.Response | None:
        """No answer while the namespace is cut; None where it is not."""
        namespace = namespace_of(path)
        if namespace not in self.cut:
            return None
        while namespace in self.cut:  # noqa: ASYNC110 (`mend` comes from another thread)
            await asyncio.sleep(0.05)
        return web.Response(status=504)


class Storm(Guard):
    """While it blows, requests are refused, kept, carried out without an answer, and delayed; watch events are dropped,
    repeated, delayed and put in another order. `seed` gives the dice; what falls on what depends on the cluster too.

    An event that was dropped is followed by "410 Gone", as where an API server has forgotten what came between: without
    that nobody could know of it.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._random = Random(seed)
        self.blows = False
        self.faults: Counter[str] = Counter()
        """How many there were of each kind."""

    def _fate(self, odds: Mapping[str, float]) -> str:
        if not self.blows:
            return ""
        drawn = self._random.random()
        for fault, share in odds.items():
            drawn -= share
            if drawn < 0:
                self.faults[fault] += 1
                return fault
        return ""

    async def asked(self, method: str, path: str, body: bytes) -> web.Response | None:
        conflict = {"409": 0.05} if method != "GET" else {}
        fate = self._fate({"429": 0.04, "500": 0.04, "never heard": 0.02, "late": 0.1, **conflict})
        if fate == "never heard":
            await asyncio.sleep(_SILENCE)
            return web.Response(status=504)
        if fate == "late":
            await asyncio.sleep(self._random.uniform(0, 1))
        elif fate:
            return _refusal(int(fate))
        return await super().asked(method, path, body)

    async def answered(self, method: str, path: str, body: bytes, status: int) -> web.Response | None:
        await super().answered(method, path, body, status)
        if method == "GET" or status >= 300:
            return None
        fate = self._fate({"carried out, and 500": 0.04, "carried out, and no answer": 0.03})
        if fate.endswith("500"):
            return _refusal(500)
        if fate:
            await asyncio.sleep(_SILENCE)
            return web.Response(status=504)
        return None

    async def tell(self, path: str, lines: AsyncIterator[str]) -> AsyncIterator[str]:
        queue: asyncio.Queue[str | None] = asyncio.Queue()
        reading = asyncio.create_task(_read(lines, queue))
        held: list[str] = []  # one that the next one overtakes
        lost = 0  # events dropped, and what came after them
        try:
            while True:
                try:
                    line = await asyncio.wait_for(queue.get(), 0.5)
                except TimeoutError:
                    line = ""
                if line is None or (lost and (lost > 3 or line == "")):
                    for each in held:
                        yield each
                    if line is not None:
                        yield _GONE
                    return
                fate = self._fate(_EVENTS) if line else ""
                if fate == "event dropped" or lost:
                    lost += 1
                if fate == "event late":
                    await asyncio.sleep(self._random.uniform(0, 1))
                if fate == "event overtaken" and not held:
                    held.append(line)
                    continue
                for each in () if fate == "event dropped" or not line else (line, line) if "twice" in fate else (line,):
                    yield each
                for each in held:
                    yield each
                held.clear()
        finally:
            reading.cancel()


_EVENTS = {"event dropped": 0.03, "event twice": 0.1, "event late": 0.08, "event overtaken": 0.1}


async def _read(lines: AsyncIterator[str], into: asyncio.Queue[str | None]) -> None:
    try:
        async for line in lines:
            into.put_nowait(line)
    finally:
        into.put_nowait(None)


def namespace_of(path: str) -> str:
    """The namespace in a request's path; "" where there is none."""
    found = _NAMESPACE.search(path)
    return found[1] if found else ""


def _refusal(code: int) -> web.Response:
    reason = {409: "Conflict", 429: "TooManyRequests", 500: "InternalError"}[code]
    said = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason}
    headers = {"Retry-After": "1"} if code == 429 else {}
    return web.json_response({**said, "message": f"made up by the test: {reason}"}, status=code, headers=headers)
