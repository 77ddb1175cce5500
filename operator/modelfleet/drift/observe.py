"""Asks Prometheus for the hours that are not known yet: six queries for each new part, however many nodes."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from modelfleet.drift import hours as table
from modelfleet.drift import queries
from modelfleet.drift.hours import Hours
from modelfleet.drift.plan import Plan
from modelfleet.drift.policy import PARTS
from modelfleet.prometheus.results import ProviderDown, Result, Samples


class Provider(Protocol):
    """What is used of `modelfleet.prometheus.Client`."""

    async def range(self, query: str, start: datetime, end: datetime, step: timedelta) -> Result:
        """`query` at start, start + step, ... end."""


async def extend(prometheus: Provider | ProviderDown, plan: Plan, known: Hours | None, now: datetime) -> Hours | None:
    """The hours up to the newest that can be known at `now`, of which `known` need not be asked for again.

    Long stretches (after a restart) are asked for a window at a time. Where `known` reaches beyond `now`, the clock was
    ahead: hours were asked for before they were over, so all are asked for again. Raises NotAnswered.
    """
    last = plan.last(now)
    if last is None:
        return None
    if known is not None and known.end > last:
        known = None
    part, first = plan.policy.part, plan.first(last)
    next_end = first if known is None else max(first, known.end + part)
    while next_end <= last:
        if isinstance(prometheus, ProviderDown):
            raise NotAnswered(prometheus, known)
        until = min(last, next_end + (PARTS - 1) * part)
        try:
            more = await _read(prometheus, plan, next_end, until)
        except NotAnswered as failed:
            raise NotAnswered(failed.down, known) from failed
        known = more if known is None else known.followed_by(more)
        next_end = until + part
    return None if known is None else known.since(first - part)


class NotAnswered(Exception):
    """A query was not answered. `known`: the hours up to there."""

    def __init__(self, down: ProviderDown, known: Hours | None) -> None:
        super().__init__(down.message)
        self.down = down
        self.known = known


async def _read(prometheus: Provider, plan: Plan, first: datetime, last: datetime) -> Hours:
    part = plan.policy.part
    series = queries.selector(plan.namespace, plan.rollout, plan.version)
    asked: tuple[str, ...] = (
        queries.true_detections(series, part, plan.detection_weights),
        queries.detections(series, part),
        queries.low_confidence(series, part),
        queries.frames(series, part),
        queries.empty_frames(series, part),
        queries.coverage(series, part),
    )
    if plan.policy.exposure is not None:
        asked += (queries.exposure(plan.policy.exposure, plan.namespace, plan.rollout, plan.version, part),)
    answers = await asyncio.gather(*(prometheus.range(query, first, last, part) for query in asked))
    down = next((answer for answer in answers if isinstance(answer, ProviderDown)), None)
    if down is not None:
        raise NotAnswered(_blamed(down, answers, plan), None)
    found = [answer if isinstance(answer, Samples) else None for answer in answers]
    passed = found.pop() if plan.policy.exposure is not None else None
    return table.read(first, last, part, found[:-1], found[-1], passed)


def _blamed(down: ProviderDown, answers: Sequence[Result], plan: Plan) -> ProviderDown:
    """With the field to correct, where the one query that people write was refused."""
    theirs = answers[-1] if plan.policy.exposure is not None else None
    if not isinstance(theirs, ProviderDown) or not theirs.bad_query:
        return down
    return replace(theirs, message=f"drift.exposure.query can't be asked: {theirs.message}")
