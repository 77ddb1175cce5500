"""What each node counted in each part of a window ("hour"): the table that everything about drift is computed from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from modelfleet.drift.queries import COVERAGE_POINTS
from modelfleet.measurement.node_table import MIN_COVERAGE
from modelfleet.measurement.sides import node_of
from modelfleet.prometheus.results import Samples

TRUE, ALL, LOW, FRAMES, EMPTY, PASSED = range(6)
"""Columns: expected true detections, detections, those of low confidence, frames, frames without a detection, and
objects that passed by somebody else's count (NaN where there is none)."""

COLUMNS = 6

Counts = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Hours:
    """`counts` (nodes, hours, 6): NaN where an hour is not known. Hour k ends at `start` + (k + 1) * `part`."""

    nodes: tuple[str, ...]
    start: datetime
    part: timedelta
    counts: Counts
    set_aside: int = 0

    def __post_init__(self) -> None:
        if self.counts.ndim != 3 or self.counts.shape[::2] != (len(self.nodes), COLUMNS):
            raise ValueError(f"counts must be ({len(self.nodes)}, hours, {COLUMNS}), not {self.counts.shape}")

    @property
    def hours(self) -> int:
        """How many hours there are."""
        return int(self.counts.shape[1])

    @property
    def end(self) -> datetime:
        """The end of the last hour."""
        return self.ending(self.hours - 1)

    def ending(self, hour: int) -> datetime:
        """When hour number `hour` ended."""
        return self.start + (hour + 1) * self.part

    def since(self, moment: datetime) -> "Hours":
        """Only hours that began at `moment` or later, where there are any."""
        first = min(self.hours, max(0, -(-(moment - self.start) // self.part)))
        return Hours(self.nodes, self.start + first * self.part, self.part, self.counts[:, first:], self.set_aside)

    def followed_by(self, later: "Hours") -> "Hours":
        """With the hours of another table behind its own. Hours between the two are not known."""
        if later.part != self.part:
            raise ValueError("tables with parts of different lengths can't be joined")
        nodes = tuple(sorted({*self.nodes, *later.nodes}))
        total = (later.end - self.start) // self.part
        counts = np.full((len(nodes), total, COLUMNS), np.nan, np.float32)
        rows = {node: row for row, node in enumerate(nodes)}
        for table in (self, later):
            first = (table.start - self.start) // self.part
            counts[[rows[node] for node in table.nodes], first : first + table.hours] = table.counts
        return Hours(nodes, self.start, self.part, counts, later.set_aside)


def read(
    first: datetime,
    last: datetime,
    part: timedelta,
    answers: Sequence[Samples | None],
    coverage: Samples | None,
    passed: Samples | None = None,
) -> Hours:
    """The table of the hours that end at `first`, `first` + part, ... `last`, from the answers for each of the first
    five columns, in order, that for coverage, and the count from elsewhere; None stands for an answer without data.

    An hour of a node is known where it was scraped for 80% of the time, and all of its counts are there and make sense:
    finite, not negative, no more true than all detections. Where an hour has frames and no detection at all (no series
    of the histogram, either), it counts as none.
    """
    total = (last - first) // part + 1
    names = sorted({node for samples in (*answers, coverage) for node in _nodes(samples)})
    rows = {name: row for row, name in enumerate(names)}
    counts = np.full((len(names), total, COLUMNS), np.nan, np.float64)
    for number, samples in enumerate(answers):
        counts[:, :, number] = _grid(samples, rows, first, part, total)
    covered = _grid(coverage, rows, first, part, total) / COVERAGE_POINTS
    framed = counts[:, :, FRAMES] > 0
    counts[:, :, EMPTY] = np.where(framed & np.isnan(counts[:, :, EMPTY]), 0, counts[:, :, EMPTY])
    silent = np.isnan(counts[:, :, : LOW + 1]).all(axis=2) & framed
    counts[silent, : LOW + 1] = 0
    slack = 1e-3 * (1 + counts[:, :, ALL])
    with np.errstate(invalid="ignore"):
        own = counts[:, :, :PASSED]
        good = np.isfinite(own).all(axis=2) & (own > -1e-6).all(axis=2) & (covered >= MIN_COVERAGE)
        good &= (counts[:, :, TRUE] <= counts[:, :, ALL] + slack) & (counts[:, :, LOW] <= counts[:, :, ALL] + slack)
    counts[~good] = np.nan
    counted = _grid(passed, rows, first, part, total)
    counts[:, :, PASSED] = np.where(good & (counted >= 0) & np.isfinite(counted), counted, np.nan)
    seen = ~np.isnan(covered) | framed
    used = good.any(axis=1)
    table = np.clip(counts[used], 0, None).astype(np.float32)
    return Hours(
        tuple(name for name, is_used in zip(names, np.atleast_1d(used), strict=True) if is_used),
        first - part,
        part,
        table,
        int((seen.any(axis=1) & ~used).sum()),
    )


def _nodes(samples: Samples | None) -> Iterable[str]:
    return () if samples is None else (name for labels, _ in samples.series if (name := node_of(labels)))


def _grid(
    samples: Samples | None, rows: Mapping[str, int], first: datetime, part: timedelta, total: int
) -> NDArray[np.float64]:
    """(nodes, hours) values; those of one node in several series (a node of two groups) are added up."""
    grid = np.full((len(rows), total), np.nan)
    origin, step = first.timestamp(), part.total_seconds()
    for labels, values in () if samples is None else samples.series:
        row = rows.get(node_of(labels))
        if row is None or not values:
            continue
        points = np.array(values)
        places = np.rint((points[:, 0] - origin) / step).astype(int)
        inside = (places >= 0) & (places < total)
        places, found = places[inside], points[inside, 1]
        before = grid[row, places]
        grid[row, places] = np.where(np.isnan(before), found, before + found)
    return grid
