"""TRAINER_RUN: the one JSON document that tells the trainer what to do. Built once, then read back from the Job. Pure.

Once the Job exists, this document in its pod template is the truth about what its parent, its baseline and its version
are: tags and Rollouts may have moved on since.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from modelfleet.api import Checkpoint, EvaluationSpec, ModelVersion, PinnedData, Tracking, TrainingData, TrainingJob
from modelfleet.api.foreign import parsed
from modelfleet.api.names import TRAINER_CONTAINER
from modelfleet.training.data import NOTHING, Data, Pin
from modelfleet.training.log_events import first_metrics
from modelfleet.training.naming import output_folder
from modelfleet.workloads import run_once
from modelfleet.workloads.containers import named

ENV = "TRAINER_RUN"

Json = dict[str, Any]


@dataclass(frozen=True)
class Weights:
    """The checkpoint that the run starts from, where that is not a version."""

    uri: str
    sha256: str


@dataclass(frozen=True)
class Run:
    """What the Job was told, as far as the operator needs it later."""

    version: str
    parent: str | None
    baseline: str | None
    output_uri: str
    weights: Weights | None = None
    parent_metrics: Mapping[str, str] = field(default_factory=dict)


def document(
    training: TrainingJob,
    version: str,
    parent: ModelVersion | None,
    baseline: ModelVersion | None,
    data: Data = NOTHING,
) -> Json:
    """The run as the trainer's contract has it. Arguments that the user did not give are absent. What references to
    Datasets mean are plain sources for the trainer, pinned by their digests."""
    spec = training.spec
    run: Json = {
        "trainingJob": training.metadata.name,
        "uid": training.metadata.uid,
        "model": spec.model,
        "version": version,
        "mode": spec.mode.value,
        "architecture": spec.architecture,
        "parent": None if parent is None else _described(parent),
        "dataset": _dataset(spec.dataset, data.version),
        "hyperparameters": spec.hyperparameters.to_dict(),
        "output": {"uri": output_folder(training, version), "formats": list(spec.output.formats)},
        "checkpoint": (spec.checkpoint or Checkpoint()).to_dict(),
        "evaluation": None if spec.evaluation is None else _evaluation(spec.evaluation, baseline, data.holdout),
    }
    # Absent and not null where there is none: a trainer image from before it was known reads this too.
    if spec.from_ is not None and spec.from_.checkpoint is not None:
        run["weights"] = spec.from_.checkpoint.to_dict()
    if spec.resources.gpus:
        run["gpus"] = spec.resources.gpus
    return run if spec.tracking is None else {**run, "tracking": _tracking(spec.tracking)}


def _described(version: ModelVersion) -> Json:
    """A version as a parent or baseline: where its files are, and what the trainer must know of it."""
    spec = version.spec.to_dict()
    hyperparameters = (spec.get("lineage") or {}).get("hyperparameters") or {}
    return {
        "version": spec["version"],
        "uri": spec["artifact"]["uri"],
        "files": spec["artifact"]["files"],
        "classes": spec["classes"],
        "imageSize": spec["imageSize"],
        "hyperparameters": {name: text for name, text in hyperparameters.items() if text},
        "metrics": spec.get("metrics") or {},
    }


def _dataset(dataset: TrainingData, version: Pin) -> Json:
    sources = [source.to_dict() for source in dataset.sources]
    told = {key: value for key, value in dataset.to_dict().items() if key not in ("from", "sources")}
    return {"sources": [*([_source(version)] if isinstance(version, PinnedData) else ()), *sources], **told}


def _source(pinned: PinnedData) -> Json:
    return {"uri": pinned.uri, "sha256": pinned.sha256, "format": "Auto"}


def _evaluation(evaluation: EvaluationSpec, baseline: ModelVersion | None, holdout: Pin) -> Json:
    return {
        "dataset": _source(holdout) if isinstance(holdout, PinnedData) else evaluation.dataset.to_dict(),
        "baseline": None if baseline is None else _described(baseline),
    }


def _tracking(tracking: Tracking) -> Json:
    """Without the Secrets' names: their content is in the trainer's environment."""
    trackers = {"mlflow": tracking.mlflow, "wandb": tracking.wandb}
    return {
        name: {key: value for key, value in tracker.to_dict().items() if key != "secretRef"}
        for name, tracker in trackers.items()
        if tracker is not None
    }


def to_env(run: Mapping[str, Any]) -> Json:
    """The environment variable of a container."""
    return run_once.told(ENV, run)


def excess(run: Mapping[str, Any]) -> int:
    """By how many bytes the variable is longer than Linux takes; 0 where it fits."""
    return run_once.excess(ENV, run)


def read(job: Mapping[str, Any]) -> Run | None:
    """What the Job was told, from its raw object; None when it holds no such document."""
    trainer = named(job["spec"]["template"]["spec"].get("containers"), TRAINER_CONTAINER)
    text = next((entry.get("value") for entry in trainer.get("env") or () if entry["name"] == ENV), None)
    try:
        run = parsed((text or "").replace("$$", "$"))
        parent = run["parent"] or {}
        baseline = (run["evaluation"] or {}).get("baseline") or {}
        return Run(
            version=str(run["version"]),
            parent=parent.get("version"),
            baseline=baseline.get("version"),
            output_uri=str(run["output"]["uri"]),
            weights=_weights(run.get("weights")),
            parent_metrics=first_metrics(parent.get("metrics")),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _weights(value: Any) -> Weights | None:
    return None if value is None else Weights(str(value["uri"]), str(value["sha256"]))
