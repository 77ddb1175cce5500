"""The batch Job of a TrainingJob, and the few writes to it. Pure.

The Job is created and never applied again: its pod template can't change, and what it was told (TRAINER_RUN) stays true
even where a tag or a Rollout has moved on. Only `suspend` and annotations of ours are patched.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from modelfleet.api import ModelVersion, Tracking, TrainingJob, names
from modelfleet.decision import Create, Delete, Patch
from modelfleet.kinds import JOB, POD, TRAINING_JOB
from modelfleet.training import last_end, trainer_run
from modelfleet.training.data import NOTHING, Data
from modelfleet.training.jobs import INTERRUPTED, REREADS, SUSPENDED, Interruptions, JobFacts
from modelfleet.training.last_end import LAST_END, LastEnd
from modelfleet.training.pods import RETRYING_CANT_HELP, STOPPED, Attempt
from modelfleet.workloads import pod_security, pod_template, run_once
from modelfleet.workloads.owners import owner_reference

_WORK = "/work"
_KUEUE = "kueue.x-k8s.io/"
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
    data: Data = NOTHING,
    *,
    rereads: bool = False,
) -> Create:
    """Create the Job that makes `version`, or that reports again what was published (the trainer finds out itself)."""
    manifest = job(training, image, trainer_run.document(training, version, parent, baseline, data))
    notes = {REREADS: "true"} if rereads else {}
    if data != NOTHING:
        notes[names.DATASET_VERSIONS] = data.to_text()
    if notes:
        manifest["metadata"]["annotations"] = notes
    return Create(manifest)


def adopt(training: TrainingJob, job: JobFacts) -> Patch:
    """Make the TrainingJob the owner of an orphan."""
    return _patch(training, job, {"metadata": {"ownerReferences": [owner_reference(TRAINING_JOB, training.metadata)]}})


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


def note_end(training: TrainingJob, job: JobFacts, end: LastEnd) -> Patch:
    """Write down how the trainer of a pod ended that has to be deleted."""
    return _patch(training, job, {"metadata": {"annotations": {LAST_END: last_end.to_text(end)}}})


def stop_rest(training: TrainingJob, attempt: Attempt) -> Delete:
    """Stop what goes on in the pod of a trainer that has failed.

    The pod is deleted, and not evicted: an evicted one would count as disrupted, and not as the failure it is. It ends
    as Failed then, by the trainer's exit code, and the Job goes by its podFailurePolicy and its backoffLimit as if the
    trainer had been alone. Its grace period is its own.
    """
    return Delete(POD, training.metadata.namespace, attempt.name, attempt.uid)


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
                            "values": [RETRYING_CANT_HELP],
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
    base = {
        "metadata": {"labels": labels},
        "spec": {**pod_security.pod(), "volumes": _volumes(), "containers": [_trainer(training, image)]},
    }
    merged = pod_template.merge(base, training.spec.template)
    containers = merged["spec"].get("containers") or []
    if not any(entry["name"] == names.TRAINER_CONTAINER for entry in containers):
        containers = [*containers, *base["spec"]["containers"]]
    required = run_once.required({"labels": labels}, names.TRAINER_CONTAINER, trainer_run.to_env(document))
    return pod_template.merge({**merged, "spec": {**merged["spec"], "containers": containers}}, required)


def _volumes() -> list[Json]:
    return [
        {"name": "modelfleet-work", "emptyDir": {}},
        # The data loader's workers hand images over in shared memory, of which a container has 64 MB by default.
        {"name": "modelfleet-shm", "emptyDir": {"medium": "Memory"}},
    ]


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
        "securityContext": pod_security.container(read_only=False),
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
