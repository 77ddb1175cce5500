"""The chart: what it renders is accepted by a real API server, and bad values are refused with the field's name."""

import json
import os
import re
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import binaries
from modelfleet import settings, strict_yaml
from modelfleet.api.reasons.entry import Topic
from modelfleet.credentials import Credentials
from modelfleet.notifications.endpoint import Endpoint, Notifications
from modelfleet.observability.alerts import ALERTS
from modelfleet.observability.boards import BOARDS
from modelfleet.rollout.capture_pods import METRICS_PORT_NAME
from modelfleet.settings import Provider, Retention, Settings, Signatures, Verification

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
    return [document for document in yaml.load_all(done.stdout, yaml.CSafeLoader) if document]


def test_lint() -> None:
    done = helm("lint", "--strict", str(CHART))
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_charts_crds_are_the_generated_ones() -> None:
    mine = {path.name: path.read_text() for path in (ROOT / "crds").glob("*.yaml")}
    charts = {path.name: path.read_text() for path in (CHART / "files" / "crds").glob("*.yaml")}
    assert mine == charts, "run `make crds`"


def test_the_charts_scripts_for_argocd_are_those_of_gitops() -> None:
    def scripts(folder: Path) -> dict[Path, str]:
        return {path.relative_to(folder): path.read_text() for path in folder.rglob("*.lua")}

    ours = scripts(ROOT / "gitops/argocd/resource_customizations")
    assert scripts(CHART / "files/argocd") == ours, "run `make gitops`"
    health = [text for path, text in ours.items() if path.name == "health.lua"]
    assert len(health) == 4
    assert len(set(health)) == 1, "one script for all kinds: what changes in one changes in all"


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
        "alerts.disabled={Drift}",
        "alerts.runbookBaseUrl=runbooks/",
        "alerts.alertLabels.team[0]=vision",
        "dashboards.label=grafana_dashboard",
        "argocd.enable=true",
        "admissionPolicy.enable=true",
        "admissionPolicy.enabled=Deny",
        "prometheus.providers.west.url=west:9090",
        "prometheus.providers.West_1.url=http://west",
        "prometheus.credentials.token=x",
        "prometheus.credentials.username=user",
        "prometheus.credentials.bearerToken=token",  # and no secretName
        "notifications.endpoints.chat.format=slack",  # and no address
        "notifications.endpoints.chat.url=hooks/T0",
        "notifications.endpoints.chat.urlFile=address",  # and no secretName
        "notifications.endpoints.Chat_1.url=http://chat",
        "notifications.retryFor=1d",
        "networkPolicy.apiServer.ports={https}",
        "networkPolicy.apiServer.ports=null",  # it would be all of them
        "networkPolicy.dnsPorts={}",
        "networkPolicy.prometheusPorts={0}",
        "networkPolicy.metricsFrom[0].namespace=monitoring",
        "podDisruptionBudget.maxUnavailable=-1",
        "podDisruptionBudget.minAvailable=1",
        "podDisruptionBudget.maxUnavailable=200%",
        "podMonitor.interval=often",
        "podMonitor.labels.release=1",
        "serviceAccount.annotations.a=true",
        "service.annotations.a=1",
        "image.repository=registry:5000/operator:0.1.0",  # the tag is image.tag
        "image.repository=registry/operator@sha256:0",
        "fullnameOverride=A_B",
        "nameOverride=-x",
        "image.tag=v1 beta",
        "trainerImage=a b",
        "prometheus.url=http://a b",
        "serviceAccount.name=A_b",
        "priorityClassName=High Prio",
        "podLabels.app\\.kubernetes\\.io/name=mine",  # the Deployment selects by it
        "podAnnotations.checksum/settings=mine",  # a change of settings starts the operator again by it
        "settings.namespaces={line}",
        "settings.server.port=9090",
        "settings.leaderElection.enabled=true",
        "serviceMonitor.interval=15",
        "extraObjects[0].kind=ConfigMap",  # and no apiVersion
    ],
)
def test_bad_values_are_refused(value: str) -> None:
    done = helm("template", "modelfleet", str(CHART), f"--set={value}")
    assert done.returncode != 0
    assert re.split(r"[.\[=]", value)[0] in done.stderr


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


def test_keys_of_signed_models_are_settings_of_the_operator() -> None:
    assert settings_of(rendered()).signatures == Signatures()
    key = "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----"
    read = settings_of(rendered(f"signatures.publicKeys={key}", "signatures.required=true"))
    assert read.signatures == Signatures(public_keys=key, required=True)


def test_several_replicas_elect_a_leader_and_one_does_not() -> None:
    alone = rendered()
    assert not settings_of(alone).leader_election.enabled
    assert not any("leases" in rule["resources"] for o in alone if o["kind"] == "Role" for rule in o["rules"])
    several = rendered("replicas=2", "fullnameOverride=mf")
    election = settings_of(several).leader_election
    assert (election.enabled, election.name) == (True, "mf")
    [role] = [o for o in several if o["kind"] == "Role"]
    assert role["metadata"]["namespace"] == "system"
    assert role["rules"][1] == {
        "apiGroups": ["coordination.k8s.io"],
        "resources": ["leases"],
        "resourceNames": ["mf"],
        "verbs": ["get", "patch"],
    }
    [deployment] = [o for o in several if o["kind"] == "Deployment"]
    assert (deployment["spec"]["replicas"], deployment["spec"]["strategy"]) == (2, {"type": "RollingUpdate"})


def test_the_right_to_the_lease_follows_its_name_and_namespace() -> None:
    objects = rendered("replicas=2", "settings.leaderElection.name=other", "settings.leaderElection.namespace=ops")
    election = settings_of(objects).leader_election
    assert (election.name, election.namespace) == ("other", "ops")
    [role] = [o for o in objects if o["kind"] == "Role"]
    [binding] = [o for o in objects if o["kind"] == "RoleBinding"]
    assert (role["metadata"]["namespace"], role["rules"][1]["resourceNames"]) == ("ops", ["other"])
    assert (binding["metadata"]["namespace"], binding["roleRef"]["name"]) == ("ops", role["metadata"]["name"])
    assert [each["namespace"] for each in binding["subjects"]] == ["system"]


@pytest.mark.parametrize(
    ("values", "seconds"),
    [
        ((), 30),
        (("settings.shutdownTimeout=0s",), 10),
        (("settings.shutdownTimeout=1m1.5s",), 72),
        (("settings.shutdownTimeout=1m", "notifications.drainTimeout=10s"), 75),
        (("settings.shutdownTimeout=2h",), 7210),
    ],
)
def test_the_pod_has_the_time_that_its_settings_take_to_end(values: tuple[str, ...], seconds: int) -> None:
    objects = rendered(*values)
    [deployment] = [o for o in objects if o["kind"] == "Deployment"]
    found = deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    read = settings_of(objects)
    assert found == seconds
    assert timedelta(seconds=found - 5) >= read.shutdown_timeout + read.notifications.drain_timeout


def test_providers_get_their_credentials_from_secrets_as_files() -> None:
    west = "prometheus.providers.west"
    objects = rendered(
        "prometheus.url=https://prometheus", "prometheus.secretName=main", "prometheus.credentials.bearerToken=token",
        "prometheus.credentials.headers=tenant",
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
            credentials=Credentials(bearer_token=folder / "default/token", headers=folder / "default/tenant"),
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


def test_receivers_of_notifications_get_their_files_from_secrets() -> None:
    chat, bus = "notifications.endpoints.chat", "notifications.endpoints.bus"
    objects = rendered(
        "notifications.cluster=plant-3", f"{chat}.format=slack", f"{chat}.secretName=chat-hook",
        f"{chat}.urlFile=address", f"{chat}.severity=Warning", f"{chat}.namespaces={{factory,team-*}}",
        f"{chat}.topics={{training.failed}}", f"{bus}.url=https://bus", f"{bus}.secretName=bus",
        f"{bus}.signingKey=key", f"{bus}.credentials.bearerToken=token", f"{bus}.labels.team=vision",
        f"{bus}.timeout=3s", "notifications.endpoints.plain.url=http://plain",
    )  # fmt: skip
    folder = Path("/var/run/secrets/modelfleet-notifications")
    assert settings_of(objects).notifications == Notifications(
        namespace="system",
        cluster="plant-3",
        endpoints={
            "bus": Endpoint(
                url="https://bus",
                signing_key=folder / "bus/key",
                credentials=Credentials(bearer_token=folder / "bus/token"),
                labels={"team": "vision"},
                timeout=timedelta(seconds=3),
            ),
            "chat": Endpoint(
                url_file=folder / "chat/address",
                format="slack",
                severity="Warning",
                namespaces=("factory", "team-*"),
                topics=("training.failed",),
            ),
            "plain": Endpoint(url="http://plain"),
        },
    )
    [deployment] = [o for o in objects if o["kind"] == "Deployment"]
    pod = deployment["spec"]["template"]["spec"]
    secrets = {v["name"]: v["secret"]["secretName"] for v in pod["volumes"] if "secret" in v}
    mounts = {m["mountPath"]: secrets[m["name"]] for m in pod["containers"][0]["volumeMounts"] if m["name"] in secrets}
    assert mounts == {str(folder / "chat"): "chat-hook", str(folder / "bus"): "bus"}


def test_a_receiver_may_be_in_its_secret_as_a_whole() -> None:
    bus = "notifications.endpoints.bus"
    objects = rendered(f"{bus}.secretName=bus", f"{bus}.urlFile=address", f"{bus}.signingKey=key")
    folder = Path("/var/run/secrets/modelfleet-notifications/bus")
    (found,) = settings_of(objects).notifications.endpoints.values()
    assert found == Endpoint(url_file=folder / "address", signing_key=folder / "key")


def test_without_receivers_the_settings_name_no_outbox() -> None:
    assert settings_of(rendered()).notifications == Notifications()


def test_every_topic_can_be_given() -> None:
    topics = ",".join(Topic)
    chat = "notifications.endpoints.chat"
    read = settings_of(rendered(f"{chat}.url=http://chat", f"{chat}.topics={{{topics}}}"))
    assert read.notifications.endpoints["chat"].topics == tuple(Topic)


def test_the_operators_own_labels_are_honoured() -> None:
    monitors = [o for o in rendered("podMonitor.enabled=true") if o["kind"] == "PodMonitor"]
    assert all(each["honorLabels"] for o in monitors for each in o["spec"]["podMetricsEndpoints"])


def test_agents_and_trainers_are_scraped_by_the_labels_that_their_pods_carry() -> None:
    monitors = {
        o["metadata"]["name"]: o["spec"] for o in rendered("podMonitor.enabled=true") if o["kind"] == "PodMonitor"
    }
    selected = {name: spec["selector"].get("matchExpressions") for name, spec in monitors.items()}
    assert selected["modelfleet-fleet"] == [{"key": "modelfleet.dev/rollout", "operator": "Exists"}]
    assert selected["modelfleet-training"] == [{"key": "modelfleet.dev/training-job", "operator": "Exists"}]
    ports = {name: [each["port"] for each in spec["podMetricsEndpoints"]] for name, spec in monitors.items()}
    assert ports == {
        "modelfleet": ["metrics"],
        "modelfleet-fleet": ["metrics", METRICS_PORT_NAME],
        "modelfleet-training": ["metrics"],
    }


def test_a_service_monitor_takes_the_place_of_the_operators_pod_monitor() -> None:
    """Both would scrape the operator twice, and its series would be there under two jobs."""
    objects = rendered("podMonitor.enabled=true", "serviceMonitor.enabled=true", "serviceMonitor.labels.release=prom")
    [monitor] = [o for o in objects if o["kind"] == "ServiceMonitor"]
    [service] = [o for o in objects if o["kind"] == "Service"]
    selected = monitor["spec"]["selector"]["matchLabels"]
    assert selected.items() <= service["metadata"]["labels"].items()
    assert [each["port"] for each in monitor["spec"]["endpoints"]] == [
        each["name"] for each in service["spec"]["ports"]
    ]
    assert all(each["honorLabels"] for each in monitor["spec"]["endpoints"])
    assert monitor["metadata"]["labels"]["release"] == "prom"
    pod_monitors = {o["metadata"]["name"] for o in objects if o["kind"] == "PodMonitor"}
    assert pod_monitors == {"modelfleet-fleet", "modelfleet-training"}


def test_a_network_policy_lets_out_what_the_operator_talks_to_and_nothing_else() -> None:
    [policy] = [
        o
        for o in rendered(
            "networkPolicy.enabled=true", "prometheus.url=http://prometheus:9090/select",
            "networkPolicy.metricsFrom[0].podSelector.matchLabels.app=prometheus",
            "prometheus.providers.west.url=https://west", "prometheus.providers.east.url=http://[fd00::1]/api",
        )
        if o["kind"] == "NetworkPolicy"
    ]  # fmt: skip
    dns, api_server, providers = policy["spec"]["egress"]
    assert {each["port"] for each in dns["ports"]} == {53}
    assert {each["port"] for each in api_server["ports"]} == {443, 6443}
    assert {each["port"] for each in providers["ports"]} == {9090, 443, 80}
    [ingress] = policy["spec"]["ingress"]
    assert [each["port"] for each in ingress["ports"]] == ["metrics"]
    assert {"podSelector": {"matchLabels": {"app": "prometheus"}}} in ingress["from"]


def test_a_network_policy_lets_out_to_pods_whose_services_have_another_port_too() -> None:
    on = ("networkPolicy.enabled=true", "prometheus.url=http://prometheus")
    given = ("networkPolicy.prometheusPorts={9090,80}", "networkPolicy.dnsPorts={53,5353}")
    [policy] = [o for o in rendered(*on, *given) if o["kind"] == "NetworkPolicy"]
    dns, _, providers = policy["spec"]["egress"]
    assert {(each["port"], each["protocol"]) for each in dns["ports"]} == {
        (port, protocol) for port in (53, 5353) for protocol in ("UDP", "TCP")
    }
    assert sorted(each["port"] for each in providers["ports"]) == [80, 9090]


def test_ports_that_were_taken_away_open_no_others() -> None:
    """An empty list of ports, in a NetworkPolicy, is all of them."""
    gone = ("networkPolicy.dnsPorts=null", "networkPolicy.prometheusPorts=null")
    [policy] = [o for o in rendered("networkPolicy.enabled=true", *gone) if o["kind"] == "NetworkPolicy"]
    dns, api_server = policy["spec"]["egress"]
    assert {each["port"] for each in dns["ports"]} == {53}
    assert api_server["ports"]


def test_without_a_metrics_provider_a_network_policy_lets_none_out() -> None:
    [policy] = [o for o in rendered("networkPolicy.enabled=true") if o["kind"] == "NetworkPolicy"]
    assert len(policy["spec"]["egress"]) == 2
    assert all("from" not in each for each in policy["spec"]["ingress"])  # everybody may ask for metrics


def test_policies_and_budgets_are_about_the_operator_and_not_the_pod_of_helm_test() -> None:
    objects = rendered(
        "networkPolicy.enabled=true",
        "podDisruptionBudget.enabled=true",
        "networkPolicy.metricsFrom[0].podSelector.matchLabels.app=x",
    )
    by_kind = {o["kind"]: o for o in objects}
    operator = by_kind["Deployment"]["spec"]["template"]["metadata"]["labels"].items()
    [test] = [o for o in objects if o["kind"] == "Pod"]
    tester = test["metadata"]["labels"].items()
    assert test["metadata"]["annotations"]["helm.sh/hook"] == "test"
    selectors = [
        by_kind["Service"]["spec"]["selector"],
        by_kind["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
        by_kind["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        by_kind["Deployment"]["spec"]["selector"]["matchLabels"],
    ]
    assert all(each.items() <= operator for each in selectors)
    assert not any(each.items() <= tester for each in selectors)
    let_in = [peer["podSelector"]["matchLabels"] for peer in by_kind["NetworkPolicy"]["spec"]["ingress"][0]["from"]]
    assert any(each.items() <= tester for each in let_in)


def test_extra_objects_are_filled_in() -> None:
    key = "extraObjects[0]"
    objects = rendered(
        f"{key}.apiVersion=v1", f"{key}.kind=Secret", rf"{key}.metadata.name=\{{\{{ .Release.Name \}}\}}-x"
    )
    assert [o["metadata"]["name"] for o in objects if o["kind"] == "Secret"] == ["modelfleet-x"]


def test_a_digest_wins_over_a_tag() -> None:
    digest = f"sha256:{'b' * 64}"
    objects = rendered("image.tag=v1", f"image.digest={digest}", f"agentImage=registry/agent@{digest}")
    images = [
        container["image"]
        for o in objects
        if o["kind"] in ("Deployment", "Pod")
        for container in o["spec"].get("template", o)["spec"]["containers"]
    ]
    assert images == [f"modelfleet/operator@{digest}"] * 2
    assert settings_of(objects).images.agent == f"registry/agent@{digest}"


def test_neither_alerts_nor_dashboards_unless_asked_for() -> None:
    """A cluster without the Prometheus Operator does not know PrometheusRules."""
    objects = rendered()
    assert not [o for o in objects if o["kind"] in ("PrometheusRule", "ConfigMap") and "dashboard" in str(o)]
    assert not [o for o in objects if o["kind"] == "PrometheusRule"]


def test_the_prometheus_rule_has_the_rules_of_the_file() -> None:
    [rule] = [o for o in rendered("alerts.enabled=true", "alerts.labels.release=prom") if o["kind"] == "PrometheusRule"]
    assert rule["metadata"]["labels"]["release"] == "prom"
    assert rule["spec"] == yaml.safe_load((CHART / "files/rules/modelfleet.yaml").read_text())


def test_alerts_get_labels_and_addresses_of_their_pages_and_can_be_left_out() -> None:
    [rule] = [
        o
        for o in rendered(
            "alerts.enabled=true", "alerts.alertLabels.team=vision", "alerts.alertLabels.severity=page",
            "alerts.runbookBaseUrl=https://runbooks/x", "alerts.disabled={ModelfleetDrift,ModelfleetLowConfidence}",
        )
        if o["kind"] == "PrometheusRule"
    ]  # fmt: skip
    alerts = {each["alert"]: each for group in rule["spec"]["groups"] for each in group["rules"] if "alert" in each}
    assert alerts.keys() == {each.name for each in ALERTS} - {"ModelfleetDrift", "ModelfleetLowConfidence"}
    down = alerts["ModelfleetOperatorDown"]
    assert down["labels"] == {"severity": "critical", "team": "vision"}
    assert down["annotations"]["runbook_url"] == "https://runbooks/x/ModelfleetOperatorDown.md"


@pytest.mark.parametrize("part", ["podMonitor", "serviceMonitor", "alerts", "dashboards"])
def test_a_label_of_a_value_wins_over_the_charts_own_and_is_written_once(part: str) -> None:
    """Flux, which edits what a chart renders, refuses a key that comes twice; others take either of the two."""
    name = r"app\.kubernetes\.io/part-of"
    done = helm("template", str(CHART), f"--set={part}.enabled=true", f"--set={part}.labels.{name}=kube-prometheus")
    assert done.returncode == 0, done.stderr
    objects = [strict_yaml.read(text) for text in re.split(r"^---$", done.stdout, flags=re.MULTILINE)]
    kind = {"alerts": "PrometheusRule", "dashboards": "ConfigMap"}.get(part, part[:1].upper() + part[1:])
    labelled = [
        o["metadata"]["labels"]["app.kubernetes.io/part-of"]
        for o in objects
        if o and o["kind"] == kind and "settings.yaml" not in o.get("data", {})
    ]
    assert set(labelled) == {"kube-prometheus"}


def test_an_alert_that_there_is_not_can_not_be_left_out() -> None:
    done = helm("template", str(CHART), "--set=alerts.enabled=true", "--set=alerts.disabled={ModelfleetDrfit}")
    assert done.returncode != 0
    assert "there is no alert ModelfleetDrfit; known: ModelfleetRolloutStuck" in done.stderr


def test_dashboards_are_what_the_sidecar_of_grafana_looks_for() -> None:
    objects = rendered("dashboards.enabled=true", "dashboards.annotations.grafana_folder=fleet")
    maps = {o["metadata"]["name"]: o for o in objects if o["metadata"]["labels"].get("grafana_dashboard") == "1"}
    assert maps.keys() == {f"modelfleet-dashboard-{name}" for name in BOARDS}
    for name, board in BOARDS.items():
        found = maps[f"modelfleet-dashboard-{name}"]
        assert found["kind"] == "ConfigMap"
        assert found["metadata"]["annotations"] == {"grafana_folder": "fleet"}
        assert json.loads(found["data"][f"modelfleet-{name}.json"]) == board
        assert len(str(found)) < 1_000_000  # what a ConfigMap may have


def test_namespaces_narrow_the_rights() -> None:
    objects = rendered("watchNamespaces={a,b}")
    [cluster_role] = [o for o in objects if o["kind"] == "ClusterRole" and o["metadata"]["name"] == "modelfleet"]
    assert [rule["resources"] for rule in cluster_role["rules"]] == [["nodes"]]
    assert {o["metadata"]["namespace"] for o in objects if o["kind"] == "Role"} == {"a", "b"}
    receivers = rendered("watchNamespaces={a,b}", "notifications.endpoints.chat.url=http://chat")
    [outbox] = [o for o in receivers if o["kind"] == "Role" and o["metadata"]["namespace"] == "system"]
    assert [rule["resources"] for rule in outbox["rules"]] == [["configmaps"]]
    [deployment] = [o for o in objects if o["kind"] == "Deployment"]
    arguments = deployment["spec"]["template"]["spec"]["containers"][0]["args"]
    assert {"--namespace=a", "--namespace=b"} <= set(arguments)


def test_no_right_to_read_secrets_or_to_do_everything() -> None:
    for role in (o for o in rendered() if o["kind"] in ("Role", "ClusterRole")):
        for rule in role["rules"]:
            assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"]
            assert "secrets" not in rule["resources"]


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
