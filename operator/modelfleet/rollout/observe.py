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

from modelfleet import gate, telemetry
from modelfleet.api import names
from modelfleet.api.modelversion import ModelVersion
from modelfleet.api.rollout import Group, Rollout
from modelfleet.api.rolloutstatus import RolloutStatus
from modelfleet.gate import Evidence, Judgement, Plan, Verdict
from modelfleet.kube import (
    CONTROLLER_REVISION,
    DAEMON_SET,
    MODEL_VERSION,
    NODE,
    POD,
    ROLLOUT,
    Key,
    Store,
    View,
)
from modelfleet.reconcile import Controller, Deps
from modelfleet.rollout import drifting, gating, manifests, membership, nodes, overlaps, watching
from modelfleet.rollout import revisions as revs
from modelfleet.rollout.decide import decide_at
from modelfleet.rollout.membership import Memberships
from modelfleet.rollout.metrics import DriftGauges, GateGauges, Look, Watch
from modelfleet.rollout.pods import pod_state
from modelfleet.rollout.position import Position, locate
from modelfleet.rollout.revisions import Revision
from modelfleet.rollout.snapshot import GroupState, PodState, Refusal, Snapshot
from modelfleet.rollout.watch import RETRAININGS
from modelfleet.views import ROLLOUTS, TRAININGS, VERSIONS, versions_of

log = logging.getLogger(__name__)


def controller(deps: Deps) -> Controller[Position]:
    """The controller of Rollouts. Its gates are shown in the operator's metrics."""
    looks: dict[Key, Look] = {}
    watches: dict[Key, Watch] = {}
    refusals: dict[Key, Refusal] = {}
    memberships: defaultdict[Key, Memberships] = defaultdict(Memberships)
    deps.metrics.registry.register(GateGauges(looks))
    deps.metrics.registry.register(DriftGauges(watches))

    async def observe(key: Key) -> Position | None:
        seen = snapshot(deps.store, key, deps.settings.images.agent, memberships[key])
        if seen is None:
            for memory in (memberships, looks, watches, refusals):
                memory.pop(key, None)
            return None
        seen = replace(seen, refused=_standing(refusals, key, seen.rollout))
        position = locate(seen, seen.revisions, deps.clock())
        gated, watched = gating.active(position), drifting.plan(position)
        if gated is None:
            looks.pop(key, None)
        else:
            looks[key] = await _look(looks.get(key), gated, seen, deps)
            seen = replace(seen, judgement=looks[key].judgement)
        if watched is None:
            watches.pop(key, None)
        else:
            watches[key] = await watching.look(watches.get(key), watched, position, deps)
            seen = replace(seen, drift=watches[key].seen)
        return replace(position, snapshot=seen)

    def refused(key: Key, message: str) -> None:
        raw = deps.store.get(ROLLOUT, key.namespace, key.name)
        if raw is not None:
            refusals[key] = Refusal(deps.clock(), message, raw["metadata"]["generation"])

    return Controller(ROLLOUT, observe, decide_at, _with_status, refused)


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


async def _look(last: Look | None, plan: Plan, seen: Snapshot, deps: Deps) -> Look:
    """The judgement at this moment: the last one where its next look is not due, and the plan is the same."""
    now = deps.clock()
    if last is not None and last.plan == plan and now < last.judgement.next_look:
        return last
    comparison = plan.policy.comparison
    if comparison is not None and comparison.stratify_by is not None:
        plan = replace(plan, strata=nodes.values_of(comparison.stratify_by, deps.store.list(NODE)))
    evidence = await gate.observe.gather(deps.prometheus.get(plan.policy.provider), plan, now)
    judgement = gate.judge(plan, evidence, now)
    latched = seen.rollout.status.gate
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
    revisions = _revisions(store, key.namespace, uid)
    owned = {obj["metadata"]["name"]: obj for obj in store.list(DAEMON_SET, key.namespace, owner_uid=uid)}
    wanted = [manifests.daemon_set_name(key.name, group.name) for group in rollout.spec.groups]
    selectors = store.read(membership.SELECTORS, raw)
    daemon_sets = [owned.get(name) for name in wanted]
    members = (memberships or Memberships()).of(
        selectors,
        [None if daemon_set is None else daemon_set["spec"]["template"]["spec"] for daemon_set in daemon_sets],
        membership.nodes_of(selectors, store),
    )
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
            )
            for group, daemon_set, found in zip(rollout.spec.groups, daemon_sets, members, strict=True)
        ),
        removed=tuple(obj for name, obj in sorted(owned.items()) if name not in wanted),
        taken=tuple(
            name
            for name in sorted(set(wanted) - owned.keys())
            if store.get(DAEMON_SET, key.namespace, name) is not None
        ),
        overlaps=overlaps.find(raw, selectors, store),
        trainings=tuple(store.read(TRAININGS, raw) for raw in store.find(RETRAININGS, (key.namespace, key.name))),
    )


def _revisions(store: Store, namespace: str, uid: str) -> tuple[Revision, ...]:
    found = [
        store.read(REVISIONS, raw)
        for raw in store.list(CONTROLLER_REVISION, namespace, owner_uid=uid)
        if not raw["metadata"].get("deletionTimestamp")
    ]
    return tuple(sorted(found, key=lambda revision: (revision.number, revision.name)))


def _versions(store: Store, rollout: Rollout, revisions: Iterable[Revision]) -> tuple[ModelVersion, ...]:
    """The versions of the model, and those that revisions of another model were made from; by name."""
    namespace, model = rollout.metadata.namespace, rollout.spec.model.name
    found = {version.metadata.name: version for version in versions_of(store, namespace, model)}
    for name in sorted({revision.model_version for revision in revisions} - found.keys()):
        raw = store.get(MODEL_VERSION, namespace, name)
        if raw is not None:
            found[name] = store.read(VERSIONS, raw)
    return tuple(found[name] for name in sorted(found))


def _pods(store: Store, rollout: Rollout, group: Group) -> tuple[PodState, ...]:
    labels = {names.ROLLOUT: rollout.metadata.name, names.NODE_GROUP: group.name}
    return tuple(store.read(POD_STATES, raw) for raw in store.list(POD, rollout.metadata.namespace, labels=labels))
