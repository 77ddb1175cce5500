"""Owner references: they make a child go when its owner goes. Pure.

A child that has our labels and no controller is an orphan of ours: the namespace was restored from a backup or moved to
another cluster, which keeps names and labels and no uids; or its owner was deleted with --cascade=orphan, and is there
again. As controllers of Kubernetes do, ours adopt it; what another controller owns is left alone.
"""

from collections.abc import Mapping
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


def owner_uids(child: Mapping[str, Any]) -> frozenset[str]:
    """The uids of all owners of a raw object."""
    return frozenset(reference["uid"] for reference in child["metadata"].get("ownerReferences") or ())


def controller_of(child: Mapping[str, Any]) -> str:
    """The uid of a raw object's controller; "" for an orphan."""
    for reference in child["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            return str(reference["uid"])
    return ""
