"""Rollouts of the same name in two namespaces whose captures go to the same folder."""

import pytest

from modelfleet.kinds import ROLLOUT
from modelfleet.rollout import WATCHES
from unit.rollout import builders
from unit.rollout.simulation import World, installed
from unit.waking import store_of, woken

CAPTURE = {"destination": "s3://captures/line/"}


def other(destination="s3://captures/line", name="line", namespace="lab"):
    raw = builders.rollout("v1", name=name, delivery={"capture": {"destination": destination}})
    raw["metadata"] |= {"namespace": namespace, "uid": f"uid-{namespace}-{name}"}
    return raw


def capturing(destination=CAPTURE["destination"]) -> World:
    return installed(delivery={"capture": {"destination": destination}})


def test_another_one_of_the_same_name_is_named():
    world = capturing()
    assert world.reason("CapturesShared") is None
    world.put(other())
    world.rest(1)
    assert world.reason("CapturesShared") == "SameFolder"
    assert world.message("CapturesShared").startswith("Rollout lab/line of the same name can't be told from this one")
    assert "s3://captures/line/" in world.message("CapturesShared")
    world.spec(delivery={"capture": {"destination": "s3://captures/factory/"}})
    world.rest(1)
    assert world.reason("CapturesShared") is None
    assert world.phase == "Ready"


@pytest.mark.parametrize(
    "beside",
    [
        other("s3://captures/lines/"),
        other("s3://captures/line/", name="press"),
        other("gs://captures/line/"),
    ],
)
def test_whose_keys_differ_is_none(beside):
    world = capturing()
    world.put(beside)
    world.rest(1)
    assert world.reason("CapturesShared") is None


def test_a_volume_is_of_its_namespace():
    world = capturing("file:///captures")
    world.put(other("file:///captures"))
    world.rest(1)
    assert world.reason("CapturesShared") is None


def test_one_that_comes_goes_or_changes_its_folder_wakes_the_other():
    store = store_of(other(namespace="a"), other("s3://else/", namespace="b"), builders.rollout("v1"))
    for before, now in ((None, other()), (other(), None), (other(), other("s3://away/")), (other("s3://x/"), other())):
        found = {
            key
            for watch in WATCHES
            if watch.kind == ROLLOUT
            for key in watch.woken(before, now, store)
            if key.namespace != "lab"
        }
        assert [str(key) for key in found] == ["a/line"]
    unchanged = {**other(), "status": {"phase": "Ready"}}
    assert woken(WATCHES, ROLLOUT, unchanged, store, before=other()) == ["line"], "itself"


@pytest.mark.parametrize("delivery", [None, {}, {"capture": None}, {"capture": {}}])
def test_one_that_captures_nothing_shares_nothing(delivery):
    raw = {**other(), "spec": {**other()["spec"], "delivery": delivery}}
    assert woken(WATCHES, ROLLOUT, raw, store_of(other(namespace="a"))) == ["line"]
