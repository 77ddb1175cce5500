"""The harness's own look at objects says what kubectl says."""

from __future__ import annotations

import json

import pytest

from harness import Cluster
from harness.objects import JSON_PATCH, ApiRefused, Json
from harness.processes import wait_until


def config_map(namespace: str, name: str, **labels: str) -> Json:
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"said": "a"}}


@pytest.mark.parametrize(
    "kind", ["configmap", "configmaps", "cm", "events", "events.events.k8s.io", "jobs.batch", "deploy", "rollout"]
)
def test_objects_are_those_of_kubectl(crds: Cluster, namespace: str, kind: str):
    crds.objects.create(config_map(namespace, "one"))
    crds.kubectl("create", "job", "try", "--image=none", f"--namespace={namespace}")
    shown = json.loads(crds.kubectl("get", kind, f"--namespace={namespace}", "--output=json"))["items"]
    assert [_settled(each) for each in crds.objects.list(kind, namespace)] == [_settled(each) for each in shown]
    for each in shown:
        found = crds.objects.get(kind, each["metadata"]["name"], namespace)
        assert found is not None
        assert _settled(found) == _settled(each)


def _settled(found: Json) -> Json:
    """Without what goes on changing."""
    return {name: value for name, value in found.items() if name != "status"} | {
        "metadata": {name: value for name, value in found["metadata"].items() if name != "resourceVersion"}
    }


def test_selectors_and_namespaces(crds: Cluster, namespace: str):
    objects = crds.objects
    objects.create(config_map(namespace, "one", of=namespace), config_map(namespace, "two"))
    assert [each["metadata"]["name"] for each in objects.list("cm", labels=f"of={namespace}")] == ["one"]
    assert [each["metadata"]["name"] for each in objects.list("cm", namespace, fields="metadata.name=two")] == ["two"]
    objects.delete_all("cm", namespace, labels=f"of={namespace}")
    assert objects.get("cm", "one", namespace) is None
    assert objects.get("cm", "two", namespace) is not None


def test_writes_can_happen_twice(crds: Cluster, namespace: str):
    objects = crds.objects
    for said in ("a", "b", "b"):
        objects.apply(config_map(namespace, "one") | {"data": {"said": said}})
    assert (objects.get("cm", "one", namespace) or {})["data"] == {"said": "b"}
    objects.patch("cm", "one", {"data": {"more": "c"}}, namespace)
    objects.patch("cm", "one", [{"op": "remove", "path": "/data/said"}], namespace, type=JSON_PATCH)
    assert (objects.get("cm", "one", namespace) or {})["data"] == {"more": "c"}
    for _ in range(2):
        objects.delete("cm", "one", namespace)
    assert objects.get("cm", "one", namespace) is None
    with pytest.raises(ApiRefused, match="not found"):
        objects.patch("cm", "one", {"data": {"more": "d"}}, namespace)


def test_what_the_api_server_refuses_is_said(crds: Cluster, namespace: str):
    objects = crds.objects
    with pytest.raises(ApiRefused, match="no kind robots"):
        objects.get("robots", "one", namespace)
    objects.create(config_map(namespace, "one"))
    with pytest.raises(ApiRefused, match="already exists"):
        objects.create(config_map(namespace, "one"))
    with pytest.raises(ApiRefused, match="not found"):
        objects.create(config_map("nowhere", "one"))
    with pytest.raises(ApiRefused, match="found '=', expected"):
        objects.list("cm", namespace, labels="a=b=c")


def test_kinds_that_come_later_are_known(control_plane: Cluster):
    objects = control_plane.objects
    names = {"plural": "lathes", "singular": "lathe", "kind": "Lathe", "shortNames": ["lt"]}
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    served = {"name": "v1", "served": True, "storage": True, "schema": schema}
    metadata = {"name": "lathes.shop.example"}
    spec = {"group": "shop.example", "scope": "Cluster", "names": names, "versions": [served]}
    definition = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
    objects.create({**definition, "metadata": metadata, "spec": spec})
    control_plane.kubectl("wait", "--for=condition=Established", "crd/lathes.shop.example", "--timeout=30s")
    objects.create({"apiVersion": "shop.example/v1", "kind": "Lathe", "metadata": {"name": "left"}})
    assert [each["metadata"]["name"] for each in objects.list("lt")] == ["left"]
    objects.delete("crd", "lathes.shop.example")
    assert wait_until(lambda: objects.get("crd", "lathes.shop.example") is None, 30)

    def refused() -> bool:
        try:
            objects.get("lt", "left")
        except ApiRefused as error:
            return "404 page not found" in str(error)
        return False

    assert wait_until(refused, 30)
