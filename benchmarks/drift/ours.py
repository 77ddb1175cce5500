"""modelfleet's judge on a recording: the state at every look.

An operator judges at every hour, from the hours that it then has. Once the baseline is complete and kept, a look sees
the same however many hours follow it, so that all looks are taken at once; before, they are taken a day at a time, as
the errors are estimated again with every whole day.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from modelfleet.drift import figures, rule
from modelfleet.drift.anchor import Anchor
from modelfleet.drift.hours import FRAMES, Hours
from modelfleet.drift.judgement import State
from modelfleet.drift.policy import FIGURES, LEAST_WINDOWS, MORE_CONFIDENT, PARTS, SHAPE, Policy, Signal


@dataclass(frozen=True, eq=False)
class Looks:
    """What the rule says of one signal at each look."""

    signal: Signal
    holds: NDArray[np.bool_]
    keeps: NDArray[np.bool_]
    measured: NDArray[np.bool_]


def _looks(
    policy: Policy, hours: Hours, anchor: Anchor | None, strata: Sequence[str] | None
) -> tuple[list[Looks], Anchor | None]:
    """The policy's signals and the one that is always watched, and the anchor that follows."""
    found = figures.changes(policy, hours, anchor)
    seen = []
    for signal in (*policy.signals, MORE_CONFIDENT):
        number = FIGURES.index(signal.figure)
        each = rule.look(signal, found.change[number], float(found.error[number]), policy.nodes, strata)
        seen.append(Looks(signal, each.holds, each.keeps, each.measured))
    return seen, found.anchor


def states(policy: Policy, hours: Hours, seen: Sequence[Looks], sustained: int) -> list[State]:
    """The state at each look, as `drift.judge` finds it."""
    own = [number for number, each in enumerate(seen) if each.signal in policy.signals]
    calling = [number for number in own if seen[number].signal.figure in SHAPE]
    begun = np.logical_or.accumulate(np.any([seen[number].measured for number in calling or own], axis=0))
    known = np.isfinite(hours.counts[:, :, FRAMES]).sum(axis=0) >= 0.3 * len(hours.nodes)
    silent = np.arange(hours.hours) - np.maximum.accumulate(np.where(known, np.arange(hours.hours), -1))
    courses = [list(_course(each, sustained)) for each in seen]
    found = []
    for look in range(hours.hours):
        at = [each[look] for each in courses]
        if not begun[look]:
            found.append(State.LEARNING)
        elif silent[look] >= PARTS:
            found.append(State.PAUSED)
        elif any(at[number][0] for number in calling):
            found.append(State.DRIFTING)
        elif any(at[number][1] for number in calling):
            found.append(State.SUSPECTED)
        elif any(active for (active, _), each in zip(at, seen, strict=True) if each.signal == MORE_CONFIDENT):
            found.append(State.MORE_CONFIDENT)
        elif any(active for (active, _), each in zip(at, seen, strict=True) if each.signal.figure not in SHAPE):
            found.append(State.FEWER_OBJECTS)
        else:
            found.append(State.STEADY)
    return found


def _course(seen: Looks, sustained: int) -> Iterator[tuple[bool, bool]]:
    """Whether the signal is active, and whether it is suspected, after each look: `rule.follow` at every look."""
    active = suspected = False
    streak = calm = 0
    for holds, keeps, measured in zip(seen.holds.tolist(), seen.keeps.tolist(), seen.measured.tolist(), strict=True):
        if measured:
            streak = streak + 1 if holds else 0
            calm = 0 if keeps else calm + 1
            suspected = (suspected or streak == 1) and not calm
            if not active and streak >= sustained:
                active = True
            elif active and calm >= sustained:
                active = False
        yield active, suspected


def judged(
    policy: Policy, hours: Hours, strata: Sequence[str] | None = None, sustained: Sequence[int] | None = None
) -> list[list[State]]:
    """The state at each look, for each number of looks for which a state must last (the policy's, where none is
    given)."""
    asked = [policy.sustained] if sustained is None else sustained
    found: list[list[State]] = [[] for _ in asked]
    for day in range(LEAST_WINDOWS - 1, policy.windows + 1):  # before, nothing is measured
        last = (day + 1) * PARTS - 1 if day < policy.windows else hours.hours
        upto = _between(hours, 0, last)
        seen, _ = _looks(policy, upto, None, strata)
        for course, number in zip(found, asked, strict=True):
            course += states(policy, upto, seen, number)[len(course) :]
    return found


def remembered(policy: Policy, hours: Hours, strata: Sequence[str] | None, retention: int) -> list[State]:
    """The state at each look where Prometheus keeps so many hours: a day at a time, with the anchor that the looks
    before left."""
    found: list[State] = []
    anchor: Anchor | None = None
    for end in range(PARTS - 1, hours.hours + PARTS, PARTS):  # a whole day changes the errors: it is a day's first look
        last = min(end, hours.hours)
        first = max(0, last - min(retention, policy.parts + PARTS))
        kept = _between(hours, first, last)
        seen, anchor = _looks(policy, kept, anchor, strata)
        found += states(policy, kept, seen, policy.sustained)[len(found) - first :]
    return found


def _between(hours: Hours, first: int, last: int) -> Hours:
    return replace(hours, start=hours.start + first * hours.part, counts=hours.counts[:, first:last])
