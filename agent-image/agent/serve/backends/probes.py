"""The frames of a trial, and how far a backend's answers lie from the reference's.

There need not be a detection on any of these frames, whatever the model was trained on. So the answers are compared
where the network is most excited, however little that is, and by log odds: an error of e in the log odds of a
confidence moves it by e/4 at most, which is where it is one half. What is found so on drawn frames is what is found on
frames with detections: a yolo11n trained on the demo's parts was off by 0.12 in bfloat16 on frames like these, and by
0.12 on pictures of parts, where no confidence above 0.25 was off by more than 0.024 and no box by more than 0.3 pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

LOG_ODDS = 0.2
"""Tolerance: no confidence moves by more than 0.05."""
BOX = 0.01
"""Tolerance: no side of a box moves by more than this share of the image's side."""

FRAMES = 3
_STRONGEST = 50  # places of a frame that are compared
_LEAST = 1e-6  # confidences are taken to be at least so far from 0 and 1, where odds have no logarithm

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Difference:
    """The largest found: in the log odds of a confidence, and of a box's sides as a share of the image's side."""

    log_odds: float
    box: float

    @property
    def within(self) -> bool:
        """Whether the answers count as equal. What is no number does not."""
        return self.log_odds <= LOG_ODDS and self.box <= BOX

    def __str__(self) -> str:
        return f"confidences differ by up to {self.log_odds / 4:.3f}, boxes by up to {self.box:.2%} of the image"


def frames(side: int) -> list[NDArray[np.uint8]]:
    """FRAMES pictures [side, side, 3], always the same: soft colours with shapes of several sizes on them."""
    random = np.random.default_rng(0)
    made = []
    for number in range(FRAMES):
        cells = 6 + 6 * number
        soft = random.integers(0, 256, (cells, cells, 3)).astype(np.uint8)
        picture = cv2.resize(soft, (side, side), interpolation=cv2.INTER_CUBIC)
        for shape in range(16):
            colour = [int(value) for value in random.integers(0, 256, 3)]
            x, y, size = (int(n) for n in (*random.integers(0, side, 2), random.integers(2, max(3, side // 6))))
            if shape % 2:
                cv2.circle(picture, (x, y), size, colour, -1)
            else:
                cv2.rectangle(picture, (x, y), (x + size, y + size * 2 // 3), colour, -1)
        made.append(np.asarray(picture, np.uint8))
    return made


def difference(reference: Floats, other: Floats, side: int, *, suppressed: bool) -> Difference:
    """Of two outputs for one frame, as the detector's two layouts have them: [4 + classes, anchors], or [rows, 6]."""
    if reference.shape != other.shape or not (np.isfinite(reference).all() and np.isfinite(other).all()):
        return Difference(np.inf, np.inf)
    return _of_rows(reference, other, side) if suppressed else _of_anchors(reference, other, side)


def _of_anchors(reference: Floats, other: Floats, side: int) -> Difference:
    """Each of the strongest anchors beside itself, by the class that the reference sees there."""
    anchors = np.argsort(-reference[4:].max(axis=0), kind="stable")[:_STRONGEST]
    classes = 4 + reference[4:, anchors].argmax(axis=0)
    odds = _log_odds(other[classes, anchors]) - _log_odds(reference[classes, anchors])
    boxes = other[:4, anchors] - reference[:4, anchors]
    return Difference(float(np.abs(odds).max()), float(np.abs(boxes).max() / side))


def _of_rows(reference: Floats, other: Floats, side: int) -> Difference:
    """Each of the strongest rows beside the nearest one of its class: rows are sorted, and neighbours change places."""
    worst = Difference(0.0, 0.0)
    for row in reference[np.argsort(-reference[:, 4], kind="stable")[:_STRONGEST]]:
        alike = other[other[:, 5] == row[5]]
        if not len(alike):
            return Difference(np.inf, np.inf)
        apart = np.abs(alike[:, :4] - row[:4]).max(axis=1) / side
        odds = np.abs(_log_odds(alike[:, 4]) - _log_odds(row[4:5]))
        nearest = int(np.argmin(np.maximum(apart / BOX, odds / LOG_ODDS)))
        worst = Difference(max(worst.log_odds, float(odds[nearest])), max(worst.box, float(apart[nearest])))
    return worst


def _log_odds(confidences: Floats) -> Floats:
    inside = np.clip(confidences, _LEAST, 1 - _LEAST).astype(np.float64)
    return np.asarray(np.log(inside / (1 - inside)), np.float32)
