"""Raw nodes read for a rollout: which group they belong to, whether they can be reached, whether pods may run there."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from modelfleet.rollout import affinity
from modelfleet.rollout.affinity import Conjunction, Requirement
from modelfleet.rollout.snapshot import NodeState
from modelfleet.times import parse_optional_time, parse_time
from modelfleet.workloads.pods import required_nodes

# Taints that say how a node is, not what it is for. They come and go, and DaemonSets tolerate them or wait.
_CONDITION_TAINTS = "node.kubernetes.io/"
ARCHITECTURE = "kubernetes.io/arch"
"""The label by which every kubelet says what its node is: amd64, arm64."""


def labels_of(node: Mapping[str, Any]) -> Mapping[str, str]:
    """A raw node's labels."""
    labels: Mapping[str, str] = node["metadata"].get("labels") or {}
    return labels


def values_of(key: str, nodes: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The value of a label on each raw node that has it, by the node's name."""
    return {node["metadata"]["name"]: labels_of(node)[key] for node in nodes if key in labels_of(node)}


def node_state(node: Mapping[str, Any]) -> NodeState:
    """Reachable means that the kubelet reports Ready: no other node says anything about a version."""
    created = parse_time(node["metadata"]["creationTimestamp"])
    architecture = labels_of(node).get(ARCHITECTURE, "")
    for entry in (node.get("status") or {}).get("conditions") or []:
        if entry.get("type") == "Ready":
            changed = parse_optional_time(entry.get("lastTransitionTime"))
            return NodeState(node["metadata"]["name"], entry.get("status") == "True", changed or created, architecture)
    return NodeState(node["metadata"]["name"], False, created, architecture)


def first_match(labels: Mapping[str, str], selectors: Sequence[Conjunction]) -> int | None:
    """The group a node belongs to: the first whose selector it matches. None for no group at all."""
    return next((index for index, selector in enumerate(selectors) if affinity.matches(selector, labels)), None)


def kept_off(pod_spec: Mapping[str, Any], node: Mapping[str, Any]) -> str:
    """What keeps a DaemonSet with this pod spec off the node: node selector, affinity, or a taint; "" for nothing.

    As the DaemonSet controller judges it, except that taints of passing conditions do not count.
    """
    labels = labels_of(node)
    if any(labels.get(key) != value for key, value in (pod_spec.get("nodeSelector") or {}).items()):
        return "the template's nodeSelector"
    required = required_nodes(pod_spec)
    if required is not None and not any(_term_matches(term, node) for term in required.get("nodeSelectorTerms") or []):
        return "the template's node affinity"
    tolerations = pod_spec.get("tolerations") or []
    for taint in (node.get("spec") or {}).get("taints") or []:
        passes = taint.get("effect") not in ("NoSchedule", "NoExecute") or taint["key"].startswith(_CONDITION_TAINTS)
        if not passes and not any(_tolerates(toleration, taint) for toleration in tolerations):
            value = f"={taint['value']}" if taint.get("value") else ""
            return f"the taint {taint['key']}{value}:{taint['effect']}"
    return ""


def _requirements(entries: Iterable[Mapping[str, Any]]) -> Conjunction:
    return tuple(Requirement(e["key"], e["operator"], tuple(e.get("values") or ())) for e in entries)


def _term_matches(term: Mapping[str, Any], node: Mapping[str, Any]) -> bool:
    expressions, fields = term.get("matchExpressions") or [], term.get("matchFields") or []
    if not expressions and not fields:
        return False
    return affinity.matches(_requirements(expressions), labels_of(node)) and affinity.matches(
        _requirements(fields), {"metadata.name": node["metadata"]["name"]}
    )


def _tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    if toleration.get("effect") not in (None, "", taint.get("effect")):
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in (None, "", taint["key"])
    return toleration.get("key") == taint["key"] and (toleration.get("value") or "") == (taint.get("value") or "")
