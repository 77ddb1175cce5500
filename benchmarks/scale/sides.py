"""The two controllers that are measured: how each is started, what is applied for it, and what counts as its child."""

import urllib.request
from collections.abc import Callable
from dataclasses import dataclass

from harness import Cluster, OperatorProcess, binaries, definitions
from harness.ports import free_port
from harness.processes import Process
from scale.driver import Json, Resource

RATE, BURST = 2_000, 4_000
"""Writes a second that either client allows itself: more than the API server takes, so that neither waits for it."""

DIGEST = "a" * 64


@dataclass(frozen=True)
class Side:
    """One controller.

    start     starts it on a cluster; returns its process, and a way to ask whether it is in sync
    manifest  the n-th object of a fleet
    before    what must be there first
    """

    name: str
    owner: Resource
    child: Resource
    start: Callable[[Cluster], tuple[Process, Callable[[], bool]]]
    manifest: Callable[[int], Json]
    before: tuple[tuple[Resource, Json], ...] = ()


_OURS = "/apis/modelfleet.dev/v1alpha1"
VERSIONS = Resource(_OURS, "modelversions")

CONTAINER = {
    "name": "agent",
    "image": "localhost/agent:1",
    "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
    "env": [{"name": "FRAMES", "value": "directory:///frames"}],
    "ports": [{"name": "metrics", "containerPort": 9090}],
}


def _rollout(number: int) -> Json:
    """Two groups that no node belongs to."""

    def group(name: str) -> Json:
        return {"name": name, "nodeSelector": {"matchLabels": {"benchmark": f"fleet-{number}", "group": name}}}

    return {
        "apiVersion": "modelfleet.dev/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": f"fleet-{number}"},
        "spec": {
            "model": {"name": "parts", "tag": "latest"},
            "groups": [group("canary"), group("fleet")],
            "delivery": {"format": "onnx", "container": "agent"},
            "template": {"spec": {"containers": [CONTAINER]}},
        },
    }


_VERSION: Json = {
    "apiVersion": "modelfleet.dev/v1alpha1",
    "kind": "ModelVersion",
    "metadata": {"name": "parts-v1"},
    "spec": {
        "model": "parts",
        "version": "v1",
        "artifact": {
            "uri": "s3://models/parts/v1/",
            "files": [{"name": "best.onnx", "format": "onnx", "sha256": DIGEST, "sizeBytes": 1000}],
        },
        "classes": ["bolt", "nut"],
    },
}


def _start_ours(cluster: Cluster) -> tuple[Process, Callable[[], bool]]:
    settings = {"api": {"writesPerSecond": float(RATE), "writeBurst": BURST}}
    operator = OperatorProcess(cluster, settings, name="ours")
    operator.start()
    return operator.process, lambda: _at_rest(operator.metrics())


def _at_rest(metrics: str) -> bool:
    """It is ready, and nothing waits for a worker. (What a worker has in hand shows in the audit log.)"""
    values = dict(line.rsplit(" ", 1) for line in metrics.splitlines() if line and not line.startswith("#"))
    depths = [float(value) for name, value in values.items() if name.startswith("modelfleet_operator_queue_depth")]
    return float(values.get("modelfleet_operator_ready", 0)) == 1 and not any(depths)


OURS = Side(
    name="modelfleet",
    owner=Resource(_OURS, "rollouts"),
    child=Resource("/apis/apps/v1", "daemonsets"),
    start=_start_ours,
    manifest=_rollout,
    before=((VERSIONS, _VERSION),),
)

_ARGO = "/apis/argoproj.io/v1alpha1"


def _argo_rollout(number: int) -> Json:
    """A canary in two steps whose pods no node takes. Its first ReplicaSet comes as our first DaemonSet does."""
    labels = {"benchmark": f"fleet-{number}"}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": f"fleet-{number}"},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "strategy": {"canary": {"steps": [{"setWeight": 20}, {"pause": {"duration": "1h"}}]}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"nodeSelector": {"benchmark": f"fleet-{number}"}, "containers": [CONTAINER]},
            },
        },
    }


def _start_argo(cluster: Cluster) -> tuple[Process, Callable[[], bool]]:
    """The controller alone, as its own manifests start it but for the rate limit."""
    source = binaries.module_source("argo-rollouts", "github.com/argoproj/argo-rollouts")
    crds = f"--kustomize={source}/manifests/crds"
    cluster.kubectl("apply", "--server-side", "--force-conflicts", crds)
    definitions.await_served(cluster.kubectl, "crd")
    metrics, health = free_port(), free_port()
    command = [
        binaries.path("rollouts-controller"),
        f"--kubeconfig={cluster.operator_kubeconfig}",
        "--namespace=default",
        "--leader-elect=false",
        f"--metricsPort={metrics}",
        f"--healthzPort={health}",
        f"--qps={RATE}",
        f"--burst={BURST}",
        "--loglevel=warn",
    ]
    process = cluster.supervisor.spawn("argo", command, env={"HOME": str(cluster.state)})
    process.wait_ready(lambda: _answers(f"http://127.0.0.1:{health}/healthz"), 60)
    return process, lambda: _argo_at_rest(f"http://127.0.0.1:{metrics}/metrics")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return int(response.status) == 200
    except OSError:
        return False


def _argo_at_rest(url: str) -> bool:
    with urllib.request.urlopen(url, timeout=5) as response:
        text = response.read().decode()
    depth = [line.rsplit(" ", 1)[1] for line in text.splitlines() if line.startswith("workqueue_depth{")]
    busy = [line.rsplit(" ", 1)[1] for line in text.splitlines() if line.startswith("workqueue_unfinished_work")]
    return not any(map(float, (*depth, *busy)))


ARGO = Side(
    name="Argo Rollouts",
    owner=Resource(_ARGO, "rollouts"),
    child=Resource("/apis/apps/v1", "replicasets"),
    start=_start_argo,
    manifest=_argo_rollout,
)
