"""What the demo takes of a cluster that is there, and what keeps it from that (tests/e2e/borrowed)."""

from __future__ import annotations

from typing import Any

import pytest

from e2e.borrowed.plan import MARK, NAMESPACE, Found, Plan, Refused, plan
from e2e.borrowed.services import url, waiting


def node(
    name: str,
    *,
    ready: str = "True",
    arch: str = "amd64",
    os: str = "linux",
    labels: dict[str, str] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": labels or {}},
        "spec": spec,
        "status": {
            "conditions": [{"type": "Ready", "status": ready}],
            "nodeInfo": {"architecture": arch, "operatingSystem": os},
        },
    }


TAINTED = node("control-plane", taints=[{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}])


def found(*nodes: dict[str, Any], **fields: Any) -> Found:
    return Found(
        **{"version": "v1.31.0", "may_do_everything": True, "nodes": nodes or (node("a"), node("b")), **fields}
    )


@pytest.mark.parametrize(
    ("names", "edge", "training"),
    [
        ("ab", ("a", "b"), "b"),
        ("cab", ("a", "b", "c"), "c"),
        ("abcd", ("a", "b", "c"), "d"),
        ("abcdef", ("a", "b", "c"), "d"),
    ],
)
def test_no_more_than_four_nodes_are_taken(names: str, edge: tuple[str, ...], training: str) -> None:
    made = plan(found(*(node(name) for name in names)))
    assert (made.nodes, made.training) == (edge, training)
    assert set(made.labels) == {*edge, training}
    assert made.labels[edge[0]]["modelfleet.dev/group"] == "canary"
    assert made.labels[training]["modelfleet.dev/role"] == "training"
    assert all(made.labels[each]["modelfleet.dev/app"] == "line" for each in edge)


def test_nodes_are_of_the_architecture_that_most_have() -> None:
    made = plan(found(node("a"), node("b", arch="arm64"), node("c", arch="arm64")))
    assert made.nodes == ("b", "c")


def test_what_is_written_down_is_read_back() -> None:
    made = plan(found(crds=["rollouts.modelfleet.dev"]))
    assert not made.brings_crds
    assert Plan.from_json(made.to_json()) == made


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (TAINTED, "control-plane (taint node-role.kubernetes.io/control-plane)"),
        (node("b", ready="Unknown"), "b (not ready)"),
        (node("b", unschedulable=True), "b (cordoned)"),
        (node("b", os="windows"), "b (not Linux)"),
    ],
)
def test_one_node_is_too_few_and_the_way_to_more_is_said(other: dict[str, Any], said: str) -> None:
    with pytest.raises(Refused, match="1 of its nodes can be used, and the demo needs at least two") as refused:
        plan(found(node("a"), other))
    assert said in str(refused.value)
    for tool in ("kind", "k3d", "minikube"):
        assert f"\n  {tool}" in str(refused.value)


def test_a_taint_that_only_asks_is_no_obstacle() -> None:
    asks = node("b", taints=[{"key": "spot", "effect": "PreferNoSchedule"}])
    assert plan(found(node("a"), asks)).nodes == ("a", "b")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"version": "v1.30.9+k3s1"}, "v1.30.9+k3s1 is too old: 1.31"),
        ({"may_do_everything": False}, "no administrator"),
        ({"namespace": {"metadata": {"labels": {MARK: "true"}}}}, "make demo-down CONTEXT="),
        ({"namespace": {"metadata": {}}}, f"{NAMESPACE} is there, and the demo did not make it"),
        ({"installed": ["vision/modelfleet"]}, "installed here: vision/modelfleet"),
        ({"objects": [f"line/{n}" for n in range(7)], "crds": ["x"]}, "line/4 and 2 more"),
        ({"crds": ["rollouts.modelfleet.dev"], "crds_differ": True}, "are not those of this checkout"),
        ({"nodes": [node("a"), node("b"), node("c", labels={"modelfleet.dev/app": "x"})]}, "Node c has labels"),
    ],
)
def test_what_is_in_the_way_is_said(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(Refused) as refused:
        plan(found(**fields))
    assert said in str(refused.value)
    assert str(refused.value).count("\n- ") == 0, "one reason"


def test_of_what_an_earlier_demo_left_only_the_way_to_remove_it_is_said() -> None:
    labelled = [node(name, labels={"modelfleet.dev/app": "line"}) for name in "ab"]
    left = {"namespace": {"metadata": {"labels": {MARK: "true"}}}, "installed": ["ClusterRole/modelfleet"]}
    with pytest.raises(Refused) as refused:
        plan(found(*labelled, **left))
    assert "make demo-down" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_all_reasons_are_said_at_once() -> None:
    with pytest.raises(Refused) as refused:
        plan(found(node("a"), version="v1.29.0", installed=["x/y"]))
    assert str(refused.value).count("\n- ") == 2


def test_an_address_of_either_family_goes_into_a_url() -> None:
    assert url("10.0.0.7", "prometheus") == "http://10.0.0.7:9090"
    assert url("fd00::7", "object-store") == "http://[fd00::7]:7070"


def test_which_image_is_missing_where_is_said_once() -> None:
    def pod(reason: str, image: str = "r/agent:1") -> dict[str, Any]:
        state = {"waiting": {"reason": reason, "message": "no such host"}}
        return {"spec": {"nodeName": "a"}, "status": {"containerStatuses": [{"image": image, "state": state}]}}

    assert waiting([pod("ImagePullBackOff"), pod("ErrImagePull"), pod("ErrImageNeverPull")]) == [
        "r/agent:1 on a: no such host"
    ]
    assert waiting([pod("ContainerCreating"), {"spec": {}}]) == []
