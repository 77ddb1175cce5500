"""Resyncs: when they come, and what is said until everything can be listed."""

import asyncio
from datetime import timedelta

import pytest

from modelfleet import telemetry
from modelfleet.kinds import JOB
from modelfleet.kube import ApiError, Listing, Store
from modelfleet.kube.scope import Scope
from modelfleet.runtime.resyncs import Resyncs

SCOPE = Scope(JOB)
LISTING = Listing((), 7)


class Client:
    """Answers lists with `answers` in turn; the last one repeats."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.lists = 0

    async def list(self, kind, namespace, selector="", limit=None):
        self.lists += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def slept(monkeypatch):
    """The delays that were waited for; none takes time."""
    delays = []
    sleep = asyncio.sleep

    async def at_once(delay):
        delays.append(delay)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", at_once)
    return delays


def made(period=timedelta(hours=1)):
    metrics = telemetry.Metrics("1")
    return Resyncs(Store(), [SCOPE], period, metrics), metrics


def counted(metrics, reason):
    return metrics.registry.get_sample_value("modelfleet_operator_resyncs_total", {"reason": reason})


async def test_the_start_waits_until_everything_can_be_listed_and_says_what_is_missing_once(slept, caplog):
    resyncing, _ = made()
    said = []
    await resyncing.until_possible(Client(*[ApiError("no route")] * 7, LISTING), said.append)
    assert said == ["can't list jobs.batch: no route"] * 7
    assert slept == [1, 2, 4, 8, 16, 30, 30]
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == said[:1]


async def test_the_first_list_is_repeated_until_it_succeeds(slept):
    resyncing, metrics = made()
    await resyncing.first(Client(ApiError("busy"), ApiError("busy"), LISTING))
    assert slept == [1, 2]
    assert counted(metrics, "start") == 1


@pytest.mark.parametrize(("period", "gaps", "reason"), [(3600, 2, "gap"), (0.01, 0, "period")])
async def test_a_resync_follows_gaps_and_comes_every_period(period, gaps, reason, slept):
    resyncing, metrics = made(timedelta(seconds=period))
    woken = asyncio.Event()
    for _ in range(gaps):
        resyncing.on_gap(SCOPE)
    client = Client(LISTING)
    task = asyncio.create_task(resyncing.keep_on(client, woken.set))
    async with asyncio.timeout(5):
        await woken.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert counted(metrics, reason) == 1
    assert slept == [1.0] * min(gaps, 1), "gaps come together, and one resync serves them all"
