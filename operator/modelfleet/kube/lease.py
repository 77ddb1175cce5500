"""Leader election by a Lease: what to do next, from what was read and when. Pure.

As client-go does it, with two differences. Others' clocks are never compared with ours: whether a holder is gone is
judged by how long its record has not changed, on our own monotonic clock. And a leader that could not renew in time is
Lost for good: its process ends and begins again, it never "pauses".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from modelfleet.kinds import LEASE
from modelfleet.times import wire_time

Json = dict[str, Any]


@dataclass(frozen=True)
class Terms:
    """How long a Lease holds after its last renewal, how long its holder tries to renew before it gives up, and how
    often. In between the last two nobody writes."""

    duration: timedelta
    renew_deadline: timedelta
    retry: timedelta


@dataclass(frozen=True)
class Record:
    """A Lease as it was read."""

    holder: str
    duration: timedelta
    renewed: str
    transitions: int
    version: str

    def is_as(self, other: "Record | None") -> bool:
        """Whether nobody has renewed or taken it since; other writes (a label) don't count."""
        return other is not None and (self.holder, self.renewed) == (other.holder, other.renewed)


@dataclass(frozen=True)
class Seen:
    """The last record (None: there is no Lease), and since when it has not changed, in seconds of our clock."""

    record: Record | None
    since: float


@dataclass(frozen=True)
class Create:
    """There is no Lease: make it, ours."""


@dataclass(frozen=True)
class Take:
    """Nobody holds it any more."""

    record: Record


@dataclass(frozen=True)
class Renew:
    """It is ours."""

    record: Record


@dataclass(frozen=True)
class Wait:
    """Somebody else holds it."""


@dataclass(frozen=True)
class Lost:
    """We held it, and do no more. `why` is a sentence."""

    why: str


Step = Create | Take | Renew | Wait | Lost


def saw(before: Seen | None, record: Record | None, now: float) -> Seen:
    """What is known after a read."""
    if before is not None and record is not None and record.is_as(before.record):
        return Seen(record, before.since)
    return Seen(record, now)


def step(me: str, seen: Seen, now: float, leading: bool) -> Step:
    """What to do after a read."""
    record = seen.record
    if leading:
        if record is None:
            return Lost("the Lease was deleted")
        return Renew(record) if record.holder == me else Lost(f"{record.holder or 'nobody'} holds the Lease now")
    if record is None:
        return Create()
    free = record.holder in ("", me) or now - seen.since >= record.duration.total_seconds()
    return Take(record) if free else Wait()


def read(raw: Mapping[str, Any]) -> Record:
    """A raw Lease as a record. Whatever is missing in one that somebody made by hand is empty or 0."""
    spec = raw.get("spec") or {}
    return Record(
        holder=spec.get("holderIdentity") or "",
        duration=timedelta(seconds=spec.get("leaseDurationSeconds") or 0),
        renewed=spec.get("renewTime") or "",
        transitions=spec.get("leaseTransitions") or 0,
        version=raw["metadata"]["resourceVersion"],
    )


def manifest(namespace: str, name: str, me: str, terms: Terms, now: datetime) -> Json:
    """The Lease to create."""
    spec = {"acquireTime": _micro(now), "leaseTransitions": 0, **_renewed(me, terms, now)}
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": LEASE.api_version, "kind": LEASE.kind, "metadata": metadata, "spec": spec}


def taken(record: Record, me: str, terms: Terms, now: datetime) -> Json:
    """The patch that takes the Lease over, if it is still as it was read."""
    spec = {"acquireTime": _micro(now), "leaseTransitions": record.transitions + 1, **_renewed(me, terms, now)}
    return _patch(record, spec)


def renewed(record: Record, me: str, terms: Terms, now: datetime) -> Json:
    """The patch that renews it, if it is still as it was read."""
    return _patch(record, _renewed(me, terms, now))


def released(record: Record, now: datetime) -> Json:
    """The patch that lets it go: the next one need not wait."""
    return _patch(record, {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": _micro(now)})


def _renewed(me: str, terms: Terms, now: datetime) -> Json:
    seconds = int(terms.duration.total_seconds())
    return {"holderIdentity": me, "leaseDurationSeconds": seconds, "renewTime": _micro(now)}


def _patch(record: Record, spec: Json) -> Json:
    return {"metadata": {"resourceVersion": record.version}, "spec": spec}


def _micro(now: datetime) -> str:
    return wire_time(now, "microseconds")
