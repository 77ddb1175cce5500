"""First match wins, written as node affinity: checked against every node there can be."""

import itertools
import random

import pytest

from modelfleet.rollout.affinity import MAX_TERMS, Requirement, TooComplex, group_terms, matches, node_affinity
from modelfleet.rollout.affinity import requirements as conjunction
from modelfleet.rollout.nodes import first_match, kept_off

VALUES = {"a": (None, "1", "2"), "b": (None, "1", "2"), "c": (None, "1")}
NODES = [
    {key: value for key, value in zip(VALUES, combination, strict=True) if value is not None}
    for combination in itertools.product(*VALUES.values())
]


def is_in(key, *values):
    return Requirement(key, "In", tuple(sorted(values)))


def not_in(key, *values):
    return Requirement(key, "NotIn", tuple(sorted(values)))


def some_selector(dice: random.Random):
    def one(key):
        operator = dice.choice(["In", "NotIn", "Exists", "DoesNotExist"])
        values = tuple(sorted(dice.sample(["1", "2"], dice.choice([1, 2])))) if operator in ("In", "NotIn") else ()
        return Requirement(key, operator, values)

    return tuple(sorted({one(dice.choice("abc")) for _ in range(dice.choice([0, 1, 1, 2, 3]))}))


def raw_node(labels, name="n"):
    return {"metadata": {"name": name, "labels": labels}}


@pytest.mark.parametrize("seed", range(300))
def test_a_node_runs_exactly_the_pods_of_its_first_group(seed):
    dice = random.Random(seed)
    selectors = [some_selector(dice) for _ in range(dice.choice([1, 2, 3, 4]))]
    specs = [
        {"affinity": node_affinity(group_terms(selector, selectors[:index]), None)}
        for index, selector in enumerate(selectors)
    ]
    for labels in NODES:
        runs = [index for index, spec in enumerate(specs) if not kept_off(spec, raw_node(labels))]
        first = first_match(labels, selectors)
        assert runs == ([] if first is None else [first]), (labels, selectors)


@pytest.mark.parametrize("seed", range(100))
def test_the_users_own_affinity_is_required_as_well(seed):
    dice = random.Random(seed)
    selectors = [some_selector(dice) for _ in range(2)]
    own = [some_selector(dice) for _ in range(dice.choice([1, 2]))]
    users = {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [entry.to_dict() for entry in term]} for term in own]
            },
            "preferredDuringSchedulingIgnoredDuringExecution": ["kept"],
        },
        "podAntiAffinity": "kept",
    }
    given = node_affinity(group_terms(selectors[1], selectors[:1]), users)
    assert given is not None
    assert given["podAntiAffinity"] == "kept"
    assert given["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"] == ["kept"]
    for labels in NODES:
        wanted = first_match(labels, selectors) == 1 and any(term and matches(term, labels) for term in own)
        assert bool(kept_off({"affinity": given}, raw_node(labels))) != wanted, (labels, selectors, own)


def test_a_users_field_selector_is_kept():
    users = {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [
                    {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["edge-7"]}]}
                ]
            }
        }
    }
    given = node_affinity((conjunction({"a": "1"}, []),), users)
    assert not kept_off({"affinity": given}, raw_node({"a": "1"}, "edge-7"))
    assert kept_off({"affinity": given}, raw_node({"a": "1"}, "edge-8"))
    assert kept_off({"affinity": given}, raw_node({}, "edge-7"))


ONE_KEY = [
    *(Requirement("a", operator, values) for operator in ("In", "NotIn") for values in (("1",), ("2",), ("1", "2"))),
    Requirement("a", "Exists"),
    Requirement("a", "DoesNotExist"),
]


@pytest.mark.parametrize("one", ONE_KEY)
def test_what_implies_what(one: Requirement):
    everything = ({}, {"a": "1"}, {"a": "2"}, {"a": "a value that no requirement names"})
    for other in ONE_KEY:
        assert one.implies(other) == all(other.matches(labels) for labels in everything if one.matches(labels)), other
        assert not one.implies(Requirement("b", other.operator, other.values))


def test_the_usual_fleet_gives_one_term():
    selectors = [conjunction({"group": name, "app": "line"}, []) for name in ("canary", "early", "fleet")]
    assert group_terms(selectors[2], selectors[:2]) == (selectors[2],), "the labels exclude each other already"
    everybody = conjunction({"app": "line"}, [])
    assert group_terms(everybody, selectors[:2]) == (
        (is_in("app", "line"), not_in("group", "canary"), not_in("group", "early")),
    )


def test_a_negated_pair_gives_two_alternatives():
    assert group_terms((is_in("app", "x"),), [(is_in("a", "1"), is_in("b", "1"))]) == (
        (not_in("a", "1"), is_in("app", "x")),
        (is_in("app", "x"), not_in("b", "1")),
    )


@pytest.mark.parametrize(
    ("selector", "earlier"),
    [
        ((is_in("a", "1"),), [()]),
        ((is_in("a", "1"),), [(is_in("a", "1", "2"),)]),
        ((is_in("a", "1"), not_in("a", "1")), []),
        ((is_in("a", "1"),), [(is_in("a", "1"), is_in("b", "1")), (not_in("b", "1"),)]),
    ],
)
def test_what_can_match_no_node_matches_none(selector, earlier):
    assert group_terms(selector, earlier) == ()
    affinity = node_affinity((), None)
    assert all(kept_off({"affinity": affinity}, raw_node(labels)) for labels in NODES)


def test_everything_needs_no_affinity():
    assert node_affinity(group_terms((), []), None) is None


def test_too_many_alternatives_are_refused():
    earlier = [tuple(is_in(f"{name}{index}", "1") for name in "xyz") for index in range(5)]
    with pytest.raises(TooComplex, match=str(MAX_TERMS)):
        group_terms((), earlier)


def test_match_labels_and_expressions_together():
    found = conjunction({"a": "1"}, [{"key": "b", "operator": "NotIn", "values": ["2", "1"]}])
    assert found == (is_in("a", "1"), not_in("b", "1", "2"))
