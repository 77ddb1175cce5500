"""Whom a change wakes: TrainingJobs that are not over, by their children and by the versions they may start from."""

from collections.abc import Hashable, Iterable

from modelfleet.api import names
from modelfleet.kinds import JOB, MODEL_VERSION, POD, ROLLOUT, TRAINING_JOB, Key
from modelfleet.kube import Index, Object, Store
from modelfleet.views import usability
from modelfleet.watches import Watch
from modelfleet.workloads.jobs import is_over


def _namespace(obj: Object) -> str:
    return obj["metadata"].get("namespace") or ""


def _waiting_for_model(training: Object) -> Iterable[Hashable]:
    return [] if is_over(training) else [(_namespace(training), training["spec"]["model"])]


def _waiting_for_rollout(training: Object) -> Iterable[Hashable]:
    """The Rollouts that a TrainingJob which is not over refers to."""
    spec = training["spec"]
    references = (spec.get("from") or {}, (spec.get("evaluation") or {}).get("baseline") or {})
    named = {reference["rollout"] for reference in references if "rollout" in reference}
    return [] if is_over(training) else [(_namespace(training), name) for name in named]


WAITING_FOR_MODEL = Index(TRAINING_JOB, _waiting_for_model)
WAITING_FOR_ROLLOUT = Index(TRAINING_JOB, _waiting_for_rollout)
"""TrainingJobs that are not over, by (namespace, model) and by (namespace, Rollout)."""


def _itself(obj: Object, _store: Store) -> Iterable[Key]:
    return [Key(_namespace(obj), obj["metadata"]["name"])]


def _labelled(child: Object, _store: Store) -> Iterable[Key]:
    name = (child["metadata"].get("labels") or {}).get(names.TRAINING_JOB)
    return [Key(_namespace(child), name)] if name else []


def _of_model(version: Object, store: Store) -> Iterable[Key]:
    return store.keys(WAITING_FOR_MODEL, (_namespace(version), version["spec"]["model"]))


def _of_rollout(rollout: Object, store: Store) -> Iterable[Key]:
    return store.keys(WAITING_FOR_ROLLOUT, (_namespace(rollout), rollout["metadata"]["name"]))


def _stable(rollout: Object) -> object:
    """What a TrainingJob that refers to a Rollout goes by."""
    return rollout["spec"]["model"]["name"], (rollout.get("status") or {}).get("stableVersion")


WATCHES: tuple[Watch, ...] = (
    Watch(TRAINING_JOB, TRAINING_JOB, _itself),
    Watch(TRAINING_JOB, JOB, _labelled),
    Watch(TRAINING_JOB, POD, _labelled),
    Watch(TRAINING_JOB, MODEL_VERSION, _of_model, usability),
    Watch(TRAINING_JOB, ROLLOUT, _of_rollout, _stable),
)
