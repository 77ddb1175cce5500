"""What of a node, a version or a neighbour a Rollout goes by."""

from dataclasses import replace

import pytest

from modelfleet.kinds import MODEL_VERSION, NODE, ROLLOUT, Key
from modelfleet.kube import Store
from modelfleet.rollout import WATCHES
from unit.kube.raw import obj
from unit.rollout import builders
from unit.rollout.simulation import World
from unit.rollout.test_overlaps import template
from unit.waking import woken

NODE_BEFORE = obj(
    NODE,
    "n",
    1,
    labels={"site": "a"},
    spec={"taints": [{"key": "x", "effect": "NoSchedule"}]},
    status={"conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": "10:00"}], "images": []},
)


def node(**changes):
    return {**NODE_BEFORE, **changes}


@pytest.mark.parametrize(
    ("now", "matters"),
    [
        (node(status={"conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": "10:05"}]}), False),
        (node(status={**NODE_BEFORE["status"], "images": [{"names": ["x"]}]}), False),
        (node(status={"conditions": [{"type": "Ready", "status": "Unknown"}]}), True),
        (node(spec={"unschedulable": True}), True),
        (node(spec={}), True),
        (node(spec={"taints": [{"key": "x", "effect": "NoExecute"}]}), True),
        (node(metadata={**NODE_BEFORE["metadata"], "labels": {"site": "b"}}), True),
        (node(metadata={**NODE_BEFORE["metadata"], "annotations": {"x": "y"}}), False),
        (node(metadata={**NODE_BEFORE["metadata"], "deletionTimestamp": "10:00"}), True),
        (None, True),
    ],
)
def test_heartbeat_of_a_node_is_no_news(now, matters):
    (of_nodes,) = (watch for watch in WATCHES if watch.kind == NODE)
    everyone = replace(of_nodes, owners=lambda node, store: [Key("factory", "line")])
    assert bool(everyone.woken(NODE_BEFORE, now, Store())) is matters


def version(**status):
    raw = builders.model_version("v1")
    return {**raw, "status": {**(raw.get("status") or {}), **status}}


@pytest.mark.parametrize(
    ("now", "names"),
    [
        (version(usedBy=[{"rollout": "line", "role": "Stable"}]), []),
        (version(tags=["latest"]), []),
        (version(conditions=[{"type": "Ready", "status": "False", "reason": "NotFound", "message": "gone"}]), ["line"]),
    ],
)
def test_who_uses_a_version_is_no_news_to_its_rollouts(now, names):
    world = World()
    world.put(builders.rollout("v1"))
    assert woken(WATCHES, MODEL_VERSION, now, world.store, before=version()) == names


def rollout(name, group, port=None, **status):
    raw = builders.rollout("v1", name=name, template=template(port=port))
    for each in raw["spec"]["groups"]:
        each["nodeSelector"] = {"matchLabels": {"group": group}}
    return {**raw, "status": status}


def test_neighbours_are_those_that_want_the_same_of_a_node():
    world = World()
    world.put(obj(NODE, "n", 1, labels={"group": "a"}))
    for each in (rollout("same", "a", 80), rollout("port", "a", 81), rollout("place", "b", 80), rollout("none", "a")):
        world.put(each)
    mine = rollout("mine", "a", 80)
    assert woken(WATCHES, ROLLOUT, mine, world.store) == ["mine", "same"]
    assert woken(WATCHES, ROLLOUT, {**mine, "status": {"phase": "Ready"}}, world.store, before=mine) == ["mine"]
    moved = rollout("mine", "b", 80)
    assert woken(WATCHES, ROLLOUT, moved, world.store, before=mine) == ["mine", "same"]
