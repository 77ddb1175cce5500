"""Owner references: they make a child go when its owner goes. Pure."""

from typing import Any

from modelfleet.api.common import ObjectMeta
from modelfleet.kinds import Kind


def owner_reference(kind: Kind, owner: ObjectMeta, *, blocks_deletion: bool = True) -> dict[str, Any]:
    """Makes an object of this kind the controller of a child.

    Deleting the owner in the foreground waits for a child that blocks it. Where the API server enforces permissions for
    owner references, that takes the right to update the owner's finalizers, which the chart gives for TrainingJobs and
    Rollouts.
    """
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "name": owner.name,
        "uid": owner.uid,
        "controller": True,
        **({"blockOwnerDeletion": True} if blocks_deletion else {}),
    }
