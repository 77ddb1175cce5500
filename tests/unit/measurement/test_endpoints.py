"""Expected precision and log expected true positives per frame."""

from math import inf, isnan, log

import numpy as np
import pytest

from modelfleet.measurement import endpoints
from unit.gate.builders import RAMP, plan


def test_by_hand():
    counts = np.array([0, 0, 0, 30, 0, 0, 0, 0, 0, 10.0])
    weight = np.array(RAMP)  # .58 and .94
    assert endpoints.precision(counts, weight) == pytest.approx((30 * 0.58 + 10 * 0.94) / 40)
    assert endpoints.log_rate(counts, np.array(20.0), weight) == pytest.approx(log((30 * 0.58 + 10 * 0.94) / 20))


def test_row_by_row_and_without_detections():
    counts = np.array([[0.0] * 10, [1.0] * 10])
    precision = endpoints.precision(counts, np.array(RAMP))
    rate = endpoints.log_rate(counts, np.array([5.0, 5.0]), np.array(RAMP))
    assert isnan(precision[0])
    assert rate[0] == -inf
    assert precision[1] == pytest.approx(np.mean(RAMP))


def test_midpoints_of_the_contracts_edges():
    assert pytest.approx((0.275, 0.35, 0.45, 0.55, 0.65, 0.75, 0.825, 0.875, 0.925, 0.975)) == endpoints.MIDPOINTS


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"candidate_weights": None}, "Raw confidence was used: no calibration of v2."),
        ({"stable_weights": None}, "Raw confidence was used: no calibration of v1."),
        (
            {"candidate_weights": None, "stable_weights": (0.5,)},
            "Raw confidence was used: no calibration of v2 and v1.",
        ),
    ],
)
def test_one_calibration_is_none(changes, note):
    weights = endpoints.weights(plan(**changes))
    assert not weights.calibrated
    assert weights.canary.tolist() == weights.control.tolist() == list(endpoints.MIDPOINTS)
    assert weights.note == note


def test_each_version_has_its_own_calibration():
    weights = endpoints.weights(plan(candidate_weights=(0.9,) * 10))
    assert weights.calibrated
    assert weights.note == ""
    assert weights.canary.tolist() == [0.9] * 10
    assert weights.control.tolist() == list(RAMP)
