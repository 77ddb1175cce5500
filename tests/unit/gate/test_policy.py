"""Resolving a group's rules from the Rollout's gate and the group's own words."""

from datetime import timedelta

import pytest

from modelfleet.api.gatespec import Gate, GateOverride, TimeoutPolicy
from modelfleet.gate import Check, Comparison, ComparisonMethod, Policy, resolve

SPEC = Gate.model_validate(
    {
        "soak": "30m",
        "interval": "2m",
        "timeout": "3h",
        "comparison": {"margin": "0.02", "minDetections": 500},
        "checks": [{"name": "errors", "query": "e", "max": "0.01", "failureLimit": 2}],
        "onTimeout": "Rollback",
    }
)


def test_without_a_group_the_rollout_rules():
    assert resolve(SPEC) == Policy(
        soak=timedelta(minutes=30),
        interval=timedelta(minutes=2),
        timeout=timedelta(hours=3),
        comparison=Comparison(margin=0.02, min_detections=500),
        checks=(Check("errors", "e", maximum=0.01, failure_limit=2),),
        on_timeout=TimeoutPolicy.ROLLBACK,
    )


def test_an_empty_gate_has_no_comparison_and_the_documented_defaults():
    assert resolve(Gate()) == Policy()
    assert resolve(Gate(), GateOverride()) == Policy()


@pytest.mark.parametrize(
    ("group", "changed"),
    [
        ({"soak": "5m"}, {"soak": timedelta(minutes=5)}),
        ({"interval": "10s"}, {"interval": timedelta(seconds=10)}),
        ({"onTimeout": "Pause"}, {"on_timeout": TimeoutPolicy.PAUSE}),
        ({"checks": []}, {"checks": ()}),
        ({"provider": "west"}, {"provider": "west"}),
        (
            {"comparison": {"stratifyBy": "example.com/site"}},
            {"comparison": Comparison(0.02, 0.05, 500, stratify_by="example.com/site")},
        ),
        ({"checks": [{"name": "x", "query": "q", "min": "-1"}]}, {"checks": (Check("x", "q", minimum=-1.0),)}),
        (
            {"comparison": {"method": "Threshold", "minNodes": 3}},
            {"comparison": Comparison(0.02, 0.05, 500, 3, ComparisonMethod.THRESHOLD)},
        ),
    ],
)
def test_the_group_overrides_field_by_field(group, changed):
    expected = {name: getattr(resolve(SPEC), name) for name in Policy.__dataclass_fields__} | changed
    assert resolve(SPEC, GateOverride.model_validate(group)) == Policy(**expected)


def test_a_group_may_compare_where_the_rollout_does_not():
    policy = resolve(Gate(), GateOverride.model_validate({"comparison": {"margin": "0.1"}}))
    assert policy.comparison == Comparison(margin=0.1)


def test_the_deadline_is_never_before_the_end_of_the_soak():
    assert Policy(soak=timedelta(hours=8)).deadline == timedelta(hours=8)
    assert Policy().deadline == timedelta(hours=6)


def test_an_interval_must_be_positive():
    with pytest.raises(ValueError, match="must be positive"):
        Policy(interval=timedelta(0))
