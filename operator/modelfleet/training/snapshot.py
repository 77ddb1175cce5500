"""What one look at a TrainingJob sees, as frozen values: what everything pure in this folder works on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelfleet.api import ModelVersion, TrainingJob
from modelfleet.training.jobs import Interruptions, JobFacts, count_interruptions
from modelfleet.training.log_events import Followed, read
from modelfleet.training.naming import BadVersion, version_of
from modelfleet.training.pods import Attempt
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
    attempts  the pods of that Job, oldest first
    version   the ModelVersion of the name that the run aims at, whoever made it
    passed_over  which versions a tag would mean if they had the weights that training needs, in words
    lines     JSON lines from the log of the newest pod
    detail    asked for once a pod reports success, else None
    """

    training: TrainingJob
    image: str
    job: JobFacts | None = None
    attempts: tuple[Attempt, ...] = ()
    version: ModelVersion | None = None
    parent: Reference = None
    baseline: Reference = None
    passed_over: str = ""
    lines: tuple[str, ...] = ()
    detail: Detail | None = None

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
        """Attempts that failed through their own fault. (The Job controller's count comes a moment after the pod's "
        "end.)"""
        job = self.own_job
        seen = sum(1 for attempt in self.attempts if attempt.own_fault)
        return max(seen, job.failures if job is not None else 0)

    def number(self) -> int:
        """How many attempts there were, the one that runs or succeeded included."""
        newest = self.newest
        live = newest is not None and (newest.running or newest.succeeded)
        outside = self.interruptions()
        return self.failures() + outside.preempted + outside.stopped + (1 if live else 0)

    def followed(self) -> Followed:
        """What the trainer's event lines say."""
        return read(self.lines)
