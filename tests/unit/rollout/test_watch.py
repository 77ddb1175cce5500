"""What of a node, a version or a neighbour a Rollout goes by."""

from dataclasses import replace

import pytest

from modelfleet.kinds import CONFIG_MAP, DATASET, MODEL_VERSION, NODE, ROLLOUT, Key
from modelfleet.kube import Store
from modelfleet.rollout import WATCHES
from modelfleet.rollout.observe import snapshot
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


@pytest.mark.parametrize(
    "odd",
    [
        {"spec": {"containers": "agent"}},
        {"spec": {"containers": [{"name": "agent", "ports": {"hostPort": 80}}]}},
        {"spec": {"containers": [{"name": "agent", "volumeMounts": [{"mountPath": "/x", "name": ["v"]}]}]}},
        {"spec": {"containers": [{"name": "agent"}], "volumes": [{"name": "v", "hostPath": "/dev"}]}},
        {"spec": "agent"},
    ],
)
def test_a_template_of_another_form_wakes_nobody_else(odd, caplog):
    """Its own look says what is wrong with it: an exception would have all owners look again at each change."""
    store, before = Store(), rollout("mine", "a", 80)
    for each in (obj(NODE, "n", 1, labels={"group": "a"}), rollout("same", "a", 80), rollout("none", "a")):
        store.put({**each, "metadata": {**each["metadata"], "resourceVersion": "1"}})
    strange = {**before, "spec": {**before["spec"], "template": odd}}
    assert woken(WATCHES, ROLLOUT, strange, store) == ["mine"]
    assert woken(WATCHES, ROLLOUT, strange, store, before=before) == ["mine", "same"]
    assert woken(WATCHES, ROLLOUT, before, store, before=strange) == ["mine", "same"]
    store.put({**strange, "metadata": {**strange["metadata"], "resourceVersion": "2"}})
    assert woken(WATCHES, ROLLOUT, rollout("same", "a", 80), store) == ["same"]
    assert not caplog.records, "an index reads it"


def test_a_changed_or_deleted_configmap_wakes_the_rollout_that_it_was_made_for():
    before = obj(CONFIG_MAP, "line-capture", 1, labels={"modelfleet.dev/rollout": "line"})
    for now in (None, {**before, "data": {}}, {**before, "metadata": {**before["metadata"], "labels": {}}}):
        assert woken(WATCHES, CONFIG_MAP, now, Store(), before=before) == ["line"]


def dataset(name="parts", model="parts", **status):
    spec = {"model": model, "captures": {"uri": "s3://c/"}, "store": {"uri": "s3://d/"}, "classes": ["bolt"]}
    spec["labelling"] = {"files": {"uri": "s3://reviewed/"}}
    return obj(DATASET, name, 1, namespace="factory", spec=spec, status={"latest": None, "versions": [], **status})


def retraining(name, data, model="parts"):
    job = {"model": model, "mode": "FineTune", "output": {"uri": "s3://models/"}, "dataset": data}
    raw = builders.rollout(drift={"retrain": {"template": {"spec": job}}})
    raw["metadata"] |= {"name": name, "uid": f"uid-{name}", "resourceVersion": "1"}
    raw["spec"]["model"] = {"name": model, "tag": "latest"}
    return raw


def test_a_dataset_wakes_those_that_retrain_on_it_by_its_labels_alone():
    store = Store()
    for raw in (
        retraining("by-name", {"from": {"dataset": "parts"}}, model="other"),
        retraining("by-model", {}),
        retraining("another", {"from": {"dataset": "else"}}),
        {**builders.rollout(), "metadata": {**builders.rollout()["metadata"], "name": "none", "resourceVersion": "1"}},
    ):
        store.put(raw)
    before = dataset(waiting=3)
    assert woken(WATCHES, DATASET, before, store) == ["by-model", "by-name"]
    assert woken(WATCHES, DATASET, dataset(waiting=3, reviewed=9), store, before=before) == []
    assert woken(WATCHES, DATASET, dataset(waiting=4), store, before=before) == ["by-model", "by-name"]


def watched(name, *signals, model="parts"):
    raw = builders.rollout(drift={"signals": [{"name": signal} for signal in signals]} if signals else {})
    raw["metadata"] |= {"name": name, "uid": f"uid-{name}", "resourceVersion": "1"}
    raw["spec"]["model"] = {"name": model, "tag": "latest"}
    return raw


ESTIMATE = {"value": "0.9", "low": "0.87", "high": "0.93"}
REVIEW = {"version": "v1", "frames": 420, "recall": ESTIMATE, "precision": ESTIMATE}


@pytest.mark.parametrize(
    ("now", "matters"),
    [
        ({"review": REVIEW}, False),
        ({"review": REVIEW, "waiting": 9, "latest": {"number": 2}}, False),
        ({"review": {**REVIEW, "calibration": {"edges": [], "precision": []}, "worstClasses": []}}, False),
        ({"review": {**REVIEW, "version": "v2"}}, True),
        ({"review": {**REVIEW, "frames": 421}}, True),
        ({"review": {**REVIEW, "recall": None}}, True),
        ({"review": {**REVIEW, "precision": {**ESTIMATE, "low": "0.86"}}}, True),
        ({}, True),
    ],
)
def test_a_review_wakes_those_that_are_watched_by_it_and_nothing_else_of_the_dataset_does(now, matters):
    store = Store()
    for raw in (
        watched("by-recall", "confidence", "reviewed-recall"),
        watched("by-precision", "reviewed-precision"),
        watched("of-another", "reviewed-recall", model="gears"),
        watched("by-figures", "confidence"),
        watched("by-default"),
    ):
        store.put(raw)
    names = ["by-precision", "by-recall"]
    before = dataset(review=REVIEW)
    assert woken(WATCHES, DATASET, dataset(**now), store, before=before) == (names if matters else [])
    assert woken(WATCHES, DATASET, before, store) == names
    assert woken(WATCHES, DATASET, None, store, before=before) == names


def test_a_rollout_that_retrains_sees_the_datasets_of_its_model_and_the_one_that_it_names():
    store = Store()
    for raw in (
        retraining("line", {"from": {"dataset": "gears"}}),
        retraining("yard", {}),
        dataset(),
        dataset("gears", model="gears"),
        dataset("else", model="gears"),
    ):
        store.put(raw)
    seen = {name: snapshot(store, Key("factory", name), "image") for name in ("line", "yard")}
    assert [each.metadata.name for each in seen["line"].datasets] == ["gears", "parts"]
    assert [each.metadata.name for each in seen["yard"].datasets] == ["parts"]
