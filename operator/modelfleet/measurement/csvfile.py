"""Reads a fleet from a CSV file: for people who have per-node counts from somewhere else and no cluster at hand."""

import csv
from itertools import pairwise
from pathlib import Path

import numpy as np

from modelfleet.measurement.endpoints import BUCKETS, EDGES
from modelfleet.measurement.fleet import Counts, Fleet

BUCKET_COLUMNS = tuple(f"{low:g}-{high:g}" for low, high in pairwise(EDGES))
"""The columns with detections by confidence: 0.25-0.3, 0.3-0.4, ... 0.95-1. A bucket includes its upper edge."""


def read_csv(path: Path | str) -> Fleet:
    """The fleet in a file with a header line and two rows for each node, one `before` and one `after` the start.

    Columns: node; side (canary or control); period (before or after); frames; the ten of BUCKET_COLUMNS; and, where
    canaries could only be chosen within one, stratum. Windows before and after should be as long as each other. Raises
    ValueError with the line of what can't be used, and OSError where the file can't be read.
    """
    rows: dict[tuple[str, str], tuple[float, list[float]]] = {}
    nodes: dict[str, tuple[str, str]] = {}
    with Path(path).open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        absent = {"node", "side", "period", "frames", *BUCKET_COLUMNS} - set(reader.fieldnames or ())
        if absent:
            raise ValueError(f"{path}: columns are missing: {', '.join(sorted(absent))}")
        for row in reader:
            try:
                _add(row, rows, nodes)
            except ValueError as error:
                raise ValueError(f"{path}, line {reader.line_num}: {error}") from None
    absent_rows = [f"{node} {period}" for node in nodes for period in ("before", "after") if (node, period) not in rows]
    if absent_rows or not nodes:
        raise ValueError(f"{path}: rows are missing: {', '.join(absent_rows) or 'all'}")
    strata = tuple(stratum for _, stratum in nodes.values())
    return Fleet(
        tuple(nodes),
        np.array([side == "canary" for side, _ in nodes.values()]),
        _counts(rows, nodes, "after"),
        _counts(rows, nodes, "before"),
        strata if any(strata) else None,
    )


def _add(
    row: dict[str, str], rows: dict[tuple[str, str], tuple[float, list[float]]], nodes: dict[str, tuple[str, str]]
) -> None:
    node, side, period = row["node"], row["side"], row["period"]
    if side not in ("canary", "control") or period not in ("before", "after"):
        raise ValueError("side must be canary or control, and period before or after")
    if (node, period) in rows:
        raise ValueError(f"a second row for node {node}, {period}")
    if nodes.setdefault(node, (side, row.get("stratum") or "")) != (side, row.get("stratum") or ""):
        raise ValueError(f"node {node} has another side or stratum in an earlier row")
    rows[node, period] = float(row["frames"]), [float(row[column]) for column in BUCKET_COLUMNS]


def _counts(
    rows: dict[tuple[str, str], tuple[float, list[float]]], nodes: dict[str, tuple[str, str]], period: str
) -> Counts:
    """One window, as one look."""
    frames = np.array([rows[node, period][0] for node in nodes])
    detections = np.array([rows[node, period][1] for node in nodes]).reshape(len(nodes), BUCKETS)
    return Counts(detections[None], frames[None])
