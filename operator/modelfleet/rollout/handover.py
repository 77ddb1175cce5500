"""Nodes whose group is another one now: it was renamed, split, merged or reordered. They change it one after the other.
Pure.

A group that the spec no longer has leaves a DaemonSet behind (`Snapshot.removed`). It is not deleted, which would stop
all its nodes at once. It keeps a list of nodes, on which its pods run on, and nodes are taken off that list:

    at once        what no group selects any more, is out of reach, runs nothing, or runs its new group's pod already
    within the new group's maxUnavailable (of maxSurge, where it has that)
                   all others, where the new group has a DaemonSet for them
    not at all     where it has none yet, and while the Rollout is paused, or stalled by what concerns its DaemonSets

A new pod waits for the old one to have left: the new group's DaemonSet says so by pod anti-affinity for as long as it
carries the revision that it was given then (to take it away would restart its pods). So a node never has two, whether
or not it has room for them. The DaemonSet goes once none of its pods is left on a node of a group.

How a DaemonSet keeps a list of nodes: its node affinity names them, and with the strategy OnDelete the new template
restarts nothing. The DaemonSet controller deletes the pods from nodes that the affinity does not take.

Where groups that stay exchange nodes, these change as their DaemonSets do: at once, or not while the new one has none.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from modelfleet.api import names
from modelfleet.api.reasons import Reason
from modelfleet.decision import Action, Delete, Patch
from modelfleet.kinds import DAEMON_SET
from modelfleet.rollout import affinity, groups, manifests
from modelfleet.rollout.position import Position
from modelfleet.rollout.snapshot import GroupState, Move, RemovedGroup, Snapshot
from modelfleet.wording import counted, listed
from modelfleet.workloads.pods import REQUIRED, named_nodes

_STALLS = frozenset({Reason.NAME_TAKEN, Reason.SELECTORS_TOO_COMPLEX})
"""What is wrong with the DaemonSets: it may be what the groups that are there now were to be changed into."""

Json = dict[str, Any]


def holds(position: Position) -> bool:
    """Whether no node changes its group now."""
    return position.frozen or (position.stall is not None and position.stall.reason in _STALLS)


def told(position: Position) -> str:
    """Which nodes change their group, or wait to, in sentences; "" where none does."""
    found = position.snapshot.moves
    if holds(position):
        return _listed(position, "Waiting to change their group, and running on", found)
    left = [move for move in found if move.of is None and move.node.reachable]
    there = {index for index, group in enumerate(position.snapshot.groups) if group.daemon_set is not None}
    taken = [move for move in left if move.to in there]
    waiting = [move for move in left if move.to not in there]
    said = (
        _listed(position, "Changing their group, as many at once as maxUnavailable allows", taken),
        _listed(position, "Running on until their new group gets a version", waiting),
    )
    return " ".join(filter(None, said))


def _listed(position: Position, what: str, found: Iterable[Move]) -> str:
    ways: dict[tuple[str, int], list[str]] = defaultdict(list)
    for move in found:
        ways[move.group, move.to].append(move.node.name)
    said = "; ".join(
        f"{counted(len(nodes), 'node')} ({listed(sorted(nodes))}) from {old} to {position.snapshot.groups[to].name}"
        for (old, to), nodes in sorted(ways.items())
    )
    return f"{what}: {said}." if said else ""


def kept_apart(group: GroupState, hash: str, rollout: str) -> bool:
    """Whether the group's pods with this revision wait for those of other groups to leave their nodes."""
    if group.occupied:
        return True
    if group.daemon_set is None or groups.carried(group) != hash:
        return False
    template = (group.daemon_set.get("spec") or {}).get("template") or {}
    anti = ((template.get("spec") or {}).get("affinity") or {}).get("podAntiAffinity") or {}
    others = manifests.others(rollout, group.name)
    return any(manifests.covers(term, others) for term in anti.get(REQUIRED) or ())


def in_place(position: Position, wanted: Mapping[int, Json]) -> dict[int, Json]:
    """The DaemonSets to have, by the group's index, of those `wanted`: where nodes can't change their groups now, a
    DaemonSet that is there keeps its nodes, and none is made for nodes that have a pod."""
    found = position.snapshot.moves
    held = holds(position) and bool(found)
    keeps = set(wanted) if held else {move.of for move in found if move.to not in wanted}
    waits = {move.to for move in found} if held else set()
    placed: dict[int, Json] = {}
    for index, manifest in wanted.items():
        daemon_set = position.snapshot.groups[index].daemon_set
        if daemon_set is None and index in waits:
            continue
        placed[index] = manifest if daemon_set is None or index not in keeps else _as_placed(manifest, daemon_set)
    return placed


def _as_placed(manifest: Json, daemon_set: Mapping[str, Any]) -> Json:
    """The manifest for the nodes that the raw DaemonSet has now. Where it keeps a list of them (its group was away for
    a while), the strategy stays too: another one would restart the pods."""
    there, spec = daemon_set["spec"], manifest["spec"]
    pod = {key: value for key, value in spec["template"]["spec"].items() if key != "affinity"}
    if placed := (there["template"].get("spec") or {}).get("affinity"):
        pod["affinity"] = placed
    same = manifest["metadata"]["labels"][names.REVISION] == daemon_set["metadata"]["labels"].get(names.REVISION)
    listed_only = same and there["updateStrategy"].get("type") == "OnDelete"
    strategy = {"type": "OnDelete"} if listed_only else spec["updateStrategy"]
    return {
        **manifest,
        "spec": {**spec, "updateStrategy": strategy, "template": {**spec["template"], "spec": pod}},
    }


def removals(position: Position, able: Collection[int]) -> list[Action]:
    """What becomes of removed groups' DaemonSets. `able`: the groups that have a DaemonSet for all of their nodes."""
    snapshot = position.snapshot
    if not snapshot.removed or holds(position):
        return []
    released = {name for index in able for name in _released(index, snapshot)}
    nodes = {node.name for group in snapshot.groups for node in group.nodes}
    actions: list[Action] = []
    for removed in snapshot.removed:
        metadata = removed.daemon_set["metadata"]
        if metadata.get("deletionTimestamp"):
            continue
        on = nodes & {pod.node for pod in removed.pods}
        if not on:
            actions.append(Delete(DAEMON_SET, metadata["namespace"], metadata["name"], metadata["uid"]))
            continue
        before = _list(removed)
        keeps = frozenset(on - released if before is None else before & on - released)
        if keeps != before:
            actions.append(_keep(removed, keeps))
    return actions


def _released(index: int, snapshot: Snapshot) -> set[str]:
    """The nodes that go over into the group at `index` now."""
    group = snapshot.groups[index]
    new = {pod.node: pod.ready for pod in group.pods if pod.ends is None}
    leaving = {
        (removed.name, pod.node)
        for removed in snapshot.removed
        if (kept := _list(removed)) is not None
        for pod in removed.pods
        if pod.node not in kept
    }
    runs = {
        move.node.name
        for move in snapshot.moves
        if move.to == index and move.of is None and move.pod.ready and (move.group, move.node.name) not in leaving
    }
    reachable = {node.name for node in group.nodes if node.reachable}
    ready = {name for name, is_ready in new.items() if is_ready}
    down = reachable - runs - ready
    allowed = group.spec.max_unavailable if group.spec.max_unavailable.value else group.spec.max_surge
    room = max(1, allowed.of(len(group.nodes))) - len(down)
    # First where a pod waits to start: where the cluster refuses to make any, most of the nodes run on.
    serving = sorted((runs & reachable) - ready, key=lambda name: (name not in new, name))
    return {node.name for node in group.nodes} - set(serving[max(0, room) :])


def _list(removed: RemovedGroup) -> frozenset[str] | None:
    """The nodes that a removed group keeps; None where it was not told to keep some yet."""
    spec = removed.daemon_set["spec"]
    if (spec.get("updateStrategy") or {}).get("type") != "OnDelete":
        return None
    return frozenset(named_nodes(spec["template"]["spec"]))


def _keep(removed: RemovedGroup, nodes: Collection[str]) -> Patch:
    metadata = removed.daemon_set["metadata"]
    terms = [
        {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [name]}]} for name in sorted(nodes)
    ] or [affinity.NOWHERE]
    required = {REQUIRED: {"nodeSelectorTerms": terms}}
    body = {
        "metadata": {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]},
        "spec": {
            "updateStrategy": {"type": "OnDelete", "rollingUpdate": None},
            "template": {"spec": {"affinity": {"nodeAffinity": required}}},
        },
    }
    return Patch(DAEMON_SET, metadata["namespace"], metadata["name"], body)
