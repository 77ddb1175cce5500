"""By what a detection counts: calibrations of both versions, or raw confidence for both."""

import pytest

from modelfleet.gate import weights
from modelfleet.measurement import endpoints
from unit.gate.builders import RAMP, plan


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"candidate_weights": None}, "Raw confidence was used: no calibration of v2."),
        # a new template of the same version, whose ModelVersion was replaced meanwhile
        ({"candidate_version": "v1", "candidate_weights": None}, "Raw confidence was used: no calibration of v1."),
        ({"stable_weights": None}, "Raw confidence was used: no calibration of v1."),
        ({"candidate_weights": None, "stable_weights": None}, "Raw confidence was used: no calibration of v2 and v1."),
        (
            {"candidate_weights": ()},
            "Raw confidence was used: the calibration of v2 has other buckets than the metrics.",
        ),
        (
            {"candidate_weights": (0.5,), "stable_weights": ()},
            "Raw confidence was used: the calibrations of v2 and v1 have other buckets than the metrics.",
        ),
        (
            {"candidate_weights": None, "stable_weights": ()},
            "Raw confidence was used: no calibration of v2; the calibration of v1 has other buckets than the metrics.",
        ),
    ],
)
def test_one_calibration_is_none(changes, note):
    found = weights.of(plan(**changes))
    assert not found.calibrated
    assert found.canary.tolist() == found.control.tolist() == list(endpoints.MIDPOINTS)
    assert found.note == note


def test_each_version_has_its_own_calibration():
    found = weights.of(plan(candidate_weights=(0.9,) * 10))
    assert found.calibrated
    assert found.note == ""
    assert found.canary.tolist() == [0.9] * 10
    assert found.control.tolist() == list(RAMP)
