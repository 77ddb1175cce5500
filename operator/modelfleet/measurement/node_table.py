"""From Prometheus' answers to one row a node: which side it is on, what it counted, and whether it can be used.

A node is set aside only for what has nothing to do with how well a version detects: its figures are missing, not
numbers, or not what the contract of the metrics says. Each reason has its own words, and all are counted.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from modelfleet.measurement import queries
from modelfleet.measurement.endpoints import BUCKETS, EDGES, Array
from modelfleet.measurement.sides import CANARY, CONTROL, NodeKey, Sides, node_of
from modelfleet.prometheus.results import Samples

MIN_COVERAGE = 0.8

_COLUMNS = len(EDGES) + 1  # cumulative counts at each edge, and at +Inf
_TOLERANCE = 1e-6  # of a count: `increase` extrapolates in floating point


class Aside(StrEnum):
    """Why a node is not used, in the words of the verdict."""

    BOTH_SIDES = "seen on both sides"
    NOT_A_NUMBER = "counts that are not numbers"
    NEGATIVE = "counts that fell"
    NO_HISTOGRAM = "no confidence histogram"
    OTHER_BUCKETS = "a confidence histogram with other buckets"
    ABOVE_ONE = "confidences above 1"
    NO_COUNTER = "no modelfleet_frames_total"
    RARELY_SCRAPED = "scraped less than 80% of the time"
    NO_FRAMES = "no frames"


@dataclass(frozen=True, eq=False)
class Rows:
    """The nodes of one side. `counts` (n, 10) and `frames` (n,) are increases over the window, a row for each node."""

    nodes: tuple[str, ...]
    counts: Array
    frames: Array
    aside: tuple[tuple[str, Aside], ...] = ()
    unnamed: bool = False  # there are series without a node label

    def only(self, names: Collection[str]) -> "Rows":
        """The side with these nodes alone."""
        chosen = [row for row, node in enumerate(self.nodes) if node in names]
        return Rows(tuple(self.nodes[row] for row in chosen), self.counts[chosen], self.frames[chosen])

    @property
    def detections(self) -> int:
        """All detections of the nodes in use."""
        return round(float(self.counts.sum()))

    @property
    def seen(self) -> int:
        """Nodes that Prometheus knows, used or not."""
        return len(self.nodes) + len(self.aside)


@dataclass(frozen=True, eq=False)
class Table:
    """What one look sees. `others`: (group, version) pairs that belong to neither side, with how many nodes."""

    canary: Rows
    control: Rows
    others: tuple[tuple[str, str, int], ...] = ()
    renamed: bool = False  # the scrape renamed `node` to `exported_node`

    @property
    def empty(self) -> bool:
        """Whether Prometheus showed nothing of this Rollout at all."""
        return not (self.canary.seen or self.control.seen or self.others or self.canary.unnamed or self.control.unnamed)


class _Index:
    """Rows by (side, node) while the answers are read."""

    def __init__(self, sides: Sides) -> None:
        self._sides = sides
        self.index: dict[NodeKey, int] = {}
        self.others: dict[tuple[str, str], set[str]] = {}
        self.unnamed = {CANARY: False, CONTROL: False}
        self.renamed = False

    def find(self, samples: Samples | None) -> Iterator[tuple[int, str, float]]:
        """(row, le, value) of each series that belongs to a side."""
        for labels, values in () if samples is None else samples.series:
            node = node_of(labels)
            side = self._sides.of(labels)
            if side is None:
                self.others.setdefault((labels.get("group", ""), labels.get("version", "")), set()).add(node)
                continue
            self.renamed |= "exported_node" in labels
            if not node:
                self.unnamed[side] = True
                continue
            row = self.index.setdefault((side, node), len(self.index))
            yield row, labels.get("le", ""), values[-1][1]


def read(
    sides: Sides, buckets: Samples | None, frames: Samples | None, coverage: Samples | None, *, scraped: bool = True
) -> Table:
    """The table of one look from the three answers of `queries`; None stands for an answer without data.

    `scraped` False: no matter how much of the time there were figures.
    """
    rows = _Index(sides)
    size = sum(len(samples.series) for samples in (buckets, frames, coverage) if samples is not None)
    cumulative = np.zeros((size, _COLUMNS))
    present = np.zeros((size, _COLUMNS), bool)
    foreign = np.zeros(size, bool)
    counter = np.zeros(size, bool)
    framed = np.zeros(size)
    covered = np.zeros(size)
    for row, le, value in rows.find(buckets):
        edge = column(le)
        if edge is None:
            foreign[row] = True
        else:
            cumulative[row, edge] += value
            present[row, edge] = True
    for row, _, value in rows.find(frames):
        framed[row] += value
        counter[row] = True
    for row, _, value in rows.find(coverage):
        covered[row] += queries.coverage_share(value)
        counter[row] = True
    if not scraped:
        covered[:] = 1
    reasons = _reasons(rows, cumulative, present, foreign, counter, framed, covered)
    cumulative[~np.isfinite(cumulative)] = 0  # their rows are set aside
    counts = np.clip(np.diff(cumulative, axis=1)[:, :BUCKETS], 0, None)
    canary, control = (_take(rows, side, reasons, counts, framed) for side in (CANARY, CONTROL))
    others = tuple((group, version, len(nodes)) for (group, version), nodes in sorted(rows.others.items()))
    return Table(canary, control, others, rows.renamed)


def _reasons(
    rows: _Index,
    cumulative: Array,
    present: NDArray[np.bool_],
    foreign: NDArray[np.bool_],
    counter: NDArray[np.bool_],
    frames: Array,
    coverage: Array,
) -> list[Aside | None]:
    """Why each row can't be used, the first reason that holds; None where it can."""
    finite = np.isfinite(cumulative).all(axis=1) & np.isfinite(frames)
    with np.errstate(invalid="ignore"):
        steps = np.diff(cumulative, axis=1)
        slack = _TOLERANCE * (1 + np.abs(cumulative[:, -1:]))
        negative = (cumulative < -_TOLERANCE).any(axis=1) | (steps < -slack).any(axis=1) | (frames < -_TOLERANCE)
        above = steps[:, -1] > slack[:, 0]
    tests = (
        (Aside.NOT_A_NUMBER, ~finite),
        (Aside.NO_COUNTER, ~counter),
        (Aside.RARELY_SCRAPED, coverage < MIN_COVERAGE),
        (Aside.NO_FRAMES, frames <= 0),
        (Aside.NO_HISTOGRAM, ~present.any(axis=1) & ~foreign),
        (Aside.OTHER_BUCKETS, foreign | ~present.all(axis=1)),
        (Aside.NEGATIVE, negative),
        (Aside.ABOVE_ONE, above),
    )
    reasons: list[Aside | None] = [None] * len(rows.index)
    for (side, node), row in rows.index.items():
        both = (1 - side, node) in rows.index
        reasons[row] = Aside.BOTH_SIDES if both else next((aside for aside, holds in tests if holds[row]), None)
    return reasons


def _take(rows: _Index, side: int, reasons: list[Aside | None], counts: Array, frames: Array) -> Rows:
    members = sorted((node, row) for (its, node), row in rows.index.items() if its == side)
    used = [(node, row) for node, row in members if reasons[row] is None]
    chosen = [row for _, row in used]
    aside = tuple((node, reason) for node, row in members if (reason := reasons[row]) is not None)
    return Rows(tuple(node for node, _ in used), counts[chosen], frames[chosen], aside, rows.unnamed[side])


_LE = {**{edge: number for number, edge in enumerate(EDGES)}, float("inf"): len(EDGES)}


def column(le: str) -> int | None:
    """Which edge of the histogram a label `le` names, in any spelling; the last is +Inf. None for another number."""
    try:
        return _LE.get(float(le))
    except ValueError:
        return None
