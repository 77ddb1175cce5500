"""What is written for a ModelVersion beside its status: the finalizer that keeps it while it is used, the Job that
verifies its files, and the note of what that Job found. Pure."""

import hashlib
import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from modelfleet.api import ModelVersion, names
from modelfleet.api.names import IN_USE
from modelfleet.decision import Delete, Patch
from modelfleet.kinds import JOB, MODEL_VERSION
from modelfleet.versions.verify_job import VerifyJob
from modelfleet.workloads import pod_security, pod_template, run_once, signature
from modelfleet.workloads.owners import owner_reference

SECRET = "object-store"
"""A Secret of this name, in the namespace of the version, is the verify Job's environment where there is one."""

COMPONENT = "verification"

_ENV = "ARTIFACT"
_KEEP = 600  # seconds: how long a Job that ended is there to be looked at

Json = dict[str, Any]


def hold(version: ModelVersion) -> Patch:
    """Add the in-use finalizer."""
    return _finalizers(version, (*version.metadata.finalizers, IN_USE))


def release(version: ModelVersion) -> Patch:
    """Take the in-use finalizer away; those of others stay."""
    return _finalizers(version, tuple(entry for entry in version.metadata.finalizers if entry != IN_USE))


def _finalizers(version: ModelVersion, finalizers: tuple[str, ...]) -> Patch:
    """Computed from what was read, hence under its resourceVersion: somebody else's finalizer is never lost."""
    metadata = {"resourceVersion": version.metadata.resource_version, "finalizers": list(finalizers)}
    return Patch(MODEL_VERSION, version.metadata.namespace, version.metadata.name, {"metadata": metadata})


def note(version: ModelVersion, text: str) -> Patch:
    """Write down what the verification found. Bound to the uid: another version of that name is left alone."""
    metadata = {"uid": version.metadata.uid, "annotations": {names.VERIFICATION: text}}
    return Patch(MODEL_VERSION, version.metadata.namespace, version.metadata.name, {"metadata": metadata})


def remove(version: ModelVersion) -> Delete:
    """Remove a version that nothing uses, unless it has changed since it was read: the finalizer says so of a use."""
    metadata = version.metadata
    return Delete(MODEL_VERSION, metadata.namespace, metadata.name, metadata.uid, metadata.resource_version)


def remove_job(version: ModelVersion, job: VerifyJob) -> Delete:
    """Remove a verify Job and its pods."""
    return Delete(JOB, version.metadata.namespace, job.name, job.uid)


def reference(version: ModelVersion) -> Json:
    """What an Event about this version must know of it."""
    metadata = version.metadata
    return {
        "apiVersion": MODEL_VERSION.api_version,
        "kind": MODEL_VERSION.kind,
        "metadata": {
            "name": metadata.name,
            "namespace": metadata.namespace,
            "uid": metadata.uid,
            "resourceVersion": metadata.resource_version,
        },
    }


def verify_job_name(version: ModelVersion) -> str:
    """The name of the version's verify Job: of this object, and not of a later one of the same name."""
    uid = hashlib.sha256(version.metadata.uid.encode()).hexdigest()[:10]
    return f"verify-{version.metadata.name[:44].rstrip('-')}-{uid}"


def verify_job(
    version: ModelVersion, image: str, template: Mapping[str, Any], timeout: timedelta, public_keys: str = ""
) -> Json:
    """The Job that reads every file at its source: `agent verify`. With `public_keys` one of them must have signed the
    files."""
    return {
        "apiVersion": JOB.api_version,
        "kind": JOB.kind,
        "metadata": {
            "name": verify_job_name(version),
            "namespace": version.metadata.namespace,
            **_marks(version),
            "ownerReferences": [owner_reference(MODEL_VERSION, version.metadata, blocks_deletion=False)],
        },
        "spec": {
            "backoffLimit": 0,  # the operator tries again itself, and says when and why
            "activeDeadlineSeconds": max(1, math.ceil(timeout.total_seconds())),
            "ttlSecondsAfterFinished": _KEEP,
            "podFailurePolicy": {
                "rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
            },
            "template": _pod_template(version, image, template, public_keys),
        },
    }


def _marks(version: ModelVersion) -> Json:
    labels = {
        names.MANAGED_BY: names.MANAGED_BY_VALUE,
        names.COMPONENT: COMPONENT,
        names.MODEL: version.spec.model,
        names.VERSION: version.spec.version,
    }
    return {"labels": labels, "annotations": {names.MODEL_VERSION: version.metadata.name}}


def _pod_template(version: ModelVersion, image: str, template: Mapping[str, Any], public_keys: str) -> Json:
    """Ours, with that of the settings laid over it, and what the operator relies on laid over both."""
    base = {"spec": {**pod_security.pod(), "containers": [_container(image)]}}
    merged = pod_template.merge(base, template)
    artifact = version.spec.artifact.to_dict()
    if public_keys:
        artifact["signature"] = signature.demanded(version.spec.artifact.uri, public_keys)
    told = run_once.told(_ENV, artifact)
    required = run_once.required(_marks(version), names.VERIFY_CONTAINER, told, ["verify"])
    return pod_template.merge(merged, required)


def _container(image: str) -> Json:
    return {
        "name": names.VERIFY_CONTAINER,
        "image": image,
        "envFrom": [{"secretRef": {"name": SECRET, "optional": True}}],
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}},
        "securityContext": pod_security.container(read_only=True),
    }
