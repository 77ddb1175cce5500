"""Which detection is which object: the rule of the trainer's evaluation, on one image. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from detectiondata.captures import Detection
from detectiondata.version import Box

MATCH_IOU = 0.5


def match(detections: Sequence[Detection], objects: Sequence[Detection | Box]) -> list[int | None]:
    """For each detection the object of its class that it takes, by its place in `objects`; None for none.

    The objects may be what another model found. The most confident detection chooses first, each the free object that
    it overlaps most, at an IoU of 0.5 or more.
    """
    taken: list[int | None] = [None] * len(detections)
    free = set(range(len(objects)))
    for number in sorted(range(len(detections)), key=lambda at: -detections[at].confidence):
        found = detections[number]
        overlaps = [(iou(found, objects[at]), -at) for at in free if objects[at].label == found.label]
        best, place = max(overlaps, default=(0.0, 0))
        if best >= MATCH_IOU:
            taken[number] = -place
            free.remove(-place)
    return taken


def iou(one: Detection | Box, other: Detection | Box) -> float:
    """Intersection over union of two boxes."""
    width = min(one.x2, other.x2) - max(one.x1, other.x1)
    height = min(one.y2, other.y2) - max(one.y1, other.y1)
    if width <= 0 or height <= 0:
        return 0.0
    common = width * height
    areas = (one.x2 - one.x1) * (one.y2 - one.y1) + (other.x2 - other.x1) * (other.y2 - other.y1)
    return common / (areas - common)
