"""The judgement: from the hours of all nodes to a state, and a sentence about it. Pure.

It is made again at every look from all the hours there are, so that a restart, or a status that was wiped, finds the
same. Only that drift was declared before is carried on: what declared it may lie further back than the hours reach.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from math import expm1

import numpy as np
from numpy.typing import NDArray

from modelfleet.drift import figures, messages, rule
from modelfleet.drift.anchor import Anchor
from modelfleet.drift.figures import Changes
from modelfleet.drift.hours import Hours
from modelfleet.drift.judgement import Before, Judgement, SignalChange, State, Stratum
from modelfleet.drift.plan import Plan
from modelfleet.drift.policy import FEWER, FIGURES, MORE_CONFIDENT, PARTS, Figure, Signal
from modelfleet.drift.rule import Seen, Track
from modelfleet.prometheus.results import ProviderDown

EXAMPLES = 3


@dataclass(frozen=True, eq=False)
class Watched:
    """A signal with what the rule sees, and its course. `calls`: a change of it calls for a training."""

    signal: Signal
    seen: Seen
    track: Track
    calls: bool


def judge(plan: Plan, hours: Hours | None, anchor: Anchor | None, before: Before, now: datetime) -> Judgement:
    """The judgement of the newest look. `hours`: None where nothing was seen of the version yet. An anchor of another
    basis must not be given."""
    next_look = plan.next_look(now)
    if hours is None or not hours.nodes:
        message = messages.nothing_seen(plan.version, hours.set_aside if hours is not None else 0)
        return Judgement(State.LEARNING, message, before.since, next_look=next_look, anchor=anchor)
    hours = _of_members(hours, plan.members)
    found = figures.changes(plan.policy, hours, anchor, plan.basis)
    watched = _watched(plan, hours, found, before)
    own = [each for each in watched if each.signal in plan.policy.signals]
    calling = [each for each in own if each.calls] or own or watched  # reviewed frames alone may be asked for
    measured = np.any([each.seen.measured for each in calling], axis=0)
    begun = hours.start + int(np.median(figures.begun(hours))) * hours.part
    common = Judgement(
        State.LEARNING,
        "",
        declared=before.declared,
        baseline_from=found.anchor.begins if found.anchor is not None else begun,
        signals=tuple(_change(each) for each in watched),
        looked_at=hours.end,
        next_look=next_look,
        anchor=found.anchor,
    )
    looks = np.flatnonzero(measured)
    if not len(looks):
        until = plan.learned(begun)
        if now >= until + plan.policy.window:
            return replace(common, message=messages.too_little(plan, hours, figures.MIN_DETECTIONS))
        return replace(common, message=messages.learning(plan, hours, begun, until), learning_until=until)
    silent = figures.silent(hours)
    if silent >= PARTS:
        since = hours.end - silent * hours.part
        return replace(common, state=State.PAUSED, since=since, message=messages.no_figures(plan, since))
    return _judged(plan, hours, watched, own, int(looks[-1]), common, before)


def paused(plan: Plan, before: Before, why: str, now: datetime, last: Judgement | None = None) -> Judgement:
    """The judgement while nothing is judged: what was declared stays declared."""
    known = last or Judgement(State.PAUSED, "")
    since = before.since if before.state == State.PAUSED else now
    return replace(
        known,
        state=State.PAUSED,
        message=messages.paused(why),
        since=since,
        declared=before.declared,
        lone=(),
        next_look=None,
    )


def provider_down(plan: Plan, before: Before, down: ProviderDown, now: datetime, last: Judgement | None) -> Judgement:
    """The judgement while Prometheus does not answer. Asked again soon."""
    return replace(paused(plan, before, f"{down.message}.", now, last), next_look=plan.next_try(now))


def _judged(
    plan: Plan,
    hours: Hours,
    watched: Sequence[Watched],
    own: Sequence[Watched],
    last: int,
    common: Judgement,
    before: Before,
) -> Judgement:
    calling = [each for each in own if each.calls]
    track, state = _state(calling, own, watched)
    since = hours.ending(track.since) if track is not None and track.since is not None else None
    if before.state == state and before.since is not None:
        since = before.since
    elif state is State.DRIFTING and before.declared:  # one episode, though the watch was paused in between
        since = before.declared_since or since
    bad = calling or own or [each for each in watched if each.calls]
    if state in (State.MORE_CONFIDENT, State.FEWER_OBJECTS):
        bad = [each for each in watched if each.track is track]
    down = np.any([each.seen.down[:, last] for each in bad], axis=0)
    known = np.any([np.isfinite(each.seen.change[:, last]) for each in bad], axis=0)
    lone = _lone(hours, bad, down, plan.policy.sustained) if own and state is State.STEADY else ()
    named = lone if state is State.STEADY else _worst(hours, bad, down, last)
    judgement = replace(
        common,
        state=state,
        since=since,
        older=state is State.DRIFTING and any(map(_from_the_start, calling)),
        declared=state is State.DRIFTING,
        nodes=int(known.sum()),
        nodes_down=int(down.sum()),
        strata=tuple(Stratum(*row) for each in bad for row in each.seen.strata)[:5],
        examples=named[:EXAMPLES],
        lone=lone,
    )
    rows = down if down.any() else known
    worst = max(bad, key=lambda each: each.seen.severity(last))
    deep = worst.seen.change[worst.seen.down[:, last], last]
    rate = figures.recent_rate(plan.policy, hours, last)[rows]
    facts = messages.Facts(
        plan=plan,
        judgement=judgement,
        worst=worst.signal,
        depth=float(np.nanmedian(deep)) if np.isfinite(deep).any() else None,
        held=max((each.track.streak for each in bad), default=0) * hours.part,
        found=float(np.expm1(np.nanmedian(rate))) if np.isfinite(rate).any() else None,
        lacking=messages.lacking(plan, hours),
    )
    return replace(judgement, message=messages.of(facts))


def _state(
    calling: Sequence[Watched], own: Sequence[Watched], watched: Sequence[Watched]
) -> tuple[Track | None, State]:
    """The state, and the course that it follows from."""
    drifting = [each.track for each in calling if each.track.active]
    if drifting:
        return min(drifting, key=lambda track: -1 if track.since is None else track.since), State.DRIFTING
    suspected = [each.track for each in calling if each.track.suspected]
    if suspected:
        track = min(suspected, key=lambda track: track.suspected_since or 0)
        return Track(False, track.suspected_since, track.streak), State.SUSPECTED
    for each in watched:
        if each.signal == MORE_CONFIDENT and each.track.active:
            return each.track, State.MORE_CONFIDENT
    for each in own:
        if not each.calls and each.track.active:
            return each.track, State.FEWER_OBJECTS
    return None, State.STEADY


def _watched(plan: Plan, hours: Hours, found: Changes, before: Before) -> list[Watched]:
    """The policy's signals, and the one that is always watched."""
    policy = plan.policy
    signals = [*policy.signals]
    if all(signal.figure is not Figure.LOW or signal.change > 0 for signal in signals):
        signals.append(MORE_CONFIDENT)
    if all(signal.figure is not Figure.RATE for signal in signals):
        signals.append(FEWER)  # shown beside what is watched
    strata = [plan.strata.get(node) for node in hours.nodes] if policy.stratify_by is not None else None
    watched: list[Watched] = []
    for signal in signals:
        number = FIGURES.index(signal.figure)
        seen = rule.look(signal, found.change[number], float(found.error[number]), policy.nodes, strata)
        active = before.declared and signal in policy.signals and policy.calls(signal.figure)
        track = rule.follow(seen.holds, seen.keeps, seen.measured, policy.sustained, active)
        watched.append(Watched(signal, seen, track, policy.calls(signal.figure)))
    return watched


def _from_the_start(each: Watched) -> bool:
    """Whether it is drift by this signal, and was, by half at least, at every look that there is: the table does not
    reach back to its beginning."""
    return each.track.active and bool(each.seen.keeps[each.seen.measured].all())


def _change(each: Watched) -> SignalChange:
    """The figure of the median node at the newest look at which it was measured."""
    looks = np.flatnonzero(each.seen.measured)
    change = float(each.seen.median[looks[-1]]) if len(looks) else None
    threshold = each.seen.threshold if np.isfinite(each.seen.threshold) else each.signal.change
    if each.signal.figure is Figure.RATE:
        change, threshold = None if change is None else expm1(change), expm1(threshold)
    return SignalChange(each.signal.figure.value, change, threshold)


def _lone(hours: Hours, bad: Sequence[Watched], down: NDArray[np.bool_], sustained: int) -> tuple[str, ...]:
    """Nodes that have been down at each of so many of their own looks."""
    found = []
    for row in np.flatnonzero(down):
        for each in bad:
            looks = np.flatnonzero(np.isfinite(each.seen.change[row]))[-sustained:]
            if len(looks) == sustained and each.seen.down[row, looks].all():
                found.append(hours.nodes[row])
                break
    return tuple(found)


def _worst(hours: Hours, bad: Sequence[Watched], down: NDArray[np.bool_], last: int) -> tuple[str, ...]:
    """The nodes that are down, the one that is furthest beyond a threshold first."""
    rows = np.flatnonzero(down)
    beyond = np.max([np.nan_to_num(each.seen.change[rows, last] / each.seen.threshold) for each in bad], axis=0)
    return tuple(hours.nodes[rows[place]] for place in np.argsort(-beyond, kind="stable"))


def _of_members(hours: Hours, members: frozenset[str]) -> Hours:
    """Only nodes of the fleet. Where none is, the application has names of its own, and all count."""
    rows = [row for row, node in enumerate(hours.nodes) if node in members]
    if not rows or len(rows) == len(hours.nodes):
        return hours
    return replace(hours, nodes=tuple(hours.nodes[row] for row in rows), counts=hours.counts[rows])
