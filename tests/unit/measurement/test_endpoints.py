"""Expected precision and log expected true positives per frame."""

from math import inf, isnan, log

import numpy as np
import pytest

from agent.metrics import CONFIDENCE_EDGES
from labeler.calibration import EDGES as LABELER_EDGES
from modelfleet.measurement import endpoints
from trainer import calibration
from unit.gate.builders import RAMP


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


def test_operator_agent_trainer_and_labeler_have_the_same_edges():
    """Each has its own copy, since none may import another's; the precision is of the trainer's, or the labeler's."""
    assert endpoints.EDGES == CONFIDENCE_EDGES == calibration.EDGES == LABELER_EDGES
