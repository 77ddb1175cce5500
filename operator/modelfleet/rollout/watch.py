"""Whom a change wakes: Rollouts, by their children, the versions of their model, their nodes and their neighbours."""

from collections.abc import Hashable, Iterable

from modelfleet.api import names
from modelfleet.kinds import (
    CONTROLLER_REVISION,
    DAEMON_SET,
    MODEL_VERSION,
    NODE,
    POD,
    ROLLOUT,
    TRAINING_JOB,
    Key,
    key_of,
)
from modelfleet.kube import Index, Object, Store
from modelfleet.rollout import membership, overlaps
from modelfleet.rollout.retraining import number_in
from modelfleet.views import ROLLOUTS_OF_MODEL, usability
from modelfleet.watches import Watch, itself, labelled
from modelfleet.workloads.jobs import is_over


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


def _retrained_for(training: Object) -> Iterable[Hashable]:
    """The Rollout that a TrainingJob is named after, as a retraining is: `line-r3`."""
    namespace, name = key_of(training)
    rollout = name.rpartition("-r")[0]
    return [(namespace, rollout)] if number_in(rollout, name) is not None else []


RETRAININGS = Index(TRAINING_JOB, _retrained_for)
"""By (namespace, Rollout)."""


def _of_retraining(training: Object, _store: Store) -> Iterable[Key]:
    return [Key(*map(str, key)) for key in _retrained_for(training) if isinstance(key, tuple)]


def _course(training: Object) -> object:
    """What of a TrainingJob the Rollout goes by that made it."""
    return training["metadata"].get("annotations") or {}, is_over(training)


_CHILD = labelled(names.ROLLOUT)

WATCHES: tuple[Watch, ...] = (
    Watch(ROLLOUT, ROLLOUT, itself),
    Watch(ROLLOUT, ROLLOUT, _neighbours, _on_nodes),
    Watch(ROLLOUT, DAEMON_SET, _CHILD),
    Watch(ROLLOUT, CONTROLLER_REVISION, _CHILD),
    Watch(ROLLOUT, POD, _CHILD),
    Watch(ROLLOUT, MODEL_VERSION, _of_model, usability),
    Watch(ROLLOUT, TRAINING_JOB, _of_retraining, _course),
    Watch(ROLLOUT, NODE, membership.rollouts_of, node_essence),
)
