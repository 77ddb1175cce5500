"""Requests to the API server: typed errors, a time limit on each, and a limit on the rate of writes.

Objects go in and come out as raw JSON dicts: what a capability builds is what is sent, and nothing is lost on the way
because a model class of a client library does not know a field yet. kubernetes.aio supplies address, credentials and
TLS (`Connection`).

Concurrency: one client for all workers. Requests run side by side; only writes wait for their turn at the token bucket.
Nothing is retried here: a failed reconcile is repeated as a whole, from what is observed then, with backoff.

A write may succeed although its response is lost (a timeout). Each kind of write bears the repeat: apply and delete by
uid are idempotent, create reports AlreadyExists, and patches carry a resourceVersion where a repeat could do harm.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any, Literal
from urllib.parse import quote

import aiohttp

from modelfleet.api.names import FIELD_MANAGER
from modelfleet.kinds import EVENT, POD, Kind, key_of, kind_of
from modelfleet.kube import errors, events
from modelfleet.kube.connection import Connection
from modelfleet.kube.lines import split_lines
from modelfleet.kube.rate_limit import TokenBucket
from modelfleet.kube.store import Object

Json = dict[str, Any]
Observer = Callable[[str, Kind, str, float], None]
"""Told of each request: verb (as RBAC names it), kind, HTTP code or error name, seconds."""

_JSON = "application/json"
_APPLY = "application/apply-patch+yaml"  # JSON is YAML
_MERGE = "application/merge-patch+json"
_API_GROUP = Kind("", "v1", "apigroups", "APIGroup", namespaced=False)
_LOG_LIMIT = 16 * 2**20  # bytes of a log read at once
_LIST_PAGE = 500


@dataclass(frozen=True)
class Listing:
    """All objects of a list, and the resource version as of which they were complete."""

    items: tuple[Object, ...]
    version: int


class Client:
    """`timeout` bounds each request in seconds; a followed log may stay silent for as long as its pod does. `may_write`
    is called right before each write, and raises an ApiError where none may be made."""

    def __init__(
        self,
        connection: Connection,
        *,
        timeout: float = 30.0,
        writes: TokenBucket | None = None,
        observer: Observer | None = None,
        may_write: Callable[[], None] = lambda: None,
    ) -> None:
        self._connection = connection
        self._session = connection.session()
        self._timeout = timeout
        self._writes = writes
        self._observer = observer
        self._may_write = may_write
        self._stamps = events.Stamps()

    async def close(self) -> None:
        """Close all connections of this client."""
        await self._session.close()

    async def get(self, kind: Kind, namespace: str, name: str) -> Object:
        """Read one object. Raises NotFound."""
        return await self._json("get", "GET", kind, namespace, name)

    async def list(
        self, kind: Kind, namespace: str | None = None, *, selector: str = "", fields: str = "", limit: int = 0
    ) -> Listing:
        """All objects of a kind (in one namespace, or everywhere), page by page; `limit` > 0 stops after one page.

        `selector` is one of labels, `fields` one of fields.

        The state is that of the newest resource version (a consistent read). When the pages take longer than the server
        keeps the version, the list starts again, once; Expired after that.
        """
        try:
            return await self._list(kind, namespace, selector, fields, limit)
        except errors.Expired:
            return await self._list(kind, namespace, selector, fields, limit)

    async def _list(self, kind: Kind, namespace: str | None, selector: str, fields: str, limit: int) -> Listing:
        items: list[Object] = []
        params = {"limit": str(limit or _LIST_PAGE)}
        if selector:
            params["labelSelector"] = selector
        if fields:
            params["fieldSelector"] = fields
        while True:
            page = await self._json("list", "GET", kind, namespace or "", params=params)
            for item in page.get("items") or ():  # the items of built-in types do not say what they are
                items.append({"apiVersion": kind.api_version, "kind": kind.kind, **item})
            metadata = page["metadata"]
            if not metadata.get("continue") or limit:
                return Listing(tuple(items), int(metadata["resourceVersion"]))
            params["continue"] = metadata["continue"]

    async def preferred_version(self, group: str) -> str:
        """The version of an API group that the server prefers. Raises NotFound where the group is not installed. Needs
        no rights of its own: discovery is open to all who are authenticated."""
        async with self._request("get", "GET", _API_GROUP, f"/apis/{quote(group, safe='')}") as response:
            return str(json.loads(await response.read())["preferredVersion"]["version"])

    async def apply(self, manifest: Object) -> Object:
        """Server-side apply as the field manager `modelfleet`, taking over fields from others."""
        kind, key = kind_of(manifest), key_of(manifest)
        params = {"fieldManager": FIELD_MANAGER, "force": "true", "fieldValidation": "Strict"}
        return await self._write("apply", "PATCH", kind, key.namespace, key.name, manifest, _APPLY, params)

    async def create(self, manifest: Object) -> Object:
        """Create an object. Raises AlreadyExists."""
        kind, key = kind_of(manifest), key_of(manifest)
        params = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"}
        return await self._write("create", "POST", kind, key.namespace, "", manifest, _JSON, params)

    async def patch(self, kind: Kind, namespace: str, name: str, body: Mapping[str, Any]) -> Object:
        """JSON merge patch. Raises Conflict when the body names a resourceVersion that is not the current one."""
        params = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"}
        return await self._write("patch", "PATCH", kind, namespace, name, body, _MERGE, params)

    async def patch_status(self, kind: Kind, namespace: str, name: str, body: Mapping[str, Any]) -> Object:
        """JSON merge patch of the status subresource; everything but `status` and resourceVersion is ignored.

        Fields that the installed CRD does not know are dropped by the server: an operator that is newer than its CRDs
        must go on working.
        """
        params = {"fieldManager": FIELD_MANAGER}
        return await self._write("patch", "PATCH", kind, namespace, f"{name}/status", body, _MERGE, params)

    async def delete(
        self, kind: Kind, namespace: str, name: str, uid: str, resource_version: str = ""
    ) -> Object | None:
        """Delete the object of this uid, its children in the background.

        Returns the object while finalizers or a grace period keep it, and None once it is gone, also when it was gone
        before. An object of the same name with another uid is not touched. Raises Conflict when `resource_version` is
        given and is not the current one (or the uid is another: looking again tells), and when it is refused
        for another reason (a webhook) while the object is there.
        """
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": uid} | ({"resourceVersion": resource_version} if resource_version else {}),
            "propagationPolicy": "Background",
        }
        try:
            answer = await self._write("delete", "DELETE", kind, namespace, name, options, _JSON, {})
        except errors.NotFound:
            return None
        except errors.Conflict:
            # A webhook may answer so as well: what is still there must not be taken for gone.
            if resource_version or await self._is_there(kind, namespace, name, uid):
                raise
            return None
        return answer if answer.get("kind") == kind.kind else None

    async def _is_there(self, kind: Kind, namespace: str, name: str, uid: str) -> bool:
        try:
            found = await self.get(kind, namespace, name)
        except errors.NotFound:
            return False
        return bool(found["metadata"]["uid"] == uid)

    async def post_event(
        self, regarding: Object, type: Literal["Normal", "Warning"], reason: str, message: str, now: datetime
    ) -> None:
        """Record an Event on an object, as `kubectl describe` shows it: below those that were recorded before it. The
        same Event again counts up instead."""
        stamp = self._stamps.next(regarding["metadata"]["uid"], now)
        event = events.build(regarding, type, reason, message, stamp)
        namespace, name = event["metadata"]["namespace"], event["metadata"]["name"]
        try:
            await self._write("create", "POST", EVENT, namespace, "", event, _JSON, {"fieldManager": FIELD_MANAGER})
        except errors.AlreadyExists:
            known = await self.get(EVENT, namespace, name)
            await self.patch(EVENT, namespace, name, events.repeat(known, stamp))

    async def read_log(self, namespace: str, pod: str, container: str, tail_lines: int | None = None) -> str:
        """What a container has written, at most the last `tail_lines` lines and 16 MiB.

        Raises NotFound when the pod is gone, Invalid while the container has not started.
        """
        params = {"container": container, "limitBytes": str(_LOG_LIMIT)}
        if tail_lines is not None:
            params["tailLines"] = str(tail_lines)
        path = path_of(POD, namespace, f"{pod}/log")
        async with self._request("get", "GET", POD, path, params=params) as response:
            return (await response.read()).decode("utf-8", "replace")

    async def follow_log(
        self, namespace: str, pod: str, container: str, *, since: str | None = None, tail_lines: int | None = None
    ) -> AsyncGenerator[tuple[str, str], None]:
        """The lines of a container's log as (timestamp, text), as they are written, until the container ends.

        `since` (an earlier line's timestamp) skips what was read before, to the second; `tail_lines` skips all but the
        last lines of what is there already. Raises NotFound when the pod is gone, Invalid while the container has not
        started, Unavailable when the connection breaks.
        """
        params = {"container": container, "follow": "true", "timestamps": "true"}
        if since is not None:
            params["sinceTime"] = since
        if tail_lines is not None:
            params["tailLines"] = str(tail_lines)
        path = path_of(POD, namespace, f"{pod}/log")
        async with self._request("get", "GET", POD, path, params=params, endless=True) as response:
            try:
                async for line in split_lines(response.content.iter_any()):
                    timestamp, _, text = line.partition(" ")
                    yield timestamp, text
            except (aiohttp.ClientError, TimeoutError) as error:
                raise errors.Unavailable(f"the log of pod {namespace}/{pod} broke off: {error!r}") from error

    async def _write(
        self, verb: str, method: str, kind: Kind, namespace: str, name: str, body: Any, content: str, params: Json
    ) -> Json:
        if self._writes is not None:
            wait = self._writes.reserve(asyncio.get_running_loop().time())
            if wait > 0:
                await asyncio.sleep(wait)
        self._may_write()
        return await self._json(verb, method, kind, namespace, name, params=params, body=body, content=content)

    async def _json(
        self,
        verb: str,
        method: str,
        kind: Kind,
        namespace: str,
        name: str = "",
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        content: str = "",
    ) -> Json:
        path = path_of(kind, namespace, name)
        async with self._request(verb, method, kind, path, params=params, body=body, content=content) as response:
            parsed: Json = json.loads(await response.read())
            return parsed

    @asynccontextmanager
    async def _request(
        self,
        verb: str,
        method: str,
        kind: Kind,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        content: str = "",
        endless: bool = False,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """One request whose response is known to be a success. Whatever fails, also while reading, is an ApiError."""
        headers = {"Accept": "*/*" if endless else f"{_JSON}, */*"}
        if body is not None:
            headers["Content-Type"] = content
        loop = asyncio.get_running_loop()
        started, outcome = loop.time(), "cancelled"
        timeout = aiohttp.ClientTimeout(total=None if endless else self._timeout, sock_connect=self._timeout)
        try:
            async with self._session.request(
                method,
                self._connection.server + path,
                params=params,
                data=None if body is None else encode(body),
                headers=headers,
                timeout=timeout,
            ) as response:
                outcome = str(response.status)
                if response.status >= HTTPStatus.BAD_REQUEST:
                    raise await self._refusal(response)
                yield response
        except TimeoutError as error:
            outcome = "timeout"
            raise errors.Unavailable(f"the API server did not answer within {self._timeout:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:  # ValueError: a body that is not valid JSON
            outcome = "unreachable"
            raise errors.Unavailable(f"the API server could not be reached: {error!r}") from error
        finally:
            if self._observer is not None:
                self._observer(verb, kind, outcome, loop.time() - started)

    async def _refusal(self, response: aiohttp.ClientResponse) -> errors.ApiError:
        text = (await response.read()).decode("utf-8", "replace")
        if response.status == HTTPStatus.UNAUTHORIZED:
            await self._connection.renew()
        return errors.from_response(response.status, response.reason or "", text, response.headers.get("Retry-After"))


_ESCAPES = str.maketrans({character: f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"})


def encode(body: Any) -> bytes:
    """JSON, byte for byte as the API server itself would write it: compact, sorted keys, the same escapes.

    It keeps the bytes of a ControllerRevision's immutable `data` as they are sent, but writes them again at each patch
    of the object's metadata, and compares: with any other spelling such a patch is refused as a change of `data`. Half
    surrogates, which a log line may smuggle in, become "?".
    """
    text = json.dumps(body, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    return text.translate(_ESCAPES).encode("utf-8", "replace")  # these characters stand only inside of strings


def path_of(kind: Kind, namespace: str, name: str = "") -> str:
    """The URL path of an object (`name` may end in a subresource), or of all objects of a kind."""
    parts: Iterable[str] = (
        *(("apis", kind.group) if kind.group else ("api",)),
        kind.version,
        *(("namespaces", namespace) if namespace and kind.namespaced else ()),
        kind.plural,
        *(name.split("/") if name else ()),
    )
    return "".join(f"/{quote(part, safe='')}" for part in parts)
