"""What the tests of training see of the cluster: TrainingJobs, their Jobs and pods, in a few words.

The nodes are simulated (KWOK): no container runs. What a trainer would write into its log and its termination message
is written by the test, in the trainer's format; everything between (scheduler, Job controller, API server, log API,
garbage collector, operator) is real.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from harness import Cluster
from harness.processes import wait_until
from harness.timing import a_moment
from modelfleet.training.termination import digest

T = TypeVar("T")
Json = dict[str, Any]

PATIENCE = 60.0

DETAIL: Json = {
    "classes": ["bolt", "nut"],
    "imageSize": 320,
    "calibration": {"edges": ["0.25", "0.5", "1"], "precision": ["0.4", "0.9"]},
    "dataset": {"uri": "s3://data/parts.tar", "sha256": "d" * 64, "images": 120, "labels": 300},
    "hyperparameters": {"epochs": "3"},
    "software": {"ultralytics": "8.4.190"},
    "evaluation": None,
    "loadedShare": None,
}

FILES: tuple[Json, ...] = (
    {"name": "best.onnx", "format": "onnx", "sha256": "a" * 64, "sizeBytes": 1000},
    {"name": "best.pt", "format": "pytorch", "sha256": "b" * 64, "sizeBytes": 500},
)


def epoch(number: int, epochs: int = 3) -> str:
    """The log line of one epoch."""
    metrics = {"map50": f"0.{number}"}
    event = {"event": "epoch", "epoch": number, "epochs": epochs, "percent": 100 * number // epochs}
    return json.dumps({**event, "remainingSeconds": 60, "metrics": metrics})


def report(detail: Json = DETAIL) -> tuple[str, str]:
    """The last log line and the termination message of a trainer that succeeded."""
    line = json.dumps({"event": "detail", "sha256": digest(detail), "detail": detail})
    metrics = {"map50": "0.91", "recall": "0.87"}
    message = {"result": "Succeeded", "files": list(FILES), "metrics": metrics, "detailSha256": digest(detail)}
    return line, json.dumps(message)


def failure(reason: str, message: str) -> str:
    """The termination message of a trainer that failed."""
    return json.dumps({"result": "Failed", "reason": reason, "message": message})


def training_job(name: str = "parts-v1", labels: Mapping[str, str] | None = None, **spec: Any) -> Json:
    """A Scratch TrainingJob; None removes a field."""
    fields: Json = {
        "model": "parts",
        "mode": "Scratch",
        "architecture": "yolo11n",
        "dataset": {"sources": [{"uri": "s3://data/parts.tar"}]},
        "output": {"uri": "s3://models/"},
        **spec,
    }
    return {
        "apiVersion": "modelfleet.dev/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {"name": name, "labels": dict(labels or {})},
        "spec": {key: value for key, value in fields.items() if value is not None},
    }


def model_version(version: str, **spec: Any) -> Json:
    """A ModelVersion made by hand."""
    return {
        "apiVersion": "modelfleet.dev/v1alpha1",
        "kind": "ModelVersion",
        "metadata": {"name": f"parts-{version}"},
        "spec": {
            "model": "parts",
            "version": version,
            "artifact": {"uri": f"s3://models/parts/{version}/", "files": list(FILES)},
            "classes": ["bolt", "nut"],
            **spec,
        },
    }


@dataclass(frozen=True)
class Space:
    """A namespace with a simulated node, and what is in it."""

    cluster: Cluster
    namespace: str
    node: str

    def kubectl(self, *arguments: str, input: str | None = None, check: bool = True) -> str:
        return self.cluster.kubectl(*arguments, f"--namespace={self.namespace}", input=input, check=check)

    def apply(self, manifest: Json) -> None:
        self.kubectl("apply", "--filename=-", input=json.dumps(manifest))

    def get(self, kind: str, name: str) -> Json | None:
        return self.cluster.objects.get(kind, name, self.namespace)

    def list(self, kind: str, labels: str = "", fields: str = "") -> list[Json]:
        return self.cluster.objects.list(kind, self.namespace, labels=labels, fields=fields)

    def delete(self, kind: str, name: str, *options: str) -> None:
        self.kubectl("delete", kind, name, *options)

    def status(self, name: str = "parts-v1", kind: str = "trainingjob") -> Json:
        found = self.get(kind, name)
        return (found or {}).get("status") or {}

    def conditions(self, name: str = "parts-v1", kind: str = "trainingjob") -> dict[str, Json]:
        return {entry["type"]: entry for entry in self.status(name, kind).get("conditions") or ()}

    def ready(self, name: str = "parts-v1", kind: str = "trainingjob") -> Json:
        return self.conditions(name, kind).get("Ready", {"status": "", "reason": "", "message": ""})

    def until(self, look: Callable[[], T], *, patience: float = PATIENCE) -> T:
        """What `look` sees once it is true; fails with what it saw last."""
        seen: list[T] = []

        def once() -> bool:
            seen[:] = [look()]
            return bool(seen[0])

        assert wait_until(once, patience), f"last seen: {seen}; {json.dumps(self.list('trainingjobs'), indent=1)}"
        a_moment()
        return seen[0]

    def until_reason(self, reason: str, name: str = "parts-v1", *, patience: float = PATIENCE) -> str:
        """The message of Ready once it has this reason."""
        self.until(lambda: self.ready(name)["reason"] == reason, patience=patience)
        return str(self.ready(name)["message"])

    def until_running(self, name: str = "parts-v1", *, besides: tuple[str, ...] = ()) -> str:
        """The name of the Job's pod that runs, another one than `besides`."""

        def running() -> str:
            for pod in self.list("pods", f"modelfleet.dev/training-job={name}"):
                if pod["status"]["phase"] == "Running" and pod["metadata"]["name"] not in besides:
                    return str(pod["metadata"]["name"])
            return ""

        return self.until(running)

    def log(self, pod: str, *lines: str) -> None:
        """Have the trainer write lines."""
        self.cluster.kwok.write_log(self.namespace, pod, "trainer", lines)

    def finish(self, pod: str, exit_code: int = 0, message: str = "", *, alone: bool = False) -> None:
        """Have the trainer end, and with it whatever else is in the pod, unless ``alone``."""
        only = "trainer" if alone else ""
        self.cluster.kwok.finish_pod(self.namespace, pod, exit_code=exit_code, message=message, only=only)

    def succeed(self, pod: str, detail: Json = DETAIL, *, alone: bool = False) -> None:
        """Have the trainer end well."""
        line, message = report(detail)
        self.log(pod, line)
        self.finish(pod, message=message, alone=alone)

    def events(self, name: str = "parts-v1") -> list[str]:
        """The reasons of the Events on a TrainingJob."""
        found = self.list("events", fields=f"involvedObject.kind=TrainingJob,involvedObject.name={name}")
        return [
            str(event["reason"]) for event in sorted(found, key=lambda event: event["metadata"]["creationTimestamp"])
        ]

    def hears(self, *reasons: str) -> None:
        """Wait for these Events on `parts-v1`: each comes after the status that it tells of."""
        self.until(lambda: set(reasons) <= set(self.events()))
