"""A replay's Job and its pods, read as frozen facts: what it compares, and what came of it. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from modelfleet.api import names
from modelfleet.api.reasons import Reason
from modelfleet.api.replay import ReplayFound
from modelfleet.rollout.replay import termination
from modelfleet.workloads.job_run import JobRun, Manner, job_run
from modelfleet.workloads.last_words import Failed

_MANNER = Manner(
    work="The replay",
    program="The replay",
    limit="spec.replay.timeout",
    faster="Raise it, or compare fewer frames.",
    memory="container replay in spec.replay.template",
    crashed=Reason.REPLAY_CRASHED,
)


@dataclass(frozen=True, kw_only=True)
class ReplayJob(JobRun):
    """One Job: the versions that it compares, and how it goes."""

    stable: str
    candidate: str

    def result(self, now: datetime) -> ReplayFound | Failed | None:
        """What came of it; None while it goes on, and while a pod that is over may still be seen."""
        if not self.is_heard(now):
            return None
        last = self.last
        if last is None:
            return self.without_a_word(_MANNER)
        result = termination.parse(last.said)
        if isinstance(result, ReplayFound) and self.succeeded:
            return result
        if isinstance(result, Failed) and not self.succeeded and last.exit_code != 0:
            return result
        if self.exceeded_deadline:
            return self.without_a_word(_MANNER)
        return self.crashed(last, _MANNER, result if isinstance(result, str) else "")


def replay_job(job: Mapping[str, Any], pods: Iterable[Mapping[str, Any]]) -> ReplayJob:
    """A raw Job and its raw pods as facts."""
    run = job_run(job, pods, names.REPLAY_CONTAINER)
    return ReplayJob(
        **vars(run),
        stable=run.notes.get(names.REPLAY_STABLE, ""),
        candidate=run.notes.get(names.REPLAY_CANDIDATE, ""),
    )
