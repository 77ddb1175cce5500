"""The spool of captures on a real kubelet: the application writes, the sidecar deletes, whoever they run as."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from harness import Cluster, images
from harness.processes import wait_until
from modelfleet.api import ModelVersion, Rollout
from modelfleet.rollout import capture_settings, manifests
from modelfleet.rollout import revisions as revs
from modelfleet.rollout.pods import pod_state
from modelfleet.times import parse_time
from modelfleet.workloads.pods import Problem
from worlds.rollout import model_version

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(os.geteuid() != 0, reason="real nodes need root"),
]

SECRET = "captures-write"
WRITES = """
umask 002
mkdir -p "$CAPTURE_SPOOL/sample" && echo image > "$CAPTURE_SPOOL/sample/a.jpg" || exit 1
until [ ! -e "$CAPTURE_SPOOL/sample/a.jpg" ]; do sleep 0.2; done
ls -ldn "$CAPTURE_SPOOL"
test -z "$TOKEN" && grep destination "$CAPTURE_SETTINGS"
"""
SENDS = """
until [ -e "$CAPTURE_SPOOL/sample/a.jpg" ]; do sleep 0.2; done
test "$(cat "$CAPTURE_SPOOL/sample/a.jpg")" = image && test "$TOKEN" = secret && rm -f "$CAPTURE_SPOOL/sample/a.jpg"
sleep 600 & wait
"""


def rollout(name: str, cache: str, security: dict[str, Any]) -> Rollout:
    capture = {"destination": "s3://captures/", "credentialsSecret": SECRET}
    container = {"name": "agent", "imagePullPolicy": "Never", "securityContext": security}
    return Rollout.model_validate(
        {
            "metadata": {"name": name, "namespace": "default", "uid": "u"},
            "spec": {
                "model": {"name": "parts", "version": "v1"},
                "groups": [{"name": "fleet", "nodeSelector": {"matchLabels": {"pool": "edge"}}}],
                "delivery": {"cache": cache, "capture": capture},
                "template": {"spec": {"terminationGracePeriodSeconds": 1, "containers": [container]}},
            },
        }
    )


def pod(of: Rollout, late: dict[str, Any]) -> dict[str, Any]:
    """A pod as the DaemonSet has it, but for what the containers run, and the model, which is not fetched. `late` is
    what the manifest was not told of the application's user."""
    raw = model_version("v1")
    raw["metadata"]["namespace"] = "default"
    version = ModelVersion.model_validate(raw)
    revision = revs.desired(of, version, (), images.ensure("agent").name, parse_time("2026-11-29T00:00:00Z"))
    spec = manifests.daemon_set(of, 0, revision, 1)["spec"]["template"]["spec"]
    spec["initContainers"] = [entry for entry in spec["initContainers"] if entry["name"] != "fetch-model"]
    spec["volumes"] = [entry for entry in spec["volumes"] if entry["name"] != "modelfleet-models"]
    (agent,) = spec["containers"]
    agent["volumeMounts"] = [entry for entry in agent["volumeMounts"] if entry["name"] != "modelfleet-models"]
    agent["command"] = ["/bin/sh", "-c", WRITES]
    agent["securityContext"] = {**(agent.get("securityContext") or {}), **late}
    sidecar = spec["initContainers"][-1]
    sidecar |= {"command": ["/bin/sh", "-c", SENDS], "args": []}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": of.metadata.name},
        "spec": spec | {"restartPolicy": "Never"},
    }


def create(cluster: Cluster, *manifests: dict[str, Any]) -> None:
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)})
    cluster.kubectl("apply", "--filename=-", input=text)


def seen(cluster: Cluster, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(cluster.kubectl("get", "pod", name, "--output=json"))
    return found


def settings(of: Rollout) -> dict[str, Any]:
    assert of.spec.delivery.capture is not None
    found = capture_settings.manifest(of, capture_settings.settings(of.spec.delivery.capture, drifting=False))
    del found["metadata"]["ownerReferences"]  # there is no such Rollout here
    return found


def test_what_is_missing_is_named(cluster: Cluster) -> None:
    create(cluster, pod(rollout("missing", "Pod", {}), {}))
    wanted = Problem("CreateContainerConfigError", f'container upload-captures: secret "{SECRET}" not found')
    assert wait_until(lambda: pod_state(seen(cluster, "missing")).problem == wanted, 180), seen(cluster, "missing")
    cluster.kubectl("delete", "pod", "missing", "--wait=false")


@pytest.mark.parametrize(
    ("name", "cache", "said", "unsaid"),
    [
        ("usual", "Node", {}, {}),
        ("said", "Node", {"runAsUser": 1000}, {}),
        ("unsaid", "Node", {}, {"runAsUser": 1000, "runAsGroup": 1000}),
        ("usual-pod", "Pod", {}, {}),
        ("said-pod", "Pod", {"runAsUser": 1000}, {}),
    ],
)
def test_what_the_application_writes_the_sidecar_can_delete(
    cluster: Cluster, name: str, cache: str, said: dict[str, Any], unsaid: dict[str, Any]
) -> None:
    of = rollout(name, cache, said)
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}, "stringData": {"TOKEN": "secret"}}
    create(cluster, secret, settings(of), pod(of, unsaid))
    over = wait_until(lambda: seen(cluster, name)["status"].get("phase") in ("Succeeded", "Failed"), 180)
    printed = cluster.kubectl("logs", name, "--container=agent") if over else ""
    assert over, cluster.kubectl("describe", "pod", name)
    assert seen(cluster, name)["status"]["phase"] == "Succeeded", printed
    mode, _, owner, group = printed.split()[:4]
    if cache == "Node":
        assert (mode, owner, group) == ("drwxrws---", "0", "65532"), "nobody else on the node reads it"
    assert '"destination": "s3://captures/"' in printed
