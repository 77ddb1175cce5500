"""A Job of a Dataset and its pods, read as frozen facts: what it is for, and what came of it. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from modelfleet.api import names
from modelfleet.api.reasons import Reason
from modelfleet.datasets import termination
from modelfleet.datasets.termination import Report
from modelfleet.times import parse_optional_time
from modelfleet.workloads.job_run import JobRun, Manner, job_run
from modelfleet.workloads.last_words import Failed

RETRYING_CANT_HELP = 64
"""The labeler's exit code for what retrying can't fix."""

_MANNER = Manner(
    work="The sync",
    program="The labeler",
    limit="spec.activeDeadline",
    faster="Raise it, or see what slows the stores down.",
    memory="container labeler in spec.template",
    crashed=Reason.LABELER_CRASHED,
)


@dataclass(frozen=True, kw_only=True)
class SyncJob(JobRun):
    """One Job.

    due         the moment for which it was made
    generation  of the spec that it was made for
    command     the value of modelfleet.dev/sync on which it was made; "" for none
    """

    due: datetime
    generation: int = 0
    command: str = ""

    def result(self, now: datetime) -> Report | Failed | None:
        """What came of it; None while it goes on, and while a pod that is over may still be seen."""
        if not self.is_heard(now):
            return None
        last = self.last
        if last is None:
            return self.without_a_word(_MANNER)
        result = termination.parse(last.said)
        if isinstance(result, Report) and self.succeeded:
            return result
        if isinstance(result, Failed) and not self.succeeded and last.exit_code != 0:
            return result
        return self.crashed(last, _MANNER, result if isinstance(result, str) else "")

    @property
    def failed_try(self) -> Failed | None:
        """Why its newest pod to have ended failed, while the Job goes on and tries again."""
        if self.ended_at is not None or self.last is None or self.last.exit_code in (0, RETRYING_CANT_HELP):
            return None
        result = termination.parse(self.last.said)
        return result if isinstance(result, Failed) else self.crashed(self.last, _MANNER, "")


def sync_job(job: Mapping[str, Any], pods: Iterable[Mapping[str, Any]]) -> SyncJob:
    """A raw Job and its raw pods as facts."""
    run = job_run(job, pods, names.LABELER_CONTAINER)
    return SyncJob(
        **vars(run),
        due=_moment(run.notes.get(names.SYNC_DUE)) or run.created,
        generation=_number(run.notes.get(names.SYNC_GENERATION)),
        command=run.notes.get(names.SYNC_COMMAND) or "",
    )


def _moment(text: str | None) -> datetime | None:
    try:
        return parse_optional_time(text)
    except ValueError:  # somebody edited it
        return None


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 16 else 0
