"""Fleets of more than one architecture: which of them a gate has not seen yet. Pure.

Nothing here chooses nodes: which architectures a group has is for its selector to say, and that an image has a build
for each is for its manifest list.
"""

from collections import Counter

from modelfleet.rollout.position import Moving, Position
from modelfleet.wording import listed


def unseen(position: Position, moving: Moving) -> str:
    """Architectures of later groups' nodes that no node of the groups so far has, as a sentence; "" for none.

    A gate's figures say nothing about what the candidate does there: another build of the runtime runs it.
    """
    groups = position.snapshot.groups
    seen = {node.architecture for group in groups[: position.reached] for node in group.nodes} - {""}
    later = Counter(node.architecture for group in groups[position.reached :] for node in group.nodes)
    new = [f"{count} of {name}" for name, count in sorted(later.items()) if name and name not in seen]
    if not seen or not new:
        return ""
    version, so_far = moving.candidate.version, " or ".join(sorted(seen))
    return f"All nodes with {version} so far are {so_far}: nodes of later groups ({listed(new)}) may do otherwise."
