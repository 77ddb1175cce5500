"""The permutation test: how often would chance alone, in choosing the canary nodes, show a difference as large as this?

Pure numpy. Nothing is assumed of the figures but that, were the versions equal, any other choice of the canary nodes
(within the strata) would have been as likely as the one that was made. All looks are tested together, on the same
reassignments, so that looks at growing data cost no more than the error that is spent on each (Lan & DeMets 1983, with
the joint permutation distribution in place of the normal one). The statistic is studentised, which keeps the error
right when the two sides vary by different amounts (Janssen 1997; Chung & Romano 2013).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb, prod

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Labels = NDArray[np.bool_]

ALL_UP_TO = 20_000
"""Reassignments: all of them up to this many, beyond that a seeded sample."""

_SAMPLED = 20_000
_SAMPLED_CELLS = 10_000_000  # reassignments x nodes: fewer are sampled for large fleets, to stay below a second
_SAMPLED_LEAST = 2_000
_CHUNK_CELLS = 4_000_000
_EPSILON = 1e-9
_INFINITE = 1e12


@dataclass(frozen=True, eq=False)
class Assignments:
    """Ways to choose the canary nodes. `chosen` (N, canaries) holds node numbers; its first row is how it was."""

    chosen: NDArray[np.int32]
    nodes: int
    possible: int

    @property
    def complete(self) -> bool:
        """Whether these are all there are."""
        return len(self.chosen) == self.possible


def possible(canary: Labels, strata: NDArray[np.int64]) -> int:
    """How many ways there are to choose as many canary nodes in each stratum."""
    return prod(comb(int((strata == s).sum()), int(canary[strata == s].sum())) for s in np.unique(strata))


def assignments(canary: Labels, strata: NDArray[np.int64], seed: int) -> Assignments:
    """All reassignments of the labels `canary` (n,) within `strata` (n,), or a sample of them that `seed` fixes."""
    total = possible(canary, strata)
    actual = np.flatnonzero(canary).astype(np.int32)[None, :]
    members = [np.flatnonzero(strata == s) for s in np.unique(strata)]
    numbers = [int(canary[nodes].sum()) for nodes in members]
    if total <= ALL_UP_TO:
        every = _every(members, numbers)
        others = every[(every != actual).any(axis=1)]
    else:
        sample = max(_SAMPLED_LEAST, min(_SAMPLED, _SAMPLED_CELLS // len(canary))) - 1
        others = _sample(members, numbers, sample, np.random.default_rng(seed))
    return Assignments(np.concatenate([actual, others]), len(canary), total)


def _every(members: Sequence[NDArray[np.int64]], numbers: Sequence[int]) -> NDArray[np.int32]:
    """Every choice, each row in ascending order."""
    rows = np.zeros((1, 0), np.int32)
    for nodes, number in zip(members, numbers, strict=True):
        picks = list(combinations(range(len(nodes)), number))
        choices = nodes[np.array(picks, dtype=np.int64).reshape(len(picks), number)]
        rows = np.hstack([np.repeat(rows, len(choices), axis=0), np.tile(choices, (len(rows), 1)).astype(np.int32)])
    return np.sort(rows, axis=1)


def _sample(
    members: Sequence[NDArray[np.int64]], numbers: Sequence[int], size: int, random: np.random.Generator
) -> NDArray[np.int32]:
    rows = np.empty((size, sum(numbers)), np.int32)
    step = max(1, _CHUNK_CELLS // sum(len(nodes) for nodes in members))
    for start in range(0, size, step):
        stop, column = min(size, start + step), 0
        for nodes, number in zip(members, numbers, strict=True):
            if 0 < number < len(nodes):
                keys = random.random((stop - start, len(nodes)), dtype=np.float32)
                picked = np.argpartition(keys, number, axis=1)[:, :number]
            else:
                picked = np.tile(np.arange(number), (stop - start, 1))
            rows[start:stop, column : column + number] = nodes[picked]
            column += number
    return rows


@dataclass(frozen=True, eq=False)
class Statistic:
    """Of m figures under N assignments, (N, m) each: mean of the chosen less that of the others, and its error."""

    difference: Array
    error: Array

    @property
    def t(self) -> Array:
        """The studentised difference; 0 or very large where nothing varies."""
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.where(self.difference == 0, 0.0, self.difference / self.error)
        return np.clip(t, -_INFINITE, _INFINITE)


def studentised(values: Array, of: Assignments) -> Statistic:
    """The studentised difference of `values` (n, m) for each column and reassignment.

    The standard error is Welch's; where a side has a single node, the other side's variance stands for both.
    """
    scaled = values - values.mean(axis=0)
    scale = np.abs(scaled).max(axis=0, initial=0)
    scale = np.where(scale > 0, scale, 1)
    scaled = scaled / scale
    columns = np.hstack([scaled, scaled**2])
    sums = np.empty((len(of.chosen), columns.shape[1]))
    step = max(1, _CHUNK_CELLS // of.nodes)
    for start in range(0, len(sums), step):
        rows = of.chosen[start : start + step]
        picked = np.zeros((len(rows), of.nodes))
        picked[np.arange(len(rows))[:, None], rows] = 1
        sums[start : start + step] = picked @ columns
    difference, error = _welch(sums, columns.sum(axis=0), of.chosen.shape[1], of.nodes - of.chosen.shape[1])
    return Statistic(np.where(np.abs(difference) <= _EPSILON, 0.0, difference * scale), error * scale)


def _welch(sums: Array, totals: Array, chosen: int, others: int) -> tuple[Array, Array]:
    half = sums.shape[1] // 2
    mean_chosen, mean_others = sums[:, :half] / chosen, (totals[:half] - sums[:, :half]) / others
    squares = (sums[:, half:], totals[half:] - sums[:, half:])
    variances = []
    for square, mean, number in zip(squares, (mean_chosen, mean_others), (chosen, others), strict=True):
        variances.append(np.clip(square - number * mean**2, 0, None) / (number - 1) if number > 1 else None)
    variance_chosen, variance_others = variances
    if variance_chosen is None:
        variance_chosen = variance_others
    if variance_others is None:
        variance_others = variance_chosen
    if variance_chosen is None or variance_others is None:
        raise ValueError("a permutation test needs at least three nodes")
    return mean_chosen - mean_others, np.sqrt(variance_chosen / chosen + variance_others / others)


@dataclass(frozen=True)
class Crossing:
    """The outcome of a sequential test: the first look (from 1) that rejects, or None; `p` of the newest look alone."""

    look: int | None
    p: float


def sequential(statistics: Array, spending: Sequence[float]) -> Crossing:
    """Test at each look so far, with the error spent as planned.

    statistics  (L, N): each look's statistic under each assignment, the real one first; large ones speak against it
    spending    the share of error that may have been spent by each of the L looks, not falling

    At each look those assignments whose statistic is largest, among those not rejected before, are rejected up to the
    share that may be spent; ties that do not fit are kept. Under the hypothesis the real assignment is any of them
    with the same chance, so that it is among the rejected, at whatever look, with at most the share that was spent.
    """
    number = statistics.shape[1]
    alive = np.ones(number, bool)
    slack = _EPSILON * (1 + np.abs(statistics[:, 0]))
    p = float((statistics[-1] >= statistics[-1, 0] - slack[-1]).mean())
    for look, share in enumerate(spending[: len(statistics)]):
        left = int(share * number + _EPSILON) - int((~alive).sum())
        if left <= 0:
            continue
        row = np.where(alive, statistics[look], -np.inf)
        cut = np.partition(row, number - left - 1)[number - left - 1] if left < number else -np.inf
        rejected = alive & (row > cut + slack[look])
        if rejected[0]:
            return Crossing(look + 1, p)
        alive &= ~rejected
    return Crossing(None, p)
