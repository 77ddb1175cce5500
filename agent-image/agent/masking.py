"""Blacking out what nobody may see, before a frame is stored or shown. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.polygons import Polygon

Image = NDArray[np.uint8]


def masked(image: Image, polygons: Sequence[Polygon]) -> Image:
    """The frame with the polygons black, a pixel beyond their edges: rounding must not show any. A copy where there are
    any; the frame itself is never changed."""
    if not polygons:
        return image
    hidden = image.copy()
    size = np.array([image.shape[1], image.shape[0]], np.float64)
    for polygon in polygons:  # one by one: fillPoly of several leaves out where they overlap
        corners = [cast(Any, np.rint(np.array(polygon) * size).astype(np.int32))]
        cv2.fillPoly(hidden, corners, (0, 0, 0))
        cv2.polylines(hidden, corners, True, (0, 0, 0), thickness=2)
    return hidden
