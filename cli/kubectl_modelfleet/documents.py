"""Views as documents for programs (-o json, -o yaml). Names and nesting are kept from release to release."""

from typing import Any

from kubectl_modelfleet.pods import NodeView
from kubectl_modelfleet.view import RolloutView
from modelfleet.times import wire_time


def rollout(shown: RolloutView) -> dict[str, Any]:
    """A Rollout with its nodes."""
    status = shown.status.to_dict()
    return {
        "name": shown.name,
        "namespace": shown.namespace,
        "model": shown.model,
        "version": shown.pinned,
        "tag": shown.tag,
        "paused": shown.paused,
        "standing": shown.standing.value,
        "phase": shown.status.phase,
        "reason": shown.reason,
        "message": shown.message,
        "stableVersion": shown.status.stable_version,
        "stableModel": shown.status.stable_model,
        "candidateVersion": shown.status.candidate_version,
        "candidateModel": shown.status.candidate_model,
        "currentGroup": shown.status.current_group,
        "groups": [
            {**group.status.to_dict(), "approval": group.approval, "nodeList": [_node(node) for node in group.nodes]}
            for group in shown.groups
        ],
        "gate": status.get("gate"),
        "margin": str(shown.margin) if shown.margin is not None else None,
        "drift": status.get("drift"),
        "quarantined": status.get("quarantined", []),
    }


def _node(node: NodeView) -> dict[str, Any]:
    return {
        "name": node.name,
        "pod": node.pod,
        "version": node.version,
        "state": node.state.value,
        "note": node.note,
        "since": wire_time(node.since),
    }
