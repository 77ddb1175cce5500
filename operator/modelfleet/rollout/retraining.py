"""Whether a new version is to be trained now, and the TrainingJob for it. Pure.

A retraining has a trigger: the model drifts, the schedule says so, or somebody asks (`modelfleet.dev/retrain: now@1`).
Guards hold it back, each with a reason of its own in `status.drift.retrain`.

What was started is known from two places, the TrainingJobs themselves (their annotations) and
`status.drift.retrainings`, so that either may be lost: killed right after the TrainingJob was created, the operator
finds it at the next look, and makes no second one. Names count up, over all retrainings that anything still speaks of,
ModelVersions included: a name is never used twice, and a create that meets a TrainingJob of that name leaves it alone.
Only what was seen to exist is taken down: the API server may refuse to create it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from cronsim import CronSim, CronSimError

from modelfleet.api import TrainingJob, conditions, names
from modelfleet.api.commands import NOW, Command, Verb
from modelfleet.api.driftspec import Retrain, RetrainMetadata
from modelfleet.api.modelversion import ModelVersion, RetrainTrigger
from modelfleet.api.quantities import format_duration
from modelfleet.api.reasons import Reason
from modelfleet.api.rolloutstatus import Retraining, RetrainStatus
from modelfleet.decision import Create
from modelfleet.kinds import ROLLOUT, TRAINING_JOB
from modelfleet.rollout import commands
from modelfleet.rollout import revisions as revs
from modelfleet.rollout.position import Position
from modelfleet.rollout.revisions import Revision
from modelfleet.times import to_minute
from modelfleet.workloads.owners import owner_reference

WEEK = timedelta(days=7)
MADE_UP = timedelta(hours=6)
"""A slot of the schedule that was missed (the operator was down, a guard held it) is made up for so long."""

LONGEST_COOLDOWN = WEEK

_KEPT = 10
_TRY_AGAIN = timedelta(hours=1)  # after the API server refused the TrainingJob


@dataclass(frozen=True)
class Wanted:
    """Why a retraining should start. `since`: since when the model has drifted; `command`: the annotation's value."""

    trigger: RetrainTrigger
    cause: str
    since: datetime | None = None
    command: str = ""


@dataclass(frozen=True)
class Held:
    """Why none starts now. `until` is when that is over, where it is known."""

    reason: str
    message: str
    until: datetime | None = None


@dataclass(frozen=True)
class Outcome:
    """What is to be done, and what status shows of it."""

    create: Create | None = None
    status: RetrainStatus | None = None
    retrainings: tuple[Retraining, ...] = ()
    wake: datetime | None = None


def number_in(rollout: str, name: str) -> int | None:
    """The number of a retraining from a name such as `line-r3`; None where the name is no such one."""
    head, _, number = name.rpartition("-r")
    return int(number) if head == rollout and number.isdecimal() and len(number) <= 9 else None


def look(position: Position, drifting: Wanted | None, moving: str, now: datetime) -> Outcome:
    """What is to be done now. `drifting`: the model is known to have drifted; `moving`: what is on its way through the
    groups, empty where nothing is."""
    snapshot = position.snapshot
    done = known(position)
    spec = snapshot.rollout.spec.drift.retrain if snapshot.rollout.spec.drift is not None else None
    if spec is None:
        return Outcome(retrainings=done)
    slot = _next_slot(spec, now)
    wanted = _command(position) or drifting or _scheduled(position, spec, done, now)
    if wanted is None:
        said = "A new version is trained when the model drifts" + (f", and at {to_minute(slot)}" if slot else "") + "."
        return Outcome(
            status=RetrainStatus(reason=Reason.NOT_DUE, next=slot, message=said), retrainings=done, wake=slot
        )
    held = _held(position, spec, wanted, done, moving, now)
    if held is not None:
        status = RetrainStatus(reason=held.reason, until=held.until, next=slot, message=held.message)
        moments = [moment for moment in (held.until, slot) if moment is not None]
        return Outcome(status=status, retrainings=done, wake=min(moments, default=None))
    name = _name(position, done)
    status = RetrainStatus(reason=Reason.TRAINING_RUNNING, next=slot, message=f"TrainingJob {name} is being created.")
    return Outcome(
        create=Create(_manifest(position, spec, name, wanted), optional=True),
        status=status,
        retrainings=done,
        wake=slot,
    )


def known(position: Position) -> tuple[Retraining, ...]:
    """The retrainings that TrainingJobs or the status speak of, the newest 10, newest first."""
    status = position.snapshot.rollout.status.drift
    found = {entry.training_job: entry for entry in (status.retrainings if status is not None else ())}
    for training in _own(position):
        entry = found.get(training.metadata.name) or _read(training)
        found[training.metadata.name] = entry.replace(result=_ended(training) or entry.result)
    return tuple(sorted(found.values(), key=lambda entry: (entry.at, entry.training_job), reverse=True)[:_KEPT])


def noted(position: Position) -> tuple[Revision, ...]:
    """The revisions with the `retrain` command taken down on the stable one, once its TrainingJob exists."""
    command = Command.read(position.snapshot.rollout.metadata.annotations, Verb.RETRAIN)
    stable = position.stable
    if command is None or stable is None or commands.used(position.revisions, command):
        return position.revisions
    made = _made_for(position, command)
    spec = position.snapshot.rollout.spec.drift
    if made is None and command.version == NOW and spec is not None and spec.retrain is not None:
        return position.revisions  # it is still to be done
    where = commands.NOWHERE if made is None else made.metadata.name
    return revs.with_changed(position.revisions, commands.noted(stable, command, where))


def _own(position: Position) -> list[TrainingJob]:
    uid = position.snapshot.rollout.metadata.uid
    return [
        training
        for training in position.snapshot.trainings
        if names.RETRAIN_TRIGGER in training.metadata.annotations
        and any(owner.uid == uid for owner in training.metadata.owner_references)
    ]


def _made_for(position: Position, command: Command) -> TrainingJob | None:
    """The TrainingJob that was created on this command."""
    own = _own(position)
    return next((each for each in own if each.metadata.annotations.get(names.RETRAIN_COMMAND) == command.value), None)


def _read(training: TrainingJob) -> Retraining:
    """A retraining as its TrainingJob tells of it."""
    annotations = training.metadata.annotations
    return Retraining.model_validate(
        {
            "trainingJob": training.metadata.name,
            "trigger": annotations[names.RETRAIN_TRIGGER],
            "stableVersion": annotations.get(names.RETRAIN_STABLE, ""),
            "since": annotations.get(names.RETRAIN_SINCE),
            "cause": annotations.get(names.RETRAIN_CAUSE, ""),
            "at": training.metadata.creation_timestamp,
            "data": [source.uri for source in training.spec.dataset.sources],
        }
    )


def _command(position: Position) -> Wanted | None:
    """Somebody asks for a retraining, and it was not done yet."""
    command = Command.read(position.snapshot.rollout.metadata.annotations, Verb.RETRAIN)
    if command is None or position.stable is None or commands.used(position.revisions, command):
        return None
    if command.version != NOW:
        return None
    if _made_for(position, command) is not None:
        return None
    return Wanted("Command", command.assignment, command=command.value)


def _scheduled(position: Position, spec: Retrain, done: Sequence[Retraining], now: datetime) -> Wanted | None:
    """A slot of the schedule has come that the status announced, and nothing was started for it."""
    status = position.snapshot.rollout.status.drift
    slot = status.retrain.next if status is not None and status.retrain is not None else None
    if spec.schedule is None or slot is None or not slot <= now < slot + MADE_UP:
        return None
    if _slot_after(spec.schedule, slot - timedelta(seconds=1)) != slot:  # of another schedule than this
        return None
    if any(entry.trigger == "Schedule" and entry.at >= slot for entry in done):
        return None
    return Wanted("Schedule", f"schedule {spec.schedule!r}, {to_minute(slot)}")


def _next_slot(spec: Retrain, now: datetime) -> datetime | None:
    return _slot_after(spec.schedule, now) if spec.schedule is not None else None


def _slot_after(schedule: str, moment: datetime) -> datetime | None:
    try:
        found: datetime = next(CronSim(schedule, moment))
    except (CronSimError, StopIteration):
        return None
    return found


def _held(
    position: Position, spec: Retrain, wanted: Wanted, done: Sequence[Retraining], moving: str, now: datetime
) -> Held | None:
    """The first guard that holds the retraining back. What people ask for waits for a training under way alone."""
    running = next((each for each in _own(position) if _ended(each) is None), None)
    if running is not None:
        return Held(Reason.TRAINING_RUNNING, f"TrainingJob {running.metadata.name} is under way.")
    if position.snapshot.refused is not None:
        again = position.snapshot.refused.at + _TRY_AGAIN
        if now < again:
            said = f"The API server refused the TrainingJob: {position.snapshot.refused.message}"
            return Held(Reason.TEMPLATE_REJECTED, f"{said}. Correct spec.drift.retrain.template.", again)
    if wanted.trigger == "Command":
        return None
    if spec.suspend:
        return Held(Reason.SUSPENDED, "spec.drift.retrain.suspend is true: set it to false to have a version trained.")
    if position.snapshot.rollout.spec.paused:
        return Held(Reason.PAUSED, "spec.paused is true: what is trained could not be rolled out.")
    if moving:
        return Held(Reason.ROLLOUT_ACTIVE, moving)
    return (
        _pending(position, done)
        or _deleted(position, wanted, done)
        or _cooling(position, spec, done, now)
        or _spent(spec, done, now)
        or _same_data(position, spec)
    )


def _pending(position: Position, done: Sequence[Retraining]) -> Held | None:
    """The last retraining gave a version that nothing has judged yet: the spec pins another one."""
    newest = _of_stable(position, done)[:1]
    result = _result(position, newest[0].training_job) if newest else None
    if result is None or _failed(position, result):
        return None
    stable = position.stable
    if stable is not None and stable.version == result.spec.version:
        return None
    found = result.status.conditions
    if not conditions.is_true(found, conditions.READY) and not conditions.is_true(found, conditions.STALLED):
        said = f"TrainingJob {newest[0].training_job} made version {result.spec.version}, which is being verified."
        return Held(Reason.TRAINING_RUNNING, said)
    return Held(
        Reason.RESULT_PENDING,
        f"TrainingJob {newest[0].training_job} made version {result.spec.version}, which has not been tried yet: "
        "roll it out (spec.model), or delete it.",
    )


def _deleted(position: Position, wanted: Wanted, done: Sequence[Retraining]) -> Held | None:
    """The last retraining of this episode was deleted before it came to anything: somebody did not want it."""
    newest = next(iter(_of_episode(position, wanted, done)), None)
    if newest is None or newest.result is not None or _result(position, newest.training_job) is not None:
        return None
    if any(each.metadata.name == newest.training_job for each in _own(position)):
        return None
    again = commands.hint(position.revisions, Verb.RETRAIN, NOW)
    said = f"TrainingJob {newest.training_job} was deleted before it ended. Have another one made with {again}."
    return Held(Reason.TRAINING_DELETED, said)


def _of_episode(position: Position, wanted: Wanted, done: Iterable[Retraining]) -> list[Retraining]:
    """Those that were started for the drift that is there now. Figures that came late may move its beginning a
    little, but never by as long as drift must last to be declared again."""
    spec = position.snapshot.rollout.spec.drift
    if wanted.since is None or spec is None:
        return []
    begins = wanted.since - spec.sustain
    return [entry for entry in _of_stable(position, done) if entry.trigger == "Drift" and entry.at >= begins]


def _cooling(position: Position, spec: Retrain, done: Sequence[Retraining], now: datetime) -> Held | None:
    """The last retraining is not long enough ago. For each result in a row that failed, the time doubles."""
    if not done:
        return None
    failed = 0
    for entry in _of_stable(position, done):
        result = _result(position, entry.training_job)
        if result is None or not _failed(position, result):
            break
        failed += 1
    cooldown = spec.cooldown if not failed else min(spec.cooldown * 2**failed, max(spec.cooldown, LONGEST_COOLDOWN))
    until = done[0].at + cooldown
    if now >= until:
        return None
    longer = f", doubled for {failed} in a row that failed" if failed else ""
    said = f"The last retraining started at {to_minute(done[0].at)}; cooldown {format_duration(cooldown)}{longer}."
    return Held(Reason.COOLING_DOWN, said, until)


def _spent(spec: Retrain, done: Sequence[Retraining], now: datetime) -> Held | None:
    """There were as many retrainings in the last seven days as there may be."""
    recent = sorted(entry.at for entry in done if now - entry.at < WEEK)
    if len(recent) < spec.max_per_week:
        return None
    until = recent[-spec.max_per_week] + WEEK
    return Held(Reason.BUDGET_SPENT, f"{len(recent)} retrainings within seven days (maxPerWeek).", until)


def _same_data(position: Position, spec: Retrain) -> Held | None:
    """The template pins the very data that the stable version was trained on."""
    stable = _version(position, position.stable.version) if position.stable is not None else None
    lineage = stable.spec.lineage if stable is not None else None
    if not spec.require_new_data or lineage is None or lineage.dataset is None:
        return None
    wanted = [source.sha256 for source in spec.template.spec.dataset.sources]
    had: set[str | None] = {source.sha256 for source in lineage.dataset.sources} or {lineage.dataset.sha256}
    if not all(digest is not None and digest in had for digest in wanted):
        return None
    return Held(
        Reason.NO_NEW_DATA,
        f"The template's data is what {stable.spec.version if stable else ''} was trained on, by its digests: training "
        "on it again would change nothing. Add newer data, or set requireNewData to false.",
    )


def _of_stable(position: Position, done: Iterable[Retraining]) -> list[Retraining]:
    stable = position.stable
    return [entry for entry in done if stable is not None and entry.stable_version == stable.version]


def _result(position: Position, training: str) -> ModelVersion | None:
    """The version that a retraining made."""
    return next(
        (
            version
            for version in position.snapshot.versions
            if version.spec.lineage is not None and version.spec.lineage.training_job == training
        ),
        None,
    )


def _version(position: Position, name: str) -> ModelVersion | None:
    return next((version for version in position.snapshot.versions if version.spec.version == name), None)


def _failed(position: Position, version: ModelVersion) -> bool:
    """Whether a version was rejected by its evaluation, or taken back by a rollout."""
    rejected = version.spec.evaluation is not None and version.spec.evaluation.result == "Failed"
    return rejected or any(
        revision.quarantine is not None and revision.version == version.spec.version for revision in position.revisions
    )


def _ended(training: TrainingJob) -> Literal["Complete", "Failed"] | None:
    """How it ended; None while it is under way."""
    if conditions.is_true(training.status.conditions, conditions.FAILED):
        return "Failed"
    return "Complete" if conditions.is_true(training.status.conditions, conditions.COMPLETE) else None


def _name(position: Position, done: Sequence[Retraining]) -> str:
    """The next name: one more than the highest number that anything still speaks of."""
    rollout = position.snapshot.rollout.metadata.name
    spoken = [entry.training_job for entry in done]
    spoken += [training.metadata.name for training in position.snapshot.trainings]
    for version in position.snapshot.versions:
        spoken += [version.spec.version, version.metadata.name]
        if version.spec.lineage is not None and version.spec.lineage.training_job is not None:
            spoken.append(version.spec.lineage.training_job)
    taken = [number for name in spoken if (number := number_in(rollout, name)) is not None]
    return f"{rollout}-r{max(taken, default=0) + 1}"


def _manifest(position: Position, spec: Retrain, name: str, wanted: Wanted) -> dict[str, object]:
    """The TrainingJob. `from` defaults to the stable version."""
    rollout, stable = position.snapshot.rollout, position.stable
    template = spec.template
    job = template.spec.to_dict()
    if "from" not in job and job["mode"] != "Scratch" and stable is not None:
        job["from"] = {"version": stable.version}
    own: dict[str, str] = {
        names.RETRAIN_TRIGGER: wanted.trigger,
        names.RETRAIN_CAUSE: wanted.cause,
        names.RETRAIN_STABLE: stable.version if stable is not None else "",
        **({names.RETRAIN_SINCE: wanted.since.isoformat()} if wanted.since is not None else {}),
        **({names.RETRAIN_COMMAND: wanted.command} if wanted.command else {}),
    }
    metadata = template.metadata or RetrainMetadata()
    annotations: dict[str, str] = dict(metadata.annotations)
    labels: dict[str, str] = dict(metadata.labels)
    labels |= {names.MANAGED_BY: names.MANAGED_BY_VALUE, names.ROLLOUT: rollout.metadata.name}
    return {
        "apiVersion": TRAINING_JOB.api_version,
        "kind": TRAINING_JOB.kind,
        "metadata": {
            "name": name,
            "namespace": rollout.metadata.namespace,
            "labels": labels,
            "annotations": annotations | own,
            "ownerReferences": [owner_reference(ROLLOUT, rollout.metadata)],
        },
        "spec": job,
    }
