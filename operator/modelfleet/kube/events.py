"""Kubernetes Events about the owners, as `kubectl describe` and `kubectl events` show them. Pure.

An Event's name is derived from what it says, so that saying it again counts the existing one up (as client-go's
correlator does in memory, here also across restarts) instead of making another.
"""

import hashlib
from datetime import datetime
from typing import Any

from modelfleet.kube.store import Object
from modelfleet.times import wire_time
from modelfleet.wording import clip

COMPONENT = "modelfleet"
_MAX_MESSAGE = 1024
_MAX_NAME = 253


def build(regarding: Object, type: str, reason: str, message: str, now: datetime) -> dict[str, Any]:
    """A core/v1 Event on `regarding`. Cluster-scoped objects have theirs in the namespace `default`."""
    metadata = regarding["metadata"]
    message = clip(message, _MAX_MESSAGE)
    said = "\0".join((metadata["uid"], type, reason, message))
    suffix = hashlib.sha256(said.encode()).hexdigest()[:16]
    namespace = metadata.get("namespace") or "default"
    reference = {
        "apiVersion": regarding["apiVersion"],
        "kind": regarding["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "resourceVersion": metadata["resourceVersion"],
    }
    if metadata.get("namespace"):
        reference["namespace"] = namespace
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{metadata['name'][: _MAX_NAME - 17]}.{suffix}", "namespace": namespace},
        "involvedObject": reference,
        "type": type,
        "reason": reason,
        "message": message,
        "source": {"component": COMPONENT},
        "reportingComponent": f"modelfleet.dev/{COMPONENT}",
        "reportingInstance": COMPONENT,
        "firstTimestamp": wire_time(now),
        "lastTimestamp": wire_time(now),
        "count": 1,
    }


def repeat(known: Object, now: datetime) -> dict[str, Any]:
    """The merge patch that makes a known Event say that it happened once more, `now`."""
    return {
        "metadata": {"resourceVersion": known["metadata"]["resourceVersion"]},
        "count": int(known.get("count") or 1) + 1,
        "lastTimestamp": wire_time(now),
    }
