"""`kubectl modelfleet live` on a real node: through kubectl, API server and kubelet to the agent's page in a pod."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from agent_models import anchors, yolo11_like

from harness import Cluster, binaries, images
from harness.paths import REPOSITORY
from harness.processes import wait_until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(os.geteuid() != 0, reason="real nodes need root"),
]


NODE_FOLDER = "/var/lib/modelfleet"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """One real node with the reference agent on it, as a Rollout would run it: it finds a bolt in each frame."""
    with Cluster(nodes=True) as started:
        agent = images.ensure("agent")
        node = started.add_node("camera-1", images=[agent])
        model = yolo11_like(anchors((32, 32, 20, 20, (0.8,))))
        sha256 = hashlib.sha256(model).hexdigest()
        for name, content in ((f"models/{sha256}/best.onnx", model), ("frames/white.png", _white())):
            (node.var_lib / name).parent.mkdir(parents=True, exist_ok=True)
            (node.var_lib / name).write_bytes(content)
        env = {
            "MODEL_PATH": f"{NODE_FOLDER}/models/{sha256}/best.onnx",
            "MODEL_SHA256": sha256,
            "MODEL_SIZE": str(len(model)),
            "MODEL_CLASSES": '["bolt"]',
            "MODEL_IMAGE_SIZE": "64",
            "MODEL_NAME": "parts",
            "MODEL_VERSION": "v1",
            "ROLLOUT": "line",
            "GROUP": "fleet",
            "NODE_NAME": "camera-1",
            "FRAMES": f"directory://{NODE_FOLDER}/frames",
            "LIVE_PORT": "9092",
            "LIVE_MASK": "false",
        }
        container = {
            "name": "agent",
            "image": agent.name,
            "imagePullPolicy": "Never",
            "args": ["serve"],
            "env": [{"name": name, "value": value} for name, value in env.items()],
            "volumeMounts": [{"name": "node", "mountPath": NODE_FOLDER, "readOnly": True}],
            "readinessProbe": {"httpGet": {"path": "/readyz", "port": 9090}, "periodSeconds": 1},
            "securityContext": {"runAsUser": 65532},
        }
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "line-x", "labels": {"modelfleet.dev/rollout": "line"}},
            "spec": {
                "nodeName": "camera-1",
                "terminationGracePeriodSeconds": 1,
                "containers": [container],
                "volumes": [{"name": "node", "hostPath": {"path": NODE_FOLDER}}],
            },
        }
        started.kubectl("create", "--filename=-", input=json.dumps(pod))
        started.kubectl("wait", "--for=condition=Ready", "--timeout=180s", "pod/line-x")
        yield started


def _white() -> bytes:
    _, encoded = cv2.imencode(".png", np.full((64, 64, 3), 255, np.uint8))
    return encoded.tobytes()


def test_the_page_of_a_node_is_seen_from_here_until_ctrl_c(cluster: Cluster, tmp_path: Path) -> None:
    path = f"{Path(binaries.path('kubectl')).parent}:{os.environ['PATH']}"
    python = f"{REPOSITORY / 'operator'}:{REPOSITORY / 'cli'}"
    where = [f"--kubeconfig={cluster.kubeconfig}", "--namespace=default"]
    process = subprocess.Popen(
        [sys.executable, "-m", "kubectl_modelfleet", "live", "camera-1", "--no-browser", *where],
        # kubectl has its cache in the home folder, or here where there is none
        env={"PATH": path, "PYTHONPATH": python, "PYTHONUNBUFFERED": "1", "HOME": str(tmp_path)},
        preexec_fn=_listens_to_ctrl_c,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", url), process.communicate(timeout=60)
        assert b"<html" in _get(url)
        seen = json.loads(_get(f"{url}detections.json"))
        assert (seen["version"], seen["node"], seen["state"]) == ("v1", "camera-1", "live")
        assert [each["class"] for each in seen["detections"]] == ["bolt"]
        picture = cv2.imdecode(np.frombuffer(_get(f"{url}frame.jpg?boxes=1"), np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        assert picture.min() < 200  # a box is drawn on white
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
    finally:
        process.kill()
        process.communicate()
    assert wait_until(lambda: not _answers(url), 30), "the way is closed again"


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as response:
        assert response.status == 200
        return bytes(response.read())


def _listens_to_ctrl_c() -> None:
    """A shell has the commands that it runs in the background ignore it, and a test run may be one of them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=1).close()
    except OSError:
        return False
    return True
