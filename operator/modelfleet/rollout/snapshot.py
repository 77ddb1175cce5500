"""What one look at a Rollout sees, as frozen values: the snapshot that everything pure in this folder works on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from modelfleet.api.modelversion import ModelVersion
from modelfleet.api.rollout import Group, Rollout
from modelfleet.api.trainingjob import TrainingJob
from modelfleet.drift import Judgement as DriftJudgement
from modelfleet.drift import Plan as DriftPlan
from modelfleet.gate import Judgement
from modelfleet.rollout.revisions import Revision
from modelfleet.workloads.pods import Problem


@dataclass(frozen=True)
class Refusal:
    """What the API server said when it refused an object, when, and of which generation of the spec."""

    at: datetime
    message: str
    generation: int = 0


@dataclass(frozen=True)
class DriftSeen:
    """What the watch for drift sees. `baseline` is what it is to keep from now on, packed."""

    plan: DriftPlan
    judgement: DriftJudgement
    baseline: str = ""


@dataclass(frozen=True)
class PodState:
    """One pod of a group.

    since  when it became ready, or stopped being so (its creation, if it never was)
    ends   the moment by which it should be gone; None where it is not being deleted
    """

    name: str
    node: str
    revision: str
    ready: bool
    since: datetime
    problem: Problem | None = None
    ends: datetime | None = None


@dataclass(frozen=True)
class NodeState:
    """One node of a group. `since` is when it became reachable, or stopped being so."""

    name: str
    reachable: bool
    since: datetime


@dataclass(frozen=True)
class GroupState:
    """One group as it is now.

    daemon_set  the raw DaemonSet, None before the first apply
    nodes       the nodes that belong to the group and on which its pods may run
    pods        its pods, those being deleted included
    shadowed    nodes that match the group's selector and belong to an earlier group
    """

    spec: Group
    daemon_set: Mapping[str, Any] | None = None
    nodes: tuple[NodeState, ...] = ()
    pods: tuple[PodState, ...] = ()
    shadowed: int = 0
    counted: dict[str | None, Any] = field(default_factory=dict, compare=False, repr=False)
    """How far the group is, by revision: what groups.progress found out, once for a look."""

    @property
    def name(self) -> str:
        """The group's name in the spec."""
        return self.spec.name


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
    removed     DaemonSets of groups that the spec no longer has
    taken       names of DaemonSets we would write that belong to someone else
    overlaps    at most a handful of examples
    agent_image the image for `fetch-model` of new revisions
    judgement   the gate's, where one is active and was due; None carries the last one on
    drift       the watch for drift, where there is one; None carries on what the status says
    trainings   TrainingJobs that are its retrainings, or are named like one
    refused     what the API server said of the last TrainingJob that this Rollout was to make
    """

    rollout: Rollout
    agent_image: str
    versions: tuple[ModelVersion, ...] = ()
    revisions: tuple[Revision, ...] = ()
    groups: tuple[GroupState, ...] = ()
    removed: tuple[Mapping[str, Any], ...] = ()
    taken: tuple[str, ...] = ()
    overlaps: tuple[Overlap, ...] = field(default=())
    judgement: Judgement | None = None
    drift: DriftSeen | None = None
    trainings: tuple[TrainingJob, ...] = ()
    refused: Refusal | None = None
