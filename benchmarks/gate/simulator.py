"""A fleet of cameras, simulated: what each node counts in every five minutes before and after a new version starts.

The parameters are in `World`, each with where it is from. All of the figures that matter for a verdict are about how
nodes differ and how slowly they change, not about how many detections there are.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from modelfleet.measurement.endpoints import BUCKETS, MIDPOINTS

Array = NDArray[np.float64]

WINDOW = 5  # minutes
LOOK = 30  # minutes
LOOKS = 6
STEPS = LOOKS * LOOK // WINDOW  # windows after the start, and as many before it
BASE = np.array([0.02, 0.05, 0.06, 0.07, 0.09, 0.12, 0.1, 0.14, 0.18, 0.17])
TRUTH = np.array([0.3, 0.42, 0.52, 0.6, 0.68, 0.76, 0.82, 0.87, 0.92, 0.97])
"""Share of a node's detections in each confidence bucket, and how many of them are true (as a holdout shows it)."""


@dataclass(frozen=True)
class World:
    """What the fleet is like. Spreads are standard deviations.

    node, node_rate    how nodes differ for good: in precision, and in ln(detections per frame)
    drift, drift_rate  how each changes on its own, around its own mean
    memory             hours after which such a change is forgotten (to 1/e)
    flicker            from one five minutes to the next, without memory
    weather            the same for all nodes, with the same memory
    frames             in five minutes; `per_frame` detections in each
    """

    canaries: int = 4
    controls: int = 12
    node: float = 0.04
    node_rate: float = 0.3
    drift: float = 0.02
    drift_rate: float = 0.08
    memory: float = 2.0
    flicker: float = 0.01
    weather: float = 0.03
    frames: int = 300
    per_frame: float = 2.0

    @property
    def nodes(self) -> int:
        """Nodes in all; the canaries come first."""
        return self.canaries + self.controls


@dataclass(frozen=True, eq=False)
class Recording:
    """What was counted: (nodes, windows before and after, 10 buckets) and (nodes, windows). NaN: no such figures."""

    detections: Array
    frames: Array
    canary: NDArray[np.bool_]
    candidate_weights: Array
    stable_weights: Array
    strata: tuple[str, ...] | None = None

    @cached_property
    def sides(self) -> tuple[Array, Array]:
        """Detections after the start of either side's nodes, (windows, 10) each; what is no number is 0."""
        counts = np.nan_to_num(self.after[0], nan=0, posinf=0)
        return counts[self.canary].sum(axis=0), counts[~self.canary].sum(axis=0)

    @property
    def before(self) -> tuple[Array, Array]:
        """Detections and frames before the start."""
        return self.detections[:, :STEPS], self.frames[:, :STEPS]

    @property
    def after(self) -> tuple[Array, Array]:
        """Detections and frames after the start."""
        return self.detections[:, STEPS:], self.frames[:, STEPS:]


@dataclass(eq=False)
class Draft:
    """A recording in the making, for scenarios to change. Arrays are (nodes, windows)."""

    world: World
    random: np.random.Generator
    precision: Array  # change of the expected precision, against the base
    rate: Array  # ln of detections per frame, against the base
    kept: Array = field(default_factory=lambda: np.ones(BUCKETS))  # share of each bucket that the candidate still finds
    candidate_weights: Array = field(default_factory=TRUTH.copy)
    strata: tuple[str, ...] | None = None
    spread: float = 0.0  # the candidate's detections are half better, half worse by this
    minority: float = 0.0  # share of the detections that alone take the canaries' change
    lost: list[tuple[NDArray[np.bool_], NDArray[np.bool_]]] = field(
        default_factory=list
    )  # (nodes, windows) without figures
    broken: list[tuple[int, float]] = field(default_factory=list)  # (node, value) of counters that are not numbers

    @property
    def canary(self) -> NDArray[np.bool_]:
        """(nodes,)"""
        return np.arange(self.world.nodes) < self.world.canaries


def autoregressive(random: np.random.Generator, shape: tuple[int, ...], spread: float, memory: float) -> Array:
    """A stationary AR(1) process along the last axis of `shape`, in windows of five minutes; `memory` in hours."""
    keep = np.exp(-WINDOW / 60 / memory)
    shocks = random.normal(0, spread * np.sqrt(1 - keep**2), shape)
    shocks[..., 0] = random.normal(0, spread, shape[:-1])
    for step in range(1, shape[-1]):
        shocks[..., step] += keep * shocks[..., step - 1]
    return shocks


_TILTS = np.linspace(-12, 12, 2001)
_SHARES = BASE * np.exp(_TILTS[:, None] * (np.array(MIDPOINTS) - 0.75))
_SHARES /= _SHARES.sum(axis=1, keepdims=True)
_PRECISIONS = _SHARES @ TRUTH
_BASE_PRECISION = float(BASE @ TRUTH)


def shares(precision: Array) -> Array:
    """Shares of the buckets (..., 10) whose expected precision is the base's plus `precision`: an exponential tilt."""
    index = np.interp(_BASE_PRECISION + precision, _PRECISIONS, np.arange(len(_TILTS)))
    return np.asarray(_SHARES[np.rint(index).astype(int)])


Change = Callable[[Draft, float], None]
"""Applies a version that is worse by this many margins, and whatever else a scenario has happen."""


def simulate(world: World, change: Change, margins: float, seed: int) -> Recording:
    """One fleet. `margins`: 0 an equal version, 1 one that is worse by the margin, 2 by twice of it."""
    random = np.random.default_rng(seed)
    size = (world.nodes, 2 * STEPS)
    draft = Draft(
        world,
        random,
        precision=random.normal(0, world.node, (world.nodes, 1))
        + autoregressive(random, size, world.drift, world.memory)
        + autoregressive(random, (1, 2 * STEPS), world.weather, world.memory)
        + random.normal(0, world.flicker, size),
        rate=random.normal(0, world.node_rate, (world.nodes, 1))
        + autoregressive(random, size, world.drift_rate, world.memory)
        + random.normal(0, world.flicker, size),
    )
    stable = draft.precision.copy()
    change(draft, margins)
    return _counted(draft, stable)


def _counted(draft: Draft, stable: Array) -> Recording:
    world, random = draft.world, draft.random
    changed = np.zeros_like(stable, bool)
    changed[draft.canary, STEPS:] = True
    mix = shares(draft.precision)
    if draft.minority:
        shift = (draft.precision - stable) / draft.minority
        mix = (1 - draft.minority) * shares(stable) + draft.minority * shares(stable + shift)
    if draft.spread:
        apart = (shares(draft.precision - draft.spread) + shares(draft.precision + draft.spread)) / 2
        mix = np.where(changed[..., None], apart, mix)
    mix = np.where(changed[..., None], mix * draft.kept, mix)
    expected = world.frames * world.per_frame * np.exp(draft.rate)[..., None] * mix
    detections = random.poisson(expected).astype(float)
    frames = np.full(draft.rate.shape, float(world.frames))
    for nodes, windows in draft.lost:
        detections[np.ix_(nodes, windows)] = frames[np.ix_(nodes, windows)] = 0
    for node, value in draft.broken:
        detections[node, STEPS + 3 :] = value
    return Recording(detections, frames, draft.canary, draft.candidate_weights, TRUTH, draft.strata)


def small(world: World, canaries: int) -> World:
    """The same fleet with fewer canary nodes."""
    return replace(world, canaries=canaries, controls=world.nodes - canaries)
