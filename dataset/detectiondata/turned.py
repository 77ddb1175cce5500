"""COCO annotations of pictures that EXIF turns by a quarter, listed with the size before they are turned. Pure.

Some tools measure boxes on the picture as it is stored, others on the picture as it is shown and write the stored size
beside. Boxes that fit only one of the two tell; all files of a source come from one tool. Where none tells, nobody
knows, and the dataset is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from detectiondata.labels import Row
from detectiondata.layout import Boxes
from detectiondata.problems import Problem


@dataclass(frozen=True)
class Turned:
    """`orientation` is EXIF's, 5 to 8."""

    image: str
    boxes: Boxes
    orientation: int


def settle(turned: Sequence[Turned]) -> Mapping[str, tuple[Row, ...]] | list[Problem]:
    """The objects of each image, as fractions of the picture as it is shown."""
    stored = [each for each in turned if each.boxes.turned is None]
    shown = [each for each in turned if each.boxes.outside is not None]
    if stored and not shown:
        return {each.image: tuple(_turn(row, each.orientation) for row in each.boxes.rows) for each in turned}
    if shown and not stored:
        return {each.image: each.boxes.turned or () for each in turned}
    return [
        Problem(
            "images that EXIF turns, of which nothing tells whether they were annotated turned",
            each.image,
            f"listed as {each.boxes.width}x{each.boxes.height}, EXIF orientation {each.orientation}; list the size as "
            "shown, or turn the picture itself (jhead -autorot, mogrify -auto-orient)",
        )
        for each in turned
    ]


def _turn(row: Row, orientation: int) -> Row:
    x, y, width, height = row.box
    place = {5: (y, x), 6: (1 - y, x), 7: (1 - y, 1 - x), 8: (y, 1 - x)}[orientation]
    return Row(row.index, (*place, height, width))
