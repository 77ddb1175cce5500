"""Verify Jobs and their pods for the tests of versions, in a few words."""

import json
from datetime import datetime
from typing import Any

from modelfleet.api import ModelVersion
from modelfleet.api.names import VERIFICATION
from modelfleet.versions import manifests, verification_record
from modelfleet.versions.verification import Verifier
from modelfleet.versions.verification_record import Record
from unit.training.builders import START, model_version, wire

Json = dict[str, Any]

VERIFIER = Verifier("agent:1")
JOB_UID = "uid-verify"


def version(*, noted: Record | None = None, **fields: Any) -> ModelVersion:
    """A version that nobody has looked at yet, or with what was noted of it."""
    fields = {"ready": None, **fields}
    parsed = ModelVersion.model_validate(model_version(**fields))
    if noted is None:
        return parsed
    return ModelVersion.model_validate(
        model_version(**fields, annotations={VERIFICATION: verification_record.to_text(noted, parsed)})
    )


def failure(
    result: str = "SourceUnreachable", attempts: int = 1, at: datetime = START, job: str = "uid-before"
) -> Record:
    """A record of an attempt that failed."""
    return Record(result, "s3://models/parts/v3/best.onnx could not be reached", at, attempts, job)


def verified(at: datetime = START) -> Record:
    """A record of an attempt that succeeded."""
    return Record("Verified", "2 files, 2000 bytes", at, 1, "uid-before")


def job(of: ModelVersion, *, ended: str = "", at: datetime = START, deleting: bool = False) -> Json:
    """The verify Job as the API server has it; `ended` is Complete, or the reason of a failure."""
    raw = manifests.verify_job(of, VERIFIER.image, VERIFIER.template, VERIFIER.timeout)
    raw["metadata"] |= {"uid": JOB_UID, "creationTimestamp": wire(START), "resourceVersion": "8"}
    if deleting:
        raw["metadata"]["deletionTimestamp"] = wire(START)
    if ended:
        kind = "Complete" if ended == "Complete" else "Failed"
        raw["status"] = {
            "conditions": [
                {"type": kind, "status": "True", "reason": ended, "message": "as told", "lastTransitionTime": wire(at)}
            ]
        }
    return raw


def pod(
    *,
    exit_code: int | None = None,
    said: str | tuple[str, str] = "",
    why: str = "Error",
    disrupted: bool = False,
    waiting: tuple[str, str] | None = None,
    unschedulable: str = "",
    created: datetime = START,
) -> Json:
    """A pod of the Job. `said` is the termination message: text, or reason and message in the agent's format."""
    state: Json = {"running": {"startedAt": wire(created)}}
    message = said if isinstance(said, str) else json.dumps({"reason": said[0], "message": said[1]})
    if exit_code is not None:
        state = {"terminated": {"exitCode": exit_code, "reason": why, "message": message}}
    if waiting is not None:
        state = {"waiting": {"reason": waiting[0], "message": waiting[1]}}
    conditions = []
    if disrupted:
        conditions.append({"type": "DisruptionTarget", "status": "True"})
    if unschedulable:
        conditions.append({"type": "PodScheduled", "status": "False", "message": unschedulable})
    pending = waiting is not None or unschedulable
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "verify-pod", "creationTimestamp": wire(created), "uid": f"uid-pod-{created}"},
        "status": {
            "phase": "Pending"
            if pending
            else "Running"
            if exit_code is None
            else "Failed"
            if exit_code
            else "Succeeded",
            "conditions": conditions,
            "containerStatuses": [] if unschedulable else [{"name": "verify", "state": state}],
        },
    }
