"""The batch Job of a Dataset: one sync. Pure.

It is created and never changed. Its name has the moment for which it was made, so that nothing makes it twice.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from modelfleet.api import Dataset, names
from modelfleet.datasets import labeler_run
from modelfleet.datasets.schedule import Due
from modelfleet.datasets.snapshot import Snapshot
from modelfleet.datasets.sync_job import RETRYING_CANT_HELP, SyncJob
from modelfleet.decision import Create, Delete
from modelfleet.kinds import DATASET, JOB
from modelfleet.times import wire_time
from modelfleet.workloads import mounts, pod_security, pod_template, run_once
from modelfleet.workloads.owners import owner_reference

TOKEN = "token"
"""The key of the Secret that Label Studio's access token is in."""

_TRIES = 2  # after the first
_WORK = "/tmp"

Json = dict[str, Any]


def job_name(dataset: Dataset, due: Due) -> str:
    """The name of the Job for this moment."""
    return f"{dataset.metadata.name}-{due.at:%Y%m%d%H%M%S}"


def create_job(seen: Snapshot, due: Due) -> Create:
    """Create the Job that looks for captures and reviewed labels once."""
    dataset = seen.dataset
    labels = {
        names.MANAGED_BY: names.MANAGED_BY_VALUE,
        names.DATASET: dataset.metadata.name,
        names.MODEL: dataset.spec.model,
    }
    notes = {names.SYNC_DUE: wire_time(due.at), names.SYNC_GENERATION: str(dataset.metadata.generation)}
    if due.command:
        notes[names.SYNC_COMMAND] = due.command
    return Create(
        {
            "apiVersion": JOB.api_version,
            "kind": JOB.kind,
            "metadata": {
                "name": job_name(dataset, due),
                "namespace": dataset.metadata.namespace,
                "labels": labels,
                "annotations": notes,
                "ownerReferences": [owner_reference(DATASET, dataset.metadata)],
            },
            "spec": {
                "backoffLimit": _TRIES,
                "activeDeadlineSeconds": max(1, math.ceil(dataset.spec.active_deadline.total_seconds())),
                "podReplacementPolicy": "Failed",  # never two labelers side by side
                "podFailurePolicy": {
                    "rules": [
                        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                        {
                            "action": "FailJob",
                            "onExitCodes": {
                                "containerName": names.LABELER_CONTAINER,
                                "operator": "In",
                                "values": [RETRYING_CANT_HELP],
                            },
                        },
                    ]
                },
                "template": _pod_template(seen, labels),
            },
        }
    )


def unmounted(dataset: Dataset) -> list[str]:
    """Addresses on volumes that the Job would not have."""
    spec = dataset.spec
    files = () if spec.labelling.files is None else (spec.labelling.files.uri,)
    paths = mounts.mounts_of(spec.template, names.LABELER_CONTAINER)
    return mounts.unmounted((spec.captures.uri, spec.store.uri, *files), paths)


def remove_job(dataset: Dataset, job: SyncJob) -> Delete:
    """Remove a Job and its pods."""
    return Delete(JOB, dataset.metadata.namespace, job.name, job.uid)


def _pod_template(seen: Snapshot, labels: Mapping[str, str]) -> Json:
    """Ours, with the user's laid over it, and what the operator relies on laid over both."""
    base = {
        "metadata": {"labels": labels},
        "spec": {
            **pod_security.pod(),
            "volumes": [{"name": "modelfleet-work", "emptyDir": {}}],
            "containers": [_container(seen)],
        },
    }
    merged = pod_template.merge(base, seen.dataset.spec.template)
    required = run_once.required(
        {"labels": labels},
        names.LABELER_CONTAINER,
        labeler_run.to_env(labeler_run.document(seen.dataset, seen.deployed)),
    )
    return pod_template.merge(merged, required)


def _container(seen: Snapshot) -> Json:
    return {
        "name": names.LABELER_CONTAINER,
        "image": seen.image,
        "env": list(_env(seen.dataset)),
        "volumeMounts": [{"name": "modelfleet-work", "mountPath": _WORK}],
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}},
        "securityContext": pod_security.container(read_only=True),
    }


def _env(dataset: Dataset) -> Iterator[Json]:
    yield {"name": "HOME", "value": _WORK}
    yield {"name": "TMPDIR", "value": _WORK}
    label_studio = dataset.spec.labelling.label_studio
    if label_studio is not None:
        # Optional: a labeler that starts says what is missing, where a pod that doesn't says so in the kubelet's words.
        secret = {"name": label_studio.secret_ref.name, "key": TOKEN, "optional": True}
        yield {"name": "LABEL_STUDIO_API_KEY", "valueFrom": {"secretKeyRef": secret}}
