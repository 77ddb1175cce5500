"""river's detectors with their defaults, one for each node: the only judges here that are not our copy.

river comes from a lock file of its own, requirements.txt beside this file.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from drift.judges import Case, Judge
from drift.simulator import DAY

NODES = 0.3
NAMES = ("river ADWIN", "river PageHinkley", "river KSWIN")


class Detector(Protocol):
    """What is used of river's detectors."""

    drift_detected: bool

    def update(self, x: float) -> object:
        """The next value."""


def _judge(make: Callable[[], Detector]) -> Judge:
    def judge(case: Case) -> int | None:
        detectors = [make() for _ in case.precision]
        last = np.full(len(detectors), -DAY)
        for hour in range(case.precision.shape[1]):
            for node, detector in enumerate(detectors):
                value = case.precision[node, hour]
                if np.isfinite(value):
                    detector.update(float(value))
                    if detector.drift_detected:
                        last[node] = hour
            if (last > hour - DAY).sum() >= NODES * len(detectors):
                return hour + 1
        return None

    return judge


def judges() -> dict[str, Judge]:
    """river's judges. Drift is declared where they have detected it on 30% of the nodes within a day."""
    from river import drift  # not in the development environment

    detectors = (drift.ADWIN, drift.PageHinkley, lambda: drift.KSWIN(seed=1))
    return {name: _judge(make) for name, make in zip(NAMES, detectors, strict=True)}
