"""What the demo would take of somebody else's cluster, and what keeps it from that: decided before anything is written.

Pure: from what kubectl has read to a ``Plan``, or to everything that has to be different first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

Object = Mapping[str, Any]

NAMESPACE = "modelfleet-demo"
MARK = "modelfleet.dev/demo"  # label of the namespace; an annotation of the same name holds the plan
OLDEST = (1, 31)  # Kubernetes
_GROUP = "modelfleet.dev/"
_TOO_FEW = """\
{number} of its nodes can be used, and the demo needs at least two: the gate compares a canary node with control nodes
that still run the old version at the same time, and on one node there is nothing to compare. {unusable}For more nodes:
  kind      a configuration with two entries `- role: worker` under `nodes:`; kind create cluster --config=FILE
  k3d       k3d cluster create NAME --agents 2
  minikube  minikube start --nodes 3"""


class Refused(Exception):
    """The demo doesn't touch this cluster; the message says why, and what to do."""


@dataclass(frozen=True)
class Found:
    """What is in the cluster.

    version: the API server's, as ``gitVersion``.
    may_do_everything: whether the context's user is an administrator.
    namespace: that of the demo, if it is there.
    installed: modelfleet's own objects outside the demo (Deployments, ClusterRoles, ...), as kind/name.
    crds: those of modelfleet.dev that are there; `crds_differ` from those of this checkout.
    objects: objects of these kinds in any namespace, as namespace/name.
    """

    version: str
    may_do_everything: bool
    nodes: Sequence[Object]
    namespace: Object | None = None
    installed: Sequence[str] = ()
    crds: Sequence[str] = ()
    crds_differ: bool = False
    objects: Sequence[str] = ()


@dataclass(frozen=True)
class Plan:
    """What is taken, and written down in the cluster, so that a later process can give it back.

    nodes: the canary first, then the fleet; `training` is one of them where there is no other.
    """

    nodes: tuple[str, ...]
    training: str
    brings_crds: bool

    @property
    def labels(self) -> dict[str, dict[str, str]]:
        """The labels of each node, which are the ones that examples/demo selects."""
        canary, *fleet = self.nodes
        wanted = {canary: {"modelfleet.dev/app": "line", "modelfleet.dev/group": "canary"}}
        wanted |= {node: {"modelfleet.dev/app": "line"} for node in fleet}
        wanted[self.training] = {**wanted.get(self.training, {}), "modelfleet.dev/role": "training"}
        return wanted

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Plan:
        written = json.loads(text)
        return cls(tuple(written["nodes"]), written["training"], written["brings_crds"])


def plan(found: Found) -> Plan:
    """Choose nodes: a canary, one or two for the fleet, and a fourth to train on where there is one.

    They are of one architecture, that of most: what differs between two builds of a runtime should not differ between
    canary and control. Raises Refused with every reason.
    """
    usable = _of_one_architecture([node for node in found.nodes if not _unusable(node)])
    reasons = list(_reasons(found, usable))
    if reasons:
        raise Refused("\n".join(f"- {reason}" for reason in reasons))
    edge = tuple(usable[:3])
    return Plan(edge, usable[3] if len(usable) > 3 else edge[-1], brings_crds=not found.crds)


def _reasons(found: Found, usable: Sequence[str]) -> Iterator[str]:
    version = tuple(int(part) for part in re.findall(r"\d+", found.version)[:2])
    if version < OLDEST:
        yield f"Kubernetes {found.version} is too old: {OLDEST[0]}.{OLDEST[1]} or newer is needed."
    if not found.may_do_everything:
        yield "The context's user is no administrator (kubectl auth can-i '*' '*'), and CRDs and node labels take one."
    if found.namespace is not None:
        if MARK in found.namespace["metadata"].get("labels", {}):
            yield f"Namespace {NAMESPACE} is there: an earlier demo left it. Remove it with: make demo-down CONTEXT=..."
            return  # that takes away the rest of it, too
        yield f"Namespace {NAMESPACE} is there, and the demo did not make it: rename or remove it."
    if found.installed:
        yield (
            f"modelfleet is installed here: {_some(found.installed)}. Two operators would work against each other: "
            "use another cluster, or uninstall it."
        )
    if found.objects:
        yield f"There are objects of modelfleet's kinds: {_some(found.objects)}. Use another cluster, or remove them."
    if found.crds_differ:
        yield (
            f"modelfleet's CRDs are there, and are not those of this checkout: {_some(found.crds)}. Apply crds/, or "
            "remove them."
        )
    for node in found.nodes:
        if ours := [key for key in node["metadata"].get("labels", {}) if key.startswith(_GROUP)]:
            yield f"Node {node['metadata']['name']} has labels of modelfleet: {_some(ours)}. Remove them."
    if len(usable) < 2:
        blocked = [f"{node['metadata']['name']} ({why})" for node in found.nodes if (why := _unusable(node))]
        unusable = f"Not usable: {_some(blocked)}. " if blocked else ""
        yield _TOO_FEW.format(number=len(usable), unusable=unusable)


def _unusable(node: Object) -> str | None:
    """Why no pod of the demo would run there."""
    spec, status = node.get("spec", {}), node.get("status", {})
    if not any(each["type"] == "Ready" and each["status"] == "True" for each in status.get("conditions", ())):
        return "not ready"
    if spec.get("unschedulable"):
        return "cordoned"
    if status["nodeInfo"]["operatingSystem"] != "linux":
        return "not Linux"
    taints = [taint["key"] for taint in spec.get("taints", ()) if taint["effect"] in ("NoSchedule", "NoExecute")]
    return f"taint {taints[0]}" if taints else None


def _of_one_architecture(nodes: Iterable[Object]) -> list[str]:
    by_architecture: dict[str, list[str]] = {}
    for node in sorted(nodes, key=lambda each: str(each["metadata"]["name"])):
        by_architecture.setdefault(node["status"]["nodeInfo"]["architecture"], []).append(node["metadata"]["name"])
    return max(by_architecture.values(), key=len, default=[])


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
