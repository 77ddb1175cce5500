"""Raw objects for the tests of training and of versions, in a few words."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from modelfleet.api import ModelVersion, Rollout, TrainingJob
from modelfleet.training import manifests, trainer_run
from modelfleet.training.jobs import JobFacts, job_facts
from modelfleet.training.last_end import with_noted
from modelfleet.training.pods import Attempt
from modelfleet.training.pods import attempt as read_pod
from modelfleet.training.snapshot import Snapshot
from modelfleet.training.termination import digest

START = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
IMAGE = "registry.example/trainer:1"
NAMESPACE = "factory"
UID = "uid-parts-v4"

Json = dict[str, Any]

DETAIL: Json = {
    "classes": ["bolt", "nut"],
    "imageSize": 320,
    "calibration": {"edges": ["0.25", "0.5", "1"], "precision": ["0.4", "0.9"]},
    "perClass": {"bolt": {"map50": "0.9"}},
    "dataset": {
        "uri": "s3://data/1.tar",
        "sha256": "d" * 64,
        "images": 120,
        "labels": 300,
        "skipped": 3,
        "sources": [{"uri": "s3://data/1.tar", "sha256": "d" * 64, "images": 120, "labels": 300, "skipped": 3}],
    },
    "hyperparameters": {"epochs": "3", "imgsz": "320"},
    "software": {"ultralytics": "8.4.190"},
    "evaluation": None,
    "loadedShare": "0.99",
    "diagnosis": {"finding": "Converged", "message": "mAP50-95 levelled off"},
    "report": {"uri": "s3://models/parts/v4/report/report.json", "sha256": "c" * 64, "of_another_release": 1},
    "tracking": {"mlflow": "no address"},
}


def wire(moment: datetime) -> str:
    """A time as Kubernetes writes it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def after(seconds: float) -> datetime:
    """So many seconds after START."""
    return START + timedelta(seconds=seconds)


def training_job(
    name: str = "parts-v4",
    *,
    status: Json | None = None,
    labels: Mapping[str, str] | None = None,
    generation: int = 1,
    deleting: bool = False,
    **spec: Any,
) -> Json:
    """A Scratch TrainingJob; `spec` replaces whole fields, and None removes one."""
    metadata: Json = {
        "name": name,
        "namespace": NAMESPACE,
        "uid": UID,
        "generation": generation,
        "creationTimestamp": wire(START),
        "labels": dict(labels or {}),
    }
    if deleting:
        metadata["deletionTimestamp"] = wire(START)
    fields: Json = {
        "model": "parts",
        "mode": "Scratch",
        "architecture": "yolo11n",
        "dataset": {"sources": [{"uri": "s3://data/1.tar"}]},
        "output": {"uri": "s3://models/"},
        **spec,
    }
    return {
        "apiVersion": "modelfleet.dev/v1alpha1",
        "kind": "TrainingJob",
        "metadata": metadata,
        "spec": {key: value for key, value in fields.items() if value is not None},
        **({} if status is None else {"status": status}),
    }


def fine_tune(reference: Mapping[str, str], **spec: Any) -> Json:
    """A FineTune TrainingJob from a parent."""
    return training_job(mode="FineTune", architecture=None, **{"from": dict(reference)}, **spec)


def model_version(
    version: str = "v3",
    *,
    model: str = "parts",
    tags: tuple[str, ...] = (),
    created: datetime = START,
    ready: bool | None = True,
    formats: tuple[str, ...] = ("onnx", "pytorch"),
    deleting: bool = False,
    finalizers: tuple[str, ...] = (),
    annotations: Mapping[str, str] | None = None,
    status: Json | None = None,
    **spec: Any,
) -> Json:
    """A ModelVersion; `ready` None is one that was never looked at."""
    metadata: Json = {
        "name": f"{model}-{version}",
        "namespace": NAMESPACE,
        "uid": f"uid-{model}-{version}",
        "resourceVersion": "7",
        "generation": 1,
        "creationTimestamp": wire(created),
        "finalizers": list(finalizers),
        "annotations": dict(annotations or {}),
    }
    if deleting:
        metadata["deletionTimestamp"] = wire(created)
    conditions = [] if ready is None else [condition("Ready", "True" if ready else "False", "Available")]
    return {
        "apiVersion": "modelfleet.dev/v1alpha1",
        "kind": "ModelVersion",
        "metadata": metadata,
        "spec": {
            "model": model,
            "version": version,
            "tags": list(tags),
            "artifact": {
                "uri": f"s3://models/{model}/{version}/",
                "files": [file(format) for format in formats],
            },
            "classes": ["bolt", "nut"],
            "imageSize": 320,
            **spec,
        },
        "status": {"conditions": conditions, **(status or {})},
    }


def file(format: str = "onnx") -> Json:
    """A file of an artifact."""
    name = {"onnx": "best.onnx", "pytorch": "best.pt"}.get(format, f"best.{format}")
    return {"name": name, "format": format, "sha256": format.encode().hex().ljust(64, "0")[:64], "sizeBytes": 1000}


def condition(type: str, status: str, reason: str, message: str = "as told") -> Json:
    """A condition as it is stored."""
    return {
        "type": type,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": wire(START),
        "observedGeneration": 1,
    }


def rollout(name: str = "line", *, model: str = "parts", **status: Any) -> Json:
    """A Rollout with this status."""
    return {
        "apiVersion": "modelfleet.dev/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": name, "namespace": NAMESPACE, "uid": f"uid-{name}", "generation": 1},
        "spec": {
            "model": {"name": model, "tag": "latest"},
            "groups": [{"name": "fleet", "nodeSelector": {"matchLabels": {"app": "line"}}}],
            "template": {"spec": {"containers": [{"name": "agent"}]}},
        },
        "status": status,
    }


def job(
    training: Json | None = None,
    *,
    version: str = "v4",
    parent: Json | None = None,
    status: Json | None = None,
    annotations: Mapping[str, str] | None = None,
    suspend: bool | None = None,
    owner: str = UID,
    deleting: bool = False,
) -> Json:
    """The Job that a TrainingJob made, as the API server has it."""
    parsed = TrainingJob.model_validate(training or training_job())
    parent_version = None if parent is None else ModelVersion.model_validate(parent)
    raw = manifests.job(parsed, IMAGE, trainer_run.document(parsed, version, parent_version, None))
    raw["metadata"] |= {"uid": "uid-job", "creationTimestamp": wire(START), "annotations": dict(annotations or {})}
    raw["metadata"]["ownerReferences"][0]["uid"] = owner
    if deleting:
        raw["metadata"]["deletionTimestamp"] = wire(START)
    if suspend is not None:
        raw["spec"]["suspend"] = suspend
    raw["status"] = status or {}
    return raw


def ended(succeeded: bool, *, at: datetime = START, reason: str = "", failed: int = 0) -> Json:
    """The status of a Job that ended."""
    condition = {
        "type": "Complete" if succeeded else "Failed",
        "status": "True",
        "reason": reason,
        "message": f"the Job controller says {reason}",
        "lastTransitionTime": wire(at),
    }
    return {"conditions": [condition], "failed": failed, **({"completionTime": wire(at)} if succeeded else {})}


def pod(
    number: int = 1,
    *,
    phase: str = "Running",
    exit_code: int | None = None,
    said: str = "",
    why: str = "",
    disrupted: bool = False,
    disrupted_at: datetime | None = None,
    waiting: tuple[str, str] | None = None,
    unschedulable: str = "",
    started: bool = True,
    deleting: bool = False,
    beside: Mapping[str, Json] | None = None,
) -> Json:
    """A pod of the Job, the number-th attempt; `beside` are other containers by name, with their states."""
    created = START + timedelta(minutes=number)
    state: Json = {}
    if exit_code is not None:
        state["terminated"] = {
            "exitCode": exit_code,
            "reason": why or ("Completed" if exit_code == 0 else "Error"),
            "message": said,
            "startedAt": wire(created),
            "finishedAt": wire(created + timedelta(seconds=50)),
        }
    elif waiting is not None:
        state["waiting"] = {"reason": waiting[0], "message": waiting[1]}
    elif phase == "Running" and started:
        state["running"] = {"startedAt": wire(created)}
    conditions = []
    if disrupted:
        at = {} if disrupted_at is None else {"lastTransitionTime": wire(disrupted_at)}
        conditions.append({"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler", **at})
    if unschedulable:
        conditions.append(
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": unschedulable}
        )
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"parts-v4-{number}",
            "namespace": NAMESPACE,
            "uid": f"uid-pod-{number}",
            "creationTimestamp": wire(created),
            **({"deletionTimestamp": wire(created)} if deleting else {}),
        },
        "spec": {} if unschedulable else {"nodeName": "node-1"},
        "status": {
            "phase": phase,
            "conditions": conditions,
            "containerStatuses": [
                *([{"name": "trainer", "state": state}] if state else []),
                *({"name": name, "state": of} for name, of in (beside or {}).items()),
            ],
        },
    }


def succeeded_pod(number: int = 1, detail: Json | None = None, **changes: Any) -> Json:
    """A pod whose trainer reports success."""
    return pod(number, phase="Succeeded", exit_code=0, said=success(detail, **changes))


def failed_pod(
    number: int = 1, reason: str = "TrainingFailed", message: str = "loss is NaN", exit_code: int = 1
) -> Json:
    """A pod whose trainer reports a failure."""
    said = json.dumps({"result": "Failed", "reason": reason, "message": message})
    return pod(number, phase="Failed", exit_code=exit_code, said=said)


def lingering_pod(number: int = 1, *, exit_code: int = 0, said: str | None = None, **fields: Any) -> Json:
    """A pod whose trainer has ended, and a container beside it has not."""
    mesh = {"mesh": {"running": {"startedAt": wire(START)}}}
    return pod(number, exit_code=exit_code, said=success() if said is None else said, beside=mesh, **fields)


def success(detail: Json | None = None, **changes: Any) -> str:
    """A termination message of success."""
    message = {
        "result": "Succeeded",
        "files": [file("onnx"), file("pytorch")],
        "metrics": {"map50": "0.91", "recall": "0.87"},
        "detailSha256": digest(detail or DETAIL),
    }
    return json.dumps(message | changes)


def detail_line(detail: Json | None = None) -> str:
    """The trainer's last log line."""
    return json.dumps({"event": "detail", "sha256": digest(detail or DETAIL), "detail": detail or DETAIL})


def epoch_line(epoch: int, epochs: int = 3, **fields: Any) -> str:
    """One epoch's log line."""
    return json.dumps(
        {
            "event": "epoch",
            "epoch": epoch,
            "epochs": epochs,
            "percent": 100 * epoch // epochs,
            "remainingSeconds": 60,
            "metrics": {"map50": "0.5"},
            **fields,
        }
    )


def snapshot(
    training: Json | None = None,
    *,
    job: Json | None = None,
    pods: tuple[Json, ...] = (),
    version: Json | None = None,
    **fields: Any,
) -> Snapshot:
    """What is seen of a TrainingJob, from raw objects."""
    facts: JobFacts | None = None if job is None else job_facts(job)
    read: tuple[Attempt, ...] = tuple(read_pod(entry) for entry in pods)
    read = with_noted(read, None if facts is None else facts.noted)
    return Snapshot(
        training=TrainingJob.model_validate(training or training_job()),
        image=IMAGE,
        job=facts,
        attempts=read,
        version=None if version is None else ModelVersion.model_validate(version),
        **fields,
    )


def versions(*raw: Json) -> tuple[ModelVersion, ...]:
    """ModelVersions, parsed."""
    return tuple(ModelVersion.model_validate(entry) for entry in raw)


def parsed_rollout(*args: Any, **kwargs: Any) -> Rollout:
    """A Rollout, parsed."""
    return Rollout.model_validate(rollout(*args, **kwargs))
