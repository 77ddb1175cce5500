"""The Job of a replay: `agent replay` with both versions. Pure.

It is created and never changed. Its name follows from what it compares, so that nothing makes it twice.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from modelfleet.api import Rollout, names
from modelfleet.api.dataset import LatestVersion
from modelfleet.api.replay import Replay
from modelfleet.decision import Create, Delete
from modelfleet.kinds import JOB, ROLLOUT
from modelfleet.rollout import signatures
from modelfleet.rollout.replay.job import ReplayJob
from modelfleet.rollout.replay.pair import Pair, Side
from modelfleet.workloads import pod_security, pod_template, run_once
from modelfleet.workloads.owners import owner_reference

ENV = "REPLAY_RUN"

SECRET = "object-store"
"""A Secret of this name is the Job's environment where spec.replay names none, as it is a verify Job's."""

_TRIES = 1  # after the first
_WORK = "/tmp"

Json = dict[str, Any]


def create(rollout: Rollout, replay: Replay, compared: Pair, image: str, reviewed: LatestVersion | None) -> Create:
    """Create the Job. Where the API server refuses it, the rollout goes on."""
    labels = {
        names.MANAGED_BY: names.MANAGED_BY_VALUE,
        names.REPLAY: rollout.metadata.name,
        names.MODEL: rollout.spec.model.name,
    }
    notes = {names.REPLAY_STABLE: compared.stable.version, names.REPLAY_CANDIDATE: compared.candidate.version}
    manifest = {
        "apiVersion": JOB.api_version,
        "kind": JOB.kind,
        "metadata": {
            "name": compared.job_name(rollout.metadata.name, rollout.metadata.uid),
            "namespace": rollout.metadata.namespace,
            "labels": labels,
            "annotations": notes,
            "ownerReferences": [owner_reference(ROLLOUT, rollout.metadata)],
        },
        "spec": {
            "backoffLimit": _TRIES,
            "activeDeadlineSeconds": math.ceil(replay.timeout.total_seconds()),
            "podFailurePolicy": {
                "rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
            },
            "template": _pod(replay, labels, image, document(rollout, compared, reviewed)),
        },
    }
    return Create(manifest, optional=True)


def remove(rollout: Rollout, job: ReplayJob) -> Delete:
    """Remove a Job and its pods."""
    return Delete(JOB, rollout.metadata.namespace, job.name, job.uid)


def document(rollout: Rollout, compared: Pair, reviewed: LatestVersion | None) -> Json:
    """REPLAY_RUN, as the agent's contract has it. There must be captures, and both files."""
    replay, capture = rollout.spec.replay, rollout.spec.delivery.capture
    assert replay is not None
    assert capture is not None
    return {
        "rollout": rollout.metadata.name,
        "namespace": rollout.metadata.namespace,
        "captures": capture.destination,
        "frames": replay.frames,
        "stable": _model(compared.stable),
        "candidate": _model(compared.candidate),
        **_thresholds(compared.candidate),
        **({"reviewed": {"uri": reviewed.uri, "sha256": reviewed.sha256}} if reviewed is not None else {}),
    }


def _model(side: Side) -> Json:
    data, file = side.revision.data, side.file
    assert file is not None
    signature = signatures.of_revision(data)
    return {
        "version": side.version,
        "uri": side.uri,
        "sha256": file["sha256"],
        "size": file["sizeBytes"],
        "classes": data["classes"],
        "imageSize": data["imageSize"],
        **({"signature": signature} if signature else {}),
    }


def _thresholds(side: Side) -> Json:
    """Those that the nodes will have, where the template gives them as plain numbers; else the agent's own."""
    name = side.revision.delivery("").container
    known = (side.revision.data["template"].get("spec") or {}).get("containers") or ()
    env = next((each.get("env") or () for each in known if each.get("name") == name), ())
    given = {entry.get("name"): _share(entry.get("value")) for entry in env}
    found = {"confidence": given.get("CONFIDENCE"), "iou": given.get("IOU")}
    return {key: value for key, value in found.items() if value is not None}


def _share(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 <= value <= 1 else None


def _pod(replay: Replay, labels: Mapping[str, str], image: str, run: Json) -> Json:
    """Ours, with the user's laid over it, and what the operator relies on laid over both."""
    base = {
        "spec": {
            **pod_security.pod(),
            "volumes": [{"name": "modelfleet-work", "emptyDir": {}}],
            "containers": [
                {
                    "name": names.REPLAY_CONTAINER,
                    "image": image,
                    "env": [{"name": "HOME", "value": _WORK}, {"name": "TMPDIR", "value": _WORK}],
                    "envFrom": list(_credentials(replay)),
                    "volumeMounts": [{"name": "modelfleet-work", "mountPath": _WORK}],
                    "resources": {"requests": {"cpu": "250m", "memory": "512Mi"}, "limits": {"memory": "2Gi"}},
                    "securityContext": pod_security.container(read_only=True),
                }
            ],
        },
    }
    merged = pod_template.merge(base, replay.template)
    required = run_once.required({"labels": labels}, names.REPLAY_CONTAINER, run_once.told(ENV, run), ["replay"])
    return pod_template.merge(merged, required)


def _credentials(replay: Replay) -> Iterator[Json]:
    """A Secret that is named must be there: the pod says so, where one without would only be refused somewhere."""
    named = replay.credentials_secret
    yield {"secretRef": {"name": SECRET, "optional": True} if named is None else {"name": named}}
