"""Detections and objects of known boxes: who takes whom."""

from __future__ import annotations

import numpy as np
import pytest

from trainer.matching import iou, match


def boxes(*corners: tuple[float, float, float, float]) -> np.ndarray:
    return np.array(corners, dtype=float).reshape(-1, 4)


def test_iou_of_known_boxes() -> None:
    square = (0.0, 0.0, 2.0, 2.0)
    overlap = iou(boxes(square), boxes(square, (1, 0, 3, 2), (2, 2, 4, 4), (0, 0, 0, 0)))
    assert overlap[0] == pytest.approx([1, 1 / 3, 0, 0])


def test_the_most_confident_takes_the_object() -> None:
    found = boxes((0, 0, 10, 10), (0, 0, 10, 10), (50, 50, 60, 60))
    taken = match(found, np.array([0, 0, 0]), np.array([0.6, 0.9, 0.5]), boxes((0, 0, 10, 9)), np.array([0]))
    assert taken.tolist() == [-1, 0, -1]


def test_another_class_is_no_match() -> None:
    taken = match(boxes((0, 0, 10, 10)), np.array([1]), np.array([0.9]), boxes((0, 0, 10, 10)), np.array([0]))
    assert taken.tolist() == [-1]


def test_a_detection_takes_the_best_of_two_objects_and_leaves_the_other() -> None:
    found = boxes((0, 0, 10, 10), (1, 0, 11, 10))
    truth = boxes((1, 0, 11, 10), (0, 0, 10, 10))
    assert match(found, np.zeros(2), np.array([0.9, 0.8]), truth, np.zeros(2)).tolist() == [1, 0]


@pytest.mark.parametrize(("detections", "truths"), [(0, 0), (0, 2), (2, 0)])
def test_nothing_matches_nothing(detections: int, truths: int) -> None:
    box = boxes((0, 0, 1, 1))
    taken = match(
        box.repeat(detections, axis=0),
        np.zeros(detections),
        np.ones(detections),
        box.repeat(truths, axis=0),
        np.zeros(truths),
    )
    assert taken.tolist() == [-1] * detections
