"""Prefetching on a real kubelet: the file is there before the group's pods are, which then need no store."""

from __future__ import annotations

import hashlib
import json
import os
import time
from typing import Any

import pytest

from harness import Cluster, images
from harness.processes import wait_until
from modelfleet.api import ModelVersion, Rollout
from modelfleet.rollout import manifests, prefetch
from modelfleet.rollout import revisions as revs
from modelfleet.rollout.revisions import Revision
from modelfleet.times import parse_time
from worlds.rollout import model_version

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(os.geteuid() != 0, reason="real nodes need root"),
]

WEIGHTS = os.urandom(20_000_000)


def rollout(cluster: Cluster) -> Rollout:
    """Its application sleeps: what is looked at is how the model comes."""
    env = [{"name": name, "value": value} for name, value in cluster.object_store.environment.items()]
    container = {"name": "agent", "imagePullPolicy": "Never", "command": ["sleep", "600"], "env": env}
    return Rollout.model_validate(
        {
            "metadata": {"name": "line", "namespace": "default", "uid": "u"},
            "spec": {
                "model": {"name": "parts", "version": "v1"},
                "groups": [{"name": "fleet", "nodeSelector": {"matchLabels": {"pool": "edge"}}}],
                "delivery": {"prefetch": True},
                "template": {"spec": {"terminationGracePeriodSeconds": 1, "containers": [container]}},
            },
        }
    )


def revision(of: Rollout) -> Revision:
    raw = model_version("v1")
    raw["metadata"]["namespace"] = "default"
    [file] = raw["spec"]["artifact"]["files"]
    file |= {"sha256": hashlib.sha256(WEIGHTS).hexdigest(), "sizeBytes": len(WEIGHTS)}
    version = ModelVersion.model_validate(raw)
    return revs.desired(of, version, (), images.ensure("agent").name, parse_time("2026-11-29T00:00:00Z"))


def create(cluster: Cluster, manifest: dict[str, Any]) -> None:
    del manifest["metadata"]["ownerReferences"]  # there is no such Rollout here
    cluster.kubectl("apply", "--filename=-", input=json.dumps(manifest))


def pods(cluster: Cluster, selector: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(cluster.kubectl("get", "pods", f"--selector={selector}", "--output=json"))[
        "items"
    ]
    return found


def ready(cluster: Cluster, selector: str) -> bool:
    return any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for pod in pods(cluster, selector)
        for condition in pod["status"].get("conditions", ())
    )


def test_what_was_fetched_ahead_needs_no_store(cluster: Cluster) -> None:
    of = rollout(cluster)
    what = revision(of)
    cluster.object_store.create_bucket("models")
    cluster.object_store.put("models", "parts/v1/best.onnx", WEIGHTS)

    create(cluster, ahead := prefetch.daemon_set(of, 0, what))
    container = ahead["spec"]["template"]["spec"]["containers"][0]
    assert container["args"] == ["prefetch"]
    name = ahead["metadata"]["name"]

    def fetched() -> bool:
        return ready(cluster, "modelfleet.dev/prefetch=line") and "fetched s3://" in cluster.kubectl(
            "logs", f"daemonset/{name}"
        )

    assert wait_until(fetched, 400), cluster.kubectl("describe", "pods")  # downloads start over a minute
    [pod] = pods(cluster, "modelfleet.dev/prefetch=line")
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 0

    begun = time.monotonic()
    cluster.kubectl("delete", "daemonset", name, "--cascade=foreground", "--timeout=180s")
    print(f"the pod that fetched was gone {time.monotonic() - begun:.1f} s after its DaemonSet was deleted")

    cluster.object_store.stop()
    begun = time.monotonic()
    create(cluster, manifests.daemon_set(of, 0, what, 1))
    assert wait_until(lambda: ready(cluster, "modelfleet.dev/group=fleet"), 300), cluster.kubectl("describe", "pods")
    print(f"the group's pod was ready {time.monotonic() - begun:.1f} s after it was asked for, with the store away")
    said = cluster.kubectl("logs", "daemonset/line-fleet", "--container=fetch-model")
    assert "is in the cache already, digest verified" in said
