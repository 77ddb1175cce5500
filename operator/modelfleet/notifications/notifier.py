"""Notifications as a whole: what reconciles hand over, and what the runtime starts and ends.

A transition goes so, for each notification that somebody wants:

    1. it is written into the outbox
    2. the status is written
    3. it is put into the mailboxes, which send it, and take it out of the outbox

The process may die in between. After 1: the next start finds the status of before, and takes it out; the decision is
made again. After 2: the next start finds another status, and sends it. In 3: the same; a receiver that took it and
whose entry was not taken out yet gets it again, with the same id.

A write whose answer is lost is neither made nor refused: what it would have made true waits for the next look at its
object, which reads the status from the API server first. See docs/notifications.md.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol, TypeVar

from modelfleet.decision import Announce
from modelfleet.kinds import OWNERS, Kind
from modelfleet.kube import ApiError, Backoff, Client, NotFound, Object, Unavailable
from modelfleet.notifications import notification
from modelfleet.notifications.endpoint import Notifications
from modelfleet.notifications.mailbox import Mailbox
from modelfleet.notifications.outbox import Entry, Outbox, digest
from modelfleet.notifications.selection import wanted_by
from modelfleet.notifications.sender import Sender
from modelfleet.tasks import cancel
from modelfleet.telemetry import Metrics, NotificationMeter

log = logging.getLogger(__name__)

_KINDS = {kind.kind: kind for kind in OWNERS}
_BACKOFF = Backoff(timedelta(seconds=1), timedelta(seconds=30))
_LAST_WRITES = 2.0
"""Seconds for taking out of the outbox what was sent last."""

Answer = TypeVar("Answer")


class Transitions(Protocol):
    """What a reconcile needs of it."""

    def transition(
        self, kind: Kind, owner: Object, announcements: Sequence[Announce], now: datetime
    ) -> AbstractAsyncContextManager[None]:
        """Wrap it around the write of the status with which the announcements become true. `owner` is the object on
        which was decided. Raises ApiError where an earlier write's outcome is not known and can't be found out."""
        ...


class Nobody:
    """Notifies nobody."""

    def transition(
        self, kind: Kind, owner: Object, announcements: Sequence[Announce], now: datetime
    ) -> AbstractAsyncContextManager[None]:
        """Nothing around it."""
        return nullcontext()


class Notifier:
    """Notifies the endpoints of the settings. `namespaces` are those that this operator serves; none: all."""

    def __init__(
        self,
        settings: Notifications,
        namespaces: Sequence[str],
        client: Client,
        metrics: Metrics,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._namespaces = namespaces
        self._client = client
        self._outbox = Outbox(client, settings.namespace, metrics.notification_outbox_errors.inc)
        self._mailboxes: Mapping[str, Mailbox] = {
            name: Mailbox(
                name,
                Sender(name, endpoint),
                limit=settings.queue,
                retry_for=settings.retry_for,
                clock=clock,
                done=partial(self._outbox.done, endpoint=name),
                meter=NotificationMeter(metrics, name),
            )
            for name, endpoint in settings.endpoints.items()
        }
        self._unsettled: dict[str, list[Entry]] = {}  # by the uid of their object
        self._sending: list[asyncio.Task[None]] = []
        self._keeping: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def transition(
        self, kind: Kind, owner: Object, announcements: Sequence[Announce], now: datetime
    ) -> AsyncIterator[None]:
        """See `Transitions`."""
        uid = owner["metadata"]["uid"]
        if uid in self._unsettled:
            await self._settle(uid)
        entries = self._entries(kind, owner, announcements, now)
        try:
            for entry in entries:
                await self._outbox.add(entry)
            yield
        except ApiError as error:
            if isinstance(error, Unavailable):
                self._leave(uid, entries)
            else:
                await self._outbox.withdraw(entries)
            raise
        except BaseException:
            self._leave(uid, entries)
            raise
        self._put(entries)

    async def begin(self) -> None:
        """Take up what an earlier process has left, and start sending. To be called before anything is decided: until
        then a status that has not changed tells that a transition was not made."""
        if not self._mailboxes:
            return
        for entry in await self._left_over():
            it = entry.notification
            if self._namespaces and it.namespace not in self._namespaces:
                self._outbox.forget(entry)
            elif entry.is_true(await _patiently(partial(self._owner, it))):
                self._put([entry])
            else:
                log.info("%s of %s %s/%s did not come to pass", it.topic, it.kind, it.namespace, it.name)
                await self._outbox.withdraw([entry])
        self._keeping = asyncio.create_task(self._outbox.run(), name="outbox of notifications")
        self._sending = [
            asyncio.create_task(mailbox.run(), name=f"notifications to {name}")
            for name, mailbox in self._mailboxes.items()
        ]

    @property
    def tasks(self) -> Sequence[asyncio.Task[None]]:
        """What runs, once begun. None of it ends before `drain`."""
        return (*self._sending, *(() if self._keeping is None else (self._keeping,)))

    async def drain(self) -> None:
        """Send what is due, for at most the settings' `drain_timeout`, and take out of the outbox what is sent."""
        if self._keeping is None:
            return
        for mailbox in self._mailboxes.values():
            mailbox.close()
        await asyncio.wait(self._sending, timeout=self._settings.drain_timeout.total_seconds())
        await cancel(*self._sending)
        self._outbox.close()
        await asyncio.wait([self._keeping], timeout=_LAST_WRITES)
        await cancel(self._keeping)
        for name, mailbox in self._mailboxes.items():
            if len(mailbox):
                log.info("%d notifications to %s wait for the next start", len(mailbox), name)

    def _entries(self, kind: Kind, owner: Object, said: Iterable[Announce], now: datetime) -> list[Entry]:
        found = notification.of(owner, kind.kind, said, self._settings.cluster, now)
        wanted = [(it, wanted_by(it, self._settings.endpoints)) for it in found]
        return [Entry(it, names, digest(owner)) for it, names in wanted if names]

    def _put(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            for name in entry.endpoints:
                if (mailbox := self._mailboxes.get(name)) is not None:
                    mailbox.put(entry.notification)
                else:
                    log.warning("a notification is not sent to %s: it is no longer in the settings", name)
                    self._outbox.done(entry.notification.id, name)

    def _leave(self, uid: str, entries: list[Entry]) -> None:
        if entries:
            self._unsettled.setdefault(uid, []).extend(entries)

    async def _settle(self, uid: str) -> None:
        """Find out what became of writes whose answers were lost."""
        entries = self._unsettled[uid]
        owner = await self._owner(entries[0].notification)
        del self._unsettled[uid]
        self._put(entry for entry in entries if entry.is_true(owner))
        await self._outbox.withdraw(entry for entry in entries if not entry.is_true(owner))

    async def _owner(self, it: notification.Notification) -> Object | None:
        """The object as the API server has it now. Raises ApiError."""
        try:
            return await self._client.get(_KINDS[it.kind], it.namespace, it.name)
        except NotFound:
            return None

    async def _left_over(self) -> tuple[Entry, ...]:
        try:
            return await _patiently(self._outbox.read)
        except ApiError as error:
            log.error(
                "can't read ConfigMaps in namespace %s (notifications.namespace), so that what an earlier process left "
                "there is not sent: %s",
                self._settings.namespace,
                error.message,
            )
            return ()


async def _patiently(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """Ask until the API server can answer. Raises ApiError for what asking again does not cure."""
    failures = 0
    while True:
        try:
            return await ask()
        except Unavailable as error:
            failures += 1
            delay = _BACKOFF.delay(failures).total_seconds()
            log.warning("could not take up notifications, trying again in %.0f s: %s", delay, error.message)
            await asyncio.sleep(delay)
