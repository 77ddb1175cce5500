"""What a TrainingJob needs next: an ordered chain of small questions, of which the first with an answer counts. Pure.

The chain is the policy, to be read from top to bottom. It depends on what is observed alone: killed after any write and
started again, it ends in the same state. What follows from what:

    no Job, ModelVersion not there  ->  all references found -> the Job is made
    Job that has not ended          ->  suspended, queued, no pod, failed attempt, pod that can't start, training
    trainer that has published      ->  its result -> the ModelVersion is made, whatever its pod and its Job do
    Job that has ended otherwise    ->  why it failed
    ModelVersion of this run there  ->  Complete, or Failed where its evaluation rejected it

Complete and Failed are final once they are in the stored status: from then on only the Job's time to live is watched.
With the status wiped they are found again from the Job and the ModelVersion.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from modelfleet import chain
from modelfleet.api import Condition, TrainingJob, TrainingJobStatus, conditions, unsupported_fields
from modelfleet.api.reasons import Reason
from modelfleet.api.reasons.entry import Topic
from modelfleet.decision import Action, Announce, Decision
from modelfleet.training import ending, manifests, running, starting
from modelfleet.training.last_end import LastEnd
from modelfleet.training.outcome import PATIENCE_WITH_OTHERS, Outcome, State, conditions_of
from modelfleet.training.snapshot import Snapshot
from modelfleet.training.status import facts

Step = Callable[[Snapshot, datetime], Outcome | None]

CHAIN: tuple[Step, ...] = (
    ending.made,
    starting.adopted,
    starting.name_conflict,
    # The trainer has published, or the Job has ended.
    ending.published,
    ending.data_missing,
    ending.job_failed,
    # There is no Job.
    starting.no_version,
    starting.version_exists,
    starting.bad_hyperparameters,
    starting.suspended,
    starting.parent_missing,
    starting.parent_without_weights,
    starting.baseline_missing,
    starting.data_not_there,
    starting.run_too_long,
    starting.create_job,
    # There is a Job, and it has not ended.
    running.job_deleted,
    running.suspend,
    running.suspended,
    running.queued,
    running.pod_refused,
    running.between_pods,
    running.no_pods,
    running.attempt_failed,
    running.cannot_start,
    running.evaluating,
    running.training,
    running.starting,
)


def decide(seen: Snapshot, now: datetime) -> Decision:
    """The next writes, the status, and what to announce."""
    training = seen.training
    if training.metadata.deletion_timestamp is not None:
        return Decision()  # the garbage collector takes the Job along
    final = _final(training.status)
    if final is not None:
        return _finished(seen, final, now)
    outcome = chain.first(CHAIN, seen, now)
    desired = (*conditions_of(outcome.state, outcome.reason, outcome.message), *_unsupported(seen))
    status = facts(seen, outcome).replace(conditions=_stamp(training, desired, now))
    return Decision(
        actions=(*_note_interruptions(seen), *_note_end(seen), *outcome.actions),
        status=status,
        announcements=_announcements(training.status, status, outcome),
        requeue_after=outcome.requeue_after,
    )


def _final(status: TrainingJobStatus) -> Condition | None:
    """Complete or Failed, when it is in the stored status."""
    for type in (conditions.COMPLETE, conditions.FAILED):
        found = conditions.find(status.conditions, type)
        if found is not None and found.is_true:
            return found
    return None


def _finished(seen: Snapshot, final: Condition, now: datetime) -> Decision:
    """The record stays as it is; the Job goes when its time to live is over.

    One that can't end, for a container beside the trainer goes on, goes after a short wait, and its pod with it. Were
    it suspended, Kueue would let it go on; were its pod deleted alone, it would make another.
    """
    training = seen.training
    state = State.COMPLETE if final.type == conditions.COMPLETE else State.FAILED
    desired = (*conditions_of(state, final.reason, final.message), *_unsupported(seen))
    status = training.status.replace(
        conditions=_stamp(training, desired, now), observed_generation=training.metadata.generation
    )
    job = seen.own_job
    if job is None or job.deleting:
        return Decision(status=status)
    ended = training.status.finished_at or job.created
    kept = training.spec.ttl_after_finished
    left = ended + (kept if job.end is not None else min(kept, PATIENCE_WITH_OTHERS)) - now
    if left > timedelta(0):
        return Decision(status=status, requeue_after=left)
    return Decision(actions=(manifests.remove(training, job),), status=status)


def _note_interruptions(seen: Snapshot) -> tuple[Action, ...]:
    job, counted = seen.own_job, seen.interruptions()
    if job is None or job.deleting or counted == job.interruptions:
        return ()
    return (manifests.note_interruptions(seen.training, job, counted),)


def _note_end(seen: Snapshot) -> tuple[Action, ...]:
    """Before the pod is deleted, by us or by the Job at its deadline."""
    job, last = seen.own_job, seen.newest
    if job is None or job.deleting or last is None or not last.lingers:
        return ()
    if job.noted is not None and job.noted.attempt.uid == last.uid:
        return ()
    return (manifests.note_end(seen.training, job, LastEnd(last, seen.failures())),)


def _stamp(training: TrainingJob, desired: tuple[Condition, ...], now: datetime) -> tuple[Condition, ...]:
    return conditions.merge(training.status.conditions, desired, training.metadata.generation, now)


def _unsupported(seen: Snapshot) -> tuple[Condition, ...]:
    fields = unsupported_fields(seen.training)
    job = seen.own_job
    if seen.training.spec.suspend and job is not None and job.queue and job.end is None:
        fields += ("spec.suspend (Kueue decides when a Job of its queue runs: set spec.active of its Workload)",)
    return conditions.unsupported(fields)


def _announcements(before: TrainingJobStatus, after: TrainingJobStatus, outcome: Outcome) -> tuple[Announce, ...]:
    """An Event for each change that the stored status did not have yet; so a repeat is silent."""
    announced: list[Announce] = []
    if before.version is None and after.version is not None and outcome.finished_at is None:
        announced.append(Announce("Normal", Reason.JOB_CREATED, f"Created a Job that trains version {after.version}."))
    ready = conditions.find(before.conditions, conditions.READY)
    text = outcome.message if outcome.event is None else outcome.event
    if text and (ready is None or ready.reason != outcome.reason):
        warning = outcome.warning or outcome.state in (State.STALLED, State.FAILED)
        topic = Topic.TRAINING_FAILED if outcome.state is State.FAILED else None
        announced.append(
            Announce("Warning" if warning else "Normal", outcome.reason, text, topic=topic, version=after.version)
        )
    if after.resumed_from_epoch is not None and after.resumed_from_epoch != before.resumed_from_epoch:
        announced.append(Announce("Normal", Reason.RESUMED, f"Resumed from epoch {after.resumed_from_epoch}."))
    if after.warnings and after.warnings != before.warnings:
        announced.append(Announce("Warning", Reason.DATA_WARNINGS, _of_data(after.warnings)))
    return tuple(announced)


def _of_data(warnings: tuple[str, ...]) -> str:
    more = f" ({len(warnings) - 1} more in status.warnings)" if len(warnings) > 1 else ""
    return f"{warnings[0]}{more}"
