"""What kopf is told to do: to watch, to write nothing, and never to give up."""

import itertools

import kopf

from modelfleet.kinds import JOB, NODE, POD, ROLLOUT, TRAINING_JOB, WATCHED
from modelfleet.kube import Store
from modelfleet.kube.scope import scopes
from modelfleet.runtime import streams
from unit.kube.raw import obj


async def test_handlers_feed_the_store_and_cover_every_kind():
    registry, store = kopf.OperatorRegistry(), Store()
    streams.take_into(registry, store)
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
    streams.take_into(registry, Store())
    assert not registry._changing.get_all_handlers()
    assert not registry._spawning.get_all_handlers()
    settings = streams.kopf_settings(scopes(()))
    assert not settings.posting.enabled
    assert settings.peering.standalone
    assert settings.scanning.disabled
    assert len(list(itertools.islice(iter(settings.networking.error_backoffs), 1_000))) == 1_000


def test_children_are_watched_by_label_and_nothing_else_is():
    settings = streams.kopf_settings(scopes(("a", "b")))
    selected = {
        kind: settings.watching.label_selectors.collect(
            kopf.Resource(group=kind.group, version=kind.version, plural=kind.plural, kind=kind.kind, namespaced=True)
        )
        for kind in WATCHED
    }
    assert selected[POD] == selected[JOB] == ["app.kubernetes.io/managed-by=modelfleet"]
    assert selected[NODE] == selected[ROLLOUT] == selected[TRAINING_JOB] == []


def test_kopf_copies_and_compares_nothing():
    settings = streams.kopf_settings(scopes(()))
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
