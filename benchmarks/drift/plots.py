"""The two pictures of the benchmark's page."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from drift.cell import Cell
from drift.judges import OURS
from drift.page import ORDER
from drift.scenarios import SIZES
from modelfleet.drift.judgement import State


def draw(found: Sequence[Cell], folder: Path) -> None:
    """Write drift-benchmark-delay.png and drift-benchmark-judges.png."""
    cells = {(cell.scenario, cell.judge): cell for cell in found if cell.state == State.DRIFTING}
    _delay(cells, folder / "drift-benchmark-delay.png")
    _judges(cells, folder / "drift-benchmark-judges.png")


def _delay(cells: dict[tuple[str, str], Cell], path: Path) -> None:
    figure, axes = plt.subplots(figsize=(7, 4))
    days = np.arange(0, 15, 1 / 24)
    for size in SIZES:
        cell = cells[f"sudden, {size:g} x minDrop", OURS]
        found = [cell.within(24 * day) / max(1, cell.runs - cell.before) for day in days]
        axes.step(days, found, label=f"{size:g} x minDrop", linewidth=1.5)
    axes.axvline(2, color="grey", linestyle=":", linewidth=1)
    axes.set(xlabel="days since the fall", ylabel="share of fleets declared", ylim=(-0.02, 1.02), xlim=(0, 14))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    _save(figure, path)


def _judges(cells: dict[tuple[str, str], Cell], path: Path) -> None:
    judges = [judge for judge in ORDER if ("A/A", judge) in cells][::-1]
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.5), sharey=True)
    places = np.arange(len(judges))
    for offset, name in ((0.2, "A/A"), (-0.2, "weather x2")):
        shares = [cells[name, judge].declared / cells[name, judge].runs for judge in judges]
        left.barh(places + offset, shares, height=0.38, label=name)
    for offset, name in ((0.2, "sudden, 1.25 x minDrop"), (-0.2, "gradual, 20 days")):
        shares = [len(cells[name, judge].delays) / cells[name, judge].runs for judge in judges]
        right.barh(places + offset, shares, height=0.38, label=name)
    left.set(title="declared with nothing to find", xlabel="share of fleets", xlim=(0, 1))
    right.set(title="found, and not declared before", xlabel="share of fleets", xlim=(0, 1))
    left.set_yticks(places, judges, fontsize=7)
    for axes in (left, right):
        axes.grid(alpha=0.3, axis="x")
        axes.legend(fontsize=7)
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
