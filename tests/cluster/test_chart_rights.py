"""Two operators with the rights that the chart gives, and no other: a fleet's life from the first install on, through a
rollback, a training, a Dataset and a leader that is killed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import Cluster, OperatorProcess, binaries
from harness.paths import REPOSITORY
from harness.processes import wait_until
from harness.prometheus import Prometheus
from worlds.operator_proxy import Behind
from worlds.rollout import ONLY_V2_IS_BAD, Fleet, model_version
from worlds.training import training_job

ACCOUNT = "modelfleet"
RIGHTS = ("ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")


def account_of_the_chart(cluster: Cluster, namespace: str, *values: str) -> dict[str, Any]:
    """Make the chart's service account and its rights in this namespace; a kubeconfig for it."""
    given = [f"--set={each}" for each in (*values, f"fullnameOverride={ACCOUNT}", f"serviceAccount.name={ACCOUNT}")]
    chart = REPOSITORY / "charts/modelfleet"
    text = subprocess.run(
        [binaries.path("helm"), "template", "release", chart, f"--namespace={namespace}", *given],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    objects = [each for each in yaml.load_all(text, yaml.CSafeLoader) if each and each["kind"] in RIGHTS]
    for each in objects:
        if each["kind"].startswith("Cluster"):  # of one name for all tests on this API server
            each["metadata"]["name"] = f"{namespace}-{each['metadata']['name']}"
            if "roleRef" in each:
                each["roleRef"]["name"] = f"{namespace}-{each['roleRef']['name']}"
    document = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    cluster.kubectl("apply", f"--namespace={namespace}", "--filename=-", input=document)
    token = cluster.kubectl("create", "token", ACCOUNT, f"--namespace={namespace}", "--duration=2h").strip()
    config: dict[str, Any] = yaml.safe_load(cluster.kubeconfig.read_text())
    config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
    return config


@pytest.fixture
def start(
    crds: Cluster, namespace: str, prometheus: Prometheus, tmp_path: Path
) -> Iterator[Callable[[str], OperatorProcess]]:
    """Start an operator as the chart's service account."""
    kubeconfig = tmp_path / "kubeconfig"
    config = account_of_the_chart(crds, namespace, "replicas=2", f"watchNamespaces={{{namespace}}}")
    kubeconfig.write_text(json.dumps(config))
    # a leader that is late ends, and here nobody starts it again: a busy machine must not make it late
    terms = {"leaseDuration": "20s", "renewDeadline": "15s", "retryPeriod": "500ms"}
    settings = {
        "prometheus": {"url": prometheus.url},
        "leaderElection": {"enabled": True, "name": ACCOUNT, "namespace": namespace, **terms},
    }

    started: list[OperatorProcess] = []

    def start(name: str) -> OperatorProcess:
        cluster = Behind(crds.supervisor, kubeconfig)
        operator = OperatorProcess(cluster, settings, namespaces=[namespace], name=f"{namespace}-{name}")
        started.append(operator)
        return operator.start()

    yield start
    for operator in started:
        if operator.alive:
            operator.stop()
    crds.kubectl("delete", "clusterrole,clusterrolebinding", f"{namespace}-{ACCOUNT}")


def test_two_operators_do_all_their_work_with_the_charts_rights(
    fleet: Fleet, start: Callable[[str], OperatorProcess]
) -> None:
    may = ("auth", "can-i", "get", "secrets", f"--as=system:serviceaccount:{fleet.namespace}:{ACCOUNT}")
    assert fleet.cluster.kubectl(*may, f"--namespace={fleet.namespace}", check=False).strip() == "no"
    first = start("first")
    assert wait_until(lambda: "modelfleet_operator_leader 1.0" in first.metrics(), 20)
    second = start("second")
    fleet.apply(model_version("v1"), model_version("v2"), model_version("v3"))
    fleet.rollout("v1")
    fleet.wait(lambda: fleet.is_at("v1"), "v1")
    fleet.rollout("v2", query=ONLY_V2_IS_BAD)
    fleet.wait(fleet.rolled_back, "the rollback of v2")
    fleet.apply(training_job("parts-v9", version="v9"))
    fleet.wait(lambda: bool(fleet.list("jobs")), "a training's Job")
    first.kill9()
    fleet.rollout("v3", delivery={"capture": {"destination": "s3://captures/"}})
    fleet.wait(lambda: fleet.is_at("v3"), "v3, by the operator that stood by")
    fleet.cluster.kubectl("delete", "rollout", fleet.name, f"--namespace={fleet.namespace}", "--wait=false")
    fleet.wait(lambda: not fleet.list("daemonsets"), "the end of the DaemonSets")
    said = first.log.read_text() + second.log.read_text()
    assert "forbidden" not in said.lower()
