"""The steps while there is a Job that has not ended. Pure.

Each step takes a snapshot and the time, and returns an outcome, or None to let the next one speak. All of them
come after the steps that need no Job, so here there is one and it is ours; `_job` says so to the type checker.
"""

from datetime import datetime, timedelta

from modelfleet.api import TrainingPhase, format_duration
from modelfleet.api.reasons import Reason
from modelfleet.decision import Patch
from modelfleet.training import manifests
from modelfleet.training.jobs import JobFacts
from modelfleet.training.outcome import Outcome, State
from modelfleet.training.pods import Attempt, failure
from modelfleet.training.snapshot import Snapshot
from modelfleet.training.starting import STARTING

_NO_PODS_AFTER = timedelta(seconds=60)


def job_deleted(seen: Snapshot, now: datetime) -> Outcome | None:
    """Somebody deletes the Job under the run."""
    job = _job(seen)
    if not job.deleting:
        return None
    return _working(
        Reason.JOB_DELETED,
        f"Job {job.name} is being deleted, and not by this TrainingJob. A new one is made when it is gone; to end the "
        "run, delete the TrainingJob, or set spec.suspend.",
        warning=True,
    )


def suspend(seen: Snapshot, now: datetime) -> Outcome | None:
    """spec.suspend differs from the Job's: patch it. Where Kueue has the say, it is left alone."""
    job, wanted = _job(seen), seen.training.spec.suspend
    if job.queue or wanted == job.suspended:
        return None
    if not wanted and not job.suspended_by_us:
        return None
    patch = manifests.suspend(seen.training, job, wanted)
    if wanted:
        return _suspended((patch,))
    return _working(STARTING, "spec.suspend is false again: the Job goes on.", actions=(patch,), event="")


def suspended(seen: Snapshot, now: datetime) -> Outcome | None:
    """Stopped by spec.suspend."""
    job = _job(seen)
    return _suspended() if job.suspended and seen.training.spec.suspend and not job.queue else None


def queued(seen: Snapshot, now: datetime) -> Outcome | None:
    """Held by Kueue, or by whoever else suspended the Job."""
    job = _job(seen)
    if not job.suspended:
        return None
    if job.queue:
        message = f"Waits in Kueue's queue {job.queue} for its turn."
    else:
        message = (
            f"Job {job.name} was suspended, and not by spec.suspend: Kueue holds it, or an administrator. It goes on "
            "when its spec.suspend is set to false."
        )
    return Outcome(State.WORKING, TrainingPhase.QUEUED, Reason.QUEUED, message)


def between_pods(seen: Snapshot, now: datetime) -> Outcome | None:
    """The newest pod was interrupted and is gone. (One before it that failed may still be there.)"""
    job, latest, newest = _job(seen), seen.interruptions().latest, seen.newest
    if latest is None or (newest is not None and newest.created >= latest) or job.active_at > latest:
        return None
    return _working(
        STARTING,
        f"The last pod is gone, and Job {job.name} makes the next one: Kubernetes waits 10 s after the first pod that "
        "ended, and twice as long after each further one, up to 10 min. If none comes, "
        f"`kubectl describe job {job.name}` says why.",
        event="",
    )


def no_pods(seen: Snapshot, now: datetime) -> Outcome | None:
    """The Job makes no pod."""
    job = _job(seen)
    if seen.newest is not None:
        return None
    waited = now - job.active_at
    if waited < _NO_PODS_AFTER:
        return _working(STARTING, f"Job {job.name} makes its pod.", event="", requeue_after=_NO_PODS_AFTER - waited)
    return _working(
        Reason.NO_PODS,
        f"Job {job.name} has made no pod. A quota, Pod Security or an admission webhook may refuse it: "
        f"`kubectl describe job {job.name}` says why. It is retried automatically.",
        warning=True,
    )


def attempt_failed(seen: Snapshot, now: datetime) -> Outcome | None:
    """The newest pod failed, and there is no next one yet."""
    last = seen.newest
    if last is None or not last.failed:
        return None
    why = failure(last)
    if last.disrupted:
        return _working(
            Reason.PREEMPTED,
            f"Pod {last.name} was preempted or lost its node. The Job makes a new one; this does not count as a "
            "failure.",
        )
    if not last.own_fault:
        return _working(
            Reason.STOPPED,
            f"Pod {last.name} was asked to stop: deleted, or drained with its node. The Job makes a new one; this does "
            "not count as a failure.",
        )
    if _is_last(seen, last):
        return _working(Reason.ENDING, f"{why.reason}: {why.message}", event="")
    left = seen.training.spec.backoff_limit + 1 - seen.failures()
    return _working(
        Reason.RETRYING,
        f"Attempt {seen.number()} failed ({why.reason}): {why.message}. It is tried again, up to {left} more times.",
        warning=True,
    )


def cannot_start(seen: Snapshot, now: datetime) -> Outcome | None:
    """The newest pod waits for something: a node, its image, a Secret."""
    last = seen.newest
    if last is None or last.problem is None:
        return None
    return _working(last.problem.reason, last.problem.message, warning=True)


def evaluating(seen: Snapshot, now: datetime) -> Outcome | None:
    """All epochs are done: the trainer exports, evaluates and uploads; or it has ended, and the Job not yet."""
    last = seen.newest
    if last is None or not (last.exit_code == 0 or (last.running and seen.followed().evaluating)):
        return None
    return Outcome(
        State.WORKING,
        TrainingPhase.EVALUATING,
        Reason.EVALUATING,
        f"Training is done{_best(seen)}. The trainer evaluates, uploads and verifies the model.",
    )


def training(seen: Snapshot, now: datetime) -> Outcome | None:
    """The trainer runs."""
    last = seen.newest
    if last is None or not last.running:
        return None
    number, followed = seen.number(), seen.followed()
    where = f" on node {last.node}" if last.node else ""
    progress = followed.progress
    if progress is None:
        message = f"The trainer runs{where}; no epoch is done yet."
    else:
        left = "" if progress.remaining is None else f", about {format_duration(progress.remaining)} left"
        message = f"Epoch {progress.epoch} of {progress.epochs} is done{where}{left}."
    if number > 1:
        went_on = "" if followed.resumed_from is None else f", which went on from epoch {followed.resumed_from}"
        message += f" This is attempt {number}{went_on}{_earlier(seen)}."
    if followed.warning:
        message += f" Warning: {followed.warning}"
    return Outcome(
        State.WORKING,
        TrainingPhase.RUNNING,
        Reason.TRAINING,
        message,
        event=f"Attempt {number} runs{where} in pod {last.name}.",
    )


def starting(seen: Snapshot, now: datetime) -> Outcome:
    """The pod is on its way: a node was found, and the image is pulled."""
    last = seen.newest
    where = f" on node {last.node}" if last is not None and last.node else ""
    name = "The pod" if last is None else f"Pod {last.name}"
    return _working(STARTING, f"{name} starts{where}; pulling the image may take minutes.", event="")


def _best(seen: Snapshot) -> str:
    """Which epoch becomes the version."""
    progress = seen.followed().progress or seen.training.status.progress
    if progress is None or not progress.best_epoch:
        return ""
    return f" after {progress.epoch} epochs of at most {progress.epochs}; the best one was epoch {progress.best_epoch}"


def _job(seen: Snapshot) -> JobFacts:
    job = seen.own_job
    if job is None:
        raise AssertionError("steps of a running Job were asked without one")
    return job


def _working(
    reason: str,
    message: str,
    *,
    actions: tuple[Patch, ...] = (),
    event: str | None = None,
    warning: bool = False,
    requeue_after: timedelta | None = None,
) -> Outcome:
    return Outcome(
        State.WORKING,
        TrainingPhase.PENDING,
        reason,
        message,
        actions=actions,
        event=event,
        warning=warning,
        requeue_after=requeue_after,
    )


def _suspended(actions: tuple[Patch, ...] = ()) -> Outcome:
    return Outcome(
        State.HELD,
        TrainingPhase.SUSPENDED,
        Reason.SUSPENDED,
        "spec.suspend is true: the Job has no pod. Set it to false, and the run goes on.",
        actions=actions,
    )


def _is_last(seen: Snapshot, last: Attempt) -> bool:
    return last.exit_code == manifests.CANNOT_MEND or seen.failures() > seen.training.spec.backoff_limit


def _earlier(seen: Snapshot) -> str:
    """How the attempt before this one ended, where its pod is still there."""
    ended = [attempt for attempt in seen.attempts[:-1] if attempt.failed]
    if not ended:
        return ""
    why = failure(ended[-1])
    return f"; the one before ended with {why.reason}: {why.message}"
