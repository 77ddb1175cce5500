"""How far the groups are: counts, what is done, what is late, and how many nodes may be down at once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from modelfleet.api import names
from modelfleet.api.quantities import IntOrPercent
from modelfleet.api.reasons import Reason
from modelfleet.rollout.snapshot import GroupState, NodeState, PodState
from modelfleet.wording import clauses, listed
from modelfleet.workloads.pods import Problem


def carried(group: GroupState) -> str | None:
    """The hash of the revision that the group's DaemonSet carries; None where it has none yet."""
    if group.daemon_set is None:
        return None
    labels: Mapping[str, str] = group.daemon_set["metadata"].get("labels") or {}
    return labels.get(names.REVISION)


@dataclass(frozen=True)
class NodeView:
    """One node of a group, with its pods seen against the revision that the node should run.

    current  its pod of the revision (the ready one, where there are several), not counting one that is being deleted
    others   its pods that are of another revision or being deleted
    """

    node: NodeState
    current: PodState | None
    others: tuple[PodState, ...] = ()

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
        if not self.node.reachable or self.ready:
            return None
        if self.current is not None:
            return max(self.current.since, self.node.since)
        ends = [pod.ends for pod in self.others]
        return max(self.node.since, *(end for end in ends if end)) if ends and all(ends) else None

    @property
    def problem(self) -> Problem | None:
        """What keeps the node's pod of the revision from being ready, where something is known."""
        return self.current.problem if self.current is not None else None

    @property
    def problem_if_late(self) -> Problem | None:
        """The same for a node that is late: there an old pod that does not end may be what it waits for."""
        if self.current is None and self.others:
            return Problem(Reason.POD_STUCK, f"pod {self.others[0].name} should be gone and is not")
        return self.problem

    @property
    def missing(self) -> bool:
        """A reachable node without any pod of the group: one that nobody makes, or that is about to be made."""
        return self.node.reachable and self.current is None and not self.others


@dataclass(frozen=True)
class Progress:
    """How far a group is with one revision.

    attended  the DaemonSet controller has dealt with what the DaemonSet says now
    """

    views: tuple[NodeView, ...]
    attended: bool = False

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

    @property
    def missing(self) -> list[str]:
        """Reachable nodes for which the DaemonSet controller made no pod, although it has seen that it should."""
        return [view.node.name for view in self.views if view.missing] if self.attended else []

    @property
    def problems(self) -> list[tuple[str, Problem]]:
        """(node, what keeps its pod of the revision from being ready), where known; reachable nodes only."""
        return [
            (view.node.name, view.problem) for view in self.views if view.node.reachable and view.problem is not None
        ]


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
    views = tuple(_view(node, by_node.get(node.name, ()), revision) for node in group.nodes)
    return Progress(views, _attended(group.daemon_set))


def _attended(daemon_set: Mapping[str, Any] | None) -> bool:
    if daemon_set is None:
        return False
    observed: int = (daemon_set.get("status") or {}).get("observedGeneration", 0)
    return observed >= int(daemon_set["metadata"].get("generation", 0))


def _view(node: NodeState, pods: Iterable[PodState], revision: str | None) -> NodeView:
    current: PodState | None = None
    others: list[PodState] = []
    for pod in pods:
        if pod.revision != revision or pod.ends is not None:
            others.append(pod)
        elif current is None or (pod.ready and not current.ready):
            current = pod
    return NodeView(node, current, tuple(others))


def effective_max_unavailable(group: GroupState, revision: str | None) -> int | str:
    """The DaemonSet's maxUnavailable: the group's, plus the now unreachable nodes while some pod has to be replaced.

    Unreachable nodes use up the budget of the DaemonSet controller, and would block the others for as long as they are
    away. Where no pod of another revision is left the number makes no difference, and the group's own is kept as it is
    written: nodes that come, go and join then cause no writes.
    """
    now = progress(group, revision)
    if now.unreachable == 0 or not any(view.current is None and view.others for view in now.views):
        return group.spec.max_unavailable.to_wire()
    return max(1, group.spec.max_unavailable.of(now.nodes)) + now.unreachable


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
