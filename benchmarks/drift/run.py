"""Runs every judge on simulated fleets and writes the tables and plots: `python -m drift.run --out docs`.

Seeds are fixed: the same code gives the same tables. `--runs` fleets are simulated for each scenario.
"""

import argparse
import json
import platform
import time
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from drift import checks, streams
from drift.cell import STREAM_NODES, STREAM_RUNS, Cell, First
from drift.judges import JUDGES, Case, declared
from drift.scenarios import BY_NAME, COMPARED, SCENARIOS
from drift.simulator import World, simulate
from modelfleet.drift.judgement import State

BATCH = 25
Key = tuple[str, str, State]


def batch(name: str, first: int, runs: int) -> dict[Key, list[First]]:
    """When each judge declared what, in some runs of a scenario."""
    scenario = BY_NAME[name]
    found: dict[Key, list[First]] = defaultdict(list)
    for run in range(first, first + runs):
        seed = crc32(name.encode()) + run
        case = Case(scenario, simulate(scenario.world, scenario.change, scenario.onset, seed), seed)
        for judge, states in declared(case, name in COMPARED).items():
            for state, when in states.items():
                found[name, judge, state].append(when)
        if name in COMPARED:
            for judge, decide in JUDGES.items():
                found[name, judge, State.DRIFTING].append(decide(case))
    return dict(found)


def stream_batch(name: str, first: int, runs: int) -> dict[Key, list[First]]:
    """The same of river's detectors, on smaller fleets."""
    scenario = BY_NAME[name]
    found: dict[Key, list[First]] = defaultdict(list)
    world = World(**{**asdict(scenario.world), "nodes": STREAM_NODES})
    for run in range(first, first + runs):
        seed = crc32(name.encode()) + run
        case = Case(scenario, simulate(world, scenario.change, scenario.onset, seed), seed)
        for judge, decide in streams.judges().items():
            found[name, judge, State.DRIFTING].append(decide(case))
    return dict(found)


def run(runs: int, jobs: int, with_streams: bool, seed: int = 0) -> list[Cell]:
    """All scenarios, on `jobs` processes, with a line of progress now and then. `seed`: added to that of each run."""
    work = [
        (batch, scenario.name, first, min(BATCH, total - first))
        for scenario in SCENARIOS
        for total in [max(1, round(runs * scenario.runs))]
        for first in range(0, total, BATCH)
    ]
    if with_streams:
        streamed = min(runs, STREAM_RUNS)
        work = [
            (stream_batch, name, n, min(4, streamed - n)) for name in COMPARED for n in range(0, streamed, 4)
        ] + work
    # whatever takes longest comes first
    work.sort(key=lambda each: -BY_NAME[each[1]].world.nodes * (10 if each[0] is stream_batch else 1))
    start = time.monotonic()
    merged: dict[Key, list[First]] = defaultdict(list)
    with ProcessPoolExecutor(jobs) as pool:
        futures = [pool.submit(call, name, seed + first, count) for call, name, first, count in work]
        for number, _ in enumerate(as_completed(futures), 1):
            if number % 10 == 0 or number == len(work):
                print(f"{number}/{len(work)} ({time.monotonic() - start:.0f} s)", flush=True)
        for future in futures:
            for key, firsts in future.result().items():
                merged[key] += firsts
    return [Cell.of(BY_NAME[name], judge, state, firsts) for (name, judge, state), firsts in merged.items()]


def checked() -> dict[str, Any]:
    """What is measured once."""
    from drift.month import month  # the test cluster's tools are wanted only here

    scenario = BY_NAME["sudden, 1.5 x minDrop"]
    small = replace(scenario, world=replace(scenario.world, nodes=10))
    looks, differ = checks.restarts(tuple(BY_NAME[name] for name in ("A/A", "sudden, 1.5 x minDrop")), 1)
    return {
        "restart_looks": looks,
        "restart_differ": differ,
        "seconds": checks.seconds_of_a_look(10_000),
        "queries": checks.queries_of_a_look(),
        "month": month(small, 1),
    }


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200, help="fleets for each scenario")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--seed", type=int, default=0, help="another one: other fleets, to see whether a figure holds")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder for the page and the plots")
    parser.add_argument("--without-river", action="store_true", help="leave out the judges that need river")
    parser.add_argument("--redraw", action="store_true", help="page and plots again, from the figures of the last run")
    options = parser.parse_args()
    figures = options.out / "drift-benchmark.json"
    if options.redraw:
        data = json.loads(figures.read_text(encoding="utf-8"))
    else:
        found = run(options.runs, options.jobs, not options.without_river, options.seed)
        data = {"python": platform.python_version(), "numpy": np.__version__, "runs": options.runs}
        data |= {"checks": checked(), "cells": [asdict(cell) for cell in found]}
        options.out.mkdir(parents=True, exist_ok=True)
        figures.write_text(json.dumps(data) + "\n", encoding="utf-8")
    from drift import page, plots  # matplotlib is wanted only here

    cells = [Cell(**cell) for cell in data["cells"]]
    text = page.report(cells, data["runs"], data["checks"])
    print(text)
    (options.out / "drift-benchmark.md").write_text(text, encoding="utf-8")
    plots.draw(cells, options.out)


if __name__ == "__main__":
    main()
