"""Looks at a Rollout's watch for drift: asks Prometheus when a new part of the window is over, and judges.

What reviewed frames say is laid over that at each look: it is in the store, and costs nothing.
"""

import logging
from dataclasses import replace

from modelfleet import drift, telemetry
from modelfleet.drift import Anchor, Hours, Judgement, Plan
from modelfleet.drift.observe import NotAnswered
from modelfleet.kube import NODE
from modelfleet.reconcile import Deps
from modelfleet.rollout import drifting, nodes, reviewed
from modelfleet.rollout.metrics import Watch
from modelfleet.rollout.position import Position
from modelfleet.rollout.snapshot import DriftSeen

log = logging.getLogger(__name__)


async def look(last: Watch | None, plan: Plan, position: Position, deps: Deps) -> Watch:
    """The watch at this moment: as at the last look where nothing is due, and plan and review are the same."""
    known = last if last is not None and last.seen.plan == plan else None
    found = _reviewed(known, await _figures(known, plan, position, deps), position, deps)
    if found is not known:
        _tell(None if known is None else known.seen.judgement, found.seen.plan, found.seen.judgement)
    return found


def _reviewed(known: Watch | None, found: Watch, position: Position, deps: Deps) -> Watch:
    """With what reviewed frames say, where they are watched: judged again when either says something else."""
    if found.figures is None or not found.seen.plan.policy.floors:
        return found
    before = drifting.before(position)
    of = reviewed.of_stable(position), before.reviewed
    if known is not None and known.figures is found.figures and known.reviewed == of:
        return known
    judgement = drift.overlay(found.figures, found.seen.plan, of[0], before, deps.clock(), held=bool(found.paused))
    return replace(found, seen=replace(found.seen, judgement=judgement), reviewed=of)


async def _figures(known: Watch | None, plan: Plan, position: Position, deps: Deps) -> Watch:
    """What the figures of the nodes say: as at the last look where the next one is not due."""
    now = deps.clock()
    judged = known.figures if known is not None else None
    before, why = drifting.before(position), drifting.moving(position)
    stored = position.stable.baseline if position.stable is not None else ""
    if why:
        if known is not None and known.paused == why:
            return known
        judgement = drift.paused(plan, before, why, now, judged)
        return _watch(plan, judgement, stored, known.hours if known is not None else None, why)
    if known is not None and not known.paused:
        due = known.seen.judgement.next_look
        if due is not None and now < due <= now + 2 * plan.policy.part:  # later ones are of a clock that was ahead
            return known
    key = plan.policy.stratify_by
    plan = replace(
        plan,
        members=frozenset(node.name for group in position.snapshot.groups for node in group.nodes),
        strata={} if key is None else nodes.values_of(key, deps.store.list(NODE)),
    )
    hours = known.hours if known is not None else None
    try:
        provider = deps.prometheus.get(plan.policy.provider, "drift.provider")
        hours = await drift.observe.extend(provider, plan, hours, now)
    except NotAnswered as failed:
        judgement = drift.provider_down(plan, before, failed.down, now, judged)
        return _watch(plan, judgement, stored, failed.known)
    kept = _kept(stored, plan)
    judgement = drift.judge(plan, hours, kept, before, now)
    return _watch(plan, judgement, _stored(judgement.anchor, kept, stored), hours)


def _watch(plan: Plan, judgement: Judgement, baseline: str, hours: Hours | None, paused: str = "") -> Watch:
    return Watch(DriftSeen(plan, judgement, baseline), hours, paused, figures=judgement)


def _kept(stored: str, plan: Plan) -> Anchor | None:
    """What is kept of the baseline, where it can be read and compared with."""
    if not stored:
        return None
    try:
        anchor = drift.unpack(stored)
    except drift.Unreadable as error:
        log.warning("the baseline kept on revision %s can't be read, and is built again: %s", plan.revision, error)
        return None
    return anchor if anchor.basis == plan.basis else None


def _stored(anchor: Anchor | None, kept: Anchor | None, stored: str) -> str:
    """What is to be kept from now on, packed; it rarely changes, and packing a large fleet's takes a while."""
    if anchor is None:
        return ""
    return stored if anchor is kept else drift.pack(anchor)


def _tell(last: Judgement | None, plan: Plan, judgement: Judgement) -> None:
    """Write a change of state down: in a JSON log as the field `drift`, else as one sentence."""
    if not drift.audit.due(last, judgement):
        return
    log.info(
        "watch for drift of %s: %s. %s",
        plan.version,
        judgement.state.value,
        judgement.message,
        extra=telemetry.fields(drift=drift.audit.record(plan, judgement)),
    )
