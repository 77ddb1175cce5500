"""What the cluster refuses is said in its own words, and not held against the version."""

from __future__ import annotations

import json
from collections.abc import Callable

from harness import Cluster, OperatorProcess
from harness.prometheus import Prometheus
from worlds.rollout import Fleet, model_version
from worlds.training import Space, training_job


def test_a_quota_in_the_middle_of_a_rollout(fleet: Fleet, prometheus: Prometheus, operator: OperatorProcess) -> None:
    fleet.apply(model_version("v1"), model_version("v2"))
    fleet.rollout("v1")
    fleet.wait(lambda: fleet.is_at("v1"), "v1 on all nodes")
    fleet.apply(
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "full"}, "spec": {"hard": {"pods": "1"}}}
    )
    fleet.wait(lambda: bool(fleet.get("resourcequota", "full").get("status", {}).get("used")), "the quota's count")
    fleet.rollout("v2", progressDeadline="10s")
    fleet.wait(lambda: "exceeded quota: full" in fleet.condition("PodsMissing").get("message", ""), "the words")
    fleet.wait(lambda: fleet.condition("Stalled").get("reason") == "ClusterRefuses", "the hold")
    assert "exceeded quota: full" in fleet.condition("Stalled")["message"]
    assert fleet.canary[0] in fleet.condition("Stalled")["message"]
    assert fleet.status["quarantined"] == []
    assert fleet.running == dict.fromkeys(fleet.rest, "v1")  # the others keep what they run
    fleet.cluster.kubectl("delete", "resourcequota", "full", f"--namespace={fleet.namespace}")
    fleet.wait(lambda: fleet.is_at("v2"), "v2 on all nodes", patience=120)  # the controller's own backoff
    assert fleet.templates("fleet") == {"v1", "v2"}


def test_a_quota_before_a_training(
    crds: Cluster, namespace: str, kwok_nodes: Callable[..., list[str]], operator: OperatorProcess
) -> None:
    (node,) = kwok_nodes(1, labels={"for": namespace}, prefix="trainer")
    space = Space(crds, namespace, node)
    space.apply(
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "full"}, "spec": {"hard": {"pods": "0"}}}
    )
    space.until(lambda: (space.get("resourcequota", "full") or {}).get("status"))
    space.apply(training_job())
    said = space.until_reason("NoPods", patience=30)  # well before the minute after which a Job without pods is odd
    assert "exceeded quota: full" in said
    assert space.conditions()["Reconciling"]["status"] == "True", "it is held, and nothing has failed"
    space.delete("resourcequota", "full")
    space.until_running()  # the Job controller's own backoff
    space.until_reason("Training")


def test_a_taint_that_empties_a_group(fleet: Fleet, prometheus: Prometheus, operator: OperatorProcess) -> None:
    fleet.apply(model_version("v1"), model_version("v2"))
    template = {"spec": {"containers": [{"name": "agent"}], "tolerations": [{"key": "kwok.x-k8s.io/node"}]}}
    fleet.rollout("v1", template=template)
    fleet.wait(lambda: fleet.is_at("v1"), "v1 on all nodes")
    gate = {"soak": "5m", "interval": "1s", "timeout": "30m", "checks": []}
    fleet.rollout("v2", template=template, gate=gate)
    fleet.wait(lambda: fleet.status.get("phase") == "Soaking", "the soak")
    node = fleet.canary[0]
    taints = json.dumps({"spec": {"taints": [{"key": "repair", "value": "camera", "effect": "NoExecute"}]}})
    fleet.cluster.kubectl("patch", "node", node, "--type=merge", f"--patch={taints}")
    said = f"{node} matches, but the taint repair=camera:NoExecute keeps its pods off"
    fleet.wait(lambda: said in fleet.condition("GroupsWithoutNodes").get("message", ""), "the taint's name")
    assert said in fleet.condition("Ready")["message"]
    assert (fleet.status["gate"]["verdict"], fleet.status["gate"]["canaryNodes"]) == ("NoData", 0)
    assert "has no node now" in fleet.status["gate"]["message"]
    fleet.cluster.kubectl("patch", "node", node, "--type=merge", '--patch={"spec": {"taints": []}}')
    fleet.wait(lambda: fleet.status.get("phase") == "Soaking", "the soak again")
    assert fleet.templates("fleet") == {"v1"}
