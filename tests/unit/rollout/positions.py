"""Snapshots for the tests of what is pure, without a cluster: v1 is stable, and groups carry what a test says."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from modelfleet.api import Rollout
from modelfleet.api.modelversion import ModelVersion
from modelfleet.api.names import REVISION
from modelfleet.rollout import position
from modelfleet.rollout import revisions as revs
from modelfleet.rollout.position import Position
from modelfleet.rollout.revisions import Quarantine, Revision
from modelfleet.rollout.snapshot import GroupState, NodeState, Snapshot
from unit.rollout import builders
from unit.rollout.builders import AGENT_IMAGE, START

NOW = START + timedelta(hours=2)
NAMES = ("canary", "middle", "fleet")

VERSIONS = {
    version: ModelVersion.model_validate(builders.model_version(version, created=START + timedelta(minutes=index)))
    for index, version in enumerate(("v1", "v2", "v3"))
}


def rollout(version: str | None = "v2", **changes: Any) -> Rollout:
    """A Rollout of three groups that asks for this version; `changes` are fields of its spec or, by name, its status,
    its metadata."""
    raw = builders.rollout(version, groups=tuple(builders.group(name) for name in NAMES))
    for name in ("status", "metadata"):
        raw.setdefault(name, {}).update(changes.pop(name, {}))
    raw["spec"].update(changes)
    return Rollout.model_validate(raw)


def revision(version: str, **facts: Any) -> Revision:
    """The ControllerRevision of a version with these facts, as `rollout()` makes it."""
    made = revs.desired(rollout(version), VERSIONS[version], (), AGENT_IMAGE, START)
    return replace(made, uid=f"uid-{version}", number=int(version[1:]), **facts)


def stable(version: str = "v1", **facts: Any) -> Revision:
    return revision(version, promoted_at=START, **facts)


def failed(version: str = "v2", cause: str = "GateFailed", scope: revs.Scope = "Version", **facts: Any) -> Revision:
    return revision(version, quarantine=Quarantine(START, cause, "it was worse", scope), **facts)


def group(spec: Rollout, index: int, carries: str | None, nodes: int = 1) -> GroupState:
    """The group at `index`, whose DaemonSet carries this version; None: it has no DaemonSet yet."""
    labels = {REVISION: revision(carries).hash} if carries in VERSIONS else {REVISION: carries}
    return GroupState(
        spec=spec.spec.groups[index],
        daemon_set=None if carries is None else {"metadata": {"labels": labels}},
        nodes=tuple(NodeState(f"{index}-{number}", True, START) for number in range(nodes)),
    )


def snapshot(
    carry: Iterable[str | None],
    of: Rollout | None = None,
    *,
    versions: Iterable[ModelVersion] = tuple(VERSIONS.values()),
    empty: Iterable[str] = (),
    **fields: Any,
) -> Snapshot:
    """Groups that carry these versions, in order; those named in `empty` have no nodes."""
    spec, without = of or rollout(), set(empty)
    groups = tuple(
        group(spec, index, version, nodes=0 if spec.spec.groups[index].name in without else 1)
        for index, version in enumerate(carry)
    )
    return Snapshot(rollout=spec, agent_image=AGENT_IMAGE, versions=tuple(versions), groups=groups, **fields)


def locate(seen: Snapshot, *revisions: Revision) -> Position:
    return position.locate(seen, revisions, NOW)
