"""Raw pods: the states of their containers, and what keeps a pod from running. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_STARTING = frozenset({"ContainerCreating", "PodInitializing"})
"""What a container waits for while all is well."""


@dataclass(frozen=True)
class Problem:
    """What keeps a pod from running or from becoming ready: a CamelCase reason, and a sentence a user can act on."""

    reason: str
    message: str


def conditions_by_type(status: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The conditions of a pod's status."""
    return {entry["type"]: entry for entry in status.get("conditions") or ()}


def container_statuses(status: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Those of the init containers first."""
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def container_status(status: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """That of a container of this name which is no init container; empty where there is none yet."""
    return next((entry for entry in status.get("containerStatuses") or () if entry["name"] == name), {})


def terminated(container: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """How the container ended; None where it is starting or runs."""
    return (container.get("state") or {}).get("terminated")


def last_terminated(container: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """How the container ended the last time it was restarted; None where it never was."""
    return (container.get("lastState") or {}).get("terminated")


def backs_off(container: Mapping[str, Any]) -> bool:
    """It ended, and the kubelet waits before it starts it again."""
    return _waiting(container).get("reason") == "CrashLoopBackOff"


def stuck(container: Mapping[str, Any]) -> Problem | None:
    """What the container waits for and may not get on its own, in the kubelet's words; it may say no message."""
    waiting = _waiting(container)
    reason = waiting.get("reason")
    return Problem(reason, waiting.get("message") or "") if reason and reason not in _STARTING else None


def _waiting(container: Mapping[str, Any]) -> Mapping[str, Any]:
    return (container.get("state") or {}).get("waiting") or {}
