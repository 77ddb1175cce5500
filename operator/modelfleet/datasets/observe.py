"""Gathers what there is to know about a Dataset: from the store; of a Job that gets no pod, from its Events."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from modelfleet import pod_refusals
from modelfleet.api import ModelVersion, Rollout
from modelfleet.api.rolloutstatus import is_of_model
from modelfleet.datasets.decide import decide
from modelfleet.datasets.labeler_run import MOST_DEPLOYED
from modelfleet.datasets.metrics import DatasetGauges
from modelfleet.datasets.snapshot import Deployed, Snapshot
from modelfleet.datasets.sync_job import SyncJob, sync_job
from modelfleet.kube import DATASET, JOB, POD, Key, Store
from modelfleet.reconcile import Controller, Deps
from modelfleet.views import DATASETS, ROLLOUTS, ROLLOUTS_OF_MODEL, versions_of


def controller(deps: Deps) -> Controller[Snapshot]:
    """The controller of Datasets. Their figures are shown in the operator's metrics."""
    deps.metrics.registry.register(DatasetGauges(deps.store))

    async def observe(key: Key) -> Snapshot | None:
        seen = snapshot(deps.store, key, deps.settings.images.labeler)
        if seen is None:
            return None
        now = deps.clock()
        jobs = [await pod_refusals.explained(job, key.namespace, deps.client, now) for job in seen.jobs]
        return replace(seen, jobs=tuple(jobs))

    return Controller(DATASET, observe, decide)


def snapshot(store: Store, key: Key, image: str) -> Snapshot | None:
    """What the store knows about one Dataset; None when it is gone."""
    raw = store.get(DATASET, key.namespace, key.name)
    if raw is None:
        return None
    dataset = store.read(DATASETS, raw)
    jobs = (
        sync_job(job, store.list(POD, key.namespace, owner_uid=job["metadata"]["uid"]))
        for job in store.list(JOB, key.namespace, owner_uid=dataset.metadata.uid)
    )
    return Snapshot(
        dataset=dataset,
        image=image,
        jobs=tuple(sorted(jobs, key=_moment)),
        deployed=_deployed(store, key.namespace, dataset.spec.model),
    )


def _moment(job: SyncJob) -> tuple[object, str]:
    return job.due, job.name


def _deployed(store: Store, namespace: str, model: str) -> tuple[Deployed, ...]:
    """What Rollouts of the model have as stable and as candidate, by the files that their groups load."""
    rollouts = list(store.readable(ROLLOUTS, store.find(ROLLOUTS_OF_MODEL, (namespace, model))))
    versions = {each.spec.version: each for each in versions_of(store, namespace, model)} if rollouts else {}
    found = {each for rollout in rollouts for each in _run_by(rollout, versions.values())}
    return tuple(sorted(found))[:MOST_DEPLOYED]


def _run_by(rollout: Rollout, versions: Iterable[ModelVersion]) -> Iterator[Deployed]:
    status, model = rollout.status, rollout.spec.model.name
    named = {
        version
        for of, version in (
            (status.stable_model, status.stable_version),
            (status.candidate_model, status.candidate_version),
        )
        if is_of_model(of, model)
    }
    formats = {
        rollout.spec.delivery.format
        if group.delivery is None
        else group.delivery.format or rollout.spec.delivery.format
        for group in rollout.spec.groups
    }
    for version in versions:
        if version.spec.version in named:
            files = (version.spec.artifact.file(format) for format in formats)
            yield from (
                Deployed(version.spec.version, file.sha256, version.spec.classes) for file in files if file is not None
            )
