"""What must hold with each write of the operator, judged by what the API server says right before it.

The operator's own status is no witness here: which groups a version went through shows in the DaemonSets and pods,
how long it was there in the pods' conditions, and which version is bad is the story's to know.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from modelfleet.api import names
from modelfleet.api.quantities import parse_duration
from worlds.rollout import is_ready, ready_condition

Json = dict[str, Any]

BAD = "v3"
"""The version that the checks of all stories find bad."""

_SCOPE = f"{names.GROUP}/quarantined-scope"
_ROUNDING = timedelta(seconds=1)  # times in objects are in whole seconds


@dataclass(frozen=True)
class There:
    """One Rollout and its children, as the API server has them."""

    rollout: Json
    daemon_sets: tuple[Json, ...]
    revisions: tuple[Json, ...]
    pods: tuple[Json, ...]

    def carried(self, group: str) -> str | None:
        """The hash that a group's DaemonSet carries."""
        return next((_hash(each) for each in self.daemon_sets if each["metadata"]["name"] == f"line-{group}"), None)

    def stable(self) -> str | None:
        """The hash of the newest promoted revision that is not quarantined."""
        promoted = [
            (notes[names.PROMOTED_AT], each["revision"], _hash(each))
            for each in self.revisions
            if names.PROMOTED_AT in (notes := _notes(each)) and names.QUARANTINED_AT not in notes
        ]
        return max(promoted)[2] if promoted else None

    def is_quarantined(self, hash: str, version: str) -> bool:
        """Whether this revision failed, or another one with its version."""
        failed = [each for each in self.revisions if names.QUARANTINED_AT in _notes(each)]
        return any(
            _hash(each) == hash
            or (each["metadata"]["labels"][names.VERSION] == version and _notes(each).get(_SCOPE) == "Version")
            for each in failed
        )

    def not_through(self, group: str, hash: str, now: datetime) -> Iterator[str]:
        """Why a group can't have passed a revision yet."""
        daemon_set = next(
            (each for each in self.daemon_sets if each["metadata"]["name"] == f"line-{group}" and _hash(each) == hash),
            None,
        )
        if daemon_set is None:
            yield f"group {group} does not have it"
            return
        ready = [
            _since(pod)
            for pod in self.pods
            if pod["metadata"]["labels"].get(names.NODE_GROUP) == group and _hash(pod) == hash and is_ready(pod)
        ]
        wanted = daemon_set["status"]["desiredNumberScheduled"]
        if len(ready) < wanted:
            yield f"it is ready on {len(ready)} of {wanted} nodes of group {group}"
        elif ready and now - max(ready) < (soak := parse_duration(self.rollout["spec"]["gate"]["soak"])) - _ROUNDING:
            yield f"it has been ready in group {group} for {now - max(ready)}, and has to soak for {soak}"


def broken(written: Json, there: There) -> Iterator[str]:
    """What must not be about this write of a DaemonSet or ControllerRevision by the operator."""
    if not there.rollout or "labels" not in written["metadata"]:
        return  # what is no apply takes nodes from a removed group, and gives no group a version
    labels, metadata, now = written["metadata"]["labels"], written["metadata"], datetime.now(UTC)
    hash, version = labels[names.REVISION], labels[names.VERSION]
    order = [group["name"] for group in there.rollout["spec"]["groups"]]
    if written["kind"] == "DaemonSet":
        group = metadata["name"].removeprefix("line-")
        if hash in (there.carried(group), there.stable()):
            return
        before, what = order[: order.index(group)], f"group {group} gets {version}"
    else:
        notes = metadata.get("annotations") or {}
        known = next((_notes(each) for each in there.revisions if each["metadata"]["name"] == metadata["name"]), {})
        if notes.get(names.PROMOTED_AT) in (None, known.get(names.PROMOTED_AT)):
            return
        before, what = order, f"{version} is promoted"
    if there.is_quarantined(hash, version):
        yield f"{what}, which is quarantined"
    if version == BAD and before:
        yield f"{what}, which no gate can have passed"
    for group in before:
        for why in there.not_through(group, hash, now):
            yield f"{what}, and {why}"


class Serving:
    """Watches pods: once all nodes of a group were served, never more of them may be without a ready pod than allowed.

    `on_change` takes the changes of all pods of all Rollouts, in the order of the API server; those outside of the
    namespaces whose names begin like `prefix` don't count (an earlier test's go while this one runs).
    """

    def __init__(self, nodes: Mapping[str, int], allowed: Mapping[str, int], prefix: str) -> None:
        """Describe it by group: how many nodes it has, and on how many of them a pod may be missing."""
        self._nodes, self._allowed, self._prefix = nodes, allowed, prefix
        self._ready: dict[tuple[str, str], dict[str, str]] = {}  # (namespace, group) -> pod -> node
        self._complete: set[tuple[str, str]] = set()
        self.broken: list[str] = []

    def on_change(self, change: str, pod: Json) -> None:
        metadata = pod["metadata"]
        group = str((metadata.get("labels") or {}).get(names.NODE_GROUP))
        if group not in self._nodes or not metadata["namespace"].startswith(self._prefix):
            return
        key = metadata["namespace"], group
        ready = self._ready.setdefault(key, {})
        if change == "DELETED" or not is_ready(pod):
            ready.pop(metadata["name"], None)
        else:
            ready[metadata["name"]] = pod["spec"]["nodeName"]
        serving = len(set(ready.values()))
        if serving == self._nodes[group]:
            self._complete.add(key)
        if key in self._complete and self._nodes[group] - serving > self._allowed[group]:
            self.broken.append(f"{metadata['namespace']}: {serving} of {self._nodes[group]} nodes of {group} served")

    def check(self) -> None:
        """Raise where too many were without a pod."""
        assert self.broken == []


def of(rollout: Json, daemon_sets: Json, revisions: Json, pods: Json) -> There:
    """From what the API server answers."""
    name = rollout.get("metadata", {}).get("name")

    def ours(found: Json) -> tuple[Json, ...]:
        labels = ((each, each["metadata"].get("labels") or {}) for each in found.get("items", ()))
        return tuple(each for each, its in labels if its.get(names.ROLLOUT) == name and names.REVISION in its)

    # the DaemonSet controller's own revisions carry the labels of the pods, too
    made = tuple(each for each in ours(revisions) if each["metadata"]["name"] == f"{name}-{_hash(each)}")
    return There(rollout, ours(daemon_sets), made, ours(pods))


def parsed(body: bytes) -> Json:
    found: Json = json.loads(body)
    return found


def _hash(obj: Json) -> str:
    return str(obj["metadata"]["labels"][names.REVISION])


def _notes(obj: Json) -> Mapping[str, str]:
    return obj["metadata"].get("annotations") or {}


def _since(pod: Json) -> datetime:
    return datetime.fromisoformat(ready_condition(pod)["lastTransitionTime"].replace("Z", "+00:00"))
