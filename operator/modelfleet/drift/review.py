"""Drift by reviewed frames: whether people find the version good enough, whatever its own confidence says. Pure.

Laid over what the figures of the nodes say: it needs no baseline and no Prometheus. What can't be measured changes
nothing: it neither declares drift nor takes it back.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from modelfleet.drift.judgement import BY_FIGURES, Before, Judgement, SignalChange, State
from modelfleet.drift.plan import Plan
from modelfleet.drift.policy import Floor, ReviewedFigure

_NAMES = {ReviewedFigure.RECALL: "recall", ReviewedFigure.PRECISION: "precision"}
_BAD = {
    ReviewedFigure.RECALL: "misses too many objects",
    ReviewedFigure.PRECISION: "sees too many objects where there are none",
}


@dataclass(frozen=True)
class Interval:
    """An estimate, and the interval that holds it in 95 of 100 cases."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Reviewed:
    """What reviewed frames say of the watched version. `missing`: why they say nothing at all, in words."""

    dataset: str = ""
    frames: int = 0
    recall: Interval | None = None
    precision: Interval | None = None
    missing: str = ""

    def of(self, figure: ReviewedFigure) -> Interval | None:
        """One figure; None where it can't be measured."""
        return self.recall if figure is ReviewedFigure.RECALL else self.precision


def overlay(
    judgement: Judgement, plan: Plan, reviewed: Reviewed, before: Before, now: datetime, *, held: bool = False
) -> Judgement:
    """`judgement`, which is by the figures of the nodes alone, with what reviewed frames say.

    Drift is declared once the whole interval is below the minimum, and until the estimate is back at it. `held`:
    nothing is judged now (a version is on its way), and what was declared stays.
    """
    floors = plan.policy.floors
    if not floors:
        return judgement
    below = tuple(each for each in floors if _below(each, None if held else reviewed.of(each.figure), before))
    by = (*((BY_FIGURES,) if judgement.declared else ()), *(each.figure.value for each in below))
    known = replace(
        judgement,
        declared=bool(by),
        by=by,
        signals=(*judgement.signals, *(_signal(each, reviewed) for each in floors)),
    )
    if held:
        return known
    said = [_sentence(each, reviewed, plan.version, each in below) for each in floors]
    if not below:
        return replace(known, message=" ".join([judgement.message, *said]))
    since = _since(judgement, before)
    return replace(
        known,
        state=State.DRIFTING,
        since=since or now,
        older=judgement.older or since is None,
        message=" ".join([*said, f"By the figures of the nodes: {judgement.message}"]),
    )


def _below(floor: Floor, found: Interval | None, before: Before) -> bool:
    """Whether the figure declares drift, or has and does not take it back."""
    was = floor.figure.value in before.reviewed
    if found is None:
        return was
    return found.high < floor.minimum or (was and found.value < floor.minimum)


def _since(judgement: Judgement, before: Before) -> datetime | None:
    """Since when drift has been declared: one episode, however often the watch was paused meanwhile, and by whichever
    of both it was declared first."""
    if before.state == State.DRIFTING and before.since is not None:
        return before.since
    return before.declared_since or (judgement.since if judgement.state is State.DRIFTING else None)


def _signal(floor: Floor, reviewed: Reviewed) -> SignalChange:
    found = reviewed.of(floor.figure)
    return SignalChange(floor.figure.value, None if found is None else found.value, floor.minimum)


def _sentence(floor: Floor, reviewed: Reviewed, version: str, below: bool) -> str:
    """What one figure says, in words."""
    found, name, least = reviewed.of(floor.figure), floor.figure.value, f"{floor.minimum:g}"
    if found is None:
        why = reviewed.missing or (
            f"{reviewed.frames} reviewed frames of {version} in Dataset {reviewed.dataset} do not suffice"
        )
        stays = f" It was below {least}: drift stays declared until it can be measured." if below else ""
        return f"{name} can't be measured: {why}.{stays}"
    figure = (
        f"{_NAMES[floor.figure]} {found.value:.3f} by {reviewed.frames} reviewed frames (95% interval {found.low:.3f} "
        f"to {found.high:.3f}, at least {least} asked for)"
    )
    if below:
        still = "" if found.high < floor.minimum else f" It was lower, and is drift until it is back at {least}."
        return (
            f"{version} {_BAD[floor.figure]} in production: {figure}.{still} See the worst classes in status.review of "
            f"Dataset {reviewed.dataset}, label frames with these, and retrain."
        )
    doubt = " That is less, but not for certain: review more frames." if found.value < floor.minimum else ""
    return f"{version} in production: {figure}.{doubt}"
