"""A Rollout that is made again beside its children, as after a restore from a backup: no uids, no owners, no status."""

from __future__ import annotations

import json

from harness import OperatorProcess
from harness.prometheus import Prometheus
from worlds.rollout import Fleet, model_version


def test_children_are_adopted_and_the_pods_go_on(
    fleet: Fleet, prometheus: Prometheus, operator: OperatorProcess
) -> None:
    fleet.apply(model_version("v1"), model_version("v2"))
    fleet.rollout("v1")
    fleet.wait(lambda: fleet.is_at("v1"), "v1 on all nodes")
    fleet.rollout("v2", gate={"soak": "5m", "interval": "1s", "timeout": "30m", "checks": []})
    fleet.wait(lambda: fleet.status.get("phase") == "Soaking", "the soak")
    fleet.annotate("abort", "v2")
    fleet.wait(fleet.rolled_back, "the rollback")
    pods = {pod["metadata"]["uid"] for pod in fleet.list("pods")}
    saved = fleet.get("rollout", fleet.name)

    operator.stop()
    fleet.cluster.kubectl("delete", "rollout", fleet.name, f"--namespace={fleet.namespace}", "--cascade=orphan")
    assert all("ownerReferences" not in each["metadata"] for each in fleet.list("daemonsets"))
    annotations = {k: v for k, v in saved["metadata"]["annotations"].items() if "last-applied" not in k}
    fleet.apply(
        {
            "apiVersion": saved["apiVersion"],
            "kind": "Rollout",
            "metadata": {"name": fleet.name, "annotations": annotations},
            "spec": saved["spec"],
        }
    )
    operator.restart()
    fleet.wait(fleet.rolled_back, "the same as before")
    assert [entry["version"] for entry in fleet.status["quarantined"]] == ["v2"]
    assert fleet.status["stableVersion"] == "v1"
    assert {pod["metadata"]["uid"] for pod in fleet.list("pods")} == pods
    uid = fleet.get("rollout", fleet.name)["metadata"]["uid"]
    ours = [
        each
        for each in fleet.list("controllerrevisions")
        if "controller-revision-hash" not in each["metadata"]["labels"]
    ]
    assert len(ours) == 2
    for child in (*fleet.list("daemonsets"), *ours):
        assert [owner["uid"] for owner in child["metadata"]["ownerReferences"]] == [uid], json.dumps(child["metadata"])
