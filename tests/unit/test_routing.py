"""From changes to queues: who looks again."""

import itertools
from datetime import timedelta

from modelfleet import routing
from modelfleet.kinds import JOB, OWNERS, POD, ROLLOUT, TRAINING_JOB, Key
from modelfleet.kube import Queue, Store
from modelfleet.watches import Watch
from unit.kube.raw import obj


def itself(obj, store):
    yield Key("ns", obj["metadata"]["name"])


def by_label(changed, store):
    """Owners are named by a label."""
    name = changed["metadata"].get("labels", {}).get("owner")
    if name:
        yield Key("ns", name)


ITSELF = tuple(Watch(kind, kind, itself) for kind in OWNERS)
LABELLED = (Watch(TRAINING_JOB, POD, by_label), Watch(TRAINING_JOB, JOB, by_label))


class Bench:
    """A store, queues, and the router between them."""

    def __init__(self, *watches):
        self.store = Store()
        self.now = 0.0
        self.queues = {kind: Queue(lambda: self.now) for kind in OWNERS}
        self.router = routing.Router(self.store, self.queues, (*ITSELF, *(watches or LABELLED)))
        self.store.subscribe(self.router.changed)

    def woken(self, kind=TRAINING_JOB):
        found = []
        while (key := self.queues[kind].take()) is not None:
            found.append(key.name)
            self.queues[kind].done(key)
        return found


def test_owner_is_woken_by_its_own_change_and_by_its_childrens():
    bench = Bench()
    bench.store.put(obj(TRAINING_JOB, "t", 1))
    assert bench.woken() == ["t"]
    bench.store.put(obj(JOB, "j", 2, labels={"owner": "t"}))
    assert bench.woken() == ["t"]
    bench.store.remove(obj(JOB, "j", 3, labels={"owner": "t"}))
    assert bench.woken() == ["t"]


def test_both_owners_are_woken_when_a_label_moves():
    bench = Bench()
    bench.store.put(obj(POD, "p", 1, labels={"owner": "before"}))
    bench.woken()
    bench.store.put(obj(POD, "p", 2, labels={"owner": "after"}))
    assert sorted(bench.woken()) == ["after", "before"]


def test_deleted_owner_is_looked_at_once_more():
    bench = Bench()
    bench.store.put(obj(TRAINING_JOB, "t", 1))
    bench.woken()
    bench.store.remove(obj(TRAINING_JOB, "t", 2))
    assert bench.woken() == ["t"]


def test_late_event_of_an_own_write_wakes_nobody_again():
    bench = Bench()
    written = obj(JOB, "j", 5, labels={"owner": "t"})
    bench.store.put(written)  # the response
    assert bench.woken() == ["t"]
    bench.store.put(written)  # the watch event
    assert bench.woken() == []


def test_bug_in_one_capability_does_not_keep_the_news_from_the_others(caplog):
    def broken(changed, store):
        raise KeyError("a bug")

    bench = Bench(Watch(ROLLOUT, POD, broken), *LABELLED)
    bench.store.put(obj(ROLLOUT, "r", 1))
    bench.woken(ROLLOUT)
    bench.store.put(obj(POD, "p", 2, labels={"owner": "t"}))
    assert bench.woken() == ["t"]
    assert bench.woken(ROLLOUT) == ["r"]  # it can't be told who depends on the pod: all look again
    assert "a bug" in caplog.text


def test_wake_all_wakes_every_owner_of_every_kind():
    bench = Bench()
    for kind, name in itertools.product(OWNERS, "ab"):
        bench.store.put(obj(kind, name, 1))
    for kind in OWNERS:
        bench.woken(kind)
    bench.router.wake_all()
    assert [bench.woken(kind) for kind in OWNERS] == [["a", "b"]] * len(OWNERS)


def test_a_change_of_what_nobody_goes_by_wakes_nobody():
    bench = Bench(Watch(TRAINING_JOB, POD, by_label, essence=lambda pod: pod.get("status")))
    bench.store.put(obj(POD, "p", 1, labels={"owner": "t"}, status={"phase": "Pending"}))
    assert bench.woken() == ["t"]
    bench.store.put(obj(POD, "p", 2, labels={"owner": "t", "more": "x"}, status={"phase": "Pending"}))
    assert bench.woken() == []
    bench.store.put(obj(POD, "p", 3, labels={"owner": "t"}, status={"phase": "Running"}))
    assert bench.woken() == ["t"]
    bench.store.put(obj(POD, "p", 4, labels={"owner": "t"}, status={"phase": "Running"}, uid="another"))
    assert bench.woken() == ["t"]
    bench.store.remove(obj(POD, "p", 5, labels={"owner": "t"}, uid="another"))
    assert bench.woken() == ["t"]


def test_news_that_may_wait_comes_together():
    bench = Bench(Watch(TRAINING_JOB, POD, by_label, delay=timedelta(seconds=1)))
    for version, at in enumerate((0.0, 0.4, 0.9), start=1):
        bench.now = at
        bench.store.put(obj(POD, "p", version, labels={"owner": "t"}))
    assert bench.woken() == []
    bench.now = 1.0
    assert bench.woken() == ["t"]
    bench.now = 10.0
    assert bench.woken() == []
