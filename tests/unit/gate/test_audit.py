"""What is written down of a decision: all that it takes to repeat it, when something changed, and never too much."""

import json
import logging
from dataclasses import replace
from datetime import timedelta
from math import inf, nan

import pytest

from modelfleet import telemetry
from modelfleet.gate import Check, Comparison, ComparisonMethod, Production, Verdict, judge
from modelfleet.gate.audit import LIMIT, Told, due, record
from modelfleet.gate.checks import Outcome
from modelfleet.gate.evidence import Asked, Evidence
from modelfleet.gate.judgement import SetAside
from modelfleet.gate.observe import gather
from modelfleet.prometheus import ProviderDown, Samples
from unit.gate.builders import FLEET, RAMP, START, TIMID, Recorded, canary, control, plan
from unit.gate.test_permutation_look import Fleet, hours, nodes

NOW = START + timedelta(minutes=20)


async def written(provider, of, now=NOW):
    evidence = await gather(provider, of, now)
    judgement = judge(of, evidence, now)
    made = record(of, evidence, judgement, judgement.verdict)
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    return made, evidence, judgement


async def test_the_plan_with_its_policy_is_there():
    made, *_ = await written(Recorded(), plan(provider="west"))
    assert made["plan"] == {
        "namespace": "factory",
        "rollout": "line",
        "group": "canary",
        "controlGroups": ["fleet"],
        "model": "parts",
        "candidateVersion": "v2",
        "stableVersion": "v1",
        "candidateWeights": [0.4, 0.46, 0.52, 0.58, 0.64, 0.7, 0.76, 0.82, 0.88, 0.94],
        "stableWeights": [0.4, 0.46, 0.52, 0.58, 0.64, 0.7, 0.76, 0.82, 0.88, 0.94],
        "production": None,
        "calibration": {"source": "holdout", "canary": list(RAMP), "control": list(RAMP)},
        "pastUntil": "2026-11-21T08:00:00.000Z",
        "startedAt": "2026-11-21T08:00:00.000Z",
        "measuredFrom": "2026-11-21T08:01:00.000Z",
        "strata": 0,
        "policy": {
            "provider": "west",
            "soak": "10m",
            "interval": "1m",
            "timeout": "1h",
            "comparison": {
                "method": "Auto",
                "margin": 0.03,
                "alpha": 0.05,
                "minDetections": 300,
                "minNodes": 1,
                "stratifyBy": None,
            },
            "onNoData": "Hold",
            "onProviderDown": "Hold",
            "onTimeout": "Pause",
        },
    }


async def test_the_calibration_is_there_with_what_a_detection_counts():
    reviewed = Production("parts", "v1", 420, (0.5,) * 10)
    made, *_ = await written(Recorded(), plan(production=reviewed))
    known = {"dataset": "parts", "version": "v1", "frames": 420, "precision": [0.5] * 10}
    assert made["plan"]["production"] == known
    assert made["plan"]["calibration"] == {"source": "production", "canary": [0.5] * 10, "control": [0.5] * 10}
    made, *_ = await written(Recorded(), plan(production=reviewed, candidate_weights=None))
    assert made["plan"]["calibration"]["source"] == "raw"


async def test_every_query_is_there_as_sent_with_its_time_or_range():
    check = Check("errors", "sum(errors{namespace='${namespace}'})", maximum=1.0)
    filled = "sum(errors{namespace='factory'})"
    provider = Recorded(checks={filled: Samples((({}, ((1.0, 5.0), (2.0, nan))),))})
    made, *_ = await written(provider, plan(checks=(check,)))
    ranges = [query for query in made["queries"] if "step" in query]
    assert ranges == [
        {"query": filled, "start": "2026-11-21T08:01:00.000Z", "end": "2026-11-21T08:19:00.000Z", "step": 60.0}
    ]
    instants = [(query["query"], query["time"]) for query in made["queries"] if "time" in query]
    assert instants == [(query, at.isoformat(timespec="milliseconds")[:-6] + "Z") for query, at in provider.asked]
    (outcome,) = made["checks"]
    assert (outcome["name"], outcome["looks"], outcome["failures"], outcome["failed"]) == ("errors", 1, 1, True)


async def test_threshold_gives_the_figures_of_each_of_its_looks():
    made, *_ = await written(Recorded((canary(counts=TIMID), control("a"), control("b"))), plan())
    precision, detections = made["endpoints"]
    assert (precision["endpoint"], precision["margin"], precision["interval"]) == ("precision", 0.03, None)
    assert [each["look"] for each in precision["byLook"]] == [17, 18, 19]
    assert precision["estimate"] == precision["byLook"][-1]["estimate"] < -0.03
    assert (detections["endpoint"], detections["margin"]) == ("detections", 0.1)
    assert "test" not in precision
    assert made["looks"]["newest"][-1] == {"look": 19, "at": "2026-11-21T08:19:00.000Z"}
    assert (made["verdict"]["verdict"], made["verdict"]["reason"]) == ("Fail", "LessPrecise")
    assert made["verdict"]["nextLook"] == "2026-11-21T08:20:30.000Z"


async def test_permutation_gives_p_values_shares_of_alpha_and_every_test():
    made, _, judgement = await written(Fleet(nodes()), hours(comparison=Comparison()), START + timedelta(minutes=150))
    precision, detections = made["endpoints"]
    low, high = precision["interval"]
    assert low < precision["estimate"] < high
    assert [each["look"] for each in precision["byLook"]] == [1, 2, 3, 4]
    assert precision["byLook"][-1]["estimate"] == precision["estimate"]
    assert precision["estimate"] == pytest.approx(judgement.estimate, abs=1e-6)
    test = precision["test"]
    assert (test["alphaHarm"], test["alphaPass"]) == (0.02, 0.032)  # 4/5 of half of 0.05; (4/5)^2 of 0.05
    assert 0 < test["pHarm"] <= 1
    assert test["provenAt"] is not None
    assert test["harmfulAt"] is None
    assert -0.1 < detections["estimate"] < 0.1
    assert made["looks"]["test"] == {"number": 4, "of": 5, "at": "2026-11-21T10:01:00.000Z"}
    assert len(made["queries"]) == 13


async def test_nodes_set_aside_are_counted_with_their_reasons():
    fleet = [canary(f"c{i}", coverage=0.1 if i else 1) for i in range(9)] + [control(f"n{i}") for i in range(3)]
    made, *_ = await written(Recorded(fleet), plan())
    assert made["setAside"] == [
        {
            "side": "canary",
            "reason": "scraped less than 80% of the time",
            "nodes": 8,
            "examples": ["c1", "c2", "c3"],
        }
    ]
    assert made["nodes"] == {"canary": 1, "control": 3}


async def test_what_the_nodes_run_the_model_by_is_there():
    fleet = [canary(labels={"backend": "openvino"}), control("n1"), control("n2", labels={"backend": "cuda"})]
    made, *_ = await written(Recorded(fleet), plan())
    assert made["backends"] == {"canary": {"openvino": 1}, "control": {"": 1, "cuda": 1}}
    made, *_ = await written(Recorded(fleet), plan(control_groups=()))
    assert made["backends"] is None


async def test_a_provider_that_is_down_is_said():
    provider = Recorded()
    provider.down = ProviderDown("gone")
    made, *_ = await written(provider, plan())
    assert made["providerDown"] == "gone"
    assert made["endpoints"] == []
    made, *_ = await written(ProviderDown("no provider 'x' (known: a, b)"), plan())
    assert made["providerDown"] == "no provider 'x' (known: a, b)"
    assert made["queries"] == []


async def test_an_earlier_pass_is_told_from_a_look_that_can_not_decide():
    evidence = await gather(Recorded(), plan(), NOW)
    made = record(plan(), evidence, judge(plan(), evidence, NOW), Verdict.PASS)
    assert made["verdict"]["standing"] == "Pass"


@pytest.mark.parametrize(("value", "wire"), [(nan, "NaN"), (inf, "+Inf"), (-inf, "-Inf"), (None, None), (0.5, 0.5)])
def test_numbers_that_json_does_not_have_are_written_as_promql_does(value, wire):
    outcome = Outcome(Check("c", "q", maximum=1.0), 1, 0, value)
    judgement = judge(plan(), Evidence(checks=(outcome,)), NOW)
    made = record(plan(), Evidence(checks=(outcome,)), judgement, judgement.verdict)
    assert made["checks"][0]["worst"] == wire
    json.dumps(made, allow_nan=False)


def hostile(queries: int, length: int, text: str = "\x01é€"):
    """Everything as long as it can get, in characters that take the most bytes."""
    name, long = "n" * 63, (text * length)[:length]
    of = plan(
        namespace=name, rollout=name, group=name, model=name, candidate_version=name, stable_version=name,
        control_groups=tuple(f"{i:02}" + "g" * 61 for i in range(15)),
    )  # fmt: skip
    outcomes = tuple(
        Outcome(Check(name, long, minimum=-1.0, maximum=1.0), 9, 9, 9.0, ProviderDown("é" * 300)) for _ in range(16)
    )
    evidence = Evidence(
        checks=outcomes,
        down=ProviderDown("é" * 300),
        queries=tuple(Asked(long, START, NOW, timedelta(minutes=1)) for _ in range(queries)),
    )
    aside = tuple(
        SetAside(side, f"reason {i} " + "r" * 60, 9999, (long, long, long))
        for side in ("canary", "control")
        for i in range(13)
    )
    judgement = replace(judge(of, evidence, NOW), message=long[:1000], aside=aside)
    return of, evidence, judgement


@pytest.mark.parametrize(("queries", "length"), [(32, 100_000), (32, 4_096), (32, 1_000), (12, 1_500), (0, 0)])
def test_a_record_is_never_larger_than_its_bound(queries, length):
    of, evidence, judgement = hostile(queries, length)
    made = record(of, evidence, judgement, judgement.verdict)
    assert len(json.dumps(made, ensure_ascii=False).encode()) <= LIMIT
    line = logging.LogRecord("modelfleet.rollout.observe", logging.INFO, "x.py", 1, judgement.message, (), None)
    line.__dict__.update(telemetry.fields(judgement=made))
    assert len(telemetry.JsonFormatter().format(line).encode()) <= 64 * 1024
    assert len(made["queries"]) + made["queriesLeftOut"] == queries


async def test_a_record_does_not_grow_with_the_fleet():
    def fleet(size):
        return Recorded(
            [canary(f"c{i:04}") for i in range(size)] + [control(f"n{i:04}", frames=0) for i in range(size)]
        )

    of = plan(comparison=Comparison(method=ComparisonMethod.THRESHOLD))
    sizes = [len(json.dumps((await written(fleet(size), of))[0])) for size in (10, 1000)]
    assert sizes[1] - sizes[0] < 20


# --- when -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "minutes", "expected"),
    [
        ({}, 0, False),
        ({}, 60, False),  # nothing new was looked at
        ({"looks": 1}, 1, False),
        ({"looks": 5}, 5, True),  # 1h in twelve parts
        ({"verdict": Verdict.FAIL}, 0, True),
        ({"reason": "Undecided"}, 0, True),
        ({"method": "Permutation"}, 0, True),
        ({"message": "other words"}, 0, False),
    ],
)
async def test_what_is_told(change, minutes, expected):
    of = plan()
    before = judge(of, await gather(Recorded(FLEET), of, NOW), NOW)
    change = {**change, "looks": before.looks + change.get("looks", 0)}
    assert due(Told(of, before, NOW), of, replace(before, **change), NOW + timedelta(minutes=minutes)) is expected


async def test_the_first_judgement_and_that_of_another_plan_are_told():
    of = plan()
    judgement = judge(of, await gather(Recorded(FLEET), of, NOW), NOW)
    assert due(None, of, judgement, NOW)
    assert due(Told(plan(soak=timedelta(minutes=11)), judgement, NOW), of, judgement, NOW)
    assert not due(Told(plan(strata={"cam-1": "a"}), judgement, NOW), of, judgement, NOW)
