"""Gathers what there is to know about a Rollout: all of it from the store, and the gate's figures from Prometheus.

Prometheus is asked only while a gate is active or drift is watched for, and only when the next look is due: many events
(each pod, each node) wake a Rollout in between, and find the last judgement again. That memory is a mere saving: a new
process asks once more and gets the same answer, since a look is a function of the gate's start, or of the hours there
are.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from modelfleet import gate, pod_refusals, telemetry
from modelfleet.api import names
from modelfleet.api.dataset import Dataset
from modelfleet.api.modelversion import ModelVersion
from modelfleet.api.rollout import Group, Rollout
from modelfleet.api.rolloutstatus import GateStatus, RolloutStatus
from modelfleet.decision import Create
from modelfleet.gate import Evidence, Judgement, Plan, Verdict
from modelfleet.kinds import kind_of
from modelfleet.kube import (
    CONFIG_MAP,
    CONTROLLER_REVISION,
    DAEMON_SET,
    DATASET,
    JOB,
    MODEL_VERSION,
    NODE,
    POD,
    ROLLOUT,
    Key,
    Kind,
    NotFound,
    Object,
    Store,
    View,
    key_of,
)
from modelfleet.reconcile import Controller, Deps
from modelfleet.rollout import (
    capture_folders,
    capture_pods,
    capture_settings,
    drifting,
    gating,
    manifests,
    membership,
    no_pods,
    nodes,
    overlaps,
    prefetch,
    watching,
)
from modelfleet.rollout import revisions as revs
from modelfleet.rollout.decide import decide_at
from modelfleet.rollout.membership import Memberships
from modelfleet.rollout.metrics import DriftGauges, GateGauges, Look, Watch
from modelfleet.rollout.no_pods import Words
from modelfleet.rollout.pods import pod_state
from modelfleet.rollout.position import Position, locate
from modelfleet.rollout.replay.job import ReplayJob, replay_job
from modelfleet.rollout.revisions import Revision
from modelfleet.rollout.signatures import Signing
from modelfleet.rollout.snapshot import GroupState, PodState, Refusal, RemovedGroup, Snapshot
from modelfleet.rollout.watch import RETRAININGS
from modelfleet.views import DATASETS, DATASETS_OF_MODEL, ROLLOUTS, TRAININGS, VERSIONS, versions_of
from modelfleet.workloads.owners import controller_of

log = logging.getLogger(__name__)


def controller(deps: Deps) -> Controller[Position]:
    """The controller of Rollouts. Its gates are shown in the operator's metrics."""
    looks: dict[Key, Look] = {}
    watches: dict[Key, Watch] = {}
    refusals: dict[Key, Refusal] = {}
    replay_refusals: dict[Key, Refusal] = {}
    words: dict[Key, Words] = {}
    memberships: defaultdict[Key, Memberships] = defaultdict(Memberships)
    deps.metrics.registry.register(GateGauges(looks))
    deps.metrics.registry.register(DriftGauges(watches))

    async def observe(key: Key) -> Position | None:
        seen = snapshot(deps.store, key, deps.settings.images.agent, memberships[key])
        if seen is None:
            for memory in (memberships, looks, watches, refusals, replay_refusals, words):
                memory.pop(key, None)
            return None
        seen = replace(
            seen,
            signing=Signing(deps.settings.signatures.public_keys, deps.settings.signatures.required),
            refused=_standing(refusals, key, seen.rollout),
            replay_refused=_standing(replay_refusals, key, seen.rollout),
            capture_taken=await _capture_taken(seen, deps),
        )
        said = await no_pods.look(words.get(key), seen, deps)
        if said is None:
            words.pop(key, None)
        else:
            words[key] = said
            seen = replace(seen, no_pod=said.by_group)
        replays = [await pod_refusals.explained(job, key.namespace, deps.client, deps.clock()) for job in seen.replays]
        seen = replace(seen, replays=tuple(replays))
        position = locate(seen, seen.revisions, deps.clock())
        gated, watched = gating.active(position), drifting.plan(position)
        if gated is None:
            looks.pop(key, None)
        else:
            looks[key] = await _look(looks.get(key), gated, gating.started(position), deps)
            seen = replace(seen, judgement=looks[key].judgement)
        if watched is None:
            watches.pop(key, None)
        else:
            watches[key] = await watching.look(watches.get(key), watched, position, deps)
            seen = replace(seen, drift=watches[key].seen)
        return replace(position, snapshot=seen)

    def refused(key: Key, action: Create, message: str) -> None:
        raw = deps.store.get(ROLLOUT, key.namespace, key.name)
        if raw is not None:
            of_kind = replay_refusals if kind_of(action.manifest) == JOB else refusals
            of_kind[key] = Refusal(
                deps.clock(), message, raw["metadata"]["generation"], action.manifest["metadata"]["name"]
            )

    return Controller(ROLLOUT, observe, decide_at, _with_status, refused)


async def _capture_taken(seen: Snapshot, deps: Deps) -> bool:
    """Whether a ConfigMap of the name that the settings of capture are to have is somebody else's. One without our
    label is not watched, and would be overwritten, and deleted at the end: it is asked for before the first write."""
    rollout = seen.rollout.metadata
    if seen.rollout.spec.delivery.capture is None:
        return False
    if seen.capture is not None:
        return not capture_settings.is_of(rollout, seen.capture)
    try:
        found = await deps.client.get(CONFIG_MAP, rollout.namespace, capture_pods.settings_name(rollout.name))
    except NotFound:
        return False
    return not capture_settings.is_of(rollout, found)


def _standing(refusals: dict[Key, Refusal], key: Key, rollout: Rollout) -> Refusal | None:
    """What was refused last. A spec that was changed since is tried at once."""
    found = refusals.get(key)
    if found is not None and found.generation != rollout.metadata.generation:
        del refusals[key]
        return None
    return found


def _with_status(position: Position, status: RolloutStatus) -> Position:
    snapshot = position.snapshot
    return replace(position, snapshot=replace(snapshot, rollout=snapshot.rollout.replace(status=status)))


async def _look(last: Look | None, plan: Plan, latched: GateStatus | None, deps: Deps) -> Look:
    """The judgement at this moment: the last one where its next look is not due, and the plan is the same."""
    now = deps.clock()
    if last is not None and last.plan == plan and now < last.judgement.next_look:
        return last
    comparison = plan.policy.comparison
    if comparison is not None and comparison.stratify_by is not None:
        plan = replace(plan, strata=nodes.values_of(comparison.stratify_by, deps.store.list(NODE)))
    evidence = await gate.observe.gather(deps.prometheus.get(plan.policy.provider), plan, now)
    judgement = gate.judge(plan, evidence, now)
    verdict = gating.standing(latched, judgement)
    if latched is None or latched.verdict != verdict.value:
        deps.metrics.gate_verdicts.labels(verdict.value).inc()
    told = None if last is None else last.told
    if gate.audit.due(told, plan, judgement, now):
        told = gate.audit.Told(plan, judgement, now)
        _tell(plan, evidence, judgement, verdict)
    return Look(plan, judgement, verdict, told)


def _tell(plan: Plan, evidence: Evidence, judgement: Judgement, standing: Verdict) -> None:
    """Write the whole decision down: in a JSON log as the field `judgement`, else as one sentence."""
    log.info(
        "judged %s on group %s: %s (%s). %s",
        plan.candidate_version,
        plan.group,
        judgement.verdict.value,
        judgement.reason,
        judgement.message,
        extra=telemetry.fields(judgement=gate.audit.record(plan, evidence, judgement, standing)),
    )


POD_STATES = View(POD, pod_state)
REVISIONS = View(CONTROLLER_REVISION, revs.read)


def snapshot(store: Store, key: Key, agent_image: str, memberships: Memberships | None = None) -> Snapshot | None:
    """What the store knows about one Rollout, without the gate's judgement. `memberships` is what the last look at it
    knew of its nodes. None when it is gone."""
    raw = store.get(ROLLOUT, key.namespace, key.name)
    if raw is None:
        return None
    rollout = store.read(ROLLOUTS, raw)
    uid = rollout.metadata.uid
    revisions = _revisions(store, key, uid)
    owned = {obj["metadata"]["name"]: obj for obj in _children(store, DAEMON_SET, key, uid)}
    owned.pop(prefetch.name(key.name), None)
    wanted = [manifests.daemon_set_name(key.name, group.name) for group in rollout.spec.groups]
    selectors = store.read(membership.SELECTORS, raw)
    daemon_sets = [owned.get(name) for name in wanted]
    members = (memberships or Memberships()).of(
        selectors,
        [None if daemon_set is None else daemon_set["spec"]["template"]["spec"] for daemon_set in daemon_sets],
        membership.nodes_of(selectors, store),
    )
    removed = tuple(
        RemovedGroup(obj, _pods_of(store, key, obj)) for name, obj in sorted(owned.items()) if name not in wanted
    )
    occupied = frozenset(pod.node for group in removed for pod in group.pods)
    return Snapshot(
        rollout=rollout,
        agent_image=agent_image,
        versions=_versions(store, rollout, revisions),
        revisions=revisions,
        groups=tuple(
            GroupState(
                spec=group,
                daemon_set=daemon_set,
                nodes=found.nodes,
                pods=_pods(store, rollout, group),
                shadowed=found.shadowed,
                kept_off=found.kept_off,
                occupied=frozenset(node.name for node in found.nodes if node.name in occupied)
                if occupied
                else occupied,
            )
            for group, daemon_set, found in zip(rollout.spec.groups, daemon_sets, members, strict=True)
        ),
        removed=removed,
        taken=tuple(
            name
            for name in sorted(set(wanted) - owned.keys())
            if store.get(DAEMON_SET, key.namespace, name) is not None
        ),
        overlaps=overlaps.find(raw, selectors, store),
        trainings=tuple(store.readable(TRAININGS, store.find(RETRAININGS, (key.namespace, key.name)))),
        capture=store.get(CONFIG_MAP, key.namespace, capture_pods.settings_name(key.name)),
        capture_shared=capture_folders.sharing(raw, store),
        datasets=_datasets(store, rollout),
        replays=_replays(store, rollout),
        prefetch=store.get(DAEMON_SET, key.namespace, prefetch.name(key.name)),
    )


def _replays(store: Store, rollout: Rollout) -> tuple[ReplayJob, ...]:
    namespace = rollout.metadata.namespace
    jobs = store.list(JOB, namespace, owner_uid=rollout.metadata.uid)
    return tuple(replay_job(job, store.list(POD, namespace, owner_uid=job["metadata"]["uid"])) for job in jobs)


def _datasets(store: Store, rollout: Rollout) -> tuple[Dataset, ...]:
    """The Datasets of the model, and the one that a retraining trains on."""
    retrain = None if rollout.spec.drift is None else rollout.spec.drift.retrain
    reference = None if retrain is None else retrain.template.spec.dataset.from_
    namespace = rollout.metadata.namespace
    found = {key_of(raw): raw for raw in store.find(DATASETS_OF_MODEL, (namespace, rollout.spec.model.name))}
    named = None if reference is None else store.get(DATASET, namespace, reference.dataset)
    if named is not None:
        found[key_of(named)] = named
    return tuple(store.readable(DATASETS, (found[key] for key in sorted(found))))


def _children(store: Store, kind: Kind, key: Key, uid: str) -> list[Object]:
    """The children of a Rollout, and those that it is to adopt."""
    labelled = store.list(kind, key.namespace, labels={names.ROLLOUT: key.name})
    return [raw for raw in labelled if controller_of(raw) in (uid, "")]


def _revisions(store: Store, key: Key, uid: str) -> tuple[Revision, ...]:
    found = [
        store.read(REVISIONS, raw)
        for raw in _children(store, CONTROLLER_REVISION, key, uid)
        if revs.is_ours(raw, key.name) and not raw["metadata"].get("deletionTimestamp")
    ]
    return tuple(sorted(found, key=lambda revision: (revision.number, revision.name)))


def _versions(store: Store, rollout: Rollout, revisions: Iterable[Revision]) -> tuple[ModelVersion, ...]:
    """The versions of the model, and those that revisions of another model were made from; by name."""
    namespace, model = rollout.metadata.namespace, rollout.spec.model.name
    found = {version.metadata.name: version for version in versions_of(store, namespace, model)}
    others = {revision.model_version for revision in revisions} - found.keys()
    raws = [raw for name in others if (raw := store.get(MODEL_VERSION, namespace, name)) is not None]
    found |= {version.metadata.name: version for version in store.readable(VERSIONS, raws)}
    return tuple(found[name] for name in sorted(found))


def _pods_of(store: Store, key: Key, daemon_set: Object) -> tuple[PodState, ...]:
    """The pods of a DaemonSet."""
    found = store.list(POD, key.namespace, owner_uid=daemon_set["metadata"]["uid"])
    return tuple(store.read(POD_STATES, raw) for raw in found)


def _pods(store: Store, rollout: Rollout, group: Group) -> tuple[PodState, ...]:
    labels = {names.ROLLOUT: rollout.metadata.name, names.NODE_GROUP: group.name}
    return tuple(store.read(POD_STATES, raw) for raw in store.list(POD, rollout.metadata.namespace, labels=labels))
