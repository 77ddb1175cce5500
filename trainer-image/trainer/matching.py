"""Which detection is which object: the one rule by which anything here counts as right, found or missed. Pure."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

MATCH_IOU = 0.5

Floats = npt.NDArray[np.floating]
Indices = npt.NDArray[np.intp]


def match(boxes: Floats, classes: Floats, confidences: Floats, truth_boxes: Floats, truth_classes: Floats) -> Indices:
    """Which object of its own class each detection of one image takes, -1 for none.

    Boxes are (n, 4) corners x1, y1, x2, y2 in the same units; of classes and confidences there are n each.
    """
    overlap = iou(boxes, truth_boxes)
    overlap[classes[:, None] != truth_classes[None, :]] = 0
    return assign(overlap, confidences)


def assign(overlap: Floats, confidences: Floats) -> Indices:
    """Which object each detection takes: most confident first, each the free one it overlaps most, at IoU >= 0.5.

    `overlap` is (detections, objects) of IoU.
    """
    taken = np.full(len(overlap), -1, dtype=np.intp)
    if overlap.size == 0:
        return taken
    free = overlap.copy()
    for row in np.argsort(-confidences, kind="stable"):
        best = int(free[row].argmax())
        if free[row, best] >= MATCH_IOU:
            taken[row] = best
            free[:, best] = 0
    return taken


def iou(first: Floats, second: Floats) -> npt.NDArray[np.float64]:
    """Intersection over union of every pair, (n, m), of corner boxes."""
    top_left = np.maximum(first[:, None, :2], second[None, :, :2])
    bottom_right = np.minimum(first[:, None, 2:], second[None, :, 2:])
    common = np.clip(bottom_right - top_left, 0, None).prod(axis=2)
    areas = [np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1) for boxes in (first, second)]
    union = areas[0][:, None] + areas[1][None, :] - common
    return np.asarray(np.divide(common, union, out=np.zeros_like(common, dtype=float), where=union > 0))
