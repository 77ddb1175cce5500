"""How far the groups are: counts, what is done, what is late, and how many nodes may be down at once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from modelfleet.api import names
from modelfleet.api.quantities import IntOrPercent
from modelfleet.api.reasons import Reason
from modelfleet.rollout.snapshot import GroupState, NodeState, PodState
from modelfleet.wording import clauses, listed
from modelfleet.workloads.pods import Problem

GRACE = timedelta(seconds=10)
"""So long after a node is done the DaemonSet controller may take for the next one."""
_NO_BUILD = "no match for platform"
"""containerd's words for an image that has builds, and none for the node's operating system and architecture."""
_NOT_STARTED = Problem(
    Reason.POD_NOT_STARTED,
    "the node has not come to start it: its network, a volume, an image or the model is not there yet; what the node "
    "tries is in the pod's events (kubectl describe pod)",
)
_NEEDS_ROOM = "with maxSurge the node must have room for this pod beside the old one, which runs on"


def carried(group: GroupState) -> str | None:
    """The hash of the revision that the group's DaemonSet carries; None where it has none yet."""
    if group.daemon_set is None:
        return None
    labels: Mapping[str, str] = group.daemon_set["metadata"].get("labels") or {}
    return labels.get(names.REVISION)


@dataclass(frozen=True)
class NodeView:
    """One node of a group, with its pods seen against the revision that the node should run.

    current   its pod of the revision (the ready one, where there are several), not counting one that is being deleted
    others    its pods that are of another revision or being deleted; with maxSurge an old one may run on beside current
    occupied  a pod of a group that was removed is still there, and keeps current from starting: see handover.py
    """

    node: NodeState
    current: PodState | None
    others: tuple[PodState, ...] = ()
    occupied: bool = False

    @property
    def ready(self) -> bool:
        """The node runs the revision."""
        return self.current is not None and self.current.ready

    @property
    def waits_since(self) -> datetime | None:
        """Since when a reachable node has a pod of the revision that is not ready, or an old one that should be gone.

        None where neither is so. The clock starts again when a node comes back: what it missed while it was away is
        nobody's fault.
        """
        if not self.node.reachable or self.ready or self.occupied:
            return None
        if self.current is not None:
            return max(self.current.since, self.node.since)
        ends = [pod.ends for pod in self.others]
        return max(self.node.since, *(end for end in ends if end)) if ends and all(ends) else None

    @property
    def idle_since(self) -> datetime | None:
        """Since when a node that does not run the revision has been out of reach, or its pod not ready; None where
        neither says so."""
        if not self.node.reachable:
            return self.node.since
        return None if self.current is None else self.current.since

    @property
    def problem(self) -> Problem | None:
        """What keeps the node's pod of the revision from being ready, where something is known."""
        if self.current is None or self.current.problem is None or self.occupied:
            return None
        found = _explained(self.current.problem, self.node)
        if found.reason == Reason.UNSCHEDULABLE and self.keeps_old:
            return replace(found, message=f"{found.message}; {_NEEDS_ROOM}")
        return found

    @property
    def problem_if_late(self) -> Problem | None:
        """The same for a node that is late: there an old pod that does not end may be what it waits for, and what is
        normal at first is a problem."""
        if self.current is None and self.others:
            return Problem(Reason.POD_STUCK, f"pod {self.others[0].name} should be gone and is not")
        if self.current is not None and self.current.unstarted:
            return _NOT_STARTED
        return self.problem

    @property
    def keeps_old(self) -> bool:
        """A pod of another revision is there, and nobody has asked it to end."""
        return any(pod.ends is None for pod in self.others)

    @property
    def missing(self) -> bool:
        """A reachable node without any pod of the group: one that nobody makes, or that is about to be made."""
        return self.node.reachable and self.current is None and not self.others and not self.occupied


@dataclass(frozen=True)
class Progress:
    """How far a group is with one revision.

    attended  the DaemonSet controller has dealt with what the DaemonSet says now
    surge     on how many nodes it may make a pod of the revision beside an old one; 0 where it goes to another revision
    """

    views: tuple[NodeView, ...]
    attended: bool = False
    surge: int = 0

    @cached_property
    def nodes(self) -> int:
        """Nodes of the group."""
        return len(self.views)

    @cached_property
    def updated(self) -> int:
        """Nodes with a pod of the revision."""
        return sum(view.current is not None for view in self.views)

    @cached_property
    def ready(self) -> int:
        """Nodes with a ready pod of the revision."""
        return sum(view.ready for view in self.views)

    @cached_property
    def unreachable(self) -> int:
        """Nodes out of reach."""
        return sum(not view.node.reachable for view in self.views)

    @cached_property
    def sampled(self) -> bool:
        """At least one reachable node runs the revision: there is something to judge."""
        return any(view.node.reachable and view.ready for view in self.views)

    def idle_since(self, now: datetime) -> datetime | None:
        """Since when no reachable node has run the revision, as far as nodes and pods tell; None where one does."""
        if self.sampled:
            return None
        return max((view.idle_since or now for view in self.views), default=None) or now

    @cached_property
    def settled(self) -> bool:
        """All reachable nodes are updated and ready."""
        return all(view.ready for view in self.views if view.node.reachable)

    def done(self, min_reachable: IntOrPercent) -> bool:
        """All reachable nodes are updated and ready, and they are enough of all. Never true of no node."""
        running = sum(view.node.reachable and view.ready for view in self.views)
        return self.settled and running > 0 and running >= self.required(min_reachable)

    def required(self, min_reachable: IntOrPercent) -> int:
        """How many nodes must be reachable and ready."""
        return min(min_reachable.of(self.nodes), self.nodes)

    def overdue(self, deadline: timedelta, now: datetime) -> list[NodeView]:
        """Reachable nodes whose pod of the revision has not been ready for longer than the deadline."""
        return [view for view in self.views if view.waits_since is not None and now - view.waits_since >= deadline]

    def next_overdue(self, deadline: timedelta, now: datetime) -> datetime | None:
        """When the next node will be overdue, if nothing changes."""
        coming = [view.waits_since + deadline for view in self.views if view.waits_since is not None]
        return min((moment for moment in coming if moment > now), default=None)

    def missing(self, now: datetime) -> list[str]:
        """Reachable nodes for which the DaemonSet controller made no pod, although it has seen that it should."""
        if not self.attended:
            return []
        found = [view.node.name for view in self.views if view.missing]
        due = self._surge_due
        return found if due is not None and due > now else [*found, *self._not_surged]

    def next_missing(self, now: datetime) -> datetime | None:
        """When a node will be missing its pod, if nothing changes."""
        due = self._surge_due
        return due if self._not_surged and due is not None and due > now else None

    @cached_property
    def _not_surged(self) -> list[str]:
        """Nodes with an old pod beside which the DaemonSet controller could make one of the revision, and has not."""
        room = self.surge - sum(view.keeps_old and view.current is not None for view in self.views)
        waiting = [
            view.node.name for view in self.views if view.node.reachable and view.current is None and view.keeps_old
        ]
        return waiting[: max(0, room)]

    @cached_property
    def _surge_due(self) -> datetime | None:
        """When the next node should have its pod: the controller makes it once the one before is ready. None: now."""
        done = [view.current.since for view in self.views if view.current is not None and view.current.ready]
        return max(done) + GRACE if done else None

    @property
    def problems(self) -> list[tuple[str, Problem]]:
        """(node, what keeps its pod of the revision from being ready), where known; reachable nodes only."""
        return [
            (view.node.name, view.problem) for view in self.views if view.node.reachable and view.problem is not None
        ]


def _explained(problem: Problem, node: NodeState) -> Problem:
    """A problem on this node; where the image has no build for the node's architecture, that is said first."""
    if _NO_BUILD not in problem.message.lower():
        return problem
    architecture = node.architecture or "the node's architecture"
    return replace(problem, message=f"the image has no build for {architecture}; {problem.message}")


def progress(group: GroupState, revision: str | None) -> Progress:
    """How far the group is with the revision of this hash; counted once for each, and then known."""
    known: Progress | None = group.counted.get(revision)
    if known is None:
        known = group.counted[revision] = _count(group, revision)
    return known


def _count(group: GroupState, revision: str | None) -> Progress:
    by_node: dict[str, list[PodState]] = {}
    for pod in group.pods:
        by_node.setdefault(pod.node, []).append(pod)
    views = tuple(
        _view(node, by_node.get(node.name, ()), revision, occupied=node.name in group.occupied) for node in group.nodes
    )
    surge = max_surge(group.daemon_set, len(views)) if revision == carried(group) else 0
    return Progress(views, _attended(group.daemon_set), surge)


def max_surge(daemon_set: Mapping[str, Any] | None, nodes: int) -> int:
    """On how many of so many nodes the raw DaemonSet lets a second pod start."""
    strategy = ((daemon_set or {}).get("spec") or {}).get("updateStrategy") or {}
    return IntOrPercent.parse((strategy.get("rollingUpdate") or {}).get("maxSurge", 0)).of(nodes)


def _attended(daemon_set: Mapping[str, Any] | None) -> bool:
    if daemon_set is None:
        return False
    observed: int = (daemon_set.get("status") or {}).get("observedGeneration", 0)
    return observed >= int(daemon_set["metadata"].get("generation", 0))


def _view(node: NodeState, pods: Iterable[PodState], revision: str | None, *, occupied: bool = False) -> NodeView:
    current: PodState | None = None
    others: list[PodState] = []
    for pod in pods:
        if pod.revision != revision or pod.ends is not None:
            others.append(pod)
        elif current is None or (pod.ready and not current.ready):
            current = pod
    return NodeView(node, current, tuple(others), occupied)


def effective_max_unavailable(group: GroupState, revision: str | None) -> int | str:
    """The DaemonSet's maxUnavailable: the group's, plus the now unreachable nodes while some pod has to be replaced.
    As many as its maxSurge says where it has that, and can't go by it.

    Unreachable nodes use up the budget of the DaemonSet controller, and would block the others for as long as they are
    away. Where no pod of another revision is left the number makes no difference, and the group's own is kept as it is
    written: nodes that come, go and join then cause no writes.
    """
    now = progress(group, revision)
    allowed = group.spec.max_unavailable if group.spec.max_unavailable.value else group.spec.max_surge
    if now.unreachable == 0 or not any(view.current is None and view.others for view in now.views):
        return allowed.to_wire()
    return max(1, allowed.of(now.nodes)) + now.unreachable


def why_empty(group: GroupState) -> str:
    """Why a group has no node: "no node matches", or what keeps its pods off the nodes that do."""
    if group.kept_off:
        return clauses((f"{node} matches, but {off} keeps its pods off" for node, off in group.kept_off), 3)
    if group.shadowed:
        return f"no node matches: all {group.shadowed} that it selects belong to earlier groups"
    return "no node matches"


def describe(problems: Iterable[tuple[str, Problem]]) -> str:
    """Problems of nodes in words, the same problem only once: "DigestMismatch on node-3 and 2 more: fetch-model:
    ..."."""
    nodes: dict[Problem, list[str]] = {}
    for node, problem in problems:
        nodes.setdefault(problem, []).append(node)
    told = [
        f"{problem.reason} on {listed(sorted(names))}: {problem.message}"
        for problem, names in sorted(nodes.items(), key=lambda entry: (-len(entry[1]), entry[0].reason))
    ]
    return clauses(told, 2, rest="other problems")
