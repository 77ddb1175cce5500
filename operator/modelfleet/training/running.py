"""The steps while there is a Job that has not ended. Pure.

Each step takes a snapshot and the time, and returns an outcome, or None to let the next one speak. All of them
come after the steps that need no Job, so here there is one and it is ours; `_job` says so to the type checker.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from modelfleet.api import TrainingPhase, format_duration, names
from modelfleet.api.reasons import Reason
from modelfleet.decision import Patch
from modelfleet.times import clock
from modelfleet.training import kueue, manifests
from modelfleet.training.jobs import JobFacts
from modelfleet.training.outcome import PATIENCE_WITH_OTHERS, Outcome, State
from modelfleet.training.pods import Attempt, failure
from modelfleet.training.snapshot import Snapshot
from modelfleet.training.starting import STARTING
from modelfleet.wording import listed

_NO_PODS_AFTER = timedelta(seconds=60)
_LOOK_AGAIN = timedelta(seconds=10)
"""While a pod is missing: nothing wakes us when the API server refuses it."""
_QUEUE_MISSING, _QUEUE_SERVED = timedelta(minutes=1), timedelta(minutes=10)  # until the queue is looked at again


def job_deleted(seen: Snapshot, now: datetime) -> Outcome | None:
    """Somebody deletes the Job under the run."""
    job = _job(seen)
    if not job.deleting:
        return None
    return _working(
        Reason.JOB_DELETED,
        f"Job {job.name} is being deleted, and not by this TrainingJob. A new one is created when it is gone; to end "
        "the run, delete the TrainingJob, or set spec.suspend.",
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
    return _working(STARTING, "spec.suspend is false again: the Job continues.", actions=(patch,), event="")


def suspended(seen: Snapshot, now: datetime) -> Outcome | None:
    """Stopped by spec.suspend."""
    job = _job(seen)
    return _suspended() if job.suspended and seen.training.spec.suspend and not job.queue else None


def queued(seen: Snapshot, now: datetime) -> Outcome | None:
    """Held by Kueue, or by whoever else suspended the Job."""
    job = _job(seen)
    if job.waits_in_queue:
        return _in_queue(seen, job, now)
    if not job.suspended:
        return None
    message = (
        f"Job {job.name} was suspended, and not by spec.suspend: Kueue holds it, or an administrator. It continues "
        "when its spec.suspend is set to false."
    )
    return Outcome(State.WORKING, TrainingPhase.QUEUED, Reason.QUEUED, message)


def _in_queue(seen: Snapshot, job: JobFacts, now: datetime) -> Outcome:
    """In Kueue's queue; or, after a while, in one that nobody serves."""
    found = seen.queue or kueue.Service()
    if found.problem:
        message = (
            f"Job {job.name} waits in queue {job.queue}, and nobody serves it: {found.problem}, or create a new "
            f"TrainingJob with another label {names.KUEUE_QUEUE}, or without one. The run starts automatically once "
            "the queue is served."
        )
        return Outcome(
            State.STALLED,
            TrainingPhase.QUEUED,
            Reason.QUEUE_NOT_SERVED,
            message,
            requeue_after=_QUEUE_MISSING,
        )
    message = f"Waiting for admission by Kueue queue {job.queue}."
    if found.waits:
        message += f" {found.waits}"
    if found.unknown:
        message += f" Whether anybody serves that queue can't be looked up: {found.unknown}"
    left = job.created + kueue.PATIENCE - now
    again = left if left > timedelta(0) else _QUEUE_SERVED
    return Outcome(State.WORKING, TrainingPhase.QUEUED, Reason.QUEUED, message, requeue_after=again)


def pod_refused(seen: Snapshot, now: datetime) -> Outcome | None:
    """The API server refuses the next pod: a quota, Pod Security, an admission policy."""
    job = _job(seen)
    if not seen.no_pod:
        return None
    return _working(
        Reason.NO_PODS,
        f"No pod was created for Job {job.name}: {seen.no_pod.rstrip('.')}. It is retried automatically.",
        warning=True,
        requeue_after=_LOOK_AGAIN,
    )


def between_pods(seen: Snapshot, now: datetime) -> Outcome | None:
    """The newest pod was interrupted and is gone. (One before it that failed may still be there.)"""
    job, latest, newest = _job(seen), seen.interruptions().latest, seen.newest
    if latest is None or (newest is not None and newest.created >= latest) or job.active_at > latest:
        return None
    return _working(
        STARTING,
        f"The last pod is gone, and Job {job.name} creates the next one: Kubernetes waits 10 s after the first pod "
        "that ended, and twice as long after each further one, up to 10 min. If none comes, "
        f"`kubectl describe job {job.name}` says why.",
        event="",
        requeue_after=_LOOK_AGAIN,
    )


def no_pods(seen: Snapshot, now: datetime) -> Outcome | None:
    """The Job makes no pod."""
    job = _job(seen)
    if seen.newest is not None:
        return None
    waited = now - job.active_at
    if waited < _NO_PODS_AFTER:
        again = min(_LOOK_AGAIN, _NO_PODS_AFTER - waited)
        return _working(STARTING, f"Job {job.name} is creating its pod.", event="", requeue_after=again)
    return _working(
        Reason.NO_PODS,
        f"Job {job.name} has created no pod. A quota, Pod Security or an admission webhook may refuse it: "
        f"`kubectl describe job {job.name}` says why. It is retried automatically.",
        warning=True,
        requeue_after=_LOOK_AGAIN,
    )


def attempt_failed(seen: Snapshot, now: datetime) -> Outcome | None:
    """The newest pod failed, and there is no next one yet."""
    last = seen.newest
    if last is None or not last.failed:
        return None
    found = _after_failure(seen, last)
    return _rest_stopped(seen, found, last, now) if last.lingers else found


def _after_failure(seen: Snapshot, last: Attempt) -> Outcome:
    why = failure(last)
    if last.disrupted:
        return _working(
            Reason.PREEMPTED,
            f"Pod {last.name} was preempted or lost its node. The Job creates a new one; this does not count as a "
            "failure.",
            requeue_after=_LOOK_AGAIN,
        )
    if not last.own_fault:
        return _working(
            Reason.STOPPED,
            f"Pod {last.name} was asked to stop: deleted, or drained with its node. The Job creates a new one; this "
            "does not count as a failure.",
            requeue_after=_LOOK_AGAIN,
        )
    if seen.is_last(last):
        return _working(Reason.ENDING, f"{why.reason}: {why.message}", event="")
    left = seen.training.spec.backoff_limit + 1 - seen.failures()
    return _working(
        Reason.RETRYING,
        f"Attempt {seen.number()} failed ({why.reason}): {why.message}. It is tried again, up to {left} more times.",
        warning=True,
        requeue_after=_LOOK_AGAIN,
    )


def _rest_stopped(seen: Snapshot, found: Outcome, last: Attempt, now: datetime) -> Outcome:
    """The outcome, and that the pod's other containers are stopped: at once is too soon for one that ends on its own,
    as a log shipper does when it has sent the last line."""
    others, due = listed(last.others), (last.finished or last.created) + PATIENCE_WITH_OTHERS
    if last.deleting:
        return replace(found, message=f"{found.message} What is still running beside it is being stopped: {others}.")
    message = f"{found.message} Still running beside it: {others}; what has not ended by {clock(due)} is stopped."
    if now < due:
        return replace(found, message=message, requeue_after=due - now)
    return replace(found, message=message, actions=(manifests.stop_rest(seen.training, last),))


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
        f"Training is done{_best(seen)}. The trainer is evaluating, uploading and verifying the model.",
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
        message = f"The trainer is running{where}; no epoch is done yet."
    else:
        left = "" if progress.remaining is None else f", about {format_duration(progress.remaining)} left"
        message = f"Epoch {progress.epoch} of {progress.epochs} is done{where}{left}."
    if number > 1:
        went_on = "" if followed.resumed_from is None else f", which resumed from epoch {followed.resumed_from}"
        message += f" This is attempt {number}{went_on}{_earlier(seen)}."
    if followed.warning:
        message += f" Warning: {followed.warning}"
    return Outcome(
        State.WORKING,
        TrainingPhase.RUNNING,
        Reason.TRAINING,
        message,
        event=f"Attempt {number} is running{where} in pod {last.name}.",
    )


def starting(seen: Snapshot, now: datetime) -> Outcome:
    """The pod is on its way: a node was found, and the image is pulled."""
    last = seen.newest
    where = f" on node {last.node}" if last is not None and last.node else ""
    name = "The pod" if last is None else f"Pod {last.name}"
    return _working(STARTING, f"{name} is starting{where}; pulling the image may take minutes.", event="")


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
        "spec.suspend is true: the Job has no pod. Set it to false, and the run continues.",
        actions=actions,
    )


def _earlier(seen: Snapshot) -> str:
    """How the attempt before this one ended, where its pod is still there."""
    ended = [attempt for attempt in seen.attempts[:-1] if attempt.failed]
    if not ended:
        return ""
    why = failure(ended[-1])
    return f"; the one before ended with {why.reason}: {why.message}"
