"""Gathers what there is to know about a ModelVersion: all of it from the store. And: whom a change concerns."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from modelfleet.api import ModelVersion, Rollout
from modelfleet.api.names import LATEST
from modelfleet.kube import MODEL_VERSION, ROLLOUT, Key, Kind, Object, Store
from modelfleet.reconcile import Controller, Deps
from modelfleet.versions.decide import Snapshot, decide
from modelfleet.versions.usage import roles


def controller(deps: Deps) -> Controller[Snapshot]:
    """The controller of ModelVersions."""

    async def observe(key: Key) -> Snapshot | None:
        return snapshot(deps.store, key)

    return Controller(MODEL_VERSION, observe, decide)


def snapshot(store: Store, key: Key) -> Snapshot | None:
    """What the store knows about one version; None when it is gone."""
    raw = store.get(MODEL_VERSION, key.namespace, key.name)
    if raw is None:
        return None
    version = ModelVersion.model_validate(raw)
    return Snapshot(
        version=version,
        siblings=versions_of(store, key.namespace, version.spec.model),
        rollouts=tuple(
            Rollout.model_validate(entry)
            for entry in store.list(ROLLOUT, key.namespace)
            if entry["spec"]["model"]["name"] == version.spec.model
        ),
    )


def versions_of(store: Store, namespace: str, model: str) -> tuple[ModelVersion, ...]:
    """All versions of a model in a namespace."""
    found = store.list(MODEL_VERSION, namespace)
    return tuple(ModelVersion.model_validate(raw) for raw in found if raw["spec"]["model"] == model)


def owners_of(kind: Kind, obj: Object, store: Store) -> Iterable[tuple[Kind, Key]]:
    """The ModelVersions that must look again now that `obj` changed or is gone."""
    namespace = obj["metadata"].get("namespace", "")
    if kind == MODEL_VERSION:
        names = {obj["metadata"]["name"], *_sharing_tags(obj, store.list(MODEL_VERSION, namespace))}
    elif kind == ROLLOUT:
        names = set(_used(obj, store.list(MODEL_VERSION, namespace)))
    else:
        return []
    return [(MODEL_VERSION, Key(namespace, name)) for name in sorted(names)]


def _sharing_tags(changed: Object, versions: Iterable[Object]) -> Iterator[str]:
    """Versions of the same model that may win or lose a tag by this change.

    Those are the ones that hold one of its tags now, and of each such tag the newest bearers: the next in line. (A
    version that is not Ready does not count, so the few newest of each are woken; each wake is a look without a write.)
    """
    model = changed["spec"]["model"]
    siblings = [raw for raw in versions if raw["spec"]["model"] == model]
    tags = {LATEST, *(changed["spec"].get("tags") or ()), *_held_tags(changed)}
    for tag in tags:
        bearers = [raw for raw in siblings if tag == LATEST or tag in (raw["spec"].get("tags") or ())]
        usable = [raw for raw in bearers if _ready(raw) and "deletionTimestamp" not in raw["metadata"]]
        newest = max((raw["metadata"]["creationTimestamp"] for raw in usable), default=None)
        for raw in siblings:
            if tag in _held_tags(raw) or (raw in usable and raw["metadata"]["creationTimestamp"] == newest):
                yield raw["metadata"]["name"]


def _held_tags(raw: Object) -> Iterable[str]:
    return (raw.get("status") or {}).get("tags") or ()


def _ready(raw: Object) -> bool:
    conditions: Iterable[Mapping[str, Any]] = (raw.get("status") or {}).get("conditions") or ()
    return any(entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions)


def _used(rollout: Object, versions: Iterable[Object]) -> Iterator[str]:
    """The versions that this Rollout uses, and those whose status says it does."""
    parsed = Rollout.model_validate(rollout)
    used = {f"{parsed.spec.model.name}-{version}" for version in roles(parsed)}
    for raw in versions:
        name = raw["metadata"]["name"]
        uses = (raw.get("status") or {}).get("usedBy") or ()
        if name in used or any(use["rollout"] == parsed.metadata.name for use in uses):
            yield name
