"""Runs every judge on every scenario and writes the tables and plots: `python -m gate.run --out docs`.

Seeds are fixed: the same code gives the same tables. `--gates` gates are simulated for each scenario and each badness.
"""

import argparse
import json
import platform
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from gate.judges import JUDGES, Decision, Outcome, auto
from gate.scenarios import BY_NAME, MARGIN, SCENARIOS, Scenario
from gate.simulator import BASE, LOOK, LOOKS, TRUTH, World, simulate

OURS = "modelfleet Auto"
MARGINS = (0.0, 1.0, 2.0)
CURVE = (-1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
HORIZON = 24.0  # hours that a wrongly promoted version is counted to run on the whole fleet


@dataclass(frozen=True)
class Cell:
    """What one judge did with many gates of one scenario and badness."""

    scenario: str
    margins: float
    judge: str
    gates: int
    rolled_back: float
    promoted: float
    undecided: float
    median_hours: float
    p90_hours: float
    node_hours: float

    @staticmethod
    def of(scenario: Scenario, margins: float, judge: str, outcomes: Sequence[Outcome]) -> "Cell":
        hours = np.array([outcome.look * LOOK / 60 for outcome in outcomes])
        promoted = np.array([outcome.decision is Decision.PROMOTED for outcome in outcomes])
        exposed = scenario.world.canaries * hours + promoted * scenario.world.nodes * (HORIZON - hours)
        return Cell(
            scenario.name,
            margins,
            judge,
            len(outcomes),
            *(
                float(np.mean([o.decision is d for o in outcomes]))
                for d in (Decision.ROLLED_BACK, Decision.PROMOTED, Decision.UNDECIDED)
            ),
            float(np.median(hours)),
            float(np.quantile(hours, 0.9)),
            float(exposed.mean()),
        )


def cells(name: str, margins: float, gates: int) -> list[Cell]:
    """All judges on the same simulated gates."""
    scenario = BY_NAME[name]
    first = crc32(f"{name}/{margins}".encode())
    recordings = [simulate(scenario.world, scenario.change, margins, first + gate) for gate in range(gates)]
    outcomes = {judge: [decide(recording) for recording in recordings] for judge, decide in JUDGES.items()}
    outcomes[OURS] = [outcomes[auto(recording)][gate] for gate, recording in enumerate(recordings)]
    return [Cell.of(scenario, margins, judge, decided) for judge, decided in outcomes.items()]


def run(work: Sequence[tuple[str, float]], gates: int, jobs: int) -> list[Cell]:
    """All scenarios, on `jobs` processes, with a line of progress for each."""
    found: list[Cell] = []
    start = time.monotonic()
    with ProcessPoolExecutor(jobs) as pool:
        futures = [pool.submit(cells, name, margins, gates) for name, margins in work]
        for number, ((name, margins), future) in enumerate(zip(work, futures, strict=True), 1):
            found += future.result()
            spent = time.monotonic() - start
            left = spent / number * (len(work) - number)
            print(
                f"{number}/{len(work)} {name}, {margins:+g} margins ({spent:.0f} s, about {left:.0f} s left)",
                flush=True,
            )
    return found


def percent(share: float) -> str:
    """`4.8%` below ten, `38%` above."""
    return f"{share:.1%}" if share < 0.0995 else f"{share:.0%}"


def grid(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def report(found: Sequence[Cell], gates: int, measured: Mapping[str, Any]) -> str:
    """The page docs/gate-benchmark.md."""
    index = {(cell.scenario, cell.margins, cell.judge): cell for cell in found}
    parts = [
        "# Benchmark of the gate",
        "",
        "Made by the make target bench-gate; do not edit. Simulated fleets of "
        f"{World().canaries} canary and {World().controls} control nodes, {LOOKS} looks, one every {LOOK} minutes, "
        f"margin {MARGIN:g}, alpha .05, {gates} gates in each cell with fixed seeds (a share of 5% is known to "
        f"± {1.96 * (0.05 * 0.95 / gates) ** 0.5:.1%}). 0, 1 and 2 margins: how much worse the new version really is.",
        "",
        "## Every judge, all detections a little worse",
        "",
        _headline(index),
        "",
        "![Decisions against how much worse the version is](gate-benchmark-curve.png)",
        "",
        "## Our judge in every scenario (method Auto)",
        "",
        _ours(index),
        "",
        _misses(index),
        "",
        "## Every judge in every scenario",
        "",
        "Equal version rolled back / version one margin worse promoted / version two margins worse promoted.",
        "",
        _everyone(index),
        "",
        "![Wrong decisions by judge](gate-benchmark-judges.png)",
        "",
        "## What was simulated",
        "",
        _parameters(),
        "",
        "## What the demo's agents show",
        "",
        _measured(measured),
    ]
    return "\n".join(parts) + "\n"


def _headline(index: Mapping[tuple[str, float, str], Cell]) -> str:
    header = [
        "judge",
        "equal: rolled back",
        "1 margin worse: promoted",
        "2 margins worse: promoted",
        "equal: undecided",
    ]
    header += ["hours to a decision at 2 margins, median / p90", "node-hours on a version 2 margins worse"]
    rows = []
    for judge in JUDGES:
        equal, one, two = (index["mean shift", margins, judge] for margins in MARGINS)
        row = [judge, percent(equal.rolled_back), percent(one.promoted), percent(two.promoted)]
        row += [percent(equal.undecided), f"{two.median_hours:g} / {two.p90_hours:g}", f"{two.node_hours:.0f}"]
        rows.append([f"**{cell}**" for cell in row] if judge == "modelfleet Permutation" else row)
    return grid(header, rows)


def _ours(index: Mapping[tuple[str, float, str], Cell]) -> str:
    header = ["scenario", "method", "equal: rolled back", "equal: undecided", "1 margin: promoted"]
    header += ["2 margins: promoted", "2 margins: rolled back", "looks to that, median / p90"]
    rows = []
    for scenario in SCENARIOS:
        equal, one, two = (index[scenario.name, margins, OURS] for margins in MARGINS)
        looks = (f"{hours * 60 / LOOK:g}" for hours in (two.median_hours, two.p90_hours))
        row = [scenario.name, "Permutation" if scenario.applies else "Threshold", percent(equal.rolled_back)]
        row += [percent(equal.undecided), percent(one.promoted), percent(two.promoted), percent(two.rolled_back)]
        rows.append([*row, " / ".join(looks)])
    return grid(header, rows)


def _misses(index: Mapping[tuple[str, float, str], Cell]) -> str:
    """Where the targets of the design are missed, by more than chance explains, and why."""
    lines = []
    for scenario in SCENARIOS:
        equal, one, two = (index[scenario.name, margins, OURS] for margins in MARGINS)
        slack = 1.645 * (0.05 * 0.95 / equal.gates) ** 0.5
        missed = [
            text
            for text, holds in (
                (f"an equal version is rolled back in {percent(equal.rolled_back)}", equal.rolled_back > 0.05 + slack),
                (f"a version one margin worse is promoted in {percent(one.promoted)}", one.promoted > 0.05 + slack),
                (f"only {percent(two.rolled_back)} two margins worse are rolled back", two.rolled_back < 0.95 - slack),
                (f"the median decision takes {two.median_hours * 60 / LOOK:g} looks", two.median_hours * 60 / LOOK > 2),
            )
            if holds
        ]
        if missed:
            lines.append(f"- **{scenario.name}**: {'; '.join(missed)}. {scenario.why}")
    targets = (
        "Targets where Permutation applies: at most 5% of equal versions rolled back, at most 5% of versions one "
        "margin worse promoted, 95% of versions two margins worse rolled back, in two looks at the median. "
    )
    return targets + ("All are met." if not lines else "Missed, beyond what chance explains:\n\n" + "\n".join(lines))


def _everyone(index: Mapping[tuple[str, float, str], Cell]) -> str:
    rows = []
    for scenario in SCENARIOS:
        row = [scenario.name]
        for judge in JUDGES:
            equal, one, two = (index[scenario.name, margins, judge] for margins in MARGINS)
            row.append(" / ".join(f"{100 * share:.0f}" for share in (equal.rolled_back, one.promoted, two.promoted)))
        rows.append(row)
    return grid(["scenario (%)", *JUDGES], rows)


def _parameters() -> str:
    world = World()
    values = [[f"`{field.name}`", f"{getattr(world, field.name):g}"] for field in fields(world)]
    described = [[scenario.name, " ".join((scenario.about or "").split())] for scenario in SCENARIOS]
    return "\n\n".join(
        [
            (World.__doc__ or "").split("\n")[0] + " See benchmarks/gate/simulator.py for their meaning.",
            grid(["parameter", "value"], values),
            grid(["scenario", "what happens"], described),
        ]
    )


def _measured(measured: Mapping[str, Any]) -> str:
    """The simulator's parameters beside those of a real fleet, as far as a demo can tell (gate.measure)."""
    world = World()

    def listed(values: Iterable[float]) -> str:
        return " ".join(f"{value:.2f}" for value in values)

    rows = [
        ["shares of the confidence buckets", listed(BASE), listed(measured["shares"])],
        ["share that is true in each", listed(TRUTH), listed(measured["truth"])],
        ["expected precision", f"{BASE @ TRUTH:.2f}", f"{measured['precision']:.2f}"],
        ["detections per frame", f"{world.per_frame:g}", f"{measured['per_frame']:g}"],
        ["spread between nodes, precision", f"{world.node:g}", f"{measured['node']:.3f}"],
        ["spread between nodes, ln(true detections per frame)", f"{world.node_rate:g}", f"{measured['node_rate']:.3f}"],
    ]
    said = (
        f"Read off {measured['nodes']} nodes of `make demo KEEP=1`, {measured['detections']:,} detections in "
        f"{measured['windows']} windows of {measured['window_seconds']} s, by `python -m gate.measure`. Within a node "
        f"precision varied by {measured['spread']:.3f} from window to window, and independent detections would by "
        f"{measured['spread_of_independent_detections']:.3f}. The demo's pictures repeat every 30 s, so that it knows "
        "neither drift nor weather nor memory: those parameters, on which the error rates hang, are chosen and not "
        "measured, and wider than what the demo shows."
    )
    return grid(["figure", "simulated", "demo"], rows) + "\n\n" + said


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gates", type=int, default=250, help="gates for each scenario and badness")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder for the page and the plots")
    parser.add_argument("--redraw", action="store_true", help="page and plots again, from the figures of the last run")
    options = parser.parse_args()
    figures = options.out / "gate-benchmark.json"
    if options.redraw:
        found = [Cell(**cell) for cell in json.loads(figures.read_text(encoding="utf-8"))["cells"]]
    else:
        found = simulated(options.gates, options.jobs)
        options.out.mkdir(parents=True, exist_ok=True)
        data = {"python": platform.python_version(), "numpy": np.__version__, "cells": [asdict(cell) for cell in found]}
        figures.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    measured = json.loads((options.out / "gate-benchmark-measured.json").read_text(encoding="utf-8"))
    page = report(found, found[0].gates, measured)
    print(page)
    (options.out / "gate-benchmark.md").write_text(page, encoding="utf-8")
    from gate import plots  # matplotlib is wanted only here

    plots.draw(found, options.out)


def simulated(gates: int, jobs: int) -> list[Cell]:
    """All scenarios, and the mean shift by more and by less for the curve."""
    work = [(scenario.name, margins) for scenario in SCENARIOS for margins in MARGINS]
    work += [("mean shift", margins) for margins in CURVE if margins not in MARGINS]
    return run(work, gates, jobs)


if __name__ == "__main__":
    main()
