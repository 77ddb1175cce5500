"""How decisions are carried out: the order, what failures lead to, and that nothing is written without need."""

import asyncio
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from modelfleet import telemetry
from modelfleet.api import TrainingJobStatus, conditions
from modelfleet.decision import Announce, Apply, Create, Decision, Delete, Patch
from modelfleet.kinds import JOB, NODE, POD, TRAINING_JOB, Key
from modelfleet.kube import AlreadyExists, Backoff, Conflict, Forbidden, Invalid, Queue, Store, Unavailable
from modelfleet.reconcile import Controller, Deps, Loop
from modelfleet.settings import Images, Settings
from unit.kube.raw import obj

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
KEY = Key("ns", "t")


@dataclass
class ApiServer:
    """Stands for `Client`: takes notes of what is asked, and answers as an API server would, or as `fails` says."""

    store: Store
    version: int = 100
    calls: list = field(default_factory=list)
    fails: dict = field(default_factory=dict)
    rest: dict | None = None  # what a delete leaves, where a finalizer holds it

    def _answer(self, call, *details):
        self.calls.append((call, *details))
        failure = self.fails.get(call)
        if failure is not None:
            raise failure
        self.version += 1

    async def apply(self, manifest):
        self._answer("apply", manifest["metadata"]["name"])
        return obj(JOB, manifest["metadata"]["name"], self.version)

    async def create(self, manifest):
        self._answer("create", manifest["metadata"]["name"])
        return obj(JOB, manifest["metadata"]["name"], self.version)

    async def patch(self, kind, namespace, name, body):
        self._answer("patch", name, body)
        known = self.store.get(kind, namespace, name)
        return {**known, "metadata": {**known["metadata"], "resourceVersion": str(self.version)}}

    async def patch_status(self, kind, namespace, name, body):
        self._answer("status", body)
        known = self.store.get(kind, namespace, name)
        return {
            **known,
            "metadata": {**known["metadata"], "resourceVersion": str(self.version)},
            "status": {**(known.get("status") or {}), **body["status"]},
        }

    async def delete(self, kind, namespace, name, uid, resource_version=""):
        self._answer("delete", kind, namespace, name, uid, *filter(None, [resource_version]))
        return self.rest

    async def post_event(self, regarding, type, reason, message, now):
        self._answer("event", reason, regarding["metadata"]["name"], type, message, now)


class Clock:
    """The queue's seconds."""

    now = 0.0

    def __call__(self):
        return self.now


class Bench:
    """One owner in the store, and a controller whose decision the test sets."""

    def __init__(self, with_status=None):
        self.store = Store()
        self.store.put(obj(TRAINING_JOB, "t", 10))
        self.api = ApiServer(self.store)
        self.clock = Clock()
        self.queue = Queue(self.clock, Backoff(timedelta(seconds=1), timedelta(seconds=60)))
        self.metrics = telemetry.Metrics("test")
        self.decision = Decision()
        self.seen = []
        settings = Settings(images=Images(trainer="t", agent="a"), reconcile_timeout=timedelta(seconds=31))
        self.deps = Deps(self.store, self.api, None, None, settings, lambda kind, key: None, lambda: NOW, self.metrics)
        self.observe = self._observe
        self.loop = Loop(
            Controller(TRAINING_JOB, lambda key: self.observe(key), self._decide, with_status),
            self.deps,
            self.queue,
            self.metrics,
        )

    async def _observe(self, key):
        return self.store.get(TRAINING_JOB, *key), self.store.list(JOB)

    def _decide(self, snapshot, now):
        assert now == NOW
        self.seen.append(snapshot)
        return self.decision(snapshot) if callable(self.decision) else self.decision

    async def run(self):
        """One reconcile, as a worker would do it."""
        self.queue.add(KEY)
        item = self.queue.take()
        await self.loop._process(item)
        self.queue.done(item)

    def counted(self, name, **labels):
        """A metric's value."""
        return self.metrics.registry.get_sample_value(f"modelfleet_operator_{name}", labels)


@pytest.fixture
def bench():
    return Bench()


def job(name):
    return obj(JOB, name, 0)


def status(message="fine", generation=1):
    ready = conditions.merge((), [conditions.true("Ready", "Done", message)], generation, NOW)
    return TrainingJobStatus(observed_generation=generation, conditions=ready)


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


@pytest.mark.parametrize("error", [Invalid("spec.x: must not be"), Forbidden("exceeded quota: jobs")])
async def test_refusal_reaches_the_user_once(bench, error):
    bench.api.fails["apply"] = error
    bench.decision = Decision((Apply(job("a")),), (), status())
    for _ in range(3):
        await bench.run()
    written = [call[1]["status"] for call in bench.api.calls if call[0] == "status"]
    assert len(written) == 1
    stalled = next(each for each in written[0]["conditions"] if each["type"] == "Stalled")
    assert (stalled["reason"], stalled["message"], stalled["lastTransitionTime"]) == (
        "ApplyRejected",
        f"The API server refused Job ns/a: {error.message}",
        "2026-11-21T10:00:00Z",
    )
    assert bench.queue.next_due() is not None


@pytest.mark.parametrize(
    ("action", "named"),
    [
        (Create(job("a")), "Job ns/a"),
        (Create(obj(NODE, "n", 0)), "Node n"),
        (Patch(TRAINING_JOB, "ns", "t", {"metadata": {}}), "TrainingJob ns/t"),
        (Delete(POD, "ns", "p", "u"), "Pod ns/p"),
    ],
)
async def test_refusal_names_what_was_refused(bench, action, named):
    bench.api.fails[type(action).__name__.lower()] = Forbidden("not for you")
    bench.decision = Decision((action,), (Announce("Normal", "X", "x"),), status())
    await bench.run()
    (_, (_, written)) = bench.api.calls
    stalled = next(each for each in written["status"]["conditions"] if each["type"] == "Stalled")
    assert stalled["message"] == f"The API server refused {named}: not for you"


@pytest.mark.parametrize("error", [Unavailable("down"), Conflict("changed")])
async def test_what_is_no_refusal_is_not_told_the_user(bench, error):
    bench.api.fails["apply"] = error
    bench.decision = Decision((Apply(job("a")),), (), status())
    await bench.run()
    assert [call[0] for call in bench.api.calls] == ["apply"]


async def test_refusal_is_gone_once_the_apply_succeeds(bench):
    bench.api.fails["apply"] = Invalid("no")
    bench.decision = Decision((Apply(job("a")),), (), status())
    await bench.run()
    bench.api.fails.clear()
    await bench.run()
    found = bench.store.get(TRAINING_JOB, "ns", "t")["status"]["conditions"]
    assert [each["type"] for each in found] == ["Ready"]


async def test_namespace_that_is_being_deleted_is_not_the_users_mistake(bench):
    bench.api.fails["apply"] = Forbidden("unable to create new content in namespace ns because it is being terminated")
    bench.decision = Decision((Apply(job("a")),))
    await bench.run()
    assert [call[0] for call in bench.api.calls] == ["apply"]


async def test_refusal_that_can_not_be_reported_is_retried_all_the_same(bench):
    bench.api.fails.update(apply=Invalid("no"), status=Unavailable("down"))
    bench.decision = Decision((Apply(job("a")),))
    await bench.run()
    assert bench.counted("reconcile_errors_total", kind="TrainingJob", error="Invalid") == 1
    assert bench.queue.next_due() is not None


async def test_status_changed_by_another_process_meanwhile_is_not_overwritten(bench):
    async def observe(key):
        snapshot = bench.store.get(TRAINING_JOB, *key)
        bench.store.put({**obj(TRAINING_JOB, "t", 11), "status": {"phase": "Running"}})  # it comes while we look
        bench.observe = bench._observe
        return snapshot, ()

    bench.observe = observe
    bench.decision = Decision(status=status())
    await bench.run()
    assert bench.api.calls == []
    assert bench.counted("reconcile_total", kind="TrainingJob", result="conflict") == 1
    await bench.run()
    assert [call[0] for call in bench.api.calls] == ["status"]


async def test_conflict_is_looked_at_again(bench):
    bench.api.fails["status"] = Conflict("the object has been modified")
    bench.decision = Decision(status=status())
    await bench.run()
    assert bench.queue.next_due() == 1
    assert bench.queue.failures(KEY) == 1
    assert bench.counted("reconcile_total", kind="TrainingJob", result="conflict") == 1
    assert bench.counted("reconcile_errors_total", kind="TrainingJob", error="Conflict") == 1


async def test_a_status_that_is_empty_and_one_that_is_not_there_are_the_same(bench):
    async def observe(key):
        bench.store.put({**obj(TRAINING_JOB, "t", 11), "status": {}})
        return (), ()

    bench.observe = observe
    bench.decision = Decision(status=status())
    await bench.run()
    assert [call[0] for call in bench.api.calls] == ["status"]


async def test_another_owner_of_that_name_does_not_get_the_status_of_the_one_that_is_gone(bench):
    async def observe(key):
        bench.store.remove(obj(TRAINING_JOB, "t", 11))
        bench.store.put(obj(TRAINING_JOB, "t", 12, uid="uid-another"))
        return (), ()

    bench.observe = observe
    bench.decision = Decision(status=status())
    await bench.run()
    assert bench.api.calls == []
    assert bench.counted("status_writes_total", kind="TrainingJob") is None
    assert bench.counted("reconcile_total", kind="TrainingJob", result="done") == 1


async def test_owner_that_came_while_it_was_looked_at_is_left_to_the_next_look(bench):
    bench.store.remove(obj(TRAINING_JOB, "t", 10))

    async def observe(key):
        bench.store.put(obj(TRAINING_JOB, "t", 12, uid="uid-another"))
        return (), ()

    bench.observe = observe
    await bench.run()
    assert bench.seen == []
    assert bench.counted("reconcile_total", kind="TrainingJob", result="done") == 1


async def test_owner_deleted_while_it_was_looked_at_gets_no_status(bench):
    async def observe(key):
        bench.store.remove(obj(TRAINING_JOB, "t", 11))
        return None, ()

    bench.observe = observe
    bench.decision = Decision(status=status())
    await bench.run()
    assert bench.api.calls == []
    assert bench.counted("reconcile_total", kind="TrainingJob", result="done") == 1


async def test_owner_that_is_gone_is_left_alone(bench):
    async def observe(key):
        return None

    bench.observe = observe
    await bench.run()
    assert bench.seen == []
    assert bench.counted("reconcile_total", kind="TrainingJob", result="done") == 1


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


def looking_again():
    """A bench whose controller can look again before the status is written; its snapshots end in that status."""
    return Bench(with_status=lambda snapshot, status: (*snapshot[:2], status))


def in_steps(*decisions):
    """One decision after the other, whatever is observed."""
    waiting = iter(decisions)
    return lambda snapshot: next(waiting)


async def test_what_actions_bring_about_comes_into_the_same_status():
    bench = looking_again()
    first = Decision((Apply(job("a")),), (Announce("Normal", "First", ""),), TrainingJobStatus(phase="Pending"))
    second = Decision((), (Announce("Normal", "Second", ""),), TrainingJobStatus(phase="Running"), timedelta(seconds=9))
    bench.decision = in_steps(first, second)
    await bench.run()
    assert [call[0] for call in bench.api.calls] == ["apply", "status", "event", "event"]
    assert bench.store.get(TRAINING_JOB, *KEY)["status"]["phase"] == "Running"
    assert len(bench.seen[0]) == 2  # nothing had been decided
    assert [each["metadata"]["name"] for each in bench.seen[1][1]] == ["a"]  # it saw what was applied
    assert bench.seen[1][2] == first.status  # and what had been decided
    assert bench.queue.next_due() == 9


async def test_a_second_look_that_has_no_status_leaves_that_of_the_first():
    bench = looking_again()
    bench.decision = in_steps(Decision((Apply(job("a")),), status=TrainingJobStatus(phase="Pending")), Decision())
    await bench.run()
    assert bench.store.get(TRAINING_JOB, *KEY)["status"]["phase"] == "Pending"


async def test_looks_within_one_reconcile_are_bounded():
    bench = looking_again()
    bench.decision = Decision((Apply(job("a")),), status=TrainingJobStatus(phase="Pending"))
    await bench.run()
    assert [call[0] for call in bench.api.calls] == ["apply", "apply", "apply", "status"]


async def test_news_that_the_second_look_saw_does_not_bring_a_third():
    bench = looking_again()
    bench.store.subscribe(lambda kind, before, now: bench.queue.add(KEY) if kind == JOB else None)
    bench.decision = in_steps(Decision((Apply(job("a")),)), Decision())
    await bench.run()
    assert bench.queue.take() is None


async def test_news_of_the_last_look_is_left_to_the_queue():
    bench = looking_again()
    bench.store.subscribe(lambda kind, before, now: bench.queue.add(KEY) if kind == JOB else None)
    bench.decision = Decision((Apply(job("a")),))
    await bench.run()
    assert bench.queue.take() == KEY


async def test_a_refusal_at_the_second_look_is_reported_and_retried():
    bench = looking_again()
    steps = in_steps(
        Decision((Apply(job("a")),), status=TrainingJobStatus(phase="Pending")),
        Decision((Delete(JOB, "ns", "a", "u"),), status=TrainingJobStatus(phase="Running")),
    )
    bench.decision = steps
    bench.api.fails["delete"] = Forbidden("no")
    await bench.run()
    assert [call[0] for call in bench.api.calls] == ["apply", "delete", "status"]
    stalled = bench.store.get(TRAINING_JOB, *KEY)["status"]["conditions"]
    assert {each["reason"] for each in stalled} == {"ApplyRejected"}
    assert bench.queue.failures(KEY) == 1


async def test_an_owner_made_again_between_two_looks_gets_no_status_of_the_old_one():
    bench = looking_again()

    def first(snapshot):
        bench.store.remove(obj(TRAINING_JOB, "t", 11))
        bench.store.put(obj(TRAINING_JOB, "t", 12, uid="another"))
        return Decision((Apply(job("a")),), status=TrainingJobStatus(phase="Pending"))

    bench.decision = first
    await bench.run()
    assert [call[0] for call in bench.api.calls] == ["apply"]


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
