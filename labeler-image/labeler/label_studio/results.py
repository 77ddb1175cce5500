"""Between boxes in pixels and Label Studio's results in percent: a conversion of our own. Pure.

Theirs (the YOLO and COCO exports) sorts classes by name, drops rotation, and takes the first of two annotators.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from detectiondata.matching import iou
from detectiondata.version import Box
from labeler.label_studio.interface import Interface
from labeler.tasks import Prediction

UNCHANGED_IOU = 0.95  # boxes that overlap so are the same box: the editor rounds, people don't
SAME_OBJECT_IOU = 0.5

# kinds of results that say something of an image and draw nothing into it
_WORDLESS = ("choices", "datetime", "number", "pairwise", "rating", "relation", "taxonomy", "textarea")


@dataclass(frozen=True)
class Shapes:
    """What a result holds. Where `unusable` isn't empty, the boxes are not all there is, and must not be used."""

    boxes: tuple[Box, ...]
    rotated: int = 0  # boxes that were rotated: the upright box around each is taken
    clipped: int = 0  # boxes that stood out of the image
    outside: int = 0  # boxes of which nothing is left within the image, left out
    unusable: tuple[str, ...] = ()  # why


def to_result(predictions: Sequence[Prediction], width: int, height: int, interface: Interface) -> list[dict[str, Any]]:
    """Predictions as the editor shows them."""
    return [
        {
            "id": f"p{number}",
            "type": "rectanglelabels",
            "from_name": interface.rectangles,
            "to_name": interface.image,
            "original_width": width,
            "original_height": height,
            "image_rotation": 0,
            "score": prediction.confidence,
            "value": {
                "x": 100 * prediction.box.x1 / width,
                "y": 100 * prediction.box.y1 / height,
                "width": 100 * (prediction.box.x2 - prediction.box.x1) / width,
                "height": 100 * (prediction.box.y2 - prediction.box.y1) / height,
                "rotation": 0,
                "rectanglelabels": [prediction.box.label],
            },
        }
        for number, prediction in enumerate(predictions)
    ]


def to_shapes(result: Any, width: int | None, height: int | None) -> Shapes:
    """The boxes of one annotation or prediction, in the order in which they were drawn.

    Args:
        result: as Label Studio gives it.
        width: of the image in pixels, as the task says; None where it doesn't: the result's own is taken.
        height: likewise.
    """
    if not isinstance(result, list):
        return Shapes((), unusable=("a result that is not a list",))
    boxes: list[Box] = []
    unusable: list[str] = []
    rotated = clipped = outside = 0
    for item in result:
        kind = item.get("type") if isinstance(item, dict) else None
        if kind in _WORDLESS:
            continue
        try:
            if kind != "rectanglelabels":
                raise _Unusable(f"a shape of kind {kind}")
            label = _label(item)
            size = _size(item, width, height)
            corners, turned = _corners(item, *size)
        except _Unusable as error:
            unusable.append(str(error))
            continue
        rotated += turned
        inside = _clip(corners, *size)
        if inside is None:
            outside += 1
            continue
        clipped += max(abs(a - b) for a, b in zip(corners, inside, strict=True)) > 0.01  # the editor's rounding
        boxes.append(Box(label, *inside))
    return Shapes(tuple(boxes), rotated, clipped, outside, tuple(unusable))


class _Unusable(ValueError):
    pass


def _label(item: Mapping[str, Any]) -> str:
    value = item.get("value")
    labels = value.get("rectanglelabels") if isinstance(value, dict) else None
    if not isinstance(labels, list) or len(labels) != 1 or not isinstance(labels[0], str):
        many = "more than one label" if isinstance(labels, list) and len(labels) > 1 else "no label"
        raise _Unusable(f"a box with {many}")
    return labels[0]


def _size(item: Mapping[str, Any], width: int | None, height: int | None) -> tuple[float, float]:
    """The image's size. One that was shown turned (by the editor or by its EXIF) has its boxes in other axes."""
    if item.get("image_rotation"):
        raise _Unusable("an image that was turned in the editor")
    shown = tuple(item.get(name) for name in ("original_width", "original_height"))
    if all(isinstance(each, int | float) and not isinstance(each, bool) and each > 0 for each in shown):
        if width and height and shown != (width, height):
            raise _Unusable(f"an image shown as {shown[0]}x{shown[1]} that is stored as {width}x{height}")
        return float(shown[0] or 0), float(shown[1] or 0)
    if width and height:
        return float(width), float(height)
    raise _Unusable("a box of an image of unknown size")


def _corners(item: Mapping[str, Any], width: float, height: float) -> tuple[tuple[float, float, float, float], bool]:
    """The upright box around what was drawn, and whether it was rotated.

    Rotation is in degrees, clockwise, about the top left corner of what would be the box without it.
    """
    value = item["value"]
    numbers = [value.get(name) for name in ("x", "y", "width", "height")] + [value.get("rotation") or 0]
    if not all(isinstance(n, int | float) and not isinstance(n, bool) and math.isfinite(n) for n in numbers):
        raise _Unusable("a box without numbers")
    x, y = numbers[0] * width / 100, numbers[1] * height / 100
    w, h = numbers[2] * width / 100, numbers[3] * height / 100
    angle = math.radians(numbers[4] % 360)
    cos, sin = math.cos(angle), math.sin(angle)
    xs = (x, x + w * cos, x - h * sin, x + w * cos - h * sin)
    ys = (y, y + w * sin, y + h * cos, y + w * sin + h * cos)
    return (min(xs), min(ys), max(xs), max(ys)), bool(numbers[4] % 360)


def _clip(
    corners: tuple[float, float, float, float], width: float, height: float
) -> tuple[float, float, float, float] | None:
    x1, y1, x2, y2 = corners
    x1, x2 = max(0.0, x1), min(width, x2)
    y1, y2 = max(0.0, y1), min(height, y2)
    return (x1, y1, x2, y2) if x1 < x2 and y1 < y2 else None


def differ(first: Sequence[Box], second: Sequence[Box]) -> bool:
    """Whether any box was moved, added, removed, or given another class."""
    return len(first) != len(second) or _common(first, second, UNCHANGED_IOU) != len(first)


def agreement(first: Sequence[Box], second: Sequence[Box]) -> float:
    """How far two people agree, 0 to 1: the share of their boxes that have a partner of the same class (IoU >= 0.5)."""
    total = len(first) + len(second)
    return 2 * _common(first, second, SAME_OBJECT_IOU) / total if total else 1.0


def _common(first: Sequence[Box], second: Sequence[Box], threshold: float) -> int:
    """How many boxes have a partner of the same class in the other list, each at most one: best overlaps first."""
    pairs = sorted(
        (
            (overlap, i, j)
            for i, a in enumerate(first)
            for j, b in enumerate(second)
            if a.label == b.label and (overlap := iou(a, b)) >= threshold
        ),
        reverse=True,
    )
    left: set[int] = set()
    right: set[int] = set()
    for _, i, j in pairs:
        if i not in left and j not in right:
            left.add(i)
            right.add(j)
    return len(left)
