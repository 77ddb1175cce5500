"""Where a DaemonSet's pods may run, and which nodes can be reached."""

from datetime import timedelta

import pytest

from modelfleet.rollout.nodes import kept_off, node_state
from unit.rollout import builders
from unit.rollout.builders import START


def node(taints=(), **labels):
    return {"metadata": {"name": "n", "labels": labels}, "spec": {"taints": list(taints)}}


def taint(key, effect="NoSchedule", value=None):
    return {"key": key, "effect": effect} | ({"value": value} if value else {})


@pytest.mark.parametrize(
    ("spec", "subject", "runs"),
    [
        ({}, node(), True),
        ({"nodeSelector": {"gpu": "yes"}}, node(gpu="yes"), True),
        ({"nodeSelector": {"gpu": "yes"}}, node(), False),
        ({}, node([taint("db")]), False),
        ({}, node([taint("db", "PreferNoSchedule")]), True),
        ({}, node([taint("node.kubernetes.io/unreachable", "NoExecute")]), True),
        ({}, node([taint("node.kubernetes.io/unschedulable")]), True),
        ({"tolerations": [{"operator": "Exists"}]}, node([taint("db")]), True),
        ({"tolerations": [{"key": "db", "operator": "Exists"}]}, node([taint("db", value="x")]), True),
        ({"tolerations": [{"key": "db", "value": "x"}]}, node([taint("db", value="x")]), True),
        ({"tolerations": [{"key": "db", "value": "y"}]}, node([taint("db", value="x")]), False),
        ({"tolerations": [{"key": "db", "operator": "Exists", "effect": "NoExecute"}]}, node([taint("db")]), False),
    ],
)
def test_taints_and_selectors(spec, subject, runs):
    assert bool(kept_off(spec, subject)) is not runs


@pytest.mark.parametrize(
    ("expression", "value", "runs"),
    [
        ("Gt", "6", True),
        ("Gt", "5", False),
        ("Gt", "many", False),
        ("Gt", None, False),
        ("Lt", "4", True),
        ("Lt", "5", False),
    ],
)
def test_numbers_are_compared(expression, value, runs):
    terms = [{"matchExpressions": [{"key": "cores", "operator": expression, "values": ["5"]}]}]
    spec = {
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}
    }
    found = kept_off(spec, node(**({"cores": value} if value else {})))
    assert found == ("" if runs else "the template's node affinity")


@pytest.mark.parametrize(("status", "reachable"), [("True", True), ("False", False), ("Unknown", False)])
def test_only_a_ready_kubelet_is_within_reach(status, reachable):
    raw = builders.node("n", {})
    raw["status"]["conditions"][0]["status"] = status
    assert node_state(raw).reachable is reachable
    assert node_state(raw).since == START


def test_a_node_that_has_not_reported_yet_is_out_of_reach():
    raw = builders.node("n", {})
    raw["status"] = {}
    assert (node_state(raw).reachable, node_state(raw).since) == (False, START)


def test_the_clock_of_a_node_starts_when_it_came_back_or_with_the_node():
    later = START + timedelta(minutes=5)
    back = builders.node("n", {}, since=later)
    assert node_state(back).since == later
    del back["status"]["conditions"][0]["lastTransitionTime"]
    assert node_state(back).since == START
