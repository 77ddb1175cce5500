"""From counts to changes: each node's figures at each look, compared with its own baseline.

The shape of the confidences (expected precision, share of low ones) is compared hour by hour with the same hours of the
windows before, so that night, gaps and a peak that moves cancel out; what depends on traffic (expected true detections
and empty frames per frame) as a mean over whole weeks, since weekends differ. Nothing here says whether a change is
much: see `rule.py`.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelfleet.drift.anchor import Anchor
from modelfleet.drift.hours import ALL, EMPTY, FRAMES, LOW, PASSED, TRUE, Hours
from modelfleet.drift.policy import (
    ALWAYS,
    FEWEST_HOURS,
    FIGURES,
    GAP,
    LEAST_WINDOWS,
    MIN_HOURS,
    PARTS,
    SHAPE,
    WEEK,
    Figure,
    Policy,
)

MIN_DETECTIONS = 20
"""An hour with fewer says nothing about the shape of the confidences. On nodes that usually have fewer, an hour speaks
for as many hours up to it as are needed."""

_POOLS = (1, 2, 3, 4, 6, 8, 12, PARTS)
"""So many: few different numbers, since one that changes changes all earlier figures of the node."""

_AMPLE = 1.5
"""So many times the least, so that most hours reach it."""

MIN_WINDOW = 0.8
"""The same where a window is compared as a whole: there, missing hours are not made up for by others like them."""

MIN_WEEK = 0.6
"""The same for what is averaged over weeks; of a node that is off for a part of each, of the hours that are known as a
rule."""

Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Changes:
    """`change`: of each figure that is watched or shown, in the order of FIGURES, on each node at each look: (4, nodes,
    looks), NaN where it is not known. Look k is at the end of hour k of the table.

    error     (4,) standard error of a node's change; NaN where nothing is known of it
    anchor    the anchor, with the nodes whose baseline was completed just now
    """

    change: Array
    error: NDArray[np.float64]
    anchor: Anchor | None


def changes(policy: Policy, hours: Hours, anchor: Anchor | None, basis: str = "") -> Changes:
    """The changes at every look of the table. `anchor`: what is kept of the baseline; None: nothing yet, and a new one
    is made on this basis once there is enough."""
    values = {figure: _values(hours, figure) for figure in FIGURES if policy.calls(figure)}
    anchor, spread, windows = _anchored(policy, hours, values, begun(hours), anchor, basis)
    found = np.full((len(FIGURES), len(hours.nodes), hours.hours), np.nan, np.float32)
    means = _means(anchor, hours)
    wanted = {signal.figure for signal in (*policy.signals, *ALWAYS)}
    for number, figure in enumerate(FIGURES):
        if figure not in wanted:
            continue
        if policy.calls(figure):
            found[number] = _by_hour(policy, values[figure], means[:, number])
        else:
            found[number] = _of_traffic(policy, hours, figure) - means[:, number, None]
    return Changes(found, _error(policy, spread, windows), anchor)


def begun(hours: Hours) -> NDArray[np.intp]:
    """(nodes,): the number of each node's first hour that is known."""
    return np.asarray(np.argmax(np.isfinite(hours.counts[:, :, FRAMES]), axis=1))


def silent(hours: Hours) -> int:
    """For how many of the newest hours there are figures of less than 30% of the nodes."""
    known = np.isfinite(hours.counts[:, :, FRAMES]).sum(axis=0) >= 0.3 * len(hours.nodes)
    heard = np.flatnonzero(known)
    return hours.hours - 1 - int(heard[-1]) if len(heard) else hours.hours


def recent_rate(policy: Policy, hours: Hours, look: int) -> Array:
    """(nodes,): by how much more (a logarithm) was detected per frame in the window that ends at a look than in the
    same window a week before, NaN where that is not known. Whole weeks change too slowly to tell at once."""
    lag = week(policy) * PARTS
    now, then = slice(max(0, look + 1 - PARTS), look + 1), slice(max(0, look + 1 - PARTS - lag), max(0, look + 1 - lag))
    if now.stop - now.start != then.stop - then.start:
        return np.full(len(hours.nodes), np.nan, np.float32)
    both = np.isfinite(hours.counts[:, now, FRAMES]) & np.isfinite(hours.counts[:, then, FRAMES])
    with np.errstate(invalid="ignore", divide="ignore"):
        rates = [
            np.nansum(np.where(both, hours.counts[:, part, ALL], 0), axis=1)
            / np.nansum(np.where(both, hours.counts[:, part, FRAMES], 0), axis=1)
            for part in (now, then)
        ]
        change = np.log((rates[0] + 1e-6) / (rates[1] + 1e-6))
    usual = np.isfinite(hours.counts[:, then, FRAMES]).sum(axis=1)
    enough = both.sum(axis=1) >= np.maximum(MIN_HOURS * usual, FEWEST_HOURS)
    return np.where(enough, change, np.nan).astype(np.float32)


def _values(hours: Hours, figure: Figure) -> Array:
    """(nodes, hours): a figure that traffic does not move, of each hour on its own; of what was found of those that
    passed, the logarithm."""
    counts = hours.counts
    with np.errstate(invalid="ignore", divide="ignore"):
        if figure in SHAPE:
            part, every = _pooled(counts[:, :, TRUE if figure is Figure.CONFIDENCE else LOW], counts[:, :, ALL])
            return np.where(every >= MIN_DETECTIONS, part / every, np.nan).astype(np.float32)
        every, passed = _pooled(counts[:, :, TRUE], counts[:, :, PASSED])
        return np.where(passed >= MIN_DETECTIONS, np.log((every + 1e-3) / passed), np.nan).astype(np.float32)


def _pooled(part: Array, every: Array) -> tuple[Array, Array]:
    """Both counts, on nodes with few detections summed over as many hours as are needed, at most a window."""
    known = np.isfinite(every)
    usual = np.nansum(every, axis=1) / np.maximum(known.sum(axis=1), 1)
    needed = np.array(_POOLS)[np.searchsorted(_POOLS[:-1], _AMPLE * MIN_DETECTIONS / np.maximum(usual, 1e-6))]
    part, every = part.copy(), every.copy()
    for length in np.unique(needed[usual < MIN_DETECTIONS]):
        rows = np.flatnonzero((needed == length) & (usual < MIN_DETECTIONS))
        for counts in (part, every):
            sums = _rolling_sum(np.where(known[rows], counts[rows], 0), length)
            counts[rows] = np.where(known[rows], sums, np.nan)
    return part, every


def _by_hour(policy: Policy, values: Array, kept: Array) -> Array:
    """Mean over the last window of (hour - the same hour of the windows before), and how far those are from what was
    kept of the baseline. Where Prometheus does not remember enough of them: the whole window against what was kept."""
    whole_windows = _same_hours_before(policy, values)
    base, least = (each[:, : values.shape[1]] for each in (whole_windows, _least_hours(whole_windows)))
    change = _rolling_mean(values - base, PARTS, least)
    known = np.isfinite(kept)
    if known.any():
        change[known] += _rolling_mean(base[known], PARTS, least[known]) - kept[known, None]
        upto = int(np.flatnonzero(~np.isfinite(change[known]).all(axis=0)).max(initial=-1)) + 1
        whole = _rolling_mean(values[:, :upto], PARTS, MIN_WINDOW) - kept[:, None]
        change[:, :upto] = np.where(np.isfinite(change[:, :upto]), change[:, :upto], whole)
    return change


def _least_hours(base: Array) -> Array:
    """How much of the window that ends at each hour must be known. It goes by the hours that are known as a rule, those
    with a `base`: a line that works one shift is off, or has nothing to detect, for the rest of the day."""
    usual = np.isfinite(base).reshape(len(base), -1, PARTS).sum(axis=2)
    usual[:, 1:] = np.maximum(usual[:, 1:], usual[:, :-1])  # one that ends within a window began in the one before
    return np.repeat(np.maximum(MIN_HOURS * usual, FEWEST_HOURS) / PARTS, PARTS, axis=1).astype(np.float32)


def _same_hours_before(policy: Policy, values: Array) -> Array:
    """Mean of the same hour in the windows of the rolling baseline; NaN where too few are known. (nodes, hours), to the
    end of the last window."""
    nodes, hours = values.shape
    windows = -(-hours // PARTS)
    padded = np.full((nodes, windows * PARTS), np.nan, np.float32)
    padded[:, :hours] = values
    there = np.isfinite(padded)
    sums = np.where(there, padded, 0).reshape(nodes, windows, PARTS).cumsum(axis=1, dtype=np.float32)
    counts = there.reshape(nodes, windows, PARTS).cumsum(axis=1, dtype=np.float32)
    base = np.full((nodes, windows, PARTS), np.nan, np.float32)
    for window in range(GAP, windows):
        last, before = window - GAP, window - GAP - policy.windows
        total, count = sums[:, last], counts[:, last]
        if before >= 0:
            total, count = total - sums[:, before], count - counts[:, before]
        with np.errstate(invalid="ignore", divide="ignore"):
            base[:, window] = np.where(count >= LEAST_WINDOWS, total / count, np.nan)
    return base.reshape(nodes, -1)


def _of_traffic(policy: Policy, hours: Hours, figure: Figure) -> Array:
    """The figure over whole weeks; of the detection rate its logarithm."""
    length = week(policy) * PARTS
    least = _least_of_weeks(hours, length)
    part = _rolling_mean(hours.counts[:, :, TRUE if figure is Figure.RATE else EMPTY], length, least)
    frames = _rolling_mean(hours.counts[:, :, FRAMES], length, least)
    with np.errstate(invalid="ignore", divide="ignore"):
        if figure is Figure.EMPTY:
            return np.asarray(part / frames)
        return np.asarray(np.log((part + 1e-3) / frames))  # none at all is very few


def _least_of_weeks(hours: Hours, length: int) -> Array:
    """How much of the `length` hours that end at each hour must be known. Once a node has been seen for so long it goes
    by the most that ever was known of as many: one that works one shift, five days a week, is off for the rest."""
    known = _rolling_sum(np.isfinite(hours.counts[:, :, FRAMES]), length)
    usual = np.maximum(MIN_WEEK * np.maximum.accumulate(known, axis=1), FEWEST_HOURS * length / PARTS) / length
    seen = np.arange(hours.hours) + 1 - begun(hours)[:, None]
    return np.where(seen >= length, np.minimum(usual, MIN_WEEK), MIN_WEEK).astype(np.float32)


def week(policy: Policy) -> int:
    """The windows over which traffic is averaged."""
    return min(WEEK, policy.windows)


def _rolling_mean(values: Array, length: int, least: float | Array) -> Array:
    """Mean of the last `length` values at each place, of those that are known; NaN where they are too few. `least`: the
    share of them that must be known, of all places alike or of each."""
    there = np.isfinite(values)
    sums, counts = _rolling_sum(np.where(there, values, 0), length), _rolling_sum(there, length)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(counts >= least * length, sums / counts, np.nan).astype(np.float32)


def _rolling_sum(values: NDArray[Any], length: int) -> NDArray[np.float64]:
    """Sum of the last `length` values at each place."""
    sums = np.cumsum(values, axis=1, dtype=np.float64)
    if length < sums.shape[1]:
        sums[:, length:] -= sums[:, :-length].copy()
    return sums


def _means(anchor: Anchor | None, hours: Hours) -> Array:
    """(nodes, 4): what is kept of each node's baseline."""
    unknown = np.full(len(FIGURES), np.nan, np.float32)
    kept = {} if anchor is None else anchor.means
    return np.array([kept.get(node, unknown) for node in hours.nodes], np.float32).reshape(-1, len(FIGURES))


def _anchored(
    policy: Policy,
    hours: Hours,
    values: dict[Figure, Array],
    begun: NDArray[np.intp],
    anchor: Anchor | None,
    basis: str,
) -> tuple[Anchor | None, NDArray[np.float64], int]:
    """The anchor with what was completed just now, the spread of windows, and how many windows that is from."""
    whole = (hours.hours - begun) // PARTS
    complete = np.flatnonzero(whole >= policy.windows)
    if anchor is not None:
        complete = np.array([row for row in complete if hours.nodes[row] not in anchor.means], int)
    if anchor is None and 2 * len(complete) < len(hours.nodes):
        windows = min(int(np.median(whole)) if len(whole) else 0, policy.windows)
        rows = np.flatnonzero(whole >= windows)
        if windows < 2:
            return None, np.full(len(FIGURES), np.nan), windows
        _, spread = _of_baseline(policy, hours, values, begun, rows, windows)
        return None, spread, windows
    if not len(complete):
        assert anchor is not None
        return anchor, anchor.spread.astype(float), policy.windows
    means, spread = _of_baseline(policy, hours, values, begun, complete, policy.windows)
    if anchor is None:
        first = hours.start + int(begun[complete].min()) * hours.part
        anchor = Anchor(first, basis, spread.astype(np.float32))
    means = means.astype(np.float16).astype(np.float32)  # as it is kept: a restart must find the same
    added = {hours.nodes[row]: means[place] for place, row in enumerate(complete) if np.isfinite(means[place]).any()}
    here = set(hours.nodes)
    kept = {node: means for node, means in anchor.means.items() if node in here}
    grown = Anchor(anchor.begins, anchor.basis, anchor.spread, {**kept, **added})
    return grown, grown.spread.astype(float), policy.windows


def _of_baseline(
    policy: Policy,
    hours: Hours,
    values: dict[Figure, Array],
    begun: NDArray[np.intp],
    rows: NDArray[np.intp],
    windows: int,
) -> tuple[Array, NDArray[np.float64]]:
    """(rows, 4) means over the first `windows` windows of these nodes, and (4,) the spread of one window's mean."""
    places = begun[rows, None] + np.arange(windows * PARTS)
    means = np.full((len(rows), len(FIGURES)), np.nan, np.float32)
    spread = np.full(len(FIGURES), np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        for number, figure in enumerate(FIGURES):
            if policy.calls(figure):
                days = np.take_along_axis(values[figure][rows], places, axis=1).reshape(len(rows), windows, PARTS)
                profile = _mean(days, axis=1)
                means[:, number] = _mean(profile, axis=1)
                residual = _mean(days - profile[:, None], axis=2)
                variance = np.nansum(residual**2, axis=1) / (np.isfinite(residual).sum(axis=1) - 1)
                variance = variance[np.isfinite(variance)]
                spread[number] = np.sqrt(variance.mean()) if len(variance) else np.nan
            else:
                column = TRUE if figure is Figure.RATE else EMPTY
                shape = (len(rows), windows, PARTS)
                part = np.take_along_axis(hours.counts[rows, :, column], places, axis=1).reshape(shape)
                frames = np.take_along_axis(hours.counts[rows, :, FRAMES], places, axis=1).reshape(shape)
                ratio = _ratio(figure, np.nansum(part, axis=2), np.nansum(frames, axis=2))
                means[:, number] = _ratio(figure, np.nansum(part, axis=(1, 2)), np.nansum(frames, axis=(1, 2)))
                # weekends are no noise: most windows of a week are alike, and the median sees only those
                apart = np.abs(ratio - _median(ratio, axis=1)[:, None])
                each = _median(apart, axis=1)
                spread[number] = 1.4826 * np.median(each[np.isfinite(each)]) if np.isfinite(each).any() else np.nan
                spread[number] *= np.sqrt(windows / max(1, np.median(np.isfinite(ratio).sum(axis=1))))
    return means, spread


def _ratio(figure: Figure, part: Array, frames: Array) -> Array:
    ratio = part / frames
    return np.asarray(np.log(ratio + 1e-3 / frames) if figure is Figure.RATE else ratio)


def _mean(values: Array, axis: int) -> Array:
    """The mean of what is known; NaN, without a warning, where nothing is."""
    count = np.isfinite(values).sum(axis=axis)
    return np.asarray(np.nansum(values, axis=axis) / np.where(count, count, np.nan))


def _median(values: Array, axis: int) -> Array:
    known = np.isfinite(values).any(axis=axis)
    return np.asarray(
        np.where(known, np.nanmedian(np.where(np.expand_dims(known, axis), values, 0), axis=axis), np.nan)
    )


def _error(policy: Policy, spread: NDArray[np.float64], windows: int) -> NDArray[np.float64]:
    """Standard error of a change: of one window against the baseline, of one week against another. What few windows
    tell of their spread is not to be relied on: the fewer, the larger it is taken."""
    if windows < 2:
        return np.full(len(FIGURES), np.nan)
    of_week = np.sqrt(2 / week(policy)) if _has_weekend(policy) else np.nan
    factor = [np.sqrt(1 + 1 / windows) if policy.calls(figure) else of_week for figure in FIGURES]
    return np.asarray(spread * np.array(factor) * (1 + max(0, WEEK - windows) / (windows - 1) / 2))


def _has_weekend(policy: Policy) -> bool:
    """Whether what depends on traffic can be compared with the baseline: not with a few working days. Where windows are
    shorter than a day, nothing is said of weeks."""
    return policy.window < timedelta(days=1) or policy.windows * policy.window >= timedelta(days=7)
