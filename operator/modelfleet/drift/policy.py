"""The rules of a watch for drift, as plain values. Pure."""

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from math import log

from modelfleet.api.driftspec import Drift
from modelfleet.api.quantities import IntOrPercent

PARTS = 24
"""A window is judged in so many parts, each compared with the same part of earlier windows: a day in hours."""

WEEK = 7
"""How many of the things that depend on traffic differ between weekdays and weekends: they are averaged over so many
windows, or over the baseline where that is shorter."""

LEAST_WINDOWS = 3
"""So many whole windows of a node make a baseline that can be used."""

GAP = 2
"""The rolling baseline ends this many windows ago, so that drift does not become its own baseline while it is
judged."""

MIN_HOURS = 0.4
"""A node has a figure where this share is known of the window's hours that are known as a rule."""

FEWEST_HOURS = 3
"""And at least so many."""


class Figure(StrEnum):
    """What is watched, as the API names it."""

    CONFIDENCE = "confidence"
    LOW = "low-confidence-rate"
    RATE = "detection-rate"
    EMPTY = "empty-frame-rate"


SHAPE = (Figure.CONFIDENCE, Figure.LOW)
"""Figures of the shape of the confidences: traffic does not move them."""

FIGURES = tuple(Figure)


ERRORS = 3.3
"""A node has changed where its change is beyond what is asked for, and beyond so many standard errors. Weather
remembers: the windows of a baseline are more alike than others, so that the error of a change is larger than they tell.
With 3, the benchmark's fleets under bad weather were called drifting in 7.5%."""


@dataclass(frozen=True)
class Signal:
    """One figure, and from which change on a node has drifted: down where `change` is negative, else up. Of the
    detection rate it is a difference of logarithms."""

    figure: Figure
    change: float
    errors: float = ERRORS


FEWER = Signal(Figure.RATE, log(1 - 0.2))
"""How much less is found is shown where it is not watched, too: it tells a change of the scene from misses."""

MORE_CONFIDENT = Signal(Figure.LOW, -0.10, errors=3.0)
"""Always watched: a model that misses the hard objects is more sure of those that it still finds. It asks for a review,
trains nothing, and may err a little more often to be found sooner."""

ALWAYS = (FEWER, MORE_CONFIDENT)
"""Watched or shown whatever the policy lists."""


class ReviewedFigure(StrEnum):
    """What is watched by reviewed frames, as the API names it."""

    RECALL = "reviewed-recall"
    PRECISION = "reviewed-precision"


@dataclass(frozen=True)
class Floor:
    """A figure by reviewed frames, and how good it is to be. It is compared with no baseline."""

    figure: ReviewedFigure
    minimum: float


@dataclass(frozen=True)
class Policy:
    """Everything that a judgement goes by, the figures aside. See `spec.drift` of a Rollout for the fields."""

    signals: tuple[Signal, ...] = (Signal(Figure.CONFIDENCE, -0.05), FEWER)
    nodes: IntOrPercent = field(default_factory=lambda: IntOrPercent(30, is_percent=True))
    stratify_by: str | None = None
    baseline: timedelta = timedelta(days=7)
    window: timedelta = timedelta(days=1)
    sustain: timedelta = timedelta(days=1)
    exposure: str | None = None
    provider: str | None = None
    floors: tuple[Floor, ...] = ()

    def calls(self, figure: Figure) -> bool:
        """Whether a change of this figure calls for a training: one that traffic alone can make does not."""
        return figure in SHAPE or (figure is Figure.RATE and self.exposure is not None)

    @property
    def part(self) -> timedelta:
        """The length of a part of a window: how often there is a look."""
        return self.window / PARTS

    @property
    def windows(self) -> int:
        """Whole windows in the baseline."""
        return max(LEAST_WINDOWS, int(self.baseline / self.window))

    @property
    def sustained(self) -> int:
        """So many looks in a row make a state."""
        return max(1, round(self.sustain / self.part))

    @property
    def parts(self) -> int:
        """So many parts must be known to judge as if everything were: the rolling baseline, what lies between it and
        now, and the looks from which the states follow."""
        return (self.windows + GAP) * PARTS + 2 * self.sustained


_REVIEWED = frozenset(ReviewedFigure)


def policy(spec: Drift) -> Policy:
    """The policy of a Rollout's `spec.drift`."""
    return Policy(
        signals=tuple(
            _signal(Figure(each.name), float(each.min_drop or 0), float(each.min_rise or 0))
            for each in spec.signals
            if each.name not in _REVIEWED
        ),
        nodes=spec.nodes,
        stratify_by=spec.stratify_by,
        baseline=spec.baseline,
        window=spec.window,
        sustain=spec.sustain,
        exposure=spec.exposure.query if spec.exposure is not None else None,
        provider=spec.provider,
        floors=tuple(
            Floor(ReviewedFigure(each.name), float(each.minimum or 0))
            for each in spec.signals
            if each.name in _REVIEWED
        ),
    )


def _signal(figure: Figure, drop: float, rise: float) -> Signal:
    if figure is Figure.RATE:
        return Signal(figure, log(1 - min(drop, 0.99)))
    return Signal(figure, -drop if drop else rise)
