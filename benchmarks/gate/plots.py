"""The two pictures of the benchmark's page."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

from gate.judges import JUDGES
from gate.scenarios import SCENARIOS

if TYPE_CHECKING:
    from gate.run import Cell

_OURS = "modelfleet Permutation"


def draw(found: "Sequence[Cell]", folder: Path) -> None:
    """Write gate-benchmark-curve.png and gate-benchmark-judges.png."""
    _curve(found, folder / "gate-benchmark-curve.png")
    _judges(found, folder / "gate-benchmark-judges.png")


def _curve(found: "Sequence[Cell]", path: Path) -> None:
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), sharey=True)
    for judge in JUDGES:
        cells = sorted((c for c in found if c.scenario == "mean shift" and c.judge == judge), key=lambda c: c.margins)
        style = {"linewidth": 2.5, "color": "black"} if judge == _OURS else {"linewidth": 1}
        left.plot([c.margins for c in cells], [c.rolled_back for c in cells], label=judge, **style)
        right.plot([c.margins for c in cells], [c.promoted for c in cells], label=judge, **style)
    for axes, title in ((left, "rolled back"), (right, "promoted")):
        axes.set(title=title, xlabel="true loss, in margins", ylim=(-0.02, 1.02))
        axes.axhline(0.05, color="grey", linestyle=":", linewidth=1)
        axes.grid(alpha=0.3)
    right.legend(fontsize=7)
    _save(figure, path)


def _judges(found: "Sequence[Cell]", path: Path) -> None:
    names = [scenario.name for scenario in SCENARIOS if scenario.applies]
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), sharey=True)
    for axes, margins, share, title in (
        (left, 0.0, "rolled_back", "an equal version rolled back"),
        (right, 1.0, "promoted", "a version one margin worse promoted"),
    ):
        shares = [
            [getattr(c, share) for c in found if c.judge == judge and c.margins == margins and c.scenario in names]
            for judge in JUDGES
        ]
        axes.boxplot(shares, orientation="horizontal", tick_labels=list(JUDGES), whis=(0, 100))
        axes.axvline(0.05, color="grey", linestyle=":")
        axes.set(title=title, xlabel=f"share of gates, over {len(names)} scenarios", xlim=(-0.02, 1.02))
        axes.tick_params(labelsize=7)
    _save(figure, path)


def _save(figure: plt.Figure, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
