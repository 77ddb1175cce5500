"""The ModelVersion that a successful run leads to, from what the trainer reported; checked as the API has it. Pure.

It has no owner reference: it must outlive its TrainingJob. That it came from this TrainingJob, and not from another of
the same name, is in annotations with its uid and a digest of its spec.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from modelfleet.api import (
    ClassChanges,
    ClassThreshold,
    Diagnosis,
    Evaluation,
    FirstEpoch,
    LineageDataset,
    LineageHoldout,
    LineageSource,
    ModelVersion,
    ModelVersionSpec,
    PinnedData,
    Report,
    RetrainedFor,
    SourceBalance,
    StartCheckpoint,
    Threshold,
    ThresholdPoint,
    TrackedRun,
    TrainingJob,
    names,
)
from modelfleet.api.foreign import first_error
from modelfleet.decision import Create
from modelfleet.kinds import MODEL_VERSION
from modelfleet.times import wire_time
from modelfleet.training.data import NOTHING, Data
from modelfleet.training.log_events import first_metrics
from modelfleet.training.naming import model_version_name
from modelfleet.training.termination import Succeeded
from modelfleet.training.trainer_run import Run

TRAINING_JOB_UID = f"{names.GROUP}/training-job-uid"
TRAINING_JOB_SPEC = f"{names.GROUP}/training-job-spec"
"""A digest of the TrainingJob's spec, which outlives its uid."""

_TEXT = 256  # characters of a hyperparameter's value
_CLASSES = 100  # of which a ModelVersion has thresholds

Json = dict[str, Any]


class Unrecordable(ValueError):
    """The trainer reported something that no ModelVersion can have; the text says what."""


def is_of(version: ModelVersion, training: TrainingJob) -> bool:
    """Whether the ModelVersion was made by this TrainingJob, or by one of the same name with the same spec: after a
    restore from a backup, or a manifest deleted and applied again, the uid is another, and the run is the same."""
    notes = version.metadata.annotations
    if notes.get(TRAINING_JOB_UID) == training.metadata.uid:
        return True
    lineage = version.spec.lineage
    return (
        lineage is not None
        and lineage.training_job == training.metadata.name
        and notes.get(TRAINING_JOB_SPEC) == _digest(training)
    )


def _digest(training: TrainingJob) -> str:
    """Of what the spec says beyond defaults: one that a later release adds makes no other run of it."""
    said = training.spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


def create_version(
    training: TrainingJob,
    run: Run,
    result: Succeeded,
    detail: Mapping[str, Any],
    evaluation: Evaluation | None,
    data: Data = NOTHING,
    made: datetime | None = None,
) -> Create:
    """Create the ModelVersion; `made` is when the run ended. Raises Unrecordable."""
    of_data = {"dataset": _dataset(detail.get("dataset"), data), "holdout": _holdout(detail.get("holdout"), data)}
    spec = _spec(training, run, result, {**detail, **of_data}, evaluation)
    if made is not None:
        spec["createdAt"] = wire_time(made)
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
                "annotations": {TRAINING_JOB_UID: training.metadata.uid, TRAINING_JOB_SPEC: _digest(training)},
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
            "dataset": detail.get("dataset"),
            "holdout": detail.get("holdout"),
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
    model: type[
        ClassChanges | ClassThreshold | Diagnosis | LineageHoldout | Report | RetrainedFor | Threshold | TrackedRun
    ],
    value: Any,
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


def _dataset(value: Any, data: Data) -> Any:
    """What was trained on, as the trainer measured it; and which version of which Dataset that was."""
    known = _known(value, tuple(field for field in LineageDataset.model_fields if field not in ("dataset", "version")))
    pin = data.version
    if isinstance(pin, PinnedData) and (known is None or isinstance(known, dict)):
        known = {**(known or {}), "dataset": pin.dataset, "version": pin.version}
    if isinstance(known, dict) and isinstance(known.get("sources"), list):
        known["sources"] = [_source(source) for source in known["sources"]]
    return known


def _holdout(value: Any, data: Data) -> Json | None:
    """What the figures were measured on, where the trainer says so; and which version of which Dataset that was."""
    if not isinstance(value, Mapping):
        return None
    known = {name: value.get(name) for name in ("uri", "sha256", "images", "labels")}
    if isinstance(data.holdout, PinnedData):
        known |= {"dataset": data.holdout.dataset, "version": data.holdout.version}
    return _remark(LineageHoldout, known)


def _source(value: Any) -> Any:
    """A source, with its balance where that is as it should be."""
    source = _known(value, tuple(LineageSource.model_fields))
    if isinstance(source, dict) and "balance" in source:
        fields = tuple(field.alias or name for name, field in SourceBalance.model_fields.items())
        try:
            source["balance"] = SourceBalance.model_validate(_known(source["balance"], fields)).to_dict()
        except ValidationError:  # no training is lost over a remark
            source["balance"] = None
    return source


def _known(value: Any, fields: tuple[str, ...]) -> Any:
    """A map's known fields; another trainer release may report more of them."""
    return {name: value[name] for name in fields if name in value} if isinstance(value, Mapping) else value


def _texts(value: Any) -> Any:
    return {str(name): str(text)[:_TEXT] for name, text in value.items()} if isinstance(value, Mapping) else {}
