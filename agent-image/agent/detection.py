"""What a model finds on a frame, as plain values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Detection:
    """One object: class name, confidence from 0 to 1, box x1, y1, x2, y2 in pixels of the frame."""

    label: str
    confidence: float
    box: tuple[float, float, float, float]
