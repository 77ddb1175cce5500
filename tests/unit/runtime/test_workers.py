"""Workers: how many there are, and that they end what they have begun."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta

import pytest

from modelfleet import telemetry
from modelfleet.decision import Decision
from modelfleet.kinds import OWNERS, TRAINING_JOB, Key
from modelfleet.kube import Backoff, Store
from modelfleet.reconcile import Controller, Deps
from modelfleet.runtime.workers import Workers, make_loops, make_queues
from modelfleet.settings import Images, Settings

SETTINGS = Settings(images=Images(trainer="t", agent="a", labeler="l"))
KEY = Key("team", "job")


class Capability:
    """One that looks at training jobs, each until it is let go."""

    WATCHES = ()

    def __init__(self):
        self.looking = asyncio.Event()
        self.let_go = asyncio.Event()

    def controller(self, deps):
        async def observe(key):
            self.looking.set()
            await self.let_go.wait()

        return Controller(TRAINING_JOB, observe, lambda snapshot, now: Decision())


def working(*capabilities, number=1):
    metrics = telemetry.Metrics("1")
    queues = make_queues(Backoff(), metrics)
    deps = Deps(
        store=Store(),
        client=None,
        logs=None,
        prometheus=None,
        settings=SETTINGS,
        wake=lambda kind, key: None,
        clock=lambda: datetime.now(UTC),
        metrics=metrics,
    )
    return Workers(make_loops(capabilities, deps, queues), number), queues


async def test_each_kind_of_owner_has_a_queue():
    assert set(make_queues(Backoff(), telemetry.Metrics("1"))) == set(OWNERS)


async def test_two_capabilities_of_one_kind_are_refused():
    with pytest.raises(ValueError, match="more than one capability has a controller of TrainingJob"):
        working(Capability(), Capability())


async def test_there_are_as_many_workers_as_set():
    workers, _ = working(Capability(), number=3)
    workers.start()
    assert [task.get_name() for task in workers.tasks] == [f"TrainingJob worker {number}" for number in range(3)]
    await workers.drain(timedelta(seconds=5))
    assert all(task.done() for task in workers.tasks)


async def test_workers_that_were_never_started_need_no_draining():
    workers, _ = working(Capability())
    await workers.drain(timedelta(0))
    assert workers.tasks == []


async def test_what_is_under_way_is_brought_to_its_end():
    capability = Capability()
    workers, queues = working(capability)
    workers.start()
    queues[TRAINING_JOB].add(KEY)
    await capability.looking.wait()
    draining = asyncio.create_task(workers.drain(timedelta(seconds=5)))
    await asyncio.sleep(0)
    assert not draining.done()
    capability.let_go.set()
    await draining
    assert all(task.done() for task in workers.tasks)


async def test_what_does_not_end_in_time_is_said(caplog):
    capability = Capability()
    workers, queues = working(capability)
    workers.start()
    queues[TRAINING_JOB].add(KEY)
    await capability.looking.wait()
    with caplog.at_level(logging.WARNING):
        await workers.drain(timedelta(milliseconds=10))
    assert "1 reconciles did not end within 0 s and were cut off" in caplog.text
    capability.let_go.set()
    await asyncio.gather(*workers.tasks)
