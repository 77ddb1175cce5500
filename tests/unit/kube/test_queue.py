"""The work queue, on a clock of its own: no test sleeps."""

import asyncio
from datetime import timedelta

import pytest

from modelfleet.kube import Backoff, Queue


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def queue(clock):
    return Queue(clock, Backoff(timedelta(seconds=1), timedelta(seconds=10)))


def seconds(number):
    return timedelta(seconds=number)


def test_items_come_in_the_order_of_arrival_and_once(queue):
    for item in "abab":
        queue.add(item)
    assert [queue.take(), queue.take(), queue.take()] == ["a", "b", None]


def test_item_added_while_processed_comes_again_after_done(queue):
    queue.add("a")
    queue.take()
    queue.add("a")
    queue.add("a")
    assert queue.take() is None
    queue.done("a")
    assert queue.take() == "a"
    queue.done("a")
    assert queue.take() is None


def test_what_was_observed_meanwhile_does_not_bring_the_item_again(queue):
    queue.add("a")
    assert queue.take() == "a"
    queue.add("a")
    queue.observed("a")
    queue.done("a")
    assert queue.take() is None
    queue.add("a")
    assert queue.take() == "a"
    queue.add("a")
    queue.observed("a")
    queue.add("a")  # after that look began
    queue.done("a")
    assert queue.take() == "a"
    queue.done("a")
    queue.add("a")
    queue.observed("a")  # waits, and is with no worker
    assert queue.take() == "a"


def test_item_is_never_with_two_workers(queue, clock):
    queue.add("a")
    queue.take()
    queue.add_after("a", seconds(1))
    clock.now = 5
    assert queue.take() is None
    queue.done("a")
    assert queue.take() == "a"


def test_delayed_item_comes_when_due(queue, clock):
    queue.add_after("a", seconds(10))
    assert queue.take() is None
    assert queue.next_due() == 10
    clock.now = 9.9
    assert queue.take() is None
    clock.now = 10
    assert queue.take() == "a"


@pytest.mark.parametrize("delays", [(10, 3), (3, 10)])
def test_earliest_of_several_times_counts_and_only_once(queue, clock, delays):
    for delay in delays:
        queue.add_after("a", seconds(delay))
    assert queue.next_due() == 3
    clock.now = 3
    assert queue.take() == "a"
    queue.done("a")
    clock.now = 100
    assert queue.take() is None


def test_handing_out_cancels_the_pending_time(queue, clock):
    queue.add_after("a", seconds(10))
    queue.add("a")
    assert queue.take() == "a"
    queue.done("a")
    clock.now = 10
    assert queue.take() is None
    assert queue.next_due() is None


def test_time_set_while_processed_stays(queue, clock):
    queue.add("a")
    queue.take()
    queue.add_after("a", seconds(2))
    queue.done("a")
    clock.now = 2
    assert queue.take() == "a"


def test_backoff_doubles_to_its_limit_and_forget_resets_it(queue, clock):
    delays = []
    for _ in range(6):
        queue.add("a")
        queue.take()
        delays.append(queue.retry("a").total_seconds())
        queue.done("a")
    assert delays == [1, 2, 4, 8, 10, 10]
    assert queue.failures("a") == 6
    queue.forget("a")
    assert queue.retry("a") == seconds(1)


def test_backoff_is_per_item(queue):
    queue.retry("a")
    queue.retry("a")
    assert queue.retry("b") == seconds(1)


def test_retry_honours_what_the_server_asked_for(queue):
    assert queue.retry("a", at_least=seconds(7)) == seconds(7)


def test_backoff_of_a_very_unlucky_item_does_not_overflow():
    assert Backoff(seconds(1), seconds(300)).delay(10_000) == seconds(300)


def test_event_during_backoff_is_not_held_up(queue):
    queue.add("a")
    queue.take()
    queue.retry("a")
    queue.done("a")
    queue.add("a")
    assert queue.take() == "a"


def test_zero_and_negative_delays_are_now(queue):
    queue.add_after("a", seconds(0))
    queue.add_after("b", seconds(-5))
    assert [queue.take(), queue.take()] == ["a", "b"]


async def test_waiting_workers_get_what_is_added_and_end_at_close(queue):
    got, complete = [], asyncio.Event()

    async def work():
        while (item := await queue.get()) is not None:
            got.append(item)
            queue.done(item)
            if len(got) == 20:
                complete.set()

    workers = [asyncio.create_task(work()) for _ in range(3)]
    for item in range(20):
        queue.add(item)
        if item % 5 == 0:
            await asyncio.sleep(0)
    await complete.wait()
    queue.close()
    await asyncio.gather(*workers)
    assert sorted(got) == list(range(20))


async def test_close_drops_what_is_queued_and_lets_the_current_item_end(queue):
    queue.add("a")
    queue.add("b")
    assert await queue.get() == "a"
    queue.close()
    assert await queue.get() is None
    queue.add("c")
    queue.done("a")
    assert queue.take() == "b"  # only for who takes by hand: workers are gone
    assert queue.take() is None


async def test_waiting_worker_wakes_when_a_delayed_item_is_due():
    queue = Queue(asyncio.get_running_loop().time)
    queue.add_after("late", timedelta(milliseconds=30))
    queue.add_after("soon", timedelta(milliseconds=1))
    assert await queue.get() == "soon"
    assert await queue.get() == "late"


def test_meter_is_told(clock):
    told = []

    class Meter:
        def depth(self, items):
            told.append(("depth", items))

        def waited(self, seconds):
            told.append(("waited", seconds))

        def retried(self):
            told.append(("retried",))

        def failing(self, items):
            told.append(("failing", items))

    queue = Queue(clock, meter=Meter())
    queue.add("a")
    clock.now = 4
    queue.take()
    queue.retry("a")
    assert told == [("depth", 1), ("depth", 0), ("waited", 4.0), ("retried",), ("failing", 1)]
    told.clear()
    queue.retry("a")  # as many as before
    queue.forget("b")
    assert told == [("retried",), ("failing", 1)]
    queue.forget("a")
    assert told[2:] == [("failing", 0)]
