"""Whether a fleet has changed: how many of its nodes, and for how long. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelfleet.api.quantities import IntOrPercent
from modelfleet.drift.policy import Signal

STRATUM = 3
"""A stratum of so many nodes with figures counts on its own."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Seen:
    """One signal at L looks. `holds`: the fleet has changed by the rule; `keeps`: it has by half of what is asked for;
    `measured`: enough nodes have a figure to say so. All (L,).

    change     (nodes, L) of each node, NaN where it is not known
    down       (nodes, L) which nodes have changed
    threshold  from which change on a node has
    median     (L,) the change of the median node
    valid      (L,) nodes with a figure
    strata     (name, nodes, nodes down) at the last look, of strata in which most nodes have changed
    """

    signal: Signal
    threshold: float
    change: NDArray[np.float32]
    down: Mask
    holds: Mask
    keeps: Mask
    measured: Mask
    median: NDArray[np.float64]
    valid: NDArray[np.int64]
    strata: tuple[tuple[str, int, int], ...]

    def severity(self, look: int) -> float:
        """The share of nodes that have changed, and (for those with equal shares) by how much the median node has."""
        share = float(self.down[:, look].sum()) / max(1, int(self.valid[look]))
        beyond = float(self.median[look]) / self.threshold if np.isfinite(self.median[look]) else 0.0
        return share + min(1.0, max(0.0, beyond / 10))


def look(
    signal: Signal,
    change: NDArray[np.float32],
    error: float,
    nodes: IntOrPercent,
    strata: Sequence[str | None] | None = None,
) -> Seen:
    """The rule at each look: `change` (nodes, L) of one figure, NaN where unknown."""
    sign = 1.0 if signal.change > 0 else -1.0
    asked = abs(signal.change)
    threshold = max(asked, signal.errors * error) if np.isfinite(error) else np.inf
    moved = change * sign
    known = np.isfinite(moved)
    with np.errstate(invalid="ignore"):
        down, half = known & (moved >= threshold), known & (moved >= min(asked, threshold) / 2)
    valid = known.sum(axis=0)
    fleet = int(known.any(axis=1).sum())
    measured = valid >= max(min(2, fleet), 1, -(-3 * fleet // 10))
    measured &= bool(np.isfinite(threshold))
    need = np.array([max(nodes.of(int(number)), min(2, int(number)), 1) for number in valid])
    with np.errstate(invalid="ignore"):
        middle = np.full(moved.shape[1], np.nan)
        some = valid > 0
        if some.any():
            middle[some] = np.nanmedian(moved[:, some], axis=0)
        holds = (down.sum(axis=0) >= need) | (middle >= threshold)
        keeps = (half.sum(axis=0) >= need) | (middle >= min(asked, threshold) / 2)
    named = _members(strata)
    for _, members in named:
        enough = known[members].sum(axis=0) >= STRATUM
        holds |= enough & (2 * down[members].sum(axis=0) > known[members].sum(axis=0))
        keeps |= enough & (2 * half[members].sum(axis=0) > known[members].sum(axis=0))
    return Seen(
        signal=signal,
        threshold=sign * threshold,
        change=change,
        down=down,
        holds=holds & measured,
        keeps=keeps & measured,
        measured=measured,
        median=sign * middle,
        valid=valid,
        strata=_worst(named, down, known),
    )


def _members(strata: Sequence[str | None] | None) -> list[tuple[str, NDArray[np.intp]]]:
    """The rows of each stratum, by its name."""
    if strata is None:
        return []
    names = np.array([name or "" for name in strata])
    return [(str(name), np.flatnonzero(names == name)) for name in np.unique(names) if name]


def _worst(named: list[tuple[str, NDArray[np.intp]]], down: Mask, known: Mask) -> tuple[tuple[str, int, int], ...]:
    """(name, nodes with figures, nodes that have changed) at the last look, of strata in which most have."""
    if not down.shape[1]:
        return ()
    rows = [(name, int(known[members, -1].sum()), int(down[members, -1].sum())) for name, members in named]
    bad = [row for row in rows if row[1] >= STRATUM and 2 * row[2] > row[1]]
    return tuple(sorted(bad, key=lambda row: (-row[2] / row[1], row[0])))


@dataclass(frozen=True)
class Track:
    """A state in time.

    active           it was declared, and not taken back
    since            the look at which it was declared; None: before the first
    streak           looks in a row, the newest included, at which the rule held
    suspected        the rule has held, and has not stopped to by half since
    suspected_since  the look from which on
    """

    active: bool
    since: int | None = None
    streak: int = 0
    suspected: bool = False
    suspected_since: int | None = None


def follow(holds: Mask, keeps: Mask, measured: Mask, sustained: int, active: bool = False) -> Track:
    """Declared once the rule held at `sustained` looks in a row, taken back once it did not by half for as many. Looks
    at which nothing could be measured say neither: they are passed over."""
    since: int | None = None
    suspected: int | None = None
    streak = calm = 0
    for number in map(int, np.flatnonzero(measured)):
        streak = streak + 1 if holds[number] else 0
        calm = 0 if keeps[number] else calm + 1
        if streak == 1 and suspected is None:
            suspected = number
        elif calm:
            suspected = None
        if not active and streak >= sustained:
            active, since = True, number
        elif active and calm >= sustained:
            active, since = False, None
    return Track(active, since, streak, suspected is not None, suspected)
