"""LABELER_RUN: the one JSON document that tells the labeler what to do. Pure."""

from collections.abc import Iterable
from typing import Any

from modelfleet.api import Dataset, format_decimal
from modelfleet.api.dataset import Labelling, Split
from modelfleet.datasets.snapshot import Deployed
from modelfleet.workloads import run_once

ENV = "LABELER_RUN"

MOST_DEPLOYED = 50
"""So many deployed versions are named."""

Json = dict[str, Any]


def document(dataset: Dataset, deployed: Iterable[Deployed]) -> Json:
    """The run as the labeler's contract has it: shares are decimal strings, and no Secret is named."""
    spec = dataset.spec
    return {
        "dataset": dataset.metadata.name,
        "namespace": dataset.metadata.namespace,
        "model": spec.model,
        "captures": spec.captures.uri,
        "store": spec.store.uri,
        "classes": list(spec.classes),
        "minNewImages": spec.min_new_images,
        "split": _split(spec.split),
        "labelling": _labelling(spec.labelling),
        "deployed": [{"version": each.version, "sha256": each.sha256} for each in deployed],
    }


def excess(dataset: Dataset, deployed: Iterable[Deployed]) -> int:
    """By how many bytes the variable is longer than Linux takes; 0 where it fits."""
    return run_once.excess(ENV, document(dataset, deployed))


def _split(split: Split) -> Json:
    return {"validation": format_decimal(split.validation.share), "holdout": format_decimal(split.holdout.share)}


def _labelling(labelling: Labelling) -> Json:
    told: Json = {
        "perDay": labelling.per_day,
        "priority": list(labelling.priority),
        "blind": format_decimal(labelling.blind.share),
    }
    if labelling.label_studio is not None:
        told["labelStudio"] = {"url": labelling.label_studio.url, "project": labelling.label_studio.project}
    if labelling.files is not None:
        told["files"] = labelling.files.to_dict()
    return told


def to_env(run: Json) -> Json:
    """The environment variable of a container."""
    return run_once.told(ENV, run)
