"""What one look at a Rollout sees, as frozen values: the snapshot that everything pure in this folder works on."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from modelfleet.api import names
from modelfleet.api.dataset import Dataset
from modelfleet.api.modelversion import ModelVersion
from modelfleet.api.rollout import Group, Rollout
from modelfleet.api.trainingjob import TrainingJob
from modelfleet.drift import Judgement as DriftJudgement
from modelfleet.drift import Plan as DriftPlan
from modelfleet.gate import Judgement
from modelfleet.kinds import Key
from modelfleet.rollout.replay.job import ReplayJob
from modelfleet.rollout.revisions import Revision
from modelfleet.rollout.signatures import UNSIGNED, Signing
from modelfleet.workloads.pods import Problem


@dataclass(frozen=True)
class Refusal:
    """What the API server said when it refused an object, when, of which generation of the spec, and the object's
    name."""

    at: datetime
    message: str
    generation: int = 0
    name: str = ""


@dataclass(frozen=True)
class DriftSeen:
    """What the watch for drift sees. `baseline` is what it is to keep from now on, packed."""

    plan: DriftPlan
    judgement: DriftJudgement
    baseline: str = ""


@dataclass(frozen=True)
class PodState:
    """One pod of a group.

    since      when it became ready, or stopped being so (if it never was: when it was given its node, or made)
    ends       the moment by which it should be gone; None where it is not being deleted
    unstarted  its node has it, and has not come to start it (yet): network, volumes, images, the model
    """

    name: str
    node: str
    revision: str
    ready: bool
    since: datetime
    problem: Problem | None = None
    ends: datetime | None = None
    unstarted: bool = False


@dataclass(frozen=True)
class NodeState:
    """One node of a group.

    since         when it became reachable, or stopped being so
    architecture  as its label kubernetes.io/arch says; "" where it has none
    """

    name: str
    reachable: bool
    since: datetime
    architecture: str = ""


@dataclass(frozen=True)
class GroupState:
    """One group as it is now.

    daemon_set  the raw DaemonSet, None before the first apply
    nodes       the nodes that belong to the group and on which its pods may run
    pods        its pods, those being deleted included
    shadowed    nodes that match the group's selector and belong to an earlier group
    kept_off    nodes that would belong to it, and what keeps its pods off them
    occupied    those of its nodes on which a pod of a removed group still is, one that is being deleted included
    """

    spec: Group
    daemon_set: Mapping[str, Any] | None = None
    nodes: tuple[NodeState, ...] = ()
    pods: tuple[PodState, ...] = ()
    shadowed: int = 0
    kept_off: tuple[tuple[str, str], ...] = ()
    occupied: frozenset[str] = frozenset()
    counted: dict[str | None, Any] = field(default_factory=dict, compare=False, repr=False)
    """How far the group is, by revision: what groups.progress found out, once for a look."""

    @property
    def name(self) -> str:
        """The group's name in the spec."""
        return self.spec.name


@dataclass(frozen=True)
class RemovedGroup:
    """A group that the spec no longer has: its raw DaemonSet, and its pods."""

    daemon_set: Mapping[str, Any]
    pods: tuple[PodState, ...] = ()

    @property
    def name(self) -> str:
        """The name that it had in the spec."""
        return str((self.daemon_set["metadata"].get("labels") or {}).get(names.NODE_GROUP, ""))


@dataclass(frozen=True)
class Move:
    """A node that runs a pod of another group than its own.

    to     the index of its group
    pod    the pod of the other one, which nobody has asked to end
    group  the other one's name
    of     its index; None for a removed group
    """

    node: NodeState
    to: int
    pod: PodState
    group: str
    of: int | None = None


@dataclass(frozen=True)
class Overlap:
    """A node that another Rollout also uses, and the host resources that both want there."""

    node: str
    rollout: str
    resources: tuple[str, ...]


@dataclass(frozen=True)
class Snapshot:
    """Everything a decision about one Rollout needs.

    versions    every ModelVersion of the Rollout's model
    revisions   its ControllerRevisions, oldest first
    groups      in the order of the spec
    removed     groups that the spec no longer has, and whose DaemonSets are there
    taken       names of DaemonSets we would write that belong to someone else
    overlaps    at most a handful of examples
    agent_image the image for `fetch-model` of new revisions
    signing     what the operator's settings say of signatures
    judgement   the gate's, where one is active and was due; None carries the last one on
    drift       the watch for drift, where there is one; None carries on what the status says
    trainings   TrainingJobs that are its retrainings, or are named like one
    capture     the raw ConfigMap with the settings of capture, where there is one
    capture_taken
                whether the name of that ConfigMap is one of somebody else's
    capture_shared
                the Rollouts of other namespaces whose captures go to the same folder
    datasets    the Datasets of its model, and the one that drift.retrain's template names
    refused     what the API server said of the last TrainingJob that this Rollout was to make
    replays     the Jobs of its replays
    replay_refused
                what the API server said of the last of these that it was to make
    no_pod      why the DaemonSet controller creates no pod, in its words, by group that misses some; "" where it is
                not known
    prefetch    the raw DaemonSet of the name that prefetching has, whosever it is
    """

    rollout: Rollout
    agent_image: str
    signing: Signing = UNSIGNED
    versions: tuple[ModelVersion, ...] = ()
    revisions: tuple[Revision, ...] = ()
    groups: tuple[GroupState, ...] = ()
    removed: tuple[RemovedGroup, ...] = ()
    taken: tuple[str, ...] = ()
    overlaps: tuple[Overlap, ...] = field(default=())
    judgement: Judgement | None = None
    drift: DriftSeen | None = None
    trainings: tuple[TrainingJob, ...] = ()
    capture: Mapping[str, Any] | None = None
    capture_taken: bool = False
    capture_shared: tuple[Key, ...] = ()
    datasets: tuple[Dataset, ...] = ()
    refused: Refusal | None = None
    replays: tuple[ReplayJob, ...] = ()
    replay_refused: Refusal | None = None
    no_pod: Mapping[str, str] = field(default_factory=dict)
    prefetch: Mapping[str, Any] | None = None

    @cached_property
    def moves(self) -> tuple[Move, ...]:
        """The nodes that are to change their group."""
        members = {node.name: (index, node) for index, group in enumerate(self.groups) for node in group.nodes}
        return tuple(
            Move(members[pod.node][1], to, pod, name, of)
            for of, name, pods in self._running()
            for pod in pods
            if pod.ends is None and pod.node in members and (to := members[pod.node][0]) != of
        )

    def _running(self) -> Iterator[tuple[int | None, str, tuple[PodState, ...]]]:
        """(index or None, name, pods) of each group, those that were removed first."""
        yield from ((None, removed.name, removed.pods) for removed in self.removed)
        yield from ((index, group.name, group.pods) for index, group in enumerate(self.groups))
