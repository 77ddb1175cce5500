"""How the disk is divided among the reasons for which captures wait. Pure.

Each reason has a share of its own, so that a rule that fires all day can't push out the captures of another; the
sample's is twice as large. What was set aside after the store had refused it has a twentieth, and as much again stays
unused: an emptyDir that grows beyond its limit costs the pod its life.
"""

from __future__ import annotations

from collections.abc import Iterable

from agent.capture.settings import SAMPLE

_USABLE, _REFUSED = 90, 5  # per cent; the rest stays unused
_SAMPLE_WEIGHT = 2


def of(disk: int, reasons: Iterable[str]) -> dict[str, int]:
    """Bytes for each reason, of `disk` bytes in all."""
    weights = {reason: _SAMPLE_WEIGHT if reason == SAMPLE else 1 for reason in reasons}
    total = sum(weights.values())
    return {reason: disk * _USABLE * weight // (100 * total) for reason, weight in weights.items()}


def refused(disk: int) -> int:
    """Bytes for what was set aside."""
    return disk * _REFUSED // 100
