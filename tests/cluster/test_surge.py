"""maxSurge on a real API server with the real DaemonSet controller: no node is without a ready pod at any moment.

Read from a watch, in which each change of a pod is seen, in the order in which they were made.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness import Behaviour, Cluster, OperatorProcess
from harness.prometheus import Prometheus
from worlds.kube_watch import Watch
from worlds.rollout import FINE, ONLY_V2_IS_BAD, Fleet, check, model_version, nodes

Json = dict[str, Any]


@pytest.fixture
def fleet(crds: Cluster, namespace: str, kwok_nodes: Callable[..., list[str]]) -> Fleet:
    """One canary and three others."""
    canary, rest = nodes(kwok_nodes, namespace, 1, 3)
    return Fleet(crds, namespace, canary, rest)


class Seen:
    """What a watch saw of the fleet's pods, from the moment on at which all nodes had a ready one."""

    def __init__(self, fleet: Fleet) -> None:
        self._nodes = frozenset([*fleet.canary, *fleet.rest])
        self._ready: dict[str, dict[str, str]] = defaultdict(dict)  # by node: the versions of its ready pods, by name
        self.without: list[str] = []
        """Nodes that lost their last ready pod."""
        self.beside: set[tuple[str, ...]] = set()
        """Versions that were ready on one node at once."""

    def change(self, type: str, pod: Json) -> None:
        metadata, node = pod["metadata"], pod["spec"].get("nodeName", "")
        if node not in self._nodes or "modelfleet.dev/group" not in metadata["labels"]:
            return
        here = self._ready[node]
        conditions = pod["status"].get("conditions", ())
        if type != "DELETED" and any(each["type"] == "Ready" and each["status"] == "True" for each in conditions):
            here[metadata["name"]] = metadata["labels"]["modelfleet.dev/version"]
        elif here.pop(metadata["name"], None) and not here:
            self.without.append(node)
        if len(here) > 1:
            self.beside.add(tuple(sorted(here.values())))

    @property
    def serving(self) -> bool:
        """All nodes have a ready pod."""
        return self._nodes == {node for node, pods in self._ready.items() if pods}


@pytest.fixture
def slow(crds: Cluster) -> None:
    """Pods take half a second to be ready; that they have none of it would hide what comes first."""
    crds.kwok.behave(Behaviour({"modelfleet.dev/rollout": "line"}, delay=0.5))


@pytest.fixture
def seen(fleet: Fleet, slow: None) -> Iterator[Seen]:
    found = Seen(fleet)
    with Watch(fleet.cluster, "pods", found.change, "modelfleet.dev/rollout=line"):
        yield found


def budgets(fleet: Fleet, **given: int | str) -> list[Json]:
    return [fleet.group("canary", **given), fleet.group("fleet", **given)]


def test_an_upgrade_and_a_rollback_with_a_surge_leave_no_node_without_a_ready_pod(
    fleet: Fleet, seen: Seen, prometheus: Prometheus, operator: OperatorProcess
) -> None:
    surge = budgets(fleet, maxUnavailable=0, maxSurge="50%")
    fleet.apply(*(model_version(version) for version in ("v1", "v2", "v3")))
    fleet.rollout("v1", groups=surge)
    fleet.wait(lambda: fleet.is_at("v1") and seen.serving, "v1 on all nodes")

    fleet.rollout("v3", groups=surge)
    fleet.wait(lambda: fleet.is_at("v3"), "v3 on all nodes")
    assert seen.without == []
    assert seen.beside == {("v1", "v3")}
    assert fleet.condition("PodsMissing") == {}

    fleet.rollout("v2", query=ONLY_V2_IS_BAD, groups=surge)
    fleet.wait(lambda: fleet.rolled_back("v3"), "the rollback")
    assert ("v2", "v3") in seen.beside
    assert seen.without == []
    assert fleet.templates("fleet") == {"v1", "v3"}

    fleet.rollout("v1", groups=budgets(fleet, maxUnavailable=1))
    fleet.wait(lambda: fleet.is_at("v1"), "v1 on all nodes")
    assert set(seen.without) == {*fleet.canary, *fleet.rest}, "the watch does see what a surge prevents"


def test_a_second_pod_that_a_quota_refuses_is_named_and_nothing_is_lost(
    fleet: Fleet, seen: Seen, prometheus: Prometheus, operator: OperatorProcess
) -> None:
    surge = budgets(fleet, maxUnavailable=0, maxSurge=1)
    fleet.apply(model_version("v1"), model_version("v2"))
    fleet.rollout("v1", groups=surge)
    fleet.wait(lambda: fleet.is_at("v1") and seen.serving, "v1 on all nodes")
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "full"}, "spec": {"hard": {"pods": "4"}}}
    fleet.apply(quota)
    fleet.wait(lambda: fleet.get("resourcequota", "full").get("status", {}).get("used") == {"pods": "4"}, "the quota")

    gate = {"soak": "3s", "interval": "1s", "timeout": "5m", "checks": [check(FINE)]}
    fleet.rollout("v2", groups=surge, gate=gate, progressDeadline="15s")
    fleet.wait(lambda: fleet.condition("Stalled").get("reason") == "ClusterRefuses", "the reason")
    assert "exceeded quota: full" in fleet.condition("Stalled")["message"]
    assert f"No pod was created on {fleet.canary[0]}" in fleet.condition("PodsMissing")["message"]
    assert fleet.running == dict.fromkeys([*fleet.canary, *fleet.rest], "v1")
    fleet.cluster.kubectl("delete", "resourcequota", "full", f"--namespace={fleet.namespace}")
    fleet.wait(lambda: fleet.is_at("v2"), "v2, once there is room")
    assert seen.without == []
