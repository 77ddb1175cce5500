"""From events to queues: who looks again, and what kopf is told to do."""

import itertools

import kopf
import pytest

from modelfleet import routing
from modelfleet.kinds import JOB, NODE, OWNERS, POD, ROLLOUT, TRAINING_JOB, WATCHED, Key
from modelfleet.kube import Queue, Store
from modelfleet.kube.scope import scopes
from unit.kube.raw import obj


def by_label(kind, changed, store):
    """Owners are named by a label, as a capability's `owners_of` might do it."""
    name = changed["metadata"].get("labels", {}).get("owner")
    if name:
        yield TRAINING_JOB, Key("ns", name)


class Bench:
    """A store, queues, and the router between them."""

    def __init__(self, *owners_of):
        self.store = Store()
        self.queues = {kind: Queue(lambda: 0.0) for kind in OWNERS}
        self.router = routing.Router(self.store, self.queues, owners_of or (by_label,))
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
    def broken(kind, changed, store):
        raise KeyError("a bug")

    bench = Bench(broken, by_label)
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


NODE_BEFORE = obj(
    NODE,
    "n",
    1,
    labels={"site": "a"},
    spec={"taints": [{"key": "x", "effect": "NoSchedule"}]},
    status={"conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": "10:00"}], "images": []},
)


def node(**changes):
    return {**NODE_BEFORE, **changes}


@pytest.mark.parametrize(
    ("now", "matters"),
    [
        (node(status={"conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": "10:05"}]}), False),
        (node(status={**NODE_BEFORE["status"], "images": [{"names": ["x"]}]}), False),
        (node(status={"conditions": [{"type": "Ready", "status": "Unknown"}]}), True),
        (node(spec={"unschedulable": True}), True),
        (node(spec={}), True),
        (node(metadata={**NODE_BEFORE["metadata"], "labels": {"site": "b"}}), True),
        (node(metadata={**NODE_BEFORE["metadata"], "annotations": {"x": "y"}}), False),
        (node(metadata={**NODE_BEFORE["metadata"], "deletionTimestamp": "10:00"}), True),
        (None, True),
    ],
)
def test_heartbeat_of_a_node_is_no_news(now, matters):
    assert routing.node_matters(NODE_BEFORE, now) is matters


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
