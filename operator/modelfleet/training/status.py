"""The fields of a TrainingJob's status beside its conditions: progress, counts, times, and what the run resolved to.
Pure.

Counts never go down: a Job that somebody deleted, or that was made anew, takes its own counts with it. Everything else
is found again when the status was wiped, as far as Job, pods and ModelVersion still tell it.
"""

from datetime import datetime

from modelfleet.api import Progress, TrainingJobStatus
from modelfleet.training.outcome import Outcome, State
from modelfleet.training.snapshot import Snapshot


def facts(seen: Snapshot, outcome: Outcome) -> TrainingJobStatus:
    """The status that goes with `outcome`, its conditions left as they were."""
    before, followed = seen.training.status, seen.followed()
    version, parent, baseline = _resolved(seen)
    return TrainingJobStatus(
        observed_generation=seen.training.metadata.generation,
        phase=outcome.phase,
        conditions=before.conditions,
        progress=_progress(followed.progress or before.progress, outcome.state),
        attempts=max(before.attempts, seen.number()),
        preemptions=max(before.preemptions, seen.preempted().count),
        resumed_from_epoch=before.resumed_from_epoch if followed.resumed_from is None else followed.resumed_from,
        version=version,
        parent=parent,
        baseline=baseline,
        model_version=outcome.model_version,
        evaluation=outcome.evaluation,
        started_at=_started_at(seen),
        finished_at=outcome.finished_at,
    )


def _progress(progress: Progress | None, state: State) -> Progress | None:
    """A run that ended needs no more time; one that completed (perhaps early, by patience) is done."""
    if progress is None or state not in (State.COMPLETE, State.FAILED):
        return progress
    return progress.replace(remaining=None, percent=100 if state is State.COMPLETE else progress.percent)


def _started_at(seen: Snapshot) -> datetime | None:
    times = [attempt.started for attempt in seen.attempts if attempt.started is not None]
    if seen.training.status.started_at is not None:
        times.append(seen.training.status.started_at)
    return min(times, default=None)


def _resolved(seen: Snapshot) -> tuple[str | None, str | None, str | None]:
    """Version, parent and baseline as the Job was told; else as remembered; else as the ModelVersion has them."""
    job, before = seen.own_job, seen.training.status
    if job is not None and job.run is not None:
        return job.run.version, job.run.parent, job.run.baseline
    if before.version is not None:
        return before.version, before.parent, before.baseline
    if seen.version is None or seen.job is not None:
        return None, None, None
    from_record = seen.version.spec.lineage
    if from_record is None or from_record.training_job != seen.training.metadata.name:
        return None, None, None
    return seen.version.spec.version, from_record.parent, None
