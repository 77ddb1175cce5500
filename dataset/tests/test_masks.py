"""Masks in run lengths: their box, and what is refused. The texts are what pycocotools 2.0.11 made."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fuzzing import examples
from hypothesis import given
from hypothesis import strategies as some

from detectiondata import masks
from detectiondata.masks import BadMask, Mask


@pytest.mark.parametrize(
    ("size", "counts", "box"),
    [
        pytest.param([24, 24], "f46b0000000000000000000000Z4", (6, 6, 12, 6), id="a rectangle"),
        pytest.param([40, 60], "\\6:n0000000000000000000000de1", (5, 4, 12, 10), id="another"),
        pytest.param([24, 24], "T57e<", (6, 0, 2, 24), id="one run around the end of a column"),
        pytest.param([1080, 1920], "_U31`g`n1oRe0", (3, 0, 1917, 1080), id="large, and one pixel far away"),
        pytest.param([24, 24], "0Pb0", (0, 0, 24, 24), id="all of it"),
        pytest.param([24, 24], "Pb0", (0, 0, 0, 0), id="nothing"),
    ],
)
def test_the_box_of_what_pycocotools_writes(size: list[int], counts: str, box: tuple[int, ...]) -> None:
    assert masks.read({"size": size, "counts": counts}) == Mask(size[1], size[0], box)  # type: ignore[arg-type]


@examples(100)
@given(some.integers(1, 9), some.integers(1, 9), some.data())
def test_the_box_of_runs(height: int, width: int, data: some.DataObject) -> None:
    marked = data.draw(some.lists(some.booleans(), min_size=height * width, max_size=height * width))
    runs, is_object = [0], False
    for pixel in marked:
        if pixel is not is_object:
            runs.append(0)
            is_object = pixel
        runs[-1] += 1
    down, across = np.nonzero(np.array(marked).reshape(width, height).T)
    expected = (0.0, 0.0, 0.0, 0.0)
    if len(across):
        expected = (across.min(), down.min(), np.ptp(across) + 1, np.ptp(down) + 1)
    assert masks.read({"size": [height, width], "counts": runs}).box == expected


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ({"counts": [4]}, "size None is not"),
        ({"size": [2], "counts": [4]}, "size [2] is not"),
        ({"size": [2, 2.0], "counts": [4]}, "size [2, 2.0] is not"),
        ({"size": [2, True], "counts": [2]}, "size [2, True] is not"),
        ({"size": [10**400, 1], "counts": [4]}, "size [1000"),
        ({"size": [2, 2]}, "counts are neither"),
        ({"size": [2, 2], "counts": [1, "3"]}, "counts are neither"),
        ({"size": [2, 2], "counts": [5, -1]}, "a run is of less than nothing"),
        ({"size": [2, 2], "counts": [1, 2]}, "its runs are 3 pixels, and 2x2 are 4"),
        ({"size": [2, 2], "counts": "4 "}, "counts are not as pycocotools"),
        ({"size": [2, 2], "counts": "oooooooo0"}, "counts are not as pycocotools"),
        ({"size": [24, 24], "counts": "f"}, "counts are cut short"),
        ({"size": [2, 2], "counts": "O5"}, "a run is of less than nothing"),
    ],
)
def test_what_is_refused(segmentation: dict[str, Any], message: str) -> None:
    with pytest.raises(BadMask) as caught:
        masks.read(segmentation)
    assert message in str(caught.value)


@examples(100)
@given(some.text(some.characters(min_codepoint=40, max_codepoint=120)), some.integers(1, 9), some.integers(1, 9))
def test_any_text_is_a_mask_or_refused(counts: str, height: int, width: int) -> None:
    try:
        found = masks.read({"size": [height, width], "counts": counts})
    except BadMask:
        return
    assert 0 <= found.box[0] <= found.box[0] + found.box[2] <= width
    assert 0 <= found.box[1] <= found.box[1] + found.box[3] <= height
