"""Gathers what there is to know about a TrainingJob: from the store, from its pod's log, and, rarely, by a request.

Requests are made in four cases only: while there is no Job in the store (one of somebody else's isn't watched, as it
lacks our label), for the detail of a run that succeeded (its log is read once, when the tail does not have it), for
the queue of a Job that has waited in it for a while, and for the Events of a Job that misses a pod.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta

from modelfleet import pod_refusals
from modelfleet.api import ModelVersion, Origin, TrainingJob, VersionRef, conditions, names
from modelfleet.kube import (
    DATASET,
    JOB,
    MODEL_VERSION,
    POD,
    ROLLOUT,
    TRAINING_JOB,
    ApiError,
    Key,
    Kind,
    NotFound,
    Store,
)
from modelfleet.reconcile import Controller, Deps
from modelfleet.training import data, kueue, modelversion
from modelfleet.training.data import NOTHING, Data
from modelfleet.training.decide import decide
from modelfleet.training.jobs import JobFacts, job_facts
from modelfleet.training.last_end import with_noted
from modelfleet.training.naming import BadVersion, model_version_name, version_of
from modelfleet.training.pods import Attempt, attempts, outcome, reporter
from modelfleet.training.snapshot import Detail, Reference, Snapshot
from modelfleet.training.termination import Succeeded, find_detail
from modelfleet.versions.resolve import by_version, passed_over, resolve
from modelfleet.views import DATASETS, ROLLOUTS, TRAININGS, VERSIONS, versions_of

_NUDGE = 3.0  # seconds from a log line to the look at it: epochs of milliseconds must not mean a write each
_POD_DUE = timedelta(seconds=5)  # a Job makes its pod at once, and a refusal is an Event at once
_LOG_TAIL = 1000  # lines: the detail is the last one, though the kubelet may count a long line as several


def controller(deps: Deps) -> Controller[Snapshot]:
    """The controller of TrainingJobs."""

    async def observe(key: Key) -> Snapshot | None:
        raw = deps.store.get(TRAINING_JOB, key.namespace, key.name)
        return None if raw is None else await _gather(deps.store.read(TRAININGS, raw), key, deps)

    return Controller(TRAINING_JOB, observe, decide)


async def _gather(training: TrainingJob, key: Key, deps: Deps) -> Snapshot:
    job = await _job(training, key, deps)
    own = job if job is not None and job.owner == training.metadata.uid else None
    pods = () if own is None else _attempts(own, key, deps.store)
    _follow(training, pods, key, deps)
    version = _target(training, own, key, deps.store)
    seen = Snapshot(
        training=training,
        image=deps.settings.images.trainer,
        job=job,
        attempts=pods,
        version=version,
        parent=_resolve(training.spec.from_, training.status.parent, training, deps.store) if job is None else None,
        baseline=_resolve(_baseline(training), training.status.baseline, training, deps.store) if job is None else None,
        data=_data(training, deps.store) if job is None else NOTHING,
        passed_over=_passed_over(training, deps.store) if job is None else "",
        lines=deps.logs.lines(pods[-1].uid) if pods else (),
        detail=await _detail(training, own, pods, version, key, deps),
        queue=await _queue(own, key, deps),
    )
    return replace(seen, no_pod=await _no_pod(seen, key, deps))


async def _job(training: TrainingJob, key: Key, deps: Deps) -> JobFacts | None:
    raw = deps.store.get(JOB, key.namespace, key.name)
    if raw is None and not _finished(training):
        try:
            raw = await deps.client.get(JOB, key.namespace, key.name)
        except NotFound:
            return None
    return None if raw is None else job_facts(raw)


def _attempts(job: JobFacts, key: Key, store: Store) -> tuple[Attempt, ...]:
    return with_noted(attempts(store.list(POD, key.namespace, owner_uid=job.uid)), job.noted)


def _finished(training: TrainingJob) -> bool:
    return any(
        conditions.is_true(training.status.conditions, type) for type in (conditions.COMPLETE, conditions.FAILED)
    )


def _follow(training: TrainingJob, pods: Iterable[Attempt], key: Key, deps: Deps) -> None:
    """Follow the logs of pods that run or ended, until the TrainingJob is finished."""
    finished = _finished(training)
    for pod in pods:
        if finished:
            deps.logs.forget(pod.uid)
        elif pod.started is not None:
            deps.logs.follow(key.namespace, pod.name, pod.uid, names.TRAINER_CONTAINER, _nudge(key, deps.wake))


def _nudge(key: Key, wake: Callable[[Kind, Key], None]) -> Callable[[], None]:
    """Wakes the owner a moment after the first of several lines: never late, and never for each line."""
    pending: list[asyncio.TimerHandle] = []

    def fire() -> None:
        pending.clear()
        wake(TRAINING_JOB, key)

    def on_line() -> None:
        if not pending:
            pending.append(asyncio.get_running_loop().call_later(_NUDGE, fire))

    return on_line


def _target(training: TrainingJob, own: JobFacts | None, key: Key, store: Store) -> ModelVersion | None:
    """The ModelVersion of the name that the run aims at."""
    try:
        version = own.run.version if own is not None and own.run is not None else version_of(training)
    except BadVersion:
        return None
    raw = store.get(MODEL_VERSION, key.namespace, model_version_name(training.spec.model, version))
    return None if raw is None else store.read(VERSIONS, raw)


def _baseline(training: TrainingJob) -> VersionRef | None:
    return None if training.spec.evaluation is None else training.spec.evaluation.baseline


def _resolve(reference: VersionRef | None, before: str | None, training: TrainingJob, store: Store) -> Reference:
    """What a reference means now; but where an earlier Job of this run was told a version that still can be used, that
    one: a tag that moved on must not change a run that began. None also where spec.from names a checkpoint."""
    if reference is None or (isinstance(reference, Origin) and reference.checkpoint is not None):
        return None
    namespace, model = training.metadata.namespace, training.spec.model
    if before is not None:
        same = by_version(before, model, versions_of(store, namespace, model))
        if isinstance(same, ModelVersion):
            return same
    raw = store.get(ROLLOUT, namespace, reference.rollout) if reference.rollout else None
    rollout = None if raw is None else store.read(ROLLOUTS, raw)
    return resolve(reference, model, versions_of(store, namespace, model), rollout, without_weights)


def _data(training: TrainingJob, store: Store) -> Data:
    """What the references to Datasets mean now; but what an earlier Job of this run was told stays."""
    namespace = training.metadata.namespace
    found = {name: store.get(DATASET, namespace, name) for name in data.names_of(training.spec)}
    known = {name: store.read(DATASETS, raw) for name, raw in found.items() if raw is not None}
    return data.resolve(training.spec, Data(training.status.dataset, training.status.holdout), known)


def without_weights(version: ModelVersion) -> str | None:
    """Why training can't start from the version, or measure it; None where it can."""
    if version.spec.artifact.file("pytorch") is not None:
        return None
    return "it has no pytorch file, which training needs"


def _passed_over(training: TrainingJob, store: Store) -> str:
    """The versions that the tags of spec.from and of the baseline would mean but for their files."""
    namespace, model = training.metadata.namespace, training.spec.model
    references = (training.spec.from_, _baseline(training))
    tags = dict.fromkeys(each.tag for each in references if each is not None and each.tag is not None)
    versions = versions_of(store, namespace, model) if tags else ()
    found = dict.fromkeys(passed_over(tag, model, versions, without_weights) for tag in tags)
    return "; ".join(filter(None, found))


async def _no_pod(seen: Snapshot, key: Key, deps: Deps) -> str:
    """The Job controller's words for a pod that is missing."""
    job, since = seen.own_job, seen.pod_missing_since()
    if job is None or since is None or _finished(seen.training) or deps.clock() - since < _POD_DUE:
        return ""
    return await pod_refusals.said(deps.client, JOB, Key(key.namespace, job.name), job.uid, since)


async def _queue(job: JobFacts | None, key: Key, deps: Deps) -> kueue.Service | None:
    """Whether anybody serves the queue that the Job waits in; None while that is not asked."""
    if job is None or not job.waits_in_queue or deps.clock() - job.created < kueue.PATIENCE:
        return None
    try:
        version = await deps.client.preferred_version(kueue.GROUP)
    except NotFound:
        return kueue.NOT_INSTALLED
    except ApiError as error:
        return kueue.Service(unknown=error.message)
    try:
        found = kueue.read(await deps.client.get(kueue.local_queue(version), key.namespace, job.queue))
    except NotFound:
        return kueue.missing(key.namespace, job.queue)
    except ApiError as error:
        return kueue.Service(unknown=error.message)
    return found if found.problem else kueue.Service(waits=await _waits(job, version, key, deps))


async def _waits(job: JobFacts, version: str, key: Key, deps: Deps) -> str:
    """What it waits for in a queue that is served."""
    try:
        listed = await deps.client.list(kueue.workload(version), key.namespace, selector=kueue.workload_of(job))
    except ApiError as error:
        return f"What it waits for can't be looked up: {error.message}"
    return kueue.waits(listed.items)


async def _detail(
    training: TrainingJob,
    job: JobFacts | None,
    pods: tuple[Attempt, ...],
    version: ModelVersion | None,
    key: Key,
    deps: Deps,
) -> Detail | None:
    """The detail that the successful pod's termination message speaks of, while it is needed."""
    pod = reporter(pods, job_ended=job is not None and job.end is not None)
    done = _finished(training) or (version is not None and modelversion.is_of(version, training))
    if pod is None or job is None or done:
        return None
    result = outcome(pod)
    if not isinstance(result, Succeeded):
        return None
    found = find_detail(deps.logs.lines(pod.uid), result.detail_sha256)
    if found is not None:
        return Detail(found)
    try:
        log = await deps.client.read_log(key.namespace, pod.name, names.TRAINER_CONTAINER, _LOG_TAIL)
    except NotFound:
        return Detail(problem="the pod is gone, and its log with it", lost=True)
    except ApiError as error:
        return Detail(problem=f"the pod's log can't be read: {error.message}")
    found = find_detail(log.splitlines(), result.detail_sha256)
    if found is None:
        return Detail(problem="the pod's log does not hold the details that its report speaks of", lost=True)
    return Detail(found)
