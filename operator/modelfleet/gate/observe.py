"""Gathers a gate's facts from Prometheus: at most seventeen queries and one for each check, however many nodes.

Where the last look had nothing to go by, three more, and each check's once more: is there something now?
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from modelfleet.api.gatespec import Verdict
from modelfleet.gate import checks, permutation_look
from modelfleet.gate.baseline import Past, shared
from modelfleet.gate.evidence import Asked, Evidence, Look
from modelfleet.gate.judge import judge
from modelfleet.gate.permutation_look import Trial
from modelfleet.gate.plan import CONSECUTIVE, Plan
from modelfleet.gate.policy import Check, Comparison
from modelfleet.measurement import backends, node_table, queries
from modelfleet.measurement.backends import Backends
from modelfleet.measurement.node_table import Table
from modelfleet.prometheus.results import ProviderDown, Result, Samples

_T = TypeVar("_T")

_LEAST_PAST = timedelta(hours=1)

_LEAST_NOW = timedelta(minutes=5)
"""Some scrapes, however often the gate looks: of a window with but one there is no increase."""


class Provider(Protocol):
    """What is used of `modelfleet.prometheus.Client`."""

    async def instant(self, query: str, at: datetime) -> Result:
        """`query` at one moment."""

    async def range(self, query: str, start: datetime, end: datetime, step: timedelta) -> Result:
        """`query` at start, start + step, ... end."""


async def gather(prometheus: Provider | ProviderDown, plan: Plan, now: datetime) -> Evidence:
    """Ask for what can be known at `now`. ProviderDown in place of the provider: there is none to ask, and it says why.

    The answer depends on `now` only through the newest look that is due: asked again later, or by another operator, the
    same look is the same. `again` alone is about now, and decides no verdict. Nothing is asked before the first look,
    and nothing that the policy has no use for.
    """
    newest = plan.newest_look(now)
    if newest < plan.first_look:
        return Evidence()
    if isinstance(prometheus, ProviderDown):
        return Evidence(
            checks=tuple(checks.evaluate(check, prometheus) for check in plan.policy.checks),
            down=prometheus if plan.policy.comparison is not None else None,
        )
    reader = _Reader(prometheus, plan)
    outcomes = await asyncio.gather(*(reader.check(check, newest) for check in plan.policy.checks))
    facts = Evidence()
    if plan.policy.comparison is not None:
        try:
            facts = await _facts(reader, plan, plan.policy.comparison, newest, plan.newest_test(now))
        except _DownError as error:
            facts = Evidence(down=error.down)
    facts = replace(facts, checks=tuple(outcomes))
    if plan.timed_out(now) and judge(plan, facts, now).verdict is Verdict.NO_DATA:
        facts = replace(facts, again=await reader.again(now))
    return replace(facts, queries=tuple(dict.fromkeys(reader.sent)))


async def _facts(reader: "_Reader", plan: Plan, comparison: Comparison, newest: int, test: int) -> Evidence:
    """What the comparison goes by: the newest look alone, a permutation test, or three looks and the past."""
    look = await reader.look(newest)
    if look.table.empty:
        return Evidence((look,), hint=await reader.hint(look.at))
    if not plan.compared:
        return Evidence((look,))
    running = await reader.backends(look.at)
    if permutation_look.wanted(plan, comparison, look.table):
        return Evidence((look,), large=True, trial=await reader.trial(test) if test else None, backends=running)
    earlier = range(max(plan.first_look, newest - CONSECUTIVE + 1), newest)
    others = await _all(*(reader.look(number) for number in earlier))
    return Evidence((*others, look), past=await reader.past(newest), backends=running)


class _DownError(Exception):
    """The provider did not answer one of the queries: no use in asking the others."""

    def __init__(self, down: ProviderDown) -> None:
        super().__init__(down.message)
        self.down = down


async def _all(*asked: Coroutine[Any, Any, _T]) -> list[_T]:
    """What all of them return. The first that has no answer ends the others: nobody would wait for theirs any more."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in asked]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed
    return [task.result() for task in tasks]


class _Reader:
    """Asks for one plan, and keeps what was asked."""

    def __init__(self, prometheus: Provider, plan: Plan) -> None:
        self._prometheus, self._plan = prometheus, plan
        self.sent: list[Asked] = []

    async def look(self, number: int) -> Look:
        """Look `number` of the Threshold method."""
        at = self._plan.look_time(number)
        return Look(number, at, await self._table(at))

    async def backends(self, at: datetime) -> Backends:
        """What the nodes of both sides run."""
        (found,) = await self._instants(at, queries.backends(self._plan.sides))
        return backends.read(self._plan.sides, found)

    async def past(self, number: int) -> Table | None:
        """The nodes before the update, for as long as look `number` sees, or an hour; None: too little is known."""
        plan = self._plan
        found = await self._shared(max(plan.policy.deadline, _LEAST_PAST))
        if found is None:
            return None
        wanted = max(plan.look_time(number) - plan.measured_from, _LEAST_PAST)
        window = min(wanted, found.length)
        if window < plan.policy.interval:
            return None
        asked = queries.buckets(plan.sides, window), queries.frames(plan.sides, window)
        buckets, frames = await self._instants(found.until, *asked)
        table = node_table.read(plan.sides.before_the_update, buckets, frames, None, scraped=False)
        return replace(table, canary=table.canary.only(found.nodes(0)), control=table.control.only(found.nodes(1)))

    async def trial(self, number: int) -> Trial:
        """Test `number` of the Permutation method."""
        plan = self._plan
        step, last = plan.test_spacing, plan.test_time(number)
        asked = queries.buckets(plan.sides, step), queries.frames(plan.sides, step)
        table = await self._table(last)
        now = [await self._range(query, plan.test_time(1), last, step) for query in asked]
        past = await self._shared(plan.tests * step)
        steps = 0 if past is None else past.steps(step, number)
        if past is None or not steps:
            return permutation_look.assemble(plan, number, table, permutation_look.Increases(*now))
        first = past.until - (steps - 1) * step
        then = [await self._range(query, first, past.until, step) for query in asked]
        return permutation_look.assemble(
            plan, number, table, permutation_look.Increases(*now), past, permutation_look.Increases(*then)
        )

    async def _shared(self, window: timedelta) -> Past | None:
        """The past that both sides share, of at most `window`: the same at every look."""
        sides = self._plan.sides
        asked = queries.first_seen(sides, window), queries.last_seen(sides, window)
        first, last = await self._instants(self._plan.past_until, *asked)
        return shared(self._plan, first, last, window)

    async def hint(self, at: datetime) -> str:
        """Where the figures are instead: another namespace label, other groups or versions. Empty if nowhere."""
        (found,) = await self._instants(at, queries.known(self._plan.sides))
        if found is None:
            return ""
        places = [
            " ".join(f"{label}={labels.get(label, '')!r}" for label in ("namespace", "group", "version"))
            for labels, _ in found.series[:3]
        ]
        return f"figures of a rollout {self._plan.rollout!r} exist under " + "; ".join(places)

    async def check(self, check: Check, newest: int) -> checks.Outcome:
        """One check, over all looks so far."""
        plan = self._plan
        query = checks.query(check, plan)
        asked = Asked(query, plan.look_time(1), plan.look_time(newest), plan.policy.interval)
        return checks.evaluate(check, await self._send(asked))

    async def again(self, now: datetime) -> bool:
        """Whether a gate that begins now would have something to go by: each check a value, and both sides nodes with
        figures all through the last few intervals. Where nothing is compared, a node of the group is enough."""
        plan, at = self._plan, now - self._plan.settle
        for check in plan.policy.checks:
            outcome = checks.evaluate(check, await self._send(Asked(checks.query(check, plan), at, at)))
            if outcome.missing or outcome.down is not None:
                return False
        comparison = plan.policy.comparison
        if comparison is None:
            return True
        window = max(CONSECUTIVE * plan.policy.interval, _LEAST_NOW)
        asked = (
            queries.buckets(plan.sides, window),
            queries.frames(plan.sides, window),
            queries.coverage(plan.sides, window, timedelta(0)),
        )
        try:
            table = node_table.read(plan.sides, *await self._instants(at, *asked))
        except _DownError:
            return False
        if not plan.compared:
            return bool(table.canary.nodes)
        sides = table.canary, table.control
        enough = all(len(side.nodes) >= comparison.min_nodes for side in sides)
        return enough and any(side.detections for side in sides)

    async def _table(self, at: datetime) -> Table:
        plan, window = self._plan, at - self._plan.measured_from
        asked = (
            queries.buckets(plan.sides, window),
            queries.frames(plan.sides, window),
            queries.coverage(plan.sides, window, plan.measured_from - plan.started_at),
        )
        return node_table.read(plan.sides, *await self._instants(at, *asked))

    async def _instants(self, at: datetime, *asked: str) -> list[Samples | None]:
        return await _all(*(self._known(Asked(query, at, at)) for query in asked))

    async def _range(self, query: str, start: datetime, end: datetime, step: timedelta) -> Samples | None:
        return await self._known(Asked(query, start, end, step))

    async def _known(self, asked: Asked) -> Samples | None:
        result = await self._send(asked)
        if isinstance(result, ProviderDown):
            raise _DownError(result)
        return result if isinstance(result, Samples) else None

    async def _send(self, asked: Asked) -> Result:
        self.sent.append(asked)
        if asked.step is None:
            return await self._prometheus.instant(asked.query, asked.end)
        return await self._prometheus.range(asked.query, asked.start, asked.end, asked.step)
