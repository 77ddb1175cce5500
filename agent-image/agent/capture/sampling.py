"""The random sample: every frame has a known chance, which is written down with it. Pure: time and draws are passed in.

Frames with and without detections are two strata, each with its own wish of captures an hour. The chance of a frame is

    p = min(1, wish / max(frames of the stratum in the hour before, frames of it in this hour so far))

It is fixed at the hour's start and falls within an hour only where the stratum has outgrown the hour before, so that a
camera that is covered does not flood the disk. Either way p depends on what came before the draw alone, so that
weighting each captured frame by 1/p gives unbiased figures of all frames. Nothing else decides: no cooldown, no limit,
no comparison with other frames. A reservoir would need memory over restarts, and the next frame after a random moment
favours frames that follow a gap.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from agent.capture.settings import Sample

HOUR = 3600.0

Stratum = Literal["found", "empty"]


@dataclass(frozen=True)
class Draw:
    """One frame was drawn, at this chance."""

    probability: float
    stratum: Stratum


class Sampler:
    """Draws. `frame_rate` (frames a second) stands for the hour before the first; `draw` gives numbers in [0, 1)."""

    def __init__(self, frame_rate: float, draw: Callable[[], float]) -> None:
        self._draw = draw
        first = max(1.0, frame_rate * HOUR)
        self._before: dict[Stratum, float] = {"found": first, "empty": first}
        self._so_far: dict[Stratum, int] = {"found": 0, "empty": 0}
        self._hour_began: float | None = None

    def offer(self, wishes: Sample, empty: bool, now: float) -> Draw | None:
        """Whether this frame, one of all frames, is drawn. `now` is in seconds and never goes back."""
        self._roll(now)
        stratum: Stratum = "empty" if empty else "found"
        self._so_far[stratum] += 1
        wish = wishes.empty_per_hour if empty else wishes.per_hour
        probability = min(1.0, wish / max(self._before[stratum], self._so_far[stratum]))
        return Draw(probability, stratum) if self._draw() < probability else None

    def _roll(self, now: float) -> None:
        if self._hour_began is None:
            self._hour_began = now
        elif (hours := (now - self._hour_began) // HOUR) >= 1:
            # After hours without any frame, the last hour that had some is the best guess.
            self._before = {stratum: float(count) for stratum, count in self._so_far.items()}
            self._so_far = {"found": 0, "empty": 0}
            self._hour_began += hours * HOUR
