"""maxSurge on a real kubelet, with the real agent and a real RTSP stream: how long a node sees nothing while it changes
versions.

Two pods of a node share its cache of models and its stream for a moment. What is measured is the longest time in which
none of the node's pods put a frame through its model, by the agents' counters, read some 30 times a second. It is
printed, and stands in docs/rollout.md; what is asserted is the order, which holds on a busy machine, too.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import os
import threading
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from agent_models import SIDE, anchors, yolo11_like
from rtsp_server import RtspServer, mpeg4_frames, noisy

from harness import Cluster, images
from harness.processes import wait_until
from modelfleet.api import ModelVersion, Rollout
from modelfleet.rollout import manifests
from modelfleet.rollout import revisions as revs
from modelfleet.times import parse_time
from worlds.kube_watch import Watch
from worlds.rollout import model_version

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(os.geteuid() != 0, reason="real nodes need root"),
]

Json = dict[str, Any]
PATIENCE = 180.0
MODELS = {
    version: yolo11_like(anchors((20, 20, 10, 10, (confidence, 0, 0))))
    for version, confidence in (("v1", 0.91), ("v2", 0.92), ("v3", 0.93))
}
NOW = parse_time("2026-11-29T00:00:00Z")


@pytest.fixture
def stream(cluster: Cluster, tmp_path: Path) -> Iterator[RtspServer]:
    """A camera with 25 frames a second, and a key frame every half second."""
    grey = np.full((SIDE, SIDE, 3), 200, np.uint8)
    frames = mpeg4_frames(tmp_path, (noisy(grey, seed) for seed in range(12)))
    server = RtspServer(frames, rate=25, host=cluster.machine)
    server.start()
    yield server
    server.stop()


def daemon_set(version: str, frames: str, unavailable: int, surge: int) -> Json:
    """What the operator applies for the group, with models from a ConfigMap that stands for the store."""
    container = {
        "name": "agent",
        "imagePullPolicy": "Never",
        "env": [{"name": "FRAMES", "value": frames}, {"name": "FRAME_RATE", "value": "20"}],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": 9090}, "periodSeconds": 1},
    }
    raw = model_version(version)
    raw["metadata"]["namespace"] = "default"
    content = MODELS[version]
    file = {
        "name": f"{version}.onnx",
        "format": "onnx",
        "sha256": hashlib.sha256(content).hexdigest(),
        "sizeBytes": len(content),
    }
    raw["spec"] |= {"artifact": {"uri": "file:///data/", "files": [file]}, "classes": ["bolt", "nut", "washer"]}
    raw["spec"]["imageSize"] = SIDE
    group = {"name": "fleet", "nodeSelector": {"matchLabels": {"pool": "edge"}}}
    pod = {"containers": [container], "volumes": [{"name": "data", "configMap": {"name": "models"}}]}
    spec = {"model": {"name": "parts", "version": version}, "groups": [group], "template": {"spec": pod}}
    rollout = Rollout.model_validate({"metadata": {"name": "line", "namespace": "default", "uid": "u"}, "spec": spec})
    revision = revs.desired(rollout, ModelVersion.model_validate(raw), (), images.ensure("agent").name, NOW)
    manifest = manifests.daemon_set(rollout, 0, revision, unavailable, surge)
    del manifest["metadata"]["ownerReferences"]  # there is no such Rollout here
    return manifest


def apply(cluster: Cluster, *items: Json) -> None:
    document = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(items)})
    cluster.kubectl("apply", "--server-side", "--filename=-", input=document)


@dataclass
class Frames:
    """Counts the frames of each pod of the Rollout, by version: when was one seen to be processed?"""

    moments: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    _pods: dict[str, threading.Event] = field(default_factory=dict)  # set: the pod is gone
    _threads: list[threading.Thread] = field(default_factory=list)

    def change(self, type: str, pod: Json) -> None:
        name, address = pod["metadata"]["name"], pod["status"].get("podIP")
        if type == "DELETED":
            self._pods[name].set()
        elif address and name not in self._pods:
            self._pods[name] = threading.Event()
            version = pod["metadata"]["labels"]["modelfleet.dev/version"]
            thread = threading.Thread(target=self._count, args=[address, version, self._pods[name]], daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        for gone in self._pods.values():
            gone.set()
        for thread in self._threads:
            thread.join(10)

    @property
    def gone(self) -> int:
        """Pods that were there."""
        return sum(event.is_set() for event in self._pods.values())

    def longest(self, since: float, until: float = math.inf) -> float:
        """Seconds: the longest time without a frame."""
        moments = sorted(at for seen in self.moments.values() for at in seen if since <= at <= until)
        return max(after - before for before, after in pairwise(moments))

    def _count(self, address: str, version: str, gone: threading.Event) -> None:
        before: float | None = None
        while not gone.wait(0.02):
            try:
                with urllib.request.urlopen(f"http://{address}:9090/metrics", timeout=1) as response:
                    text, at = response.read().decode(), time.monotonic()
            except (urllib.error.URLError, OSError):
                continue  # not up yet, or not any more
            lines = [line for line in text.splitlines() if line.startswith("modelfleet_frames_total")]
            now = sum(float(line.rpartition(" ")[2]) for line in lines)
            if before is not None and now > before:
                self.moments[version].append(at)
            before = now


@pytest.fixture
def frames(cluster: Cluster) -> Iterator[Frames]:
    counting = Frames()
    with Watch(cluster, "pods", counting.change, "modelfleet.dev/rollout=line"):
        yield counting
        counting.stop()


def swap(cluster: Cluster, frames: Frames, old: str, manifest: Json, new: str) -> float:
    """Change versions; return the longest time without a frame, in seconds."""
    begun, gone = time.monotonic(), frames.gone
    seen = len(frames.moments[old])
    assert wait_until(lambda: len(frames.moments[old]) > seen + 40, PATIENCE), f"no frames of {old}"
    asked = time.monotonic()
    apply(cluster, manifest)
    assert wait_until(lambda: frames.gone > gone and len(frames.moments[new]) > 40, PATIENCE), cluster.kubectl(
        "describe", "pods", "--selector=modelfleet.dev/rollout=line"
    )
    print(f"{old} to {new}: before it was asked for, no frame for {frames.longest(begun, asked):.2f} s at most")
    return frames.longest(asked)


def test_the_old_pod_has_frames_until_the_new_one_has_its_first(
    cluster: Cluster, stream: RtspServer, frames: Frames
) -> None:
    stored = {f"{version}.onnx": base64.b64encode(content).decode() for version, content in MODELS.items()}
    store = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "models"}, "binaryData": stored}
    apply(cluster, store, daemon_set("v1", stream.url, 0, 1))
    with_surge = swap(cluster, frames, "v1", daemon_set("v2", stream.url, 0, 1), "v2")
    both = frames.moments["v1"][-1] - frames.moments["v2"][0]
    print(f"with maxSurge: no frame for {with_surge:.2f} s; both pods had frames for {both:.1f} s")
    assert both > 0, "the old pod had frames until the new one had its first"

    without = swap(cluster, frames, "v2", daemon_set("v3", stream.url, 1, 0), "v3")
    print(f"without: no frame for {without:.1f} s")
    assert frames.moments["v3"][0] > frames.moments["v2"][-1], "one after the other"
