"""Whom a change wakes: Rollouts, by their children, the versions and Datasets of their model, nodes, neighbours."""

from collections.abc import Hashable, Iterable

from modelfleet.api import names
from modelfleet.kinds import (
    CONFIG_MAP,
    CONTROLLER_REVISION,
    DAEMON_SET,
    DATASET,
    JOB,
    MODEL_VERSION,
    NODE,
    POD,
    ROLLOUT,
    TRAINING_JOB,
    Key,
    key_of,
)
from modelfleet.kube import Index, Object, Store
from modelfleet.rollout import capture_folders, membership, overlaps
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
    return overlaps.taken(rollout), membership.selectors_of(rollout)


def _sharing(changed: Object, store: Store) -> Iterable[Key]:
    """Rollouts that report, or may have to report, that their captures go to the same folder as this one's."""
    return capture_folders.sharing(changed, store)


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


def _retrains_on(rollout: Object) -> Iterable[Hashable]:
    """The Dataset that a Rollout retrains on: by name, or by the model where the template names none."""
    retrain = (rollout["spec"].get("drift") or {}).get("retrain")
    if not retrain:
        return []
    named = ((retrain["template"]["spec"].get("dataset") or {}).get("from") or {}).get("dataset")
    namespace = key_of(rollout).namespace
    return [(namespace, "name", named) if named else (namespace, "model", rollout["spec"]["model"]["name"])]


RETRAINS_ON = Index(ROLLOUT, _retrains_on)
"""Rollouts with a retraining, by (namespace, "name", Dataset) or (namespace, "model", model)."""


def _of_dataset(dataset: Object, store: Store) -> Iterable[Key]:
    namespace, name = key_of(dataset)
    return store.keys(RETRAINS_ON, (namespace, "name", name), (namespace, "model", dataset["spec"]["model"]))


def _labelled(dataset: Object) -> object:
    """What of a Dataset a retraining goes by, and what it says of it."""
    status = dataset.get("status") or {}
    return (dataset["spec"]["model"], *(status.get(name) for name in ("latest", "versions", "waiting", "inReview")))


def _reviewed_by(rollout: Object) -> Iterable[Hashable]:
    """The Datasets by whose review a Rollout is watched for drift: those of its model."""
    signals = (rollout["spec"].get("drift") or {}).get("signals") or ()
    if not any(signal["name"].startswith("reviewed-") for signal in signals):
        return []
    return [(key_of(rollout).namespace, rollout["spec"]["model"]["name"])]


REVIEWED_BY = Index(ROLLOUT, _reviewed_by)
"""Rollouts that are watched by reviewed frames, by (namespace, model)."""


def _of_review(dataset: Object, store: Store) -> Iterable[Key]:
    return store.keys(REVIEWED_BY, (key_of(dataset).namespace, dataset["spec"]["model"]))


def _review(dataset: Object) -> object:
    """What of a Dataset a watch goes by: neither calibration nor classes."""
    review = (dataset.get("status") or {}).get("review") or {}
    return (dataset["spec"]["model"], *(review.get(name) for name in ("version", "frames", "recall", "precision")))


_CHILD = labelled(names.ROLLOUT)
_REPLAY = labelled(names.REPLAY)

WATCHES: tuple[Watch, ...] = (
    Watch(ROLLOUT, ROLLOUT, itself),
    Watch(ROLLOUT, ROLLOUT, _neighbours, _on_nodes),
    Watch(ROLLOUT, ROLLOUT, _sharing, capture_folders.folder),
    Watch(ROLLOUT, DAEMON_SET, _CHILD),
    Watch(ROLLOUT, CONTROLLER_REVISION, _CHILD),
    Watch(ROLLOUT, CONFIG_MAP, _CHILD),
    Watch(ROLLOUT, POD, _CHILD),
    Watch(ROLLOUT, JOB, _REPLAY),
    Watch(ROLLOUT, POD, _REPLAY),
    Watch(ROLLOUT, MODEL_VERSION, _of_model, usability),
    Watch(ROLLOUT, TRAINING_JOB, _of_retraining, _course),
    Watch(ROLLOUT, DATASET, _of_dataset, _labelled),
    Watch(ROLLOUT, DATASET, _of_review, _review),
    Watch(ROLLOUT, NODE, membership.rollouts_of, node_essence),
)
