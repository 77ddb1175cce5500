"""The chart: what it renders is accepted by a real API server, and bad values are refused with the field's name."""

import os
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import binaries
from modelfleet import settings
from modelfleet.prometheus import Credentials
from modelfleet.settings import Provider, Retention, Settings, Verification

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
        "verification.timeout=3",
        "verification.exempt={ftp}",
        "verification.template.containers[0].name=verify",
        "verification.template.spec.containers[0].image=agent",
        "retention.keepVersions=-1",
        "retention.keep=3",
        "prometheus.providers.west.timeout=3s",
        "prometheus.providers.west.url=west:9090",
        "prometheus.providers.West_1.url=http://west",
        "prometheus.credentials.token=x",
        "prometheus.credentials.username=user",
        "prometheus.credentials.bearerToken=token",  # and no secretName
    ],
)
def test_bad_values_are_refused(value: str) -> None:
    done = helm("template", "modelfleet", str(CHART), f"--set={value}")
    assert done.returncode != 0
    assert value.partition("=")[0].partition(".")[0] in done.stderr


def settings_of(objects: list[dict[str, Any]]) -> Settings:
    """The operator's settings as it would read them from the ConfigMap."""
    [config] = [o for o in objects if o["kind"] == "ConfigMap"]
    return settings.parse(config["data"]["settings.yaml"])


def test_the_operator_can_read_its_settings() -> None:
    assert settings_of(rendered()).prometheus.by_name() == {}
    plain = settings_of(rendered("prometheus.url=http://prometheus:9090")).prometheus.by_name()
    assert plain == {"default": Provider(url="http://prometheus:9090", timeout=timedelta(seconds=10))}


def test_verification_and_retention_are_settings_of_the_operator() -> None:
    assert settings_of(rendered()).verification == Verification()
    assert settings_of(rendered()).retention == Retention()
    container = "verification.template.spec.containers[0]"
    read = settings_of(
        rendered(
            "verification.exempt={file}", "verification.timeout=5m", f"{container}.name=verify",
            f"{container}.envFrom[0].secretRef.name=reader", "retention.keepVersions=10", "retention.models.parts=20",
        )
    )  # fmt: skip
    verifier = {"name": "verify", "envFrom": [{"secretRef": {"name": "reader"}}]}
    assert read.verification == Verification(
        timeout=timedelta(minutes=5), exempt=("file",), template={"spec": {"containers": [verifier]}}
    )
    assert read.retention == Retention(keep_versions=10, models={"parts": 20})


def test_providers_get_their_credentials_from_secrets_as_files() -> None:
    west = "prometheus.providers.west"
    objects = rendered(
        "prometheus.url=https://prometheus", "prometheus.secretName=main", "prometheus.credentials.bearerToken=token",
        f"{west}.url=https://west", f"{west}.timeout=20s", f"{west}.secretName=thanos-west",
        f"{west}.credentials.certificate=tls.crt", f"{west}.credentials.key=tls.key", f"{west}.credentials.ca=ca.crt",
        "prometheus.providers.east.url=http://east", "prometheus.default=west",
    )  # fmt: skip
    read = settings_of(objects).prometheus
    folder = Path("/var/run/secrets/modelfleet")
    assert read.default == "west"
    assert read.by_name() == {
        "default": Provider(
            url="https://prometheus",
            timeout=timedelta(seconds=10),
            credentials=Credentials(bearer_token=folder / "default/token"),
        ),
        "west": Provider(
            url="https://west",
            timeout=timedelta(seconds=20),
            credentials=Credentials(
                certificate=folder / "west/tls.crt", key=folder / "west/tls.key", ca=folder / "west/ca.crt"
            ),
        ),
        "east": Provider(url="http://east"),
    }
    [deployment] = [o for o in objects if o["kind"] == "Deployment"]
    pod = deployment["spec"]["template"]["spec"]
    secrets = {v["name"]: v["secret"]["secretName"] for v in pod["volumes"] if "secret" in v}
    mounts = {m["name"]: m["mountPath"] for m in pod["containers"][0]["volumeMounts"] if m["name"] in secrets}
    assert secrets == {"provider-default": "main", "provider-west": "thanos-west"}
    assert mounts == {name: str(folder / name.removeprefix("provider-")) for name in secrets}


def test_the_operators_own_labels_are_honoured() -> None:
    monitors = [o for o in rendered("podMonitor.enabled=true") if o["kind"] == "PodMonitor"]
    assert all(o["spec"]["podMetricsEndpoints"][0]["honorLabels"] for o in monitors)


def test_agents_and_trainers_are_scraped_by_the_labels_that_their_pods_carry() -> None:
    monitors = {
        o["metadata"]["name"]: o["spec"] for o in rendered("podMonitor.enabled=true") if o["kind"] == "PodMonitor"
    }
    selected = {name: spec["selector"].get("matchExpressions") for name, spec in monitors.items()}
    assert selected["modelfleet-fleet"] == [{"key": "modelfleet.dev/rollout", "operator": "Exists"}]
    assert selected["modelfleet-training"] == [{"key": "modelfleet.dev/training-job", "operator": "Exists"}]
    assert {spec["podMetricsEndpoints"][0]["port"] for spec in monitors.values()} == {"metrics"}


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
