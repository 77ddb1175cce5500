"""Fleets of amd64 and arm64: what the gate has not seen is said, and an image without a build for a node is named."""

from dataclasses import replace
from typing import Any

import pytest

from modelfleet.gate import Judgement, Verdict
from modelfleet.rollout import architectures, fault, gating, groups, nodes
from modelfleet.rollout.position import Moving, Position
from modelfleet.rollout.snapshot import NodeState, PodState
from modelfleet.workloads.pods import Problem
from unit.rollout.builders import START
from unit.rollout.positions import NOW, locate, revision, rollout, snapshot, stable


def at(*architectures_of_groups: str) -> Position:
    """v2 is in the first group, and the nodes of each group are these, by their first letters: "da" is amd64, arm64."""
    known = {"d": "amd64", "a": "arm64", "?": ""}
    seen = snapshot(("v2", "v1", "v1"), rollout("v2"))
    given = [
        replace(group, nodes=tuple(NodeState(f"n{i}", True, START, known[each]) for i, each in enumerate(letters)))
        for group, letters in zip(seen.groups, architectures_of_groups, strict=True)
    ]
    return locate(replace(seen, groups=tuple(given)), stable("v1"), revision("v2"))


def moving(position: Position) -> Moving:
    assert isinstance(position.course, Moving)
    return position.course


@pytest.mark.parametrize(
    ("canary", "middle", "fleet", "said"),
    [
        ("d", "d", "dd", ""),
        ("da", "a", "dada", ""),
        ("d", "da", "aa", "All nodes with v2 so far are amd64: nodes of later groups (3 of arm64) may do otherwise."),
        ("a", "a", "d", "All nodes with v2 so far are arm64: nodes of later groups (1 of amd64) may do otherwise."),
        ("?", "a", "d", ""),
        ("d", "?", "?", ""),
    ],
)
def test_an_architecture_that_no_canary_has_is_said(canary: str, middle: str, fleet: str, said: str) -> None:
    position = at(canary, middle, fleet)
    assert architectures.unseen(position, moving(position)) == said


def test_it_stands_behind_what_the_gate_says() -> None:
    found = Judgement(Verdict.PASS, "Passed", "v2 is no worse", 1, 1, 2, 100, "Threshold", NOW)
    latched = gating.GateStatus(group="canary", version="v2", started_at=START)
    shown = gating.judged(latched, "v2", found, NOW, "All nodes so far are amd64.")
    assert shown.message == "v2 is no worse. All nodes so far are amd64."
    assert gating.judged(latched, "v2", found, NOW).message == "v2 is no worse"


@pytest.mark.parametrize(("architecture", "said"), [("arm64", "arm64"), ("", "the node's architecture")])
def test_an_image_without_a_build_for_the_node_is_named_and_is_the_revisions_fault(
    architecture: str, said: str
) -> None:
    kubelets = 'failed to pull image "app:2": no match for platform in manifest: not found'
    problem = Problem("ErrImagePull", f"container agent: {kubelets}")
    pod = PodState("p", "n", "r", ready=False, since=START, problem=problem)
    view = groups.NodeView(NodeState("n", True, START, architecture), pod)
    assert view.problem is not None
    assert view.problem.message == f"the image has no build for {said}; container agent: {kubelets}"
    assert not fault.is_clusters(view.problem)


def test_any_other_problem_stays_as_it_is() -> None:
    problem = Problem("ErrImagePull", "container agent: connection refused")
    pod = PodState("p", "n", "r", ready=False, since=START, problem=problem)
    assert groups.NodeView(NodeState("n", True, START, "arm64"), pod).problem == problem
    assert groups.NodeView(NodeState("n", True, START, "arm64"), None).problem is None


@pytest.mark.parametrize("labels", [{"kubernetes.io/arch": "arm64"}, {}])
@pytest.mark.parametrize("conditions", [[], [{"type": "Ready", "status": "True"}]])
def test_the_architecture_is_the_nodes_label(labels: dict[str, str], conditions: list[dict[str, Any]]) -> None:
    node = {
        "metadata": {"name": "n", "labels": labels, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "status": {"conditions": conditions},
    }
    assert nodes.node_state(node).architecture == labels.get("kubernetes.io/arch", "")
