"""Raw pods: the states of their containers, and what keeps a pod from running. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from modelfleet.api.reasons import Reason
from modelfleet.workloads.containers import named

_SPOKEN = {
    "ErrImagePull": Reason.IMAGE_PULL_FAILED,
    "ImagePullBackOff": Reason.IMAGE_PULL_FAILED,
    "InvalidImageName": Reason.IMAGE_PULL_FAILED,
    "ErrImageNeverPull": Reason.IMAGE_PULL_FAILED,
    "RegistryUnavailable": Reason.IMAGE_PULL_FAILED,
    "ImageInspectError": Reason.IMAGE_PULL_FAILED,
}
"""The kubelet's words for one thing, as ours."""

_STARTING = frozenset({"ContainerCreating", "PodInitializing"})
"""What a container waits for while all is well."""


@dataclass(frozen=True)
class Problem:
    """What keeps a pod from running or from becoming ready: a CamelCase reason, and a sentence a user can act on."""

    reason: str
    message: str


REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
"""The part of any affinity without which a pod is not scheduled."""


def node_of(pod: Mapping[str, Any]) -> str:
    """The node a DaemonSet's pod is meant for, also before it is bound: then it stands in its affinity."""
    spec = pod.get("spec") or {}
    return str(spec.get("nodeName") or next(named_nodes(spec), ""))


def required_nodes(pod_spec: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The node affinity that a pod spec requires; None where it requires none."""
    found: Mapping[str, Any] | None = ((pod_spec.get("affinity") or {}).get("nodeAffinity") or {}).get(REQUIRED)
    return found


def named_nodes(pod_spec: Mapping[str, Any]) -> Iterator[str]:
    """The nodes that the required node affinity of a pod spec names."""
    for term in (required_nodes(pod_spec) or {}).get("nodeSelectorTerms") or ():
        for entry in term.get("matchFields") or ():
            if entry.get("key") == "metadata.name" and entry.get("values"):
                yield str(entry["values"][0])


def conditions_by_type(status: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The conditions of a pod's status."""
    return {entry["type"]: entry for entry in status.get("conditions") or ()}


def container_statuses(status: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Those of the init containers first."""
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def container_status(status: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """That of a container of this name which is no init container; empty where there is none yet."""
    return named(status.get("containerStatuses"), name)


def terminated(container: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """How the container ended; None where it is starting or runs."""
    return (container.get("state") or {}).get("terminated")


def last_terminated(container: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """How the container ended the last time it was restarted; None where it never was."""
    return (container.get("lastState") or {}).get("terminated")


def backs_off(container: Mapping[str, Any]) -> bool:
    """It ended, and the kubelet waits before it starts it again."""
    return _waiting(container).get("reason") == "CrashLoopBackOff"


def is_starting(container: Mapping[str, Any]) -> bool:
    """It waits, and for nothing but what all containers wait for at first."""
    return _waiting(container).get("reason") in _STARTING


def stuck(container: Mapping[str, Any]) -> Problem | None:
    """What the container waits for and may not get on its own, in the kubelet's words; it may say no message."""
    waiting = _waiting(container)
    reason = waiting.get("reason")
    return Problem(reason, waiting.get("message") or "") if reason and reason not in _STARTING else None


def cannot_start(status: Mapping[str, Any], first: str) -> Problem | None:
    """What keeps a pod of a Job from starting, from its status; of its containers, `first` is looked at before others
    that are no init containers."""
    if status.get("phase") not in (None, "Pending"):
        return None
    scheduled = conditions_by_type(status).get("PodScheduled") or {}
    if scheduled.get("status") == "False":
        gated = scheduled.get("reason") == "SchedulingGated"
        return Problem(
            Reason.SCHEDULING_GATED if gated else Reason.UNSCHEDULABLE,
            f"No node takes the pod: {scheduled.get('message') or scheduled.get('reason')}",
        )
    inits, others = status.get("initContainerStatuses") or (), status.get("containerStatuses") or ()
    for container in (*inits, container_status(status, first), *others):
        if found := stuck(container):
            said = f"Container {container['name']} can't start ({found.reason}): {found.message or found.reason}"
            return Problem(_SPOKEN.get(found.reason, found.reason), said)
    return None


def _waiting(container: Mapping[str, Any]) -> Mapping[str, Any]:
    return (container.get("state") or {}).get("waiting") or {}
