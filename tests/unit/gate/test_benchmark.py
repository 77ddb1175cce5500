"""The benchmark runs, and is the same each time."""

import json
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    from gate import run, scenarios, simulator

    return run, scenarios, simulator


def test_a_gate_of_every_scenario(bench):
    run, scenarios, _ = bench
    found = [cell for s in scenarios.SCENARIOS for margins in run.MARGINS for cell in run.cells(s.name, margins, 1)]
    for cell in found:
        assert cell.rolled_back + cell.promoted + cell.undecided == pytest.approx(1)
    measured = json.loads((BENCHMARKS.parent / "docs/gate-benchmark-measured.json").read_text())
    page = run.report(found, 1, measured)
    for scenario in scenarios.SCENARIOS:
        assert scenario.about
        assert page.count(f"| {scenario.name} |") == 3
    assert f"| detections per frame | 2 | {measured['per_frame']:g} |" in page


def test_the_same_seed_gives_the_same_gate(bench):
    run, _, _ = bench
    assert run.cells("mean shift", 1.0, 3) == run.cells("mean shift", 1.0, 3)


@pytest.mark.parametrize("name", ["mean shift", "variance only", "one class only"])
def test_a_margin_is_a_margin(bench, name):
    """The expected precision of the canary nodes changes by what the scenario says, against their own past."""
    _, scenarios, simulator = bench
    scenario = scenarios.BY_NAME[name]
    changes = []
    for seed in range(60):
        made = simulator.simulate(scenario.world, scenario.change, 2.0, seed)
        figures = [
            (counts.sum(axis=1) @ simulator.TRUTH / counts.sum(axis=(1, 2)))
            for counts in (made.before[0], made.after[0])
        ]
        change = figures[1] - figures[0]
        changes.append(change[made.canary].mean() - change[~made.canary].mean())
    assert np.mean(changes) == pytest.approx(-2 * scenarios.MARGIN, abs=0.006)


def test_missed_objects_are_missed_and_confidence_rises(bench):
    _, scenarios, simulator = bench
    world = scenarios.BY_NAME["missed objects"].world
    made = simulator.simulate(world, scenarios.missed, 2.0, 1)
    kept = made.after[0][made.canary].sum(axis=(0, 1))
    assert kept[0] == kept[1] == 0
    true = simulator.BASE * simulator.TRUTH
    draft = simulator.Draft(world, np.random.default_rng(1), np.zeros((16, 72)), np.zeros((16, 72)))
    scenarios.missed(draft, 2.0)
    assert (true * draft.kept).sum() / true.sum() == pytest.approx(0.81)
