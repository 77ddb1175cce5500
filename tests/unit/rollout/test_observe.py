"""Whom a change concerns, and how often Prometheus is asked."""

import types
from datetime import timedelta
from typing import Any

import pytest

from modelfleet import telemetry
from modelfleet.api import RolloutStatus, conditions
from modelfleet.decision import Apply, Create
from modelfleet.gate import Evidence
from modelfleet.kinds import (
    CONFIG_MAP,
    CONTROLLER_REVISION,
    DAEMON_SET,
    JOB,
    MODEL_VERSION,
    NODE,
    POD,
    TRAINING_JOB,
    Key,
    Kind,
)
from modelfleet.kube import NotFound
from modelfleet.prometheus import Providers
from modelfleet.rollout import WATCHES, controller, observe
from modelfleet.rollout.no_pods import Words
from modelfleet.rollout.snapshot import Refusal
from unit.rollout import builders
from unit.rollout.simulation import World, installed
from unit.waking import woken

LINE = Key("factory", "line")


@pytest.mark.parametrize(
    ("kind", "metadata", "concerned"),
    [
        (POD, {"namespace": "factory", "labels": {"modelfleet.dev/rollout": "line"}}, ["line"]),
        (DAEMON_SET, {"namespace": "factory", "labels": {"modelfleet.dev/rollout": "line"}}, ["line"]),
        (CONTROLLER_REVISION, {"namespace": "factory", "labels": {"modelfleet.dev/rollout": "line"}}, ["line"]),
        (POD, {"namespace": "factory", "labels": {}}, []),
        (NODE, {"labels": {"group": "fleet"}}, ["line"]),
        (NODE, {"labels": {"group": "office"}}, []),
        (NODE, {}, []),
    ],
)
def test_owners(kind, metadata, concerned):
    world = World()
    world.put(builders.rollout("v1"))
    assert woken(WATCHES, kind, {"metadata": {"name": "x", **metadata}}, world.store) == concerned


def test_owners_of_a_version_are_the_rollouts_of_its_model():
    world = World()
    world.put(builders.rollout("v1"))
    assert woken(WATCHES, MODEL_VERSION, builders.model_version("v7"), world.store) == ["line"]
    assert woken(WATCHES, MODEL_VERSION, builders.model_version("v7", model="faces"), world.store) == []


def test_a_copy_of_a_revision_under_another_name_is_not_one_more():
    world = installed()
    (own,) = world.store.list(CONTROLLER_REVISION, "factory")
    copied = {key: value for key, value in own["metadata"].items() if key != "uid"} | {"name": "line-backup"}
    world.put({**own, "metadata": copied})
    assert len(world.store.list(CONTROLLER_REVISION, "factory")) == 2
    found = observe.snapshot(world.store, Key("factory", "line"), "agent:1")
    assert [revision.name for revision in found.revisions] == [own["metadata"]["name"]]


def dependencies(world: World) -> Any:
    return types.SimpleNamespace(
        store=world.store,
        prometheus=Providers({}),
        metrics=telemetry.Metrics("test"),
        clock=lambda: world.now,
        settings=builders.SETTINGS,
        client=None,
    )


def created(kind: Kind, name: str) -> Create:
    return Create({"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": name}}, optional=True)


async def test_why_there_is_no_pod_is_part_of_what_is_seen_for_as_long_as_one_is_missing(monkeypatch):
    world = installed()
    found = [Words(world.now, {"canary": "exceeded quota"}), None]

    async def look(last, seen, deps):
        return found.pop(0)

    monkeypatch.setattr(observe.no_pods, "look", look)
    of = controller(dependencies(world))
    for said in ({"canary": "exceeded quota"}, {}):
        seen = await of.observe(LINE)
        assert seen is not None
        assert seen.snapshot.no_pod == said


async def test_what_the_api_server_refused_stands_until_the_spec_is_changed():
    world = installed()
    of = controller(dependencies(world))
    of.refused(LINE, created(TRAINING_JOB, "t"), "no quota")
    of.refused(LINE, created(JOB, "r"), "no room")
    of.refused(Key("factory", "nobody"), created(JOB, "n"), "it was deleted meanwhile")
    first = await of.observe(LINE)
    assert first is not None
    generation = first.snapshot.rollout.metadata.generation
    assert first.snapshot.refused == Refusal(world.now, "no quota", generation, "t")
    assert first.snapshot.replay_refused == Refusal(world.now, "no room", generation, "r")
    world.spec(paused=True)
    later = await of.observe(LINE)
    assert later is not None
    assert (later.snapshot.refused, later.snapshot.replay_refused) == (None, None)


SETTINGS = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "factory", "name": "line-capture"}}


@pytest.mark.parametrize(
    ("metadata", "taken"),
    [
        pytest.param(None, False, id="there is none"),
        pytest.param({}, True, id="somebody's own"),
        pytest.param({"ownerReferences": [{"uid": "of-another", "controller": True}]}, True, id="of another owner"),
        pytest.param({"ownerReferences": [{"uid": "uid-line"}]}, False, id="ours, and its labels were taken off"),
        pytest.param({"labels": {"modelfleet.dev/rollout": "line"}}, False, id="ours, restored from a backup"),
    ],
)
async def test_a_config_map_of_somebody_elses_is_not_made_ours(metadata, taken):
    """It has not our label, so that no watch shows it: server-side apply would take it over, and it would be deleted
    with the Rollout."""
    world = installed(delivery={"capture": {"destination": "s3://captures/line/"}})
    for config_map in world.store.list(CONFIG_MAP):
        world.store.forget(CONFIG_MAP, "factory", config_map["metadata"]["name"], config_map["metadata"]["uid"])
    asked = []

    async def get(kind, namespace, name):
        asked.append((kind, name))
        if metadata is None:
            raise NotFound("no such ConfigMap")
        return {**SETTINGS, "metadata": {**SETTINGS["metadata"], "uid": "uid-theirs", **metadata}}

    deps = dependencies(world)
    deps.client = types.SimpleNamespace(get=get)
    of = controller(deps)
    seen = await of.observe(LINE)
    assert seen is not None
    assert asked == [(CONFIG_MAP, "line-capture")]
    assert seen.snapshot.capture_taken is taken
    decision = of.decide(seen, world.now)
    applied = [each.manifest["metadata"]["name"] for each in decision.actions if isinstance(each, Apply)]
    assert ("line-capture" in applied) is not taken
    ready = conditions.find(decision.status.conditions, "Ready")
    assert (ready.reason == "NameTaken") is taken
    if taken:
        assert "ConfigMap line-capture" in ready.message
        assert ready.message.endswith("rename the Rollout, or delete that ConfigMap.")
        assert decision.requeue_after <= timedelta(minutes=1)


async def test_prometheus_is_asked_once_for_each_look(monkeypatch):
    world = installed()
    world.choose("v2")
    world.run(lambda: world.phase == "Soaking")
    asked = []

    async def gather(prometheus, plan, now):
        asked.append(now)
        return Evidence()

    monkeypatch.setattr(observe.gate.observe, "gather", gather)
    of = controller(dependencies(world))
    observed = of.observe
    first = await observed(LINE)
    again = await observed(LINE)
    assert first is not None
    assert first == again
    assert first.snapshot.judgement is not None
    assert len(asked) == 1
    written = RolloutStatus(phase="Ready")
    shown = of.with_status(first, written).snapshot
    assert (shown.rollout.status, shown.judgement) == (written, first.snapshot.judgement)
    world.now = first.snapshot.judgement.next_look + timedelta(seconds=1)
    await observed(LINE)
    assert len(asked) == 2
    assert await observed(Key("factory", "nobody")) is None
    world.annotate("abort", "v2")
    world.operate()
    gone = await observed(LINE)
    assert gone is not None
    assert gone.snapshot.judgement is None
    assert len(asked) == 2
