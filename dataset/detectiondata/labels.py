"""Label files in YOLO's format: one object a line, class index and box (or polygon) as fractions of the image."""

from __future__ import annotations

import math
from dataclasses import dataclass

# ultralytics tolerates one per cent beyond the border and clips it; the same here
TOLERANCE = 0.01


@dataclass(frozen=True)
class Row:
    """Class index as written, and the numbers that follow it: x y w h, or x1 y1 x2 y2 x3 y3 ... of a polygon."""

    index: int
    numbers: tuple[float, ...]

    def line(self, index: int) -> str:
        return " ".join([str(index), *(f"{number:.6g}" for number in self.numbers)])


class Bad(Exception):
    """A label line can't be used. `kind` groups it with others alike, `detail` is about this line."""

    def __init__(self, kind: str, line: int, detail: str) -> None:
        super().__init__(kind)
        self.kind = kind
        self.detail = f"line {line}: {detail}"


def parse(text: str, classes: int | None) -> list[Row]:
    """The rows of one file; identical lines count once. `classes` is None where the number of classes isn't known.

    Raises Bad at the first line that is wrong.
    """
    rows: dict[Row, None] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            rows[_row(line.split(), number, classes)] = None
    parsed = list(rows)
    if len({len(row.numbers) == 4 for row in parsed}) > 1:
        raise Bad("that mix boxes and polygons", 1, "use one kind in a file")
    return parsed


def _row(columns: list[str], line: int, classes: int | None) -> Row:
    try:
        values = [float(column) for column in columns]
    except ValueError:
        raise Bad("with something that is no number", line, " ".join(columns)[:40]) from None
    if not all(math.isfinite(value) for value in values):
        raise Bad("with NaN or infinite values", line, " ".join(columns)[:40])
    polygon = len(columns) >= 7 and len(columns) % 2 == 1
    if len(columns) != 5 and not polygon:
        raise Bad("with a wrong number of columns", line, f"{len(columns)} instead of 5")
    index = int(values[0])
    if index != values[0] or index < 0:
        raise Bad("with a class that is no index", line, columns[0])
    if classes is not None and index >= classes:
        raise Bad("with a class index too high", line, f"class {index}, and there are {classes}: 0 to {classes - 1}")
    outside = [value for value in values[1:] if not -TOLERANCE <= value <= 1 + TOLERANCE]
    if outside:
        raise Bad(
            "with coordinates outside 0 to 1", line, f"{outside[0]:g}; they are fractions of the image, not pixels"
        )
    if not polygon and (values[3] <= 0 or values[4] <= 0):
        raise Bad("with a box without area", line, " ".join(columns)[:40])
    return Row(index, tuple(min(max(value, 0.0), 1.0) for value in values[1:]))
