"""Counting a check's failures."""

from math import inf, nan

import pytest

from modelfleet.gate import Check
from modelfleet.gate.checks import evaluate, query
from modelfleet.gate.messages import check_failure
from modelfleet.prometheus import NoData, ProviderDown, Samples
from unit.gate.builders import plan


def series(*values):
    return ({}, tuple((60.0 * (k + 1), value) for k, value in enumerate(values) if value is not None))


@pytest.mark.parametrize(
    ("bounds", "rows", "looks", "failures", "worst"),
    [
        ({"maximum": 1}, [series(0, 0.5, 1)], 3, 0, 1),
        ({"maximum": 1}, [series(0, 2, 3, 0)], 4, 2, 3),
        ({"minimum": 1}, [series(0, 2, -3, 1)], 4, 2, -3),
        ({"minimum": 0, "maximum": 1}, [series(-1, 2, 0.5)], 3, 2, -1),
        ({"maximum": 1}, [series(nan, 0.5, nan)], 1, 0, 0.5),
        ({"maximum": 1}, [series(inf, 0.5)], 2, 1, inf),
        ({"minimum": 1}, [series(-inf, inf)], 2, 1, -inf),
        ({"maximum": 1}, [series(2, 0), series(2, 2), series(0, 0)], 2, 2, 2),  # a look fails once
        ({"maximum": 1}, [series(None, 0.5, None, 0.25)], 2, 0, 0.25),
        ({"maximum": 1}, [series(nan, nan)], 0, 0, None),
    ],
)
def test_a_look_outside_the_bounds_is_a_failure(bounds, rows, looks, failures, worst):
    outcome = evaluate(Check("c", "q", **bounds), Samples(tuple(rows)))
    assert (outcome.looks, outcome.failures, outcome.worst) == (looks, failures, worst)
    assert outcome.missing is (looks == 0)


@pytest.mark.parametrize(("limit", "failed"), [(0, True), (1, True), (2, False)])
def test_fails_above_its_limit(limit, failed):
    check = Check("c", "q", maximum=1, failure_limit=limit)
    assert evaluate(check, Samples((series(2, 0, 2),))).failed is failed


def test_no_data_and_no_answer_are_not_the_same():
    check = Check("c", "q", maximum=1)
    assert evaluate(check, NoData()).missing
    down = evaluate(check, ProviderDown("gone"))
    assert not down.missing
    assert down.down == ProviderDown("gone")
    assert not down.failed


def test_a_query_knows_what_is_judged_and_leaves_the_rest():
    asked = Check("c", "a{${namespace},${rollout},${group},${model},${version}} > ${other}", maximum=1)
    assert query(asked, plan()) == "a{factory,line,canary,parts,v2} > ${other}"


@pytest.mark.parametrize(("limit", "says"), [(0, "at 2 looks of 3."), (1, "at 2 looks of 3 (1 allowed).")])
def test_a_failure_says_how_many_were_allowed(limit, says):
    outcome = evaluate(Check("errors", "q", maximum=1, failure_limit=limit), Samples((series(2, 0, 3),)))
    assert check_failure(outcome) == f"Check errors was above 1 (worst 3) {says}"
