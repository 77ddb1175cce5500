"""Raw pods of a Rollout as nodes of its tree: what runs there, and what is the matter. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from modelfleet.api import names
from modelfleet.times import parse_time
from modelfleet.workloads.pods import node_of


class NodeState(StrEnum):
    """How a node's pod does."""

    READY = "Ready"
    STARTING = "Starting"
    ENDING = "Ending"
    PROBLEM = "Problem"


@dataclass(frozen=True)
class NodeView:
    """One node with a pod. `note` is a CamelCase word where something is the matter; `since`: of the state."""

    name: str
    pod: str
    group: str
    version: str
    revision: str
    state: NodeState
    note: str
    since: datetime


def node_view(pod: Mapping[str, Any]) -> NodeView:
    """What a pod says about its node."""
    metadata, labels = pod["metadata"], pod["metadata"].get("labels") or {}
    status = pod.get("status") or {}
    ready: Mapping[str, Any] = next((each for each in status.get("conditions") or () if each["type"] == "Ready"), {})
    problem = _problem(status)
    if "deletionTimestamp" in metadata:
        state = NodeState.ENDING
    elif ready.get("status") == "True":
        state = NodeState.READY
    else:
        state = NodeState.PROBLEM if problem else NodeState.STARTING
    since = ready.get("lastTransitionTime") or metadata["creationTimestamp"]
    return NodeView(
        name=node_of(pod),
        pod=metadata["name"],
        group=labels.get(names.NODE_GROUP, ""),
        version=labels.get(names.VERSION, ""),
        revision=labels.get(names.REVISION, ""),
        state=state,
        note=problem if state is NodeState.PROBLEM else "",
        since=parse_time(since),
    )


def _problem(status: Mapping[str, Any]) -> str:
    """The first thing that keeps the pod from being ready, in one word; "" while it is simply starting."""
    if status.get("phase") == "Failed":
        return str(status.get("reason") or "PodFailed")
    for container in [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]:
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
            return str(waiting["reason"])
        ended = (container.get("state") or {}).get("terminated") or {}
        if ended.get("exitCode"):
            return str(ended.get("reason") or "Error")
    scheduled: Mapping[str, Any] = next(
        (each for each in status.get("conditions") or () if each["type"] == "PodScheduled"), {}
    )
    return str(scheduled.get("reason") or "Unschedulable") if scheduled.get("status") == "False" else ""
