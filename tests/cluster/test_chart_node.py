"""The chart on a real node: the operator's image, its rights, and `helm test`, which says whether it is well."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from harness import Cluster, binaries, images
from harness.image import ImageRef
from harness.paths import REPOSITORY

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(os.geteuid() != 0, reason="real nodes need root"),
]
NAMESPACE = "system"
CHART = REPOSITORY / "charts/modelfleet"


@pytest.fixture(scope="module")
def image() -> ImageRef:
    return images.ensure("operator")


@pytest.fixture(scope="module")
def cluster(image: ImageRef) -> Iterator[Cluster]:
    with Cluster(nodes=True) as started:
        started.add_node("one", images=[image])
        started.kubectl("create", "namespace", "line-a")
        yield started


def helm(cluster: Cluster, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [binaries.path("helm"), *arguments, f"--namespace={NAMESPACE}"],
        env={**os.environ, "KUBECONFIG": str(cluster.kubeconfig)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_in_one_namespace_it_becomes_ready_and_helm_test_says_so(cluster: Cluster, image: ImageRef) -> None:
    repository, _, tag = image.name.rpartition(":")
    values = [f"--set-string=image.repository={repository},image.tag={tag},image.pullPolicy=Never"]
    done = helm(
        cluster, "install", "modelfleet", str(CHART), "--create-namespace", "--wait", "--timeout=3m", *values,
        "--set=watchNamespaces={line-a},networkPolicy.enabled=true,podDisruptionBudget.enabled=true",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + cluster.kubectl("-n", NAMESPACE, "describe", "pods")
    version = (
        "apiVersion: modelfleet.dev/v1alpha1\nkind: Rollout\nmetadata: {name: line, namespace: line-a}\n"
        "spec: {model: {name: parts, tag: latest}, groups: [{name: all, nodeSelector: {}}],"
        " template: {spec: {containers: [{name: agent}]}}}\n"
    )
    cluster.kubectl("create", "--filename=-", input=version)
    # it may read nodes, and write status and Events in the one namespace: more is not needed to say this
    cluster.kubectl("-n", "line-a", "wait", "--for=condition=Stalled", "--timeout=180s", "rollouts.modelfleet.dev/line")

    done = helm(cluster, "test", "modelfleet", "--logs", "--timeout=5m")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ready:" in done.stdout
    assert "metrics of modelfleet" in done.stdout


def test_helm_test_fails_while_no_operator_answers(cluster: Cluster) -> None:
    cluster.kubectl("-n", NAMESPACE, "scale", "deployment/modelfleet", "--replicas=0")
    cluster.kubectl(
        "-n", NAMESPACE, "wait", "--for=delete", "pod", "--selector=app.kubernetes.io/name=modelfleet", "--timeout=180s"
    )
    done = helm(cluster, "test", "modelfleet", "--timeout=5m")
    assert done.returncode != 0
