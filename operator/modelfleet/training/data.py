"""Which version of a Dataset a reference means: resolved once, when a run starts, and from then on pinned. Pure.

What it meant is kept in an annotation of the Job and in the TrainingJob's status, so that a Job that must be made again
gets the same data, and a newer version changes nothing of a run.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from modelfleet.api import Dataset, PinnedData, TrainingJobSpec, VersionEntry
from modelfleet.api.foreign import parsed
from modelfleet.api.reasons import Reason
from modelfleet.versions.resolve import Missing

Pin = PinnedData | Missing | None
"""What a reference to a Dataset means now, or what is missing; None where there is no reference."""


@dataclass(frozen=True)
class Data:
    """What a run's references to Datasets mean: the version to train on, and the one whose holdout judges."""

    version: Pin = None
    holdout: Pin = None

    @property
    def pinned(self) -> "Data":
        """Without what is missing."""
        return Data(*(each if isinstance(each, PinnedData) else None for each in (self.version, self.holdout)))

    def to_text(self) -> str:
        """The annotation's value."""
        found = {"version": self.version, "holdout": self.holdout}
        told = {name: pin.to_dict() for name, pin in found.items() if isinstance(pin, PinnedData)}
        return json.dumps(told, separators=(",", ":"), ensure_ascii=False)


NOTHING = Data()
"""There are no references to Datasets."""


def read(text: str | None) -> Data:
    """What an annotation says; nothing where it can't be read: it is resolved again for the next Job."""
    try:
        value = parsed(text or "{}")
        pins = (value.get(name) for name in ("version", "holdout"))
        return Data(*(None if pin is None else PinnedData.model_validate(pin) for pin in pins))
    except (ValueError, AttributeError, ValidationError):
        return NOTHING


def names_of(spec: TrainingJobSpec) -> tuple[str, ...]:
    """The Datasets that a spec refers to."""
    holdout = None if spec.evaluation is None else spec.evaluation.dataset.from_
    references = (spec.dataset.from_, holdout)
    return tuple(dict.fromkeys(each.dataset for each in references if each is not None))


def resolve(spec: TrainingJobSpec, before: Data, datasets: Mapping[str, Dataset]) -> Data:
    """What a run starts with.

    before    what an earlier Job of this run was told: that is kept, since a pinned version never changes
    datasets  those that the spec refers to and that exist, by name
    """
    version: Pin = None
    if spec.dataset.from_ is not None:
        wanted = spec.dataset.from_
        version = before.pinned.version or _version(wanted.dataset, wanted.version, datasets.get(wanted.dataset))
    reference = None if spec.evaluation is None else spec.evaluation.dataset.from_
    if reference is None:
        return Data(version)
    number = version.version if isinstance(version, PinnedData) and version.dataset == reference.dataset else None
    holdout = before.pinned.holdout or _holdout(reference.dataset, number, datasets.get(reference.dataset))
    return Data(version, holdout)


def _version(name: str, number: int | None, dataset: Dataset | None) -> PinnedData | Missing:
    if dataset is None:
        return _no_dataset(name)
    found = _entry(dataset, number)
    if isinstance(found, Missing):
        return found
    return PinnedData(dataset=name, version=found.number, uri=dataset.address(found.number), sha256=found.sha256)


def _holdout(name: str, number: int | None, dataset: Dataset | None) -> PinnedData | Missing:
    if dataset is None:
        return _no_dataset(name)
    found = _entry(dataset, number)
    if isinstance(found, Missing):
        return found
    latest = dataset.status.latest
    digest = found.holdout
    if digest is None and latest is not None and latest.number == found.number and latest.holdout is not None:
        digest = latest.holdout.sha256
    if digest is None:
        return Missing(
            Reason.HOLDOUT_NOT_FOUND,
            f"version {found.number} of Dataset {name} has no holdout that is known: one comes once frames of the "
            "random sample (delivery.capture.sample of the Rollout) were reviewed, where spec.split.holdout is above "
            "0%; or name a holdout of your own with uri",
        )
    return PinnedData(
        dataset=name, version=found.number, uri=dataset.address(found.number, "holdout.json"), sha256=digest
    )


def _entry(dataset: Dataset, number: int | None) -> VersionEntry | Missing:
    """The version of this number, or the newest."""
    latest, name = dataset.status.latest, dataset.metadata.name
    if latest is None:
        return Missing(Reason.DATASET_VERSION_NOT_FOUND, f"Dataset {name} has no version yet: {_ready(dataset)}")
    known = {entry.number: entry for entry in dataset.status.versions}
    newest = VersionEntry(number=latest.number, sha256=latest.sha256)
    known.setdefault(latest.number, newest)
    wanted = latest.number if number is None else number
    if wanted in known:
        return known[wanted]
    if wanted > latest.number:
        told = f"Dataset {name} has no version {wanted} yet; its newest is version {latest.number}"
    else:
        told = (
            f"version {wanted} is not among those that the status of Dataset {name} lists; name it under "
            f"dataset.sources, by its address {dataset.address(wanted)} and sha256"
        )
    return Missing(Reason.DATASET_VERSION_NOT_FOUND, told)


def _ready(dataset: Dataset) -> str:
    """What the Dataset itself says."""
    said = next((each.message for each in dataset.status.conditions if each.type == "Ready"), "")
    return said or "it was not looked at yet"


def _no_dataset(name: str) -> Missing:
    return Missing(Reason.DATASET_NOT_FOUND, f"Dataset {name} does not exist in this namespace")
