"""Masks of COCO annotations in run lengths (RLE), and the box around one. Pure.

A mask is {"size": [height, width], "counts": ...}: how many pixels in turn are not of the object and are, down each
column, the leftmost first. `counts` is a list, or the text that pycocotools makes of one: five bits and "more follows"
a character, the lowest first and with a sign, from "0" on; from the fourth number on what it is more than that two
before (rleFrString of https://github.com/cocodataset/cocoapi/blob/master/common/maskApi.c).
No picture is made of it: the work goes with the number of runs, whatever size is claimed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_LONGEST = 7  # characters of one number: 35 bits, more than any picture has pixels
_SIDE = 1_000_000  # pixels


class BadMask(Exception):
    """A mask can't be read; the text says why."""


@dataclass(frozen=True)
class Mask:
    """Size in pixels, and the box (left, top, width, height) around what is of the object; all 0 where nothing is."""

    width: int
    height: int
    box: tuple[float, float, float, float]


def read(segmentation: Mapping[str, Any]) -> Mask:
    """Raises BadMask."""
    size = segmentation.get("size")
    if not isinstance(size, list) or len(size) != 2 or not all(map(_is_side, size)):
        raise BadMask(f"size {size!r} is not [height, width]"[:80])
    height, width = size
    counts = _counts(segmentation.get("counts"))
    if sum(counts) != height * width:
        raise BadMask(f"its runs are {sum(counts)} pixels, and {height}x{width} are {height * width}")
    return Mask(width, height, _box(counts, height))


def _is_side(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < _SIDE


def _counts(given: Any) -> Sequence[int]:
    if isinstance(given, str):
        counts = list(_decoded(given))
    elif isinstance(given, list) and all(isinstance(run, int) and not isinstance(run, bool) for run in given):
        counts = given
    else:
        raise BadMask("counts are neither whole numbers nor a text")
    if any(run < 0 for run in counts):
        raise BadMask("a run is of less than nothing")
    return counts


def _decoded(text: str) -> Iterator[int]:
    before = [0, 0, 0]  # the last three; the first three numbers are not relative to any
    number = length = seen = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or length == _LONGEST:
            raise BadMask("counts are not as pycocotools writes them")
        number |= (bits & 31) << 5 * length
        length += 1
        if bits & 32:
            continue
        if bits & 16:
            number -= 1 << 5 * length
        if seen > 2:
            number += before[-2]
        before = [*before[1:], number]
        yield number
        number, length, seen = 0, 0, seen + 1
    if length:
        raise BadMask("counts are cut short")


def _box(counts: Sequence[int], height: int) -> tuple[float, float, float, float]:
    columns: list[int] = []
    rows: list[int] = []
    at = 0
    for number, run in enumerate(counts):
        first, last = at, at + run - 1
        at += run
        if number % 2 == 0 or run == 0:
            continue
        columns += [first // height, last // height]
        if first // height == last // height:
            rows += [first % height, last % height]
        else:  # on to the next column: from its top, and down to the bottom of the one before
            rows += [0, height - 1]
    if not columns:
        return 0.0, 0.0, 0.0, 0.0
    left, top = min(columns), min(rows)
    return float(left), float(top), float(max(columns) - left + 1), float(max(rows) - top + 1)
