"""The password of a camera on a real kubelet: an agent that can't reach its camera says so, and not the password."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from typing import Any

import numpy as np
import pytest
from agent_models import yolo11_like

from harness import Cluster, images
from harness.processes import wait_until
from modelfleet.api import ModelVersion, Rollout
from modelfleet.rollout import manifests
from modelfleet.rollout import revisions as revs
from modelfleet.times import parse_time
from worlds import secrecy
from worlds.rollout import model_version

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(os.geteuid() != 0, reason="real nodes need root"),
]

MODEL = yolo11_like(np.zeros((6, 8), np.float32), side=640)
LOG = ("logs", "camera", "--container=agent")


def pod() -> dict[str, Any]:
    """A pod of a Rollout, whose camera's address is in a Secret."""
    camera = {"name": "FRAMES", "valueFrom": {"secretKeyRef": {"name": "camera", "key": "url"}}}
    container = {
        "name": "agent",
        "imagePullPolicy": "Never",
        "env": [camera, {"name": "LOG_LEVEL", "value": "DEBUG"}],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    raw = model_version("v1")
    raw["metadata"]["namespace"] = "default"
    digest = hashlib.sha256(MODEL).hexdigest()
    file = {"name": "best.onnx", "format": "onnx", "sha256": digest, "sizeBytes": len(MODEL)}
    raw["spec"]["artifact"] = {"uri": "file:///data/", "files": [file]}
    rollout = Rollout.model_validate(
        {
            "metadata": {"name": "camera", "namespace": "default", "uid": "u"},
            "spec": {
                "model": {"name": "parts", "version": "v1"},
                "groups": [{"name": "fleet", "nodeSelector": {"matchLabels": {"pool": "edge"}}}],
                "delivery": {"cache": "Pod"},
                "template": {
                    "spec": {
                        "containers": [container],
                        "volumes": [{"name": "data", "configMap": {"name": "model"}}],
                    }
                },
            },
        }
    )
    now = parse_time("2026-11-29T00:00:00Z")
    revision = revs.desired(rollout, ModelVersion.model_validate(raw), (), images.ensure("agent").name, now)
    spec = manifests.daemon_set(rollout, 0, revision, 1)["spec"]["template"]["spec"]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "camera"}, "spec": spec}


def test_the_password_of_a_camera_is_said_nowhere(cluster: Cluster) -> None:
    planted = {"camera's password": secrecy.plant(), "token in a camera's address": secrecy.plant()}
    password, token = planted.values()
    url = f"rtsp://viewer:{password}@127.0.0.1:8554/stream?token={token}"  # where nobody answers
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "camera"}, "stringData": {"url": url}}
    stored = {"best.onnx": base64.b64encode(MODEL).decode()}
    model = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "model"}, "binaryData": stored}
    items = {"apiVersion": "v1", "kind": "List", "items": [secret, model, pod()]}
    cluster.kubectl("apply", "--server-side", "--filename=-", input=json.dumps(items))
    tried = wait_until(lambda: "can't be opened" in cluster.kubectl(*LOG, check=False), 240)
    assert tried, cluster.kubectl(*LOG, check=False) + cluster.kubectl("describe", "pod", "camera")
    assert "rtsp://127.0.0.1:8554" in cluster.kubectl(*LOG)
    assert not secrecy.leaks(planted, [*secrecy.objects(cluster), *secrecy.logs(cluster)])
    kept = cluster.kubectl("get", "secrets", "--output=yaml")
    assert secrecy.leaks({"address": base64.b64encode(url.encode()).decode()}, [("Secrets", kept)])
