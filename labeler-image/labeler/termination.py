"""The termination message: what a run found, as one JSON object that the kubelet hands to the operator."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detectiondata.problems import summary
from detectiondata.ratio import Estimate
from detectiondata.version import Image
from detectiondata.version_store import Stored, VersionStore
from labeler.calibration import EDGES
from labeler.failure import Failure
from labeler.review import ClassFigures, Figures
from labeler.run import Outcome

LIMIT = 4000  # bytes; the kubelet takes 4096
CLASSES = 20  # listed, the most frequent
NOTES = 5
_NOTE_LIMIT = 400  # characters
_ACCEPTED_AS_IT_IS = (0.01, 200)  # below this share of edits, in so many reviews, people may not be looking

_WORST = "worstClasses"  # a member of review

# What is cut where the whole is too long, a step at a time: (member, how many of its entries stay).
_CUTS = (
    ("notes", 2),
    (_WORST, 3),
    ("perClass", 10),
    ("versions", 5),
    ("notes", 1),
    ("perClass", 5),
    ("versions", 1),
    ("perClass", 0),
)


def success(outcome: Outcome, store: str) -> dict[str, Any]:
    """`store` is the address of the dataset's store."""
    latest = outcome.history[0] if outcome.history else None
    share = edited_share(outcome.images)
    return {
        "result": "Succeeded",
        "waiting": outcome.waiting,
        "inReview": outcome.in_review,
        "reviewed": len(outcome.images),
        "pending": outcome.pending,
        "editedShare": None if share is None else decimal(share),
        "latest": None if latest is None else _latest(latest, store),
        "review": None if outcome.figures is None else _review(outcome.figures),
        "versions": [_version(each) for each in outcome.history],
        "perClass": [] if latest is None else _per_class(latest),
        "notes": notes(outcome),
    }


def failed(failure: Failure) -> dict[str, Any]:
    return {"result": "Failed", "reason": failure.reason, "message": failure.message}


def render(message: Mapping[str, Any]) -> bytes:
    """At most LIMIT bytes: lists are cut first, then texts. Counts and the latest version always stay.

    What doesn't fit at all is left away, and not told as empty or null: the operator keeps what it knew.
    """
    document = dict(message)
    data = _encoded(document)
    for member, kept in _CUTS:
        if len(data) > LIMIT:
            _cut(document, member, kept)
            data = _encoded(document)
    while len(data) > LIMIT and document.get("message"):
        document["message"] = document["message"][: len(document["message"]) // 2] + "…"
        data = _encoded(document)
    if len(data) > LIMIT:  # class names of a thousand characters
        for member in ("notes", "review"):
            document.pop(member, None)
        data = _encoded(document)
    return data


def _cut(document: dict[str, Any], member: str, kept: int) -> None:
    """To so many entries; to none means that nothing is told of it."""
    if member == _WORST:
        if document.get("review"):
            document["review"] = document["review"] | {_WORST: document["review"][_WORST][:kept]}
    elif not kept:
        document.pop(member, None)
    elif member in document:
        document[member] = document[member][:kept]


def write(path: Path, message: Mapping[str, Any]) -> None:
    """Raises OSError."""
    path.write_bytes(render(message))


def edited_share(images: Mapping[str, Image]) -> float | None:
    """The share of the reviews that changed what the model had said; blind ones were shown nothing to change."""
    seen = [bool(image.review.get("edited")) for image in images.values() if not image.review.get("blind")]
    return sum(seen) / len(seen) if seen else None


def notes(outcome: Outcome) -> list[str]:
    """What somebody should know, the most important first."""
    found = [outcome.other_classes] if outcome.other_classes else []
    share, seen = edited_share(outcome.images), sum(not image.review.get("blind") for image in outcome.images.values())
    if share is not None and share < _ACCEPTED_AS_IT_IS[0] and seen >= _ACCEPTED_AS_IT_IS[1]:
        found.append(
            f"{seen} reviews changed {decimal(share * 100)}% of what the model had found: look whether they are real, "
            "and compare with blind tasks"
        )
    if outcome.reserved:
        found.append(
            f"{outcome.reserved} reviewed images are in no version: they were not sampled and are of days that the "
            "holdout is made of"
        )
    found.extend(outcome.notes)
    kinds = Counter(problem.kind for problem in outcome.problems)
    for kind, _ in kinds.most_common():
        said = summary(problem for problem in outcome.problems if problem.kind == kind)
        found.append(f"left out: {said}")
    if len(found) > NOTES and len(kinds) > len(found) - NOTES:
        hidden = kinds.most_common()[NOTES - 1 - len(found) :]
        found = [*found[: NOTES - 1], f"left out, too: {', '.join(f'{count} {kind}' for kind, count in hidden)}"]
    return [note if len(note) <= _NOTE_LIMIT else note[: _NOTE_LIMIT - 1] + "…" for note in found[:NOTES]]


def decimal(value: float, places: int = 4) -> str:
    """A figure as the API writes it: "0.91", and "0" for nothing."""
    text = f"{value:.{places}f}".rstrip("0").rstrip(".")
    return "0" if text in ("", "-0") else text


def _latest(stored: Stored, store: str) -> dict[str, Any]:
    version, place = stored.version, VersionStore(store)
    held = version.holdout
    return {
        "number": version.number,
        "sha256": stored.sha256,
        "uri": place.address(version.number),
        "images": version.images,
        "objects": version.objects,
        "classes": len(version.classes),
        "createdAt": version.created_at,
        "holdout": None
        if held is None
        else {"uri": place.address(version.number, "holdout.json"), "sha256": held.sha256, "images": held.images},
    }


def _version(stored: Stored) -> dict[str, Any]:
    version = stored.version
    return {
        "number": version.number,
        "sha256": stored.sha256,
        "parent": None if version.parent is None else version.parent[0],
        "images": version.images,
        "added": version.added,
        "changed": version.changed,
        "createdAt": version.created_at,
    }


def _per_class(stored: Stored) -> list[dict[str, Any]]:
    most = sorted(stored.version.per_class.items(), key=lambda item: (-item[1], item[0]))
    return [{"name": name, "objects": count} for name, count in most[:CLASSES]]


def _review(figures: Figures) -> dict[str, Any]:
    calibration = figures.calibration
    return {
        "version": figures.version,
        "frames": figures.frames,
        "nodeDays": figures.node_days,
        "precision": _estimate(figures.precision),
        "recall": _estimate(figures.recall),
        _WORST: [_class(each) for each in figures.worst],
        "calibration": None
        if calibration is None
        else {"edges": _decimals(EDGES), "precision": _decimals(calibration.precision)},
    }


def _class(found: ClassFigures) -> dict[str, Any]:
    """An interval that is not known is left out: the message is short of room."""
    told: dict[str, Any] = {
        "name": found.name,
        "precision": None if found.precision is None else decimal(found.precision),
        "recall": None if found.recall is None else decimal(found.recall),
        "frames": found.frames,
    }
    for name, interval in (("precision", found.precision_interval), ("recall", found.recall_interval)):
        if interval is not None:
            told[f"{name}Interval"] = {"low": decimal(interval.low), "high": decimal(interval.high)}
    return told


def _estimate(found: Estimate | None) -> dict[str, str] | None:
    if found is None:
        return None
    return {"value": decimal(found.value), "low": decimal(found.low), "high": decimal(found.high)}


def _decimals(values: Sequence[float]) -> list[str]:
    return [decimal(value) for value in values]


def _encoded(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode(errors="replace")
