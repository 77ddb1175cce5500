"""The ModelVersion that a successful run leads to, from what the trainer reported; checked as the API has it. Pure.

It has no owner reference: it must outlive its TrainingJob. That it came from this TrainingJob, and not from another of
the same name, is in an annotation with the uid.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from modelfleet.api import (
    ClassChanges,
    ClassThreshold,
    Diagnosis,
    Evaluation,
    FirstEpoch,
    LineageDataset,
    LineageSource,
    ModelVersion,
    ModelVersionSpec,
    Report,
    RetrainedFor,
    StartCheckpoint,
    Threshold,
    ThresholdPoint,
    TrackedRun,
    TrainingJob,
    names,
)
from modelfleet.decision import Create
from modelfleet.kinds import MODEL_VERSION
from modelfleet.training.log_events import first_metrics
from modelfleet.training.naming import model_version_name
from modelfleet.training.termination import Succeeded, first_error
from modelfleet.training.trainer_run import Run

TRAINING_JOB_UID = f"{names.GROUP}/training-job-uid"

_TEXT = 256  # characters of a hyperparameter's value
_CLASSES = 100  # of which a ModelVersion has thresholds

Json = dict[str, Any]


class Unrecordable(ValueError):
    """The trainer reported something that no ModelVersion can have; the text says what."""


def is_of(version: ModelVersion, training: TrainingJob) -> bool:
    """Whether the ModelVersion was made by this very TrainingJob."""
    return version.metadata.annotations.get(TRAINING_JOB_UID) == training.metadata.uid


def create_version(
    training: TrainingJob,
    run: Run,
    result: Succeeded,
    detail: Mapping[str, Any],
    evaluation: Evaluation | None,
) -> Create:
    """Create the ModelVersion. Raises Unrecordable."""
    spec = _spec(training, run, result, detail, evaluation)
    try:
        checked = ModelVersionSpec.model_validate(spec)
    except ValidationError as error:
        raise Unrecordable(first_error(error)) from error
    return Create(
        {
            "apiVersion": MODEL_VERSION.api_version,
            "kind": MODEL_VERSION.kind,
            "metadata": {
                "name": model_version_name(training.spec.model, run.version),
                "namespace": training.metadata.namespace,
                "labels": {names.MODEL: training.spec.model, names.TRAINING_JOB: training.metadata.name},
                "annotations": {TRAINING_JOB_UID: training.metadata.uid},
            },
            "spec": checked.to_dict(),
        }
    )


def _spec(
    training: TrainingJob, run: Run, result: Succeeded, detail: Mapping[str, Any], evaluation: Evaluation | None
) -> Json:
    spec: Json = {
        "model": training.spec.model,
        "version": run.version,
        "tags": list(training.spec.output.tags),
        "artifact": {"uri": run.output_uri, "files": [file.to_dict() for file in result.files]},
        "classes": detail.get("classes"),
        "imageSize": detail.get("imageSize"),
        "metrics": dict(result.metrics),
        "calibration": detail.get("calibration"),
        "lineage": {
            "trainingJob": training.metadata.name,
            "retrainedFor": _retrained_for(training),
            "parent": run.parent,
            "checkpoint": start_checkpoint(run, detail.get("checkpoint")),
            "mode": training.spec.mode.value,
            "dataset": _dataset(detail.get("dataset")),
            "hyperparameters": _texts(detail.get("hyperparameters")),
            "software": _texts(detail.get("software")),
            "loadedShare": detail.get("loadedShare"),
            "classChanges": _remark(ClassChanges, detail.get("classChanges")),
            "firstEpoch": _first_epoch(run, detail.get("firstEpoch")),
            "diagnosis": _remark(Diagnosis, detail.get("diagnosis")),
            "tracking": _remark(TrackedRun, detail.get("tracking")),
        },
        "evaluation": None if evaluation is None else evaluation.to_dict(),
        "threshold": _threshold(detail.get("threshold")),
        "report": _remark(Report, detail.get("report")),
    }
    return {name: value for name, value in spec.items() if value is not None}


def _retrained_for(training: TrainingJob) -> Json | None:
    """What called for the training, as the Rollout that made it has written on it."""
    notes = training.metadata.annotations
    said = {
        "rollout": training.metadata.labels.get(names.ROLLOUT),
        "trigger": notes.get(names.RETRAIN_TRIGGER),
        "cause": notes.get(names.RETRAIN_CAUSE, ""),
        "since": notes.get(names.RETRAIN_SINCE),
    }
    return _remark(RetrainedFor, said) if said["trigger"] else None


def _remark(
    model: type[ClassChanges | Diagnosis | TrackedRun | Report | RetrainedFor | ClassThreshold | Threshold], value: Any
) -> Json | None:
    """What is said beside the model, where it is as it should be; else nothing: no training is lost over a remark."""
    try:
        return model.model_validate(_known(value, tuple(model.model_fields))).to_dict()
    except ValidationError:
        return None


def _threshold(value: Any) -> Json | None:
    points = _known(value, ("best", "present"))
    if not isinstance(points, dict):
        return None
    fields = tuple(ThresholdPoint.model_fields)
    overall = {name: _known(point, fields) for name, point in points.items()}
    classes = value.get("perClass")
    found = [
        _remark(ClassThreshold, {**each, **{name: _known(each.get(name), fields) for name in ("best", "present")}})
        for each in (classes if isinstance(classes, list) else ())[:_CLASSES]
        if isinstance(each, Mapping)
    ]
    return _remark(Threshold, {**overall, "per_class": [each for each in found if each is not None]})


def start_checkpoint(run: Run, value: Any) -> Json | None:
    """The checkpoint that the run was told to start from, with what the trainer read in it, where that is as it should
    be. Address and digest are what the Job was told: the trainer starts from nothing else."""
    if run.weights is None:
        return None
    pinned: Json = {"uri": run.weights.uri, "sha256": run.weights.sha256}
    found = _known(value, ("architecture", "classes", "classNames"))
    try:
        return StartCheckpoint.model_validate({**(found if isinstance(found, Mapping) else {}), **pinned}).to_dict()
    except ValidationError:  # no training is lost over a remark
        return pinned


def _first_epoch(run: Run, value: Any) -> Json | None:
    metrics = first_metrics(value)
    if run.parent is None or not metrics:
        return None
    return FirstEpoch(metrics=metrics, parent_metrics=run.parent_metrics).to_dict()


def _dataset(value: Any) -> Any:
    known = _known(value, tuple(LineageDataset.model_fields))
    if isinstance(known, dict) and isinstance(known.get("sources"), list):
        known["sources"] = [_known(source, tuple(LineageSource.model_fields)) for source in known["sources"]]
    return known


def _known(value: Any, fields: tuple[str, ...]) -> Any:
    """A map's known fields; another trainer release may report more of them."""
    return {name: value[name] for name in fields if name in value} if isinstance(value, Mapping) else value


def _texts(value: Any) -> Any:
    return {str(name): str(text)[:_TEXT] for name, text in value.items()} if isinstance(value, Mapping) else {}
