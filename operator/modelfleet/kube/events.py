"""Kubernetes Events about the owners, as `kubectl describe` and `kubectl events` show them. Pure.

An Event's name is derived from what it says, so that saying it again counts the existing one up (as client-go's
correlator does in memory, here also across restarts) instead of making another.

All tools sort Events by `lastTimestamp`, which has whole seconds, and leave what is of the same second in any order
(`kubectl describe` and `kubectl get events --sort-by=.lastTimestamp` alike). So what is said about an object within one
second is stamped with a second each, in the order in which it is said: a cause before its effect.
"""

import hashlib
from datetime import datetime, timedelta
from typing import Any

from modelfleet.kube.store import Object
from modelfleet.times import wire_time
from modelfleet.wording import clip

COMPONENT = "modelfleet"
_MAX_MESSAGE = 1024
_MAX_NAME = 253
_TICK = timedelta(seconds=1)


class Stamps:
    """The time stamp of each Event: now, and later than that of the one before about the same object."""

    def __init__(self) -> None:
        self._last: dict[str, datetime] = {}  # by uid, of what is not past

    def next(self, uid: str, now: datetime) -> datetime:
        """The stamp of what is said now. A second ahead for each Event that the same second had already."""
        second = now.replace(microsecond=0)
        self._last = {known: stamp for known, stamp in self._last.items() if stamp >= second}
        last = self._last.get(uid)
        self._last[uid] = second if last is None else last + _TICK
        return self._last[uid]


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
