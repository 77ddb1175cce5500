"""How often Prometheus is asked by a watch for drift, what is remembered, and what is written down."""

import logging
import types
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from modelfleet import drift, telemetry
from modelfleet.drift import State
from modelfleet.kinds import CONTROLLER_REVISION, DATASET, NODE, ROLLOUT, Key
from modelfleet.prometheus.results import NoData, ProviderDown, Samples
from modelfleet.reconcile import Controller
from modelfleet.rollout import controller
from modelfleet.rollout.metrics import DriftGauges, Watch
from modelfleet.rollout.position import Position
from modelfleet.rollout.snapshot import DriftSeen
from unit.drift.fleets import Fleet
from unit.drift.fleets import plan as plan_of
from unit.rollout import builders
from unit.rollout.simulation import World, installed
from unit.rollout.test_reviewed import raw as dataset

LINE = Key("factory", "line")
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


class Prometheus:
    """A provider of nodes with the same figures at all hours; counts what it was asked."""

    def __init__(self) -> None:
        self.nodes = ["fleet-0"]
        self.asked = 0
        self.down = False

    async def range(self, query: str, start: Any, end: Any, step: Any) -> Any:
        self.asked += 1
        if self.down:
            return ProviderDown("no answer")
        value = 12.0 if "count_over_time" in query else 3600.0 if "frames_total" in query else 100.0
        if " or " in query or 'le="0.5"' in query:
            value = 40.0
        count = int((end - start) / step) + 1
        points = tuple(((start + number * step).timestamp(), value) for number in range(count))
        return Samples(tuple(({"node": node}, points) for node in self.nodes))

    async def instant(self, query: str, at: Any) -> Any:
        return NoData()


class Setup:
    """A fleet on v1 whose drift is watched for, and the operator's controller of it."""

    def __init__(self, **spec: Any) -> None:
        self.world: World = installed(drift=spec)
        self.prometheus = Prometheus()
        self.world.now += 10 * DAY
        deps = types.SimpleNamespace(
            store=self.world.store,
            prometheus=types.SimpleNamespace(get=lambda name, field: self.prometheus),
            metrics=telemetry.Metrics("test"),
            clock=lambda: self.world.now,
            settings=builders.SETTINGS,
        )
        self.metrics = deps.metrics
        self.controller: Controller[Position] = controller(deps)  # type: ignore[arg-type]

    async def look(self) -> DriftSeen:
        found = await self.controller.observe(LINE)
        assert found is not None
        assert found.snapshot.drift is not None
        return found.snapshot.drift


@pytest.mark.parametrize("nodes", [1, 300])
async def test_prometheus_is_asked_once_an_hour_by_six_queries_however_many_nodes(nodes: int) -> None:
    setup = Setup()
    setup.prometheus.nodes = [f"camera-{number}" for number in range(nodes)]
    first = await setup.look()
    assert (first.judgement.state, first.judgement.nodes) == (State.STEADY, nodes)
    after_restart = setup.prometheus.asked
    assert after_restart == 6 * 10  # ten days, one at a time
    for _ in range(5):
        assert await setup.look() == first
    assert setup.prometheus.asked == after_restart
    setup.world.now += HOUR
    assert (await setup.look()).judgement.looked_at == first.judgement.looked_at + HOUR  # type: ignore[operator]
    assert setup.prometheus.asked == after_restart + 6


async def test_another_policy_is_looked_at_at_once() -> None:
    setup = Setup()
    await setup.look()
    asked = setup.prometheus.asked
    setup.world.spec(drift={"sustain": "12h"})
    await setup.look()
    assert setup.prometheus.asked > asked


async def test_no_answer_is_tried_again_within_minutes_and_nothing_is_forgotten() -> None:
    setup = Setup()
    await setup.look()
    setup.world.now += 3 * HOUR
    setup.prometheus.down = True
    seen = await setup.look()
    assert seen.judgement.state is State.PAUSED
    asked = setup.prometheus.asked
    await setup.look()
    assert setup.prometheus.asked == asked
    setup.world.now += timedelta(minutes=5)
    setup.prometheus.down = False
    assert (await setup.look()).judgement.state is State.STEADY
    assert setup.prometheus.asked == asked + 6


async def test_while_a_version_is_on_its_way_nothing_is_asked() -> None:
    setup = Setup()
    await setup.look()
    setup.world.choose("v2")
    setup.world.spec(paused=True)
    asked = setup.prometheus.asked
    seen = await setup.look()
    assert seen.judgement.state is State.PAUSED
    setup.world.now += 2 * HOUR
    assert await setup.look() == seen
    setup.world.put(builders.model_version("v3"))
    setup.world.choose("v3")
    assert "v3 is on its way" in (await setup.look()).judgement.message
    assert setup.prometheus.asked == asked
    setup.world.choose("v1")
    assert (await setup.look()).judgement.state is State.STEADY


async def test_a_clock_that_was_ahead_for_days_stops_nothing() -> None:
    setup = Setup()
    first = await setup.look()
    setup.world.now += 3 * DAY
    await setup.look()
    setup.world.now -= 3 * DAY
    again = await setup.look()
    assert again.judgement.looked_at == first.judgement.looked_at
    assert again.judgement.state is State.STEADY


async def test_without_drift_in_the_spec_or_without_the_rollout_nothing_is_asked() -> None:
    setup = Setup()
    setup.world.edit(ROLLOUT, "line", lambda obj: obj["spec"].pop("drift"))
    found = await setup.controller.observe(LINE)
    assert found is not None
    assert found.snapshot.drift is None
    setup.world.delete(ROLLOUT, "line")
    assert await setup.controller.observe(LINE) is None
    assert setup.prometheus.asked == 0


async def test_the_baseline_comes_to_the_revision_and_a_restart_goes_by_it() -> None:
    setup = Setup()
    found = await setup.controller.observe(LINE)
    assert found is not None
    decision = setup.controller.decide(found, setup.world.now)
    for action in decision.actions:
        setup.world._carry_out(action)
    (raw,) = setup.world.store.list(CONTROLLER_REVISION, "factory")
    kept = raw["metadata"]["annotations"]["modelfleet.dev/drift-baseline"]
    assert list(drift.unpack(kept).means) == ["fleet-0"]
    setup.world.now += DAY
    assert (await setup.look()).baseline == kept
    assert setup.controller.decide(await position(setup), setup.world.now).actions == ()


async def position(setup: Setup) -> Position:
    found = await setup.controller.observe(LINE)
    assert found is not None
    return found


OF_ANOTHER_BASIS = drift.pack(drift.Anchor(builders.START, "other", np.zeros(4, np.float32)))


@pytest.mark.parametrize("kept", ["damaged", OF_ANOTHER_BASIS])
async def test_a_baseline_that_is_of_no_use_is_built_again(kept: str) -> None:
    setup = Setup()
    (raw,) = setup.world.store.list(CONTROLLER_REVISION, "factory")
    setup.world.edit(
        CONTROLLER_REVISION,
        raw["metadata"]["name"],
        lambda obj: obj["metadata"]["annotations"].update({"modelfleet.dev/drift-baseline": kept}),
    )
    seen = await setup.look()
    assert seen.judgement.state is State.STEADY
    assert list(drift.unpack(seen.baseline).means) == ["fleet-0"]


async def test_strata_are_read_from_the_nodes() -> None:
    setup = Setup(stratifyBy="site")
    raw = setup.world.store.get(NODE, "", "fleet-0")
    assert raw is not None
    setup.world.put({**raw, "metadata": {**raw["metadata"], "labels": {"group": "fleet", "site": "north"}}})
    assert (await setup.look()).plan.strata == {"fleet-0": "north"}


async def test_a_change_of_state_is_written_down_once(caplog: pytest.LogCaptureFixture) -> None:
    setup = Setup()
    with caplog.at_level(logging.INFO, "modelfleet.rollout.watching"):
        await setup.look()
        setup.world.now += HOUR
        await setup.look()
    (record,) = [each for each in caplog.records if "watch for drift" in each.message]
    assert "Steady" in record.message
    written = record.__dict__["modelfleet_fields"]["drift"]
    assert (written["state"], written["version"], written["declared"]) == ("Steady", "v1", False)
    caplog.clear()
    with caplog.at_level(logging.INFO, "modelfleet.rollout.watching"):
        setup.world.choose("v2")
        setup.world.spec(paused=True)
        await setup.look()
        await setup.look()
    (record,) = [each for each in caplog.records if "watch for drift" in each.message]
    assert "Paused: v2 is on its way" in record.message


BY_PEOPLE = {"signals": [{"name": "confidence", "minDrop": "0.05"}, {"name": "reviewed-recall", "minimum": "0.85"}]}


def recall(value: str, low: str, high: str) -> dict[str, Any]:
    return {"version": "v1", "frames": 420, "recall": {"value": value, "low": low, "high": high}}


async def test_a_review_is_seen_at_once_and_prometheus_is_not_asked_for_it(caplog: pytest.LogCaptureFixture) -> None:
    setup = Setup(**BY_PEOPLE)
    first = await setup.look()
    assert first.judgement.state is State.STEADY
    asked = setup.prometheus.asked
    setup.world.put(dataset(found=recall("0.78", "0.74", "0.82")))
    with caplog.at_level(logging.INFO, "modelfleet.rollout.watching"):
        found = await setup.look()
        assert found.judgement.state is State.DRIFTING
        assert await setup.look() == found
    (record,) = [each for each in caplog.records if "watch for drift" in each.message]
    written = record.__dict__["modelfleet_fields"]["drift"]
    assert written["declaredBy"] == ["reviewed-recall"]
    assert written["policy"]["reviewed"] == [{"name": "reviewed-recall", "minimum": 0.85}]
    setup.world.edit(DATASET, "parts", lambda obj: obj["status"].update(review=recall("0.9", "0.87", "0.93")))
    assert (await setup.look()).judgement.state is State.STEADY
    assert setup.prometheus.asked == asked


async def test_a_review_declares_drift_while_prometheus_is_away_and_before_there_is_a_baseline() -> None:
    setup = Setup(**BY_PEOPLE)
    setup.prometheus.down = True
    setup.world.put(dataset(found=recall("0.78", "0.74", "0.82")))
    found = await setup.look()
    assert (found.judgement.state, found.judgement.declared) == (State.DRIFTING, True)
    assert "no answer" in found.judgement.message
    asked = setup.prometheus.asked
    setup.world.now += timedelta(minutes=5)
    setup.prometheus.down = False
    assert "behaves as in its baseline" in (await setup.look()).judgement.message
    assert setup.prometheus.asked > asked


async def test_while_a_version_is_on_its_way_a_review_is_not_judged() -> None:
    setup = Setup(**BY_PEOPLE)
    setup.world.choose("v2")
    setup.world.spec(paused=True)
    setup.world.put(dataset(found=recall("0.78", "0.74", "0.82")))
    seen = await setup.look()
    assert (seen.judgement.state, seen.judgement.declared) == (State.PAUSED, False)
    assert await setup.look() == seen


def test_a_record_says_by_what_it_was_decided() -> None:
    hours = Fleet(precision=-0.1).hours()
    judgement = drift.judge(plan_of(), hours, None, drift.Before(), hours.end)
    record = drift.audit.record(plan_of(), judgement)
    assert record["state"] == "Drifting"
    assert record["policy"]["signals"][0] == {"name": "confidence", "change": -0.05}
    assert record["signals"][0]["change"] == pytest.approx(-0.1, abs=0.02)
    assert record["examples"]
    assert record["lookedAt"] == "2026-11-16T00:00:00Z"


def test_gauges_show_the_watches_there_are() -> None:
    hours = Fleet(precision=-0.1).hours()
    judgement = drift.judge(plan_of(), hours, None, drift.Before(), hours.end)
    families = {
        family.name: {tuple(sample.labels.values())[3:]: sample.value for sample in family.samples}
        for family in DriftGauges({LINE: Watch(DriftSeen(plan_of(), judgement))}).collect()
    }
    assert families["modelfleet_drift_state"][("Drifting",)] == 1
    assert sum(families["modelfleet_drift_state"].values()) == 1
    assert families["modelfleet_drift_nodes"][()] == families["modelfleet_drift_nodes_down"][()] == 10
    assert (
        families["modelfleet_drift_change"][("confidence",)] < families["modelfleet_drift_threshold"][("confidence",)]
    )
    assert families["modelfleet_drift_look_timestamp_seconds"][()] == hours.end.timestamp()
    assert all(not family.samples for family in DriftGauges({}).collect())
