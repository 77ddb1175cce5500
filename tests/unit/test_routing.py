"""From events to queues: who looks again, and what kopf is told to do."""

import itertools
from datetime import timedelta

import kopf

from modelfleet import routing
from modelfleet.kinds import JOB, NODE, OWNERS, POD, ROLLOUT, TRAINING_JOB, WATCHED, Key
from modelfleet.kube import Queue, Store
from modelfleet.kube.scope import scopes
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
    assert [bench.woken(kind) for kind in OWNERS] == [["a", "b"]] * 3


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


async def test_handlers_feed_the_store_and_cover_every_kind():
    registry, store = kopf.OperatorRegistry(), Store()
    routing.register(registry, store)
    found = registry._watching.get_all_handlers()
    assert {(each.selector.group, each.selector.version, each.selector.plural) for each in found} == {
        (kind.group, kind.version, kind.plural) for kind in WATCHED
    }
    take_in = found[0].fn
    for event in (None, "ADDED", "MODIFIED"):
        await take_in(event={"type": event, "object": obj(POD, "p", 1)}, unknown=1)
    assert store.count(POD) == 1
    await take_in(event={"type": "DELETED", "object": obj(POD, "p", 2)})
    assert store.count(POD) == 0


def test_kopf_only_watches_and_never_gives_up():
    registry = kopf.OperatorRegistry()
    routing.register(registry, Store())
    assert not registry._changing.get_all_handlers()
    assert not registry._spawning.get_all_handlers()
    settings = routing.watch_settings(scopes(()))
    assert not settings.posting.enabled
    assert settings.peering.standalone
    assert settings.scanning.disabled
    assert len(list(itertools.islice(iter(settings.networking.error_backoffs), 1_000))) == 1_000


def test_children_are_watched_by_label_and_nothing_else_is():
    settings = routing.watch_settings(scopes(("a", "b")))
    selected = {
        kind: settings.watching.label_selectors.collect(
            kopf.Resource(group=kind.group, version=kind.version, plural=kind.plural, kind=kind.kind, namespaced=True)
        )
        for kind in WATCHED
    }
    assert selected[POD] == selected[JOB] == ["app.kubernetes.io/managed-by=modelfleet"]
    assert selected[NODE] == selected[ROLLOUT] == selected[TRAINING_JOB] == []


def test_kopf_copies_and_compares_nothing():
    settings = routing.watch_settings(scopes(()))
    diffs, progress = settings.persistence.diffbase_storage, settings.persistence.progress_storage
    body = kopf.Body(obj(POD, "p", 1, spec={"x": {"y": 1}}))
    assert diffs.build(body=body) == {}
    assert diffs.fetch(body=body) is None
    patch = kopf.Patch()
    diffs.store(body=body, patch=patch, essence=diffs.build(body=body))
    progress.store(key="store-pods", record={}, body=body, patch=patch)
    progress.purge(key="store-pods", body=body, patch=patch)
    progress.touch(body=body, patch=patch, value="now")
    assert not patch
    assert progress.fetch(key="store-pods", body=body) is None
    essence = kopf.BodyEssence(spec={"x": 1})
    assert progress.clear(essence=essence) is essence
