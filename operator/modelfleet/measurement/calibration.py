"""What a version's detections are worth: expected precision by confidence bucket, from its calibration. Pure."""

from collections.abc import Sequence

from modelfleet.api.modelversion import ModelVersion
from modelfleet.measurement.endpoints import EDGES


def weights(versions: Sequence[ModelVersion], name: str) -> tuple[float, ...] | None:
    """Expected precision of each bucket, measured on the holdout, of the ModelVersion of this name; None where it was
    not measured, and empty where it was in other buckets than those of the metrics."""
    found = next((version for version in versions if version.metadata.name == name), None)
    if found is None or found.spec.calibration is None:
        return None
    if tuple(float(edge) for edge in found.spec.calibration.edges) != EDGES:
        return ()
    return tuple(float(value) for value in found.spec.calibration.precision)
