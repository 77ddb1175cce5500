"""Gathers what there is to know about a ModelVersion: from the store; where something is to be removed, from the API
server itself. And: whom a change concerns."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from modelfleet.api import ModelVersion, Rollout, TrainingJob, conditions, names
from modelfleet.api.names import LATEST
from modelfleet.kinds import selector_of
from modelfleet.kube import (
    CONTROLLER_REVISION,
    JOB,
    MODEL_VERSION,
    POD,
    ROLLOUT,
    TRAINING_JOB,
    Client,
    Key,
    Kind,
    Object,
    Store,
)
from modelfleet.reconcile import Controller, Deps
from modelfleet.settings import Settings
from modelfleet.versions import manifests, retention
from modelfleet.versions.decide import Snapshot, decide
from modelfleet.versions.retention import Family, Policy
from modelfleet.versions.usage import roles
from modelfleet.versions.verification import Verifier
from modelfleet.versions.verify_job import Attempt, attempt


def controller(deps: Deps) -> Controller[Snapshot]:
    """The controller of ModelVersions."""

    async def observe(key: Key) -> Snapshot | None:
        seen = snapshot(deps.store, key, deps.settings)
        if seen is None or seen.policy is None or not retention.surplus(seen.policy, seen.family, deps.clock()):
            return seen
        # Something is to be removed. The store may have missed who uses it (a watch that broke off says so only when it
        # is back), hence it is decided upon a read of our own. If that fails, nothing is removed.
        fresh = await _read(deps.client, key.namespace)
        return replace(seen, family=_family(fresh, key.namespace, seen.version.spec.model))

    return Controller(MODEL_VERSION, observe, decide)


def snapshot(store: Store, key: Key, settings: Settings) -> Snapshot | None:
    """What the store knows about one version; None when it is gone."""
    raw = store.get(MODEL_VERSION, key.namespace, key.name)
    if raw is None:
        return None
    version = ModelVersion.model_validate(raw)
    return Snapshot(
        version=version,
        family=_family(store, key.namespace, version.spec.model),
        verifier=_verifier(settings),
        attempt=_attempt(store, version),
        others=_others(store, version),
        policy=_policy(settings, version.spec.model),
    )


def _verifier(settings: Settings) -> Verifier | None:
    of = settings.verification
    return Verifier(settings.images.agent, of.template, of.timeout, of.parallel, of.exempt) if of.enabled else None


def _policy(settings: Settings, model: str) -> Policy | None:
    keep = settings.retention.models.get(model, settings.retention.keep_versions)
    return Policy(keep, settings.retention.min_age) if keep else None


def _attempt(store: Store, version: ModelVersion) -> Attempt | None:
    """The version's verify Job."""
    namespace, uid = version.metadata.namespace, version.metadata.uid
    job = store.get(JOB, namespace, manifests.verify_job_name(version))
    if job is None or not any(owner["uid"] == uid for owner in job["metadata"].get("ownerReferences") or ()):
        return None
    return attempt(job, store.list(POD, namespace, owner_uid=job["metadata"]["uid"]))


def _others(store: Store, version: ModelVersion) -> int:
    """How many Jobs of other versions of the namespace are not over."""
    jobs = store.list(JOB, version.metadata.namespace, labels={names.COMPONENT: manifests.COMPONENT})
    own = manifests.verify_job_name(version)
    return sum(1 for job in jobs if job["metadata"]["name"] != own and not _is_over(job))


def _family(store: Store, namespace: str, model: str) -> Family:
    """A model in a namespace, and what may use its versions."""
    revisions = store.list(CONTROLLER_REVISION, namespace, labels={names.MODEL: model})
    return Family(
        versions=versions_of(store, namespace, model),
        rollouts=tuple(
            Rollout.model_validate(raw)
            for raw in store.list(ROLLOUT, namespace)
            if raw["spec"]["model"]["name"] == model
        ),
        held=frozenset(str((raw.get("data") or {}).get("modelVersion")) for raw in revisions),
        trainings=tuple(
            TrainingJob.model_validate(raw)
            for raw in store.list(TRAINING_JOB, namespace)
            if raw["spec"]["model"] == model and not _is_over(raw)
        ),
    )


async def _read(client: Client, namespace: str) -> Store:
    """What retention must know, as the API server has it now. Raises ApiError."""
    fresh = Store()
    for kind in (MODEL_VERSION, CONTROLLER_REVISION, TRAINING_JOB, ROLLOUT):
        listing = await client.list(kind, namespace, selector=selector_of(kind))
        fresh.replace(kind, listing.items, listing.version)
    return fresh


def versions_of(store: Store, namespace: str, model: str) -> tuple[ModelVersion, ...]:
    """All versions of a model in a namespace."""
    found = store.list(MODEL_VERSION, namespace)
    return tuple(ModelVersion.model_validate(raw) for raw in found if raw["spec"]["model"] == model)


def owners_of(kind: Kind, obj: Object, store: Store) -> Iterable[tuple[Kind, Key]]:
    """The ModelVersions that must look again now that `obj` changed or is gone."""
    metadata = obj["metadata"]
    namespace = metadata.get("namespace", "")
    if kind == MODEL_VERSION:
        woken = {metadata["name"], *_sharing_tags(obj, store.list(MODEL_VERSION, namespace))}
    elif kind == ROLLOUT:
        woken = set(_used(obj, store.list(MODEL_VERSION, namespace)))
    elif kind in (JOB, POD):
        woken = {(metadata.get("annotations") or {}).get(names.MODEL_VERSION)} - {None}
    elif kind == CONTROLLER_REVISION:  # one that is gone may have been the last to hold its version
        woken = {(obj.get("data") or {}).get("modelVersion")} - {None}
    elif kind == TRAINING_JOB and (_is_over(obj) or store.get(kind, namespace, metadata["name"]) is None):
        woken = set(_let_go(obj))
    else:
        return []
    return [(MODEL_VERSION, Key(namespace, name)) for name in sorted(woken)]


def _let_go(training: Object) -> Iterator[str]:
    """The versions that a TrainingJob which is over used, or made."""
    status = training.get("status") or {}
    for field in ("parent", "baseline", "version"):
        if status.get(field):
            yield f"{training['spec']['model']}-{status[field]}"


def _is_over(run: Object) -> bool:
    """Whether a TrainingJob or a Job has ended."""
    found: Iterable[Mapping[str, Any]] = (run.get("status") or {}).get("conditions") or ()
    over = (conditions.COMPLETE, conditions.FAILED)
    return any(entry["type"] in over and entry["status"] == "True" for entry in found)


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
    found: Iterable[Mapping[str, Any]] = (raw.get("status") or {}).get("conditions") or ()
    return any(entry["type"] == conditions.READY and entry["status"] == "True" for entry in found)


def _used(rollout: Object, versions: Iterable[Object]) -> Iterator[str]:
    """The versions that this Rollout uses, and those whose status says it does."""
    parsed = Rollout.model_validate(rollout)
    used = {f"{parsed.spec.model.name}-{version}" for version in roles(parsed)}
    for raw in versions:
        name = raw["metadata"]["name"]
        uses = (raw.get("status") or {}).get("usedBy") or ()
        if name in used or any(use["rollout"] == parsed.metadata.name for use in uses):
            yield name
