"""Decides about one Rollout. Pure: what is observed and the time go in, writes and a status come out.

    locate     where the rollout stands (position.py)
    establish  what became true and must be remembered: failures, promotions, commands (transitions.py)
    step       what happens now, and what it is called (phases.py)
    targets    what each group should run, which the DaemonSets are then made to say (manifests.py)
    handover   which nodes go from a group into another, and when a removed group's DaemonSet goes (handover.py)

    drifting   what the watch for drift says, and whether a version is to be trained (drifting.py, retraining.py)
    capture    what the running pods are to capture (capture_settings.py)
    replay     the Job that compares the candidate with stable before it enters the first group (replay/outcome.py)
    prefetch   the DaemonSet that fetches the candidate onto the next group's nodes (prefetch.py)

Writes come in an order that makes any prefix of them safe: first the facts on the ControllerRevisions, then the
settings of capture, the DaemonSets, what is no longer needed, a TrainingJob, the Job of a replay, and the status last.
"""

from datetime import datetime, timedelta
from typing import Any

from modelfleet.api.rolloutstatus import GateStatus
from modelfleet.decision import Action, Apply, Decision, Delete, Patch
from modelfleet.kinds import CONTROLLER_REVISION
from modelfleet.rollout import (
    affinity,
    capture_settings,
    commands,
    drifting,
    events,
    groups,
    handover,
    manifests,
    phases,
    prefetch,
    status,
    surge,
    transitions,
    windows,
)
from modelfleet.rollout import revisions as revs
from modelfleet.rollout.assessment import Assessment
from modelfleet.rollout.phases import Step
from modelfleet.rollout.position import Position, locate
from modelfleet.rollout.revisions import Revision
from modelfleet.rollout.snapshot import Snapshot

_LOOK_AGAIN = timedelta(seconds=60)
"""At what is in the way and not watched: a ConfigMap that isn't ours."""


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
    revisions = transitions.passed_on(position) if step.advance else position.revisions
    gone = _superfluous(position, targets)
    revisions = commands.carried_over(snapshot.rollout, revisions, gone)
    drift = drifting.outcome(position, now)
    outcome = status.Outcome(assessment, step, targets, _gate(assessment, before, step), drift)
    desired = status.status(outcome)
    daemon_sets = _daemon_sets(position, targets)
    capture = capture_settings.outcome(
        snapshot.rollout,
        snapshot.capture,
        [group.daemon_set for group in snapshot.groups if group.daemon_set is not None],
        drifting=drift.condition is not None and drift.condition.is_true,
        taken=snapshot.capture_taken,
    )
    return Decision(
        actions=(
            *revs.changes(snapshot.revisions, revisions, snapshot.rollout),
            *capture.first,
            *daemon_sets,
            *prefetch.actions(assessment, advance=step.advance),
            *capture.last,
            *_prune(gone, snapshot),
            *drift.actions,
            *assessment.replay.actions,
        ),
        announcements=(
            *events.announcements(
                snapshot.rollout.status, desired, before.gate, snapshot.revisions, position.revisions
            ),
            *drift.announcements,
        ),
        status=desired,
        requeue_after=_wake(assessment, step, drift),
        irrevocable=step.advance
        or revs.settled(snapshot.revisions, position.revisions)
        or any(isinstance(action, Patch) for action in daemon_sets),  # nodes leave their group
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


def _daemon_sets(position: Position, targets: tuple[Revision | None, ...]) -> list[Action]:
    """Bring the DaemonSets to their targets, where they do not say so yet, and nodes to the groups that they are in."""
    snapshot = position.snapshot
    wanted = _wanted(snapshot, targets)
    actions: list[Action] = []
    for index, manifest in handover.in_place(position, wanted).items():
        there = snapshot.groups[index].daemon_set
        if there is None or not manifests.covers(there, manifest):
            actions.append(Apply(manifest))
    return [*actions, *handover.removals(position, wanted.keys())]


def _wanted(snapshot: Snapshot, targets: tuple[Revision | None, ...]) -> dict[int, dict[str, Any]]:
    """The DaemonSets as the spec has them now, by the group's index."""
    rollout = snapshot.rollout.metadata.name
    found: dict[int, dict[str, Any]] = {}
    for index, (group, target) in enumerate(zip(snapshot.groups, targets, strict=True)):
        if target is None or manifests.daemon_set_name(rollout, group.name) in snapshot.taken:
            continue
        budget, apart = surge.budget(group, target), handover.kept_apart(group, target.hash, rollout)
        try:
            found[index] = manifests.daemon_set(
                snapshot.rollout, index, target, budget.unavailable, budget.surge, apart=apart
            )
        except affinity.TooComplex:
            continue  # the position says so as a stall; what runs stays
    return found


def _superfluous(position: Position, targets: tuple[Revision | None, ...]) -> list[Revision]:
    """Revisions that the history limit no longer covers. Kept in any case: what is in use or may be gone back to, what
    the spec asks for, and the newest quarantine of each model version that still exists (it must not be tried
    again)."""
    snapshot = position.snapshot
    keep = {revision.hash for revision in revs.promoted(position.revisions)[:2]}
    keep |= {revision.hash for revision in (*targets, position.chosen) if revision is not None}
    keep |= {carried for group in snapshot.groups if (carried := groups.carried(group)) is not None}
    there = {version.metadata.name for version in snapshot.versions}
    newest = {
        revision.model_version: revision.hash
        for revision in sorted(position.revisions, key=lambda revision: revision.number)
        if revision.quarantine is not None
        and revision.quarantine.scope == "Version"
        and revision.model_version in there
    }
    existing = [revision for revision in position.revisions if revision.uid]
    limit = snapshot.rollout.spec.revision_history_limit
    return revs.superfluous(existing, keep | set(newest.values()), limit)


def _prune(gone: list[Revision], snapshot: Snapshot) -> list[Action]:
    namespace = snapshot.rollout.metadata.namespace
    return [Delete(CONTROLLER_REVISION, namespace, revision.name, revision.uid) for revision in gone]


def _wake(assessment: Assessment, step: Step, drift: drifting.Outcome) -> timedelta | None:
    unwatched = assessment.now + _LOOK_AGAIN if assessment.position.snapshot.capture_taken else None
    known = (step.wake, assessment.next_deadline, drift.wake, assessment.replay.wake, unwatched)
    moments = [moment for moment in known if moment is not None]
    return windows.until(min(moments), assessment.now) if moments else None
