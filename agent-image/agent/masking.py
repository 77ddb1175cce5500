"""Blacking out what nobody may see, before a frame is stored or shown. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.polygons import Polygon

Image = NDArray[np.uint8]


def masked(image: Image, polygons: Sequence[Polygon]) -> Image:
    """The frame with the polygons black, a pixel beyond their edges: rounding must not show any. A copy where there are
    any; the frame itself is never changed.

    Black is all that an outline goes around, also where it goes around twice (a star drawn in one stroke, points that
    were pasted twice): who draws an outline around a face does not want its middle to show. An outline that goes back
    around a hole the other way leaves that open.
    """
    if not polygons:
        return image
    hidden = np.zeros_like(image)
    cv2.copyTo(image, _shown(tuple(polygons), image.shape[0], image.shape[1]), hidden)
    return hidden


@lru_cache(maxsize=4)
def _shown(polygons: tuple[Polygon, ...], height: int, width: int) -> NDArray[np.uint8]:
    """Not 0 where a frame of this size stays as it is. Kept, as all frames of a camera have one size and one mask, and
    counting turns takes a hundred times as long as blackening what is known (30 ms of a 1080p frame)."""
    shown = np.full((height, width), 255, np.uint8)
    size = np.array([width, height], np.float64)
    for polygon in polygons:  # one by one: fillPoly of several leaves out where they overlap
        corners = [cast(Any, np.rint(np.array(polygon) * size).astype(np.int32))]
        cv2.fillPoly(shown, corners, 0)  # leaves out what the outline goes around twice
        cv2.polylines(shown, corners, True, 0, thickness=2)
        top, turns = _turns(corners[0], height, width)
        shown[top : top + len(turns)][turns != 0] = 0
    return shown


def _turns(corners: NDArray[np.int32], height: int, width: int) -> tuple[int, NDArray[np.int16]]:
    """(first row, how often the outline goes around each pixel of the rows from there on, against or with the clock),
    without those on the outline itself."""
    top, bottom = (int(edge) for edge in np.clip((corners[:, 1].min(), corners[:, 1].max()), 0, height))
    turns = np.zeros((bottom - top, width), np.int16)
    for (x, y), (to_x, to_y) in zip(corners.tolist(), np.roll(corners, -1, axis=0).tolist(), strict=True):
        rows = np.arange(max(min(y, to_y), top), min(max(y, to_y), bottom))
        if not len(rows):  # it is level
            continue
        columns = np.ceil(x + (rows - y) * (to_x - x) / (to_y - y)).astype(np.int64)
        there = columns < width
        turns[rows[there] - top, columns[there]] += 1 if to_y > y else -1
    return top, np.cumsum(turns, axis=1, out=turns)
