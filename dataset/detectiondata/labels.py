"""Label files in YOLO's format: one object a line, class index and box (or polygon) as fractions of the image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

# ultralytics tolerates one per cent beyond the border and clips it; the same here
TOLERANCE = 0.01
_BOX = 4  # numbers
_FEW = 5  # polygons, of which nobody can tell whether they are keypoints
KEYPOINTS = (
    "its label files hold keypoints behind each box, not polygons; say how many in data.yaml, such as "
    "kpt_shape: [17, 3], to have the boxes taken"
)
_VISIBILITIES = frozenset({0.0, 1.0, 2.0})


@dataclass(frozen=True)
class Row:
    """Class index as written, and the numbers that follow it: x y w h, or x1 y1 x2 y2 x3 y3 ... of a polygon."""

    index: int
    numbers: tuple[float, ...]

    def line(self, index: int) -> str:
        return " ".join([str(index), *(f"{number:.6g}" for number in self.numbers)])

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Centre and size, of a polygon those of the box around it."""
        if len(self.numbers) == _BOX:
            x, y, width, height = self.numbers
            return x, y, width, height
        xs, ys = self.numbers[::2], self.numbers[1::2]
        left, right, top, bottom = min(xs), max(xs), min(ys), max(ys)
        return (left + right) / 2, (top + bottom) / 2, right - left, bottom - top


class Bad(Exception):
    """A label line can't be used. `kind` groups it with others alike, `detail` is about this line."""

    def __init__(self, kind: str, line: int, detail: str) -> None:
        super().__init__(kind)
        self.kind = kind
        self.detail = f"line {line}: {detail}"


def parse(text: str, classes: int | None, keypoints: tuple[int, int] | None = None) -> list[Row]:
    """The rows of one file; identical lines count once. `classes` is None where the number of classes isn't known.

    Of rows with `keypoints` (so many points of so many numbers) the box is taken, and where boxes and polygons are
    mixed, the box around each polygon: ultralytics refuses the mixture. Raises Bad at the first line that is wrong.
    """
    rows: dict[Row, None] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            rows[_row(_without_keypoints(line.split(), keypoints, number), number, classes)] = None
    if len({len(row.numbers) == _BOX for row in rows}) > 1:
        return list(dict.fromkeys(Row(row.index, row.box) for row in rows))
    return list(rows)


def count(text: str) -> int:
    """How many objects a file lists, identical lines too."""
    return sum(1 for line in text.splitlines() if line.strip())


def is_row(line: str) -> bool:
    """Whether a line is at least meant as one."""
    columns = line.split()
    try:
        return len(columns) > _BOX and all(math.isfinite(float(column)) for column in columns)
    except ValueError:
        return False


def look_like_keypoints(rows: Sequence[Row]) -> bool:
    """Whether what reads as polygons are boxes followed by keypoints: in every row the rest lies in the box that the
    first four numbers would be. No polygon is like that but by chance."""
    polygons = [row.numbers for row in rows if len(row.numbers) > _BOX]
    return len(polygons) >= _FEW and all(_is_pose(numbers) for numbers in polygons)


def _is_pose(numbers: Sequence[float]) -> bool:
    rest = numbers[_BOX:]
    if len(rest) % 2 == 0 and _inside(numbers, rest[::2], rest[1::2]):
        return True
    visible = rest[2::3]
    return len(rest) % 3 == 0 and _VISIBILITIES.issuperset(visible) and _inside(numbers, rest[::3], rest[1::3])


def _inside(box: Sequence[float], xs: Sequence[float], ys: Sequence[float]) -> bool:
    x, y, width, height = box[:_BOX]
    within_x = all(abs(each - x) <= width / 2 + TOLERANCE for each in xs)
    return within_x and all(abs(each - y) <= height / 2 + TOLERANCE for each in ys)


def _without_keypoints(columns: list[str], keypoints: tuple[int, int] | None, line: int) -> list[str]:
    if keypoints is None or len(columns) <= 1 + _BOX:
        return columns
    points, numbers = keypoints
    if len(columns) != 1 + _BOX + points * numbers:
        wanted = f"{1 + _BOX + points * numbers} with kpt_shape [{points}, {numbers}]"
        raise Bad("with a wrong number of columns", line, f"{len(columns)} instead of 5, or {wanted}")
    return columns[: 1 + _BOX]


def _row(columns: list[str], line: int, classes: int | None) -> Row:
    try:
        values = [float(column) for column in columns]
    except ValueError:
        raise Bad("with something that is not a number", line, " ".join(columns)[:40]) from None
    if not all(math.isfinite(value) for value in values):
        raise Bad("with NaN or infinite values", line, " ".join(columns)[:40])
    polygon = len(columns) >= 7 and len(columns) % 2 == 1
    if len(columns) != 1 + _BOX and not polygon:
        more = "; for keypoints say kpt_shape in data.yaml" if len(columns) > 7 else ""
        raise Bad("with a wrong number of columns", line, f"{len(columns)} instead of 5{more}")
    index = int(values[0])
    if index != values[0] or index < 0:
        raise Bad("with a class that is not an index", line, columns[0])
    if classes is not None and index >= classes:
        raise Bad("with a class index too high", line, f"class {index}, and there are {classes}: 0 to {classes - 1}")
    outside = [value for value in values[1:] if not -TOLERANCE <= value <= 1 + TOLERANCE]
    if outside:
        may = "; or is this the visibility of keypoints? Then say kpt_shape in data.yaml" if _marks(values) else ""
        said = f"{outside[0]:g}; they are fractions of the image, not pixels{may}"
        raise Bad("with coordinates outside 0 to 1", line, said)
    row = Row(index, tuple(min(max(value, 0.0), 1.0) for value in values[1:]))
    x, y, width, height = row.box
    if width <= 0 or height <= 0:
        raise Bad("with a box without area", line, " ".join(columns)[:40])
    for centre, length in ((x, width), (y, height)):
        for edge in (centre - length / 2, centre + length / 2):
            if not -TOLERANCE <= edge <= 1 + TOLERANCE:
                raise Bad(
                    "with boxes that leave their image",
                    line,
                    f"to {edge:.3g}; YOLO's numbers are centre and size: are these corners?",
                )
    return row


def _marks(values: Sequence[float]) -> bool:
    """Whether what is out of range is 2 and nothing else: a visible keypoint."""
    return len(values) > 7 and {value for value in values[1:] if value > 1 + TOLERANCE} == {2.0}
