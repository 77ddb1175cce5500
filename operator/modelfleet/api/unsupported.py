"""The fields that this release does not act on: the one list, to be shortened as they come alive.

A user who sets one is told so by the condition `UnsupportedFields`; nothing is ignored in silence.
"""

from collections.abc import Iterator

from modelfleet.api.gatespec import Comparison, ComparisonMethod, ComparisonOverride
from modelfleet.api.modelversion import ModelVersion
from modelfleet.api.rollout import Rollout
from modelfleet.api.trainingjob import TrainingJob

_DEFAULT_ALPHA = Comparison().alpha


def unsupported_fields(obj: ModelVersion | TrainingJob | Rollout) -> tuple[str, ...]:
    """The paths of the fields set on `obj` that this release does not act on."""
    match obj:
        case ModelVersion():
            return tuple(_of_model_version(obj))
        case TrainingJob():
            return tuple(_of_training_job(obj))
        case Rollout():
            return tuple(_of_rollout(obj))


def _of_model_version(obj: ModelVersion) -> Iterator[str]:
    if obj.spec.artifact.uri.startswith("oci://"):
        yield "spec.artifact.uri (oci://)"


def _of_training_job(obj: TrainingJob) -> Iterator[str]:
    if obj.spec.checkpoint is not None:
        yield "spec.checkpoint"
    if obj.spec.tracking is not None:
        for tracker in ("mlflow", "wandb"):
            if getattr(obj.spec.tracking, tracker) is not None:
                yield f"spec.tracking.{tracker}"
    for format in obj.spec.output.formats:
        if format != "onnx":
            yield f"spec.output.formats ({format})"


def _of_rollout(obj: Rollout) -> Iterator[str]:
    yield from _of_comparison("spec.gate.comparison", obj.spec.gate.comparison)
    for group in obj.spec.groups:
        if group.gate is not None:
            yield from _of_comparison(f"spec.groups[{group.name}].gate.comparison", group.gate.comparison)
    if obj.spec.drift is not None:
        yield "spec.drift.signals"
        if obj.spec.drift.retrain is not None:
            yield "spec.drift.retrain"


def _of_comparison(path: str, comparison: Comparison | ComparisonOverride | None) -> Iterator[str]:
    if comparison is None:
        return
    if comparison.method == ComparisonMethod.PERMUTATION:
        yield f"{path}.method (Permutation)"
    if comparison.alpha is not None and comparison.alpha != _DEFAULT_ALPHA:
        yield f"{path}.alpha"
