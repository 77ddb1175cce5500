"""How many nodes of a group change versions at once, and whether with a second pod beside the old one. Pure.

A group says so as a DaemonSet does: `maxUnavailable`, or `maxSurge`. With the second the new pod starts beside the old
one, which goes once the new one is ready: where the new one never is, because it is broken or because there is no room
for it, the old one stays.
"""

from dataclasses import dataclass

from modelfleet.rollout import groups
from modelfleet.rollout.revisions import Revision
from modelfleet.rollout.snapshot import GroupState
from modelfleet.workloads import host_ports


@dataclass(frozen=True)
class Budget:
    """What the DaemonSet says: one of the two is 0."""

    unavailable: int | str
    surge: int | str = 0


def budget(group: GroupState, target: Revision) -> Budget:
    """The budget of the group on its way to this revision.

    Unreachable nodes take nothing of maxSurge: there the DaemonSet controller deletes the old pod, which is not ready.
    A revision from before, whose pods take ports of the node, is gone back to without a surge: they could not start.
    """
    if group.spec.max_surge.value and not host_ports.are_taken(target.data["template"].get("spec") or {}):
        return Budget(0, group.spec.max_surge.to_wire())
    return Budget(groups.effective_max_unavailable(group, target.hash))
