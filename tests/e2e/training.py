"""A cluster whose real nodes train, and one TrainingJob on it as a test sees it: its pods, and what they log."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from e2e.world import NAMESPACE, World, upload_dataset
from harness import Cluster, OperatorProcess, binaries, definitions, images
from harness.paths import REPOSITORY
from harness.processes import wait_until

PATIENCE = 300.0  # seconds; costs only when it fails

Event = dict[str, Any]


def manifest(name: str, *, epochs: int, every: int, **spec: Any) -> dict[str, Any]:
    """A training of a minute or so, which stores a checkpoint every so many epochs."""
    return {
        "apiVersion": "modelfleet.dev/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {"name": name},
        "spec": {
            "model": "parts",
            "mode": "Scratch",
            "architecture": "yolo11n",
            "dataset": {"sources": [{"uri": "s3://data/parts.tar"}]},
            "hyperparameters": {"epochs": epochs, "imageSize": 96, "batch": 8, "optimizer": "AdamW"},
            "checkpoint": {"everyEpochs": every},
            "output": {"uri": "s3://models/"},
            "template": {"spec": {"containers": [{"name": "trainer", "envFrom": [{"secretRef": {"name": "store"}}]}]}},
            **spec,
        },
    }


@contextmanager
def training_world(*nodes: str) -> Iterator[World]:
    """A cluster of these nodes with the trainer's image, a dataset in its object store, and an operator."""
    trainer = images.ensure("trainer")
    with Cluster(nodes=True) as cluster:
        for name in nodes:
            cluster.add_node(name, images=[trainer])
        definitions.install(cluster.kubectl, REPOSITORY / "crds")
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
    """A TrainingJob as the test sees it."""

    world: World
    name: str
    attempts: list[Attempt] = field(default_factory=list)

    def status(self) -> dict[str, Any]:
        return dict(self.world.get("trainingjob", self.name).get("status") or {})

    def pods(self, *phases: str) -> list[dict[str, Any]]:
        pods = self.world.items("pods", f"modelfleet.dev/training-job={self.name}")
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
