"""Gathers what there is to know about a Rollout: all of it from the store, and the gate's figures from Prometheus.

Prometheus is asked only while a gate is active, and only when its next look is due: many events (each pod, each node)
wake a Rollout in between, and find the last judgement again. That memory is a mere saving: a new process asks once more
and gets the same answer, since a look is a function of the gate's start.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from modelfleet import gate, telemetry
from modelfleet.api import names
from modelfleet.api.modelversion import ModelVersion
from modelfleet.api.rollout import Group, Rollout
from modelfleet.gate import Evidence, Judgement, Plan, Verdict
from modelfleet.kube import (
    CONTROLLER_REVISION,
    DAEMON_SET,
    MODEL_VERSION,
    NODE,
    POD,
    ROLLOUT,
    Key,
    Kind,
    Object,
    Store,
)
from modelfleet.reconcile import Controller, Deps
from modelfleet.rollout import affinity, gating, manifests, nodes, overlaps
from modelfleet.rollout import revisions as revs
from modelfleet.rollout.affinity import Conjunction
from modelfleet.rollout.decide import decide
from modelfleet.rollout.metrics import GateGauges, Look
from modelfleet.rollout.pods import pod_state
from modelfleet.rollout.position import locate
from modelfleet.rollout.revisions import Revision
from modelfleet.rollout.snapshot import GroupState, NodeState, Overlap, Snapshot

log = logging.getLogger(__name__)


def controller(deps: Deps) -> Controller[Snapshot]:
    """The controller of Rollouts. Its gates are shown in the operator's metrics."""
    looks: dict[Key, Look] = {}
    deps.metrics.registry.register(GateGauges(looks))

    async def observe(key: Key) -> Snapshot | None:
        seen = snapshot(deps.store, key, deps.settings.images.agent)
        plan = gating.active(locate(seen, seen.revisions, deps.clock())) if seen is not None else None
        if seen is None or plan is None:
            looks.pop(key, None)
            return seen
        looks[key] = await _look(looks.get(key), plan, seen, deps)
        return replace(seen, judgement=looks[key].judgement)

    return Controller(ROLLOUT, observe, decide)


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


def snapshot(store: Store, key: Key, agent_image: str) -> Snapshot | None:
    """What the store knows about one Rollout, without the gate's judgement; None when it is gone."""
    raw = store.get(ROLLOUT, key.namespace, key.name)
    if raw is None:
        return None
    rollout = _parsed(raw)
    uid = rollout.metadata.uid
    revisions = _revisions(store, key.namespace, uid)
    owned = {obj["metadata"]["name"]: obj for obj in store.list(DAEMON_SET, key.namespace, owner_uid=uid)}
    wanted = {manifests.daemon_set_name(key.name, group.name) for group in rollout.spec.groups}
    selectors = manifests.selectors(rollout)
    all_nodes = store.list(NODE)
    return Snapshot(
        rollout=rollout,
        agent_image=agent_image,
        versions=_versions(store, rollout, revisions),
        revisions=revisions,
        groups=_groups(store, rollout, owned, selectors, all_nodes),
        removed=tuple(obj for name, obj in sorted(owned.items()) if name not in wanted),
        taken=tuple(
            name for name in sorted(wanted - owned.keys()) if store.get(DAEMON_SET, key.namespace, name) is not None
        ),
        overlaps=_overlaps(store, rollout, selectors, all_nodes),
    )


def _parsed(raw: Object) -> Rollout:
    """The Rollout. A status that can't be read (somebody wrote it by hand) is as good as none: it is built anew."""
    try:
        return Rollout.model_validate(raw)
    except ValidationError:
        return Rollout.model_validate({name: value for name, value in raw.items() if name != "status"})


def _revisions(store: Store, namespace: str, uid: str) -> tuple[Revision, ...]:
    found = [
        revs.read(raw)
        for raw in store.list(CONTROLLER_REVISION, namespace, owner_uid=uid)
        if not raw["metadata"].get("deletionTimestamp")
    ]
    return tuple(sorted(found, key=lambda revision: (revision.number, revision.name)))


def _versions(store: Store, rollout: Rollout, revisions: Iterable[Revision]) -> tuple[ModelVersion, ...]:
    """The versions of the model, and those that revisions of another model were made from."""
    known = {revision.model_version for revision in revisions}
    return tuple(
        ModelVersion.model_validate(raw)
        for raw in store.list(MODEL_VERSION, rollout.metadata.namespace)
        if raw["spec"]["model"] == rollout.spec.model.name or raw["metadata"]["name"] in known
    )


def _groups(
    store: Store,
    rollout: Rollout,
    owned: Mapping[str, Object],
    selectors: tuple[Conjunction, ...],
    all_nodes: Iterable[Object],
) -> tuple[GroupState, ...]:
    members: list[list[Object]] = [[] for _ in selectors]
    shadowed = [0] * len(selectors)
    for node in all_nodes:
        labels = nodes.labels_of(node)
        first = nodes.first_match(labels, selectors)
        if first is None:
            continue
        members[first].append(node)
        for later in range(first + 1, len(selectors)):
            shadowed[later] += affinity.matches(selectors[later], labels)
    return tuple(
        _group(store, rollout, group, owned, members[index], shadowed[index])
        for index, group in enumerate(rollout.spec.groups)
    )


def _group(
    store: Store,
    rollout: Rollout,
    group: Group,
    owned: Mapping[str, Object],
    members: Iterable[Object],
    shadowed: int,
) -> GroupState:
    namespace, name = rollout.metadata.namespace, rollout.metadata.name
    daemon_set = owned.get(manifests.daemon_set_name(name, group.name))
    pods = store.list(POD, namespace, labels={names.ROLLOUT: name, names.NODE_GROUP: group.name})
    return GroupState(
        spec=group,
        daemon_set=daemon_set,
        nodes=tuple(_fit(daemon_set, members)),
        pods=tuple(pod_state(pod) for pod in pods),
        shadowed=shadowed,
    )


def _fit(daemon_set: Object | None, members: Iterable[Object]) -> Iterable[NodeState]:
    """The nodes on which the DaemonSet's pods may run; all of them before there is one."""
    spec: Mapping[str, Any] = daemon_set["spec"]["template"]["spec"] if daemon_set is not None else {}
    for node in members:
        if nodes.may_run(spec, node) or daemon_set is None:
            yield nodes.node_state(node)


def _overlaps(
    store: Store, rollout: Rollout, selectors: tuple[Conjunction, ...], all_nodes: Iterable[Object]
) -> tuple[Overlap, ...]:
    mine = overlaps.host_resources(rollout.spec.template)
    if not mine:
        return ()
    others = []
    for raw in store.list(ROLLOUT):
        if raw["metadata"]["uid"] != rollout.metadata.uid:
            key = _key(raw)
            name = key.name if key.namespace == rollout.metadata.namespace else str(key)
            others.append((name, overlaps.host_resources(raw["spec"]["template"]), _selectors(raw)))
    return overlaps.find(mine, selectors, others, all_nodes)


def owners_of(kind: Kind, obj: Object, store: Store) -> Iterable[tuple[Kind, Key]]:
    """The Rollouts that must look again now that `obj` changed or is gone.

    A node that was moved out of a group wakes its Rollout by its old labels, which come here as well.
    """
    metadata = obj["metadata"]
    namespace = metadata.get("namespace", "")
    if kind in (POD, DAEMON_SET, CONTROLLER_REVISION):
        name = (metadata.get("labels") or {}).get(names.ROLLOUT)
        return [(ROLLOUT, Key(namespace, name))] if name else []
    if kind == ROLLOUT:
        return [(ROLLOUT, Key(namespace, metadata["name"])), *_neighbours(obj, store)]
    if kind == MODEL_VERSION:
        model = obj["spec"]["model"]
        return [(ROLLOUT, _key(raw)) for raw in store.list(ROLLOUT, namespace) if raw["spec"]["model"]["name"] == model]
    if kind == NODE:
        labels = nodes.labels_of(obj)
        return [
            (ROLLOUT, _key(raw))
            for raw in store.list(ROLLOUT)
            if nodes.first_match(labels, _selectors(raw)) is not None
        ]
    return []


def _selectors(raw: Object) -> tuple[Conjunction, ...]:
    """The groups' node selectors of any Rollout, without a look at the rest of it."""
    given = [group.get("nodeSelector") or {} for group in raw["spec"]["groups"]]
    return tuple(
        affinity.requirements(each.get("matchLabels") or {}, each.get("matchExpressions") or []) for each in given
    )


def _key(raw: Object) -> Key:
    return Key(raw["metadata"].get("namespace", ""), raw["metadata"]["name"])


def _neighbours(changed: Object, store: Store) -> Iterable[tuple[Kind, Key]]:
    """Rollouts that report, or may have to report, that they use the same resources of a node as this one."""
    mine = overlaps.host_resources(changed["spec"]["template"])
    for raw in store.list(ROLLOUT) if mine else ():
        other = overlaps.host_resources(raw["spec"]["template"])
        if raw["metadata"]["uid"] != changed["metadata"]["uid"] and mine & other:
            yield ROLLOUT, _key(raw)
