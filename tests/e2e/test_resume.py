"""One training job through four disturbances in a row, on real nodes: its process is killed, its pod deleted, its node
drained, and its newest checkpoint damaged while it is suspended. It goes on each time, and no interruption costs more
than `everyEpochs`.

Most of the time goes into Kubernetes' pauses before a new pod: 10 s, 20 s, 40 s.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from e2e.world import NAMESPACE, World, upload_dataset
from harness import Cluster, OperatorProcess, binaries, images
from harness.paths import REPOSITORY
from harness.processes import wait_until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(os.geteuid() != 0, reason="real nodes need root"),
]
NODES = ("training-a", "training-b")
NAME = "parts-v1"
EPOCHS, EVERY = 16, 2
PATIENCE = 300.0  # seconds; costs only when it fails

Event = dict[str, Any]

MANIFEST = {
    "apiVersion": "modelfleet.dev/v1alpha1",
    "kind": "TrainingJob",
    "metadata": {"name": NAME},
    "spec": {
        "model": "parts",
        "mode": "Scratch",
        "architecture": "yolo11n",
        "dataset": {"sources": [{"uri": "s3://data/parts.tar"}]},
        "hyperparameters": {"epochs": EPOCHS, "imageSize": 96, "batch": 8, "optimizer": "AdamW"},
        "checkpoint": {"everyEpochs": EVERY},
        "output": {"uri": "s3://models/"},
        "backoffLimit": 1,  # of the four disturbances one is a failure
        "template": {"spec": {"containers": [{"name": "trainer", "envFrom": [{"secretRef": {"name": "store"}}]}]}},
    },
}


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    trainer = images.ensure("trainer")
    with Cluster(nodes=True) as cluster:
        for name in NODES:
            cluster.add_node(name, images=[trainer])
        crds = f"--filename={REPOSITORY}/crds"
        cluster.kubectl("apply", "--server-side", crds)
        cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", crds)
        cluster.kubectl("create", "namespace", NAMESPACE)
        world = World(cluster, {"trainer": trainer})
        for bucket in ("data", "models"):
            cluster.object_store.create_bucket(bucket)
        credentials = (f"--from-literal={name}={value}" for name, value in cluster.object_store.environment.items())
        world.kubectl("create", "secret", "generic", "store", *credentials)
        upload_dataset(world, "parts", images=64, seed=11)
        OperatorProcess(cluster, {"images": {"trainer": trainer.name}}, namespaces=[NAMESPACE]).start()
        yield world


@dataclass
class Attempt:
    """A pod of the job. Its log is followed into a file, which outlives it."""

    pod: str
    node: str
    log: Path
    follower: subprocess.Popen[bytes]

    def events(self, name: str) -> list[Event]:
        found = (json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{"))
        return [event for event in found if event["event"] == name]

    @property
    def epochs(self) -> list[int]:
        return [event["epoch"] for event in self.events("epoch")]

    @property
    def resumed_from(self) -> int | None:
        return next((event["resumedFromEpoch"] for event in self.events("resumed")), None)


@dataclass
class Run:
    """The TrainingJob as the test sees it."""

    world: World
    attempts: list[Attempt] = field(default_factory=list)

    def status(self) -> dict[str, Any]:
        return dict(self.world.get("trainingjob", NAME).get("status") or {})

    def pods(self, *phases: str) -> list[dict[str, Any]]:
        pods = self.world.items("pods", f"--selector=modelfleet.dev/training-job={NAME}")
        return [dict(pod) for pod in pods if not phases or pod["status"]["phase"] in phases]

    def until(self, what: str, look: Any) -> None:
        assert wait_until(look, PATIENCE), f"{what}: {self.described()}"

    def next_attempt(self) -> Attempt:
        """The next pod, once it runs."""
        known = {attempt.pod for attempt in self.attempts}

        def running() -> list[dict[str, Any]]:
            return [pod for pod in self.pods("Running") if pod["metadata"]["name"] not in known]

        self.until("no new pod runs", running)
        [pod] = running()
        name, node = pod["metadata"]["name"], pod["spec"]["nodeName"]
        log = self.world.cluster.state / f"{name}.log"
        kubectl = [
            binaries.path("kubectl"),
            f"--kubeconfig={self.world.cluster.kubeconfig}",
            f"--namespace={NAMESPACE}",
        ]
        with log.open("wb") as output:
            follower = subprocess.Popen([*kubectl, "logs", "--follow", name], stdout=output)
        self.attempts.append(Attempt(name, node, log, follower))
        return self.attempts[-1]

    def until_stored(self, attempt: Attempt, epoch: int) -> None:
        """Until the attempt has stored a checkpoint of this epoch or a later one."""
        self.until(
            f"no checkpoint of epoch {epoch}",
            lambda: any(event["epoch"] >= epoch for event in attempt.events("checkpoint")),
        )

    def over(self, attempt: Attempt) -> None:
        """The attempt has ended, and its log is here to the end."""
        attempt.follower.wait(PATIENCE)

    def described(self) -> str:
        logs = "\n".join(f"--- {each.pod} on {each.node}\n{each.log.read_text()[-4000:]}" for each in self.attempts)
        return f"{json.dumps(self.status(), indent=1)}\n{self.world.kubectl('get', 'pods,jobs,events')}\n{logs}"


def trainer_process(run: Run) -> int:
    """The process id, on this machine, of the job's trainer: the one whose environment names the TrainingJob's uid."""
    uid = run.world.get("trainingjob", NAME)["metadata"]["uid"].encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command, environment = (process / "cmdline").read_bytes(), (process / "environ").read_bytes()
        except OSError:  # gone since it was listed, or a thread of the kernel
            continue
        if command.split(b"\0")[1:4] == [b"-P", b"-m", b"trainer"] and uid in environment:
            found.append(int(process.name))
    return min(found)  # loading processes, if there are any, are its children


def suspend(world: World, wanted: bool) -> None:
    patch = json.dumps({"spec": {"suspend": wanted}})
    world.kubectl("patch", "trainingjob", NAME, "--type=merge", f"--patch={patch}")


def test_a_training_goes_on_after_whatever_interrupts_it(world: World) -> None:
    run = Run(world)
    world.kubectl("apply", "--filename=-", input=json.dumps(MANIFEST))

    # the process is killed: a failure, and what was not stored is lost
    first = run.next_attempt()
    run.until_stored(first, 2)
    os.kill(trainer_process(run), signal.SIGKILL)
    run.over(first)

    # the pod is deleted: asked to stop, it stores what it has
    second = run.next_attempt()
    run.until_stored(second, first.epochs[-1] + 1)
    world.kubectl("delete", "pod", second.pod)
    run.over(second)

    # its node is drained: it goes on on the other one
    third = run.next_attempt()
    run.until_stored(third, second.epochs[-1] + 1)
    world.cluster.kubectl("drain", third.node, "--delete-emptydir-data", "--timeout=120s")
    run.over(third)

    # it is suspended, which takes its pod, and the newest checkpoint is damaged before it goes on
    fourth = run.next_attempt()
    assert fourth.node != third.node
    run.until_stored(fourth, third.epochs[-1] + 1)
    suspend(world, True)
    run.over(fourth)
    run.until("the pod is still there", lambda: not run.pods("Running", "Pending"))
    [folder] = (world.cluster.object_store.buckets / "models/parts/v1").glob(".checkpoint-*")
    *_, before, newest = sorted(path.name[:-5] for path in folder.glob("0*.json"))
    last = folder / newest / "last.pt"
    last.write_bytes(last.read_bytes()[:-1000])
    suspend(world, False)

    fifth = run.next_attempt()
    run.until("not complete", lambda: run.status().get("phase") in ("Succeeded", "Failed"))
    run.over(fifth)

    attempts = [first, second, third, fourth, fifth]
    for each in attempts:
        print(f"{each.pod} on {each.node}: went on from {each.resumed_from}, trained {each.epochs}")
    resumed = [attempt.resumed_from for attempt in attempts]
    assert resumed[0] is None
    assert resumed[4] == int(before[:6]) < int(newest[:6])
    assert any(f"checkpoint {newest} can't be used" in event["message"] for event in fifth.events("warning"))
    for earlier, later in itertools.pairwise(attempts):
        at = later.resumed_from
        assert at is not None, run.described()
        assert later.epochs == list(range(at + 1, later.epochs[-1] + 1))  # it counts on from there
        again = [epoch for epoch in earlier.epochs if epoch > at]
        assert len(again) <= EVERY, f"{earlier.pod} trained {earlier.epochs} and {later.pod} went on from {at}"
    assert fifth.epochs[-1] == EPOCHS

    status = run.status()
    assert status["phase"] == "Succeeded", run.described()
    assert status["modelVersion"] == "parts-v1"
    assert status["progress"]["epoch"] == EPOCHS
    assert (status["attempts"], status["preemptions"]) == (5, 1), run.described()
    assert status["resumedFromEpoch"] == resumed[4]
    job = world.get("job", NAME)
    assert job["status"]["failed"] == 1  # of five pods, the killed one alone
    of_ours = "--field-selector=reason=Resumed,involvedObject.kind=TrainingJob"
    went_on = [event["message"] for event in world.items("events", of_ours)]
    assert {f"Went on from epoch {epoch}." for epoch in resumed[1:]} == set(went_on)
    assert not folder.exists()  # published: the checkpoints have served
