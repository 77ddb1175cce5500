"""A fleet of cameras, simulated: what each node counts in every hour of some weeks.

The parameters are in `World`. What matters for a judge of drift is how nodes differ, how day and night and the week go,
and what the weather does from one day to the next: it is common to many nodes, and no count of detections averages it
away.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from modelfleet.drift.hours import ALL, COLUMNS, EMPTY, FRAMES, LOW, TRUE, Hours
from modelfleet.measurement.endpoints import BUCKETS, EDGES

Array = NDArray[np.float64]

DAY = 24
START = datetime(2026, 1, 5, tzinfo=UTC)
"""A Monday."""

TRUTH = np.array([0.3, 0.42, 0.52, 0.6, 0.68, 0.76, 0.82, 0.87, 0.92, 0.97])
"""How many of the detections in each confidence bucket are true, as a holdout shows it."""

WIDTH = 1.4
"""The logit of a detection's confidence is normal with this standard deviation, cut off at the lowest edge."""

PRECISION = 0.70
"""Expected precision of the fleet's mean node by day."""

HARDNESS = 0.5
"""How sharply objects that are hard to see are missed first, in logits of the confidence that they had."""

LOW_BUCKETS = EDGES.index(0.5)


@dataclass(frozen=True)
class World:
    """What the fleet is like. Spreads are standard deviations.

    node, node_rate    how nodes differ for good: in precision, and in ln(detections per frame)
    weather            of a day's mean precision, half of its variance common to the fleet
    weather_rate       the same of ln(detections per frame)
    memory             hours after which weather is forgotten (to 1/e)
    flicker            of precision from one hour to the next, without memory
    night, night_node  by how much precision is lower at night: on the mean node, and how nodes differ in it
    dark, weekend      share of the day's traffic that is left at night, and at a weekend
    frames, per_frame  an hour, and detections in each by day
    """

    nodes: int = 30
    sites: int = 3
    days: int = 35
    node: float = 0.04
    node_rate: float = 0.3
    weather: float = 0.016
    weather_rate: float = 0.08
    memory: float = 30.0
    flicker: float = 0.01
    night: float = 0.04
    night_node: float = 0.015
    dark: float = 0.4
    weekend: float = 0.4
    frames: int = 1200
    per_frame: float = 0.25

    @property
    def hours(self) -> int:
        """Hours in all."""
        return self.days * DAY

    @property
    def names(self) -> tuple[str, ...]:
        """The nodes."""
        return tuple(f"node-{number:05d}" for number in range(self.nodes))

    @property
    def site(self) -> NDArray[np.intp]:
        """(nodes,): the site of each."""
        return np.arange(self.nodes) * self.sites // self.nodes

    @property
    def strata(self) -> dict[str, str]:
        """Node -> its site."""
        return {name: f"site-{site}" for name, site in zip(self.names, self.site, strict=True)}


@dataclass(frozen=True, eq=False)
class Recording:
    """What was counted: detections (nodes, hours, 10 buckets), frames and empty frames (nodes, hours). NaN: nothing
    is known of that hour."""

    world: World
    detections: Array
    frames: Array
    empty: Array

    def table(self, first: int = 0, last: int | None = None) -> Hours:
        """The five columns of the operator, of the hours from `first` to before `last`."""
        counts = np.full((*self.frames.shape, COLUMNS), np.nan, np.float32)
        counts[:, :, TRUE] = self.detections @ TRUTH
        counts[:, :, ALL] = self.detections.sum(axis=2)
        counts[:, :, LOW] = self.detections[:, :, :LOW_BUCKETS].sum(axis=2)
        counts[:, :, FRAMES] = self.frames
        counts[:, :, EMPTY] = self.empty
        part = timedelta(hours=1)
        return Hours(self.world.names, START + first * part, part, counts[:, first:last])


@dataclass(eq=False)
class Draft:
    """A recording in the making, for scenarios to change. Arrays are (nodes, hours).

    precision   expected precision, drift not counted
    drift       by how much the scenario changes that of the fleet's mean node
    rate        ln of detections per frame
    minority    share of the detections that alone take the change of `drift`; (nodes, hours)
    missed      share of the detections that are lost, the hard ones first; from hour `onset` on
    lost        hours of which nothing is known
    """

    world: World
    random: np.random.Generator
    onset: int
    precision: Array
    drift: Array
    rate: Array
    minority: Array
    missed: float = 0.0
    lost: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((1, 1), bool))


Change = Callable[[Draft], None]
"""What happens in a scenario, to a draft in which nothing has."""

_MEANS = np.linspace(-4, 6, 2001)
_FINE = 40  # points in which a bucket is cut up


def _logit(share: Array | float) -> Array:
    return np.asarray(np.log(share) - np.log1p(-np.asarray(share)))


@cache
def _cut() -> tuple[Array, Array]:
    """Confidences in logits, (10 * 40,), and how likely each is for each mean of the logit, (2001, 10 * 40)."""
    fine = [np.linspace(low, high, _FINE, endpoint=False) for low, high in pairwise(EDGES)]
    edges = np.append(_logit(np.concatenate(fine)), 12.0)
    normal = NormalDist(0, WIDTH)
    points = np.linspace(-25, 25, 5001)
    below = np.interp(edges[None, :] - _MEANS[:, None], points, [normal.cdf(point) for point in points])
    likely = np.diff(below, axis=1)
    return (edges[:-1] + edges[1:]) / 2, likely / likely.sum(axis=1, keepdims=True)


@cache
def shares(missed: float = 0.0) -> Array:
    """(2001, 10): share of the detections in each bucket for each mean of the logit. `missed`: of the mean node's
    detections this share is lost, the hard ones first."""
    where, likely = _cut()
    kept = np.ones_like(where)
    if missed:
        usual = likely[_place(PRECISION)]
        low, high = -10.0, 10.0
        for _ in range(50):
            middle = (low + high) / 2
            kept = 1 / (1 + np.exp(-(where - middle) / HARDNESS))
            low, high = (low, middle) if 1 - usual @ kept > missed else (middle, high)
    return np.asarray((likely * kept).reshape(len(_MEANS), BUCKETS, _FINE).sum(axis=2))


@cache
def _precisions() -> Array:
    where, likely = _cut()
    return np.asarray(likely.reshape(len(_MEANS), BUCKETS, len(where) // BUCKETS).sum(axis=2) @ TRUTH)


def _place(precision: Array | float) -> NDArray[np.intp]:
    """Which mean of the logit gives this expected precision."""
    return np.rint(np.interp(precision, _precisions(), np.arange(len(_MEANS)))).astype(int)


def weather(world: World, random: np.random.Generator, rows: int) -> Array:
    """(rows, hours): autoregressive with the world's memory, and of standard deviation 1 in the mean of a day."""
    keep = np.exp(-1 / world.memory)
    steps = random.normal(0, np.sqrt(1 - keep**2), (world.hours, rows))
    steps[0] = random.normal(0, 1, rows)
    for hour in range(1, world.hours):
        steps[hour] += keep * steps[hour - 1]
    lags = np.abs(np.subtract.outer(np.arange(DAY), np.arange(DAY)))
    return np.asarray(steps.T / np.sqrt((keep**lags).mean()))


def simulate(world: World, change: Change, onset: int, seed: int) -> Recording:
    """One fleet. `onset`: the hour from which on the scenario's change is there."""
    random = np.random.default_rng(seed)
    size = (world.nodes, world.hours)
    clock = np.arange(world.hours) % DAY + random.normal(0, 1, (world.nodes, 1))  # where the sun, or the shift, is
    dark = 1 / (1 + np.exp(6 * np.cos((clock - 1) / DAY * 2 * np.pi + np.pi)))
    weekend = (np.arange(world.hours) // DAY % 7 >= 5)[None, :]
    noise = weather(world, random, 2 * world.nodes + 2)
    own, common = noise[: 2 * world.nodes].reshape(2, *size), noise[2 * world.nodes :, None]
    mixed = (own + common) / np.sqrt(2)
    draft = Draft(
        world,
        random,
        onset,
        precision=PRECISION
        + random.normal(0, world.node, (world.nodes, 1))
        - dark * random.normal(world.night, world.night_node, (world.nodes, 1))
        + world.weather * mixed[0]
        + random.normal(0, world.flicker, size),
        drift=np.zeros(size),
        rate=random.normal(0, world.node_rate, (world.nodes, 1))
        + np.log(world.dark) * dark
        + np.log(world.weekend) * weekend
        + world.weather_rate * mixed[1],
        minority=np.ones((1, 1)),
        lost=np.zeros(size, bool),
    )
    change(draft)
    return _counted(draft)


def _counted(draft: Draft) -> Recording:
    world, random = draft.world, draft.random
    usual = _place(draft.precision)
    shifted = np.clip(usual + _place(PRECISION + draft.drift) - _place(PRECISION), 0, len(_MEANS) - 1)
    mix = shares()[shifted]
    if (draft.minority < 1).any():
        minority = draft.minority[..., None]
        mix = (1 - minority) * shares()[usual] + minority * mix
    if draft.missed:
        mix[:, draft.onset :] = shares(draft.missed)[shifted[:, draft.onset :]]
    rate = world.per_frame * np.exp(draft.rate)
    detections = random.poisson((world.frames * rate)[..., None] * mix).astype(float)
    frames = random.poisson(world.frames, rate.shape).astype(float)
    empty = random.binomial(frames.astype(int), np.exp(-rate * mix.sum(axis=2))).astype(float)
    detections[draft.lost] = frames[draft.lost] = empty[draft.lost] = np.nan
    return Recording(world, detections, frames, empty)
