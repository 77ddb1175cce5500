"""The fields that this release does not act on: the one list, to be shortened as they come alive.

A user who sets one is told so by the condition `UnsupportedFields`; nothing is ignored in silence.
"""

from collections.abc import Iterator

from modelfleet.api.trainingjob import TrainingJob


def unsupported_fields(training: TrainingJob) -> tuple[str, ...]:
    """The paths of the fields set on `training` that this release does not act on."""
    return tuple(_formats(training))


def _formats(training: TrainingJob) -> Iterator[str]:
    for format in training.spec.output.formats:
        if format != "onnx":
            yield f"spec.output.formats ({format})"
