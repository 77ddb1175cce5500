"""The chart: what it renders is accepted by a real API server, and bad values are refused with the field's name."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import binaries

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "modelfleet"


def helm(*arguments: str, kubeconfig: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ) if kubeconfig is None else {**os.environ, "KUBECONFIG": str(kubeconfig)}
    program = binaries.ensure(["helm"]) / "helm"
    return subprocess.run([program, *arguments], env=environment, capture_output=True, text=True, check=False)


def rendered(*values: str) -> list[dict[str, Any]]:
    done = helm("template", "modelfleet", str(CHART), "--namespace", "system", *(f"--set={v}" for v in values))
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def test_lint() -> None:
    done = helm("lint", "--strict", str(CHART))
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_charts_crds_are_the_generated_ones() -> None:
    mine = {path.name: path.read_text() for path in (ROOT / "crds").glob("*.yaml")}
    charts = {path.name: path.read_text() for path in (CHART / "files" / "crds").glob("*.yaml")}
    assert mine == charts, "run `make crds`"


@pytest.mark.parametrize(
    "value",
    [
        "prometheus.url=prometheus:9090",
        "image.pullPolicy=Sometimes",
        "promtheus.url=http://x",
        "logFormat=xml",
        "image.digest=abc",
    ],
)
def test_bad_values_are_refused(value: str) -> None:
    done = helm("template", "modelfleet", str(CHART), f"--set={value}")
    assert done.returncode != 0
    assert value.partition("=")[0].partition(".")[0] in done.stderr


def test_namespaces_narrow_the_rights() -> None:
    objects = rendered("watchNamespaces={a,b}")
    [cluster_role] = [o for o in objects if o["kind"] == "ClusterRole" and o["metadata"]["name"] == "modelfleet"]
    assert [rule["resources"] for rule in cluster_role["rules"]] == [["nodes"]]
    assert {o["metadata"]["namespace"] for o in objects if o["kind"] == "Role"} == {"a", "b"}
    [deployment] = [o for o in objects if o["kind"] == "Deployment"]
    arguments = deployment["spec"]["template"]["spec"]["containers"][0]["args"]
    assert {"--namespace=a", "--namespace=b"} <= set(arguments)


def test_no_right_to_read_secrets_or_to_do_everything() -> None:
    for role in (o for o in rendered() if o["kind"] in ("Role", "ClusterRole")):
        for rule in role["rules"]:
            assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"]
            assert not {"secrets", "configmaps"} & set(rule["resources"])


def test_installs_into_a_restricted_namespace(control_plane: Any) -> None:
    """`helm install` on a real API server; the pod itself needs a node and is run by the demo."""
    try:
        done = helm(
            "install", "chart-test", str(CHART), "--namespace", "chart-test", "--create-namespace",
            "--set=prometheus.url=http://prometheus:9090",
            "--take-ownership", "--force-conflicts",  # other tests have installed the CRDs already
            kubeconfig=control_plane.kubeconfig,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        control_plane.kubectl(
            "label", "namespace", "chart-test", "pod-security.kubernetes.io/enforce=restricted", "--overwrite"
        )
        pod = yaml.safe_load(
            control_plane.kubectl("-n", "chart-test", "get", "deployment", "chart-test-modelfleet", "-o", "yaml")
        )["spec"]["template"]
        pod |= {"apiVersion": "v1", "kind": "Pod"}
        pod["metadata"] = {"name": "as-restricted", "namespace": "chart-test"}
        control_plane.kubectl("create", "--dry-run=server", "-f", "-", input=yaml.safe_dump(pod))
    finally:
        helm("uninstall", "chart-test", "--namespace", "chart-test", "--wait", kubeconfig=control_plane.kubeconfig)
