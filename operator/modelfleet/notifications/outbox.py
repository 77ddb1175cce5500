"""What is not delivered yet, as ConfigMaps in the operator's own namespace, one for each notification.

Not Events: those may be forged by whoever may write them in a namespace, and are forgotten after an hour. Not the
status: who reads a Rollout need not know who was told.

An entry is written before the status that makes it true, so that a process that dies in between has not forgotten it.
It says which status was there before: if that is the one that still stands, the write did not happen, and the decision
will be made again.
"""

import asyncio
import hashlib
import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from weakref import WeakValueDictionary

from modelfleet.kinds import CONFIG_MAP
from modelfleet.kube import AlreadyExists, ApiError, Backoff, Client, NotFound, Object, Unavailable
from modelfleet.kube.client import encode
from modelfleet.notifications.notification import Notification

log = logging.getLogger(__name__)

LABEL = "modelfleet.dev/outbox"
_VALUE = "notifications"
_PREFIX = "modelfleet-notification-"
_BACKOFF = Backoff(timedelta(seconds=1), timedelta(seconds=30))


@dataclass(frozen=True)
class Entry:
    """A notification, to whom it has to go yet, and the digest of the status of its object before it was true."""

    notification: Notification
    endpoints: tuple[str, ...]
    before: str

    def is_true(self, owner: Object | None) -> bool:
        """Whether the status was written, going by the object as it is now. Of one that is gone (None, or another one
        of its name) nobody can tell; then it is: entries wait for receivers far longer than for a status."""
        return owner is None or owner["metadata"]["uid"] != self.notification.uid or digest(owner) != self.before


@dataclass
class _Kept:
    """A ConfigMap: for whom it still is, and its uid, where that is known."""

    endpoints: set[str]
    uid: str = ""


def digest(owner: Object) -> str:
    """Of an object's status."""
    return hashlib.sha256(encode(owner.get("status") or {})).hexdigest()


class Outbox:
    """The entries in one namespace. `failed` is called for each write that could not be made.

    What need not be kept any more is taken out by `run`, later and as often as it takes: nobody waits for that.
    """

    def __init__(self, client: Client, namespace: str, failed: Callable[[], None]) -> None:
        self._client = client
        self._namespace = namespace
        self._failed = failed
        self._kept: dict[str, _Kept] = {}  # by the notification's id
        self._stale: dict[str, None] = {}  # ids whose ConfigMap says more than is true; in order
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._changed = asyncio.Event()
        self._closing = False

    async def add(self, entry: Entry) -> None:
        """Keep it. Where that can't be done it is said, and the operator goes on: a rollback waits for no receiver."""
        id = entry.notification.id
        name = _PREFIX + id
        manifest = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": self._namespace, "labels": {LABEL: _VALUE}},
            "data": {
                "notification": json.dumps(entry.notification.to_dict()),
                "endpoints": " ".join(entry.endpoints),
                "status-before": entry.before,
            },
        }
        async with self._writing(id):
            await self._create(entry, id, manifest)

    async def _create(self, entry: Entry, id: str, manifest: Object) -> None:
        self._stale.pop(id, None)
        self._kept[id] = _Kept(set(entry.endpoints))  # from now on it may be there, whatever the answer says
        try:
            try:
                created = await self._client.create(manifest)
            except AlreadyExists:  # from a try whose answer was lost
                return
        except ApiError as error:
            if not isinstance(error, Unavailable):
                del self._kept[id]
            self._failed()
            log.error(
                "a notification could not be kept in namespace %s, and would be lost with this process: %s",
                self._namespace,
                error.message,
            )
            return
        self._kept[id].uid = created["metadata"]["uid"]

    def done(self, id: str, endpoint: str) -> None:
        """This endpoint need not get it any more."""
        if id in self._kept:
            self._kept[id].endpoints.discard(endpoint)
            self._stale[id] = None
            self._changed.set()

    async def withdraw(self, entries: Iterable[Entry]) -> None:
        """They did not come true."""
        for entry in entries:
            id = entry.notification.id
            if id in self._kept:
                self._kept[id].endpoints.clear()
                self._stale[id] = None
                if not await self._update(id):
                    self._changed.set()  # `run` goes on with it

    async def read(self) -> tuple[Entry, ...]:
        """All entries, and keep them. Raises ApiError."""
        listing = await self._client.list(CONFIG_MAP, self._namespace, selector=f"{LABEL}={_VALUE}")
        found = []
        for each in listing.items:
            try:
                entry = _entry(each)
            except (KeyError, TypeError, ValueError):
                name = each["metadata"]["name"]
                log.error("ConfigMap %s/%s is not a notification that this release can read, and is left as it is: "
                          "delete it", self._namespace, name)  # fmt: skip
                continue
            self._kept[entry.notification.id] = _Kept(set(entry.endpoints), each["metadata"]["uid"])
            found.append(entry)
        return tuple(sorted(found, key=lambda entry: entry.notification.time))

    def forget(self, entry: Entry) -> None:
        """It is somebody else's: leave it where it is."""
        self._kept.pop(entry.notification.id, None)

    def close(self) -> None:
        """Let `run` end once all is taken out."""
        self._closing = True
        self._changed.set()

    async def run(self) -> None:
        """Take out what need not be kept, until closed."""
        failures = 0
        while True:
            self._changed.clear()
            results = [await self._update(id) for id in tuple(self._stale)]
            failures = 0 if all(results) else failures + 1
            if self._closing and not self._stale:
                return
            if failures:
                await asyncio.sleep(_BACKOFF.delay(failures).total_seconds())
            else:
                await self._changed.wait()

    def _writing(self, id: str) -> asyncio.Lock:
        """Held while the ConfigMap is written: a removal under way must not take what is added again meanwhile."""
        return self._locks.setdefault(id, asyncio.Lock())

    async def _update(self, id: str) -> bool:
        """Make the ConfigMap say who has not got it yet, or remove it. Whether that could be done."""
        async with self._writing(id):
            return id not in self._stale or await self._bring_up_to_date(id)

    async def _bring_up_to_date(self, id: str) -> bool:
        kept, name = self._kept[id], _PREFIX + id
        left = " ".join(sorted(kept.endpoints))
        try:
            if left:
                body: dict[str, Any] = {"data": {"endpoints": left}}
                await self._client.patch(CONFIG_MAP, self._namespace, name, body)
            else:
                uid = kept.uid or (await self._client.get(CONFIG_MAP, self._namespace, name))["metadata"]["uid"]
                await self._client.delete(CONFIG_MAP, self._namespace, name, uid)
        except NotFound:
            left = ""
        except ApiError as error:
            self._failed()
            log.warning("could not take a notification out of namespace %s yet: %s", self._namespace, error.message)
            return False
        if not left:
            self._stale.pop(id, None)
            self._kept.pop(id, None)
        elif left == " ".join(sorted(kept.endpoints)):  # nothing more was done meanwhile
            self._stale.pop(id, None)
        return True


def _entry(obj: Object) -> Entry:
    data = obj["data"]
    notification = Notification.from_dict(json.loads(data["notification"]))
    return Entry(notification, tuple(data["endpoints"].split()), data["status-before"])
