"""What is kept of many runs of one judge on one scenario."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from drift.scenarios import Scenario
from modelfleet.drift.judgement import State

STREAM_RUNS, STREAM_NODES = 12, 10
"""river's detectors are slow: so few runs, of so few nodes."""

First = int | None
"""The hour in which a state was declared first."""


@dataclass(frozen=True)
class Cell:
    """What one judge did with many runs of one scenario: how often, and when, it declared one state.

    before   runs in which it did before there was anything to find
    delays   hours from then on, of the others in which it did, in order
    """

    scenario: str
    judge: str
    state: str
    runs: int
    before: int
    delays: list[int]

    @staticmethod
    def of(scenario: Scenario, judge: str, state: State, firsts: Sequence[First]) -> "Cell":
        known = [each for each in firsts if each is not None]
        early = [each for each in known if each <= scenario.onset]
        delays = sorted(each - scenario.onset for each in known if each > scenario.onset)
        return Cell(scenario.name, judge, state.value, len(firsts), len(early), delays)

    @property
    def declared(self) -> int:
        """Runs in which it was declared at all."""
        return self.before + len(self.delays)

    def within(self, hours: float) -> int:
        """Runs in which it was declared in time, and not before."""
        return sum(delay <= hours for delay in self.delays)

    def quantile(self, share: float) -> float:
        """Hours until it was declared in this share of the runs in which it was not before; infinite: in fewer."""
        runs = self.runs - self.before
        rank = max(0, int(np.ceil(share * runs)) - 1)
        return float(self.delays[rank]) if rank < len(self.delays) else float("inf")

    def quantile_interval(self, share: float) -> tuple[float, float]:
        """95% interval of that, by the binomial order of the runs."""
        runs = max(1, self.runs - self.before)
        spread = 1.96 * (share * (1 - share) / runs) ** 0.5
        return self.quantile(max(1 / runs, share - spread)), self.quantile(min(1.0, share + spread))
