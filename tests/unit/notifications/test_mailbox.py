"""What waits for one receiver: its order, its bound, its end, and what is counted."""

import asyncio
import logging
from datetime import timedelta

import pytest

from modelfleet import telemetry
from modelfleet.notifications import retry
from modelfleet.notifications.mailbox import Mailbox
from modelfleet.notifications.retry import Answered, Unanswered
from unit.notifications.samples import NOW, numbered, until

AWAY = Unanswered("unreachable", "notifications.endpoints.chat can't be reached")


class Receiver:
    """Stands for `Sender`: takes what it is told to, each with the next of its answers, and the last one for ever."""

    def __init__(self, *answers):
        self.answers, self.got = list(answers) or [Answered(200)], []
        self.closed = False
        self.free = asyncio.Event()
        self.free.set()

    async def post(self, it, now):
        self.got.append(it.message)
        await self.free.wait()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def aclose(self):
        self.closed = True


class Bench:
    def __init__(self, receiver, limit=100, retry_for=timedelta(hours=24)):
        self.receiver, self.done = receiver, []
        self.metrics = telemetry.Metrics("test")
        self.now = NOW
        self.mailbox = Mailbox(
            "chat",
            receiver,
            limit=limit,
            retry_for=retry_for,
            clock=lambda: self.now,
            done=self.done.append,
            meter=telemetry.NotificationMeter(self.metrics, "chat"),
        )

    async def run(self):
        """Send what is due, and end."""
        self.mailbox.close()
        await asyncio.wait_for(self.mailbox.run(), 5)

    def counted(self, name, **labels):
        return self.metrics.registry.get_sample_value(f"modelfleet_operator_{name}", {"endpoint": "chat", **labels})


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(retry, "_FIRST", timedelta(milliseconds=2))


async def test_what_is_put_in_is_sent_once_and_in_order():
    bench = Bench(Receiver())
    for number in range(5):
        bench.mailbox.put(numbered(number))
    bench.mailbox.put(numbered(3))
    assert bench.counted("notifications_waiting") == 5
    await bench.run()
    assert bench.receiver.got == [f"number {number}" for number in range(5)]
    assert bench.done == [numbered(number).id for number in range(5)]
    assert bench.counted("notifications_sent_total") == 5
    assert bench.counted("notifications_waiting") == 0
    assert bench.receiver.closed


async def test_what_fails_is_tried_again_and_holds_up_nothing(caplog):
    caplog.set_level(logging.INFO, "modelfleet")
    bench = Bench(Receiver(AWAY, Answered(200), Answered(503), Answered(200)))
    running = asyncio.create_task(bench.mailbox.run())
    for number in range(2):
        bench.mailbox.put(numbered(number))
    await until(lambda: len(bench.done) == 2)
    await bench.run()
    await running
    assert bench.receiver.got == ["number 0", "number 1", "number 0", "number 0"]
    assert bench.done == [numbered(1).id, numbered(0).id]
    assert bench.counted("notification_failures_total", cause="unreachable") == 1
    assert bench.counted("notification_failures_total", cause="http_503") == 1
    assert [bench.counted("notifications_lost_total", cause=cause) for cause in ("refused", "expired")] == [0, 0]
    assert "can't be reached" in caplog.text


async def test_a_receiver_that_stays_away_fills_no_log(caplog):
    bench = Bench(Receiver(AWAY))
    running = asyncio.create_task(bench.mailbox.run())
    for number in range(20):
        bench.mailbox.put(numbered(number))
    await until(lambda: len(bench.receiver.got) >= 50)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert len([each for each in caplog.records if each.levelno >= logging.WARNING]) == 1
    assert bench.done == []
    assert len(bench.mailbox) == 20


@pytest.mark.parametrize(
    ("answer", "age", "cause"),
    [(Answered(410), timedelta(0), "refused"), (AWAY, timedelta(hours=24), "expired")],
)
async def test_what_is_lost_is_counted_logged_and_kept_no_longer(caplog, answer, age, cause):
    bench = Bench(Receiver(answer))
    bench.now = NOW + age
    bench.mailbox.put(numbered(1))
    await bench.run()
    assert bench.receiver.got == ["number 1"]
    assert bench.counted("notifications_lost_total", cause=cause) == 1
    assert bench.counted("notifications_waiting") == 0
    assert bench.done == [numbered(1).id]
    [record] = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert "rollout.promoted of Rollout factory/line: number 1" in record.message


async def test_a_full_mailbox_loses_the_oldest(caplog):
    bench = Bench(Receiver(), limit=3)
    for number in (1, 0, 2, 3, 4):  # put in not quite in their order, as at a start
        bench.mailbox.put(numbered(number, time=NOW + timedelta(seconds=number)))
    assert bench.done == [numbered(0).id, numbered(1).id]
    assert bench.counted("notifications_lost_total", cause="queue_full") == 2
    assert "more than 3 wait (notifications.queue)" in caplog.text
    await bench.run()
    assert bench.receiver.got == ["number 2", "number 3", "number 4"]


async def test_an_error_of_our_own_ends_nothing(caplog):
    bench = Bench(Receiver(KeyError("x"), Answered(200)))
    bench.mailbox.put(numbered(1))
    running = asyncio.create_task(bench.mailbox.run())
    await until(lambda: bench.done)
    await bench.run()
    await running
    assert bench.receiver.got == ["number 1"] * 2
    assert "in a way that it should not" in caplog.text


async def test_closing_waits_for_what_is_due_and_not_for_what_failed(monkeypatch):
    monkeypatch.setattr(retry, "_FIRST", timedelta(hours=1))
    bench = Bench(Receiver(AWAY, Answered(200)))
    for number in range(3):
        bench.mailbox.put(numbered(number))
    await bench.run()
    assert bench.receiver.got == ["number 0", "number 1", "number 2"]
    assert bench.done == [numbered(1).id, numbered(2).id]
    assert len(bench.mailbox) == 1


async def test_a_receiver_that_asks_for_time_is_left_alone():
    bench = Bench(Receiver(Answered(429, 0.2), Answered(200)))
    for number in range(3):
        bench.mailbox.put(numbered(number))
    running = asyncio.create_task(bench.mailbox.run())
    await until(lambda: bench.receiver.got)
    await asyncio.sleep(0.1)
    assert bench.receiver.got == ["number 0"]
    await until(lambda: len(bench.done) == 3)
    assert sorted(bench.receiver.got) == ["number 0", "number 0", "number 1", "number 2"]
    await bench.run()
    await running


async def test_a_message_that_waits_for_long_holds_up_no_other_when_the_receiver_asked_for_little(monkeypatch):
    monkeypatch.setattr(retry, "_FIRST", timedelta(hours=1))
    bench = Bench(Receiver(Answered(503, 0.01), Answered(200)))
    for number in range(2):
        bench.mailbox.put(numbered(number))
    running = asyncio.create_task(bench.mailbox.run())
    await until(lambda: bench.done == [numbered(1).id])
    await bench.run()
    await running


async def test_what_is_cut_off_still_waits():
    bench = Bench(Receiver())
    bench.receiver.free.clear()
    bench.mailbox.put(numbered(1))
    running = asyncio.create_task(bench.mailbox.run())
    await until(lambda: bench.receiver.got)
    assert len(bench.mailbox) == 0
    assert bench.counted("notifications_waiting") == 1
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert (len(bench.mailbox), bench.done, bench.receiver.closed) == (1, [], True)
