"""Nodes and groups find each other by their labels; what is found is what a look at every node would find."""

import random

import pytest

from modelfleet.kinds import NODE
from modelfleet.kube import Store
from modelfleet.rollout import affinity, membership, nodes
from modelfleet.rollout.affinity import Requirement
from modelfleet.rollout.membership import Memberships
from unit.kube.raw import obj
from unit.rollout import builders


def node(name, version=1, ready=True, taints=(), **labels):
    raw = obj(
        NODE,
        name,
        version,
        labels=labels,
        spec={"taints": list(taints)},
        status={"conditions": [{"type": "Ready", "status": str(ready)}]},
    )
    return {**raw, "metadata": {**raw["metadata"], "creationTimestamp": "2026-11-20T10:00:00Z"}}


def select(*requirements):
    return tuple(Requirement(*each) for each in requirements)


SELECTORS = [
    select(("app", "In", ("line",))),
    select(("app", "In", ("line", "press")), ("site", "In", ("a",))),
    select(("site", "Exists")),
    select(("site", "NotIn", ("a",))),
    select(("site", "DoesNotExist")),
    select(("app", "Exists"), ("site", "NotIn", ("b",))),
    (),
]


def store_of(seed):
    random.seed(seed)
    store = Store()
    for number in range(40):
        labels = {}
        if random.random() < 0.7:
            labels["app"] = random.choice(("line", "press", "other"))
        if random.random() < 0.7:
            labels["site"] = random.choice("abc")
        store.put(node(f"n{number:02}", **labels))
    return store


@pytest.mark.parametrize("selector", SELECTORS)
@pytest.mark.parametrize("seed", [1, 2])
def test_no_node_is_missed(selector, seed):
    store = store_of(seed)
    wanted = [raw["metadata"]["name"] for raw in store.list(NODE) if affinity.matches(selector, nodes.labels_of(raw))]
    (found,) = Memberships().of((selector,), [None], membership.nodes_of((selector,), store))
    assert [state.name for state in found.nodes] == wanted


@pytest.mark.parametrize("selector", SELECTORS)
def test_every_node_finds_its_rollouts(selector):
    store = store_of(3)
    raw = builders.rollout("v1")
    expressions = [requirement.to_dict() for requirement in selector]
    raw["spec"]["groups"] = [{"name": "all", "nodeSelector": {"matchExpressions": expressions}}]
    store.put({**raw, "metadata": {**raw["metadata"], "resourceVersion": "100"}})
    for each in store.list(NODE):
        matches = affinity.matches(selector, nodes.labels_of(each))
        assert bool(membership.rollouts_of(each, store)) is matches


LINE = select(("app", "In", ("line",)))
CANARY = select(("app", "In", ("line",)), ("group", "In", ("canary",)))


def test_a_node_belongs_to_its_first_group_and_shadows_the_later_ones():
    seen = Memberships().of(
        (CANARY, LINE), [None, None], [node("a", app="line", group="canary"), node("b", app="line")]
    )
    assert [[state.name for state in found.nodes] for found in seen] == [["a"], ["b"]]
    assert [found.shadowed for found in seen] == [0, 1]


def test_what_changed_since_the_last_look_is_seen():
    taint = {"key": "x", "value": "", "effect": "NoSchedule"}
    known, pods = Memberships(), [{"tolerations": []}]
    first = node("a", app="line")
    (found,) = known.of((LINE,), pods, [first, node("b", app="line")])
    assert [(state.name, state.reachable) for state in found.nodes] == [("a", True), ("b", True)]
    (found,) = known.of((LINE,), pods, [first, node("b", 2, ready=False, app="line")])
    assert [(state.name, state.reachable) for state in found.nodes] == [("a", True), ("b", False)]
    (found,) = known.of((LINE,), pods, [first, node("b", 3, taints=[taint], app="line")])
    assert [state.name for state in found.nodes] == ["a"]
    tolerant = [{"tolerations": [{"operator": "Exists"}]}]
    (found,) = known.of((LINE,), tolerant, [first, node("b", 3, taints=[taint], app="line")])
    assert [state.name for state in found.nodes] == ["a", "b"]
    (found,) = known.of((CANARY,), tolerant, [first])
    assert found.nodes == ()
