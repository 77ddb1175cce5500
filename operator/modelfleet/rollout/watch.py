"""Whom a change wakes: Rollouts, by their children, the versions of their model, their nodes and their neighbours."""

from collections.abc import Iterable

from modelfleet.api import names
from modelfleet.kinds import CONTROLLER_REVISION, DAEMON_SET, MODEL_VERSION, NODE, POD, ROLLOUT, Key, key_of
from modelfleet.kube import Object, Store
from modelfleet.rollout import membership, overlaps
from modelfleet.views import ROLLOUTS_OF_MODEL, usability
from modelfleet.watches import Watch, itself, labelled


def _of_model(version: Object, store: Store) -> Iterable[Key]:
    return store.keys(ROLLOUTS_OF_MODEL, (key_of(version).namespace, version["spec"]["model"]))


def _neighbours(changed: Object, store: Store) -> Iterable[Key]:
    """Rollouts that report, or may have to report, that they use the same resources of a node as this one."""
    return {key for _, key, _ in overlaps.rivals(changed, store.read(membership.SELECTORS, changed), store)}


def _on_nodes(rollout: Object) -> object:
    """What of a Rollout its neighbours go by."""
    return overlaps.host_resources(rollout["spec"]["template"]), membership.selectors_of(rollout)


def node_essence(node: Object) -> object:
    """What of a node Rollouts go by: thousands of nodes report their heartbeats every few minutes."""
    metadata, spec, status = node["metadata"], node.get("spec") or {}, node.get("status") or {}
    return (
        metadata.get("labels") or {},
        metadata.get("deletionTimestamp"),
        bool(spec.get("unschedulable")),
        spec.get("taints") or [],
        [(each["type"], each["status"]) for each in status.get("conditions") or ()],
    )


_CHILD = labelled(names.ROLLOUT)

WATCHES: tuple[Watch, ...] = (
    Watch(ROLLOUT, ROLLOUT, itself),
    Watch(ROLLOUT, ROLLOUT, _neighbours, _on_nodes),
    Watch(ROLLOUT, DAEMON_SET, _CHILD),
    Watch(ROLLOUT, CONTROLLER_REVISION, _CHILD),
    Watch(ROLLOUT, POD, _CHILD),
    Watch(ROLLOUT, MODEL_VERSION, _of_model, usability),
    Watch(ROLLOUT, NODE, membership.rollouts_of, node_essence),
)
