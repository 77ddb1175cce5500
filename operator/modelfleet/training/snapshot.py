"""What one look at a TrainingJob sees, as frozen values: what everything pure in this folder works on."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from modelfleet.api import ModelVersion, TrainingJob
from modelfleet.training import kueue
from modelfleet.training.data import NOTHING, Data
from modelfleet.training.jobs import Interruptions, JobFacts, count_interruptions
from modelfleet.training.log_events import Followed, read
from modelfleet.training.naming import BadVersion, version_of
from modelfleet.training.pods import RETRYING_CANT_HELP, Attempt, reporter
from modelfleet.versions.resolve import Missing

Reference = ModelVersion | Missing | None
"""What a reference means now: a version, or what is missing; None where there is no reference."""


@dataclass(frozen=True)
class Detail:
    """The trainer's detail, found in the log and of the right digest; or why it could not be had.

    lost  the log was read and does not hold it: asking again is of little use
    """

    content: Mapping[str, Any] | None = None
    problem: str = ""
    lost: bool = False


@dataclass(frozen=True)
class Snapshot:
    """Everything a decision about one TrainingJob needs.

    image     the trainer's image, where the user's template names none
    job       the batch Job of the TrainingJob's name, whoever made it
    attempts  the pods of that Job, oldest first; and one that is gone, where its end was noted
    version   the ModelVersion of the name that the run aims at, whoever made it
    data      what its references to Datasets mean, while there is no Job
    passed_over  which versions a tag would mean if they had the weights that training needs, in words
    lines     JSON lines from the log of the newest pod
    detail    asked for once a pod reports success, else None
    queue     what is known of the queue that the Job waits in; asked for once it has waited for a while, else None
    no_pod    why the Job controller creates no pod, in its words; asked for while one is missing, else ""
    """

    training: TrainingJob
    image: str
    job: JobFacts | None = None
    attempts: tuple[Attempt, ...] = ()
    version: ModelVersion | None = None
    parent: Reference = None
    baseline: Reference = None
    data: Data = NOTHING
    passed_over: str = ""
    lines: tuple[str, ...] = ()
    detail: Detail | None = None
    queue: kueue.Service | None = None
    no_pod: str = ""

    @property
    def own_job(self) -> JobFacts | None:
        """The Job, when this TrainingJob made it."""
        return self.job if self.job is not None and self.job.owner == self.training.metadata.uid else None

    @property
    def newest(self) -> Attempt | None:
        """The newest pod."""
        return self.attempts[-1] if self.attempts else None

    def target(self) -> str:
        """The version that the run makes: what the Job was told, else what follows from the spec. Raises BadVersion."""
        job = self.own_job
        return job.run.version if job is not None and job.run is not None else version_of(self.training)

    def target_or_none(self) -> str | None:
        """The version that the run makes, or None where none follows."""
        try:
            return self.target()
        except BadVersion:
            return None

    def interruptions(self) -> Interruptions:
        """Pods counted so far that something from outside ended, those that are seen now included."""
        job = self.own_job
        return Interruptions() if job is None else count_interruptions(job.interruptions, self.attempts)

    def failures(self) -> int:
        """Attempts that failed through their own fault. The Job controller counts a pod once it has ended, which one
        that lingers or is being deleted has not; and for the others its count comes a moment late. One that was noted
        may be in the Job's count already, however it looks: the count that was noted with it includes it."""
        job, failed = self.own_job, [attempt for attempt in self.attempts if attempt.own_fault]
        if job is None or job.end is not None:
            return max(len(failed), 0 if job is None else job.failures)
        noted, noted_uid = (0, "") if job.noted is None else (job.noted.failures, job.noted.attempt.uid)
        leaving = sum(1 for each in failed if (each.lingers or each.deleting) and each.uid != noted_uid)
        return max(noted, max(len(failed) - leaving, job.failures) + leaving)

    def is_last(self, attempt: Attempt) -> bool:
        """Whether no attempt follows on this one, which failed."""
        return attempt.exit_code == RETRYING_CANT_HELP or self.failures() > self.training.spec.backoff_limit

    def pod_missing_since(self) -> datetime | None:
        """Since when the Job should have a pod that it does not have; None where it has one, or should have none. One
        that had none until its time was over counts, too."""
        job, last = self.own_job, self.newest
        if job is None or job.deleting or job.suspended:
            return None
        if job.end is not None:
            overdue = job.end.reason == "DeadlineExceeded" and last is None and not self.failures()
            return job.active_at if overdue else None
        latest = self.interruptions().latest
        if last is not None and (latest is None or last.created >= latest):
            if not last.failed or last.lingers or self.is_last(last):
                return None
            latest = last.finished or last.created
        return max(job.active_at, latest or job.active_at)

    def reporter(self) -> Attempt | None:
        """The attempt whose trainer published the version."""
        job = self.own_job
        return reporter(self.attempts, job_ended=job is not None and job.end is not None)

    def number(self) -> int:
        """How many attempts there were, the one that runs or succeeded included."""
        newest = self.newest
        live = newest is not None and (newest.running or newest.succeeded)
        outside = self.interruptions()
        return self.failures() + outside.preempted + outside.stopped + (1 if live else 0)

    def followed(self) -> Followed:
        """What the trainer's event lines say."""
        return read(self.lines)
