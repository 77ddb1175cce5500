"""Applies many objects at once, as `kubectl apply --server-side` would, and sees when each has its first child.

One process on the event loop, over its own connections to the API server; it is neither operator nor API server, and
its processor time is not counted. What it measures ends at the moment when a watch brings the child.
"""

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelfleet.kube import Connection

PARALLEL = 16  # applies under way at once: more of them only wait inside the API server

Json = dict[str, Any]


@dataclass(frozen=True)
class Resource:
    """A resource type: the start of its URLs, and its plural."""

    prefix: str
    plural: str

    def path(self, namespace: str, name: str = "") -> str:
        """The URL path of one object, or of all of a namespace."""
        return f"{self.prefix}/namespaces/{namespace}/{self.plural}" + (f"/{name}" if name else "")


@dataclass
class Arrivals:
    """When each object's apply was answered, and when its first child was seen; monotonic seconds."""

    applied: dict[str, float] = field(default_factory=dict)
    seen: dict[str, float] = field(default_factory=dict)

    def delays(self) -> list[float]:
        """Seconds from an apply to the first child, sorted; a child that came before the answer counts as 0."""
        return sorted(max(0.0, self.seen[name] - at) for name, at in self.applied.items())


class Api:
    """The API server as an administrator sees it."""

    def __init__(self, kubeconfig: Path) -> None:
        self._kubeconfig = kubeconfig

    async def __aenter__(self) -> "Api":
        self._connection = await Connection.open(self._kubeconfig)
        self._session = self._connection.session()
        self._server = self._connection.server
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()
        await self._connection.close()

    async def apply(self, resource: Resource, namespace: str, manifest: Json) -> None:
        """Server-side apply. Raises RuntimeError with the server's words."""
        path = resource.path(namespace, manifest["metadata"]["name"])
        headers = {"Content-Type": "application/apply-patch+yaml"}
        params = {"fieldManager": "benchmark", "force": "true"}
        async with self._session.patch(
            self._server + path, params=params, headers=headers, data=json.dumps(manifest)
        ) as response:
            if response.status >= 400:
                raise RuntimeError(f"{path}: {response.status} {await response.text()}")

    async def watch(self, resource: Resource, namespace: str, told: Callable[[str, Json], None]) -> None:
        """Tell of each event's type and object, until cancelled.

        The API server ends a watch whose reader falls behind, as this one may beside what it measures: it goes on from
        the last event that it has. Raises RuntimeError where the server has no longer what followed.
        """
        version = ""
        while True:
            params = {"watch": "true"} | ({"resourceVersion": version} if version else {})
            async with self._session.get(self._server + resource.path(namespace), params=params) as response:
                response.raise_for_status()
                rest = b""
                async for chunk in response.content.iter_any():
                    *lines, rest = (rest + chunk).split(b"\n")
                    for line in lines:
                        event = json.loads(line)
                        if event["type"] == "ERROR":
                            raise RuntimeError(f"the watch ended: {event['object'].get('message')}")
                        version = event["object"]["metadata"]["resourceVersion"]
                        told(event["type"], event["object"])


async def apply_all(
    api: Api,
    namespace: str,
    owners: tuple[Resource, Sequence[Json]],
    children: Resource,
    patience: float,
) -> Arrivals:
    """Apply all owners at once; return when each has a child, or raise TimeoutError after `patience` seconds."""
    resource, manifests = owners
    arrivals, complete = Arrivals(), asyncio.Event()

    def told(kind: str, child: Mapping[str, Any]) -> None:
        for reference in child["metadata"].get("ownerReferences") or ():
            arrivals.seen.setdefault(reference["name"], time.monotonic())
        if len(arrivals.seen) == len(manifests):
            complete.set()

    watching = asyncio.create_task(api.watch(children, namespace, told))
    await asyncio.sleep(0.5)
    waiting = iter(manifests)

    async def worker() -> None:
        for manifest in waiting:
            await api.apply(resource, namespace, manifest)
            arrivals.applied[manifest["metadata"]["name"]] = time.monotonic()

    try:
        async with asyncio.timeout(patience):
            await asyncio.gather(*(worker() for _ in range(PARALLEL)))
            waited = asyncio.create_task(complete.wait())
            await asyncio.wait({waited, watching}, return_when=asyncio.FIRST_COMPLETED)
            if not waited.done():
                watching.result()  # raises
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await watching
    return arrivals
