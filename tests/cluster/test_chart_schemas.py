"""What the chart renders from many values is valid by the API server's own schemas; upgrades can be taken back."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import Cluster, ExistingCluster, binaries, definitions, schemas
from harness.paths import REPOSITORY
from harness.processes import wait_until

CHART = REPOSITORY / "charts/modelfleet"
OPERATOR_KINDS = "github.com/prometheus-operator/prometheus-operator"
DIGEST = f"sha256:{'a' * 64}"
PEER = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}

# Each adds something to what is rendered; the matrix is none, each alone, all but each, and all together.
VALUES: dict[str, dict[str, Any]] = {
    "digest": {"image": {"digest": DIGEST}, "agentImage": f"registry/agent@{DIGEST}"},
    "namespaces": {"watchNamespaces": ["line-a", "line-b"]},
    "monitors": {"podMonitor": {"enabled": True, "labels": {"release": "prometheus"}}},
    "service-monitor": {"serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}}},
    "alerts": {"alerts": {"enabled": True, "alertLabels": {"team": "vision"}, "runbookBaseUrl": "https://runbooks"}},
    "dashboards": {"dashboards": {"enabled": True, "annotations": {"grafana_folder": "fleet"}}},
    "providers": {
        "prometheus": {
            "url": "http://prometheus:9090",
            "providers": {"west": {"url": "https://west", "secretName": "west", "credentials": {"ca": "ca.crt"}}},
        }
    },
    "network-policy": {
        "networkPolicy": {
            "enabled": True,
            "metricsFrom": [PEER],
            "apiServer": {"ports": [6443], "to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]},
            "prometheusTo": [PEER],
            "prometheusPorts": [9090],
            "dnsPorts": [53, 5353],
            "egress": [{"to": [PEER], "ports": [{"port": 3128}]}],
        }
    },
    "budget": {"podDisruptionBudget": {"enabled": True, "maxUnavailable": "50%"}},
    "extra": {
        "extraObjects": [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "{{ .Release.Name }}-ca"},
                "data": {"a": "b"},
            },
            "apiVersion: v1\nkind: Secret\nmetadata: {name: extra}\n",
        ]
    },
    "pods": {
        "imagePullSecrets": [{"name": "registry"}],
        "priorityClassName": "high",
        "nodeSelector": {"zone": "a"},
        "tolerations": [{"key": "system", "operator": "Exists"}],
        "affinity": {"podAntiAffinity": {}},
        "podLabels": {"team": "vision"},
        "podAnnotations": {"note": "x"},
    },
    "no-accounts": {"serviceAccount": {"create": False, "name": "ours"}, "rbac": {"create": False}},
    "no-crds": {"crds": {"install": False}},
    "no-policy": {"admissionPolicy": {"enabled": False}},
}
MATRIX = [names for size in (0, 1, len(VALUES) - 1, len(VALUES)) for names in combinations(VALUES, size)]

Render = Callable[[dict[str, Any]], str]
Conforms = Callable[[dict[str, str]], dict[str, Any]]


@pytest.fixture(scope="module")
def render(tmp_path_factory: pytest.TempPathFactory) -> Render:
    """Manifests of the chart with these values."""
    file = tmp_path_factory.mktemp("values") / "values.json"
    helm = binaries.path("helm")

    def run(values: dict[str, Any]) -> str:
        file.write_text(json.dumps(values))
        command = [helm, "template", "modelfleet", CHART, "--namespace=system", f"--values={file}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="module")
def conforms(crds: Cluster | ExistingCluster, tmp_path_factory: pytest.TempPathFactory) -> Conforms:
    """Kubeconform with what this API server serves, the kinds of the Prometheus Operator included."""
    source = binaries.module_source("prometheus-operator", OPERATOR_KINDS) / "example/prometheus-operator-crd"
    names = ("podmonitors", "servicemonitors", "prometheusrules")
    definitions.install(crds.kubectl, *(source / f"monitoring.coreos.com_{name}.yaml" for name in names))
    wanted = ("apis/monitoring.coreos.com/v1", "apis/modelfleet.dev/v1alpha1")

    def raw(path: str) -> str:
        return crds.kubectl("get", "--raw", path)

    assert wait_until(lambda: all(json.loads(raw("/openapi/v3"))["paths"].get(each) for each in wanted), 60)
    folder = tmp_path_factory.mktemp("schemas")
    assert schemas.write(folder, raw) > 100
    program = binaries.path("kubeconform")

    def run(manifests: dict[str, str]) -> dict[str, Any]:
        files = tmp_path_factory.mktemp("manifests")
        for name, text in manifests.items():
            (files / f"{name}.yaml").write_text(text)
        done = subprocess.run(
            [program, "-strict", f"-schema-location={folder}/{schemas.LOCATION}", "-output=json", "-summary", files],
            capture_output=True,
            text=True,
            check=False,
        )
        return dict(json.loads(done.stdout))

    return run


def merged(names: tuple[str, ...]) -> dict[str, Any]:
    """The values of several rows, none of which sets what another one sets."""
    found: dict[str, Any] = {}
    for name in names:
        assert not found.keys() & VALUES[name].keys()
        found |= VALUES[name]
    return found


def test_each_combination_of_values_renders_what_the_api_server_has_schemas_for(
    render: Render, conforms: Conforms
) -> None:
    rendered = {f"{number}-{'+'.join(names[:3])}": render(merged(names)) for number, names in enumerate(MATRIX)}
    kinds: set[str] = set()
    documents = 0
    for name, manifests in rendered.items():
        objects = [each for each in yaml.load_all(manifests, yaml.CSafeLoader) if each]
        keys = [(o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]) for o in objects]
        assert len(keys) == len(set(keys)), f"{name}: {keys}"
        kinds |= {o["kind"] for o in objects}
        documents += len(objects)
    assert {"NetworkPolicy", "PodDisruptionBudget", "ServiceMonitor", "PodMonitor", "PrometheusRule"} <= kinds
    assert {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"} <= kinds
    found = conforms(rendered)
    assert found["resources"] == []
    assert found["summary"] == {"valid": documents, "invalid": 0, "errors": 0, "skipped": 0}


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ("apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {prots: []}\n", "prots"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {a: 1}\n", "data/a"),
        ("apiVersion: modelfleet.dev/v1alpha1\nkind: Rollout\nmetadata: {name: x}\nspec: {modle: {}}\n", "modle"),
        (
            "apiVersion: monitoring.coreos.com/v1\nkind: PodMonitor\nmetadata: {name: x}\n"
            "spec: {selector: {}, podMetricsEndpoints: [{interval: soon}]}\n",
            "interval",
        ),
        ("apiVersion: v1\nkind: Servise\nmetadata: {name: x}\n", "could not find schema for Servise"),
    ],
)
def test_what_is_wrong_is_found(conforms: Conforms, wrong: str, named: str) -> None:
    [found] = conforms({"wrong": wrong})["resources"]
    assert named in str(found)


def test_the_examples_conform(conforms: Conforms) -> None:
    files = [f for f in sorted((REPOSITORY / "examples").glob("*.yaml")) if "kind:" in f.read_text()]
    assert files
    assert conforms({file.stem: file.read_text() for file in files})["resources"] == []


class Release:
    """A release of the chart in a namespace of its own."""

    def __init__(self, cluster: Cluster | ExistingCluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace

    def helm(self, *arguments: str) -> str:
        done = subprocess.run(
            [binaries.path("helm"), *arguments, f"--namespace={self._namespace}"],
            env={**os.environ, "KUBECONFIG": str(self._cluster.kubeconfig)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def objects(self) -> dict[tuple[str, str], Any]:
        """What the API server has of it, by kind and name: the part that the chart says."""
        kinds = (
            "deployments,services,configmaps,networkpolicies,poddisruptionbudgets,roles,rolebindings,serviceaccounts"
        )
        listed = self._cluster.kubectl(
            "get", kinds, f"--namespace={self._namespace}", "--selector=app.kubernetes.io/part-of=modelfleet", "-ojson"
        )
        return {
            (o["kind"], o["metadata"]["name"]): {key: o.get(key) for key in ("spec", "data", "rules", "roleRef")}
            for o in json.loads(listed)["items"]
        }


def test_an_upgrade_to_other_values_and_a_rollback_leave_what_the_first_install_made(
    crds: Cluster | ExistingCluster, namespace: str, tmp_path: Path
) -> None:
    """Between two sets of values: no chart has been released that one could upgrade from."""
    release = Release(crds, namespace)
    values = tmp_path / "values.json"
    more = merged(("digest", "providers", "network-policy", "budget", "extra", "dashboards", "pods"))
    values.write_text(json.dumps(more | {"watchNamespaces": [namespace]}))
    # CRDs are the fixture's, and of the whole cluster: they are not this release's to take
    release.helm("install", "line", str(CHART), "--set=crds.install=false")
    try:
        first = release.objects()
        release.helm("upgrade", "line", str(CHART), "--set=crds.install=false", f"--values={values}")
        second = release.objects()
        assert {kind for kind, _ in second} - {kind for kind, _ in first} == {
            "NetworkPolicy", "PodDisruptionBudget", "Role", "RoleBinding",
        }  # fmt: skip
        assert second["Deployment", "line-modelfleet"] != first["Deployment", "line-modelfleet"]
        release.helm("rollback", "line", "1")
        assert release.objects() == first
    finally:
        release.helm("uninstall", "line", "--wait")
    assert release.objects() == {}
