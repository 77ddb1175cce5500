"""Where a version comes from: itself, its parents, their data and TrainingJobs, as far back as they are known. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kubectl_modelfleet.changes import dataset

Json = Mapping[str, Any]

_OF_STORE = re.compile(r"(?P<store>.*)/versions/(?P<number>[0-9]+)/(?:version|holdout)\.json$")


@dataclass(frozen=True)
class Source:
    """One part of the data that a version was trained on."""

    name: str
    sha256: str
    images: int | None
    labels: int | None


@dataclass(frozen=True)
class Ancestor:
    """One version; `known` is False where its ModelVersion is gone."""

    name: str
    known: bool
    mode: str = ""
    training_job: str = ""
    training_job_known: bool = False
    retrained_for: str = ""
    checkpoint: str = ""
    data: str = ""
    sources: tuple[Source, ...] = ()
    metrics: Mapping[str, str] | None = None
    measured_on: str = ""
    """The holdout that the metrics are of."""


def ancestry(name: str, versions: Mapping[str, Json], training_jobs: Mapping[str, Json]) -> list[Ancestor]:
    """The version and its parents, the version first. A circle (nobody should make one) ends where it closes."""
    found: list[Ancestor] = []
    seen: set[str] = set()
    while name and name not in seen:
        seen.add(name)
        raw = versions.get(name)
        if raw is None:
            found.append(Ancestor(name, known=False))
            break
        lineage = raw["spec"].get("lineage") or {}
        found.append(_ancestor(name, raw, lineage, training_jobs))
        name = f"{raw['spec']['model']}-{lineage['parent']}" if lineage.get("parent") else ""
    return found


def _ancestor(name: str, raw: Json, lineage: Json, training_jobs: Mapping[str, Json]) -> Ancestor:
    data, holdout = lineage.get("dataset") or {}, lineage.get("holdout") or {}
    job, retrained, checkpoint = (lineage.get(key) for key in ("trainingJob", "retrainedFor", "checkpoint"))
    return Ancestor(
        name,
        known=True,
        mode=lineage.get("mode") or "",
        training_job=job or "",
        training_job_known=job in training_jobs,
        retrained_for=(
            f"Rollout {retrained['rollout']}, {retrained['trigger']}: {retrained.get('cause', '')}".rstrip(": ")
            if retrained
            else ""
        ),
        checkpoint=f"{checkpoint['uri']} sha256 {checkpoint['sha256'][:12]}" if checkpoint else "",
        data=f"{dataset({**data, 'uri': _named(data.get('uri') or '')})}{_amount(data)}" if data else "",
        sources=tuple(
            Source(_named(each["uri"]), each["sha256"], each.get("images"), each.get("labels"))
            for each in data.get("sources") or ()
        ),
        metrics=raw["spec"].get("metrics"),
        measured_on=f"{dataset({**holdout, 'uri': _named(holdout['uri'])})}{_amount(holdout)}" if holdout else "",
    )


def _named(uri: str) -> str:
    """A version of a labelled dataset by its number, anything else by its address."""
    found = _OF_STORE.match(uri)
    return f"dataset version {int(found['number'])} of {found['store']}/" if found is not None else uri


def _amount(data: Json) -> str:
    if data.get("images") is None:
        return ""
    return f", {data['images']:,} images" + (f", {data['labels']:,} labels" if data.get("labels") is not None else "")
