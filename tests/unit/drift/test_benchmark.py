"""The benchmark runs, and is the same each time; its fast judge says what the operator's says, hour by hour."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    from drift import checks, ours, page, run, scenarios, simulator

    return checks, ours, page, run, scenarios, simulator


def small(scenario, nodes=4, days=14):
    """The same on a few nodes, for a few days."""
    few = min(nodes, scenario.world.nodes)
    return replace(scenario, world=replace(scenario.world, nodes=few, days=days, sites=min(2, scenario.world.sites)))


def test_a_fleet_of_every_scenario(bench, monkeypatch):
    _, _, page, run, scenarios, _ = bench
    fewer = {name: small(scenario) for name, scenario in scenarios.BY_NAME.items()}
    monkeypatch.setattr(run, "BY_NAME", fewer)
    cells = [
        run.Cell.of(fewer[name], judge, state, firsts)
        for scenario in scenarios.SCENARIOS
        for (name, judge, state), firsts in run.batch(scenario.name, 0, 1).items()
    ]
    month = {"nodes": 10, "looks": 840, "differ": 2, "declared": 42, "declared_by_counts": 43, "seconds": 44.0}
    checked = {"restart_looks": 10, "restart_differ": 0, "seconds": 0.5, "queries": 6, "month": month}
    text = page.report(cells, 1, checked)
    for scenario in scenarios.SCENARIOS:
        assert scenario.about
        assert text.count(f"\n| {scenario.name} |") == 2
    assert text.count("| **missed** |") + text.count("| missed, within chance |") + text.count("| met |") == 16
    assert {"A/A", "weather x2"} < {scenario.name for scenario in scenarios.SCENARIOS}


def test_the_same_seed_gives_the_same_runs(bench):
    _, _, _, run, scenarios, _ = bench
    name = scenarios.COMPARED[2]
    assert run.batch(name, 3, 1) == run.batch(name, 3, 1)


@pytest.mark.parametrize(
    ("name", "days"),
    [
        ("sudden, 2 x minDrop", 13),
        ("hard objects missed, 35%", 13),
        ("30 hours without figures", 13),
        ("A/A, baseline of 3 days", 9),
    ],
)
def test_all_looks_at_once_say_what_the_operator_says_hour_by_hour(bench, name, days):
    checks, ours, _, _, scenarios, simulator = bench
    scenario = small(scenarios.BY_NAME[name], 6, days)
    recording = simulator.simulate(scenario.world, scenario.change, scenario.onset, 1)
    steps = [judgement.state for judgement in checks.course(recording, scenario.policy, forgetful=False)]
    assert ours.judged(scenario.policy, recording.table()) == [steps]
    assert ours.remembered(scenario.policy, recording.table(), None, scenario.policy.parts) == steps
    if scenario.wanted is not None:
        assert scenario.wanted in steps
    else:
        assert not {"Drifting", "MoreConfident", "FewerObjects"} & set(steps)


def test_a_restart_changes_no_judgement(bench):
    checks, _, _, _, scenarios, _ = bench
    looks, differ = checks.restarts((small(scenarios.BY_NAME["sudden, 2 x minDrop"], 3, 13),), 1)
    assert (looks, differ) == (13 * 24, 0)


@pytest.mark.parametrize("times", [0.6, 1.25, 2.0])
def test_a_fall_is_as_large_as_it_says(bench, times):
    _, _, _, _, scenarios, simulator = bench
    scenario = scenarios.BY_NAME[f"sudden, {times:g} x minDrop"]
    changed, same = (
        simulator.simulate(scenario.world, change, scenario.onset, 1).detections[:, scenario.onset :].sum(axis=(0, 1))
        for change in (scenario.change, scenarios.nothing)
    )
    fall = changed @ simulator.TRUTH / changed.sum() - same @ simulator.TRUTH / same.sum()
    assert fall == pytest.approx(-times * scenarios.MIN_DROP, rel=0.1)


def test_missing_hard_objects_raises_the_confidence(bench):
    *_, simulator = bench
    place = simulator._place(simulator.PRECISION)
    usual, fewer = simulator.shares()[place], simulator.shares(0.2)[place]
    assert usual.sum() == pytest.approx(1)
    assert fewer.sum() == pytest.approx(0.8)
    assert (fewer <= usual + 1e-12).all()
    assert fewer @ simulator.TRUTH / 0.8 == pytest.approx(usual @ simulator.TRUTH + 0.051, abs=0.01)


def test_weather_is_as_wide_as_it_says(bench):
    *_, simulator = bench
    drawn = simulator.weather(simulator.World(days=200), np.random.default_rng(1), 50)
    assert drawn.reshape(50, 200, 24).mean(axis=2).std() == pytest.approx(1, rel=0.05)


def test_intervals(bench):
    _, _, page, run, scenarios, _ = bench
    assert page.share(0, 200) == "0% (0-1.9)"
    assert page.share(9, 200) == "4.5% (2.4-8.3)"
    cell = run.Cell.of(scenarios.BY_NAME["A/A"], "j", run.State.DRIFTING, [None, 100, 240, 250, 260, 270])
    assert (cell.before, cell.delays, cell.declared, cell.within(20)) == (2, [10, 20, 30], 5, 2)
    assert (cell.quantile(0.5), cell.quantile(1.0)) == (20, float("inf"))
