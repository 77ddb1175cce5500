"""Capture on a real API server: what is a rollout and what is not, and that each shape of it is accepted."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from harness import OperatorProcess
from worlds.rollout import Fleet, model_version

CAPTURE = {"destination": "s3://captures/line/", "credentialsSecret": "captures-write"}


@pytest.fixture
def fleet(fleet: Fleet) -> Fleet:
    """With a v1 to install."""
    fleet.apply(model_version("v1"))
    return fleet


def rollout(fleet: Fleet, **spec: Any) -> None:
    fleet.rollout("v1", query=None, **{"gate": {"soak": "0s", "interval": "1s", "timeout": "5m"}, **spec})


def settings(fleet: Fleet) -> dict[str, Any] | None:
    """What the ConfigMap says; None where there is none."""
    for each in fleet.list("configmaps"):
        if each["metadata"]["name"] == "line-capture":
            found: dict[str, Any] = json.loads(each["data"]["capture.json"])
            return found
    return None


def revisions(fleet: Fleet) -> int:
    """How many revisions of the Rollout there are; the DaemonSet controller keeps some of its own."""
    owners = [each["metadata"]["ownerReferences"][0]["kind"] for each in fleet.list("controllerrevisions")]
    return owners.count("Rollout")


def pods(fleet: Fleet) -> set[str]:
    return {each["metadata"]["uid"] for each in fleet.list("pods")}


def sidecars(fleet: Fleet) -> int:
    """Ready pods that have the sidecar."""
    return sum(
        any(entry["name"] == "upload-captures" for entry in pod["spec"]["initContainers"])
        for pod in fleet.list("pods")
        if "deletionTimestamp" not in pod["metadata"]
    )


def test_capture_comes_by_a_rollout_and_its_rules_do_not(fleet: Fleet, operator: OperatorProcess) -> None:
    rollout(fleet)
    fleet.wait(lambda: fleet.is_at("v1"), "v1 on all nodes")
    assert (revisions(fleet), settings(fleet)) == (1, None)

    rollout(fleet, delivery={"capture": CAPTURE})
    fleet.wait(lambda: sidecars(fleet) == 3 and fleet.is_at("v1"), "the sidecars")
    assert revisions(fleet) == 2
    found = settings(fleet)
    assert found is not None
    assert (found["destination"], found["sample"]) == ("s3://captures/line/", {"perHour": 6, "emptyPerHour": 2})
    assert "credentialsSecret" not in found

    running, generations = pods(fleet), generation(fleet)
    rules = [{"name": "many", "more": 20}]
    rollout(fleet, delivery={"capture": CAPTURE | {"rules": rules, "destination": "s3://other/", "suspend": True}})
    fleet.wait(lambda: (settings(fleet) or {}).get("suspend") is True, "the settings")
    assert settings(fleet)["rules"] == [{"name": "many", "more": 20, "cooldown": "1m", "perHour": 60}]  # type: ignore[index]
    spoilt = '{"data": {"capture.json": "{}"}}'
    fleet.cluster.kubectl("patch", "configmap", "line-capture", f"--namespace={fleet.namespace}", "--patch", spoilt)
    fleet.wait(lambda: (settings(fleet) or {}).get("suspend") is True, "what somebody changed, put back")
    fleet.cluster.kubectl("delete", "configmap", "line-capture", f"--namespace={fleet.namespace}")
    fleet.wait(lambda: settings(fleet) is not None, "what somebody deleted")
    versions = written(fleet)
    time.sleep(3)
    assert written(fleet) == versions, "the steady state costs no writes"
    assert (pods(fleet), generation(fleet), revisions(fleet)) == (running, generations, 2)

    operator.kill9()
    rollout(fleet, delivery={"capture": CAPTURE})
    operator.start()
    fleet.wait(lambda: (settings(fleet) or {}).get("suspend") is False, "the settings, by another process")

    rollout(fleet, delivery={})
    fleet.wait(lambda: settings(fleet) is None and sidecars(fleet) == 0 and fleet.is_at("v1"), "the end of it")
    assert revisions(fleet) == 2, "the first one again"


def written(fleet: Fleet) -> list[str]:
    """The versions of what the operator writes."""
    return [
        each["metadata"]["resourceVersion"]
        for kind in ("rollouts", "configmaps", "daemonsets")
        for each in fleet.list(kind)
    ]


def generation(fleet: Fleet) -> list[int]:
    return [each["metadata"]["generation"] for each in fleet.list("daemonsets")]


SHAPES: dict[str, dict[str, Any]] = {
    "on the node": {"capture": CAPTURE},
    "with the pod": {"cache": "Pod", "capture": CAPTURE},
    "by the node's identity": {"capture": {"destination": "gs://captures/"}},
    "into a volume": {"capture": {"destination": "file:///captures/line"}},
    "with a live page": {"capture": CAPTURE, "live": {"enabled": True}},
    "a live page alone": {"live": {"enabled": True, "mask": False}},
    "with all it may say": {
        "capture": CAPTURE
        | {
            "rules": [{"name": f"r{i}", "below": "0.5", "classes": ["bolt"]} for i in range(16)],
            "image": {"mask": [[["0", "0"], ["1", "0"], ["0.5", "1"]]] * 16},
            "whenDrifting": {"rules": [{"name": "more", "every": "1m"}], "sample": {"perHour": 60}},
        },
    },
}


def test_each_shape_is_accepted_and_comes_to_rest(fleet: Fleet, operator: OperatorProcess) -> None:
    container = {
        "name": "agent",
        "volumeMounts": [{"name": "captures", "mountPath": "/captures", "readOnly": True}],
        "securityContext": {"runAsUser": 1000},
    }
    overlay = {"name": "upload-captures", "env": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}]}
    template = {
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [container],
            "volumes": [{"name": "captures", "emptyDir": {}}],
            "tolerations": [{"operator": "Exists"}],
        }
    }
    for name, delivery in SHAPES.items():
        spec = template["spec"] | ({"initContainers": [overlay]} if "capture" in delivery else {})
        rollout(fleet, delivery=delivery, template={"spec": spec}, drift={})
        wanted = fleet.get("rollout", "line")["metadata"]["generation"]
        fleet.wait(
            lambda wanted=wanted: fleet.status.get("observedGeneration") == wanted and fleet.is_at("v1"),  # type: ignore[misc]
            name,
        )
        assert fleet.condition("Stalled") == {}
        daemon_set = fleet.get("daemonset", "line-fleet")
        generation = daemon_set["metadata"]["generation"]
        time.sleep(1)
        assert fleet.get("daemonset", "line-fleet")["metadata"]["generation"] == generation, name
        told = {entry["name"] for entry in daemon_set["spec"]["template"]["spec"]["containers"][0]["env"]}
        assert ("CAPTURE_SPOOL" in told, "LIVE_PORT" in told) == ("capture" in delivery, "live" in delivery), name


def test_nothing_of_it_is_refused_where_pods_are_restricted(fleet: Fleet, operator: OperatorProcess) -> None:
    fleet.cluster.kubectl("label", "namespace", fleet.namespace, "pod-security.kubernetes.io/enforce=restricted")
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    template = {
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "agent", "securityContext": security}],
            "tolerations": [{"operator": "Exists"}],
        }
    }
    rollout(fleet, delivery={"cache": "Pod", "capture": CAPTURE, "live": {"enabled": True}}, template=template)
    fleet.wait(lambda: fleet.is_at("v1") and sidecars(fleet) == 3, "pods in a restricted namespace")
