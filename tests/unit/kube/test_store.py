"""The store: whatever the order of events, lists and responses, it ends in the newest state."""

import itertools
import json
import time
import weakref

import pytest

from modelfleet.kinds import JOB, NODE, POD, Key
from modelfleet.kube import Index, Store, Unreadable, View
from unit.kube.raw import obj


def names(objects):
    return [each["metadata"]["name"] for each in objects]


def test_newest_version_wins_in_any_order():
    versions = [obj(POD, "a", version, spec={"v": version}) for version in (9, 10, 101)]
    for order in itertools.permutations(versions):
        store = Store()
        for version in order:
            store.put(version)
        assert store.get(POD, "ns", "a")["spec"] == {"v": 101}


def test_put_tells_whether_it_said_something_new():
    store = Store()
    assert store.put(obj(POD, "a", 5))
    assert not store.put(obj(POD, "a", 5))
    assert not store.put(obj(POD, "a", 4))
    assert store.put(obj(POD, "a", 6))


def test_late_event_does_not_resurrect_a_deleted_object():
    store = Store()
    store.put(obj(POD, "a", 5))
    assert store.remove(obj(POD, "a", 8))
    assert not store.put(obj(POD, "a", 7))
    assert not store.put(obj(POD, "a", 8))
    assert store.get(POD, "ns", "a") is None


def test_an_object_that_lost_our_label_and_got_it_back_is_known_again():
    store = Store()
    store.put(obj(POD, "a", 5))
    store.remove(obj(POD, "a", 8))  # what a watch by label says of it
    assert store.put(obj(POD, "a", 9))
    assert store.get(POD, "ns", "a")["metadata"]["resourceVersion"] == "9"


def test_what_we_deleted_ourselves_returns_only_after_a_watch_or_a_list_has_said_when_it_went():
    for news in (lambda store: store.remove(obj(POD, "a", 8)), lambda store: store.replace(POD, [], 8)):
        store = Store()
        store.put(obj(POD, "a", 5))
        store.forget(POD, "ns", "a", "uid-a")
        assert not store.put(obj(POD, "a", 7))  # a change that the deletion overtook
        assert not store.put(obj(POD, "a", 5, uid="another"))
        news(store)
        assert not store.put(obj(POD, "a", 7))
        assert store.get(POD, "ns", "a") is None


def test_event_before_the_first_sight_of_a_deleted_object_is_ignored():
    store = Store()
    assert not store.remove(obj(POD, "a", 8))
    assert not store.put(obj(POD, "a", 7))


def test_same_name_made_again_is_another_object():
    store = Store()
    store.put(obj(POD, "a", 5, uid="old"))
    store.remove(obj(POD, "a", 6, uid="old"))
    assert store.put(obj(POD, "a", 7, uid="new"))
    assert not store.remove(obj(POD, "a", 6, uid="old"))
    assert store.get(POD, "ns", "a")["metadata"]["uid"] == "new"


def test_deletion_that_names_an_older_version_than_what_is_known_is_one_all_the_same():
    store = Store()
    store.put(obj(POD, "a", 9))
    assert store.remove(obj(POD, "a", 8))
    assert store.list(POD) == ()


def test_late_deletion_of_the_old_one_does_not_let_the_new_one_return():
    store = Store()
    store.remove(obj(POD, "a", 8, uid="new"))
    store.remove(obj(POD, "a", 6, uid="old"))
    assert not store.put(obj(POD, "a", 7, uid="new"))


def test_so_many_deletions_are_remembered_and_the_oldest_is_forgotten_first(monkeypatch):
    monkeypatch.setattr("modelfleet.kube.store._TOMBSTONES", 2)
    store = Store()
    for version, name in enumerate(("a", "b", "c"), start=10):
        store.remove(obj(POD, name, version))
    assert [store.put(obj(POD, name, 1)) for name in ("a", "b", "c")] == [True, False, False]


def test_deletion_of_the_old_one_that_comes_after_the_new_one_leaves_the_new_one():
    store = Store()
    store.put(obj(POD, "a", 5, uid="old"))
    store.put(obj(POD, "a", 7, uid="new"))
    assert not store.remove(obj(POD, "a", 6, uid="old"))
    assert store.get(POD, "ns", "a")["metadata"]["uid"] == "new"


def test_forget_takes_only_the_uid_meant():
    store = Store()
    store.put(obj(POD, "a", 5, uid="new"))
    assert not store.forget(POD, "ns", "a", "old")
    assert store.forget(POD, "ns", "a", "new")
    assert not store.put(obj(POD, "a", 6, uid="new"))
    assert store.put(obj(POD, "a", 9, uid="newer"))


def test_list_by_namespace_label_and_owner():
    store = Store()
    store.put(obj(POD, "a", 1, labels={"app": "x", "tier": "1"}, owner="o1"))
    store.put(obj(POD, "b", 2, labels={"app": "x", "tier": "2"}, owner="o2"))
    store.put(obj(POD, "a", 3, namespace="other", labels={"app": "x"}, owner="o1"))
    store.put(obj(JOB, "j", 4, labels={"app": "x"}))
    assert names(store.list(POD)) == ["a", "b", "a"]
    assert names(store.list(POD, "ns")) == ["a", "b"]
    assert names(store.list(POD, "ns", labels={"app": "x", "tier": "2"})) == ["b"]
    assert names(store.list(POD, labels={"app": "x"}, owner_uid="o1")) == ["a", "a"]
    assert store.list(POD, "ns", labels={"app": "y"}) == ()
    assert store.list(POD, owner_uid="nobody") == ()
    assert store.list(POD, "nowhere") == ()
    assert store.count(POD) == 3


def test_all_criteria_count_whichever_finds_the_fewest():
    store = Store()
    store.put(obj(POD, "meets-all", 1, labels={"app": "x"}, owner="o1"))
    store.put(obj(POD, "another-owner", 2, labels={"app": "x"}, owner="o2"))
    store.put(obj(POD, "another-label", 3, labels={"app": "y"}, owner="o1"))
    store.put(obj(POD, "elsewhere", 4, namespace="other", labels={"app": "y"}, owner="o1"))
    store.put(obj(POD, "neither", 5))
    assert names(store.list(POD, "ns", labels={"app": "x"}, owner_uid="o1")) == ["meets-all"]


def test_what_goes_from_an_index_leaves_the_others_in_it():
    store = Store()
    for version, name in enumerate(("a", "b", "c"), start=1):
        store.put(obj(POD, name, version, labels={"app": "x"}, owner="o1"))
    store.remove(obj(POD, "a", 9))
    for found in (store.list(POD, "ns"), store.list(POD, labels={"app": "x"}), store.list(POD, owner_uid="o1")):
        assert names(found) == ["b", "c"]


def test_indexes_follow_changes():
    store = Store()
    store.put(obj(POD, "a", 1, labels={"app": "x"}, owner="o1"))
    store.put(obj(POD, "a", 2, labels={"app": "y"}, owner="o2"))
    assert store.list(POD, labels={"app": "x"}) == ()
    assert store.list(POD, owner_uid="o1") == ()
    assert names(store.list(POD, labels={"app": "y"}, owner_uid="o2")) == ["a"]
    store.remove(obj(POD, "a", 3))
    assert store.list(POD, labels={"app": "y"}) == ()


def test_cluster_scoped_kinds_have_no_namespace():
    store = Store()
    store.put(obj(NODE, "n1", 1))
    assert store.get(NODE, "whatever", "n1") is not None
    assert names(store.list(NODE, "whatever")) == ["n1"]
    assert store.forget(NODE, "whatever", "n1", "uid-n1")
    assert store.list(NODE) == ()


def test_managed_fields_are_dropped_and_the_given_object_stays_whole():
    store = Store()
    given = obj(POD, "a", 1)
    given["metadata"]["managedFields"] = [{"manager": "kubelet"}]
    store.put(given)
    assert "managedFields" not in store.get(POD, "ns", "a")["metadata"]
    assert "managedFields" in given["metadata"]


def test_replace_prunes_what_is_missing_and_keeps_what_is_newer():
    store = Store()
    for name, version in (("kept", 1), ("changed", 2), ("missed", 3), ("born-later", 50)):
        store.put(obj(POD, name, version))
    changed = store.replace(POD, [obj(POD, "kept", 1), obj(POD, "changed", 9), obj(POD, "new", 10)], 40)
    assert changed == 3
    assert names(store.list(POD)) == ["born-later", "changed", "kept", "new"]
    assert not store.put(obj(POD, "missed", 39))  # an event from before the list
    assert not store.put(obj(POD, "missed", 40, uid="again"))  # the list, as of then, does not have it
    assert store.put(obj(POD, "missed", 41))  # it has its label again


def test_replace_prunes_what_is_as_old_as_the_list():
    store = Store()
    store.put(obj(POD, "a", 40))
    assert store.replace(POD, [], 40) == 1
    assert store.list(POD) == ()


def test_replace_of_one_namespace_leaves_the_others():
    store = Store()
    store.put(obj(POD, "a", 1))
    store.put(obj(POD, "a", 2, namespace="other"))
    assert store.replace(POD, [], 10, namespace="ns") == 1
    assert names(store.list(POD, "other")) == ["a"]


def test_list_that_is_older_than_an_event_does_not_undo_it():
    store = Store()
    store.put(obj(POD, "a", 20))
    store.remove(obj(POD, "b", 30))
    store.replace(POD, [obj(POD, "a", 10), obj(POD, "b", 11)], 15)
    assert store.get(POD, "ns", "a")["metadata"]["resourceVersion"] == "20"
    assert store.get(POD, "ns", "b") is None


def test_list_of_the_version_that_was_seen_is_not_of_a_backup():
    store = Store()
    store.remove(obj(POD, "a", 30))
    store.replace(POD, [obj(POD, "a", 29)], 30, seen=store.newest(POD))
    assert store.list(POD) == ()


def test_what_a_backup_has_in_the_same_version_has_not_changed():
    store = Store()
    store.put(obj(POD, "a", 10))
    store.put(obj(POD, "lost", 1001))
    assert store.replace(POD, [obj(POD, "a", 10)], 500, seen=store.newest(POD)) == 1


def test_cluster_restored_from_a_backup_voids_what_was_known():
    store = Store()
    store.put(obj(POD, "a", 1000, spec={"v": "lost"}))
    store.put(obj(POD, "lost", 1001))
    store.remove(obj(POD, "back", 1002))
    seen = store.newest(POD)
    store.replace(POD, [obj(POD, "a", 10, spec={"v": "restored"}), obj(POD, "back", 11)], 500, seen=seen)
    assert store.get(POD, "ns", "a")["spec"] == {"v": "restored"}
    assert names(store.list(POD)) == ["a", "back"]


def test_each_change_is_told_once_whoever_brings_it():
    store, told = Store(), []

    def note(kind, before, now):
        assert kind == POD
        told.append(tuple(None if each is None else each["metadata"]["resourceVersion"] for each in (before, now)))

    store.subscribe(note)
    store.put(obj(POD, "a", 1))
    store.put(obj(POD, "a", 1))
    store.replace(POD, [obj(POD, "a", 2)], 5)
    store.put(obj(POD, "a", 2))
    store.remove(obj(POD, "a", 6))
    store.remove(obj(POD, "a", 6))
    store.put(obj(POD, "b", 7))
    store.forget(POD, "ns", "b", "uid-b")
    store.put(obj(POD, "c", 8))
    store.replace(POD, [], 9)
    assert told == [(None, "1"), ("1", "2"), ("2", None), (None, "7"), ("7", None), (None, "8"), ("8", None)]


def test_thousands_of_pods_are_found_without_a_scan():
    store = Store()
    for number in range(5_000):
        store.put(obj(POD, f"p{number}", number + 1, labels={"rollout": f"r{number % 500}"}, owner=f"o{number % 500}"))
    started = time.perf_counter()
    for number in range(500):
        assert len(store.list(POD, "ns", labels={"rollout": f"r{number}"})) == 10
        assert len(store.list(POD, owner_uid=f"o{number}")) == 10
    assert time.perf_counter() - started < 1.0  # a scan of all would take about ten seconds


BY_PHASE = Index(POD, lambda pod: [(pod.get("status") or {}).get("phase")])


def test_an_index_follows_every_change():
    store = Store()
    store.put(obj(POD, "a", 1, status={"phase": "Running"}))  # before the index is first used
    assert names(store.find(BY_PHASE, "Running")) == ["a"]
    store.put(obj(POD, "b", 2, status={"phase": "Running"}))
    store.put(obj(POD, "c", 3, status={"phase": "Pending"}))
    assert names(store.find(BY_PHASE, "Running")) == ["a", "b"]
    assert names(store.find(BY_PHASE, "Running", "Pending", "Failed")) == ["a", "b", "c"]
    assert sorted(store.keys(BY_PHASE, "Pending")) == [("ns", "c")]
    store.put(obj(POD, "a", 4, status={"phase": "Failed"}))
    store.remove(obj(POD, "b", 5))
    assert store.find(BY_PHASE, "Running") == ()
    store.replace(POD, [obj(POD, "c", 3, status={"phase": "Pending"})], 9)
    assert names(store.find(BY_PHASE, "Failed", "Pending")) == ["c"]
    assert not store.keys(BY_PHASE, "Failed")


def test_an_index_asks_each_object_once():
    asked, store = [], Store()

    def values(pod):
        asked.append(pod["metadata"]["name"])
        return ["any"]

    index = Index(POD, values)
    store.put(obj(POD, "a", 1))
    store.put(obj(POD, "b", 2))
    assert [names(store.find(index, "any")) for _ in range(3)] == [["a", "b"]] * 3
    assert asked == ["a", "b"]


def test_what_an_index_can_not_read_is_in_the_store_all_the_same(caplog):
    strict, store = Index(POD, lambda pod: [pod["status"]["phase"]]), Store()
    store.put(obj(POD, "a", 1, status={"phase": "Running"}))
    assert names(store.find(strict, "Running")) == ["a"]
    store.put(obj(POD, "a", 2))
    assert store.get(POD, "ns", "a")["metadata"]["resourceVersion"] == "2"
    assert store.find(strict, "Running") == ()
    assert "can't be found by one of its values: Pod ns/a" in caplog.text
    store.put(obj(POD, "a", 3, status={"phase": "Running"}))
    assert names(store.find(strict, "Running")) == ["a"]


def test_an_object_is_parsed_once_for_each_version_of_it():
    parsed, store = [], Store()

    def parse(pod):
        parsed.append(pod["metadata"]["resourceVersion"])
        return pod["metadata"]["name"]

    view = View(POD, parse)
    store.put(obj(POD, "a", 1))
    old = store.get(POD, "ns", "a")
    assert [store.read(view, old) for _ in range(3)] == ["a"] * 3
    assert parsed == ["1"]
    store.put(obj(POD, "a", 2))
    assert [store.read(view, store.get(POD, "ns", "a")) for _ in range(3)] == ["a"] * 3
    assert parsed == ["1", "2"]
    assert store.read(view, old) == "a"  # who still holds the old one reads the old one
    assert parsed == ["1", "2", "1"]
    assert store.read(view, store.get(POD, "ns", "a")) == "a"
    assert parsed == ["1", "2", "1"]


def test_what_a_view_can_not_read_harms_no_other():
    def parse(pod):
        if pod["metadata"]["name"] == "b":
            raise ValueError("no pod of ours")
        return pod["metadata"]["name"]

    view, store = View(POD, parse), Store()
    for number, name in enumerate("abc", start=1):
        store.put(obj(POD, name, number))
    for _ in range(2):
        assert list(store.readable(view, store.list(POD))) == ["a", "c"]
        with pytest.raises(Unreadable, match="Pod ns/b can't be read: no pod of ours") as found:
            store.read(view, store.get(POD, "ns", "b"))
        assert (found.value.kind, found.value.key) == (POD, Key("ns", "b"))


def test_views_of_one_object_are_each_their_own():
    store = Store()
    store.put(obj(POD, "a", 1))
    pod = store.get(POD, "ns", "a")
    by_name, by_uid = View(POD, lambda pod: pod["metadata"]["name"]), View(POD, lambda pod: pod["metadata"]["uid"])
    assert [store.read(view, pod) for view in (by_name, by_uid, by_name)] == ["a", "uid-a", "a"]


def test_what_was_parsed_goes_with_its_object():
    class Parsed:
        pass

    store, view = Store(), View(POD, lambda pod: Parsed())
    store.put(obj(POD, "a", 1))
    store.put(obj(POD, "never-read", 2))
    parsed = weakref.ref(store.read(view, store.get(POD, "ns", "a")))
    store.remove(obj(POD, "never-read", 3))
    assert parsed() is not None
    store.remove(obj(POD, "a", 4))
    assert parsed() is None


def test_equal_strings_of_different_objects_are_one():
    """Parsed from JSON each is its own; a fleet's objects would hold the same thousand times."""
    store = Store()
    for name, version in (("a", 1), ("b", 2)):
        store.put(json.loads(json.dumps(obj(POD, name, version, spec={"image": "localhost/agent", "args": ["run"]}))))
    first, second = store.list(POD)
    assert first["spec"] == {"image": "localhost/agent", "args": ["run"]}
    assert first["spec"]["image"] is second["spec"]["image"]
    assert first["spec"]["args"][0] is second["spec"]["args"][0]
    assert next(iter(first["spec"])) is next(iter(second["spec"]))
