"""The batch Job of a TrainingJob, and the few writes to it. Pure.

The Job is created and never applied again: its pod template can't change, and what it was told (TRAINER_RUN) stays true
even where a tag or a Rollout has moved on. Only `suspend` and annotations of ours are patched.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from modelfleet.api import ModelVersion, Tracking, TrainingJob, names
from modelfleet.decision import Create, Delete, Patch
from modelfleet.kinds import JOB, TRAINING_JOB
from modelfleet.training import trainer_run
from modelfleet.training.jobs import INTERRUPTED, REREADS, SUSPENDED, Interruptions, JobFacts
from modelfleet.training.pods import STOPPED
from modelfleet.workloads import pod_template
from modelfleet.workloads.owners import owner_reference

CANNOT_MEND = 64
"""The trainer's exit code for what retrying can't fix."""

_WORK = "/work"
_USER = 65532  # of the image
_KUEUE = "kueue.x-k8s.io/"
_LOG = "/dev/termination-log"
_MLFLOW_KEYS = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
_WANDB_KEYS = ("WANDB_API_KEY",)
_METRICS = 9090

Json = dict[str, Any]


def create_job(
    training: TrainingJob,
    image: str,
    version: str,
    parent: ModelVersion | None,
    baseline: ModelVersion | None,
    *,
    rereads: bool = False,
) -> Create:
    """Create the Job that makes `version`, or that reports again what was published (the trainer finds out itself)."""
    manifest = job(training, image, trainer_run.document(training, version, parent, baseline))
    if rereads:
        manifest["metadata"]["annotations"] = {REREADS: "true"}
    return Create(manifest)


def suspend(training: TrainingJob, job: JobFacts, wanted: bool) -> Patch:
    """Suspend the Job, and note that it was us; or let it go on."""
    return _patch(
        training,
        job,
        {"spec": {"suspend": wanted}, "metadata": {"annotations": {SUSPENDED: "true" if wanted else None}}},
    )


def note_interruptions(training: TrainingJob, job: JobFacts, interruptions: Interruptions) -> Patch:
    """Write down the counts of pods that something from outside ended."""
    return _patch(training, job, {"metadata": {"annotations": {INTERRUPTED: interruptions.to_text()}}})


def remove(training: TrainingJob, job: JobFacts) -> Delete:
    """Remove the Job and its pods."""
    return Delete(JOB, training.metadata.namespace, job.name, job.uid)


def _patch(training: TrainingJob, job: JobFacts, body: Json) -> Patch:
    """Bound to the Job that was observed: another one of that name is left alone."""
    body = {**body, "metadata": {**body.get("metadata", {}), "uid": job.uid}}
    return Patch(JOB, training.metadata.namespace, job.name, body)


def job(training: TrainingJob, image: str, document: Mapping[str, Any]) -> Json:
    """The Job that carries out the run `document`."""
    spec = training.spec
    labels = _labels(training, document["version"])
    kueue = {key: value for key, value in training.metadata.labels.items() if key.startswith(_KUEUE)}
    return {
        "apiVersion": JOB.api_version,
        "kind": JOB.kind,
        "metadata": {
            "name": training.metadata.name,
            "namespace": training.metadata.namespace,
            "labels": {**kueue, **labels},
            "ownerReferences": [owner_reference(TRAINING_JOB, training.metadata)],
        },
        "spec": {
            "parallelism": 1,
            "completions": 1,
            "backoffLimit": spec.backoff_limit,
            "activeDeadlineSeconds": max(1, math.ceil(spec.active_deadline.total_seconds())),
            # Kueue lets a Job of its queues go on when there is room; it must start suspended.
            "suspend": names.KUEUE_QUEUE in kueue,
            "podReplacementPolicy": "Failed",  # never two trainers side by side
            "podFailurePolicy": {
                "rules": [
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                    {
                        "action": "FailJob",
                        "onExitCodes": {
                            "containerName": names.TRAINER_CONTAINER,
                            "operator": "In",
                            "values": [CANNOT_MEND],
                        },
                    },
                    # Asked to stop: suspended, drained, deleted. Without this rule the Job controller counts a pod that
                    # spec.suspend ended as a failure of the training.
                    {
                        "action": "Ignore",
                        "onExitCodes": {
                            "containerName": names.TRAINER_CONTAINER,
                            "operator": "In",
                            "values": [STOPPED],
                        },
                    },
                ]
            },
            "template": _pod_template(training, image, document, labels),
        },
    }


def _labels(training: TrainingJob, version: str) -> dict[str, str]:
    return {
        names.MANAGED_BY: names.MANAGED_BY_VALUE,
        names.TRAINING_JOB: training.metadata.name,
        names.MODEL: training.spec.model,
        names.VERSION: version,
    }


def _pod_template(training: TrainingJob, image: str, document: Mapping[str, Any], labels: Mapping[str, str]) -> Json:
    """Ours, with the user's laid over it, and what the operator relies on laid over both."""
    base = {"metadata": {"labels": labels}, "spec": {**_pod(), "containers": [_trainer(training, image)]}}
    merged = pod_template.merge(base, training.spec.template)
    containers = merged["spec"].get("containers") or []
    if not any(entry["name"] == names.TRAINER_CONTAINER for entry in containers):
        containers = [*containers, *base["spec"]["containers"]]
    required = {
        "metadata": {"labels": labels},
        "spec": {
            "restartPolicy": "Never",
            "containers": [
                {
                    "name": names.TRAINER_CONTAINER,
                    "env": [trainer_run.to_env(document)],
                    "terminationMessagePath": _LOG,
                    "terminationMessagePolicy": "File",
                }
            ],
        },
    }
    return pod_template.merge({**merged, "spec": {**merged["spec"], "containers": containers}}, required)


def _pod() -> Json:
    """Fit for the restricted Pod Security Standard. Volumes of the user's own may need fsGroup in the template."""
    return {
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumes": [
            {"name": "modelfleet-work", "emptyDir": {}},
            # The data loader's workers hand images over in shared memory, of which a container has 64 MB by default.
            {"name": "modelfleet-shm", "emptyDir": {"medium": "Memory"}},
        ],
    }


def _trainer(training: TrainingJob, image: str) -> Json:
    container: Json = {
        "name": names.TRAINER_CONTAINER,
        "image": image,
        "workingDir": _WORK,
        "env": [
            {"name": "HOME", "value": _WORK},
            {"name": "TMPDIR", "value": _WORK},
            {"name": "YOLO_CONFIG_DIR", "value": f"{_WORK}/.ultralytics"},
            {"name": "TRAINER_METRICS_PORT", "value": str(_METRICS)},
            *_tracker_secrets(training),
        ],
        "ports": [{"name": "metrics", "containerPort": _METRICS}],  # the chart's PodMonitor goes by the name
        "volumeMounts": [
            {"name": "modelfleet-work", "mountPath": _WORK},
            {"name": "modelfleet-shm", "mountPath": "/dev/shm"},
        ],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    resources = _resources(training)
    return container | {"resources": resources} if resources else container


def _tracker_secrets(training: TrainingJob) -> Iterator[Json]:
    """Single keys and no envFrom: a user's envFrom in the template would take its place. All are optional: a training
    does not wait for what only its tracker needs."""
    tracking = training.spec.tracking or Tracking()
    for tracker, keys in ((tracking.mlflow, _MLFLOW_KEYS), (tracking.wandb, _WANDB_KEYS)):
        if tracker is not None and tracker.secret_ref is not None:
            for key in keys:
                secret = {"name": tracker.secret_ref.name, "key": key, "optional": True}
                yield {"name": key, "valueFrom": {"secretKeyRef": secret}}


def _resources(training: TrainingJob) -> Json:
    spec = training.spec.resources
    limits = dict(spec.limits)
    if spec.gpus:
        limits[spec.gpu_resource] = str(spec.gpus)
    return {name: value for name, value in (("requests", dict(spec.requests)), ("limits", limits)) if value}
