"""Whether a new version is to be trained now, and the TrainingJob for it. Pure.

A retraining has a trigger: the model drifts, the schedule says so, or somebody asks (`modelfleet.dev/retrain: now@1`).
Guards hold it back, each with a reason of its own in `status.drift.retrain`.

What was started is known from three places: the TrainingJobs themselves (their annotations), the ControllerRevision of
the version that was stable (`modelfleet.dev/retrainings`), and `status.drift.retrainings`. Any two may be lost: killed
right after the TrainingJob was created, the operator finds it at the next look, and makes no second one; and one that
somebody deleted is known on the ControllerRevision, though the status was wiped as well. Names count up, over all
retrainings that anything still speaks of, ModelVersions included: a name is never used twice, and a create that meets a
TrainingJob of that name leaves it alone. Only what was seen to exist is taken down: the API server may refuse to create
it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Literal, get_args

from modelfleet import cron
from modelfleet.api import TrainingJob, TrainingMode, conditions, names
from modelfleet.api.commands import NOW, Command, Verb
from modelfleet.api.driftspec import Retrain, RetrainMetadata
from modelfleet.api.modelversion import ModelVersion, RetrainTrigger
from modelfleet.api.quantities import format_duration
from modelfleet.api.reasons import Reason
from modelfleet.api.rolloutstatus import Retraining, RetrainStatus
from modelfleet.decision import Create
from modelfleet.kinds import ROLLOUT, TRAINING_JOB
from modelfleet.rollout import commands, newdata
from modelfleet.rollout import revisions as revs
from modelfleet.rollout.position import Position
from modelfleet.rollout.revisions import Revision
from modelfleet.times import to_minute, wire_time
from modelfleet.workloads.owners import owner_reference

WEEK = timedelta(days=7)
MADE_UP = timedelta(hours=6)
"""A slot of the schedule that was missed (the operator was down, a guard held it) is made up for so long."""

LONGEST_COOLDOWN = WEEK

_KEPT = 10
_TRY_AGAIN = timedelta(hours=1)  # after the API server refused the TrainingJob
_SKEW = timedelta(minutes=1)  # by which the API server's clock, which dates what was created, may be behind ours


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
    slot, missed = _next_slot(spec, now), _missed(position, spec, done, now)
    scheduled = Wanted("Schedule", f"schedule {spec.schedule!r}, {to_minute(missed)}") if missed is not None else None
    due = [wanted for wanted in (_command(position), drifting, scheduled) if wanted is not None]
    if not due:
        return Outcome(
            status=RetrainStatus(reason=Reason.NOT_DUE, next=slot, message=_not_due(spec, slot)),
            retrainings=done,
            wake=slot,
        )
    held = [_held(position, spec, wanted, done, moving, now) for wanted in due]
    wanted = next((wanted for wanted, why in zip(due, held, strict=True) if why is None), None)
    if wanted is None:
        first = next(why for why in held if why is not None)
        status = RetrainStatus(reason=first.reason, until=first.until, next=missed or slot, message=first.message)
        moments = [*(why.until for why in held if why is not None), slot, missed and missed + MADE_UP]
        return Outcome(
            status=status, retrainings=done, wake=min((each for each in moments if each is not None), default=None)
        )
    name = _name(position, done)
    status = RetrainStatus(
        reason=Reason.TRAINING_RUNNING, next=missed or slot, message=f"TrainingJob {name} is being created."
    )
    return Outcome(
        create=Create(_manifest(position, spec, name, wanted), optional=True),
        status=status,
        retrainings=done,
        wake=slot,
    )


def _not_due(spec: Retrain, slot: datetime | None) -> str:
    if spec.schedule is not None and slot is None:
        return (
            "A new version is trained when the model drifts. The schedule names no date that ever comes: correct "
            "spec.drift.retrain.schedule."
        )
    return "A new version is trained when the model drifts" + (f", and at {to_minute(slot)}" if slot else "") + "."


def known(position: Position) -> tuple[Retraining, ...]:
    """The retrainings that TrainingJobs, ControllerRevisions or the status speak of, the newest 10, newest first."""
    status = position.snapshot.rollout.status.drift
    found = {entry.training_job: entry for entry in (status.retrainings if status is not None else ())}
    for training in _own(position):
        entry = found.get(training.metadata.name) or _read(training)
        found[training.metadata.name] = entry.replace(
            result=_ended(training) or entry.result, data=newdata.told(training) or entry.data
        )
    for revision in position.revisions:
        for name, note in revision.retrained.items():
            if name not in found and (known_by_note := _of_note(name, note, revision)) is not None:
                found[name] = known_by_note
    return tuple(sorted(found.values(), key=lambda entry: (entry.at, entry.training_job), reverse=True)[:_KEPT])


def for_drift(position: Position) -> tuple[datetime, ...]:
    """When trainings were started because the stable version drifted."""
    return tuple(entry.at for entry in _of_stable(position, known(position)) if entry.trigger == "Drift")


def noted(position: Position) -> tuple[Revision, ...]:
    """The revisions with what must outlive a wiped status taken down on the stable one: the trainings that were started
    since it is, and the `retrain` command once its TrainingJob exists."""
    stable = position.stable
    if stable is None:
        return position.revisions
    changed = _command_noted(position, replace(stable, retrained=_notes(position, stable)))
    return position.revisions if changed == stable else revs.with_changed(position.revisions, changed)


def _command_noted(position: Position, stable: Revision) -> Revision:
    command = Command.read(position.snapshot.rollout.metadata.annotations, Verb.RETRAIN)
    if command is None or commands.used(position.revisions, command):
        return stable
    made = _made_for(position, command)
    spec = position.snapshot.rollout.spec.drift
    if made is None and command.version == NOW and spec is not None and spec.retrain is not None:
        return stable  # it is still to be done
    return commands.noted(stable, command, commands.NOWHERE if made is None else made.metadata.name)


def _notes(position: Position, stable: Revision) -> dict[str, str]:
    """The newest trainings that were started while this revision's version was stable, oldest first."""
    started = {
        training.metadata.name: f"{_trigger(training)} {wire_time(at)}"
        for training in _own(position)
        if training.metadata.annotations.get(names.RETRAIN_STABLE) == stable.version
        and (at := training.metadata.creation_timestamp) is not None
    }
    every = {**stable.retrained, **started}
    return dict(sorted(every.items(), key=lambda note: (note[1].rpartition(" ")[2], note[0]))[-_KEPT:])


def _of_note(name: str, note: str, revision: Revision) -> Retraining | None:
    """A retraining of which only the ControllerRevision speaks; None where somebody else wrote there."""
    trigger, _, at = note.partition(" ")
    try:
        return Retraining.model_validate(
            {"trainingJob": name, "trigger": trigger, "stableVersion": revision.version, "at": at}
        )
    except ValueError:
        return None


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
    """A retraining as its TrainingJob tells of it. Whoever may write TrainingJobs may write anything there."""
    annotations = training.metadata.annotations
    said = {
        "trainingJob": training.metadata.name,
        "trigger": _trigger(training),
        "stableVersion": annotations.get(names.RETRAIN_STABLE, ""),
        "cause": annotations.get(names.RETRAIN_CAUSE, ""),
        "at": training.metadata.creation_timestamp,
        "data": newdata.told(training),
    }
    try:
        return Retraining.model_validate({**said, "since": annotations.get(names.RETRAIN_SINCE)})
    except ValueError:  # that is no time
        return Retraining.model_validate(said)


def _trigger(training: TrainingJob) -> RetrainTrigger:
    """What it was made for. One that somebody has made unreadable counts as started on somebody's word: it holds the
    next one back as any other, and is of no episode."""
    said = training.metadata.annotations[names.RETRAIN_TRIGGER]
    return next((trigger for trigger in get_args(RetrainTrigger) if trigger == said), "Command")


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


def _missed(position: Position, spec: Retrain, done: Sequence[Retraining], now: datetime) -> datetime | None:
    """The slot of the schedule that the status announced, and that has come; None once something was started since, or
    where it is too long ago."""
    status = position.snapshot.rollout.status.drift
    slot = status.retrain.next if status is not None and status.retrain is not None else None
    if _is_wiped(position):
        slot = _last_slot(position, spec, now)
    if spec.schedule is None or slot is None or not slot <= now < slot + MADE_UP:
        return None
    if _slot_after(spec.schedule, slot - timedelta(seconds=1)) != slot:  # of another schedule than this
        return None
    return None if any(entry.at >= slot - _SKEW for entry in done) else slot


def _is_wiped(position: Position) -> bool:
    """Whether there was a status once: something is stable, and nothing is said of it."""
    status = position.snapshot.rollout.status
    return position.stable is not None and status.phase is None and status.drift is None


def _last_slot(position: Position, spec: Retrain, now: datetime) -> datetime | None:
    """The last slot that has come, for a status that does not say what it had announced. What was started for it stands
    in TrainingJobs and ControllerRevisions. None where it is older than the Rollout, which may itself be younger than
    its ControllerRevisions: it was restored."""
    stable, created = position.stable, position.snapshot.rollout.metadata.creation_timestamp
    if spec.schedule is None or stable is None:
        return None
    try:
        slot = cron.following(spec.schedule, now + timedelta(seconds=1), reverse=True)
    except cron.BadCron:
        return None
    known = [moment for moment in (created, stable.promoted_at) if moment is not None]
    return slot if any(moment <= slot for moment in known) else None


def _next_slot(spec: Retrain, now: datetime) -> datetime | None:
    return _slot_after(spec.schedule, now) if spec.schedule is not None else None


def _slot_after(schedule: str, moment: datetime) -> datetime | None:
    try:
        return cron.following(schedule, moment)
    except cron.BadCron:
        return None


def _held(
    position: Position, spec: Retrain, wanted: Wanted, done: Sequence[Retraining], moving: str, now: datetime
) -> Held | None:
    """The first guard that holds the retraining back. What people ask for waits for a training under way, and for what
    it would start from and train on."""
    running = next((each for each in _own(position) if _ended(each) is None), None)
    if running is not None:
        return Held(Reason.TRAINING_RUNNING, f"TrainingJob {running.metadata.name} is under way.")
    if position.snapshot.refused is not None:
        again = position.snapshot.refused.at + _TRY_AGAIN
        if now < again:
            said = f"The API server refused the TrainingJob: {position.snapshot.refused.message}"
            return Held(Reason.TEMPLATE_REJECTED, f"{said}. Correct spec.drift.retrain.template.", again)
    undecided = newdata.undecided(position, spec)
    if undecided:
        return Held(Reason.DATASET_NOT_FOUND, undecided)
    foreign = _stable_of_another_model(position, spec)
    if foreign:
        return Held(Reason.NOT_DUE, foreign)
    if wanted.trigger == "Command":
        return None
    if spec.suspend:
        return Held(Reason.SUSPENDED, "spec.drift.retrain.suspend is true: set it to false to have a version trained.")
    if position.snapshot.rollout.spec.paused:
        return Held(Reason.PAUSED, "spec.paused is true: what is trained could not be rolled out.")
    if moving:
        return Held(Reason.ROLLOUT_ACTIVE, moving)
    if position.stable is None and _starts_from_stable(spec):
        return Held(
            Reason.NOT_DUE,
            "No version is stable yet, and drift.retrain.template starts from the stable one: roll out a first "
            "version, or have the template name what it starts from.",
        )
    return (
        _pending(position, done)
        or _deleted(position, wanted, done)
        or _cooling(position, spec, done, now)
        or _spent(spec, done, now)
        or _same_data(position, spec)
    )


def _pending(position: Position, done: Sequence[Retraining]) -> Held | None:
    """The last retraining gave a version that nothing has judged yet: the spec pins another one. One that was promoted
    and that people went back from was judged."""
    training, result = next(_results(position, done), ("", None))
    if result is None or _failed(position, result):
        return None
    version = result.spec.version
    if any(each.is_of(result.spec.model, version) and each.promoted_at is not None for each in position.revisions):
        return None
    found = result.status.conditions
    if not conditions.is_true(found, conditions.READY) and not conditions.is_true(found, conditions.STALLED):
        said = f"TrainingJob {training} created version {version}, which is being verified."
        return Held(Reason.TRAINING_RUNNING, said)
    return Held(
        Reason.RESULT_PENDING,
        f"TrainingJob {training} created version {version}, which has not been tried yet: "
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
    said = f"TrainingJob {newest.training_job} was deleted before it ended. Ask for another one with {again}."
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
    failed = len([*takewhile(lambda result: _failed(position, result), (each for _, each in _results(position, done)))])
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
    """There is nothing that the stable version was not trained on already, or too little."""
    why = newdata.used_already(position, spec) if spec.require_new_data else ""
    return Held(Reason.NO_NEW_DATA, why) if why else None


def _of_stable(position: Position, done: Iterable[Retraining]) -> list[Retraining]:
    stable = position.stable
    return [entry for entry in done if stable is not None and entry.stable_version == stable.version]


def _results(position: Position, done: Iterable[Retraining]) -> Iterator[tuple[str, ModelVersion]]:
    """What the retrainings of the stable version made, each with its TrainingJob, newest first. One that came to
    nothing (a crash, no room, a version that is gone) says nothing about versions, and is passed over."""
    for entry in _of_stable(position, done):
        if (result := _result(position, entry.training_job)) is not None:
            yield entry.training_job, result


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


def _failed(position: Position, version: ModelVersion) -> bool:
    """Whether a version was rejected by its evaluation, or taken back by a rollout."""
    rejected = version.spec.evaluation is not None and version.spec.evaluation.result == "Failed"
    return rejected or any(
        revision.quarantine is not None and revision.is_of(version.spec.model, version.spec.version)
        for revision in position.revisions
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


def _starts_from_stable(spec: Retrain) -> bool:
    """Whether the template leaves open what to start from."""
    return spec.template.spec.from_ is None and spec.template.spec.mode is not TrainingMode.SCRATCH


def _stable_of_another_model(position: Position, spec: Retrain) -> str:
    """Why there is nothing to start from although something is stable: it is of another model than what the spec names
    and the template trains. Its version's name would mean one of that model, which nothing has found good."""
    model, stable = position.snapshot.rollout.spec.model.name, position.stable
    if stable is None or stable.model == model or not _starts_from_stable(spec):
        return ""
    return (
        f"{stable.version} of {stable.model} is stable, and no version of {model}, from which "
        "drift.retrain.template starts: roll one out, or have the template name what it starts from."
    )


def _manifest(position: Position, spec: Retrain, name: str, wanted: Wanted) -> dict[str, object]:
    """The TrainingJob. `from` defaults to the stable version, and `dataset.from` to the only Dataset of the model."""
    rollout, stable = position.snapshot.rollout, position.stable
    template = spec.template
    job = template.spec.to_dict()
    if _starts_from_stable(spec) and stable is not None:
        job["from"] = {"version": stable.version}
    if (reference := newdata.of_template(position, spec)) is not None:
        job["dataset"] |= {"from": reference.to_dict()}
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
