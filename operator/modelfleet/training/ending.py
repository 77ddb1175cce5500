"""The steps once a Job has ended: from what the trainer left to a ModelVersion, or to a failure that says why. Pure.

Each step takes a snapshot and the time, and returns an outcome, or None to let the next one speak.
"""

from datetime import datetime, timedelta
from decimal import Decimal

from modelfleet.api import Evaluation, ModelVersion, TrainingPhase, format_duration
from modelfleet.api.reasons import Reason
from modelfleet.times import clock
from modelfleet.training import evaluation, manifests, modelversion
from modelfleet.training.jobs import JobFacts
from modelfleet.training.naming import model_version_name
from modelfleet.training.outcome import RUNS_ONCE, Outcome, State, failed
from modelfleet.training.pods import Attempt, failure, outcome
from modelfleet.training.snapshot import Snapshot
from modelfleet.training.starting import READING, REREADING
from modelfleet.training.termination import Succeeded
from modelfleet.wording import listed
from modelfleet.workloads.last_words import Failed

COMPLETE = Reason.COMPLETE

_WORTH_SAYING = frozenset({"Overfitting", "Underfitting", "Diverged"})

WAITS_FOR = frozenset({Reason.DATASET_MISSING, Reason.PARENT_MISSING, Reason.CHECKPOINT_MISSING, Reason.OUTPUT_MISSING})
"""Reasons of the trainer's that resolve themselves when somebody puts the data, the parent's files, the checkpoint, or
the bucket for the output where the spec says."""

_LEAST_WAIT, _LONGEST_WAIT = timedelta(minutes=1), timedelta(minutes=30)

_LOG_PATIENCE = timedelta(minutes=10)  # while the log can't be read: the node may be out of reach
_WORTH_CHANGING = Decimal("0.02")  # of F1
_LOST_PATIENCE = timedelta(minutes=2)  # where it was read and lacks the detail, or the pod is gone
_ASK_AGAIN = timedelta(seconds=5)


def made(seen: Snapshot, now: datetime) -> Outcome | None:
    """The ModelVersion is there, and this TrainingJob made it: the end."""
    version = seen.version
    if version is None or not modelversion.is_of(version, seen.training):
        return None
    verdict = version.spec.evaluation
    at = version.spec.created_at or _ended_at(seen) or version.metadata.creation_timestamp or now
    if verdict is not None and verdict.result == "Failed":
        message = (
            f"ModelVersion {version.metadata.name} was created and rejected by its evaluation: {verdict.message}. It "
            f"is kept for inspection and never rolled out.{_diagnosis(version)}"
        )
        return _end(State.FAILED, Reason.EVALUATION_FAILED, message, at, version, verdict)
    message = f"ModelVersion {version.metadata.name} was created.{_diagnosis(version)}{_threshold(version)}"
    return _end(State.COMPLETE, COMPLETE, message, at, version, verdict)


def _threshold(version: ModelVersion) -> str:
    """That another threshold would do clearly better, where one would."""
    found = version.spec.threshold
    if found is None or found.best.f1 < found.present.f1 + _WORTH_CHANGING:
        return ""
    return (
        f" Detections are best taken from confidence {found.best.confidence} on: precision {found.best.precision}, "
        f"recall {found.best.recall}; from {found.present.confidence} on they are {found.present.precision} and "
        f"{found.present.recall}."
    )


def _diagnosis(version: ModelVersion) -> str:
    """What the curves said, where somebody may want to do something about it; a remark, and no failure."""
    lineage = version.spec.lineage
    found = None if lineage is None else lineage.diagnosis
    if found is None or found.finding not in _WORTH_SAYING:
        return ""
    return f" {found.finding}: {found.message.rstrip('.')}."


def data_missing(seen: Snapshot, now: datetime) -> Outcome | None:
    """Data, parent or bucket is not there: look again from time to time, with a new Job, and go on when it is.

    The wait grows with the time that it has been missing, so that a GPU is not taken every minute for days. It follows
    from times that the API server keeps, and from nothing that a restart or a wiped status could lose.
    """
    job, why = seen.own_job, _failure(seen)
    if job is None or job.end is None or why is None or why.reason not in WAITS_FOR:
        return None
    since = seen.training.metadata.creation_timestamp or job.created
    wait = min(max((job.end.at - since) / 2, _LEAST_WAIT), _LONGEST_WAIT)
    due = job.end.at + wait
    over = now >= due and not job.deleting
    return Outcome(
        State.STALLED,
        TrainingPhase.PENDING,
        why.reason,
        f"{why.message}. The run starts automatically when it is there; it is looked for again at {clock(due)}.",
        actions=(manifests.remove(seen.training, job),) if over else (),
        requeue_after=None if job.deleting else max(due - now, timedelta(seconds=1)),
    )


def job_failed(seen: Snapshot, now: datetime) -> Outcome | None:
    """The Job failed for good."""
    job, why = seen.own_job, _failure(seen)
    if job is None or job.end is None or why is None:
        return None
    return failed(why.reason, f"{why.message.rstrip('.')}.{RUNS_ONCE}", job.end.at)


def published(seen: Snapshot, now: datetime) -> Outcome | None:
    """The trainer published the version: read what it left, judge it, and make the ModelVersion.

    What became of the Job afterwards (its deadline, a container beside the trainer that failed or goes on, a lost node)
    takes nothing back.
    """
    job, pod = seen.own_job, seen.reporter()
    if job is None:
        return None
    succeeded_at = job.end.at if job.end is not None and job.end.succeeded else None
    if pod is None:
        if succeeded_at is None:
            return None
        gone = "the pod that succeeded is gone, and its report with it"
        return _wait(seen, succeeded_at, gone, _LOST_PATIENCE, now)
    at = succeeded_at or pod.finished or pod.created
    result = outcome(pod)
    if not isinstance(result, Succeeded):
        return failed(
            Reason.RESULT_INVALID, f"The trainer ended without an error, but {result.message}.{RUNS_ONCE}", at
        )
    return _record(seen, pod, result, at, now)


def _record(seen: Snapshot, pod: Attempt, result: Succeeded, at: datetime, now: datetime) -> Outcome:
    job = seen.own_job
    run = None if job is None else job.run
    if job is None or run is None:
        return failed(Reason.RESULT_INVALID, f"The Job no longer says which version it is to train.{RUNS_ONCE}", at)
    detail = seen.detail
    if detail is None or detail.content is None:
        problem = "its log was not read yet" if detail is None else detail.problem
        patience = _LOST_PATIENCE if detail is not None and detail.lost else _LOG_PATIENCE
        return _wait(seen, pod.finished or at, problem, patience, now)
    name = model_version_name(seen.training.spec.model, run.version)
    if seen.version is not None:
        message = (
            f"ModelVersion {name} was created by somebody else while this run trained; it is not overwritten. This "
            f"run's files are at {run.output_uri}.{RUNS_ONCE}"
        )
        return failed(Reason.VERSION_EXISTS, message, at)
    gates = seen.training.spec.evaluation
    verdict = None if gates is None else evaluation.judge(gates, detail.content.get("evaluation"))
    try:
        create = modelversion.create_version(seen.training, run, result, detail.content, verdict, job.data, at)
    except modelversion.Unrecordable as problem:
        return failed(Reason.RESULT_INVALID, f"The trainer's report can't be recorded ({problem}).{RUNS_ONCE}", at)
    return Outcome(
        State.WORKING,
        TrainingPhase.EVALUATING,
        Reason.RECORDING,
        f"Creating ModelVersion {name}.",
        actions=(create,),
        requeue_after=timedelta(seconds=2),
        event="",
    )


def _wait(seen: Snapshot, since: datetime, problem: str, patience: timedelta, now: datetime) -> Outcome:
    """Ask again until patience runs out; then have a new Job report again; then say what can be saved, and how.

    The trainer keeps its whole report beside the files, in manifest.json. A Job of this TrainingJob that finds it there
    verifies the files and reports again, without training.
    """
    until = since + patience
    if now < until:
        return Outcome(
            State.WORKING,
            TrainingPhase.EVALUATING,
            READING,
            f"Training succeeded, but {problem}. It is tried again until {clock(until)}.",
            requeue_after=min(_ASK_AGAIN, until - now),
            warning=True,
        )
    job = seen.own_job
    if job is not None and not job.rereads:
        return Outcome(
            State.WORKING,
            TrainingPhase.EVALUATING,
            REREADING,
            f"Training succeeded, but {problem}. A new Job reports again what was published, without training.",
            actions=(manifests.remove(seen.training, job),),
            requeue_after=timedelta(seconds=2),
            warning=True,
        )
    run = None if job is None else job.run
    files = "The model's files were uploaded"
    if run is not None:
        files += f" to {run.output_uri}, where manifest.json lists them with their digests"
    target = seen.target_or_none() or ""
    return failed(
        Reason.RESULT_LOST,
        f"Training succeeded, but {problem}. {files}: create ModelVersion "
        f"{model_version_name(seen.training.spec.model, target)} from that by hand, or create a new TrainingJob with "
        "another spec.version.",
        now,
    )


def _failure(seen: Snapshot) -> Failed | None:
    """Why the Job failed for good, in the trainer's own words where there are any; None when it did not."""
    job = seen.own_job
    if job is None or job.end is None or job.end.succeeded:
        return None
    own_fault = [attempt for attempt in seen.attempts if attempt.own_fault]
    if job.end.reason == "DeadlineExceeded":
        known = [attempt for attempt in own_fault if _is_known(attempt, job.end.decided_at)]
        if not known or known[-1] is not seen.newest or not seen.is_last(known[-1]):
            return _overdue(seen, job, known)
    if not own_fault:
        return Failed(job.end.reason or Reason.JOB_FAILED, f"The Job failed: {job.end.message or job.end.reason}")
    why = failure(own_fault[-1])
    number = seen.failures()
    if job.end.reason == "BackoffLimitExceeded" and number > 1:
        return Failed(why.reason, f"All {number} attempts failed, the last one: {why.message}")
    return why


def _is_known(attempt: Attempt, deadline: datetime) -> bool:
    """Whether an attempt that failed did so for a cause of its own, and not because the deadline ended it.

    What it said of itself counts whenever it ended: the node's clock may be ahead of the control plane's, and a trainer
    that is asked to stop says that, or nothing.
    """
    if attempt.finished is not None and attempt.finished <= deadline:
        return True
    said = outcome(attempt)
    return isinstance(said, Failed) and said.reason != Reason.INTERRUPTED


def _overdue(seen: Snapshot, job: JobFacts, known: list[Attempt]) -> Failed:
    """The deadline ended it; and why the newest attempt failed that it did not end."""
    message = f"The run took longer than spec.activeDeadline, {format_duration(seen.training.spec.active_deadline)}"
    if seen.no_pod:
        message += f". No pod was created for it: {seen.no_pod.rstrip('.')}"
    elif known:
        why = failure(known[-1])
        message += f". The last attempt that failed before that ended with {why.reason}: {why.message}"
    elif seen.newest is None and job.beside and job.run is not None:
        message += (
            f". Whether its trainer had ended before is not known: its pod is gone, and {listed(job.beside)} may have "
            f"kept that from ending. If {job.run.output_uri}manifest.json is there, the version was published: create "
            "its ModelVersion from that by hand"
        )
    return Failed(Reason.DEADLINE_EXCEEDED, message)


def _ended_at(seen: Snapshot) -> datetime | None:
    job = seen.own_job
    return None if job is None or job.end is None else job.end.at


def _end(
    state: State, reason: str, message: str, at: datetime, version: ModelVersion, verdict: Evaluation | None
) -> Outcome:
    return Outcome(
        state,
        TrainingPhase.SUCCEEDED if state is State.COMPLETE else TrainingPhase.FAILED,
        reason,
        message,
        finished_at=at,
        model_version=version.metadata.name,
        evaluation=verdict,
    )
