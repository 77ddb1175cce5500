"""Prefetching on a real API server with the real DaemonSet controller; only the nodes are simulated."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from harness import Cluster, OperatorProcess
from harness.prometheus import Prometheus
from worlds.rollout import FINE, Fleet, check, model_version, nodes

SLOW = {"soak": "20s", "interval": "1s", "timeout": "5m", "checks": [check(FINE)]}


@pytest.fixture
def fleet(crds: Cluster, namespace: str, kwok_nodes: Callable[..., list[str]]) -> Fleet:
    """One canary and three others."""
    canary, rest = nodes(kwok_nodes, namespace, 1, 3)
    return Fleet(crds, namespace, canary, rest)


def pods(fleet: Fleet) -> set[str]:
    """The nodes with a pod that fetches ahead."""
    selector = f"modelfleet.dev/prefetch={fleet.name}"
    return {pod["spec"].get("nodeName", "") for pod in fleet.list("pods", selector)}


def test_the_next_groups_nodes_have_a_pod_that_fetches_while_the_canary_soaks(
    fleet: Fleet, prometheus: Prometheus, operator: OperatorProcess
) -> None:
    fleet.apply(model_version("v1"), model_version("v2"))
    fleet.rollout("v1")
    fleet.wait(lambda: fleet.is_at("v1"), "v1 on all nodes")
    fleet.rollout("v2", delivery={"prefetch": True}, gate=SLOW)
    fleet.wait(lambda: pods(fleet) == set(fleet.rest), "pods that fetch, on the nodes of the next group")
    assert fleet.status["currentGroup"] == "canary"
    assert {fleet.running[node] for node in fleet.rest} == {"v1"}, "they are none of the group's pods"
    taken = fleet.get("daemonset", "line.prefetch")
    assert taken["metadata"]["ownerReferences"][0]["name"] == "line"
    fleet.wait(lambda: fleet.is_at("v2"), "v2 on all nodes")
    fleet.wait(lambda: pods(fleet) == set(), "nothing is left of them")
    assert "line.prefetch" not in json.dumps(fleet.list("daemonsets"))
