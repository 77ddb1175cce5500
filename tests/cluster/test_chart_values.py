"""Every value of values.yaml does something: changed alone, it changes what is rendered."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import binaries
from harness.paths import REPOSITORY

CHART = REPOSITORY / "charts" / "modelfleet"
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
PEM = "-----BEGIN PUBLIC KEY-----\nMFk=\n-----END PUBLIC KEY-----\n"
PEER = {"podSelector": {"matchLabels": {"app": "x"}}}

ON: dict[str, Any] = {
    "prometheus": {
        "url": "http://prometheus:9090",
        "secretName": "tenant",
        "credentials": {"bearerToken": "token"},
        "providers": {"east": {"url": "https://east"}},
    },
    "signatures": {"publicKeys": PEM},
    "serviceAccount": {"name": "given"},
    "networkPolicy": {"enabled": True},
    "podDisruptionBudget": {"enabled": True},
    "serviceMonitor": {"enabled": True},
    "podMonitor": {"enabled": True},
    "alerts": {"enabled": True},
    "dashboards": {"enabled": True},
    "argocd": {"enabled": True},
}
"""All is on beside the value that is changed, since a part that is off shows none of its values."""

OTHER: dict[str, Any] = {
    "image.tag": "9.9.9",
    "image.digest": f"sha256:{'a' * 64}",
    "image.pullPolicy": "Always",
    "imagePullSecrets": [{"name": "registry"}],
    "prometheus.url": "https://thanos:10902",
    "prometheus.timeout": "20s",
    "prometheus.default": "east",
    "prometheus.secretName": "other",
    "prometheus.credentials": {"bearerToken": "other"},
    "prometheus.providers": {"west": {"url": "https://west"}},
    "verification.template": {"spec": {"nodeSelector": {"zone": "a"}}},
    "verification.exempt": ["file"],
    "signatures.publicKeys": PEM + PEM,
    "retention.models": {"parts": 20},
    "notifications.cluster": "plant-3",
    "notifications.endpoints": {"bus": {"url": "https://bus.example/hook"}},
    "watchNamespaces": ["line-a"],
    "serviceAccount.name": "ours",
    "serviceAccount.annotations": {"a": "b"},
    "logFormat": "text",
    "settings.leaderElection.name": "other",
    "settings.leaderElection.namespace": "other",
    "settings.leaderElection.renewDeadline": "11s",
    "settings.leaderElection.retryPeriod": "3s",
    "resources.requests.cpu": "200m",
    "podAnnotations": {"a": "b"},
    "podLabels": {"a": "b"},
    "nodeSelector": {"a": "b"},
    "tolerations": [{"operator": "Exists"}],
    "affinity": {"podAntiAffinity": {}},
    "priorityClassName": "high",
    "service.annotations": {"a": "b"},
    "networkPolicy.metricsFrom": [PEER],
    "networkPolicy.apiServer.ports": [6444],
    "networkPolicy.apiServer.to": [PEER],
    "networkPolicy.prometheusTo": [PEER],
    "networkPolicy.prometheusPorts": [10902],
    "networkPolicy.dnsPorts": [5353],
    "networkPolicy.egress": [{"to": [PEER]}],
    "extraObjects": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "more"}}],
    "serviceMonitor.labels": {"a": "b"},
    "podMonitor.labels": {"a": "b"},
    "alerts.labels": {"a": "b"},
    "alerts.alertLabels": {"team": "vision"},
    "alerts.disabled": ["ModelfleetLowConfidence"],
    "alerts.runbookBaseUrl": "https://runbooks.example",
    "dashboards.labels.grafana_dashboard": "yes",
    "dashboards.annotations": {"a": "b"},
}
"""Where another value does not follow from the default."""


def leaves(values: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Path and default of each value."""
    for name, value in values.items():
        here = f"{path}.{name}" if path else name
        if isinstance(value, dict) and value:
            yield from leaves(value, here)
        else:
            yield here, value


def other(path: str, default: Any) -> Any:
    """Another value than the default, or than what is on."""
    if path in OTHER:
        return OTHER[path]
    if isinstance(default, bool):
        return not at(merged(VALUES, ON), path)
    if isinstance(default, int):
        return default + 1
    if default[:1].isdigit():  # a duration, a quantity
        return f"9{default}"
    return f"other-{default}"


def at(values: dict[str, Any], path: str) -> Any:
    found: Any = values
    for name in path.split("."):
        found = found[name]
    return found


def merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    shared = [key for key in below.keys() & above.keys() if isinstance(below[key], dict) and above[key] is not None]
    both = {key: merged(below[key], above[key]) for key in shared}
    return {**below, **above, **both}


def changed(path: str, value: Any) -> dict[str, Any]:
    """Everything on, and this value set."""
    nested: Any = value
    for name in reversed(path.split(".")):
        nested = {name: nested}
    return merged(ON, nested)


def template(values: dict[str, Any], folder: Path) -> subprocess.CompletedProcess[str]:
    file = folder / "values.json"
    file.write_text(json.dumps(values))
    command = [binaries.path("helm"), "template", "line", CHART, "--namespace=system", f"--values={file}"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def render(values: dict[str, Any], folder: Path) -> list[Any]:
    done = template(values, folder)
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.load_all(done.stdout, yaml.CSafeLoader) if each]


@pytest.fixture(scope="module")
def all_on(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    return render(ON, tmp_path_factory.mktemp("values"))


@pytest.mark.parametrize(("path", "default"), list(leaves(VALUES)), ids=lambda value: str(value)[:40])
def test_a_value_that_is_changed_changes_what_is_rendered(
    path: str, default: Any, all_on: list[Any], tmp_path: Path
) -> None:
    assert render(changed(path, other(path, default)), tmp_path) != all_on


@pytest.mark.parametrize("path", [*VALUES, "networkPolicy.apiServer", "service.port", "podMonitor.interval"])
def test_a_value_that_is_not_there_is_refused_by_name_or_not_needed(path: str, tmp_path: Path) -> None:
    """As with `--reuse-values` on a release from before there was this value, or with null."""
    done = template(changed(path, None), tmp_path)
    if done.returncode:
        assert f"'{path.rpartition('.')[2]}'" in done.stderr
    else:
        assert "--log-format=\n" not in done.stdout, "the operator would end at its start"


def test_no_other_value_is_kept_for_one_that_is_gone() -> None:
    assert OTHER.keys() <= dict(leaves(VALUES)).keys()
