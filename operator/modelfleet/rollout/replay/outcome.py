"""What comes of the replay in one decision: whether its Job is made, what it found, who waits. Pure.

A Job's name follows from the two versions and their files, so that there is one for each pair, whoever makes it and
however often. What it found stands in `status.replay`, and the Job stays until another pair comes: either may be lost.
In the order in which it is looked at:

    no replay is asked for                   ->  nothing; Jobs that are there go
    nothing is known of what is on its way   ->  all stays as it is
    the status has this pair's result        ->  it stays
    there is a Job                           ->  what it found; until then the version waits, `timeout` at most
    the API server refused it                ->  a sentence says why, and the version goes on
    the status says that there was one       ->  somebody deleted it: the version goes on
    the version has entered the first group  ->  too late for one
    something stands in the way              ->  a sentence says what, and the version goes on
    else                                     ->  the Job is made
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from modelfleet.api import names
from modelfleet.api.reasons import Reason
from modelfleet.api.replay import Replay, ReplayFound, ReplayStatus
from modelfleet.decision import Action, Announce
from modelfleet.rollout import commands, reviewed
from modelfleet.rollout.position import Position
from modelfleet.rollout.replay import manifest, messages
from modelfleet.rollout.replay.job import ReplayJob
from modelfleet.rollout.replay.pair import FORMAT, Pair, pair
from modelfleet.rollout.snapshot import Refusal
from modelfleet.times import to_minute
from modelfleet.workloads import mounts
from modelfleet.workloads.last_words import Failed
from modelfleet.workloads.pods import Problem


@dataclass(frozen=True)
class Outcome:
    """What is to be done, and what status shows of it.

    until  the version waits for the result until then, at most; None: it does not wait
    wake   when to look again although nothing happens
    """

    status: ReplayStatus | None = None
    actions: tuple[Action, ...] = ()
    until: datetime | None = None
    wake: datetime | None = None


def look(position: Position, now: datetime) -> Outcome:
    """What is to be done now."""
    rollout, old = position.snapshot.rollout, position.snapshot.rollout.status.replay
    if rollout.spec.replay is None:
        return Outcome(actions=_without(position, None))
    if position.chosen is None:
        return Outcome(status=old)
    compared = pair(position)
    if compared is None:
        return _between(position, now)
    name = compared.job_name(rollout.metadata.name, rollout.metadata.uid)
    actions = _without(position, name)
    job = next((each for each in position.snapshot.replays if each.name == name), None)
    if old is not None and old.job == name and old.result is not None:
        return Outcome(status=old, actions=actions)
    if job is not None:
        return _followed(position, rollout.spec.replay, job, actions, now)
    refused = position.snapshot.replay_refused
    if refused is not None and refused.name == name:
        return Outcome(_skipped(compared, _refusal(refused)), actions)
    if old is not None and old.job == name:
        deleted = f"Job {name} is gone before it said what it found: somebody deleted it, or its name was taken."
        return Outcome(_ended(old, Failed(Reason.JOB_DELETED, deleted), now), actions)
    if position.reached:
        return Outcome(status=old if _speaks_of(old, compared) else None, actions=actions)
    problem = _problem(position, rollout.spec.replay, compared)
    if problem is not None:
        return Outcome(_skipped(compared, problem), actions)
    return _made(position, rollout.spec.replay, compared, actions, now)


def announcements(old: ReplayStatus | None, new: ReplayStatus | None) -> tuple[Announce, ...]:
    """An Event for each change that the stored status did not have yet; so a repeat is silent."""
    if new is None or (old is not None and _event_of(old) == _event_of(new)):
        return ()
    match new.result:
        case None:
            return (Announce("Normal", Reason.REPLAYING, new.message),)
        case "Replayed":
            return (Announce("Normal", Reason.REPLAYED, new.message),)
        case "Failed":
            said = f"{new.candidate} was not replayed, and continues without. {new.reason}: {new.message}"
            return (Announce("Warning", Reason.REPLAY_FAILED, said),)
        case "Skipped":
            return (Announce("Normal", Reason.REPLAY_SKIPPED, new.message),)


def _event_of(status: ReplayStatus) -> object:
    """What an Event tells of."""
    return status.job, status.candidate, status.result


def _between(position: Position, now: datetime) -> Outcome:
    """No pair is on its way. What was found last stays to be seen, and its Job; one that still runs is of no use."""
    old, candidate = position.snapshot.rollout.status.replay, position.candidate
    if candidate is not None and position.stable is None:
        said = f"{candidate.version} is the first version: there is no stable one to compare it with."
        first = ReplayStatus(
            candidate=candidate.version, result="Skipped", reason=Reason.NO_STABLE_VERSION, message=said
        )
        return Outcome(first, _without(position, None))
    if old is not None and old.result is not None:
        return Outcome(old, _without(position, old.job))
    newest = max(position.snapshot.replays, key=lambda job: (job.created, job.name), default=None)
    result = None if newest is None or newest.deleting else newest.result(now)
    if newest is None or result is None:
        # Jobs that still run go. Nobody waits for them any more.
        gone = f"Job {old.job} was removed, since {old.candidate} is no longer on its way." if old is not None else ""
        status = None if old is None else _ended(old, Failed(Reason.JOB_DELETED, gone), now)
        return Outcome(status, _without(position, None))
    return Outcome(_ended(_begun(newest), result, now, newest), _without(position, newest.name))


def _followed(
    position: Position, replay: Replay, job: ReplayJob, actions: tuple[Action, ...], now: datetime
) -> Outcome:
    """There is a Job."""
    result = job.result(now)
    if result is not None:
        return Outcome(_ended(_begun(job), result, now, job), actions)
    deadline = job.created + replay.timeout
    waits = now < deadline and not replay.suspend and not position.reached and not _let_past(position)
    problem = job.stuck(now)
    said = f"Job {job.name} compares {job.candidate} with {job.stable} on captured frames"
    if problem is not None:
        said = f"{said}, and can't start: {problem.message.rstrip('.')}"
    if waits:
        said = f"{said}; the rollout continues by {to_minute(deadline)} at the latest"
    again = job.look_again(now)
    moments = [*([now + again] if again is not None else []), *([deadline] if waits else [])]
    reason = Reason.REPLAYING if problem is None else problem.reason
    return Outcome(
        status=_begun(job).replace(reason=reason, message=f"{said}."),
        actions=actions,
        until=deadline if waits else None,
        wake=min(moments, default=None),
    )


def _made(position: Position, replay: Replay, compared: Pair, actions: tuple[Action, ...], now: datetime) -> Outcome:
    """The Job is made. It is the last of the actions, so that the status speaks of it only where it was carried out."""
    snapshot = position.snapshot
    rollout, until = snapshot.rollout, now + replay.timeout
    dataset = reviewed.dataset(position, rollout.spec.model.name)
    labels = None if dataset is None else dataset.status.latest
    stable, candidate = compared.stable.version, compared.candidate.version
    name = compared.job_name(rollout.metadata.name, rollout.metadata.uid)
    status = ReplayStatus(
        stable=stable,
        candidate=candidate,
        reason=Reason.REPLAYING,
        message=f"Job {name} is being created: it compares {candidate} with {stable} on captured frames.",
        job=name,
        started_at=now,
    )
    made = manifest.create(rollout, replay, compared, snapshot.agent_image, labels)
    return Outcome(status, (*actions, made), until, until)


def _problem(position: Position, replay: Replay, compared: Pair) -> Problem | None:
    """What stands in the way of a replay."""
    if replay.suspend:
        return Problem(Reason.SUSPENDED, "spec.replay.suspend is true: set it to false to have new versions replayed.")
    if _let_past(position):
        said = f"{compared.candidate.version} skips its gates by annotation, and waits for nothing."
        return Problem(Reason.GATES_SKIPPED, said)
    missing = [side.version for side in (compared.stable, compared.candidate) if side.file is None]
    if missing:
        said = f"A replay takes files of format {FORMAT}, and there is none of {' and '.join(missing)}. Export it, too."
        return Problem(Reason.FORMAT_NOT_FOUND, said)
    unmounted = mounts.unmounted(
        _addresses(position, compared), mounts.mounts_of(replay.template, names.REPLAY_CONTAINER)
    )
    if unmounted:
        said = f"{unmounted[0]} is on a volume, which the Job does not have. Mount it in container replay of "
        return Problem(Reason.SOURCE_NOT_MOUNTED, f"{said}spec.replay.template.")
    return None


def _refusal(refused: Refusal) -> Problem:
    said = f"The API server refused the Job: {refused.message.rstrip('.')}. Correct spec.replay, or the quota."
    return Problem(Reason.APPLY_REJECTED, said)


def _let_past(position: Position) -> bool:
    return position.candidate is not None and commands.past_gates(position.candidate)


def _addresses(position: Position, compared: Pair) -> tuple[str, ...]:
    capture = position.snapshot.rollout.spec.delivery.capture
    captures = () if capture is None else (capture.destination,)
    return (*captures, compared.stable.uri, compared.candidate.uri)


def _speaks_of(status: ReplayStatus | None, compared: Pair) -> bool:
    pair_now = compared.stable.version, compared.candidate.version
    return status is not None and (status.stable, status.candidate) == pair_now


def _skipped(compared: Pair, problem: Problem) -> ReplayStatus:
    return ReplayStatus(
        stable=compared.stable.version,
        candidate=compared.candidate.version,
        result="Skipped",
        reason=problem.reason,
        message=problem.message,
    )


def _begun(job: ReplayJob) -> ReplayStatus:
    """The status of a Job, before anything is known of its end."""
    return ReplayStatus(
        stable=job.stable,
        candidate=job.candidate,
        reason=Reason.REPLAYING,
        message="",
        job=job.name,
        started_at=job.created,
    )


def _ended(
    begun: ReplayStatus, result: ReplayFound | Failed, now: datetime, job: ReplayJob | None = None
) -> ReplayStatus:
    finished = job.ended_at if job is not None and job.ended_at is not None else now
    how: Literal["Replayed", "Failed"] = "Replayed" if isinstance(result, ReplayFound) else "Failed"
    if isinstance(result, Failed):
        return begun.replace(result=how, reason=result.reason, message=result.message, finished_at=finished)
    message = messages.found(begun.stable or "", begun.candidate, result)
    return begun.replace(result=how, reason=Reason.REPLAYED, message=message, finished_at=finished, found=result)


def _without(position: Position, kept: str | None) -> tuple[Action, ...]:
    """Remove the Jobs but one."""
    rollout = position.snapshot.rollout
    return tuple(
        manifest.remove(rollout, job) for job in position.snapshot.replays if job.name != kept and not job.deleting
    )
