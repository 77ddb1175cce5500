"""Whom a change wakes: ModelVersions that may win or lose a tag by it, begin or cease to be used, or be verified."""

from collections.abc import Hashable, Iterable, Iterator, Mapping
from datetime import timedelta

from modelfleet.api import conditions, names
from modelfleet.api.names import IN_USE, LATEST
from modelfleet.kinds import CONTROLLER_REVISION, JOB, MODEL_VERSION, POD, ROLLOUT, TRAINING_JOB, Key, key_of
from modelfleet.kube import Index, Object, Store
from modelfleet.versions import resolve
from modelfleet.versions.usage import roles
from modelfleet.views import VERSIONS, VERSIONS_OF_MODEL
from modelfleet.watches import Watch, itself
from modelfleet.workloads.jobs import is_over

GATHERING = timedelta(seconds=1)
"""How long the news of who uses a version waits for more: a thousand Rollouts that move make one write a second. A
version's first use does not wait: from then on it must not be deleted."""


def _namespace_and_used(rollout: Object) -> Iterable[Hashable]:
    return [(key_of(rollout).namespace, name) for name in roles(rollout)]


ROLLOUTS_USING = Index(ROLLOUT, _namespace_and_used)
"""Rollouts by (namespace, name of a ModelVersion that they use)."""


def _but_its_users(version: Object) -> object:
    """A version without what others make of it, which is brought up to date when they change."""
    metadata, status = version["metadata"], dict(version.get("status") or {})
    status.pop("usedBy", None)
    return (
        version["spec"],
        status,
        metadata.get("deletionTimestamp"),
        metadata.get("finalizers"),
        metadata.get("labels"),
        metadata.get("annotations"),
    )


def _of_its_tags(version: Object) -> object:
    spec, status = version["spec"], version.get("status") or {}
    return (
        spec["model"],
        spec.get("tags"),
        status.get("tags"),
        _ready(version),
        "deletionTimestamp" in version["metadata"],
    )


def _sharing_tags(changed: Object, store: Store) -> Iterator[Key]:
    """Versions of the same model that may win or lose a tag by this change.

    Those are the ones that hold one of its tags now, and of each such tag the newest bearer that may be used, the next
    in line. (Each wake is a look without a write.)
    """
    namespace = key_of(changed).namespace
    siblings = store.find(VERSIONS_OF_MODEL, (namespace, changed["spec"]["model"]))
    usable = [version for version in store.readable(VERSIONS, siblings) if resolve.unusable(version) is None]
    for tag in {LATEST, *(changed["spec"].get("tags") or ()), *_held_tags(changed)}:
        bearers = (version for version in usable if tag == LATEST or tag in version.spec.tags)
        newest = max(bearers, key=resolve.age, default=None)
        if newest is not None:
            yield Key(namespace, newest.metadata.name)
        yield from (Key(namespace, raw["metadata"]["name"]) for raw in siblings if tag in _held_tags(raw))


def _held_tags(raw: Object) -> Iterable[str]:
    return (raw.get("status") or {}).get("tags") or ()


def _ready(raw: Object) -> bool:
    found: Iterable[Mapping[str, str]] = (raw.get("status") or {}).get("conditions") or ()
    return any(entry["type"] == conditions.READY and entry["status"] == "True" for entry in found)


def _used_first(rollout: Object, store: Store) -> Iterable[Key]:
    return [key for key, held in _used_versions(rollout, store) if not held]


def _used_already(rollout: Object, store: Store) -> Iterable[Key]:
    return [key for key, held in _used_versions(rollout, store) if held]


def _used_versions(rollout: Object, store: Store) -> Iterator[tuple[Key, bool]]:
    """The versions that a Rollout uses, and whether they are kept for somebody already."""
    namespace = key_of(rollout).namespace
    for name in roles(rollout):
        version = store.get(MODEL_VERSION, namespace, name)
        if version is not None:
            yield Key(namespace, name), IN_USE in (version["metadata"].get("finalizers") or ())


def _verified(obj: Object, _store: Store) -> Iterable[Key]:
    """The version that a verify Job, or its pod, is of."""
    name = (obj["metadata"].get("annotations") or {}).get(names.MODEL_VERSION)
    return [Key(key_of(obj).namespace, name)] if name else []


def _held(revision: Object, _store: Store) -> Iterable[Key]:
    name = (revision.get("data") or {}).get("modelVersion")
    return [Key(key_of(revision).namespace, name)] if name else []


def _let_go(training: Object, store: Store) -> Iterator[Key]:
    """The versions that a TrainingJob which is over, or gone, used or made."""
    namespace, name = key_of(training).namespace, training["metadata"]["name"]
    if not is_over(training) and store.get(TRAINING_JOB, namespace, name) is not None:
        return
    status = training.get("status") or {}
    for field in ("parent", "baseline", "version"):
        if status.get(field):
            yield Key(namespace, f"{training['spec']['model']}-{status[field]}")


WATCHES: tuple[Watch, ...] = (
    Watch(MODEL_VERSION, MODEL_VERSION, itself, _but_its_users),
    Watch(MODEL_VERSION, MODEL_VERSION, _sharing_tags, _of_its_tags),
    Watch(MODEL_VERSION, ROLLOUT, _used_first, roles),
    Watch(MODEL_VERSION, ROLLOUT, _used_already, roles, GATHERING),
    Watch(MODEL_VERSION, JOB, _verified),
    Watch(MODEL_VERSION, POD, _verified),
    # One that is gone may have been the last to hold its version; what else happens to one is no news.
    Watch(MODEL_VERSION, CONTROLLER_REVISION, _held, lambda revision: None, GATHERING),
    Watch(MODEL_VERSION, TRAINING_JOB, _let_go),
)
