"""Hours of made-up fleets: what each node counted, with day and night, nodes that differ, weather and a change."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from modelfleet.drift.hours import Hours
from modelfleet.drift.plan import Plan
from modelfleet.drift.policy import Policy

START = datetime(2026, 11, 2, tzinfo=UTC)  # a Monday
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
WEIGHTS = (0.3, 0.35, 0.45, 0.55, 0.65, 0.75, 0.82, 0.87, 0.92, 0.97)
FRAMES_AN_HOUR = 3600.0


@dataclass(frozen=True)
class Fleet:
    """`nodes` nodes for `days` days. Changes begin on day `onset` of these nodes (None: all).

    precision  change of the expected precision at once; `low` of the share of low confidences
    found      factor of what is found
    gradual    the change grows over so many days
    """

    nodes: int = 10
    days: float = 14
    seed: int = 1
    onset: float = 9
    affected: tuple[int, ...] | None = None
    precision: float = 0.0
    low: float = 0.0
    found: float = 1.0
    gradual: float = 0.0
    per_hour: float = 600.0
    weather: float = 0.01
    weekends: float = 1.0

    def names(self) -> tuple[str, ...]:
        return tuple(f"edge-{number}" for number in range(self.nodes))

    def hours(self) -> Hours:
        """The table."""
        total = int(self.days * 24)
        draw = np.random.default_rng(self.seed)
        hour = np.arange(total)
        share = self._share(hour)
        affected = np.zeros((self.nodes, 1))
        affected[list(range(self.nodes) if self.affected is None else self.affected)] = 1
        days = int(self.days) + 1
        weather = (draw.normal(0, self.weather, (1, days)) + draw.normal(0, self.weather, (self.nodes, days)))[
            :, hour // 24
        ] / np.sqrt(2)
        night = 0.03 * np.cos(2 * np.pi * hour / 24)
        own = draw.normal(0, 0.03, (self.nodes, 1))
        precision = np.clip(0.8 + own + night + weather + self.precision * share * affected, 0.02, 0.98)
        low = np.clip(0.2 - own - night - weather + self.low * share * affected, 0.01, 0.98)
        traffic = (
            self.per_hour
            * (1 + 0.5 * np.sin(2 * np.pi * hour / 24))
            * np.exp(draw.normal(0, 0.1, (1, days)))[:, hour // 24]
        )
        traffic = traffic * np.where((hour // 24) % 7 >= 5, self.weekends, 1.0)
        traffic = traffic * (1 + (self.found - 1) * share * affected)
        every = draw.poisson(np.broadcast_to(traffic, (self.nodes, total))).astype(float)
        counts = np.stack(
            [
                draw.binomial(every.astype(int), precision),
                every,
                draw.binomial(every.astype(int), low),
                np.full((self.nodes, total), FRAMES_AN_HOUR),
                FRAMES_AN_HOUR * np.exp(-traffic / FRAMES_AN_HOUR) * np.ones((self.nodes, total)),
                np.full((self.nodes, total), np.nan),
            ],
            axis=2,
        )
        return Hours(self.names(), START, HOUR, counts.astype(np.float32))

    def _share(self, hour: NDArray[np.int64]) -> NDArray[np.float64]:
        """How much of the change is there at each hour."""
        past = (hour - self.onset * 24) / 24
        return np.clip(past / self.gradual, 0, 1) if self.gradual else (past >= 0).astype(float)


def plan(policy: Policy | None = None, **changed: object) -> Plan:
    """A watch of these fleets."""
    made = Plan("factory", "line", "line-abc", "v3", START, WEIGHTS, policy or Policy())
    return replace(made, **changed)  # type: ignore[arg-type]


def without(hours: Hours, rows: slice | list[int], times: slice) -> Hours:
    """The table with hours that are not known."""
    counts = hours.counts.copy()
    counts[rows, times] = np.nan
    return replace(hours, counts=counts)


def until(hours: Hours, day: float) -> Hours:
    """The table as it was then."""
    return replace(hours, counts=hours.counts[:, : int(day * 24)])
