"""Whom a change concerns, and how often Prometheus is asked."""

import types
from datetime import timedelta

import pytest

import modelfleet.rollout
from modelfleet import telemetry
from modelfleet.api import RolloutStatus
from modelfleet.gate import Evidence
from modelfleet.kinds import CONTROLLER_REVISION, DAEMON_SET, MODEL_VERSION, NODE, POD, Key
from modelfleet.prometheus import Providers
from modelfleet.rollout import WATCHES, controller, observe
from unit.rollout import builders
from unit.rollout.simulation import World, installed
from unit.waking import woken


def test_the_facade_is_small():
    assert set(modelfleet.rollout.__all__) == {"WATCHES", "controller"}


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


async def test_prometheus_is_asked_once_for_each_look(monkeypatch):
    world = installed()
    world.choose("v2")
    world.run(lambda: world.phase == "Soaking")
    asked = []

    async def gather(prometheus, plan, now):
        asked.append(now)
        return Evidence()

    monkeypatch.setattr(observe.gate.observe, "gather", gather)
    deps = types.SimpleNamespace(
        store=world.store,
        prometheus=Providers({}),
        metrics=telemetry.Metrics("test"),
        clock=lambda: world.now,
        settings=types.SimpleNamespace(images=types.SimpleNamespace(agent=builders.AGENT_IMAGE)),
    )
    of = controller(deps)  # type: ignore[arg-type]
    observed = of.observe
    first = await observed(Key("factory", "line"))
    again = await observed(Key("factory", "line"))
    assert first is not None
    assert first == again
    assert first.snapshot.judgement is not None
    assert len(asked) == 1
    written = RolloutStatus(phase="Ready")
    shown = of.with_status(first, written).snapshot
    assert (shown.rollout.status, shown.judgement) == (written, first.snapshot.judgement)
    world.now = first.snapshot.judgement.next_look + timedelta(seconds=1)
    await observed(Key("factory", "line"))
    assert len(asked) == 2
    assert await observed(Key("factory", "nobody")) is None
    world.annotate("abort", "v2")
    world.operate()
    gone = await observed(Key("factory", "line"))
    assert gone is not None
    assert gone.snapshot.judgement is None
    assert len(asked) == 2
