"""Raw objects for the tests of Datasets, in a few words."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from modelfleet.api import Dataset
from modelfleet.datasets.snapshot import Deployed, Snapshot
from modelfleet.datasets.sync_job import sync_job
from unit.training.builders import NAMESPACE, START, wire

IMAGE = "registry.example/labeler:1"
UID = "uid-parts"
SHA = "a" * 64

Json = dict[str, Any]

LABEL_STUDIO: Json = {"labelStudio": {"url": "http://ls", "project": "parts", "secretRef": {"name": "ls"}}}
FILES: Json = {"files": {"uri": "s3://reviewed/parts/"}}


def dataset(
    *,
    status: Json | None = None,
    annotations: Mapping[str, str] | None = None,
    generation: int = 1,
    deleting: bool = False,
    **spec: Any,
) -> Json:
    """A Dataset with a sync at every half hour; None removes a field."""
    metadata: Json = {
        "name": "parts",
        "namespace": NAMESPACE,
        "uid": UID,
        "generation": generation,
        "creationTimestamp": wire(START),
        "annotations": dict(annotations or {}),
    }
    if deleting:
        metadata["deletionTimestamp"] = wire(START)
    fields: Json = {
        "model": "parts",
        "captures": {"uri": "s3://captures/line/"},
        "store": {"uri": "s3://data/parts/"},
        "classes": ["bolt", "nut"],
        "labelling": LABEL_STUDIO,
        **spec,
    }
    return {
        "apiVersion": "modelfleet.dev/v1alpha1",
        "kind": "Dataset",
        "metadata": metadata,
        "spec": {key: value for key, value in fields.items() if value is not None},
        **({} if status is None else {"status": status}),
    }


def latest(number: int = 12, *, holdout: str | None = None, **fields: Any) -> Json:
    """A version as the labeler reports the newest one."""
    folder = f"s3://data/parts/versions/{number:05d}"
    frozen = None if holdout is None else {"uri": f"{folder}/holdout.json", "sha256": holdout, "images": 60}
    return {
        "number": number,
        "sha256": f"{number:064x}",
        "uri": f"{folder}/version.json",
        "images": 640,
        "objects": 1900,
        "classes": 2,
        "createdAt": "2026-11-21T07:00:00Z",
        "holdout": frozen,
        **fields,
    }


def entry(number: int, **fields: Any) -> Json:
    """A version in short, as the labeler reports it."""
    parent = {"number": number - 1, "sha256": f"{number - 1:064x}"} if number > 1 else None
    return {"number": number, "sha256": f"{number:064x}", "parent": parent, "images": 600, "added": 40, **fields}


def report(**fields: Any) -> str:
    """The termination message of a sync that succeeded. ABSENT removes a member."""
    message: Json = {
        "result": "Succeeded",
        "waiting": 12,
        "inReview": 40,
        "reviewed": 700,
        "editedShare": "0.12",
        "latest": latest(),
        "perClass": [{"name": "bolt", "objects": 1500}],
        "versions": [entry(12), entry(11)],
        "pending": 0,
        "review": None,
        "notes": [],
        **fields,
    }
    return json.dumps({key: value for key, value in message.items() if value is not ABSENT})


ABSENT = object()


def failure(reason: str = "LabelStudioRefused", message: str = "The token is not valid: replace it.") -> str:
    """The termination message of a sync that failed."""
    return json.dumps({"result": "Failed", "reason": reason, "message": message})


def job(
    due: datetime = START,
    *,
    ended: datetime | None = None,
    succeeded: bool = True,
    reason: str = "",
    command: str = "",
    generation: int = 1,
    deleting: bool = False,
) -> Json:
    """A Job of the Dataset, as the API server has it."""
    notes = {"modelfleet.dev/sync-due": wire(due), "modelfleet.dev/sync-generation": str(generation)}
    if command:
        notes["modelfleet.dev/sync-command"] = command
    metadata: Json = {
        "name": f"parts-{due:%Y%m%d%H%M%S}",
        "namespace": NAMESPACE,
        "uid": f"uid-job-{due:%d%H%M%S}",
        "creationTimestamp": wire(due),
        "annotations": notes,
        "labels": {"modelfleet.dev/dataset": "parts"},
    }
    if deleting:
        metadata["deletionTimestamp"] = wire(due)
    conditions = []
    if ended is not None:
        conditions = [
            {
                "type": "Complete" if succeeded else "Failed",
                "status": "True",
                "reason": reason,
                "message": f"the Job controller says {reason}",
                "lastTransitionTime": wire(ended),
            }
        ]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {},
        "status": {"conditions": conditions},
    }


def pod(
    said: str | None = None,
    *,
    exit_code: int = 0,
    why: str = "",
    waiting: tuple[str, str] | None = None,
    unschedulable: str = "",
    number: int = 1,
) -> Json:
    """A pod of a Job: ended where it `said` something, else running or waiting."""
    state: Json = {"running": {"startedAt": wire(START)}}
    if said is not None:
        state = {"terminated": {"exitCode": exit_code, "reason": why or "Error", "message": said}}
    elif waiting is not None:
        state = {"waiting": {"reason": waiting[0], "message": waiting[1]}}
    status: Json = {
        "phase": "Pending" if waiting or unschedulable else "Running",
        "containerStatuses": [{"name": "labeler", "state": state}],
    }
    if unschedulable:
        status = {
            "phase": "Pending",
            "conditions": [{"type": "PodScheduled", "status": "False", "message": unschedulable}],
        }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"parts-{number}",
            "namespace": NAMESPACE,
            "uid": f"uid-pod-{number}",
            "creationTimestamp": wire(START.replace(second=number)),
        },
        "spec": {},
        "status": status,
    }


def snapshot(
    raw: Json | None = None, *jobs: tuple[Json, tuple[Json, ...]], deployed: tuple[Deployed, ...] = ()
) -> Snapshot:
    """What is seen of a Dataset, from raw objects: Jobs, each with its pods."""
    return Snapshot(
        dataset=Dataset.model_validate(raw or dataset()),
        image=IMAGE,
        jobs=tuple(sync_job(job, pods) for job, pods in jobs),
        deployed=deployed,
    )
