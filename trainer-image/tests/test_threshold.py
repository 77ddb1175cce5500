"""The threshold that is best by F1, on detections of which it is known which are right."""

from __future__ import annotations

import numpy as np
import pytest
from test_tally import Pair, judged

from trainer.evaluation.threshold import Threshold, in_words, thresholds
from trainer.tally import Judged

LOW_ONES_ARE_WRONG = [
    judged([(0, 0), (1, 0)], [(0, 0, 0.9), (1, 0, 0.6), (5, 0, 0.5), (6, 0, 0.4)]),
    judged([], [(5, 0, 0.3)]),
]


def best(images: list[Judged], count: int = 1) -> Threshold:
    found = thresholds(images, count, 0.05, 0.25)[0]
    assert found is not None
    return found


def test_false_ones_of_low_confidence_are_left_out() -> None:
    found = best(LOW_ONES_ARE_WRONG)
    assert (found.best.confidence, found.best.precision, found.best.recall, found.best.f1) == (
        pytest.approx(0.51),
        1.0,
        1.0,
        1.0,
    )
    assert (found.present.confidence, found.present.precision, found.present.recall) == (0.25, 0.4, 1.0)
    assert found.to_json()["best"] == {"confidence": "0.51", "precision": "1", "recall": "1", "f1": "1"}


@pytest.mark.parametrize(
    ("detected", "confidence", "recall"),
    [
        ([(0, 0, 0.9), (1, 0, 0.3)], 0.25, 1.0),  # nothing is false
        ([(0, 0, 0.9)], 0.25, 0.5),
        ([(0, 0, 0.9), (1, 0, 0.12)], 0.12, 1.0),  # the present one misses an object
        ([(0, 0, 0.9), (1, 0, 0.12), (5, 0, 0.11), (5, 0, 0.06)], 0.12, 1.0),
        ([(0, 0, 0.9), (1, 0, 0.04)], 0.25, 0.5),  # lower than anything is looked at
        ([(5, 0, 0.95), (0, 0, 0.9)], 0.25, 0.5),
        ([], 0.25, 0.0),
    ],
)
def test_of_equals_the_nearest_to_the_present(
    detected: list[tuple[int, int, float]], confidence: float, recall: float
) -> None:
    found = best([judged([(0, 0), (1, 0)], detected)])
    assert (found.best.confidence, found.best.recall) == (confidence, recall)


def test_each_class_has_its_own_and_one_without_objects_has_none() -> None:
    truth: list[Pair] = [(0, 0), (1, 1)]
    images = [judged(truth, [(0, 0, 0.9), (5, 0, 0.8), (1, 1, 0.3), (6, 2, 0.9)])]
    every, first, second, third = thresholds(images, 3, 0.05, 0.25)
    assert first is not None
    assert second is not None
    assert every is not None
    assert third is None
    assert first.best.confidence == pytest.approx(0.81)
    assert second.best.confidence == 0.25
    assert every.present.precision == 0.5


def test_without_images_there_is_none() -> None:
    assert thresholds([], 1, 0.05, 0.25) == (None, None)
    assert in_words((None, None), ["bolt"]) is None


def test_by_name_those_classes_that_are_shown() -> None:
    images = [judged([(0, 0)], [(0, 0, 0.9), (5, 1, 0.8)])]
    told = in_words(thresholds(images, 2, 0.05, 0.25), ["bolt", "nut"])
    assert told is not None
    assert told["present"] == {"confidence": "0.25", "precision": "0.5", "recall": "1", "f1": "0.6667"}
    (bolt,) = told["perClass"]
    assert bolt["name"] == "bolt"
    assert bolt["best"] == {"confidence": "0.25", "precision": "1", "recall": "1", "f1": "1"}


def test_it_is_the_best_of_all_candidates_tried_by_hand() -> None:
    draw = np.random.default_rng(1)
    images = []
    for _ in range(40):
        truth = [(place, 0) for place in range(int(draw.integers(0, 4)))]
        detected = [(int(draw.integers(0, 6)), 0, float(draw.uniform(0.05, 1))) for _ in range(4)]
        images.append(judged(truth, detected))
    found = best(images)
    objects = sum(len(one.truth_classes) for one in images)
    for threshold in np.arange(0.05, 1.0, 0.01):
        taken = [(one.right[one.confidences >= threshold - 1e-9]) for one in images]
        said, hits = sum(map(len, taken)), sum(int(each.sum()) for each in taken)
        assert 2 * hits / (said + objects) <= found.best.f1 + 1e-9
