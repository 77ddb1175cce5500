"""LABELER_RUN, the one JSON document that says what to do; written by the operator from a Dataset."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Literal, cast

from detectiondata.fields import Fields, Wrong
from labeler.failure import Failure

Format = Literal["Auto", "YOLO", "COCO"]

_MOST = 1000  # entries of a list


@dataclass(frozen=True)
class Split:
    """Shares of the node-days, 0 to 1; the rest is trained on."""

    validation: Decimal
    holdout: Decimal


@dataclass(frozen=True)
class LabelStudioSettings:
    url: str
    project: str


@dataclass(frozen=True)
class FilesSettings:
    """A folder of reviewed labels."""

    uri: str
    format: Format


@dataclass(frozen=True)
class Deployed:
    """A version that Rollouts run now, and its model file."""

    version: str
    sha256: str


@dataclass(frozen=True)
class Run:
    dataset: str
    namespace: str
    model: str
    captures: str
    store: str
    classes: tuple[str, ...]
    min_new_images: int
    split: Split
    labelling: LabelStudioSettings | FilesSettings
    per_day: int
    priority: tuple[str, ...]
    blind: Decimal
    deployed: tuple[Deployed, ...]


def parse(text: str | None) -> Run:
    """Raises Failure InvalidConfiguration, which names the member."""
    if not text:
        raise _invalid("is not set; this image is started by a Dataset")
    try:
        return _run(Fields(json.loads(text)))
    except Wrong as error:
        raise _invalid(f"is wrong: {error}") from None
    except (ValueError, RecursionError) as error:
        raise _invalid(f"is not valid JSON: {error}") from None


def _run(fields: Fields) -> Run:
    split, labelling = fields.inner("split"), fields.inner("labelling")
    shares = Split(_share(split, "validation"), _share(split, "holdout"))
    if shares.validation + shares.holdout >= 1:
        raise Wrong("split leaves nothing to train on: validation and holdout together must be less than 1")
    classes = fields.texts("classes", _MOST)
    if not classes or len(set(classes)) < len(classes) or any(name != name.strip() for name in classes):
        raise Wrong("classes must be different names, at least one, without spaces around them")
    deployed = fields.entries("deployed", _MOST) if fields.has("deployed") else []
    return Run(
        dataset=fields.text("dataset"),
        namespace=fields.text("namespace"),
        model=fields.text("model"),
        captures=fields.text("captures"),
        store=fields.text("store"),
        classes=classes,
        min_new_images=fields.count("minNewImages", 1, 1_000_000),
        split=shares,
        labelling=_labelling(labelling),
        per_day=labelling.count("perDay", 0, 1_000_000),
        priority=labelling.texts("priority", _MOST) if labelling.has("priority") else (),
        blind=_share(labelling, "blind"),
        deployed=tuple(Deployed(entry.text("version"), entry.sha256("sha256")) for entry in deployed),
    )


def _labelling(fields: Fields) -> LabelStudioSettings | FilesSettings:
    if fields.has("labelStudio") == fields.has("files"):
        raise Wrong("labelling must have one of labelStudio and files")
    if fields.has("labelStudio"):
        inner = fields.inner("labelStudio")
        return LabelStudioSettings(inner.text("url"), inner.text("project"))
    inner = fields.inner("files")
    format = inner.text("format") if inner.has("format") else "Auto"
    if format not in ("Auto", "YOLO", "COCO"):
        raise Wrong(f"labelling.files.format is {format!r}; it must be Auto, YOLO or COCO")
    return FilesSettings(inner.text("uri"), cast("Format", format))


def _share(fields: Fields, name: str) -> Decimal:
    try:
        found = Decimal(fields.text(name))
    except InvalidOperation:
        found = Decimal("NaN")
    if not found.is_finite() or not 0 <= found <= 1:
        raise Wrong(f'{name} is not a share as a text, from "0" to "1"')
    return found


def _invalid(what: str) -> Failure:
    return Failure("InvalidConfiguration", f"LABELER_RUN {what}")
