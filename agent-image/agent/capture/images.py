"""From a frame to what is stored: masked, made smaller, encoded; and how a frame looks in 64 bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np

from agent.capture.settings import ImageSettings
from agent.masking import Image, masked


@dataclass(frozen=True)
class Encoded:
    """A JPEG of `width` x `height` pixels; `scale` (x, y) takes pixels of the frame to its."""

    jpeg: bytes
    width: int
    height: int
    scale: tuple[float, float]


def encode(image: Image, settings: ImageSettings) -> Encoded:
    """The JPEG of a frame (uint8 [height, width, 3] BGR), which is not changed. Raises cv2.error."""
    height, width = image.shape[:2]
    image = masked(image, settings.mask)  # before it is made smaller: no pixel outside may mix with one inside
    if (longest := max(height, width)) > settings.max_side:
        size = tuple(max(1, round(side * settings.max_side / longest)) for side in (width, height))
        image = cast(Image, cv2.resize(image, size, interpolation=cv2.INTER_AREA))
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, settings.quality])
    if not done:
        raise cv2.error(f"a frame of {width} x {height} pixels can't be encoded as JPEG")
    stored_height, stored_width = image.shape[:2]
    return Encoded(data.tobytes(), stored_width, stored_height, (stored_width / width, stored_height / height))


def looks(image: Image) -> int:
    """dHash: 64 bits, each whether a field of a 9 x 8 grid is brighter than its right neighbour.

    Of every so many pixels only: reading a whole 1080p frame takes 9 ms, and no field of the grid needs it.
    """
    height, width = image.shape[:2]
    thinned = image[:: max(1, height // 128), :: max(1, width // 128)]
    grey = cv2.cvtColor(cv2.resize(thinned, (9, 8), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
    return int.from_bytes(np.packbits(grey[:, 1:] > grey[:, :-1]).tobytes(), "big")
