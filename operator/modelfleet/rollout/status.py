"""The status of a Rollout: where it stands, for people and for programs. Built again each time, from what is observed.

Of the old status only times and the past are carried on: since when a group has its revision, when the gate started,
what was superseded. Everything else can be found again in the children.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from modelfleet.api import conditions, names
from modelfleet.api.commands import Verb
from modelfleet.api.conditions import Condition
from modelfleet.api.reasons import ConditionType, Reason
from modelfleet.api.rolloutstatus import GateStatus, GroupStatus, HistoryEntry, Quarantined, RolloutStatus
from modelfleet.rollout import capture_pods, commands, drifting, gating, groups, selection
from modelfleet.rollout.assessment import Assessment
from modelfleet.rollout.phases import Step
from modelfleet.rollout.position import GoingBack, Held, Moving, NotBegun, Position
from modelfleet.rollout.revisions import Revision
from modelfleet.rollout.snapshot import GroupState, Snapshot
from modelfleet.wording import LISTED, listed, sentence

_NEWEST = 10


@dataclass(frozen=True)
class Outcome:
    """Everything a status is made from.

    targets  for each group, what it should run once the decision is carried out; None leaves it as it is
    gate     the gate's status to show
    drift    the watch for drift, and what comes of it
    """

    assessment: Assessment
    step: Step
    targets: tuple[Revision | None, ...]
    gate: GateStatus | None
    drift: drifting.Outcome


def status(outcome: Outcome) -> RolloutStatus:
    """The complete status."""
    assessment, position = outcome.assessment, outcome.assessment.position
    snapshot, now = position.snapshot, assessment.now
    old, generation = snapshot.rollout.status, snapshot.rollout.metadata.generation
    shown = position.attempted
    current = _current(outcome, shown)
    groups_now = tuple(_group(outcome, index) for index in range(len(snapshot.groups)))
    return RolloutStatus(
        observed_generation=generation,
        phase=outcome.step.phase,
        summary=_summary(groups_now, current),
        conditions=conditions.merge(old.conditions, _conditions(outcome), generation, now),
        stable_version=position.stable.version if position.stable else None,
        stable_model=position.stable.model if position.stable else None,
        stable_revision=position.stable.name if position.stable else None,
        candidate_version=shown.version if shown else None,
        candidate_model=shown.model if shown else None,
        candidate_revision=shown.name if shown else None,
        current_group=current,
        groups=groups_now,
        gate=outcome.gate,
        drift=outcome.drift.status,
        replay=assessment.replay.status,
        approved=commands.values([shown] if shown else [], Verb.APPROVE),
        promoted=commands.values([shown] if shown else [], Verb.PROMOTE),
        retried=commands.values(position.revisions, Verb.RETRY),
        quarantined=_quarantined(position.revisions),
        history=_history(position, old, now),
    )


def _summary(found: Sequence[GroupStatus], current: str | None) -> str:
    """How many nodes are ready: of the group that the candidate is in, else of all."""
    counted = [group for group in found if group.name == current] or found
    ready, nodes = sum(group.ready for group in counted), sum(group.nodes for group in counted)
    return f"{f'{current}: ' if current else ''}{ready}/{nodes} ready"


def _current(outcome: Outcome, shown: Revision | None) -> str | None:
    """The group that the candidate is in; of one that is held, the last of those, from the first on, that have it."""
    course, name = outcome.assessment.position.course, None
    if isinstance(course, NotBegun | Moving) and outcome.step.advance:
        return course.following.name if course.following is not None else None
    if isinstance(course, Moving):
        return course.current.name
    for group, target in zip(outcome.assessment.position.snapshot.groups, outcome.targets, strict=True):
        if shown is None or target is None or target.hash != shown.hash:
            break
        name = group.name
    return name


def _group(outcome: Outcome, index: int) -> GroupStatus:
    assessment, snapshot = outcome.assessment, outcome.assessment.position.snapshot
    group, target = snapshot.groups[index], outcome.targets[index]
    revision, model, version = _named(snapshot, group, target)
    progress = groups.progress(group, target.hash if target else groups.carried(group))
    old = next((entry for entry in snapshot.rollout.status.groups if entry.name == group.name), None)
    same = old is not None and old.revision == revision
    started = old.started_at if old is not None and same else None
    ready = old.ready_at if old is not None and same else None
    if ready is None and revision and progress.nodes and progress.settled:
        ready = assessment.now
    return GroupStatus(
        name=group.name,
        phase=_group_phase(outcome, index),
        version=version,
        model=model,
        revision=revision,
        nodes=progress.nodes,
        updated=progress.updated,
        ready=progress.ready,
        unreachable=progress.unreachable,
        started_at=started or (assessment.now if revision else None),
        ready_at=ready,
        reason=_group_reason(group, progress, assessment.now) or None,
        passed=_passed(outcome, index) or (old.passed if old is not None and same else None),
    )


def _passed(outcome: Outcome, index: int) -> str | None:
    """What the gate says of the candidate at the moment when it leaves the group."""
    assessment = outcome.assessment
    if (
        not outcome.step.advance
        or index != assessment.position.reached - 1
        or not gating.passed_before(assessment.gate)
    ):
        return None
    return assessment.gate.message if assessment.gate is not None else None


def _named(snapshot: Snapshot, group: GroupState, target: Revision | None) -> tuple[str | None, str | None, str | None]:
    """(revision, model, version) that the group's nodes should run; from the DaemonSet where it is not known."""
    if target is not None:
        return target.name, target.model, target.version
    carried = groups.carried(group)
    if group.daemon_set is None or carried is None:
        return None, None, None
    labels = group.daemon_set["metadata"]["labels"]
    return f"{snapshot.rollout.metadata.name}-{carried}", labels.get(names.MODEL), labels.get(names.VERSION)


def _group_phase(outcome: Outcome, index: int) -> str:
    position = outcome.assessment.position
    group, target = position.snapshot.groups[index], outcome.targets[index]
    carried = groups.carried(group)
    if carried is None and target is None:
        return "Pending"
    progress = groups.progress(group, target.hash if target else carried)
    if not progress.nodes:
        return "Empty"
    if not progress.settled:
        return "RollingBack" if isinstance(position.course, GoingBack) else "Updating"
    if isinstance(position.course, Moving) and index == position.reached - 1 and not outcome.step.advance:
        return outcome.step.phase
    return "Ready"


def _group_reason(group: GroupState, progress: groups.Progress, now: datetime) -> str:
    if problems := groups.describe(progress.problems):
        return problems
    if not progress.nodes:
        return groups.why_empty(group)
    missing = progress.missing(now)
    return f"no pod was created on {listed(missing)}" if missing else ""


def _conditions(outcome: Outcome) -> Iterable[Condition]:
    step, assessment = outcome.step, outcome.assessment
    snapshot = assessment.position.snapshot
    match step.standing:
        case "Ready":
            yield from conditions.ready(step.reason, step.message)
        case "Degraded":
            yield conditions.false(conditions.READY, step.reason, step.message)
        case "Reconciling":
            yield from conditions.reconciling(step.reason, step.message)
        case "Stalled":
            yield from conditions.stalled(step.reason, step.message)
    if assessment.missing:
        yield conditions.true(ConditionType.PODS_MISSING, Reason.NO_POD, sentence(assessment.no_pod))
    if snapshot.overlaps:
        yield conditions.true(ConditionType.NODES_OVERLAP, Reason.SAME_HOST_RESOURCES, _overlaps(snapshot))
    empty = [group for group in snapshot.groups if not group.nodes]
    if empty:
        said = "; ".join(f"{group.name}: {groups.why_empty(group)}" for group in empty[:LISTED])
        yield conditions.true(
            ConditionType.GROUPS_WITHOUT_NODES, Reason.NO_NODE_MATCHES, f"Groups without a node: {said}."
        )
    passed = selection.passed_over(snapshot.rollout, snapshot.versions)
    if passed and not assessment.position.unasked:  # where nothing was chosen, the stall says it
        said = f"The tag does not mean the newest Ready version: {passed}."
        yield conditions.true(ConditionType.VERSIONS_PASSED_OVER, Reason.NO_USABLE_FILE, said)
    if unmounted := capture_pods.unmounted(snapshot.rollout):
        yield conditions.true(ConditionType.CAPTURES_NOT_MOUNTED, Reason.SOURCE_NOT_MOUNTED, unmounted)
    if snapshot.capture_shared:
        yield conditions.true(ConditionType.CAPTURES_SHARED, Reason.SAME_FOLDER, _shared(snapshot))
    if outcome.drift.condition is not None:
        yield outcome.drift.condition


def _overlaps(snapshot: Snapshot) -> str:
    told = "; ".join(
        f"node {overlap.node}: Rollout {overlap.rollout} wants {', '.join(overlap.resources)} too"
        for overlap in snapshot.overlaps
    )
    return f"Another Rollout uses the same resources of a node: {told}."


def _shared(snapshot: Snapshot) -> str:
    others, capture = snapshot.capture_shared, snapshot.rollout.spec.delivery.capture
    whose = "Rollout" if len(others) == 1 else "Rollouts"
    where = capture.destination if capture is not None else "one folder"
    return (
        f"{whose} {listed(map(str, others))} of the same name can't be told from this one by the keys of captures in "
        f"{where}: a Dataset or a replay that reads them takes those of both. Choose another "
        "delivery.capture.destination for one of them."
    )


def _quarantined(revisions: Sequence[Revision]) -> tuple[Quarantined, ...]:
    found = [
        Quarantined(
            version=revision.version,
            model=revision.model,
            revision=revision.name if quarantine.scope == "Revision" else None,
            reason=f"{quarantine.cause}: {quarantine.reason}",
            at=quarantine.at,
        )
        for revision in revisions
        if (quarantine := revision.quarantine) is not None
    ]
    return tuple(sorted(found, key=lambda entry: entry.at, reverse=True)[:_NEWEST])


def _history(position: Position, old: RolloutStatus, now: datetime) -> tuple[HistoryEntry, ...]:
    """The newest ten: what the revisions tell, and what only the old status knows (superseded ones, pruned ones)."""
    # An entry of an older release names no model. Written down, it stays when the spec goes to another one.
    model = position.snapshot.rollout.spec.model.name
    before = [entry if entry.model else entry.replace(model=model) for entry in old.history]
    told = [*before, *_superseded(position, old, now)]
    known = {(entry.version, entry.finished_at) for entry in told}
    first = min((r.promoted_at for r in position.revisions if r.promoted_at is not None), default=None)
    held = position.course.chosen if isinstance(position.course, Held) else None
    for revision in position.revisions:
        started = _started(revision, old)
        for entry in _ends(revision, first, started, failed_here=held is not None and revision is held):
            if (entry.version, entry.finished_at) not in known:
                told.append(entry)
    return tuple(sorted(told, key=lambda entry: entry.finished_at or now, reverse=True)[:_NEWEST])


def _started(revision: Revision, old: RolloutStatus) -> datetime:
    """When the attempt began: when the first group got it, or (where that is not known any more) when it was made."""
    if old.candidate_revision == revision.name and old.groups and old.groups[0].started_at is not None:
        return old.groups[0].started_at
    return revision.created


def _ends(
    revision: Revision, first: datetime | None, started: datetime, *, failed_here: bool
) -> Iterable[HistoryEntry]:
    if revision.promoted_at is not None:
        yield HistoryEntry(
            version=revision.version,
            model=revision.model,
            result="Installed" if revision.promoted_at == first else "Promoted",
            started_at=min(started, revision.promoted_at),
            finished_at=revision.promoted_at,
            message=revision.promoted_reason,
        )
    if revision.quarantine is not None and not failed_here:
        yield HistoryEntry(
            version=revision.version,
            model=revision.model,
            result="Aborted" if revision.quarantine.cause == Reason.ABORTED else "RolledBack",
            started_at=min(started, revision.quarantine.at),
            finished_at=revision.quarantine.at,
            message=revision.quarantine.reason,
        )


def _superseded(position: Position, old: RolloutStatus, now: datetime) -> Iterable[HistoryEntry]:
    """The candidate of the old status, where the spec went on to something else before it came to an end."""
    before = next((r for r in position.revisions if r.name == old.candidate_revision), None)
    if before is None or before.quarantine is not None or before == position.candidate or before == position.stable:
        return
    if position.chosen is None or before.hash == position.chosen.hash:
        return
    yield HistoryEntry(
        version=before.version,
        model=before.model,
        result="Superseded",
        started_at=_started(before, old),
        finished_at=now,
        message=f"superseded by {position.chosen.version}",
    )
