"""A name that YAML could take for a number, a truth or nothing stays a name wherever the chart puts it."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import binaries
from harness.paths import REPOSITORY
from modelfleet import settings

CHART = REPOSITORY / "charts" / "modelfleet"
PLAIN = "plainname"


class GoLoader(yaml.CSafeLoader):
    """Reads plain scalars as the API server does: beside what PyYAML takes for numbers, those with an exponent."""


GoLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def values(name: str) -> dict[str, Any]:
    """All parts on, and everything that takes a name called so."""
    provider = {"url": "https://a", "secretName": name, "credentials": {"ca": name}}
    return {
        "nameOverride": name,
        "fullnameOverride": name,
        "image": {"repository": name, "tag": name},
        "imagePullSecrets": [{"name": name}],
        "replicas": 2,
        "trainerImage": name,
        "agentImage": name,
        "labelerImage": name,
        "prometheus": provider | {"providers": {name: provider}, "default": name},
        "verification": {"template": {"metadata": {"labels": {name: name}}, "spec": {"serviceAccountName": name}}},
        "retention": {"models": {name: 3}},
        "notifications": {
            "cluster": name,
            "endpoints": {
                name: {
                    "urlFile": name,
                    "signingKey": name,
                    "secretName": name,
                    "credentials": {"bearerToken": name},
                    "namespaces": [name],
                    "labels": {name: name},
                }
            },
        },
        "watchNamespaces": [name],
        "serviceAccount": {"name": name, "annotations": {name: name}},
        "settings": {"leaderElection": {"name": name, "namespace": name}},
        "podAnnotations": {name: name},
        "podLabels": {name: name},
        "nodeSelector": {name: name},
        "tolerations": [{"key": name, "value": name}],
        "priorityClassName": name,
        "service": {"annotations": {name: name}},
        "networkPolicy": {"enabled": True, "metricsFrom": [{"podSelector": {"matchLabels": {name: name}}}]},
        "podDisruptionBudget": {"enabled": True},
        "serviceMonitor": {"enabled": True, "labels": {name: name}},
        "podMonitor": {"enabled": True, "labels": {name: name}},
        "alerts": {"enabled": True, "labels": {name: name}, "alertLabels": {name: name}},
        "dashboards": {"enabled": True, "labels": {name: name}, "annotations": {name: name}},
        "argocd": {"enabled": True},
    }


def render(name: str, folder: Path) -> list[Any]:
    """What the release of this name, in the namespace of this name, consists of: its settings read, too."""
    file = folder / f"{name}.json"
    file.write_text(json.dumps(values(name)))
    command = [binaries.path("helm"), "template", name, CHART, f"--namespace={name}", f"--values={file}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = [
        each for each in yaml.load_all(done.stdout, GoLoader) if each and each["kind"] != "CustomResourceDefinition"
    ]
    for each in found:
        if each["kind"] == "ConfigMap" and "settings.yaml" in each["data"]:
            settings.parse(each["data"]["settings.yaml"])
            each["data"]["settings.yaml"] = yaml.load(each["data"]["settings.yaml"], GoLoader)
        if each["kind"] == "Deployment":
            template = each["spec"]["template"]
            assert isinstance(template["metadata"]["annotations"].pop("checksum/settings"), str)
    return found


def renamed(value: Any, name: str) -> Any:
    """The same with this name in place of the plain one, and lists in order: the chart's order follows the names."""
    if isinstance(value, dict):
        return {renamed(key, name): renamed(each, name) for key, each in value.items()}
    if isinstance(value, list):
        return sorted((renamed(each, name) for each in value), key=str)
    if isinstance(value, str):
        return value.replace(PLAIN, name).replace(PLAIN.upper(), name.upper())
    return value


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    return render(PLAIN, tmp_path_factory.mktemp("plain"))


def test_the_plain_name_is_everywhere(plain: list[Any]) -> None:
    text = json.dumps(plain)
    assert text.count(PLAIN) > 150
    kinds = {each["kind"] for each in plain}
    assert {"Role", "ClusterRole", "NetworkPolicy", "PodMonitor", "PrometheusRule", "Pod", "Deployment"} <= kinds


@pytest.mark.parametrize("name", ["123", "1e3", "0x1f", "0b1", "true", "no", "null"])
def test_a_name_that_looks_like_something_else_stays_a_name(name: str, plain: list[Any], tmp_path: Path) -> None:
    found, expected = renamed(render(name, tmp_path), name), renamed(plain, name)
    assert [each for each in found if each not in expected] == []
    assert len(found) == len(expected)


def test_a_release_name_with_a_dot_gives_names_without() -> None:
    """Helm allows it, and the API server in the name of a Service does not."""
    images = [f"--set={name}=example/{name}:1" for name in ("trainerImage", "agentImage", "labelerImage")]
    command = [binaries.path("helm"), "template", "line.two", CHART, *images, "--show-only=templates/service.yaml"]
    service = yaml.safe_load(subprocess.run(command, capture_output=True, check=True).stdout)
    assert service["metadata"]["name"] == "line-two-modelfleet"
