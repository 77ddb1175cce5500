"""Real Kueue decides when the Jobs of TrainingJobs run: examples/kueue on a real API server, with simulated nodes.

A cluster of its own: Kueue's webhooks have a say in every Job and pod of theirs. With the real trainer on a real node:
e2e/test_kueue.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from harness import Cluster, OperatorProcess, definitions, kueue
from harness.paths import REPOSITORY
from worlds.training import Json, Space, epoch, failure

EXAMPLES = REPOSITORY / "examples" / "kueue"


@pytest.fixture(scope="module")
def control_plane() -> Iterator[Cluster]:
    with Cluster() as cluster:
        kueue.start(cluster)
        yield cluster


@pytest.fixture(scope="module")
def crds(control_plane: Cluster) -> Cluster:
    definitions.install(control_plane.kubectl, REPOSITORY / "crds")
    return control_plane


@dataclass(frozen=True)
class Queued(Space):
    """A namespace with a LocalQueue `gpus`, and a ClusterQueue that nobody else uses: one GPU."""

    def example(self, kind: str) -> Json:
        """One of the example's manifests, with a ClusterQueue of this namespace's own."""
        manifests = yaml.safe_load_all((EXAMPLES / "queues.yaml").read_text())
        [manifest] = [each for each in manifests if each["kind"] == kind]
        if kind == "ClusterQueue":
            manifest["metadata"]["name"] = self.namespace
        if kind == "LocalQueue":
            manifest["spec"]["clusterQueue"] = self.namespace
        return dict(manifest)

    def run(self, version: str, priority: str = "nightly", queue: str = "gpus", **spec: Any) -> str:
        """Apply the example's TrainingJob for a version; its name."""
        manifest = yaml.safe_load((EXAMPLES / "trainingjob.yaml").read_text())
        name = f"parts-detector-{version}"
        labels = {"kueue.x-k8s.io/queue-name": queue, "kueue.x-k8s.io/priority-class": priority}
        manifest["metadata"] |= {"name": name, "labels": labels}
        manifest["spec"] |= {"version": version, **spec}
        self.apply(manifest)
        return name

    def patch(self, kind: str, name: str, spec: Json) -> None:
        self.kubectl("patch", kind, name, "--type=merge", f"--patch={json.dumps({'spec': spec})}")

    def workload(self, name: str) -> Json:
        """What Kueue keeps of the Job of a TrainingJob."""
        job = self.get("job", name)
        assert job is not None
        [workload] = self.list("workloads", f"kueue.x-k8s.io/job-uid={job['metadata']['uid']}")
        return workload

    def pods(self, name: str) -> list[Json]:
        return self.list("pods", f"modelfleet.dev/training-job={name}")

    def told(self, name: str) -> Json:
        """What the trainer in the only pod of a TrainingJob is told to do."""
        [pod] = self.pods(name)
        [trainer] = pod["spec"]["containers"]
        run: Json = json.loads(next(each["value"] for each in trainer["env"] if each["name"] == "TRAINER_RUN"))
        return run


@pytest.fixture
def space(crds: Cluster, namespace: str, kwok_nodes: Callable[..., list[str]], operator: OperatorProcess) -> Queued:
    """The test's namespace with a queue and one node, which has more GPUs than the queue may use."""
    (node,) = kwok_nodes(1, prefix="trainer")
    gpus = {"nvidia.com/gpu": "4"}
    patch = json.dumps({"status": {"capacity": gpus, "allocatable": gpus}})
    crds.kubectl("patch", "node", node, "--subresource=status", "--type=merge", f"--patch={patch}")
    space = Queued(crds, namespace, node)
    for kind in ("ResourceFlavor", "ClusterQueue", "LocalQueue"):
        space.apply(space.example(kind))
    for each in yaml.safe_load_all((EXAMPLES / "queues.yaml").read_text()):
        if each["kind"] == "WorkloadPriorityClass":
            space.apply(each)
    return space


NO_QUOTA = "couldn't assign flavors to pod set main: insufficient unused quota for nvidia.com/gpu in flavor default"


def test_a_run_waits_for_quota_leaves_its_place_to_an_urgent_one_and_goes_on(space: Queued):
    first = space.run("v1", backoffLimit=0)  # a single failure would end it
    pod = space.until_running(first)
    told = space.told(first)
    space.log(pod, epoch(1), epoch(2))
    space.until(lambda: space.status(first).get("progress", {}).get("epoch") == 2)

    second = space.run("v2")
    assert space.until_reason("Queued", second).startswith("Waiting for admission by Kueue queue gpus.")
    assert space.status(second)["phase"] == "Queued"
    space.until(lambda: f"Kueue says: {NO_QUOTA}, 1 more needed" in space.ready(second)["message"], patience=120)
    assert not space.pods(second)

    # older than a minute by now, so that Kueue is asked at once
    urgent = space.run("v3", "urgent")
    space.until_running(urgent)
    space.until_reason("Queued", first)
    space.until(lambda: "Kueue evicted it (Preempted)" in space.ready(first)["message"])
    assert "Stalled" not in space.conditions(first)
    assert not space.pods(first)

    # its place is free again: the older of the two that wait gets it
    space.succeed(space.until_running(urgent))
    space.until_reason("Complete", urgent)
    again = space.until_running(first, besides=(pod,))
    assert space.told(first) == told, "the same checkpoints"
    assert not space.pods(second)
    space.log(again, '{"event": "resumed", "resumedFromEpoch": 2, "epochs": 3}')
    space.until(lambda: space.status(first).get("resumedFromEpoch") == 2)
    space.succeed(again)
    space.until_reason("Complete", first)
    job = space.get("job", first)
    assert job is not None
    assert job["status"].get("failed", 0) == 0
    assert {"Queued", "Resumed", "Complete"} <= set(space.events(first))
    assert "Retrying" not in space.events(first)

    space.succeed(space.until_running(second))
    space.until_reason("Complete", second)


SMALL = {"resources": {"requests": {"cpu": "1"}}}


def test_a_queue_that_kueue_does_not_serve_is_said_with_what_to_do(space: Queued):
    """All at once, as each takes the minute after which the operator looks; and each is put right. One waits in a queue
    that is served, for what that can never give."""
    closed, nowhere = f"{space.namespace}-closed", f"{space.namespace}-nowhere"
    local, cluster = space.example("LocalQueue"), space.example("ClusterQueue")

    def local_queue(name: str, cluster_queue: str, **spec: Any) -> Json:
        return {**local, "metadata": {"name": name}, "spec": {"clusterQueue": cluster_queue, **spec}}

    def cluster_queue(name: str, **spec: Any) -> Json:
        return {**cluster, "metadata": {"name": name}, "spec": {**cluster["spec"], **spec}}

    space.apply(local_queue("stopped", space.namespace, stopPolicy="Hold"))
    space.apply(cluster_queue(closed, stopPolicy="Hold"))
    space.apply(local_queue("closed", closed))
    space.apply(local_queue("nowhere", nowhere))
    runs = {
        queue: space.run(f"v{number}", queue=queue, **SMALL)
        for number, queue in enumerate(("missing", "stopped", "closed", "nowhere"), start=1)
    }
    unlisted = space.run("v5", resources={"requests": {"example.com/npu": "1"}, "limits": {"example.com/npu": "1"}})
    said = {queue: space.until_reason("QueueNotServed", name, patience=120) for queue, name in runs.items()}
    assert f"namespace {space.namespace} has no LocalQueue missing; create it, or" in said["missing"]
    assert "LocalQueue stopped is stopped; remove its spec.stopPolicy, or" in said["stopped"]
    assert f"ClusterQueue {closed} of LocalQueue closed is not active; fix what" in said["closed"]
    assert f"ClusterQueue {nowhere} of LocalQueue nowhere does not exist; create it, or" in said["nowhere"]
    space.until(lambda: "resource example.com/npu unavailable in ClusterQueue" in space.ready(unlisted)["message"])

    space.apply(local_queue("missing", space.namespace))
    space.patch("localqueue", "stopped", {"stopPolicy": None})
    space.patch("clusterqueue", closed, {"stopPolicy": None})
    space.apply(cluster_queue(nowhere))
    for name in runs.values():
        space.until_running(name)
        space.until_reason("Training", name)


def test_what_people_do_to_a_run_in_a_queue(space: Queued):
    first = space.run("v1")
    pod = space.until_running(first)

    # spec.suspend does nothing here, and its condition says what does
    space.patch("trainingjob", first, {"suspend": True})
    space.until(lambda: "UnsupportedFields" in space.conditions(first))
    assert "set spec.active of its Workload" in space.conditions(first)["UnsupportedFields"]["message"]
    space.patch("trainingjob", first, {"suspend": False})
    space.patch("workload", space.workload(first)["metadata"]["name"], {"active": False})
    space.until_reason("Queued", first)
    deactivated = "Kueue evicted it (Deactivated) and says: The workload is deactivated"
    space.until(lambda: deactivated in space.ready(first)["message"], patience=120)
    assert not space.pods(first)
    space.patch("workload", space.workload(first)["metadata"]["name"], {"active": True})
    space.until_running(first, besides=(pod,))

    # who deletes a run lets the next one have its place; and one that waits leaves nothing behind
    second, third = space.run("v2"), space.run("v3")
    space.until_reason("Queued", second)
    space.until_reason("Queued", third)
    space.delete("trainingjob", second)
    space.until(lambda: space.get("job", second) is None)
    space.until(lambda: len(space.list("workloads")) == 2)
    space.delete("trainingjob", first)
    # and a run that has failed does so, too
    space.finish(space.until_running(third), 64, failure("DatasetInvalid", "train/labels/7.txt: class 9 of 2 classes"))
    space.until_reason("DatasetInvalid", third)
    space.until_running(space.run("v4"))
