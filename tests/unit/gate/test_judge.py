"""Verdicts, as tables: what was seen, and what is said."""

from dataclasses import replace
from datetime import timedelta

import pytest

from modelfleet.gate import Check, Comparison, Evidence, Production, Verdict, judge
from modelfleet.gate.checks import Outcome
from modelfleet.measurement.backends import Backends
from modelfleet.prometheus import ProviderDown
from unit.gate.builders import EQUAL, FLEET, RAMP, START, TIMID, canary, control, evidence, plan

SOAKED = START + timedelta(minutes=20)
DARK = (0,) * 10
ERRORS = Check("errors", "q", maximum=0.01, failure_limit=2)
FINE = Outcome(ERRORS, 20, 1, 0.05)


def judged(*looks, of=None, now=SOAKED, **rest):
    of = of or plan()
    return judge(of, evidence(of, now, *looks, **rest), now)


def test_an_equal_version_passes_once_soaked():
    found = judged(FLEET)
    assert (found.verdict, found.reason) == (Verdict.PASS, "NoWorse")
    assert (found.canary_nodes, found.control_nodes, found.detections, found.looks) == (1, 2, 1000, 18)
    assert found.estimate == pytest.approx(0)
    assert found.interval is None
    assert found.method == "Threshold"
    assert found.message == (
        "v2 on group canary is no worse than v1 (Threshold, 3 looks in a row). Expected precision 0.787 against 0.787 "
        "(+0.000, margin -0.030); expected true detections per frame +0.0% (margin -10%). Soaked 10m. Measured on "
        "1 canary node with 1,000 detections, 2 control nodes with 2,000 detections."
    )


def test_strata_that_were_asked_for_and_can_not_be_had_are_told():
    of = plan(comparison=Comparison(stratify_by="example.com/site"))
    assert "(Threshold, 3 looks in a row, without strata)" in judged(FLEET, of=of).message


def test_soaks_first():
    found = judged(FLEET, now=START + timedelta(minutes=9))
    assert (found.verdict, found.reason) == (Verdict.INCONCLUSIVE, "Soaking")
    assert "is soaking until 08:10:00 UTC" in found.message
    assert found.next_look == START + timedelta(minutes=9, seconds=30)


def test_the_end_of_the_soak_is_a_look():
    of = plan(soak=timedelta(minutes=10, seconds=3))
    assert judged(FLEET, of=of, now=START + timedelta(minutes=10)).next_look == START + timedelta(minutes=10, seconds=3)


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        ([canary(counts=TIMID), *FLEET[1:]], "LessPrecise"),
        ([canary(counts=tuple(c // 2 for c in EQUAL)), *FLEET[1:]], "FindsLess"),
        # Misses the difficult half and is the more confident for it.
        ([canary(counts=(0, 0, 0, 0, 0, 0, 0, 100, 200, 230)), *FLEET[1:]], "FindsLess"),
        ([canary(counts=DARK), *FLEET[1:]], "FindsLess"),
    ],
    ids=["timid", "misses", "confident-misser", "blind"],
)
def test_a_worse_version_fails_without_waiting_for_the_soak(nodes, reason):
    found = judged(nodes, now=START + timedelta(minutes=5))
    assert (found.verdict, found.reason) == (Verdict.FAIL, reason)
    what = {"FindsLess": "finds less than", "LessPrecise": "is less precise than"}[reason]
    assert found.message.startswith(f"v2 on group canary {what} v1 (Threshold, 3 looks in a row).")


def test_a_blind_version_says_so_and_estimates_nothing():
    found = judged([canary(counts=DARK), *FLEET[1:]])
    assert "Canary nodes detected nothing, where control nodes did." in found.message
    assert found.estimate is None
    assert found.detections == 0


BAD, GOOD, NONE = [canary(counts=TIMID), *FLEET[1:]], FLEET, [control()]


@pytest.mark.parametrize(
    ("looks", "verdict", "reason"),
    [
        ((BAD, BAD, BAD), Verdict.FAIL, "LessPrecise"),
        ((GOOD, BAD, BAD), Verdict.INCONCLUSIVE, "Undecided"),
        ((BAD, GOOD, BAD), Verdict.INCONCLUSIVE, "Undecided"),
        ((BAD, BAD, GOOD), Verdict.INCONCLUSIVE, "Undecided"),
        ((BAD, GOOD, GOOD), Verdict.INCONCLUSIVE, "Undecided"),
        ((GOOD, GOOD, GOOD), Verdict.PASS, "NoWorse"),
        ((NONE, GOOD, GOOD), Verdict.INCONCLUSIVE, "Undecided"),
        ((BAD, BAD, NONE), Verdict.INCONCLUSIVE, "NoNodes"),
        ((NONE, NONE, NONE), Verdict.NO_DATA, "NoNodes"),
    ],
)
def test_three_looks_in_a_row_must_agree(looks, verdict, reason):
    found = judged(*looks)
    assert (found.verdict, found.reason) == (verdict, reason)


def test_different_endpoints_at_different_looks_do_not_add_up():
    fewer = [canary(counts=tuple(c // 2 for c in EQUAL)), *FLEET[1:]]
    timid_and_busy = [canary(counts=tuple(3 * c for c in TIMID)), *FLEET[1:]]
    assert judged(fewer, timid_and_busy, fewer).reason == "Undecided"


@pytest.mark.parametrize("minute", [2, 3])
def test_fewer_than_three_looks_decide_nothing(minute):
    found = judged(BAD, now=START + timedelta(minutes=minute, seconds=40))
    assert (found.verdict, found.reason) == (Verdict.INCONCLUSIVE, "Undecided")
    assert "v2 on group canary: 3 looks in a row must agree, and do not yet (Threshold" in found.message


def test_before_the_first_look():
    found = judged(FLEET, now=START + timedelta(seconds=10))
    assert (found.verdict, found.reason, found.looks) == (Verdict.INCONCLUSIVE, "Waiting", 0)
    assert found.message == "The first look at v2 on group canary is at 08:02:30 UTC."
    assert found.next_look == START + timedelta(seconds=150)


@pytest.mark.parametrize(
    ("nodes", "reason", "said"),
    [
        ([control()], "NoNodes", "no usable canary node"),
        ([canary()], "NoNodes", "no usable control node"),
        ([canary(coverage=0.5), control()], "NoNodes", "1 canary node: scraped less than 80% of the time (cam-1)"),
        ([canary(counts=DARK), control(counts=DARK)], "NoDetections", "there was no detection on either side"),
        ([canary(frames=0, counts=DARK), control()], "NoNodes", "1 canary node: no frames (cam-1)"),
        ([canary(labels={"version": "v1"}), control()], "NoNodes", "Group canary reports version v1 on 1 node."),
        ([canary(labels={"node": ""}), control()], "NoNodes", "series without a `node` label"),
    ],
)
def test_nothing_to_go_by_is_no_data_after_three_looks_and_not_before(nodes, reason, said):
    found = judged(nodes)
    assert (found.verdict, found.reason) == (Verdict.NO_DATA, reason)
    assert said in found.message
    assert " yet" not in found.message
    early = judged(nodes, now=START + timedelta(minutes=2, seconds=40))
    assert (early.verdict, early.reason) == (Verdict.INCONCLUSIVE, reason)
    assert "v2 on group canary can't be judged yet: " in early.message


def test_a_version_that_runs_in_another_groups_place_is_told_for_all_control_groups():
    others = [control(labels={"version": "v0"}), control("cam-3", labels={"version": "v0", "group": "rest"})]
    found = judged([canary(), *others], of=plan(control_groups=("fleet", "rest")))
    assert "Group fleet and rest reports version v0 on 1 node, v0 on 1 node." in found.message


def test_an_empty_prometheus_says_what_to_look_for():
    assert "Prometheus has no modelfleet_frames_total of rollout line in namespace factory" in judged([]).message
    hinted = judged([], hint="figures of a rollout 'line' exist under namespace=''")
    assert "factory, but figures of a rollout 'line' exist under namespace=''." in hinted.message


FEW = tuple(c / 10 for c in EQUAL)


@pytest.mark.parametrize(
    ("nodes", "verdict", "reason"),
    [
        ([canary(), control(counts=FEW)], Verdict.INCONCLUSIVE, "TooFewDetections"),
        ([canary(counts=FEW, frames=50), control()], Verdict.INCONCLUSIVE, "TooFewDetections"),
        # Frames enough: the control nodes' version would have made 1,000 detections in them.
        ([canary(counts=FEW), control()], Verdict.FAIL, "FindsLess"),
        ([canary(counts=FEW), control(counts=DARK)], Verdict.INCONCLUSIVE, "TooFewDetections"),
    ],
)
def test_min_detections_on_both_sides(nodes, verdict, reason):
    found = judged(nodes)
    assert (found.verdict, found.reason) == (verdict, reason)


def test_min_nodes():
    of = plan(comparison=Comparison(min_nodes=2))
    found = judged(FLEET, of=of)
    assert (found.verdict, found.reason) == (Verdict.NO_DATA, "TooFewNodes")
    assert "1 usable canary node, 2 required (minNodes)" in found.message


def test_renamed_labels_are_used_and_named():
    found = judged([canary(labels={"node": "x", "exported_node": "cam-1"}), control()])
    assert found.verdict is Verdict.PASS
    assert "set honorLabels on the scrape" in found.message


def test_uncalibrated_versions_are_compared_on_raw_confidence_and_it_says_so():
    found = judged(FLEET, of=plan(candidate_weights=None))
    assert found.verdict is Verdict.PASS
    assert "Raw confidence was used: no calibration of v2." in found.message


def test_a_verdict_by_production_says_so():
    found = judged(FLEET, of=plan(production=Production("parts", "v1", 420, RAMP)))
    assert found.verdict is Verdict.PASS
    said = "Calibrated by 420 reviewed frames of v1 in production (Dataset parts), carried over to both versions."
    assert said in found.message


@pytest.mark.parametrize(
    ("canaries", "controls", "told"),
    [
        ({}, {}, None),  # an application that doesn't say what runs it
        ({"": 2}, {}, None),
        ({"": 2}, {"": 5}, None),
        ({"openvino": 2}, {"openvino": 5}, None),
        ({"cuda": 1, "openvino": 1}, {"openvino": 5, "cuda": 2}, None),  # each node is held against its own past
        ({"openvino": 2}, {"onnxruntime": 5}, "canary: openvino on 2 nodes; control: onnxruntime on 5 nodes"),
        (
            {"openvino": 1},
            {"openvino": 5, "cuda": 1},
            "canary: openvino on 1 node; control: cuda on 1 node, ",
        ),
        ({"openvino": 2}, {"": 5}, "canary: openvino on 2 nodes; control: not known on 5 nodes"),
        ({"openvino": 2}, {}, "canary: openvino on 2 nodes; control: not known"),
        ({}, {"openvino": 5}, "canary: not known; control: openvino on 5 nodes"),
    ],
)
def test_a_verdict_on_nodes_that_do_not_run_the_same_backend_says_so(canaries, controls, told):
    """It stays the verdict: what is judged is what runs there."""
    for nodes, verdict in ((FLEET, Verdict.PASS), (BAD, Verdict.FAIL)):
        found = judged(nodes, backends=Backends(canaries, controls))
        assert found.verdict is verdict
        said = "The nodes don't all run the model by the same backend"
        assert (f"{said} ({told}" in found.message) if told else said not in found.message


DOWN = ProviderDown("Prometheus at p:9090 can't be reached (ConnectError)")


def test_provider_down_holds_and_names_the_reason():
    found = judged(down=DOWN)
    assert (found.verdict, found.reason) == (Verdict.PROVIDER_DOWN, "ProviderDown")
    assert "can't be reached (ConnectError). Nothing is promoted or rolled back." in found.message
    assert found.next_look > SOAKED


def test_provider_down_at_the_deadline_is_still_not_a_timeout():
    found = judged(down=DOWN, now=START + timedelta(hours=9))
    assert found.verdict is Verdict.PROVIDER_DOWN
    assert not found.timed_out


@pytest.mark.parametrize(
    ("outcome", "verdict", "reason", "said"),
    [
        (FINE, Verdict.PASS, "NoWorse", "1 check fine, soaked 10m."),
        (replace(FINE, failures=3), Verdict.FAIL, "CheckFailed", "errors was above 0.01 (worst 0.05) at 3 looks of 20"),
        (Outcome(ERRORS, 0, 0, None), Verdict.NO_DATA, "NoCheckData", "Check errors gave no value at 18 looks."),
        (Outcome(ERRORS, 0, 0, None, DOWN), Verdict.PROVIDER_DOWN, "ProviderDown", "Check errors can't be evaluated"),
        (
            Outcome(ERRORS, 0, 0, None, ProviderDown("Prometheus refused the query: parse error", bad_query=True)),
            Verdict.PROVIDER_DOWN,
            "BadQuery",
            "evaluated: Prometheus refused the query: parse error. Nothing is promoted or rolled back.",
        ),
    ],
)
def test_checks(outcome, verdict, reason, said):
    found = judged(FLEET, checks=(outcome,))
    assert (found.verdict, found.reason) == (verdict, reason)
    assert said in found.message


def test_checks_without_a_value_are_all_named():
    found = judged(FLEET, checks=tuple(Outcome(Check(name, "q"), 0, 0, None) for name in ("errors", "speed")))
    assert found.message.startswith("Checks errors, speed gave no value at 18 looks.")


def test_a_failed_check_is_not_hidden_by_a_broken_one_or_by_the_soak():
    failed = replace(FINE, failures=3)
    broken = Outcome(Check("other", "q"), 0, 0, None, DOWN)
    found = judged(checks=(broken, failed), down=DOWN, now=START + timedelta(minutes=3))
    assert (found.verdict, found.reason) == (Verdict.FAIL, "CheckFailed")


@pytest.mark.parametrize(
    ("changes", "nodes", "checks", "verdict", "reason"),
    [
        ({"control_groups": ()}, [canary()], (FINE,), Verdict.PASS, "NoControl"),
        ({"control_groups": ()}, [canary()], (), Verdict.PASS, "NoControl"),
        ({"control_groups": ()}, [], (FINE,), Verdict.NO_DATA, "NoNodes"),
        ({"control_groups": ()}, [canary(frames=0)], (), Verdict.NO_DATA, "NoNodes"),
        ({"control_groups": (), "comparison": None}, None, (FINE,), Verdict.PASS, "NotCompared"),
        ({"comparison": None}, None, (FINE,), Verdict.PASS, "NotCompared"),
        ({"comparison": None}, None, (), Verdict.PASS, "NotCompared"),
        ({"comparison": None}, None, (Outcome(ERRORS, 0, 0, None),), Verdict.NO_DATA, "NoCheckData"),
    ],
)
def test_without_a_comparison(changes, nodes, checks, verdict, reason):
    looks = () if nodes is None else (nodes,)
    found = judged(*looks, of=plan(**changes), checks=checks)
    assert (found.verdict, found.reason) == (verdict, reason)
    if reason == "NoControl":
        assert "no control nodes run another version beside it" in found.message
        assert (found.canary_nodes, found.detections) == (1, 1000)
    if reason == "NotCompared":
        by = "by its checks alone" if checks else "by readiness and soak alone"
        assert f"passed {by}: no comparison is configured." in found.message
        assert found.message.endswith("oaked 10m.")  # there is nothing that it rests on
    if found.verdict is Verdict.PASS:
        assert ("1 check fine, soaked 10m." if checks else "Soaked 10m.") in found.message
        assert found.method == "Checks"


def test_without_a_comparison_too_it_is_told_who_was_set_aside():
    found = judged([canary(), canary("cam-9", frames=0)], of=plan(control_groups=()))
    assert found.verdict is Verdict.PASS
    assert [(each.side, each.reason, each.examples) for each in found.aside] == [("canary", "no frames", ("cam-9",))]


def test_at_the_end_of_the_soak_the_next_look_is_ahead():
    end = START + timedelta(minutes=10)
    found = judged(GOOD, BAD, BAD, now=end)
    assert (found.reason, found.next_look) == ("Undecided", end + timedelta(seconds=30))


def test_with_nothing_to_look_at_only_the_soak_counts():
    of = plan(comparison=None)
    found = judge(of, Evidence(), START + timedelta(seconds=1))
    assert (found.reason, found.next_look) == ("Soaking", START + timedelta(minutes=10))


def test_times_out_inconclusive_only():
    late = START + timedelta(hours=2)
    found = judged(GOOD, BAD, GOOD, now=late)
    assert (found.verdict, found.reason, found.timed_out) == (Verdict.INCONCLUSIVE, "TimedOut", True)
    assert found.message.startswith("No verdict on v2 on group canary after 1h. ")
    assert judged(GOOD, now=late).verdict is Verdict.PASS
    assert judged(BAD, now=late).verdict is Verdict.FAIL
    no_data = judged(NONE, now=late)
    assert (no_data.verdict, no_data.timed_out) == (Verdict.NO_DATA, False)


def test_messages_fit_a_status():
    crowd = [canary(f"a-node-with-a-very-long-name-{i}" * 5, coverage=0.1) for i in range(50)]
    assert len(judged([*crowd, control()]).message) <= 1000
