"""Nodes on which two Rollouts want the same thing of the host: a port, a folder they write to, a device. Pure.

Two Rollouts on one node are fine as long as they share nothing. What is looked at: host ports, and host paths (device
files among them) that a container may write to. The operator's own cache of models is made to be shared.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from modelfleet.rollout import manifests, nodes
from modelfleet.rollout.affinity import Conjunction
from modelfleet.rollout.snapshot import Overlap

EXAMPLES = 5


def host_resources(template: Mapping[str, Any]) -> frozenset[str]:
    """What a pod template takes of the host, in words."""
    spec = template.get("spec") or {}
    containers = [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]
    return frozenset({*_ports(spec, containers), *_paths(spec, containers)})


def _ports(spec: Mapping[str, Any], containers: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    on_host = bool(spec.get("hostNetwork"))
    for container in containers:
        for port in container.get("ports") or []:
            number = port.get("hostPort") or (port.get("containerPort") if on_host else None)
            if number:
                yield f"host port {number}/{port.get('protocol') or 'TCP'}"


def _paths(spec: Mapping[str, Any], containers: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    written = {
        mount["name"]
        for container in containers
        for mount in container.get("volumeMounts") or []
        if not mount.get("readOnly")
    }
    for volume in spec.get("volumes") or []:
        path = (volume.get("hostPath") or {}).get("path")
        if path and volume["name"] in written and path.rstrip("/") != manifests.NODE_CACHE:
            yield f"host path {path.rstrip('/') or '/'}"


def find(
    mine: frozenset[str],
    selectors: tuple[Conjunction, ...],
    others: Iterable[tuple[str, frozenset[str], tuple[Conjunction, ...]]],
    all_nodes: Iterable[Mapping[str, Any]],
) -> tuple[Overlap, ...]:
    """At most five examples of nodes that `others` (name, resources, selectors) want the same of."""
    rivals = [(name, mine & theirs, selected) for name, theirs, selected in others if mine & theirs]
    if not rivals:
        return ()
    found: list[Overlap] = []
    for node in all_nodes:
        labels = nodes.labels_of(node)
        if nodes.first_match(labels, selectors) is None:
            continue
        for name, shared, selected in rivals:
            if nodes.first_match(labels, selected) is not None:
                found.append(Overlap(node["metadata"]["name"], name, tuple(sorted(shared))))
        if len(found) >= EXAMPLES:
            break
    return tuple(found[:EXAMPLES])
