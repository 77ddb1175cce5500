"""How the kinds that users write are read from the store, and found by the model they are of. Shared by the
capabilities, so that an object is parsed once for each version of it, whoever asks first."""

from collections.abc import Hashable, Iterable
from typing import Any

from pydantic import ValidationError

from modelfleet.api import Dataset, ModelVersion, Rollout, TrainingJob, conditions
from modelfleet.kube import DATASET, MODEL_VERSION, ROLLOUT, TRAINING_JOB, Index, Object, Store, View, key_of


def _rollout(raw: Object) -> Rollout:
    """The Rollout. A status that can't be read (somebody wrote it by hand) is as good as none: it is built again."""
    try:
        return Rollout.model_validate(raw)
    except ValidationError:
        return Rollout.model_validate({name: value for name, value in raw.items() if name != "status"})


def _dataset(raw: Object) -> Dataset:
    """The Dataset, in the same way."""
    try:
        return Dataset.model_validate(raw)
    except ValidationError:
        return Dataset.model_validate({name: value for name, value in raw.items() if name != "status"})


DATASETS: View[Dataset] = View(DATASET, _dataset)
ROLLOUTS = View(ROLLOUT, _rollout)
VERSIONS: View[ModelVersion] = View(MODEL_VERSION, ModelVersion.model_validate)
TRAININGS: View[TrainingJob] = View(TRAINING_JOB, TrainingJob.model_validate)


def _namespace_and_model(raw: Object) -> Iterable[Hashable]:
    spec: dict[str, Any] = raw["spec"]
    model = spec["model"]
    return [(key_of(raw).namespace, model["name"] if isinstance(model, dict) else model)]


DATASETS_OF_MODEL = Index(DATASET, _namespace_and_model)
ROLLOUTS_OF_MODEL = Index(ROLLOUT, _namespace_and_model)
VERSIONS_OF_MODEL = Index(MODEL_VERSION, _namespace_and_model)
TRAININGS_OF_MODEL = Index(TRAINING_JOB, _namespace_and_model)
"""By (namespace, model)."""


def versions_of(store: Store, namespace: str, model: str) -> tuple[ModelVersion, ...]:
    """All versions of a model in a namespace that can be read, by name."""
    return tuple(store.readable(VERSIONS, store.find(VERSIONS_OF_MODEL, (namespace, model))))


def usability(version: Object) -> object:
    """What of a raw ModelVersion those go by who may use it: neither its tags nor its users, which follow from them."""
    metadata, status = version["metadata"], version.get("status") or {}
    ready = [
        (entry["status"], entry.get("reason"), entry.get("message"))
        for entry in status.get("conditions") or ()
        if entry["type"] == conditions.READY
    ]
    return version["spec"], metadata.get("deletionTimestamp"), ready


def versions_of_dataset(dataset: Object) -> object:
    """What of a raw Dataset those go by who train on it: its versions, and what it says while there is none."""
    status = dataset.get("status") or {}
    latest = status.get("latest")
    waiting = None if latest else status.get("conditions")
    return dataset["spec"]["store"], latest, status.get("versions"), waiting
