"""The sidecar `modelfleet.dev/capture/v1`: what is known of a captured image, and its key in the store. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from agent.capture.policy import Choice
from agent.detection import Detection

if TYPE_CHECKING:
    from agent.capture.images import Encoded  # the upload reads sidecars, and need not load OpenCV

FORMAT = "modelfleet.dev/capture/v1"
LIMIT = 2 << 20
"""Bytes of a sidecar that are read: 300 detections are some 40 kB. Parsed, it may take 35 times as much memory."""

_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Origin:
    """Who captures: the node, its Rollout and the model that runs. Part of every sidecar."""

    node: str
    rollout: str
    namespace: str
    group: str
    model: str
    version: str
    model_sha256: str
    classes: tuple[str, ...]
    confidence: float
    iou: float


@dataclass(frozen=True)
class Capture:
    """One image to be kept, with its sidecar. `stem` is its file name without suffix, and sorts by time."""

    stem: str
    image: bytes
    sidecar: bytes


def build(origin: Origin, at: datetime, encoded: Encoded, detections: Sequence[Detection], choice: Choice) -> Capture:
    """The capture of one frame. Boxes are scaled to the stored image."""
    digest = hashlib.sha256(encoded.jpeg).hexdigest()
    document: dict[str, Any] = {
        "format": FORMAT,
        "node": origin.node,
        "rollout": origin.rollout,
        "namespace": origin.namespace,
        "group": origin.group,
        "model": origin.model,
        "version": origin.version,
        "modelSha256": origin.model_sha256,
        "classes": list(origin.classes),
        "capturedAt": timestamp(at),
        "width": encoded.width,
        "height": encoded.height,
        "image": {"sha256": digest, "bytes": len(encoded.jpeg)},
        "rules": list(choice.rules),
        "thresholds": {"confidence": origin.confidence, "iou": origin.iou},
        "detections": [_scaled(each, encoded) for each in detections],
    }
    if choice.window:
        document["sequence"] = {"id": choice.window.id, "role": choice.window.role}
    if choice.draw:
        document["sample"] = {"probability": choice.draw.probability, "stratum": choice.draw.stratum}
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return Capture(f"{compact(at)}-{digest[:8]}", encoded.jpeg, text.encode())


def timestamp(at: datetime) -> str:
    """2026-11-29T12:34:56.789Z"""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"


def compact(at: datetime) -> str:
    """20261129T123456.789Z: fit for a file name."""
    return timestamp(at).replace("-", "").replace(":", "")


def _scaled(detection: Detection, encoded: Encoded) -> dict[str, Any]:
    x, y = encoded.scale
    box = [round(value * by, 2) for value, by in zip(detection.box, (x, y, x, y), strict=True)]
    return {"class": detection.label, "confidence": round(detection.confidence, 6), "box": box}


class SidecarInvalid(ValueError):
    """A sidecar can't be used; the message says what is wrong with it."""


@dataclass(frozen=True)
class Address:
    """What of a sidecar decides where its image goes, and which image that is."""

    key: str  # of the image below the destination, without suffix
    sha256: str
    size: int


def address(data: bytes) -> Address:
    """Read it from a sidecar that any application may have written. Raises SidecarInvalid."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise SidecarInvalid(f"the sidecar is not valid JSON ({error})") from None
    if not isinstance(document, dict):
        raise SidecarInvalid("the sidecar is not a JSON object")
    if document.get("format") != FORMAT:
        raise SidecarInvalid(f"the sidecar's format is {document.get('format')!r}; this agent knows {FORMAT}")
    image = document.get("image")
    if not isinstance(image, dict):
        raise SidecarInvalid("the sidecar's image is not an object")
    sha256, size = image.get("sha256"), image.get("bytes")
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        raise SidecarInvalid(f"the sidecar's image.sha256 is {sha256!r:.100}; it must be 64 hexadecimal digits")
    if not isinstance(size, int) or size < 1:
        raise SidecarInvalid(f"the sidecar's image.bytes is {size!r:.100}; it must be a whole number above 0")
    names = [document.get(member) for member in ("rollout", "node")]
    for member, name in zip(("rollout", "node"), names, strict=True):
        if not isinstance(name, str) or not _NAME.fullmatch(name) or ".." in name:
            raise SidecarInvalid(f"the sidecar's {member} is {name!r:.100}; it must be the name of a Kubernetes object")
    at = _time(document.get("capturedAt"))
    return Address(f"{names[0]}/{names[1]}/{at:%Y/%m/%d}/{compact(at).partition('T')[2]}-{sha256[:8]}", sha256, size)


def _time(text: Any) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        at = None
    if at is None or at.utcoffset() is None:
        raise SidecarInvalid(
            f"the sidecar's capturedAt is {text!r:.100}; it must be a time such as 2026-11-29T12:34:56.789Z"
        )
    return at.astimezone(UTC)
