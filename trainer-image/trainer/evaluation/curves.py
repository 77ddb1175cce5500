"""The training's curves, read from the results.csv that ultralytics writes: one row an epoch."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_NO_CURVES = ("epoch", "time")


@dataclass(frozen=True)
class Curves:
    """`epochs` ascend and count from 1; each series has one value for each, NaN where the training had none.

    Series bear ultralytics' names: "train/box_loss", "val/cls_loss", "metrics/mAP50-95(B)", "lr/pg0", ...
    """

    epochs: tuple[int, ...]
    series: Mapping[str, tuple[float, ...]]

    def total(self, part: str) -> tuple[float, ...]:
        """The sum of the losses of "train" or "val", weighted as the optimizer sees them."""
        losses = [values for name, values in self.series.items() if name.startswith(f"{part}/") and "loss" in name]
        return tuple(map(sum, zip(*losses, strict=True))) if losses else (math.nan,) * len(self.epochs)

    def named(self, name: str) -> tuple[float, ...]:
        return self.series.get(name, (math.nan,) * len(self.epochs))


def read_curves(path: Path) -> Curves:
    """Reads the file; one that is not there holds no epochs. Raises OSError.

    A resumed training goes back to its checkpoint and writes the epochs since then once more: the later rows hold.
    """
    if not path.exists():
        return Curves((), {})
    with path.open(newline="") as file:
        rows: dict[int, dict[str, float]] = {}
        for row in csv.DictReader(file, skipinitialspace=True):
            values = {(name or "").strip(): _number(text) for name, text in row.items()}
            epoch = values.get("epoch", math.nan)
            if not math.isfinite(epoch):  # the half line of a process that was killed
                continue
            rows = {number: kept for number, kept in rows.items() if number < epoch} | {int(epoch): values}
    names = dict.fromkeys(name for row in rows.values() for name in row if name and name not in _NO_CURVES)
    return Curves(tuple(rows), {name: tuple(row.get(name, math.nan) for row in rows.values()) for name in names})


def _number(text: str | list[str] | None) -> float:
    try:
        return float(text) if isinstance(text, str) else math.nan
    except ValueError:
        return math.nan
