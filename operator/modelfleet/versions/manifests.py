"""The one write that goes to a ModelVersion beside its status: the finalizer that keeps it while it is used. Pure."""

from modelfleet.api import ModelVersion
from modelfleet.api.names import IN_USE
from modelfleet.decision import Patch
from modelfleet.kinds import MODEL_VERSION


def hold(version: ModelVersion) -> Patch:
    """Add the in-use finalizer."""
    return _finalizers(version, (*version.metadata.finalizers, IN_USE))


def release(version: ModelVersion) -> Patch:
    """Take the in-use finalizer away; those of others stay."""
    return _finalizers(version, tuple(entry for entry in version.metadata.finalizers if entry != IN_USE))


def _finalizers(version: ModelVersion, finalizers: tuple[str, ...]) -> Patch:
    """Computed from what was read, hence under its resourceVersion: somebody else's finalizer is never lost."""
    metadata = {"resourceVersion": version.metadata.resource_version, "finalizers": list(finalizers)}
    return Patch(MODEL_VERSION, version.metadata.namespace, version.metadata.name, {"metadata": metadata})
