"""Nodes on which two Rollouts want the same thing of the host: a port, a folder they write to, a device.

Two Rollouts on one node are fine as long as they share nothing. What is looked at: host ports, and host paths (device
files among them) that a container may write to. The operator's own cache of models is made to be shared.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from modelfleet.api import podshape
from modelfleet.kube import ROLLOUT, Index, Key, Object, Store, View, key_of
from modelfleet.rollout import manifests, membership, nodes
from modelfleet.rollout.affinity import Conjunction
from modelfleet.rollout.snapshot import Overlap
from modelfleet.workloads import host_ports

EXAMPLES = 5


def host_resources(template: Mapping[str, Any]) -> frozenset[str]:
    """What a pod template takes of the host, in words."""
    spec = template.get("spec") or {}
    containers = [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]
    return frozenset({*host_ports.of(spec), *_paths(spec, containers)})


def _paths(spec: Mapping[str, Any], containers: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    written = {
        mount.get("name")
        for container in containers
        for mount in container.get("volumeMounts") or []
        if not mount.get("readOnly")
    }
    for volume in spec.get("volumes") or []:
        path = (volume.get("hostPath") or {}).get("path")
        if path and volume.get("name") in written and path.rstrip("/") != manifests.NODE_CACHE:
            yield f"host path {path.rstrip('/') or '/'}"


def taken(rollout: Object) -> frozenset[str]:
    """What a raw Rollout takes of a host, in words. Nothing where its template has another form than Kubernetes': no
    pod is made from it, and what is wrong is said by its own look."""
    try:
        template = podshape.checked(rollout["spec"].get("template") or {})
    except ValueError:
        return frozenset()
    return host_resources(template)


RESOURCES = View(ROLLOUT, taken)
ROLLOUTS_BY_RESOURCE = Index(ROLLOUT, taken)
"""Rollouts by what their pods take of a host."""


def rivals(
    rollout: Object, selectors: Sequence[Conjunction], store: Store
) -> Iterator[tuple[str, Key, frozenset[str]]]:
    """(node, Rollout, host resources) wherever another Rollout wants the same of a node as this raw one."""
    own = key_of(rollout)
    mine = store.read(RESOURCES, rollout)
    others = set(store.keys(ROLLOUTS_BY_RESOURCE, *mine)) - {own} if mine else set()
    if not others:
        return
    for node in membership.nodes_of(selectors, store):
        if nodes.first_match(nodes.labels_of(node), selectors) is None:
            continue
        for key in sorted(membership.rollouts_of(node, store, others)):
            raw = store.get(ROLLOUT, key.namespace, key.name)
            if raw is not None:
                yield node["metadata"]["name"], key, mine & store.read(RESOURCES, raw)


def find(rollout: Object, selectors: Sequence[Conjunction], store: Store) -> tuple[Overlap, ...]:
    """At most five examples of nodes that other Rollouts want the same of."""
    own = key_of(rollout)
    return tuple(
        Overlap(node, key.name if key.namespace == own.namespace else str(key), tuple(sorted(shared)))
        for node, key, shared in islice(rivals(rollout, selectors, store), EXAMPLES)
    )
