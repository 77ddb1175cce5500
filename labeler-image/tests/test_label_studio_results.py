"""Percent to pixels and back, by a table."""

from __future__ import annotations

import math
from typing import Any

import pytest
from label_studio_answers import rectangle

from detectiondata.matching import iou
from detectiondata.version import Box
from labeler.label_studio.interface import Interface
from labeler.label_studio.results import agreement, differ, to_result, to_shapes
from labeler.tasks import Prediction

WHOLE = Interface("image", "image", "label")


def _box(result: Any, width: int | None = 640, height: int | None = 480) -> tuple[float, ...]:
    shapes = to_shapes([result], width, height)
    assert not shapes.unusable
    [box] = shapes.boxes
    return tuple(round(each, 6) for each in (box.x1, box.y1, box.x2, box.y2))


@pytest.mark.parametrize(
    ("result", "corners"),
    [
        (rectangle(x=0, y=0, w=100, h=100), (0, 0, 640, 480)),
        (rectangle(x=10, y=20, w=30, h=40), (64, 96, 256, 288)),
        (rectangle(x=12.5, y=12.5, w=0.5, h=0.5), (80, 60, 83.2, 62.4)),
        (rectangle(rotation=360), (64, 96, 256, 288)),
        (rectangle(rotation=None), (64, 96, 256, 288)),
        # 96 px by 96 px, about its top left corner (320, 240)
        (rectangle(x=50, y=50, w=15, h=20, rotation=90), (224, 240, 320, 336)),
        (rectangle(x=50, y=50, w=15, h=20, rotation=-90), (320, 144, 416, 240)),
        (rectangle(x=50, y=50, w=15, h=20, rotation=180), (224, 144, 320, 240)),
        (
            rectangle(x=50, y=50, w=15, h=20, rotation=45),
            (320 - 96 / math.sqrt(2), 240, 320 + 96 / math.sqrt(2), 240 + 96 * math.sqrt(2)),
        ),
    ],
)
def test_percent_becomes_pixels(result: Any, corners: tuple[float, ...]) -> None:
    assert _box(result) == tuple(round(float(each), 6) for each in corners)


@pytest.mark.parametrize("angle", range(0, 360, 7))
def test_a_rotated_box_is_contained_in_the_upright_one_and_touches_its_four_sides(angle: int) -> None:
    x1, y1, x2, y2 = _box(rectangle(x=50, y=50, w=10, h=5, rotation=angle))
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    corners = [(320 + a * cos - b * sin, 240 + a * sin + b * cos) for a in (0, 64) for b in (0, 24)]
    assert (x1, x2) == pytest.approx((min(x for x, _ in corners), max(x for x, _ in corners)))
    assert (y1, y2) == pytest.approx((min(y for _, y in corners), max(y for _, y in corners)))


def test_rotation_clipping_and_boxes_outside_are_counted() -> None:
    shapes = to_shapes(
        [
            rectangle(rotation=10),
            rectangle(x=-5, w=20),
            rectangle(x=90, w=20),
            rectangle(x=101, w=5),
            rectangle(x=10, w=0),
            rectangle(x=0, w=100.0000001),  # the editor's rounding, which is no clipping
        ],
        640,
        480,
    )
    assert (shapes.rotated, shapes.clipped, shapes.outside, shapes.unusable) == (1, 2, 2, ())
    assert [(box.x1, box.x2) for box in shapes.boxes[1:]] == [(0, 96), (576, 640), (0, 640)]


def test_the_size_is_the_tasks_where_the_result_has_none_and_the_results_where_the_task_has_none() -> None:
    without = rectangle()
    del without["original_width"], without["original_height"]
    assert _box(without) == _box(rectangle(), None, None) == (64, 96, 256, 288)


def test_a_label_counts_by_its_name() -> None:
    shapes = to_shapes([rectangle("alpha"), rectangle("zeta"), rectangle("alpha")], 640, 480)
    assert [box.label for box in shapes.boxes] == ["alpha", "zeta", "alpha"]


@pytest.mark.parametrize(
    ("result", "why"),
    [
        (rectangle(rectanglelabels=[]), "a box with no label"),
        (rectangle(rectanglelabels=["zeta", "alpha"]), "a box with more than one label"),
        (rectangle(rectanglelabels=None), "a box with no label"),
        (rectangle(x="10"), "a box without numbers"),
        (rectangle(x=math.nan), "a box without numbers"),
        (rectangle(w=math.inf), "a box without numbers"),
        (rectangle(h=True), "a box without numbers"),
        (rectangle(image_rotation=90), "an image that was turned in the editor"),
        (rectangle(original_width=480, original_height=640), "an image shown as 480x640 that is stored as 640x480"),
        (rectangle() | {"type": "polygonlabels"}, "a shape of kind polygonlabels"),
        (rectangle() | {"type": "brushlabels"}, "a shape of kind brushlabels"),
        ({"id": "r"}, "a shape of kind None"),
        ("no object", "a shape of kind None"),
    ],
)
def test_what_cannot_be_used_is_named(result: Any, why: str) -> None:
    assert to_shapes([rectangle(), result], 640, 480).unusable == (why,)


def test_a_size_that_nobody_knows_is_named() -> None:
    assert to_shapes([rectangle(original_width=0)], None, None).unusable == ("a box of an image of unknown size",)
    assert to_shapes(None, 640, 480).unusable == ("a result that is not a list",)


def test_what_draws_nothing_is_no_shape() -> None:
    relation = {"type": "relation", "from_id": "a", "to_id": "b"}
    comment = {"type": "textarea", "value": {"text": ["dark"]}}
    shapes = to_shapes([rectangle(), relation, comment], 640, 480)
    assert (len(shapes.boxes), shapes.unusable) == (1, ())


def test_predictions_come_back_as_they_were() -> None:
    boxes = [Box("zeta", 0.25, 1 / 3, 100.125, 200.7), Box("alpha", 639, 479, 640, 480)]
    result = to_result([Prediction(box, 0.5) for box in boxes], 640, 480, WHOLE)
    shapes = to_shapes(result, 640, 480)
    assert not differ(shapes.boxes, boxes)
    assert all(iou(a, b) > 0.9999 for a, b in zip(shapes.boxes, boxes, strict=True))
    assert (shapes.rotated, shapes.clipped, shapes.outside) == (0, 0, 0)
    assert len({each["id"] for each in result}) == 2


A = Box("zeta", 0, 0, 100, 100)


@pytest.mark.parametrize(
    ("first", "second", "edited"),
    [
        ((), (), False),
        ((A,), (A,), False),
        ((A,), (Box("zeta", 0, 0, 100, 95.5),), False),
        ((A,), (Box("zeta", 0, 0, 100, 94.5),), True),
        ((A,), (Box("alpha", 0, 0, 100, 100),), True),
        ((A,), (), True),
        ((), (A,), True),
        ((A, A), (A,), True),
        ((A, Box("zeta", 200, 0, 300, 100)), (Box("zeta", 200, 0, 300, 100), A), False),
        ((A, A), (A, Box("zeta", 200, 0, 300, 100)), True),  # one box is not the partner of two
    ],
)
def test_edited_is_moved_added_removed_or_another_class(
    first: tuple[Box, ...], second: tuple[Box, ...], edited: bool
) -> None:
    assert differ(first, second) is differ(second, first) is edited


def test_agreement_is_the_share_of_boxes_with_a_partner() -> None:
    assert agreement((), ()) == 1
    assert agreement((A,), ()) == 0
    assert agreement((A, Box("zeta", 200, 0, 300, 100)), (Box("zeta", 0, 0, 100, 60),)) == pytest.approx(2 / 3)
