"""The fields that this release does not act on: the one list, to be shortened as they come alive.

A user who sets one is told so by the condition `UnsupportedFields`; nothing is ignored in silence.
"""

from collections.abc import Iterator

from modelfleet.api.modelversion import ModelVersion
from modelfleet.api.trainingjob import TrainingJob


def unsupported_fields(obj: ModelVersion | TrainingJob) -> tuple[str, ...]:
    """The paths of the fields set on `obj` that this release does not act on."""
    match obj:
        case ModelVersion():
            return tuple(_of_model_version(obj))
        case TrainingJob():
            return tuple(_of_training_job(obj))


def _of_model_version(obj: ModelVersion) -> Iterator[str]:
    if obj.spec.artifact.uri.startswith("oci://"):
        yield "spec.artifact.uri (oci://)"


def _of_training_job(obj: TrainingJob) -> Iterator[str]:
    for format in obj.spec.output.formats:
        if format != "onnx":
            yield f"spec.output.formats ({format})"
