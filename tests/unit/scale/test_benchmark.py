"""The scale benchmark: its fleet installs and upgrades, its page says what was measured."""

import json
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    from scale import fleet, page

    return fleet, page


def test_a_fleet_is_installed_and_upgraded(bench):
    fleet, _ = bench
    found = fleet.Fleet(60)
    for version in ("v1", "v2"):
        found.put(fleet._version(version))
        status = (found.store.get(fleet.ROLLOUT, *fleet.KEY) or {}).get("status")
        found.put(fleet._rollout(version, status))
        assert found.bring(version) > 0
    status = found.store.get(fleet.ROLLOUT, *fleet.KEY)["status"]
    assert [(group["name"], group["nodes"], group["ready"]) for group in status["groups"]] == [
        ("canary", 1, 1),
        ("fleet", 59, 59),
    ]
    assert [entry["version"] for entry in status["history"]] == ["v2", "v1"]


@pytest.mark.parametrize("power", [0.5, 1, 2])
def test_the_growth_exponent_is_fitted(bench, power):
    _, page = bench
    assert page.exponent([(size, 3 * size**power) for size in (10, 100, 1000)]) == pytest.approx(power)


def cost(side, objects, **changes):
    return {
        "side": side,
        "objects": objects,
        "processor_seconds": 0.02 * objects,
        "delay_p50": 1.0,
        "delay_p99": 2.0,
        "applied_seconds": 3.0,
        "rested_seconds": 4.0,
        "writes": {"daemonsets": objects, "events": objects, "rollouts/status": objects},
        "reads": 0,
        "peak_bytes": 1,
        "idle_bytes": 140_000_000,
        "idle_processor_seconds": 0.0,
        "idle_writes": {},
        "idle_reads": {},
        "start_seconds": 1.0,
        "start_processor_seconds": 1.0,
        "started_bytes": 1,
    } | changes


def sizes(number):
    return {
        "nodes": number,
        "look_seconds": number / 1e5,
        "quiet_look_seconds": number / 1e5,
        "install_seconds": number / 1e3,
        "upgrade_seconds": number / 1e3,
        "status_bytes": 1_000,
    }


ABOUT = {"date": "2026-11-27", "processors": 2, "processor": "x", "kernel": "6", "kubernetes": "v1"}


@pytest.mark.parametrize(
    ("ours", "missed"),
    [
        ({}, []),
        ({"delay_p99": 6.1}, ["delay p99, 1,000 Rollouts"]),
        ({"idle_bytes": 151_000_000}, ["memory with 1,000 at rest"]),
        ({"idle_reads": {"watch pods": 1}}, ["requests in 30 s at rest"]),
        ({"writes": {"events": 5_000}}, ["writes for each of 1,000, Events included"]),
        ({"writes": {"events": 4_001}}, ["writes for each of 1,000, Events included"]),
        ({"writes": {"events": 4_000}}, []),
        ({"processor_seconds": 41.0}, ["processor time, 1,000 Rollouts, over Argo's", "growth in Rollouts, from 100"]),
    ],
)
def test_a_goal_that_is_missed_is_shown(bench, ours, missed):
    _, page = bench
    costs = [
        cost("modelfleet", 100),
        cost("modelfleet", 1000, **ours),
        cost("Argo Rollouts", 1000, processor_seconds=40),
    ]
    fleets = [sizes(100), sizes(1000)]
    assert [goal.what for goal in page.goals(costs, fleets) if not goal.met] == missed
    text = page.page({"about": ABOUT, "costs": costs, "fleets": fleets})
    assert text.count("**missed**") == len(missed)
    assert "| Argo Rollouts | 1,000 | 40.0 |" in text


def test_the_growth_of_the_last_step_is_not_flattened_by_the_smallest_size(bench):
    _, page = bench
    fleets = [sizes(100) | {"look_seconds": 0.009}, sizes(1_000), sizes(10_000)]
    text = page.page({"about": ABOUT, "costs": [cost("modelfleet", 1000)], "fleets": fleets})
    assert "Between the two largest sizes alone: one look 1.00, a whole install 1.00, an upgrade 1.00." in text


def test_the_page_in_docs_is_that_of_its_figures(bench):
    _, page = bench
    docs = BENCHMARKS.parent / "docs"
    found = json.loads((docs / "scale-benchmark.json").read_text())
    assert (docs / "scale-benchmark.md").read_text() == page.page(found)


def test_growth_in_nodes_is_judged_by_the_two_largest_sizes(bench):
    _, page = bench
    fleets = [
        sizes(100),
        sizes(1_000) | {"install_seconds": 0.1},
        sizes(10_000) | {"install_seconds": 1.5, "look_seconds": 0.05},
    ]
    missed = [goal for goal in page.goals([cost("modelfleet", 1000)], fleets) if not goal.met]
    assert [(goal.what, goal.measured) for goal in missed] == [
        ("growth in nodes, an install, the two largest sizes", "1.18"),
    ]
