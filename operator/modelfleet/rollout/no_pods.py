"""Why the DaemonSet controller creates no pod for a node: its own words, read every few seconds while pods are
missing."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from modelfleet import pod_refusals
from modelfleet.kinds import DAEMON_SET
from modelfleet.kube import key_of
from modelfleet.reconcile import Deps
from modelfleet.rollout import groups
from modelfleet.rollout.snapshot import Snapshot

EVERY = timedelta(seconds=10)


@dataclass(frozen=True)
class Words:
    """What was said, by group, and when it was asked for."""

    at: datetime
    by_group: Mapping[str, str]


async def look(last: Words | None, seen: Snapshot, deps: Deps) -> Words | None:
    """What the DaemonSet controller says of the groups that miss a pod; None where none does."""
    now = deps.clock()
    missing = [
        group
        for group in seen.groups
        if group.daemon_set is not None and groups.progress(group, groups.carried(group)).missing(now)
    ]
    if not missing:
        return None
    if last is not None and now - last.at < EVERY and last.by_group.keys() == {group.name for group in missing}:
        return last
    said: dict[str, str] = {}
    for group in missing:
        assert group.daemon_set is not None
        uid = group.daemon_set["metadata"]["uid"]
        said[group.name] = await pod_refusals.said(deps.client, DAEMON_SET, key_of(group.daemon_set), uid)
    return Words(now, said)
