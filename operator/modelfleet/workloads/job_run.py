"""A Job that runs once and leaves a last word, and its pods, read as frozen facts. Pure.

What the word means is for those to say who made the Job; here is how it ended, and what it waits for.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from modelfleet.api import conditions
from modelfleet.api.reasons import Reason
from modelfleet.times import parse_optional_time, parse_time
from modelfleet.workloads.jobs import final_condition
from modelfleet.workloads.last_words import Failed, excerpt
from modelfleet.workloads.pods import Problem, cannot_start, container_status, terminated

PATIENCE = timedelta(seconds=30)
"""For the pod of a Job that is over to be seen."""

GRACE = timedelta(minutes=1)
"""Until then a pod that does not start is no news: a node may be on its way, an image may be pulled."""


@dataclass(frozen=True)
class Last:
    """How the newest pod of a Job that ended, ended: exit code, the kubelet's word for it, and what was left."""

    pod: str
    exit_code: int
    why: str
    said: str

    @property
    def excerpt(self) -> str:
        """`: what was left`, in one line and cut; empty where nothing was."""
        return f": {excerpt(self.said)}" if self.said.strip() else ""


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How messages speak of one kind of Job.

    work, program  what it does, and what does it, at the beginning of a sentence
    limit, faster  the field that says how long it may take, and what to do about it
    memory         where the memory of its container is set
    crashed        the reason of a program that ended without a word that makes sense
    """

    work: str
    program: str
    limit: str
    faster: str
    memory: str
    crashed: Reason


@dataclass(frozen=True, kw_only=True)
class JobRun:
    """One Job.

    ended_at  since when it is over
    why       how it ended, in the Job controller's words: reason and message
    last      its newest pod that has ended; of a Job that succeeded, one that did as well
    problem   what keeps its newest pod from starting, or from being made
    """

    name: str
    uid: str
    created: datetime
    notes: Mapping[str, str]
    deleting: bool = False
    succeeded: bool = False
    ended_at: datetime | None = None
    why: tuple[str, str] = ("", "")
    last: Last | None = None
    problem: Problem | None = None

    def is_heard(self, now: datetime) -> bool:
        """Whether it has ended, and said its last word or had the time for it. One that took too long has no more to
        say: its pods were removed."""
        if self.ended_at is None:
            return False
        return self.last is not None or self.exceeded_deadline or now >= self.ended_at + PATIENCE

    @property
    def exceeded_deadline(self) -> bool:
        """Whether it was ended since it took too long."""
        return self.why[0] == "DeadlineExceeded"

    @property
    def held_by(self) -> str:
        """`: what kept its pod from starting`; empty where nothing did."""
        return f": {self.problem.message.rstrip('.')}" if self.problem is not None else ""

    @property
    def how_it_failed(self) -> str:
        """The Job controller's words."""
        return self.why[1] or self.why[0] or "no reason given"

    def without_a_word(self, manner: Manner) -> Failed:
        """What is said of a Job that is over, where nobody is there to say it."""
        if self.exceeded_deadline:
            text = f"{manner.work} took longer than {manner.limit}{self.held_by}. {manner.faster}"
            return Failed(Reason.DEADLINE_EXCEEDED, text)
        if self.succeeded:
            return Failed(
                Reason.RESULT_LOST, f"Job {self.name} succeeded, but its pod is gone, and with it what was found."
            )
        return Failed(Reason.JOB_FAILED, f"Job {self.name} failed: {self.how_it_failed}.")

    def crashed(self, last: Last, manner: Manner, wrong: str) -> Failed:
        """What is said of one whose last word does not count; `wrong` is what makes no sense of it, "" for nothing."""
        if last.why == "OOMKilled":
            return Failed(
                Reason.OUT_OF_MEMORY,
                f"{manner.program} was killed for using too much memory: raise resources.limits.memory of "
                f"{manner.memory}.",
            )
        if self.succeeded and wrong:
            return Failed(Reason.RESULT_INVALID, f"{manner.work} succeeded, but {wrong}.")
        text = f"{manner.program} ended with exit code {last.exit_code}{last.excerpt}; see kubectl logs {last.pod}."
        return Failed(manner.crashed, text)

    def look_again(self, now: datetime) -> timedelta | None:
        """When a Job that says nothing by itself has to be looked at again."""
        if self.ended_at is not None:
            return max(self.ended_at + PATIENCE - now, timedelta(seconds=1))
        return self.created + GRACE - now if self.problem is not None and now < self.created + GRACE else None

    def makes_no_pod(self, now: datetime) -> bool:
        """Whether it has no pod, although it should have one by now."""
        problem = self.stuck(now)
        return problem is not None and problem.reason == Reason.NO_PODS

    def stuck(self, now: datetime) -> Problem | None:
        """What has kept it from running for longer than it may take."""
        return self.problem if self.ended_at is None and now >= self.created + GRACE else None


def job_run(job: Mapping[str, Any], pods: Iterable[Mapping[str, Any]], container: str) -> JobRun:
    """A raw Job and its raw pods as facts; `container` is the one that speaks."""
    metadata, final = job["metadata"], final_condition(job) or {}
    newest_first = sorted(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"]), reverse=True)
    ended = [last for pod in newest_first if (last := _last(pod, container)) is not None]
    succeeded = final.get("type") == conditions.COMPLETE
    return JobRun(
        name=metadata["name"],
        uid=metadata["uid"],
        created=parse_time(metadata["creationTimestamp"]),
        notes=metadata.get("annotations") or {},
        deleting=bool(metadata.get("deletionTimestamp")),
        succeeded=succeeded,
        ended_at=parse_optional_time(final.get("lastTransitionTime")),
        why=(final.get("reason") or "", final.get("message") or ""),
        last=next((last for last in ended if last.exit_code == 0 or not succeeded), None),
        problem=_problem(newest_first, container, (job.get("status") or {}).get("failed") or 0, bool(final)),
    )


def _last(pod: Mapping[str, Any], container: str) -> Last | None:
    ended = terminated(container_status(pod.get("status") or {}, container))
    if ended is None:
        return None
    return Last(
        pod["metadata"]["name"], int(ended.get("exitCode") or 0), ended.get("reason") or "", ended.get("message") or ""
    )


def _problem(newest_first: list[Mapping[str, Any]], container: str, failures: int, ended: bool) -> Problem | None:
    if not newest_first and ended and failures:  # it had pods, which went when its time was over
        return None
    if not newest_first:
        return Problem(Reason.NO_PODS, "The Job has created no pod: kubectl describe job says why")
    return cannot_start(newest_first[0].get("status") or {}, container)
