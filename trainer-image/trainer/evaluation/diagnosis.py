"""What the curves of a training say, by name: Overfitting, Underfitting, Diverged, Converged or Unclear. Pure.

Rules in order, the first that holds speaks. Every threshold is a share of the curve's own height, so that none depends
on the losses' scale, which differs with architecture, class count and augmentation. For the same reason training and
validation loss are never compared with each other (augmentation makes the training's harder): only their trends are.

1. Overfitting: since its lowest point the validation loss rose by RISE or more, over at least a tenth of the epochs
   and two, while the training loss fell by FALL or more, and mAP50-95 had its best before the last tenth of the epochs;
   or mAP50-95 lost LOST of its best while the training loss fell by FALL.
2. Diverged: mAP50-95 never reached LITTLE, and the training loss ended RISE or more above where it began and less than
   that below its highest point.
3. Underfitting: mAP50-95 never reached LITTLE, and the training loss did not even halve since its highest point. (It
   can rise at first: a network that finds no object yet has few to be wrong about.)
4. Underfitting: in the last fifth of the epochs mAP50-95 still won CLIMBING of its best, and the validation loss fell.
5. Converged: the last fifth brought less than FLAT of the best mAP50-95, and the validation loss did not rise by RISE.
6. Unclear: everything else, fewer than FEW epochs included.

"Loss" is the sum of the weighted losses; curves are smoothed by a running median of three, so that one lucky or unlucky
epoch on a small validation part says nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

from trainer.evaluation.curves import Curves

Finding = Literal["Overfitting", "Underfitting", "Diverged", "Converged", "Unclear"]

FEW = 5
RISE = 0.10
FALL = 0.05
LOST = 0.10
LITTLE = 0.10  # of mAP50-95, which has a scale of its own
CLIMBING = 0.10
FLAT = 0.05

_MAP = "metrics/mAP50-95(B)"


@dataclass(frozen=True)
class Diagnosis:
    """A name, and a sentence that carries its figures."""

    finding: Finding
    message: str

    def to_json(self) -> dict[str, Any]:
        return {"finding": self.finding, "message": self.message}


@dataclass(frozen=True)
class _Run:
    """The curves by position, smoothed, without the epochs in which something was not finite."""

    epochs: tuple[int, ...]
    train: tuple[float, ...]
    val: tuple[float, ...]
    quality: tuple[float, ...]

    @property
    def last(self) -> int:
        return len(self.epochs) - 1

    @property
    def peak(self) -> int:
        return self.quality.index(max(self.quality))

    @property
    def lowest(self) -> int:
        return self.val.index(min(self.val))

    @property
    def highest(self) -> int:
        """Where the training loss was."""
        return self.train.index(max(self.train))

    @property
    def fifth(self) -> int:
        """The position where the last fifth of the epochs begins."""
        return self.last - max(1, len(self.epochs) // 5)

    def change(self, values: Sequence[float], since: int) -> float:
        """How much a curve rose since a position, as a share of what it was there."""
        return values[self.last] / values[since] - 1 if values[since] > 0 else 0.0

    def gain(self) -> float:
        """What the last fifth added to the best mAP50-95, as a share of it."""
        best = max(self.quality)
        return 0.0 if best <= 0 else 1 - max(self.quality[: self.fifth + 1]) / best


def diagnose(curves: Curves) -> Diagnosis:
    """Names what the curves show. Never raises for a curve, however odd."""
    run = _smoothed(curves)
    if not run.epochs:
        return Diagnosis("Unclear", "no epoch has finite losses and mAP50-95")
    return next(found for rule in _RULES if (found := rule(run)) is not None)


def _smoothed(curves: Curves) -> _Run:
    rows = [
        row
        for row in zip(curves.epochs, curves.total("train"), curves.total("val"), curves.named(_MAP), strict=True)
        if all(math.isfinite(value) for value in row)
    ]
    epochs = tuple(row[0] for row in rows)
    train, val, quality = (_smooth([row[column] for row in rows]) for column in (1, 2, 3))
    return _Run(epochs, train, val, quality)


def _smooth(values: Sequence[float]) -> tuple[float, ...]:
    """Running median of three; the ends take that of the three nearest. Few values stay as they are."""
    if len(values) < FEW:
        return tuple(values)
    starts = (min(max(number - 1, 0), len(values) - 3) for number in range(len(values)))
    return tuple(median(values[start : start + 3]) for start in starts)


def _validation_loss_rose(run: _Run) -> bool:
    stretch = run.last - run.lowest
    return (
        len(run.epochs) >= FEW
        and stretch >= max(2, len(run.epochs) // 10)
        and run.change(run.val, run.lowest) >= RISE
        and run.change(run.train, run.lowest) <= -FALL
    )


def _overfitting(run: _Run) -> Diagnosis | None:
    if len(run.epochs) < FEW:
        return None
    early = run.last - run.peak >= max(1, len(run.epochs) // 10)
    if _validation_loss_rose(run) and early:
        return Diagnosis(
            "Overfitting",
            f"{_parted(run)}; {_peaked(run)}. {_AGAINST_OVERFITTING}",
        )
    lost = -run.change(run.quality, run.peak)
    if early and run.quality[run.peak] >= LITTLE and lost >= LOST and run.change(run.train, run.peak) <= -FALL:
        return Diagnosis(
            "Overfitting",
            f"{_peaked(run)}, {lost:.0%} lower, while the training loss fell by "
            f"{_since(run, run.train, run.peak)}. {_AGAINST_OVERFITTING}",
        )
    return None


def _diverged(run: _Run) -> Diagnosis | None:
    up, down = run.change(run.train, 0), -run.change(run.train, run.highest)
    if max(run.quality) >= LITTLE or up < RISE or down >= RISE:
        return None
    return Diagnosis(
        "Diverged",
        f"the training loss rose by {_since(run, run.train, 0)} in {_count(run)}, and mAP50-95 is at most "
        f"{max(run.quality):.3f}. Lower the learning rate (lr0 in hyperparameters.extra, with an optimizer by name).",
    )


def _hardly_learned(run: _Run) -> Diagnosis | None:
    best = max(run.quality)
    fall = -run.change(run.train, run.highest)
    if best >= LITTLE or fall >= 0.5:
        return None
    fell = "did not fall" if fall <= 0 else f"fell by only {_since(run, run.train, run.highest)}"
    loss = f", and the training loss {fell}" if len(run.epochs) > 1 else ""
    return Diagnosis(
        "Underfitting",
        f"after {_count(run)} mAP50-95 is at most {best:.3f}{loss}. Train longer, with a "
        "higher learning rate, from a parent, or a larger architecture; if that changes nothing, look at the labels.",
    )


def _too_short(run: _Run) -> Diagnosis | None:
    if len(run.epochs) >= FEW:
        return None
    return Diagnosis(
        "Unclear", f"{_count(run)} are too few to tell a trend; mAP50-95 was {max(run.quality):.3f} at best"
    )


def _still_climbing(run: _Run) -> Diagnosis | None:
    if run.gain() < CLIMBING or run.change(run.val, run.fifth) >= 0:
        return None
    return Diagnosis(
        "Underfitting",
        f"mAP50-95 was still climbing when the training ended after {_count(run)}: the last "
        f"{run.last - run.fifth} brought {run.gain():.0%} of its {max(run.quality):.3f}, and the validation loss went "
        f"from {run.val[run.fifth]:.3g} to {run.val[run.last]:.3g}. Train longer "
        "(hyperparameters.epochs, or patience where it stopped the training).",
    )


def _converged(run: _Run) -> Diagnosis | None:
    if run.gain() >= FLAT or max(run.quality) < LITTLE or _validation_loss_rose(run):
        return None
    return Diagnosis(
        "Converged",
        f"mAP50-95 levelled off: the last {run.last - run.fifth} of {_count(run)} brought {max(0.0, run.gain()):.1%} "
        f"of its {max(run.quality):.3f}, reached at epoch {run.epochs[run.peak]}",
    )


def _unclear(run: _Run) -> Diagnosis:
    if _validation_loss_rose(run):
        return Diagnosis(
            "Unclear",
            f"{_parted(run)}, as in overfitting, and yet mAP50-95 had its best at the end, {run.quality[run.peak]:.3f}",
        )
    if max(run.quality) < LITTLE:
        return Diagnosis(
            "Unclear",
            f"the training loss fell by {_since(run, run.train, run.highest)}, and yet mAP50-95 is at most "
            f"{max(run.quality):.3f}: training and validation part may differ in what they show or how it is labelled",
        )
    return Diagnosis(
        "Unclear",
        f"after {_count(run)} mAP50-95 is neither level nor clearly climbing: the last {run.last - run.fifth} brought "
        f"{run.gain():.0%} of its {max(run.quality):.3f}, while the validation loss went from "
        f"{run.val[run.fifth]:.3g} to {run.val[run.last]:.3g}",
    )


_RULES: tuple[Callable[[_Run], Diagnosis | None], ...] = (
    _overfitting,
    _diverged,
    _hardly_learned,
    _too_short,
    _still_climbing,
    _converged,
    _unclear,
)

_AGAINST_OVERFITTING = (
    "The published weights are those of the best epoch; more or more varied images, stronger augmentation, a smaller "
    "architecture or a parent to start from help."
)


def _parted(run: _Run) -> str:
    """How the two losses went apart."""
    rise, fall = (_since(run, values, run.lowest) for values in (run.val, run.train))
    since = run.epochs[run.lowest]
    return f"since epoch {since} the validation loss rose by {rise} while the training loss fell by {fall}"


def _peaked(run: _Run) -> str:
    return (
        f"mAP50-95 had its best, {run.quality[run.peak]:.3f}, at epoch {run.epochs[run.peak]} of "
        f"{run.epochs[run.last]} and ended at {run.quality[run.last]:.3f}"
    )


def _since(run: _Run, values: Sequence[float], start: int) -> str:
    return f"{abs(run.change(values, start)):.0%} ({values[start]:.3g} to {values[run.last]:.3g})"


def _count(run: _Run) -> str:
    return "1 epoch" if len(run.epochs) == 1 else f"{len(run.epochs)} epochs"
