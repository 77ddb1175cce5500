"""Transitions: what is written down when, what a process that died left behind, and that no reconcile waits."""

import asyncio
import json
import logging
from datetime import timedelta

import pytest

from modelfleet import telemetry
from modelfleet.api.reasons import Reason
from modelfleet.decision import Announce
from modelfleet.kinds import CONFIG_MAP, ROLLOUT
from modelfleet.kube import AlreadyExists, Conflict, Forbidden, NotFound, Unavailable
from modelfleet.kube.client import Listing
from modelfleet.notifications import notifier as module
from modelfleet.notifications import outbox
from modelfleet.notifications.endpoint import Endpoint, Notifications
from modelfleet.notifications.notifier import Nobody, Notifier
from modelfleet.notifications.retry import Answered
from unit.kube.raw import obj
from unit.notifications.samples import NOW, PROMOTED, until

SAID = Announce("Normal", Reason.PROMOTED, "v2 is stable now")
BAD = Announce("Warning", Reason.ROLLED_BACK, "v2 failed")


class ApiServer:
    """Stands for `Client`: ConfigMaps and one Rollout, requests in their order, and failures when they are asked for.

    `fails` gives a call an exception; one in `lost` is carried out, and its answer is not heard.
    """

    def __init__(self):
        self.maps, self.calls, self.fails, self.lost = {}, [], {}, {}
        self.rollout = obj(ROLLOUT, "line", 7, status={"phase": "Progressing"})

    def _call(self, verb, name):
        self.calls.append(verb)
        if verb in self.fails:
            raise self.fails[verb]

    def _heard(self, verb):
        if verb in self.lost:
            raise self.lost.pop(verb)

    async def create(self, manifest):
        name = manifest["metadata"]["name"]
        self._call("create", name)
        if name in self.maps:
            raise AlreadyExists("there")
        self.maps[name] = json.loads(json.dumps(manifest))
        self.maps[name]["metadata"]["uid"] = f"uid-{len(self.calls)}"
        self._heard("create")
        return self.maps[name]

    async def patch(self, kind, namespace, name, body):
        self._call("patch", name)
        if name not in self.maps:
            raise NotFound("gone")
        self.maps[name]["data"] |= body["data"]
        return self.maps[name]

    async def delete(self, kind, namespace, name, uid):
        self._call("delete", name)
        if name in self.maps:
            assert self.maps.pop(name)["metadata"]["uid"] == uid

    async def get(self, kind, namespace, name):
        self._call(f"get {kind}", name)
        found = self.maps.get(name) if kind == CONFIG_MAP else self.rollout
        if found is None:
            raise NotFound("gone")
        return found

    async def list(self, kind, namespace, *, selector):
        self._call("list", selector)
        label, _, value = selector.partition("=")
        items = [each for each in self.maps.values() if each["metadata"]["labels"].get(label) == value]
        return Listing(tuple(items), 1)

    def promote(self):
        """The status is written."""
        self.rollout = obj(ROLLOUT, "line", 8, status={"phase": "Promoted"})


class Bench:
    """A notifier on that API server whose receivers take notes and answer as they are told; `start` another one on the
    same API server for a process that comes after."""

    def __init__(self, names=("chat",), namespaces=(), **endpoints):
        self.api = ApiServer()
        self.got, self.answers = [], {}
        self.metrics = telemetry.Metrics("test")
        settings = {name: Endpoint(url=f"http://{name}") for name in names}
        self.settings = Notifications(endpoints=settings | endpoints, namespace="system", drain_timeout=timedelta(0))
        self.namespaces = namespaces
        self.start()

    def start(self):
        self.notifier = Notifier(self.settings, self.namespaces, self.api, self.metrics, lambda: NOW)
        for name, mailbox in self.notifier._mailboxes.items():
            mailbox._sender = Sender(self, name)
        return self.notifier

    async def promote(self, *said, error=None):
        """A transition: the status is written, or `error` is what comes of it."""
        async with self.notifier.transition(ROLLOUT, self.api.rollout, said or (SAID,), NOW):
            self.api.calls.append("status")
            if error is not None:
                raise error
            self.api.promote()

    async def begin(self):
        await self.notifier.begin()
        await self.settle()

    async def settle(self):
        """Let the tasks come to rest."""
        for _ in range(20):
            await asyncio.sleep(0)

    async def end(self):
        for task in self.notifier.tasks:
            task.cancel()
        await asyncio.gather(*self.notifier.tasks, return_exceptions=True)

    def errors(self):
        return self.metrics.registry.get_sample_value("modelfleet_operator_notification_outbox_errors_total")


class Sender:
    def __init__(self, bench, name):
        self.bench, self.name = bench, name

    async def post(self, it, now):
        self.bench.got.append((self.name, it.reason))
        return self.bench.answers.get(self.name, Answered(200))

    async def aclose(self):
        pass


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    soon = module.Backoff(timedelta(milliseconds=1), timedelta(milliseconds=1))
    monkeypatch.setattr(module, "_BACKOFF", soon)
    monkeypatch.setattr(outbox, "_BACKOFF", soon)


async def test_it_is_written_down_before_the_status_and_taken_out_once_it_is_sent():
    bench = Bench()
    await bench.begin()
    await bench.promote()
    assert bench.api.calls == ["list", "create", "status"]
    [kept] = bench.api.maps.values()
    assert (kept["metadata"]["namespace"], kept["data"]["endpoints"]) == ("system", "chat")
    await bench.settle()
    assert bench.got == [("chat", "Promoted")]
    assert bench.api.maps == {}
    assert bench.api.calls == ["list", "create", "status", "delete"]
    await bench.end()


async def test_what_nobody_wants_costs_nothing():
    bench = Bench(names=(), pager=Endpoint(url="http://pager", severity="Warning"))
    await bench.begin()
    await bench.promote()
    assert bench.api.calls == ["list", "status"]
    await bench.end()
    nobody = Bench(names=())
    await nobody.begin()
    await nobody.promote()
    assert nobody.api.calls == ["status"]
    assert nobody.notifier.tasks == ()
    await nobody.notifier.drain()
    async with Nobody().transition(ROLLOUT, nobody.api.rollout, (SAID,), NOW):
        pass


async def test_a_status_that_was_refused_notifies_nobody():
    bench = Bench()
    await bench.begin()
    with pytest.raises(Conflict):
        await bench.promote(error=Conflict("changed"))
    await bench.settle()
    assert (bench.got, bench.api.maps) == ([], {})
    await bench.end()


async def test_each_receiver_has_it_once_and_the_last_one_ends_it():
    bench = Bench(names=("chat", "pager"))
    bench.answers["pager"] = Answered(503)
    await bench.begin()
    await bench.promote()
    await bench.settle()
    [kept] = bench.api.maps.values()
    assert kept["data"]["endpoints"] == "pager"
    await bench.end()

    bench.got.clear()
    bench.answers.clear()
    bench.start()
    await bench.begin()
    assert bench.got == [("pager", "Promoted")]
    assert bench.api.maps == {}
    await bench.end()


async def test_a_process_that_died_before_the_status_notifies_nobody():
    bench = Bench()
    with pytest.raises(asyncio.CancelledError):
        await bench.promote(error=asyncio.CancelledError())
    assert len(bench.api.maps) == 1
    bench.start()
    await bench.begin()
    assert (bench.got, bench.api.maps) == ([], {})
    await bench.end()


async def test_one_that_died_after_it_notifies_at_the_next_start():
    bench = Bench()
    await bench.promote()  # begin() was not called: nothing sends
    assert (bench.got, len(bench.api.maps)) == ([], 1)
    bench.start()
    await bench.begin()
    assert (bench.got, bench.api.maps) == ([("chat", "Promoted")], {})
    await bench.end()


@pytest.mark.parametrize("owner", [None, obj(ROLLOUT, "line", 9, uid="another", status={"phase": "Progressing"})])
async def test_what_waited_while_its_object_went_is_still_sent(owner):
    bench = Bench()
    await bench.promote()
    bench.api.rollout = owner
    bench.start()
    await bench.begin()
    assert bench.got == [("chat", "Promoted")]
    await bench.end()


@pytest.mark.parametrize("written", [True, False])
async def test_where_the_answer_to_the_status_is_lost_the_next_look_finds_out(written):
    bench = Bench()
    await bench.begin()
    before = bench.api.rollout
    with pytest.raises(Unavailable):
        await bench.promote(error=Unavailable("timeout"))
    await bench.settle()
    assert (bench.got, len(bench.api.maps)) == ([], 1)
    if written:
        bench.api.promote()
    bench.api.fails["get Rollout"] = Unavailable("still away")
    with pytest.raises(Unavailable):
        async with bench.notifier.transition(ROLLOUT, before, (), NOW):
            pytest.fail("the next status would hide what became of the last one")
    bench.api.fails.clear()
    async with bench.notifier.transition(ROLLOUT, before, (), NOW):
        pass
    await bench.settle()
    assert bench.got == ([("chat", "Promoted")] if written else [])
    assert bench.api.maps == {}
    await bench.end()


@pytest.mark.parametrize("error", [Forbidden("no rights"), Unavailable("away")])
async def test_an_outbox_that_cant_be_written_holds_up_nothing_and_is_said(caplog, error):
    bench = Bench()
    await bench.begin()
    bench.api.fails["create"] = error
    await bench.promote()
    await bench.settle()
    assert bench.got == [("chat", "Promoted")]
    assert bench.errors() == 1
    assert "could not be kept in namespace system" in caplog.text
    await bench.end()


@pytest.mark.parametrize("error", [None, Conflict("changed")])
async def test_where_the_answer_of_the_outbox_is_lost_it_is_cleaned_up_all_the_same(error):
    bench = Bench()
    await bench.begin()
    bench.api.lost["create"] = Unavailable("timeout")
    if error is None:
        await bench.promote()
    else:
        with pytest.raises(Conflict):
            await bench.promote(error=error)
    await bench.settle()
    assert len(bench.got) == (error is None)
    assert bench.api.maps == {}
    await bench.end()


async def test_taking_out_is_tried_until_it_succeeds():
    bench = Bench()
    await bench.begin()
    bench.api.fails["delete"] = Unavailable("away")
    await bench.promote()
    await until(lambda: bench.api.calls.count("delete") >= 3)
    bench.api.fails.clear()
    await until(lambda: not bench.api.maps)
    assert bench.got == [("chat", "Promoted")]
    assert bench.errors() >= 3
    await bench.end()


async def test_what_did_not_come_true_is_taken_out_however_long_that_takes():
    bench = Bench()
    await bench.begin()
    bench.api.fails["delete"] = Unavailable("away")
    with pytest.raises(Conflict):
        await bench.promote(error=Conflict("changed"))
    assert len(bench.api.maps) == 1
    bench.api.fails.clear()
    await until(lambda: not bench.api.maps)
    assert bench.got == []
    await bench.end()


async def test_what_is_kept_again_while_it_is_taken_out_stays():
    """A status that was refused, and is written by the next look: its notification has the same id."""
    api, asked, may = ApiServer(), asyncio.Event(), asyncio.Event()
    box, entry = outbox.Outbox(api, "system", lambda: None), outbox.Entry(PROMOTED, ("chat",), "before")
    removes = api.delete

    async def delete(*which):
        asked.set()
        await may.wait()
        await removes(*which)

    api.delete = delete
    await box.add(entry)
    going = asyncio.create_task(box.withdraw([entry]))
    await asked.wait()
    coming = asyncio.create_task(box.add(entry))
    for _ in range(5):  # for as long as the other is under way
        await asyncio.sleep(0)
    may.set()
    await asyncio.gather(going, coming)
    assert len(api.maps) == 1


async def test_somebody_may_remove_an_entry():
    bench = Bench(names=("chat", "pager"))
    bench.answers["pager"] = Answered(503)
    await bench.promote()
    bench.api.maps.clear()
    await bench.begin()
    bench.start()
    await bench.begin()
    assert bench.errors() == 0
    await bench.end()


async def test_a_start_waits_for_the_api_server_and_goes_on_without_rights(caplog):
    bench = Bench()
    await bench.promote()
    bench.start()
    bench.api.fails["list"] = Unavailable("away")
    beginning = asyncio.create_task(bench.notifier.begin())
    await until(lambda: bench.api.calls.count("list") >= 3)
    assert not beginning.done()
    bench.api.fails["list"] = Forbidden("no rights")
    await asyncio.wait_for(beginning, 5)
    assert "can't read ConfigMaps in namespace system" in caplog.text
    assert len(bench.notifier.tasks) == 2
    await bench.end()


async def test_what_belongs_to_another_operator_is_left_alone():
    bench = Bench(namespaces=("elsewhere",))
    await bench.promote()
    bench.start()
    await bench.begin()
    assert (bench.got, len(bench.api.maps)) == ([], 1)
    await bench.end()


async def test_what_is_no_entry_is_left_alone_and_named(caplog):
    bench = Bench()
    metadata = {"name": "x", "labels": {outbox.LABEL: "notifications"}, "uid": "u"}
    bench.api.maps["x"] = {"metadata": metadata, "data": {"notification": "{}"}}
    await bench.begin()
    assert "ConfigMap system/x is not a notification" in caplog.text
    assert list(bench.api.maps) == ["x"]
    await bench.end()


async def test_a_receiver_that_is_no_longer_in_the_settings_ends_it(caplog):
    caplog.set_level(logging.WARNING)
    bench = Bench(names=("chat", "old"))
    await bench.promote()
    bench.settings = Notifications(endpoints={"chat": Endpoint(url="http://chat")}, namespace="system")
    bench.start()
    await bench.begin()
    assert bench.got == [("chat", "Promoted")]
    assert bench.api.maps == {}
    assert "not sent to old: it is no longer in the settings" in caplog.text
    await bench.end()


async def test_draining_sends_what_is_due_and_takes_it_out():
    bench = Bench()
    bench.settings = Notifications(endpoints=bench.settings.endpoints, namespace="system")
    bench.start()
    await bench.begin()
    await bench.promote(SAID, BAD)
    await bench.notifier.drain()
    assert bench.got == [("chat", "Promoted"), ("chat", "RolledBack")]
    assert bench.api.maps == {}
    assert all(task.done() for task in bench.notifier.tasks)


async def test_draining_does_not_wait_for_a_receiver_that_is_away():
    bench = Bench()
    bench.answers["chat"] = Answered(503)
    bench.settings = Notifications(endpoints=bench.settings.endpoints, namespace="system")
    bench.start()
    await bench.begin()
    await bench.promote()
    async with asyncio.timeout(1):
        await bench.notifier.drain()
    assert len(bench.api.maps) == 1
    assert all(task.done() for task in bench.notifier.tasks)
