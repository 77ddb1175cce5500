"""How decisions are carried out: the order, what failures lead to, and that nothing is written without need."""

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from modelfleet import telemetry
from modelfleet.decision import Announce, Apply, Create, Decision, Delete, Patch
from modelfleet.kinds import POD, TRAINING_JOB, Key
from modelfleet.kube import AlreadyExists, Conflict, Forbidden, Queue, Unavailable
from unit.kube.raw import obj
from unit.reconciling import KEY, NOW, Bench, job, status


@pytest.fixture
def bench():
    return Bench()


async def test_actions_come_first_in_order_then_the_status_then_the_announcements(bench):
    actions = (Apply(job("a")), Create(job("b")), Delete(POD, "ns", "p", "u"), Patch(TRAINING_JOB, "ns", "t", {"x": 1}))
    bench.decision = Decision(actions, (Announce("Normal", "Begun", "it began"),), status())
    await bench.run()
    assert [call[0] for call in bench.api.calls] == ["apply", "create", "delete", "patch", "status", "event"]
    assert bench.api.calls[2:4] == [("delete", POD, "ns", "p", "u"), ("patch", "t", {"x": 1})]
    assert bench.api.calls[-1] == ("event", "Begun", "t", "Normal", "it began", NOW)
    assert [
        bench.counted("actions_total", kind="TrainingJob", action=each)
        for each in ("Apply", "Create", "Delete", "Patch")
    ] == [1] * 4
    assert bench.counted("reconcile_seconds_count", kind="TrainingJob") == 1
    assert bench.counted("reconcile_seconds_sum", kind="TrainingJob") < 31


class Notifier:
    """Takes notes among the calls to the API server."""

    def __init__(self, api):
        self.api = api

    @asynccontextmanager
    async def transition(self, kind, owner, announcements, now):
        self.api.calls.append(("noted", kind, owner["metadata"]["resourceVersion"], [a.reason for a in announcements]))
        yield
        self.api.calls.append(("notified", now))


async def test_who_is_notified_hears_before_the_status_and_after_it(bench):
    bench.loop._deps = replace(bench.deps, notifier=Notifier(bench.api))
    bench.decision = Decision((Create(job("b")),), (Announce("Normal", "Begun", "it began"),), status())
    await bench.run()
    assert [call[0] for call in bench.api.calls] == ["create", "noted", "status", "notified", "event"]
    assert bench.api.calls[1] == ("noted", TRAINING_JOB, "10", ["Begun"])
    bench.api.calls.clear()
    bench.api.fails["status"] = Conflict("changed")
    bench.decision = Decision((), (Announce("Normal", "Ended", "it ended"),), status("ended"))
    await bench.run()
    assert [call[0] for call in bench.api.calls] == ["noted", "status"]


async def test_a_warning_is_announced_as_one(bench):
    bench.decision = Decision((), (Announce("Warning", "Failed", "it failed"),))
    await bench.run()
    assert bench.api.calls == [("event", "Failed", "t", "Warning", "it failed", NOW)]


async def test_an_announcement_may_be_about_another_object(bench):
    another = obj(TRAINING_JOB, "another", 7)
    gone = Delete(TRAINING_JOB, "ns", "another", "u", "7")
    announcements = (Announce("Normal", "Removed", "it went", about=another), Announce("Normal", "Begun", "it began"))
    bench.decision = Decision((gone,), announcements)
    await bench.run()
    assert bench.api.calls[0] == ("delete", TRAINING_JOB, "ns", "another", "u", "7")
    assert [call[2] for call in bench.api.calls[1:]] == ["another", "t"]


async def test_own_writes_are_seen_by_the_next_look(bench):
    bench.decision = Decision((Apply(job("a")), Create(job("b")), Delete(POD, "ns", "p", "u")))
    bench.store.put(obj(POD, "p", 5, uid="u"))
    await bench.run()
    await bench.run()
    assert [each["metadata"]["name"] for each in bench.seen[1][1]] == ["a", "b"]
    assert bench.store.get(POD, "ns", "p") is None


async def test_what_a_finalizer_holds_is_seen_as_being_deleted(bench):
    bench.store.put(obj(POD, "p", 5, uid="u"))
    bench.api.rest = obj(POD, "p", 6, uid="u", status={"phase": "Ending"})
    bench.decision = Decision((Delete(POD, "ns", "p", "u"),))
    await bench.run()
    assert bench.store.get(POD, "ns", "p") == bench.api.rest


async def test_status_is_written_once_and_under_the_version_in_the_store(bench):
    bench.decision = Decision((Patch(TRAINING_JOB, "ns", "t", {"metadata": {}}),), (), status())
    await bench.run()
    bench.decision = Decision(status=status())
    await bench.run()
    await bench.run()
    (written,) = [call for call in bench.api.calls if call[0] == "status"]
    assert written[1]["metadata"] == {"resourceVersion": "101"}  # what our own patch has made of it
    assert bench.counted("status_writes_total", kind="TrainingJob") == 1


async def test_decision_without_status_writes_none(bench):
    await bench.run()
    assert bench.api.calls == []
    assert bench.counted("reconcile_total", kind="TrainingJob", result="done") == 1


async def test_first_failure_stops_and_is_tried_again_with_growing_delays(bench):
    bench.api.fails["create"] = Unavailable("down")
    bench.decision = Decision(
        (Apply(job("a")), Create(job("b")), Apply(job("c"))), (Announce("Normal", "X", "x"),), status()
    )
    delays = []
    for _ in range(3):
        await bench.run()
        delays.append(bench.queue.next_due())
    assert [call[0] for call in bench.api.calls] == ["apply", "create"] * 3
    assert delays == [1, 2, 4]
    assert bench.counted("reconcile_errors_total", kind="TrainingJob", error="Unavailable") == 3
    assert bench.counted("reconcile_total", kind="TrainingJob", result="error") == 3
    bench.api.fails.clear()
    await bench.run()
    assert bench.queue.failures(KEY) == 0


async def test_server_that_asks_for_time_gets_it(bench):
    bench.api.fails["apply"] = Unavailable("slow down", retry_after=17.0)
    bench.decision = Decision((Apply(job("a")),))
    await bench.run()
    assert bench.queue.next_due() == 17


async def test_child_that_exists_already_is_no_failure(bench):
    bench.api.fails["create"] = AlreadyExists("there")
    bench.decision = Decision((Create(job("a")),), (), status())
    await bench.run()
    assert [call[0] for call in bench.api.calls] == ["create", "status"]


async def test_event_that_can_not_be_recorded_holds_up_nothing(bench):
    bench.api.fails["event"] = Forbidden("no events")
    bench.decision = Decision((), (Announce("Normal", "A", "a"), Announce("Normal", "B", "b")), status())
    await bench.run()
    assert [call[0] for call in bench.api.calls] == ["status", "event", "event"]
    assert bench.counted("reconcile_total", kind="TrainingJob", result="done") == 1
    assert bench.counted("reconcile_errors_total", kind="TrainingJob", error="Event") == 2


async def test_requeue_is_after_the_time_asked_for_but_never_at_once(bench):
    bench.decision = Decision(requeue_after=timedelta(seconds=30))
    await bench.run()
    assert bench.queue.next_due() == 30
    bench.decision = Decision(requeue_after=timedelta(0))
    await bench.run()
    assert bench.queue.next_due() == pytest.approx(0.1)
    bench.clock.now = 1.0
    assert bench.queue.take() == KEY
    assert bench.counted("reconcile_total", kind="TrainingJob", result="requeued") == 2


async def test_bug_in_a_decision_is_logged_with_its_object_and_retried(bench, caplog):
    def broken(snapshot):
        raise ZeroDivisionError("a bug")

    bench.decision = broken
    await bench.run()
    assert bench.counted("reconcile_errors_total", kind="TrainingJob", error="ZeroDivisionError") == 1
    assert bench.counted("reconcile_total", kind="TrainingJob", result="error") == 1
    assert bench.queue.next_due() == 1
    assert bench.queue.failures(KEY) == 1
    assert any(record.exc_info and record.levelname == "ERROR" for record in caplog.records)


async def test_reconcile_that_hangs_is_given_up(bench, monkeypatch):
    async def observe(key):
        await asyncio.sleep(60)

    bench.observe = observe
    object.__setattr__(bench.deps.settings, "reconcile_timeout", timedelta(milliseconds=10))
    await bench.run()
    assert bench.counted("reconcile_errors_total", kind="TrainingJob", error="TimeoutError") == 1


async def test_workers_share_the_queue_and_end_when_it_closes():
    bench = Bench()
    running, most, last = 0, 0, asyncio.Event()

    async def observe(key):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001)
        running -= 1
        if key.name == "t11":
            last.set()

    bench.observe = observe
    bench.queue = bench.loop.queue = Queue(asyncio.get_running_loop().time)
    workers = [asyncio.create_task(bench.loop.work()) for _ in range(3)]
    for number in range(12):
        bench.queue.add(Key("ns", f"t{number}"))
    await last.wait()
    last.clear()
    bench.queue.add(Key("ns", "t11"))  # it was given back, and can be taken once more
    await asyncio.wait_for(last.wait(), 5)
    bench.queue.close()
    await asyncio.gather(*workers)
    assert most == 3
    assert bench.counted("reconcile_total", kind="TrainingJob", result="done") == 13


async def test_what_is_logged_meanwhile_names_its_object(bench, caplog):
    caplog.handler.setFormatter(telemetry.JsonFormatter())
    bench.api.fails["apply"] = Unavailable("down")
    bench.decision = Decision((Apply(job("a")),))
    for number in ("1", "2"):
        await bench.run()
        line = json.loads(caplog.text.splitlines()[-1])
        assert (line["kind"], line["object"], line["reconcile"]) == ("TrainingJob", "ns/t", number)
        assert (line["namespace"], line["name"]) == KEY
