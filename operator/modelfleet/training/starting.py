"""The steps before there is a Job: what must be there for a run to begin. Pure.

Each step takes a snapshot and the time, and returns an outcome, or None to let the next one speak.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from modelfleet.api import ModelVersion, TrainingMode, TrainingPhase, conditions, names
from modelfleet.api.reasons import Reason
from modelfleet.training import hyperparameters, manifests, trainer_run
from modelfleet.training.modelversion import is_of
from modelfleet.training.naming import BadVersion, model_version_name
from modelfleet.training.outcome import RUNS_ONCE, Outcome, State, failed, stalled
from modelfleet.training.snapshot import Reference, Snapshot
from modelfleet.versions.resolve import FORMAT_NOT_FOUND, Missing
from modelfleet.wording import clauses

STARTING = Reason.STARTING

READING, REREADING = Reason.READING_RESULT, Reason.REREADING_RESULT
"""A run that succeeded, whose report can't be read yet, or is lost. A Job that is made then only reports again."""

_PARENT = {
    Reason.NOT_FOUND: Reason.PARENT_NOT_FOUND,
    Reason.NOT_READY: Reason.PARENT_NOT_READY,
    Reason.BEING_DELETED: Reason.PARENT_BEING_DELETED,
    Reason.REJECTED: Reason.PARENT_REJECTED,
    FORMAT_NOT_FOUND: Reason.PARENT_WITHOUT_WEIGHTS,
}
_BASELINE = {
    Reason.NOT_FOUND: Reason.BASELINE_NOT_FOUND,
    Reason.NOT_READY: Reason.BASELINE_NOT_READY,
    Reason.BEING_DELETED: Reason.BASELINE_BEING_DELETED,
    Reason.REJECTED: Reason.BASELINE_REJECTED,
    FORMAT_NOT_FOUND: Reason.BASELINE_WITHOUT_WEIGHTS,
}

_LOOK_AGAIN = timedelta(seconds=60)  # at what is not watched: a Job that isn't ours


def adopted(seen: Snapshot, now: datetime) -> Outcome | None:
    """The Job of this run is there and has no owner: the namespace was restored from a backup."""
    job = seen.job
    if job is None or job.owner or job.deleting or job.run is None or job.training != seen.training.metadata.name:
        return None
    message = f"Job {job.name} is of this TrainingJob and has no owner: adopting it."
    actions = (manifests.adopt(seen.training, job),)
    return Outcome(State.WORKING, TrainingPhase.PENDING, STARTING, message, actions=actions, event="")


def name_conflict(seen: Snapshot, now: datetime) -> Outcome | None:
    """A Job of this name exists that this TrainingJob did not make."""
    job = seen.job
    if job is None or seen.own_job is not None:
        return None
    if job.deleting:
        return stalled(
            Reason.NAME_CONFLICT,
            f"Job {job.name} of somebody else, or of an earlier TrainingJob of this name, is being deleted. The run "
            "starts automatically when it is gone.",
            requeue_after=_LOOK_AGAIN,
        )
    return stalled(
        Reason.NAME_CONFLICT,
        f"Job {job.name} exists and was not created by this TrainingJob. Delete that Job, and the run starts "
        "automatically; or create a new TrainingJob under another name.",
        requeue_after=_LOOK_AGAIN,
    )


def no_version(seen: Snapshot, now: datetime) -> Outcome | None:
    """No version name follows from the spec and the job's name."""
    if seen.job is not None:
        return None
    try:
        seen.target()
    except BadVersion as problem:
        return stalled(Reason.INVALID_VERSION, str(problem))
    return None


def version_exists(seen: Snapshot, now: datetime) -> Outcome | None:
    """The ModelVersion is there already, and this TrainingJob did not make it."""
    if seen.job is not None or seen.version is None or is_of(seen.version, seen.training):
        return None
    return stalled(
        Reason.VERSION_EXISTS,
        f"ModelVersion {seen.version.metadata.name} exists already, and a version is never overwritten. Create a "
        "new TrainingJob with another spec.version; or delete that ModelVersion and its files, and the run starts "
        "automatically.",
    )


def bad_hyperparameters(seen: Snapshot, now: datetime) -> Outcome | None:
    """The trainer would refuse the hyperparameters: say so without a pod. The spec can't change, so this is final."""
    if seen.job is not None or _rereads(seen):
        return None
    training = seen.training.spec
    inherits = training.mode is TrainingMode.CONTINUE
    lineage = seen.parent.spec.lineage if inherits and isinstance(seen.parent, ModelVersion) else None
    found = hyperparameters.problems(
        training.hyperparameters.to_dict(),
        {} if lineage is None else lineage.hyperparameters,
        training.resources.gpus,
        own_image=_names_image(training.template),
    )
    if not found:
        return None
    checked = f"The table of arguments is of ultralytics {hyperparameters.TABLE.ultralytics}."
    return failed(Reason.UNKNOWN_ARGUMENT, f"{clauses(found)}. {checked}{RUNS_ONCE}", now)


def suspended(seen: Snapshot, now: datetime) -> Outcome | None:
    """The user does not want it to start yet."""
    if seen.job is not None or not seen.training.spec.suspend:
        return None
    return Outcome(
        State.HELD,
        TrainingPhase.SUSPENDED,
        Reason.SUSPENDED,
        "spec.suspend is true: no Job has been created yet. Set it to false to start the run.",
    )


def parent_missing(seen: Snapshot, now: datetime) -> Outcome | None:
    """What spec.from refers to can't be used, or not yet."""
    if seen.job is not None:
        return None
    return _missing(_PARENT, "spec.from", seen.parent)


def parent_without_weights(seen: Snapshot, now: datetime) -> Outcome | None:
    """The parent has no PyTorch weights: one can't train on from an exported model."""
    if seen.job is not None or not isinstance(seen.parent, ModelVersion):
        return None
    if seen.parent.spec.artifact.file("pytorch") is not None:
        return None
    has = ", ".join(sorted({file.format for file in seen.parent.spec.artifact.files}))
    return stalled(
        Reason.PARENT_WITHOUT_WEIGHTS,
        f"ModelVersion {seen.parent.metadata.name} has no file of format pytorch (it has {has}), and training "
        "continues from those weights. Create a new TrainingJob with another parent.",
    )


def baseline_missing(seen: Snapshot, now: datetime) -> Outcome | None:
    """What spec.evaluation.baseline refers to can't be used, or not yet."""
    if seen.job is not None:
        return None
    return _missing(_BASELINE, "spec.evaluation.baseline", seen.baseline)


def data_not_there(seen: Snapshot, now: datetime) -> Outcome | None:
    """What spec.dataset.from or spec.evaluation.dataset.from refers to is not there, or not yet."""
    if seen.job is not None:
        return None
    for field, pin in (("spec.dataset.from", seen.data.version), ("spec.evaluation.dataset.from", seen.data.holdout)):
        if isinstance(pin, Missing):
            text = f"{field}: {pin.message.rstrip('.')}. The run starts automatically when it is there."
            return stalled(pin.reason, text)
    return None


def run_too_long(seen: Snapshot, now: datetime) -> Outcome | None:
    """The trainer's instructions do not fit into an environment variable; its container could never start."""
    if seen.job is not None:
        return None
    parent, baseline = _versions(seen)
    excess = trainer_run.excess(trainer_run.document(seen.training, seen.target(), parent, baseline, seen.data.pinned))
    if not excess:
        return None
    of = " and ".join(version.metadata.name for version in (parent, baseline) if version is not None)
    return failed(
        Reason.RUN_TOO_LONG,
        f"The trainer's instructions are {excess} bytes longer than an environment variable can be (128 KiB)"
        f"{f', for the class names of {of} alone may take most of it' if of else ''}. Shorten names of classes, "
        f"or leave the baseline out.{RUNS_ONCE}",
        now,
    )


def create_job(seen: Snapshot, now: datetime) -> Outcome | None:
    """All is there: make the Job."""
    if seen.job is not None:
        return None
    parent, baseline = _versions(seen)
    version = seen.target()
    create = manifests.create_job(
        seen.training, seen.image, version, parent, baseline, seen.data.pinned, rereads=_rereads(seen)
    )
    passed_over = f" The tag does not mean the newest Ready version: {seen.passed_over}." if seen.passed_over else ""
    return Outcome(
        State.WORKING,
        TrainingPhase.PENDING,
        STARTING,
        f"Creating Job {seen.training.metadata.name} for ModelVersion "
        f"{model_version_name(seen.training.spec.model, version)}.{passed_over}",
        actions=(create,),
        requeue_after=timedelta(seconds=2),
        event=passed_over.strip(),
    )


def _names_image(template: Mapping[str, Any]) -> bool:
    """Whether the pod template brings a trainer of its own, and with it, perhaps, another ultralytics."""
    containers = (template.get("spec") or {}).get("containers") or ()
    return any(entry.get("name") == names.TRAINER_CONTAINER and entry.get("image") for entry in containers)


def _rereads(seen: Snapshot) -> bool:
    ready = conditions.find(seen.training.status.conditions, conditions.READY)
    return ready is not None and ready.reason in (READING, REREADING)


def _missing(reasons: Mapping[Reason, Reason], field: str, reference: Reference) -> Outcome | None:
    if not isinstance(reference, Missing):
        return None
    return stalled(
        reasons[reference.reason], f"{field}: {reference.message}. The run starts automatically when it can be used."
    )


def _versions(seen: Snapshot) -> tuple[ModelVersion | None, ModelVersion | None]:
    """Parent and baseline."""
    return (
        seen.parent if isinstance(seen.parent, ModelVersion) else None,
        seen.baseline if isinstance(seen.baseline, ModelVersion) else None,
    )
