"""Active gates in the operator's metrics and in its log: what is shown, when it goes away, how much there is of it."""

import json
import logging
import types
from dataclasses import replace
from datetime import timedelta

import pytest
from prometheus_client.exposition import generate_latest

from modelfleet import telemetry
from modelfleet.gate import ComparisonMethod, EndpointName, Figure
from modelfleet.kinds import CONTROLLER_REVISION, NODE, ROLLOUT, Key
from modelfleet.prometheus import ProviderDown
from modelfleet.rollout import controller
from modelfleet.rollout import observe as observe_module
from modelfleet.rollout.metrics import GateGauges, Look
from unit.gate.builders import EQUAL, FLEET, Recorded, canary, control, plan
from unit.rollout import builders
from unit.rollout.simulation import World, installed

LINE = Key("factory", "line")
GATE = {"soak": "10m", "interval": "1m", "timeout": "1h", "comparison": {"minDetections": 100}}


class Watched:
    """A world in which v2 is judged on the canary, and an operator process that looks at it."""

    def __init__(self, world: World | None = None, nodes=FLEET, gate=None) -> None:
        self.provider = Recorded(nodes)
        self.asked_for: list[str | None] = []
        if world is None:
            world = installed()
            world.spec(gate=gate or GATE)
            world.choose("v2")
            world.run(lambda: world.phase == "Soaking")
        self.world = world
        self.start()

    def start(self) -> None:
        """A new process."""
        self.metrics = telemetry.Metrics("test")
        self._deps = types.SimpleNamespace(
            store=self.world.store,
            prometheus=self,
            metrics=self.metrics,
            clock=lambda: self.world.now,
            settings=builders.SETTINGS,
        )
        self._controller = controller(self._deps)  # type: ignore[arg-type]

    def get(self, name):
        """The provider of a name, as `Providers` has it."""
        self.asked_for.append(name)
        return self.provider if name in (None, "west") else ProviderDown(f"no provider {name}")

    async def look(self, minutes: float = 0):
        """Look again, so much later."""
        self.world.now += timedelta(minutes=minutes)
        return await self._controller.observe(LINE)

    @property
    def series(self) -> list[str]:
        lines = generate_latest(self.metrics.registry).decode().splitlines()
        return [line for line in lines if line.startswith("modelfleet_gate_")]

    def value(self, name: str, **labels: str) -> float | None:
        of = {"namespace": "factory", "rollout": "line", "group": "canary", "version": "v2", **labels}
        return self.metrics.registry.get_sample_value(f"modelfleet_gate_{name}", of)

    @property
    def verdicts(self) -> dict[str, float]:
        known = ("Pass", "Fail", "Inconclusive", "NoData", "ProviderDown")
        return {name: value for name in known if (value := self.value("verdict", verdict=name)) is not None}


async def test_both_endpoints_are_shown_with_their_margins():
    found = Watched(nodes=(canary(counts=tuple(c * 0.95 for c in EQUAL)), control("cam-2"), control("cam-3")))
    await found.look(5)
    assert found.value("estimate", endpoint="precision") == pytest.approx(0)
    assert found.value("estimate", endpoint="detections") == pytest.approx(-0.05)
    assert found.value("margin", endpoint="precision") == 0.03
    assert found.value("margin", endpoint="detections") == pytest.approx(0.1)
    assert found.value("interval_lower", endpoint="precision") is None  # Threshold has none
    assert (found.value("nodes", side="canary"), found.value("nodes", side="control")) == (1, 2)
    assert found.value("detections") == 950
    assert found.value("looks") == 3
    assert found.verdicts == {"Pass": 0, "Fail": 0, "Inconclusive": 1, "NoData": 0, "ProviderDown": 0}


async def test_a_version_that_finds_nothing_has_no_precision_and_loses_everything():
    found = Watched(nodes=(canary(counts=(0,) * 10), control("cam-2"), control("cam-3")))
    await found.look(5)
    assert found.value("estimate", endpoint="precision") is None
    assert found.value("estimate", endpoint="detections") == -1
    assert found.verdicts["Fail"] == 1


async def test_a_provider_that_is_down_leaves_no_figures():
    found = Watched()
    await found.look(5)
    assert found.value("estimate", endpoint="precision") is not None
    found.provider.down = ProviderDown("gone")
    await found.look(5)
    assert found.value("estimate", endpoint="precision") is None
    assert found.verdicts["ProviderDown"] == 1


async def test_nodes_set_aside_are_counted():
    found = Watched(nodes=(canary(), canary("cam-9", coverage=0.1), control("cam-2"), control("cam-3", frames=0)))
    await found.look(5)
    assert (found.value("nodes", side="canary"), found.value("nodes_set_aside", side="canary")) == (1, 1)
    assert (found.value("nodes", side="control"), found.value("nodes_set_aside", side="control")) == (1, 1)


async def test_the_number_of_series_is_bounded_whatever_the_fleet():
    many = [canary(f"c{i}") for i in range(50)] + [control(f"n{i}") for i in range(200)]
    threshold = {**GATE, "comparison": {"method": "Threshold"}}
    few, large = Watched(gate=threshold), Watched(nodes=many, gate=threshold)
    await few.look(5)
    await large.look(5)
    assert len(large.series) == len(few.series) == 16
    figures = tuple(Figure(name, 0.0, 0.1, (-0.1, 0.1)) for name in EndpointName)
    judgement = replace((await large.look()).snapshot.judgement, endpoints=figures)
    shown = list(GateGauges({LINE: Look(plan(), judgement, judgement.verdict)}).collect())
    assert sum(len(family.samples) for family in shown) == 20
    # what docs/gate.md promises
    assert {family.name: tuple(family.samples[0].labels)[4:] for family in shown} == {
        "modelfleet_gate_estimate": ("endpoint",),
        "modelfleet_gate_interval_lower": ("endpoint",),
        "modelfleet_gate_interval_upper": ("endpoint",),
        "modelfleet_gate_margin": ("endpoint",),
        "modelfleet_gate_verdict": ("verdict",),
        "modelfleet_gate_nodes": ("side",),
        "modelfleet_gate_nodes_set_aside": ("side",),
        "modelfleet_gate_detections": (),
        "modelfleet_gate_looks": (),
        "modelfleet_gate_start_timestamp_seconds": (),
    }


@pytest.mark.parametrize("end", ["abort", "promote", "delete", "deleting", "other version"])
async def test_series_go_away_with_their_gate(end):
    found = Watched()
    await found.look(5)
    assert found.series
    if end in ("abort", "promote"):
        found.world.annotate(end, "v2")
        found.world.operate()
    elif end == "delete":
        found.world.delete(ROLLOUT, "line")
    elif end == "deleting":
        stamp = builders.wire(found.world.now)
        found.world.edit(ROLLOUT, "line", lambda obj: obj["metadata"].update(deletionTimestamp=stamp))
    else:
        found.world.choose("v1")
    await found.look()
    assert found.series == []


async def test_a_new_process_shows_the_same():
    found = Watched()
    await found.look(5)
    before = found.series
    found.start()
    assert found.series == []
    await found.look()
    assert found.series == before


async def test_a_pass_stands_while_later_looks_can_not_decide():
    found = Watched()
    await found.look(5)
    gate, candidate = found.world.status["gate"], found.world.status["candidateRevision"]
    mark = {"modelfleet.dev/gate-passed": f"{gate['group']} {gate['startedAt']}"}
    found.world.edit(CONTROLLER_REVISION, candidate, lambda obj: obj["metadata"]["annotations"].update(mark))
    found.world.edit(ROLLOUT, "line", lambda obj: obj["status"]["gate"].update(verdict="Pass"))
    await found.look(1)
    assert found.verdicts["Pass"] == 1


async def test_verdicts_are_counted_when_they_change():
    found = Watched()

    def counted(verdict):
        return found.metrics.registry.get_sample_value("modelfleet_operator_gate_verdicts_total", {"verdict": verdict})

    assert counted("Fail") == 0  # there before the first, so that Prometheus sees it rise
    found.world.edit(ROLLOUT, "line", lambda obj: obj["status"]["gate"].pop("verdict", None))
    for _ in range(3):
        await found.look(1)
        found.world.edit(ROLLOUT, "line", lambda obj: obj["status"]["gate"].update(verdict="Inconclusive"))
    assert counted("Inconclusive") == 1
    found.provider.down = ProviderDown("gone")
    await found.look(1)
    assert counted("ProviderDown") == 1


# --- the provider and the strata --------------------------------------------------------------------------------------


async def test_the_named_provider_is_asked():
    found = Watched(gate={**GATE, "provider": "west"})
    seen = await found.look(5)
    assert found.asked_for == ["west"]
    assert seen.snapshot.judgement.verdict == "Inconclusive"


async def test_an_unknown_provider_holds_and_is_never_good_or_bad():
    found = Watched(gate={**GATE, "provider": "north"})
    seen = await found.look(30)
    assert (seen.snapshot.judgement.verdict, seen.snapshot.judgement.reason) == ("ProviderDown", "ProviderDown")
    assert "no provider north" in seen.snapshot.judgement.message
    assert found.provider.asked == []


async def test_strata_are_the_labels_that_the_nodes_have_at_the_look(monkeypatch):
    stratified = {"comparison": {"method": ComparisonMethod.PERMUTATION.value, "stratifyBy": "site"}}
    found, plans = Watched(gate={**GATE, **stratified}), []

    async def gather(prometheus, plan, now):
        plans.append(plan)
        return await original(prometheus, plan, now)

    original = observe_module.gate.observe.gather
    monkeypatch.setattr(observe_module.gate.observe, "gather", gather)
    await found.look(3)
    assert plans[-1].strata == {}
    name = found.world.store.list(NODE)[0]["metadata"]["name"]
    found.world.edit(NODE, name, lambda obj: obj["metadata"]["labels"].update(site="a"))
    await found.look()
    assert len(plans) == 1  # not a look more than without
    await found.look(1)
    assert plans[-1].strata == {name: "a"}


# --- the audit --------------------------------------------------------------------------------------------------------


async def test_a_decision_is_one_record_with_real_fields(caplog):
    found = Watched()
    with caplog.at_level(logging.INFO, "modelfleet.rollout.observe"):
        await found.look(5)
    (record,) = caplog.records
    line = json.loads(telemetry.JsonFormatter().format(record))
    assert line["message"].startswith("judged v2 on group canary: Inconclusive (Soaking). v2 on group canary is fine")
    assert line["judgement"]["plan"]["rollout"] == "line"
    assert [query["query"] for query in line["judgement"]["queries"]] == [query for query, _ in found.provider.asked]


async def test_a_record_is_written_when_something_changed_and_not_at_each_look(caplog):
    found, written = Watched(), []
    with caplog.at_level(logging.INFO, "modelfleet.rollout.observe"):
        for minute in range(40):
            if minute == 20:
                found.provider.down = ProviderDown("gone")
            await found.look(1)
            await found.look()
            written += [(minute, record.args[3]) for record in caplog.records]
            caplog.clear()
    assert [reason for _, reason in written[:3]] == ["Waiting", "Undecided", "Soaking"]
    assert (20, "ProviderDown") in written
    assert len(written) <= 3 + 40 / 5


def test_a_summary_says_how_many_nodes_are_ready():
    world = World()
    world.put(builders.model_version("v1"))
    world.put(builders.rollout("v1"))
    world.operate()
    assert world.status["summary"] == f"{world.status['currentGroup']}: 0/{world.status['groups'][0]['nodes']} ready"
    world = installed()
    nodes = sum(group["nodes"] for group in world.status["groups"])
    assert world.status["summary"] == f"{nodes}/{nodes} ready"
