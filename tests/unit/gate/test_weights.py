"""By what a detection counts: calibrations of both versions, or raw confidence for both."""

from dataclasses import replace

import pytest

from modelfleet.gate import Production, weights
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
    assert found.source == "raw"
    assert found.canary.tolist() == found.control.tolist() == list(endpoints.MIDPOINTS)
    assert found.note == note


def test_each_version_has_its_own_calibration():
    found = weights.of(plan(candidate_weights=(0.9,) * 10))
    assert found.source == "holdout"
    assert found.note == ""
    assert found.canary.tolist() == [0.9] * 10
    assert found.control.tolist() == list(RAMP)


REVIEWED = Production("parts", "v1", 420, tuple(each - 0.1 for each in RAMP))


@pytest.mark.parametrize(
    ("changes", "canary", "control"),
    [
        ({}, REVIEWED.precision, REVIEWED.precision),  # as good as each other on the holdout: so they are in production
        ({"candidate_weights": RAMP[::-1]}, REVIEWED.precision[::-1], REVIEWED.precision),
        (
            {"production": replace(REVIEWED, version="v2"), "stable_weights": (0.4,) * 10},
            REVIEWED.precision,
            (0.3,) * 10,
        ),
        # another template of the same version needs no calibration on the holdout
        (
            {"candidate_version": "v1", "candidate_weights": None, "stable_weights": None},
            REVIEWED.precision,
            REVIEWED.precision,
        ),
    ],
)
def test_production_stands_for_the_holdout_on_both_sides(changes, canary, control):
    found = weights.of(plan(**{"production": REVIEWED, **changes}))
    assert found.source == "production"
    assert found.canary == pytest.approx(canary)
    assert found.control == pytest.approx(control)
    assert "Calibrated by 420 reviewed frames of v" in found.note
    assert "(Dataset parts)" in found.note


@pytest.mark.parametrize("without", ["candidate_weights", "stable_weights"])
def test_production_of_one_version_is_never_held_against_the_raw_confidence_of_another(without):
    found = weights.of(plan(production=REVIEWED, **{without: None}))
    assert found.source == "raw"
    assert found.canary.tolist() == found.control.tolist() == list(endpoints.MIDPOINTS)


def test_between_known_precisions_odds_are_interpolated_and_beyond_them_moved_as_the_nearest():
    half_the_odds = tuple(each / 2 / (each / 2 + 1 - each) for each in RAMP)
    found = replace(REVIEWED, precision=half_the_odds).carried(RAMP, (0.1, 0.43, 0.9, 0.97))
    assert found == pytest.approx([each / 2 / (each / 2 + 1 - each) for each in (0.1, 0.43, 0.9, 0.97)])


def test_buckets_that_are_alike_on_the_holdout_are_moved_alike():
    found = replace(REVIEWED, precision=(0.5, 0.8) * 5).carried((0.7,) * 10, (0.7, 0.9))
    assert found[0] == pytest.approx(2 / 3)  # odds of 1 and 4: 2


@pytest.mark.parametrize("reviewed", [(0.0,) * 10, (1.0,) * 10])
def test_certainty_stays_a_number(reviewed):
    found = replace(REVIEWED, precision=reviewed).carried((0.0, *RAMP[1:-1], 1.0), RAMP)
    assert ((found >= 0) & (found <= 1)).all()


def test_a_better_calibration_is_better_in_production_too():
    found = REVIEWED.carried(RAMP, tuple(each / 20 for each in range(20)))
    assert (found[1:] > found[:-1]).all()
