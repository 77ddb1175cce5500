"""check: each thing that can be wrong is told with what to do, and what is not known is neither."""

import copy
import json
from typing import Any

import pytest

from kubectl_modelfleet import findings
from kubectl_modelfleet.failures import Exit
from kubectl_modelfleet.findings import RIGHTS, State, ok, unknown, wrong
from modelfleet.api import crd

Json = dict[str, Any]
OURS = {resource.model.__name__: crd.crd(resource) for resource in crd.RESOURCES}
METRIC = dict.fromkeys(findings.LABELS, "x")


@pytest.mark.parametrize("kind", OURS)
def test_a_crd_is_compared_by_its_fields(kind: str):
    assert findings.crd(kind, OURS[kind], OURS[kind]).state is State.OK
    older, newer = copy.deepcopy(OURS[kind]), copy.deepcopy(OURS[kind])
    spec = older["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    spec.pop("model")
    found = findings.crd(kind, older, OURS[kind])
    assert (found.state, "older than this CLI, without spec.model" in found.what) == (State.WRONG, True)
    newer["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["new"] = {}
    found = findings.crd(kind, newer, OURS[kind])
    assert "newer than this CLI, with spec.new" in found.what


def deployment(
    ready: int = 1, replicas: int = 1, version: str = "0.1.0", namespace: str = "system", args: tuple[str, ...] = ()
) -> Json:
    container = {"name": "operator", "args": ["--config=/etc/modelfleet/settings.yaml", *args]}
    settings = {"name": "settings", "configMap": {"name": "op"}}
    pod = {"containers": [container], "volumes": [settings, {"name": "tmp", "emptyDir": {}}]}
    return {
        "metadata": {"namespace": namespace, "name": "op", "labels": {"app.kubernetes.io/version": version}},
        "spec": {"replicas": replicas, "template": {"spec": pod}},
        "status": {"readyReplicas": ready},
    }


def settings(namespace: str, url: str, name: str = "op", **more: object) -> Json:
    text = json.dumps({"prometheus": {"url": url}, **more})
    return {"metadata": {"namespace": namespace, "name": name}, "data": {"settings.yaml": text}}


A, B = deployment(namespace="a", args=("--namespace=yard",)), deployment(namespace="b", args=("--namespace", "factory"))
EVERYWHERE = deployment(namespace="all")
OF_A, OF_B, OF_ALL = settings("a", "http://a"), settings("b", "http://b"), settings("all", "http://all")


@pytest.mark.parametrize(
    ("deployments", "found", "chosen"),
    [
        ([A, B], [OF_A, OF_B], [OF_B]),
        ([B, A], [OF_A, OF_B], [OF_B]),
        ([A], [OF_A], []),
        ([A, EVERYWHERE], [OF_A, OF_ALL], [OF_ALL]),
        ([EVERYWHERE], [OF_ALL, {"metadata": {"namespace": "all", "name": "dashboards"}, "data": {}}], [OF_ALL]),
        ([], [OF_A, OF_B], [OF_A, OF_B]),
        ([A, B], [settings("c", "http://c")], [settings("c", "http://c")]),
        ([EVERYWHERE], [settings("all", "http://all", namespaces=["yard"])], []),
        ([EVERYWHERE], [settings("all", "x", namespaces=["factory"])], [settings("all", "x", namespaces=["factory"])]),
    ],
)
def test_the_settings_are_those_of_the_operator_that_serves_the_namespace(
    deployments: list[Json], found: list[Json], chosen: list[Json]
):
    assert findings.settings_for("factory", deployments, found) == chosen


def test_every_address_is_named_with_the_settings_that_say_it():
    same = settings("c", "http://a")
    assert findings.prometheus_urls([OF_A, OF_B, same, settings("d", "")]) == {
        "http://a": ["a/op", "c/op"],
        "http://b": ["b/op"],
    }


def test_an_operator_of_other_namespaces_is_not_held_against_this_one():
    broken = deployment(ready=0, version="0.0.9", namespace="a", args=("--namespace=yard",))
    found = list(findings.operator([broken, B], "0.1.0", "factory"))
    assert [each.state for each in found] == [State.OK, State.OK]
    assert found[0].what == "operator a/op: serves other namespaces (yard)"
    (said,) = [each for each in findings.operator([broken], "0.1.0", "factory") if each.state is State.WRONG]
    assert said.what == "operator: none serves namespace factory"
    assert "watchNamespaces" in said.advice


@pytest.mark.parametrize(
    ("deployments", "state", "said"),
    [
        ([], State.WRONG, "no Deployment"),
        ([deployment()], State.OK, "operator system/op: ready (1 of 1)"),
        ([deployment(ready=0)], State.WRONG, "not ready (0 of 1)"),
        ([deployment(replicas=0, ready=0)], State.WRONG, "scaled to 0"),
        ([deployment(version="0.0.9")], State.WRONG, "version 0.0.9, and this CLI is 0.1.0"),
    ],
)
def test_the_operator(deployments: list[Json], state: State, said: str):
    found = list(findings.operator(deployments, "0.1.0", "factory"))
    assert any(each.state is state and said in each.what for each in found)
    assert all(each.advice for each in found if each.state is not State.OK)


def test_whether_an_operator_sees_the_objects():
    seen = {"kind": "Rollout", "metadata": {"name": "a", "generation": 2}, "status": {"observedGeneration": 2}}
    behind = {"kind": "Rollout", "metadata": {"name": "b", "generation": 3}, "status": {"observedGeneration": 2}}
    new = {"kind": "Rollout", "metadata": {"name": "c", "generation": 1}}
    assert findings.seen([seen]).state is State.OK
    assert findings.seen([seen, behind, new]).what == "objects: not seen by an operator: Rollout b, Rollout c"
    assert findings.seen([]).state is State.UNKNOWN


@pytest.mark.parametrize(
    ("url", "proxy", "sure"),
    [
        ("http://prometheus.monitoring:9090", "monitoring/services/prometheus:9090/proxy", False),
        ("https://mimir.example/prometheus", "example/services/https:mimir:443/proxy/prometheus", False),
        ("https://p.m", "m/services/https:p:443/proxy", False),
        ("http://prometheus.monitoring.svc:9090/", "monitoring/services/prometheus:9090/proxy", True),
        ("http://p.m.svc.cluster.local/prom/", "m/services/p:80/proxy/prom", True),
        ("http://p.m.svc.factory.internal.", "m/services/p:80/proxy", True),
        ("http://p.1st.svc", "1st/services/p:80/proxy", True),
    ],
)
def test_addresses_inside_the_cluster(url: str, proxy: str, sure: bool):
    found = findings.service_of(url)
    assert found is not None
    assert (found.proxy, found.sure) == (f"/api/v1/namespaces/{proxy}", sure)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9090",
        "http://[::1]:9090",
        "http://1.2",
        "http://prometheus:9090",
        "https://prometheus.example.com",
        "https://prometheus.svc.example.com",
        "prometheus.monitoring.svc",
        "",
    ],
)
def test_addresses_of_no_service(url: str):
    assert findings.service_of(url) is None


def test_where_the_settings_say_that_prometheus_is():
    plain = {"data": {"settings.yaml": "prometheus: {url: 'http://a.b:9090'}"}}
    named = {"data": {"settings.yaml": "prometheus: {default: west, providers: {west: {url: 'http://w.b'}}}"}}
    assert findings.prometheus_url(plain) == "http://a.b:9090"
    assert findings.prometheus_url(named) == "http://w.b"
    assert findings.prometheus_url({"data": {}}) == ""
    assert findings.prometheus_url({"data": {"settings.yaml": "prometheus: {providers: {west: 5}}"}}) == ""


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("- a", "settings.yaml must be a mapping"),
        ("text", "settings.yaml must be a mapping, and is 'text'"),
        ("5", "settings.yaml must be a mapping, and is '5'"),
        ("prometheus: http://a.b", "prometheus must be a mapping, and is 'http://a.b'"),
        ("prometheus: {providers: [a]}", "prometheus.providers must be a mapping"),
        ("prometheus: {default: west, providers: {west: 5}}", "prometheus.providers.west must be a mapping"),
        ("prometheus: [", "settings.yaml is not valid YAML"),
        ("prometheus: !Ref a", "settings.yaml is not valid YAML"),
    ],
)
def test_settings_that_can_not_be_read(settings: str, said: str):
    with pytest.raises(findings.SettingsError, match=said.replace(".", "[.]")):
        findings.prometheus_url({"data": {"settings.yaml": settings}})


def test_series_and_their_labels():
    def answer(*metrics: Json) -> Json:
        return {"data": {"result": [{"metric": metric} for metric in metrics]}}

    (found,) = findings.series(answer(METRIC))
    assert (found.state, found.what) == (State.OK, "Prometheus: series of 1 node, with all labels")
    (found,) = findings.series(answer())
    assert found.state is State.WRONG
    assert "podMonitor.enabled" in found.advice
    (found,) = findings.series(answer(METRIC | {"group": ""}))
    assert found.what == "Prometheus: series without group"
    (found,) = findings.series(answer(METRIC | {"exported_namespace": "x"}))
    assert "honor_labels: true" in found.advice


def test_rights():
    patch = next(each for each in RIGHTS if each.verb == "patch")
    assert findings.right(patch, "factory", {"status": {"allowed": True}}) == ok("may patch rollouts.modelfleet.dev")
    refused = findings.right(patch, "factory", {"status": {"allowed": False}})
    assert refused.what == "may not patch rollouts.modelfleet.dev"
    assert refused.advice.endswith("ask for the role edit in namespace factory")
    assert findings.right(patch, "f", {"status": {"evaluationError": "webhook is away"}}).state is State.UNKNOWN
    forward = next(each for each in RIGHTS if each.subresource)
    assert str(forward) == "create pods/portforward"
    assert forward.review("f")["spec"]["resourceAttributes"]["subresource"] == "portforward"


def test_exit_codes():
    assert findings.exit_of([ok("a")]) is Exit.DONE
    assert findings.exit_of([ok("a"), unknown("b", "c")]) is Exit.UNKNOWN
    assert findings.exit_of([unknown("b", "c"), wrong("d", "e")]) is Exit.BAD
