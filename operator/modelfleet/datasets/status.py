"""The figures of a Dataset's status: what was known, with what Jobs found since. Pure.

A Job counts once: those made for a later moment than `status.lastSync` are taken in, in their order. So a wiped status
is found again from the Jobs that are kept, as far as they are.
"""

from collections.abc import Mapping
from datetime import datetime

from modelfleet.api import DatasetStatus, LastSync, VersionEntry
from modelfleet.api.dataset import LatestVersion, store_of
from modelfleet.datasets.snapshot import Snapshot
from modelfleet.datasets.sync_job import SyncJob
from modelfleet.datasets.termination import Report
from modelfleet.workloads.last_words import Failed


def taken_in(seen: Snapshot, now: datetime) -> DatasetStatus:
    """The status with the results of the Jobs that ended since, its conditions left as they were."""
    status = seen.dataset.status
    for job in seen.jobs:
        result = job.result(now)
        if result is not None and (status.last_sync is None or job.due > status.last_sync.due):
            status = _with(status, job, result, now)
    return status


def running(seen: Snapshot, now: datetime) -> SyncJob | None:
    """The Job that goes on, or has ended and not said its word yet."""
    return next((job for job in reversed(seen.jobs) if job.deleting or job.result(now) is None), None)


def surplus(seen: Snapshot, now: datetime) -> tuple[SyncJob, ...]:
    """Jobs that ended and are of no use any more: all but the last that found something, and the last failed one."""
    ended = [(job, job.result(now)) for job in seen.jobs if not job.deleting]
    good = [job for job, result in ended if isinstance(result, Report)]
    bad = [job for job, result in ended if isinstance(result, Failed)]
    return (*good[:-1], *bad[:-1])


def _with(status: DatasetStatus, job: SyncJob, result: Report | Failed, now: datetime) -> DatasetStatus:
    failures = status.last_sync.failures if status.last_sync is not None else 0
    sync = {"job": job.name, "due": job.due, "at": job.ended_at or now, "generation": job.generation}
    synced = tuple(dict.fromkeys(((job.command,) if job.command else ()) + status.synced))
    if isinstance(result, Failed):
        last = LastSync.model_validate(
            {**sync, "result": "Failed", "reason": result.reason, "message": result.message, "failures": failures + 1}
        )
        return status.replace(last_sync=last, synced=synced)
    return _found(status, result).replace(
        last_sync=LastSync.model_validate({**sync, "result": "Succeeded"}), synced=synced
    )


_FIGURES = {
    "waiting": "waiting",
    "inReview": "in_review",
    "reviewed": "reviewed",
    "latest": "latest",
    "pending": "pending",
    "editedShare": "edited_share",
    "perClass": "per_class",
    "review": "review",
    "notes": "notes",
}


def _found(status: DatasetStatus, report: Report) -> DatasetStatus:
    """What the labeler spoke of replaces what was known; what did not fit into its message stays."""
    told = {field: getattr(report.found, field) for name, field in _FIGURES.items() if name in report.given}
    if "notes" not in report.given:
        told["notes"] = ()
    return status.replace(**told, versions=_versions(status, report))


def _versions(status: DatasetStatus, report: Report) -> tuple[VersionEntry, ...]:
    """The newest versions: those that the labeler told of, and behind them what was known, since its message may have
    had no room for all. A version never changes: a holdout's digest that was told once is known from then on."""
    latest = report.found.latest
    if latest is None:
        return ()
    known = {entry.number: entry for entry in status.versions}
    entries = {entry.number: entry for entry in report.found.versions if entry.number <= latest.number}
    entries |= _older(status, latest, entries)
    entries[latest.number] = entries.get(latest.number) or _entry(latest, known.get(latest.number))
    if latest.holdout is not None:
        entries[latest.number] = entries[latest.number].replace(holdout=latest.holdout.sha256)
    for number, entry in entries.items():
        before = known.get(number)
        if entry.holdout is None and before is not None and before.sha256 == entry.sha256:
            entries[number] = entry.replace(holdout=before.holdout)
    return tuple(entries[number] for number in sorted(entries, reverse=True))


def _older(
    status: DatasetStatus, latest: LatestVersion, told: Mapping[int, VersionEntry]
) -> Mapping[int, VersionEntry]:
    """What was known of older versions than those that were told, where it is of the same store: at the same address,
    without a number that is yet to come, and with no version that is another one by now."""
    digests = {number: entry.sha256 for number, entry in told.items()} | {latest.number: latest.sha256}
    moved = status.latest is not None and store_of(status.latest.uri) != store_of(latest.uri)
    if moved or any(
        entry.number > latest.number or digests.get(entry.number, entry.sha256) != entry.sha256
        for entry in status.versions
    ):
        return {}
    oldest = min(told, default=latest.number)
    return {entry.number: entry for entry in status.versions if entry.number < oldest}


def _entry(latest: LatestVersion, before: VersionEntry | None) -> VersionEntry:
    if before is not None and before.sha256 == latest.sha256:
        return before
    return VersionEntry(number=latest.number, sha256=latest.sha256, images=latest.images, created_at=latest.created_at)
