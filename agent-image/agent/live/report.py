"""/detections.json: what the page shows beside the picture. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agent.live.drawing import COLOURS
from agent.live.latest import Look, Shown
from agent.metrics import Identity


@dataclass(frozen=True)
class Model:
    """What runs here. `confidence` and `iou` are the thresholds of the detections."""

    identity: Identity
    sha256: str
    classes: tuple[str, ...]
    confidence: float
    iou: float


def report(
    model: Model, look: Look, shown: Shown | None, hidden: str | None, viewers: tuple[int, int]
) -> dict[str, Any]:
    """The JSON object. `shown` is the frame whose detections are asked for, `look` says what is true now.

    `hidden`: why no picture may be shown. `viewers`: how many pictures are being looked at, and how many may be.
    """
    identity = model.identity
    state, message = _state(look, hidden)
    return {
        "model": identity.model,
        "version": identity.version,
        "rollout": identity.rollout,
        "group": identity.group,
        "node": identity.node,
        "sha256": model.sha256,
        "classes": [{"name": name, "colour": COLOURS[k % len(COLOURS)]} for k, name in enumerate(model.classes)],
        "thresholds": {"confidence": model.confidence, "iou": model.iou},
        "state": state,
        "message": message,
        "fps": round(look.fps, 2),
        "frame": None if shown is None else _frame(look, shown),
        "detections": [] if shown is None else _detections(shown, model.classes),
        "viewers": {"watching": viewers[0], "limit": viewers[1]},
    }


def _state(look: Look, hidden: str | None) -> tuple[str, str | None]:
    """waiting, live, stale or hidden, and the sentence that says why it isn't live."""
    if hidden is not None:
        return "hidden", hidden
    if look.state == "waiting":
        return "waiting", f"No frame yet: {look.problem or 'the source has given none so far'}."
    if look.state == "stale":
        return "stale", f"No new frame: {look.problem or 'the source gives none that can be decoded; see the log'}."
    return "live", None


def _frame(look: Look, shown: Shown) -> dict[str, float]:
    height, width = shown.frame.image.shape[:2]
    age = look.age or 0.0
    if look.shown is not None:  # a picture may be of an earlier frame than the last
        age += look.shown.frame.taken - shown.frame.taken
    return {"number": shown.number, "width": width, "height": height, "ageSeconds": round(age, 3)}


def _detections(shown: Shown, classes: tuple[str, ...]) -> list[dict[str, Any]]:
    found = shown.found
    return [
        {
            "class": classes[int(index)],
            "confidence": round(float(confidence), 4),
            "box": [round(float(each), 1) for each in box],
        }
        for index, confidence, box in zip(found.classes, found.confidences, found.boxes, strict=True)
    ]
