"""Which ports of its node a pod takes. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any


def of(spec: Mapping[str, Any]) -> Iterator[str]:
    """The ports of a pod spec, in words: those with a hostPort, and all where the pod uses the node's network."""
    on_host = bool(spec.get("hostNetwork"))
    for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
        for port in container.get("ports") or ():
            number = port.get("hostPort") or (port.get("containerPort") if on_host else None)
            if number:
                yield f"host port {number}/{port.get('protocol') or 'TCP'}"


def are_taken(spec: Mapping[str, Any]) -> bool:
    """Whether a second pod of this spec could not run on the same node: it would want the same ports, or may open any
    of the node's network."""
    return bool(spec.get("hostNetwork")) or any(of(spec))
