"""Gates on the holdout's figures: what passes, what fails, and in which words."""

import pytest

from modelfleet.api import EvaluationSpec
from modelfleet.training.evaluation import judge

CANDIDATE = {
    "map50": "0.85",
    "recall": 0.7,
    "perClass": {"bolt": {"map50": "0.9", "recall": "0.8"}, "nut": {"map50": "0.6", "recall": "0.5"}},
}
BASELINE = {
    "map50": "0.86",
    "recall": "0.75",
    "perClass": {"bolt": {"map50": "0.9", "recall": "0.8"}, "nut": {"map50": "0.65", "recall": "0.51"}},
}


def spec(*gates):
    return EvaluationSpec.model_validate(
        {"dataset": {"uri": "s3://data/holdout.tar"}, "baseline": {"tag": "latest"}, "gates": list(gates)}
    )


MEASURED = {"candidate": CANDIDATE, "baseline": BASELINE}


@pytest.mark.parametrize(
    ("gate", "message"),
    [
        ({"metric": "map50", "minimum": "0.85"}, "map50 is 0.85 (baseline 0.86)"),
        ({"metric": "map50", "maxRegression": "0.01"}, "map50 is 0.85 (baseline 0.86)"),
        ({"metric": "recall", "maxRegression": "0.05"}, "recall is 0.7 (baseline 0.75)"),
        ({"metric": "map50", "minimum": "0.6", "perClass": True}, "map50 of every class is within its limits"),
        ({"metric": "recall", "maxRegression": "0.02", "perClass": True}, "recall of every class is within its limits"),
    ],
)
def test_what_passes(gate, message):
    verdict = judge(spec(gate), MEASURED)
    assert (verdict.result, verdict.message) == ("Passed", message)


@pytest.mark.parametrize(
    ("gate", "message"),
    [
        ({"metric": "map50", "minimum": "0.86"}, "map50 is 0.85, below the minimum 0.86"),
        (
            {"metric": "recall", "maxRegression": "0.02"},
            "recall is 0.7, 0.05 lower than the baseline's 0.75 (at most 0.02)",
        ),
        ({"metric": "precision", "minimum": "0"}, "precision was not measured"),
        ({"metric": "map50", "minimum": "0.8", "perClass": True}, "map50 of class nut is 0.6, below the minimum 0.8"),
        (
            {"metric": "map50", "maxRegression": "0.02", "perClass": True},
            "map50 of class nut is 0.6, 0.05 lower than the baseline's 0.65 (at most 0.02)",
        ),
    ],
)
def test_what_fails_and_why(gate, message):
    verdict = judge(spec(gate), MEASURED)
    assert (verdict.result, verdict.message) == ("Failed", message)


@pytest.mark.parametrize(
    ("measured", "gate", "says"),
    [
        (None, {"metric": "map50", "minimum": "0"}, "the trainer reported no evaluation"),
        ({}, {"metric": "map50", "minimum": "0"}, "map50 was not measured"),
        ({"candidate": "fine"}, {"metric": "map50", "minimum": "0"}, "map50 was not measured"),
        ({"candidate": {"map50": float("nan")}}, {"metric": "map50", "minimum": "0"}, "map50 was not measured"),
        (
            {"candidate": CANDIDATE, "baseline": None},
            {"metric": "map50", "maxRegression": "0.1"},
            "map50 was not measured for the baseline",
        ),
        (
            {"candidate": {"map50": "0.9"}, "baseline": BASELINE},
            {"metric": "map50", "maxRegression": "0.1", "perClass": True},
            "map50 per class was not measured",
        ),
        (
            {"candidate": {"perClass": {"bolt": {"map50": "0.9"}}}, "baseline": BASELINE},
            {"metric": "map50", "maxRegression": "0.1", "perClass": True},
            "map50 of class nut was not measured, though the baseline knows it",
        ),
    ],
)
def test_a_missing_figure_never_passes(measured, gate, says):
    verdict = judge(spec(gate), measured)
    assert (verdict.result, verdict.message) == ("Failed", says)


def test_a_class_the_baseline_does_not_know_can_not_regress():
    candidate = {"perClass": {**BASELINE["perClass"], "washer": {"map50": "0.1"}}}
    gate = {"metric": "map50", "maxRegression": "0.02", "perClass": True}
    assert judge(spec(gate), {"candidate": candidate, "baseline": BASELINE}).result == "Passed"
    stricter = {**gate, "minimum": "0.2"}
    verdict = judge(spec(stricter), {"candidate": candidate, "baseline": BASELINE})
    assert verdict.message == "map50 of class washer is 0.1, below the minimum 0.2"


def test_all_gates_count_and_a_long_list_of_misses_is_cut():
    classes = {f"c{number}": {"map50": "0.1"} for number in range(40)}
    verdict = judge(
        spec({"metric": "map50", "minimum": "0.5", "perClass": True}, {"metric": "recall", "minimum": "0.9"}),
        {"candidate": {"recall": "0.5", "perClass": classes}, "baseline": None},
    )
    assert verdict.result == "Failed"
    assert verdict.message.endswith("; and 36 more")


def test_no_gates_pass():
    assert judge(spec(), MEASURED).result == "Passed"
