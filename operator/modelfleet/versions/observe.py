"""Gathers what there is to know about a ModelVersion: from the store; where something is to be removed, or a verify Job
gets no pod, from the API server itself."""

from dataclasses import replace

from modelfleet import pod_refusals
from modelfleet.api import ModelVersion, names
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
    Store,
)
from modelfleet.reconcile import Controller, Deps
from modelfleet.settings import Settings
from modelfleet.versions import manifests, retention
from modelfleet.versions.decide import decide
from modelfleet.versions.retention import Family, Policy
from modelfleet.versions.snapshot import Snapshot
from modelfleet.versions.usage import uses
from modelfleet.versions.verification import Verifier
from modelfleet.versions.verify_job import VerifyJob, read
from modelfleet.versions.watch import ROLLOUTS_USING
from modelfleet.views import ROLLOUTS, ROLLOUTS_OF_MODEL, TRAININGS, TRAININGS_OF_MODEL, VERSIONS, versions_of
from modelfleet.workloads.jobs import is_over
from modelfleet.workloads.owners import owner_uids


def controller(deps: Deps) -> Controller[Snapshot]:
    """The controller of ModelVersions."""

    async def observe(key: Key) -> Snapshot | None:
        seen = snapshot(deps.store, key, deps.settings)
        if seen is not None and seen.job is not None and seen.job.makes_no_pod(deps.clock()):
            words = await pod_refusals.said(deps.client, JOB, Key(key.namespace, seen.job.name), seen.job.uid)
            seen = replace(seen, job=replace(seen.job, refusal=words))
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
    version, policy = store.read(VERSIONS, raw), _policy(settings, raw["spec"]["model"])
    model = version.spec.model
    return Snapshot(
        version=version,
        uses=uses(version.metadata.name, store.find(ROLLOUTS_USING, (key.namespace, key.name))),
        # All that may use any version of the model matters only where versions are removed.
        family=_family(store, key.namespace, model) if policy else Family(versions_of(store, key.namespace, model)),
        verifier=_verifier(settings),
        job=_verify_job(store, version),
        others=_others(store, version),
        policy=policy,
    )


def _verifier(settings: Settings) -> Verifier | None:
    of, signatures = settings.verification, settings.signatures
    if not of.enabled:
        return None
    keys = signatures.public_keys if signatures.required else ""
    return Verifier(settings.images.agent, of.template, of.timeout, of.parallel, of.exempt, keys)


def _policy(settings: Settings, model: str) -> Policy | None:
    keep = settings.retention.models.get(model, settings.retention.keep_versions)
    return Policy(keep, settings.retention.min_age) if keep else None


def _verify_job(store: Store, version: ModelVersion) -> VerifyJob | None:
    """The version's verify Job."""
    namespace, uid = version.metadata.namespace, version.metadata.uid
    job = store.get(JOB, namespace, manifests.verify_job_name(version))
    if job is None or uid not in owner_uids(job):
        return None
    return read(job, store.list(POD, namespace, owner_uid=job["metadata"]["uid"]))


def _others(store: Store, version: ModelVersion) -> int:
    """How many Jobs of other versions of the namespace are not over."""
    jobs = store.list(JOB, version.metadata.namespace, labels={names.COMPONENT: manifests.COMPONENT})
    own = manifests.verify_job_name(version)
    return sum(1 for job in jobs if job["metadata"]["name"] != own and not is_over(job))


def _family(store: Store, namespace: str, model: str) -> Family:
    """A model in a namespace, and what may use its versions."""
    revisions = store.list(CONTROLLER_REVISION, namespace, labels={names.MODEL: model})
    versions = versions_of(store, namespace, model)
    trainings = [raw for raw in store.find(TRAININGS_OF_MODEL, (namespace, model)) if not is_over(raw)]
    rollouts = store.find(ROLLOUTS_OF_MODEL, (namespace, model))
    family = Family(
        versions=versions,
        used=frozenset(
            each.spec.version for each in versions if store.keys(ROLLOUTS_USING, (namespace, each.metadata.name))
        ),
        rollouts=tuple(store.readable(ROLLOUTS, rollouts)),
        held=frozenset(str((raw.get("data") or {}).get("modelVersion")) for raw in revisions),
        trainings=tuple(store.readable(TRAININGS, trainings)),
    )
    return replace(family, complete=(len(family.rollouts), len(family.trainings)) == (len(rollouts), len(trainings)))


async def _read(client: Client, namespace: str) -> Store:
    """What retention must know, as the API server has it now. Raises ApiError."""
    fresh = Store()
    for kind in (MODEL_VERSION, CONTROLLER_REVISION, TRAINING_JOB, ROLLOUT):
        listing = await client.list(kind, namespace, selector=selector_of(kind))
        fresh.replace(kind, listing.items, listing.version)
    return fresh
