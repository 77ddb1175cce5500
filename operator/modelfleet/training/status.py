"""The fields of a TrainingJob's status beside its conditions: progress, counts, times, and what the run resolved to.
Pure.

Counts never go down: a Job that somebody deleted, or that was made again, takes its own counts with it. Everything else
is found again when the status was wiped, as far as Job, pods and ModelVersion still tell it.
"""

from datetime import datetime
from typing import Any

from modelfleet.api import FirstEpoch, PinnedData, Progress, StartCheckpoint, TrainingJobStatus
from modelfleet.training.data import NOTHING
from modelfleet.training.log_events import Followed
from modelfleet.training.modelversion import is_of, start_checkpoint
from modelfleet.training.outcome import Outcome, State
from modelfleet.training.snapshot import Snapshot


def facts(seen: Snapshot, outcome: Outcome) -> TrainingJobStatus:
    """The status that goes with `outcome`, its conditions left as they were."""
    before, followed = seen.training.status, seen.followed()
    version, parent, baseline = _resolved(seen)
    dataset, holdout = _data(seen)
    made = seen.version.spec if seen.version is not None and outcome.model_version is not None else None
    lineage = None if made is None else made.lineage
    return TrainingJobStatus(
        observed_generation=seen.training.metadata.generation,
        phase=outcome.phase,
        conditions=before.conditions,
        progress=_progress(_newest_progress(before, followed), outcome.state),
        attempts=max(before.attempts, seen.number()),
        preemptions=max(before.preemptions, seen.interruptions().preempted),
        resumed_from_epoch=_resumed_from(seen, followed),
        version=version,
        parent=parent,
        baseline=baseline,
        dataset=dataset,
        holdout=holdout,
        **_start(seen, followed),
        model_version=outcome.model_version,
        evaluation=outcome.evaluation,
        diagnosis=None if lineage is None else lineage.diagnosis,
        threshold=made.threshold.replace(per_class=()) if made is not None and made.threshold is not None else None,
        tracking=followed.tracking or before.tracking or (None if lineage is None else lineage.tracking),
        warnings=before.warnings if followed.data is None else followed.data or None,
        started_at=_started_at(seen),
        finished_at=outcome.finished_at,
    )


def _start(seen: Snapshot, followed: Followed) -> dict[str, Any]:
    """What the run began with. It is in the log of the attempt that began; else as remembered; else as the ModelVersion
    has it."""
    before, start, job = seen.training.status, followed.start, seen.own_job
    first = before.first_epoch
    if start.first_epoch is not None and job is not None and job.run is not None and job.run.parent is not None:
        first = FirstEpoch(metrics=start.first_epoch, parent_metrics=job.run.parent_metrics)
    told = None if job is None or job.run is None else start_checkpoint(job.run, start.checkpoint)
    checkpoint = before.checkpoint
    if told is not None and (start.checkpoint is not None or checkpoint is None):
        checkpoint = StartCheckpoint.model_validate(told)
    found = {
        "checkpoint": checkpoint,
        "loaded_share": before.loaded_share if start.loaded_share is None else start.loaded_share,
        "class_changes": start.class_changes or before.class_changes,
        "first_epoch": first,
    }
    lineage = None if seen.version is None or not is_of(seen.version, seen.training) else seen.version.spec.lineage
    return {name: getattr(lineage, name, None) if value is None else value for name, value in found.items()}


def _newest_progress(before: TrainingJobStatus, followed: Followed) -> Progress | None:
    """What the newest pod says; what the one before said until then, unless this one starts from the beginning."""
    if followed.progress is not None or followed.fresh:
        return followed.progress
    return before.progress


def _resumed_from(seen: Snapshot, followed: Followed) -> int | None:
    """Of the newest attempt. Unknown again for each new one, so that an attempt that resumes is announced even where
    the one before it resumed from the same epoch."""
    before = seen.training.status
    if followed.resumed_from is not None:
        return followed.resumed_from
    return None if followed.fresh or seen.number() > before.attempts else before.resumed_from_epoch


def _progress(progress: Progress | None, state: State) -> Progress | None:
    """A run that ended needs no more time; one that completed (perhaps early, by patience) is done."""
    if progress is None or state not in (State.COMPLETE, State.FAILED):
        return progress
    return progress.replace(remaining=None, percent=100 if state is State.COMPLETE else progress.percent)


def _data(seen: Snapshot) -> tuple[PinnedData | None, PinnedData | None]:
    """What references to Datasets meant, as the Job was told; else as remembered."""
    before = seen.training.status
    data = NOTHING if seen.own_job is None else seen.own_job.data
    if data == NOTHING:
        return before.dataset, before.holdout
    version, holdout = data.version, data.holdout
    return (
        version if isinstance(version, PinnedData) else None,
        holdout if isinstance(holdout, PinnedData) else None,
    )


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
