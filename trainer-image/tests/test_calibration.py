"""Precision per confidence bucket, on detections made up so that the right answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from trainer.calibration import EDGES, calibrate, isotonic


def test_a_well_filled_holdout_gives_its_own_shares() -> None:
    rng = np.random.default_rng(0)
    confidences = rng.uniform(0.25, 1, 200_000)
    calibration = calibrate(confidences, rng.random(len(confidences)) < confidences)
    assert calibration is not None
    middles = (np.array(EDGES[:-1]) + np.array(EDGES[1:])) / 2
    assert np.array(calibration.precision) == pytest.approx(middles, abs=0.02)


def test_edges_belong_to_the_bucket_below() -> None:
    confidences = np.array([0.3, 0.3, 0.31, 0.31, 0.25, 1.0])
    calibration = calibrate(confidences, np.array([False, False, True, False, True, True]))
    assert calibration is not None
    assert calibration.precision[0] == 0  # .3 and not .25, which is below the lowest bucket
    assert calibration.precision[1] == 0.5
    assert calibration.precision[-1] == 1


def test_empty_buckets_lie_between_their_neighbours() -> None:
    confidences = np.array([0.55] * 10 + [0.97] * 10)
    calibration = calibrate(confidences, np.array([True] * 2 + [False] * 8 + [True] * 10))
    assert calibration is not None
    precision = calibration.precision
    assert precision[:4] == (0.2, 0.2, 0.2, 0.2)
    assert precision[-1] == 1
    assert list(precision) == sorted(precision)
    assert 0.2 < precision[4] < precision[5] < 1


def test_buckets_in_the_wrong_order_are_pooled_and_the_total_stays() -> None:
    confidences = np.array([0.45] * 30 + [0.55] * 10)
    right = np.array([True] * 27 + [False] * 3 + [True] * 1 + [False] * 9)
    calibration = calibrate(confidences, right)
    assert calibration is not None
    assert calibration.precision[2] == calibration.precision[3] == pytest.approx(0.7)
    assert 30 * calibration.precision[2] + 10 * calibration.precision[3] == pytest.approx(right.sum())


def test_no_detection_is_no_calibration() -> None:
    assert calibrate(np.array([]), np.array([], dtype=bool)) is None
    assert calibrate(np.array([0.1, 0.25]), np.array([True, True])) is None


def test_isotonic_regression_of_a_known_case() -> None:
    assert isotonic(np.array([1.0, 3.0, 2.0, 4.0]), np.array([1.0, 1.0, 3.0, 1.0])).tolist() == [1, 2.25, 2.25, 4]


def test_json_has_ten_values_as_decimal_strings() -> None:
    calibration = calibrate(np.array([0.5, 0.9]), np.array([True, True]))
    assert calibration is not None
    document = calibration.to_json()
    assert document["edges"] == ["0.25", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.85", "0.9", "0.95", "1"]
    assert document["precision"] == ["1"] * 10
