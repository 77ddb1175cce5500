"""Decides about one Rollout. Pure: what is observed and the time go in, writes and a status come out.

    locate     where the rollout stands (position.py)
    establish  what became true and must be remembered: failures, promotions, commands (transitions.py)
    step       what happens now, and what it is called (phases.py)
    targets    what each group should run, which the DaemonSets are then made to say (manifests.py)

    drifting   what the watch for drift says, and whether a version is to be trained (drifting.py, retraining.py)

Writes come in an order that makes any prefix of them safe: first the facts on the ControllerRevisions, then the
DaemonSets, then what is no longer needed, then a TrainingJob, and the status last.
"""

from datetime import datetime, timedelta

from modelfleet.api.rolloutstatus import GateStatus
from modelfleet.decision import Action, Apply, Decision, Delete
from modelfleet.kinds import CONTROLLER_REVISION, DAEMON_SET
from modelfleet.rollout import affinity, drifting, events, groups, manifests, phases, status, transitions, windows
from modelfleet.rollout import revisions as revs
from modelfleet.rollout.assessment import Assessment
from modelfleet.rollout.phases import Step
from modelfleet.rollout.position import Position, locate
from modelfleet.rollout.revisions import Revision
from modelfleet.rollout.snapshot import Snapshot


def decide(snapshot: Snapshot, now: datetime) -> Decision:
    """The decision about one Rollout."""
    return decide_at(locate(snapshot, snapshot.revisions, now), now)


def decide_at(found: Position, now: datetime) -> Decision:
    """The decision about one Rollout that was found at this position."""
    snapshot = found.snapshot
    if snapshot.rollout.metadata.deletion_timestamp is not None:
        return Decision()  # its children go with it
    before = Assessment(found, now)
    assessment = transitions.establish(before)
    position = assessment.position
    step = phases.step(assessment)
    targets = _targets(position, step)
    drift = drifting.outcome(position, now)
    outcome = status.Outcome(assessment, step, targets, _gate(assessment, before, step), drift)
    desired = status.status(outcome)
    return Decision(
        actions=(
            *revs.changes(snapshot.revisions, position.revisions, snapshot.rollout),
            *_apply(snapshot, targets),
            *_remove(snapshot),
            *_prune(position, targets),
            *drift.actions,
        ),
        announcements=(
            *events.announcements(
                snapshot.rollout.status, desired, before.gate, snapshot.revisions, position.revisions
            ),
            *drift.announcements,
        ),
        status=desired,
        requeue_after=_wake(assessment, step, drift),
    )


def _targets(position: Position, step: Step) -> tuple[Revision | None, ...]:
    """What each group should run once the step is taken."""
    targets = list(position.targets)
    if step.advance:
        targets[position.reached] = position.candidate
    return tuple(targets)


def _gate(assessment: Assessment, before: Assessment, step: Step) -> GateStatus | None:
    """The gate to show: the active one; after the end of an attempt, the one that ended it."""
    if step.advance:
        return None
    if assessment.position.candidate is not None:
        return assessment.gate
    return before.gate or assessment.position.snapshot.rollout.status.gate


def _apply(snapshot: Snapshot, targets: tuple[Revision | None, ...]) -> list[Action]:
    """Bring the DaemonSets to their targets, where they do not say so yet."""
    actions: list[Action] = []
    for index, (group, target) in enumerate(zip(snapshot.groups, targets, strict=True)):
        name = manifests.daemon_set_name(snapshot.rollout.metadata.name, group.name)
        if target is None or name in snapshot.taken:
            continue
        budget = groups.effective_max_unavailable(group, target.hash)
        try:
            manifest = manifests.daemon_set(snapshot.rollout, index, target, budget)
        except affinity.TooComplex:
            continue  # the position says so as a stall; what runs stays
        if group.daemon_set is None or not manifests.covers(group.daemon_set, manifest):
            actions.append(Apply(manifest))
    return actions


def _remove(snapshot: Snapshot) -> list[Action]:
    """DaemonSets of groups that the spec no longer has."""
    return [
        Delete(DAEMON_SET, raw["metadata"]["namespace"], raw["metadata"]["name"], raw["metadata"]["uid"])
        for raw in snapshot.removed
        if not raw["metadata"].get("deletionTimestamp")
    ]


def _prune(position: Position, targets: tuple[Revision | None, ...]) -> list[Action]:
    """Revisions that the history limit no longer covers. Kept in any case: what is in use or may be gone back to, what
    the spec asks for, and the newest quarantine of each model version that still exists (it must not be tried
    again)."""
    snapshot = position.snapshot
    keep = {revision.hash for revision in revs.promoted(position.revisions)[:2]}
    keep |= {revision.hash for revision in (*targets, position.chosen) if revision is not None}
    keep |= {carried for group in snapshot.groups if (carried := groups.carried(group)) is not None}
    there = {version.spec.version for version in snapshot.versions}
    newest = {
        revision.version: revision.hash
        for revision in sorted(position.revisions, key=lambda revision: revision.number)
        if revision.quarantine is not None and revision.quarantine.scope == "Version" and revision.version in there
    }
    existing = [revision for revision in position.revisions if revision.uid]
    limit = snapshot.rollout.spec.revision_history_limit
    return [
        Delete(CONTROLLER_REVISION, snapshot.rollout.metadata.namespace, revision.name, revision.uid)
        for revision in revs.superfluous(existing, keep | set(newest.values()), limit)
    ]


def _wake(assessment: Assessment, step: Step, drift: drifting.Outcome) -> timedelta | None:
    moments = [moment for moment in (step.wake, assessment.next_deadline, drift.wake) if moment is not None]
    return windows.until(min(moments), assessment.now) if moments else None
