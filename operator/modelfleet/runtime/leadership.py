"""Who of several operators works: the one that holds the Lease. The others stand by, with everything in their stores.

Before each write of a worker the leader asks itself whether it may still (`Leadership.check`): a process that was
frozen, and woken long after its Lease ran out, writes nothing. One race is left, as everywhere: a request that was on
its way when the Lease ran out. It does no harm: applies have one field manager, creates are by name, and statuses are
written under the resourceVersion that was read.
"""

import asyncio
import logging
import socket
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from modelfleet.kinds import LEASE
from modelfleet.kube import AlreadyExists, ApiError, Client, Conflict, NotFound, Unavailable, lease
from modelfleet.kube.lease import Create, Lost, Record, Renew, Seen, Take, Terms, Wait

log = logging.getLogger(__name__)

_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class LeadershipLost(Exception):
    """This process led and leads no more: it has to end. The text says why."""


class Leadership:
    """The Lease `namespace`/`name`, from this process' side.

    `acquire`, then `keep` until the end, then `release`. `client` must not be guarded by `check` itself.
    """

    def __init__(
        self,
        client: Client,
        namespace: str,
        name: str,
        terms: Terms,
        *,
        identity: str = "",
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._name = name
        self._terms = terms
        self.identity = identity or f"{socket.gethostname()}_{uuid.uuid4()}"
        self._wall = wall
        self._seen: Seen | None = None
        self._renewed_at: float | None = None  # None: not the leader

    @property
    def leading(self) -> bool:
        """Whether this process may write."""
        return self._left() > 0

    def check(self) -> None:
        """Raises Unavailable unless this process leads."""
        if not self.leading:
            raise Unavailable("this operator does not hold the Lease (any more) and writes nothing")

    async def acquire(self) -> None:
        """Return once this process leads. What the API server refuses is logged, and tried again."""
        told = ""
        while True:
            began = _clock()
            try:
                async with asyncio.timeout(self._terms.renew_deadline.total_seconds()):
                    if await self._try(leading=False):
                        self._renewed_at = began
                        log.info("leads, as %s", self.identity)
                        return
                holder = self._seen.record.holder if self._seen is not None and self._seen.record is not None else ""
                level, said = logging.INFO, f"stands by: {holder} leads" if holder else ""
            except (ApiError, TimeoutError) as error:
                level, said = (
                    logging.WARNING,
                    f"could not ask for the Lease {self._namespace}/{self._name}: {_why(error)}",
                )
            if said and said != told:
                log.log(level, "%s", said)
                told = said
            await asyncio.sleep(self._terms.retry.total_seconds())

    async def keep(self) -> None:
        """Renew until it can't be done in time. Never returns; raises LeadershipLost."""
        why = ""
        while True:
            await asyncio.sleep(min(self._terms.retry.total_seconds(), max(0.0, self._left())))
            left = self._left()
            if left <= 0:
                raise LeadershipLost(f"the Lease could not be renewed in time{f': {why}' if why else ''}")
            began = _clock()
            try:
                async with asyncio.timeout(left):
                    await self._try(leading=True)
                self._renewed_at = began
            except (ApiError, TimeoutError) as error:
                why = _why(error)
                log.warning("could not renew the Lease, %.0f s left: %s", max(0.0, self._left()), why)

    async def release(self) -> None:
        """Let the Lease go, where it is ours, so that the next one need not wait for its end.

        It is read again first: the renewal that stopping cut off may have come through.
        """
        if not self.leading:
            return
        self._renewed_at = None
        try:
            async with asyncio.timeout(self._terms.retry.total_seconds()):
                while not await self._let_go():
                    pass
        except (ApiError, TimeoutError) as error:
            log.info("could not let the Lease go; it will expire: %s", _why(error))

    async def _let_go(self) -> bool:
        """Whether the Lease is no longer ours. Raises ApiError."""
        record = await self._read()
        if record is None or record.holder != self.identity:
            return True
        try:
            await self._patch(lease.released(record, self._wall()))
        except Conflict:
            return False  # the renewal came between
        log.info("let the Lease go")
        return True

    async def _try(self, *, leading: bool) -> bool:
        """One look, and what follows. Whether the Lease is ours now. Raises LeadershipLost, ApiError."""
        self._seen = lease.saw(self._seen, await self._read(), _clock())
        match lease.step(self.identity, self._seen, _clock(), leading):
            case Create():
                return await self._create()
            case Take(record):
                return await self._take(record)
            case Renew(record):
                self._took(await self._patch(lease.renewed(record, self.identity, self._terms, self._wall())))
                return True
            case Lost(why):
                self._renewed_at = None
                raise LeadershipLost(why)
            case Wait():
                return False

    async def _read(self) -> Record | None:
        try:
            return lease.read(await self._client.get(LEASE, self._namespace, self._name))
        except NotFound:
            return None

    async def _create(self) -> bool:
        wanted = lease.manifest(self._namespace, self._name, self.identity, self._terms, self._wall())
        try:
            self._took(lease.read(await self._client.create(wanted)))
        except AlreadyExists:
            return False
        return True

    async def _take(self, record: Record) -> bool:
        try:
            self._took(await self._patch(lease.taken(record, self.identity, self._terms, self._wall())))
        except Conflict:
            return False  # another one was first
        return True

    async def _patch(self, body: lease.Json) -> Record:
        return lease.read(await self._client.patch(LEASE, self._namespace, self._name, body))

    def _took(self, record: Record) -> None:
        self._seen = Seen(record, _clock())

    def _left(self) -> float:
        """Seconds for which this process may still write."""
        if self._renewed_at is None:
            return 0.0
        return self._renewed_at + self._terms.renew_deadline.total_seconds() - _clock()


def own_namespace() -> str:
    """The namespace of the pod that this process runs in. Raises ApiError outside of one."""
    try:
        return _NAMESPACE.read_text().strip()
    except OSError as error:
        raise ApiError("not in a pod: give leaderElection.namespace in the settings") from error


def _why(error: Exception) -> str:
    return error.message if isinstance(error, ApiError) else "the API server did not answer in time"


def _clock() -> float:
    return asyncio.get_running_loop().time()
