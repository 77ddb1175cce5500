"""`fetch-model` on a real kubelet: it does its work with the few rights it has, and nothing of the author's."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from harness import Cluster, images
from harness.paths import REPOSITORY
from harness.processes import wait_until
from harness.registry import oras, running
from modelfleet.api import ModelVersion, Rollout
from modelfleet.rollout import manifests
from modelfleet.rollout import revisions as revs
from modelfleet.rollout.signatures import UNSIGNED, Signing
from modelfleet.times import parse_time
from worlds.rollout import model_version

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(os.geteuid() != 0, reason="real nodes need root"),
]

SIGNED = REPOSITORY / "agent-image/tests/signed"
CONTENT = (SIGNED / "parts/best.onnx").read_text()
DIGEST = hashlib.sha256(CONTENT.encode()).hexdigest()
FILES = {"best.onnx": CONTENT, "model.sig": (SIGNED / "parts/model.sig").read_text()}
STORE = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "store"}, "data": FILES}
OTHER = """-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEa0Y2Zh7XHwg4qi/bYP/Yv6usegJ4
t+F6PhYskJh50y4FvR4n/aGR19TIciNJ+DjuQYAjGmh5obPcaLFJ6nJ64g==
-----END PUBLIC KEY-----
"""
"""A key of somebody else."""
HOSTILE = {
    "LD_PRELOAD": "/data/best.onnx",
    "LD_DEBUG": "all",
    "LD_DEBUG_OUTPUT": "/var/lib/modelfleet/models/debug",
    "PYTHONPATH": "/data",
    "OPENSSL_CONF": "/data/best.onnx",
    "PATH": "/data",
    "TERMINATION_LOG": "/var/lib/modelfleet/models/last-word",
    "AWS_REGION": "eu",
}
SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "store"}, "stringData": HOSTILE}


NOW = parse_time("2026-11-29T00:00:00Z")


# In one stream: of two the runtime keeps no order.
SHOWN = 'exec 2>&1; cat "$MODEL_PATH"; ls /models; touch /models/x || echo read-only; grep ^Cap /proc/self/status'


def pod(
    name: str, cache: str = "Pod", signing: Signing = UNSIGNED, uri: str = "file:///data/", **variables: str
) -> dict[str, Any]:
    """A pod as the DaemonSet has it, but for what the application runs: it looks at the models and tries to write."""
    container = {
        "name": "agent",
        "imagePullPolicy": "Never",
        "command": ["/bin/sh", "-c"],
        "args": [SHOWN],
        "envFrom": [{"secretRef": {"name": "store"}}],
        "env": [
            {"name": "PATH", "value": "/usr/bin:/bin"},
            *({"name": name, "value": ""} for name in ("LD_PRELOAD", "LD_DEBUG", "LD_DEBUG_OUTPUT")),
            *({"name": name, "value": value} for name, value in variables.items()),
        ],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}, {"name": "data", "mountPath": "/usr/lib/evil"}],
    }
    raw = model_version("v1")
    raw["metadata"]["namespace"] = "default"
    file = {"name": "best.onnx", "format": "onnx", "sha256": DIGEST, "sizeBytes": len(CONTENT)}
    raw["spec"]["artifact"] = {"uri": uri, "files": [file]}
    version = ModelVersion.model_validate(raw)
    rollout = Rollout.model_validate(
        {
            "metadata": {"name": name, "namespace": "default", "uid": "u"},
            "spec": {
                "model": {"name": "parts", "version": "v1"},
                "groups": [{"name": "fleet", "nodeSelector": {"matchLabels": {"pool": "edge"}}}],
                "delivery": {"cache": cache},
                "template": {
                    "spec": {
                        "containers": [container],
                        "volumes": [{"name": "data", "configMap": {"name": "store"}}],
                    }
                },
            },
        }
    )
    revision = revs.desired(rollout, version, (), images.ensure("agent").name, NOW, signing)
    spec = manifests.daemon_set(rollout, 0, revision, 1)["spec"]["template"]["spec"]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec | {"restartPolicy": "Never"}}


def create(cluster: Cluster, of: dict[str, Any]) -> None:
    items = {"apiVersion": "v1", "kind": "List", "items": [STORE, SECRET, of]}
    cluster.kubectl("apply", "--filename=-", input=json.dumps(items))


def phase(cluster: Cluster, name: str) -> str:
    """How it ended."""
    look = ("get", "pod", name, "--output=jsonpath={.status.phase}")
    ended = wait_until(lambda: cluster.kubectl(*look) in ("Succeeded", "Failed"), 240)
    assert ended, cluster.kubectl("describe", "pod", name)
    return cluster.kubectl(*look)


@pytest.mark.parametrize("cache", ["Node", "Pod"])
def test_a_secret_that_would_take_it_over_fetches_the_model_and_nothing_else(cluster: Cluster, cache: str) -> None:
    name = f"fetching-{cache.lower()}"
    create(cluster, pod(name, cache))

    ended = phase(cluster, name)
    fetched = cluster.kubectl("logs", name, "--container=fetch-model")
    assert ended == "Succeeded", fetched + cluster.kubectl("describe", "pod", name)
    assert "digest verified" in fetched
    assert "evil" not in fetched
    assert "preload" not in fetched
    printed = cluster.kubectl("logs", name, "--container=agent")
    assert printed.startswith(CONTENT)
    assert "debug" not in printed
    assert "last-word" not in printed
    assert "read-only" in printed
    assert "CapEff:\t0000000000000000" in printed


def test_a_node_runs_what_is_signed_with_a_key_of_the_settings_and_nothing_else(cluster: Cluster) -> None:
    key = (SIGNED / "key.pem").read_text()
    create(cluster, pod("signed", signing=Signing(key, required=True)))
    create(cluster, pod("unsigned", signing=Signing(OTHER, required=True)))
    assert phase(cluster, "signed") == "Succeeded", cluster.kubectl("describe", "pod", "signed")
    assert "is signed, by file:///data/model.sig" in cluster.kubectl("logs", "signed", "--container=fetch-model")
    assert phase(cluster, "unsigned") == "Failed"
    said = "{.status.initContainerStatuses[0].state.terminated.message}"
    last_word = json.loads(cluster.kubectl("get", "pod", "unsigned", f"--output=jsonpath={said}"))
    assert last_word["reason"] == "SignatureInvalid"


def test_a_model_is_pulled_from_a_registry_by_digest_with_its_signature(cluster: Cluster, tmp_path: Path) -> None:
    key = (SIGNED / "key.pem").read_text()
    with running(tmp_path, address=cluster.machine) as host:
        name = f"{host}/models/parts:v1"
        oras("push", "--plain-http", name, "best.onnx", "model.sig", cwd=SIGNED / "parts")
        digest = oras("resolve", "--plain-http", name, cwd=tmp_path)
        uri = f"oci://{host}/models/parts@{digest}"
        signing = Signing(key, required=True)
        create(cluster, pod("pulled", signing=signing, uri=uri, OCI_PLAIN_HTTP=host))
        create(cluster, pod("moved", uri=f"oci://{host}/models/parts@sha256:{'0' * 64}", OCI_PLAIN_HTTP=host))
        assert phase(cluster, "pulled") == "Succeeded", cluster.kubectl("describe", "pod", "pulled")
        assert phase(cluster, "moved") == "Failed"
    fetched = cluster.kubectl("logs", "pulled", "--container=fetch-model")
    assert f"is signed, by {uri}/model.sig" in fetched
    assert f"fetched {uri}/best.onnx" in fetched
    assert cluster.kubectl("logs", "pulled", "--container=agent").startswith(CONTENT)
