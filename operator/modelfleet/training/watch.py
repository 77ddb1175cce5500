"""Whom a change wakes: TrainingJobs that are not over, by their children, and by what they start from."""

from collections.abc import Hashable, Iterable

from modelfleet.api import names
from modelfleet.kinds import DATASET, JOB, MODEL_VERSION, POD, ROLLOUT, TRAINING_JOB, Key, key_of
from modelfleet.kube import Index, Object, Store
from modelfleet.views import usability, versions_of_dataset
from modelfleet.watches import Watch, itself, labelled
from modelfleet.workloads.jobs import is_over


def _waiting_for_model(training: Object) -> Iterable[Hashable]:
    return [] if is_over(training) else [(key_of(training).namespace, training["spec"]["model"])]


def _waiting_for_rollout(training: Object) -> Iterable[Hashable]:
    """The Rollouts that a TrainingJob which is not over refers to."""
    spec = training["spec"]
    references = (spec.get("from") or {}, (spec.get("evaluation") or {}).get("baseline") or {})
    named = {reference["rollout"] for reference in references if "rollout" in reference}
    return [] if is_over(training) else [(key_of(training).namespace, name) for name in named]


def _waiting_for_dataset(training: Object) -> Iterable[Hashable]:
    """The Datasets that a TrainingJob which is not over refers to."""
    spec = training["spec"]
    holders = (spec.get("dataset") or {}, (spec.get("evaluation") or {}).get("dataset") or {})
    named = {holder["from"]["dataset"] for holder in holders if holder.get("from")}
    return [] if is_over(training) else [(key_of(training).namespace, name) for name in named]


WAITING_FOR_DATASET = Index(TRAINING_JOB, _waiting_for_dataset)
WAITING_FOR_MODEL = Index(TRAINING_JOB, _waiting_for_model)
WAITING_FOR_ROLLOUT = Index(TRAINING_JOB, _waiting_for_rollout)
"""TrainingJobs that are not over, by (namespace, Dataset), by (namespace, model) and by (namespace, Rollout)."""


def _of_model(version: Object, store: Store) -> Iterable[Key]:
    return store.keys(WAITING_FOR_MODEL, (key_of(version).namespace, version["spec"]["model"]))


def _of_rollout(rollout: Object, store: Store) -> Iterable[Key]:
    return store.keys(WAITING_FOR_ROLLOUT, key_of(rollout))


def _of_dataset(dataset: Object, store: Store) -> Iterable[Key]:
    return store.keys(WAITING_FOR_DATASET, key_of(dataset))


def _stable(rollout: Object) -> object:
    """What a TrainingJob that refers to a Rollout goes by."""
    status = rollout.get("status") or {}
    return rollout["spec"]["model"]["name"], status.get("stableModel"), status.get("stableVersion")


_CHILD = labelled(names.TRAINING_JOB)

WATCHES: tuple[Watch, ...] = (
    Watch(TRAINING_JOB, TRAINING_JOB, itself),
    Watch(TRAINING_JOB, JOB, _CHILD),
    Watch(TRAINING_JOB, POD, _CHILD),
    Watch(TRAINING_JOB, MODEL_VERSION, _of_model, usability),
    Watch(TRAINING_JOB, ROLLOUT, _of_rollout, _stable),
    Watch(TRAINING_JOB, DATASET, _of_dataset, versions_of_dataset),
)
