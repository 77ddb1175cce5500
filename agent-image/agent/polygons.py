"""Areas of a frame that nobody may see, as the capture settings name them in `image.mask`. Pure."""

from __future__ import annotations

from typing import Any

from agent.capture import quantities

Polygon = tuple[tuple[float, float], ...]
"""At least three points (x, y), as fractions of the frame's width and height, 0 to 1."""

_MUST = "must be a list of polygons, each at least three points [x, y] from 0 to 1"


def polygons(value: Any) -> tuple[Polygon, ...]:
    """The areas of a JSON value. Raises ValueError, which says what it must be and where it is not."""
    if not isinstance(value, list):
        raise ValueError(_MUST)
    return tuple(_polygon(each, f"[{index}]") for index, each in enumerate(value))


def _polygon(points: Any, where: str) -> Polygon:
    if not isinstance(points, list) or len(points) < 3:
        raise ValueError(f"{_MUST}: {where} is none")
    return tuple(_point(each, f"{where}[{index}]") for index, each in enumerate(points))


def _point(point: Any, where: str) -> tuple[float, float]:
    try:
        x, y = map(quantities.number, point if isinstance(point, list) else ())
    except ValueError:
        raise ValueError(f"{_MUST}: {where} is not such a point") from None
    if not (0 <= x <= 1 and 0 <= y <= 1):  # nor is one of NaN
        raise ValueError(f"{_MUST}: {where} is not such a point")
    return x, y
