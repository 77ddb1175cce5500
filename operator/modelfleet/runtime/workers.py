"""The queues, and who empties them: a loop for each controller, with its workers."""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Protocol

from modelfleet import telemetry
from modelfleet.kinds import OWNERS, Key, Kind
from modelfleet.kube import Backoff, Queue
from modelfleet.reconcile import Controller, Deps, Loop
from modelfleet.watches import Watch

log = logging.getLogger(__name__)


class Capability(Protocol):
    """What a capability's package exports."""

    @property
    def WATCHES(self) -> tuple[Watch, ...]:
        """Which changes make its owners look again."""
        ...

    def controller(self, deps: Deps, /) -> Controller[Any]:
        """Its controller, of one of the owners' kinds."""
        ...


def make_queues(backoff: Backoff, metrics: telemetry.Metrics) -> dict[Kind, Queue[Key]]:
    """A queue for each kind of owner."""
    clock = asyncio.get_running_loop().time
    return {kind: Queue(clock, backoff, telemetry.QueueMeter(metrics, kind)) for kind in OWNERS}


def make_loops(
    capabilities: Iterable[Capability], deps: Deps, queues: Mapping[Kind, Queue[Key]]
) -> tuple[Loop[Any], ...]:
    """A loop for each capability's controller. Raises ValueError where two have one of the same kind."""
    controllers = [each.controller(deps) for each in capabilities]
    kinds = [each.kind for each in controllers]
    if twice := {kind.kind for kind in kinds if kinds.count(kind) > 1}:
        raise ValueError(f"more than one capability has a controller of {', '.join(sorted(twice))}")
    return tuple(Loop(each, deps, queues[each.kind], deps.metrics) for each in controllers)


class Workers:
    """`number` workers for each loop."""

    def __init__(self, loops: Sequence[Loop[Any]], number: int) -> None:
        self._loops = loops
        self._number = number
        self.tasks: list[asyncio.Task[None]] = []
        """What runs, once started. None of it ends before `drain`."""

    def start(self) -> None:
        """Let all of them work."""
        self.tasks = [
            asyncio.create_task(loop.work(), name=f"{loop.kind} worker {number}")
            for loop in self._loops
            for number in range(self._number)
        ]

    async def drain(self, limit: timedelta) -> None:
        """Begin no more, and let the reconciles under way end, for at most `limit`."""
        for loop in self._loops:
            loop.queue.close()
        if self.tasks:
            seconds = limit.total_seconds()
            _, late = await asyncio.wait(self.tasks, timeout=seconds)
            if late:
                log.warning("%d reconciles did not end within %.0f s and were cut off", len(late), seconds)
