"""The watch for drift of a Rollout: what is watched, and what its judgement leads to. Pure.

Watched is the stable revision, from its promotion on. While a version is on its way through the groups the watch is
paused: the gate judges that one, and what it leads to starts a watch of its own.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from modelfleet import drift
from modelfleet.api import conditions
from modelfleet.api.conditions import Condition
from modelfleet.api.reasons import ConditionType, Reason
from modelfleet.api.rolloutstatus import DriftStatus, RetrainStatus
from modelfleet.decision import Action, Announce
from modelfleet.drift import Before, Judgement, Plan, State
from modelfleet.drift.judgement import BY_FIGURES
from modelfleet.drift.messages import EACH_NODE
from modelfleet.measurement import calibration
from modelfleet.rollout import retraining
from modelfleet.rollout.position import GoingBack, Held, Moving, NotBegun, Position
from modelfleet.wording import LISTED, listed

_REASONS = {
    State.LEARNING: Reason.LEARNING,
    State.STEADY: Reason.STEADY,
    State.SUSPECTED: Reason.SUSPECTED,
    State.DRIFTING: Reason.DRIFTING,
    State.MORE_CONFIDENT: Reason.MORE_CONFIDENT,
    State.FEWER_OBJECTS: Reason.FEWER_OBJECTS,
    State.PAUSED: Reason.WATCH_PAUSED,
}
_WARNINGS = frozenset({State.DRIFTING, State.MORE_CONFIDENT, State.FEWER_OBJECTS, State.PAUSED})
_TOLD = frozenset(
    {
        Reason.TEMPLATE_REJECTED,
        Reason.DATASET_NOT_FOUND,
        Reason.NO_NEW_DATA,
        Reason.RESULT_PENDING,
        Reason.TRAINING_DELETED,
    }
)
"""What keeps a retraining from starting until somebody does something."""


@dataclass(frozen=True)
class Outcome:
    """What comes of the watch in one decision."""

    status: DriftStatus | None = None
    condition: Condition | None = None
    actions: tuple[Action, ...] = ()
    announcements: tuple[Announce, ...] = ()
    wake: datetime | None = None


def plan(position: Position) -> Plan | None:
    """What is watched; None where nothing is to be, or nothing is stable yet. Members and strata are
    left to who looks: the nodes are many, and it is asked at each event."""
    spec, stable, rollout = position.snapshot.rollout.spec.drift, position.stable, position.snapshot.rollout
    if spec is None or stable is None or stable.promoted_at is None or rollout.metadata.deletion_timestamp is not None:
        return None
    return Plan(
        namespace=rollout.metadata.namespace,
        rollout=rollout.metadata.name,
        revision=stable.name,
        version=stable.version,
        begins=stable.promoted_at,
        weights=calibration.weights(position.snapshot.versions, stable.model_version),
        policy=drift.policy(spec),
    )


def moving(position: Position) -> str:
    """Why nothing is watched, nor trained, now: a version is on its way, or on its way back. Empty where none is."""
    match position.course:
        case NotBegun(candidate) | Moving(candidate):
            return f"{candidate.version} is on its way through the groups, and the gate judges it."
        case Held(failed) | GoingBack(failed) if position.reached:
            return f"{failed.version} failed and is still in some groups."
        case _:
            return ""


def before(position: Position) -> Before:
    """What earlier looks at the same revision have left in the status."""
    status = position.snapshot.rollout.status
    if status.drift is None or position.stable is None or status.drift.revision != position.stable.name:
        return Before()
    known = conditions.find(status.conditions, ConditionType.DRIFT_DETECTED)
    if known is None or not known.is_true:
        return Before(state=status.drift.state, since=status.drift.since)
    by = status.drift.declared_by
    return Before(
        declared=not by or BY_FIGURES in by,
        state=status.drift.state,
        since=status.drift.since,
        reviewed=tuple(each for each in by if each != BY_FIGURES),
        declared_since=known.last_transition_time,
    )


def outcome(position: Position, now: datetime) -> Outcome:
    """Status, condition, Events and the retraining that follow from what the watch sees now."""
    rollout = position.snapshot.rollout
    if rollout.spec.drift is None:
        return Outcome()
    old = rollout.status.drift or DriftStatus()
    judgement = _judgement(position)
    shown = _status(position, old, _dated(position, judgement), now)
    wanted = None
    if judgement is not None and judgement.state is State.DRIFTING:
        wanted = retraining.Wanted("Drift", judgement.message, shown.since)
    found = retraining.look(position, wanted, moving(position), now)
    status = shown.replace(retrain=found.status, retrainings=found.retrainings)
    moments = [moment for moment in (judgement.next_look if judgement else None, found.wake) if moment is not None]
    return Outcome(
        status=status,
        condition=_condition(position, judgement, found.status),
        actions=(found.create,) if found.create is not None else (),
        announcements=tuple(
            replace(each, version=None if position.stable is None else position.stable.version)
            for each in (
                *_state_changed(position, old, status, judgement),
                *_alone(old, judgement),
                *_retraining(old, found),
            )
        ),
        wake=min(moments, default=None),
    )


def _judgement(position: Position) -> Judgement | None:
    """What the watch sees of the revision that is stable now."""
    seen, stable = position.snapshot.drift, position.stable
    return seen.judgement if seen is not None and stable is not None and seen.plan.revision == stable.name else None


def _dated(position: Position, judgement: Judgement | None) -> Judgement | None:
    """With the beginning of drift that the status has lost (it was wiped, or not restored): where nothing tells when it
    began, it was there when the last training for drift of this version was started. Else that would be of another
    episode, and one that somebody has deleted would be started again."""
    if judgement is None or judgement.since is None or not judgement.older or before(position).state is not None:
        return judgement
    started = max((at for at in retraining.for_drift(position) if at < judgement.since), default=judgement.since)
    return replace(judgement, since=started)


def _status(position: Position, old: DriftStatus, judgement: Judgement | None, now: datetime) -> DriftStatus:
    stable = position.stable
    if stable is None:
        message = "Paused: no version is stable yet."
        since = old.since if old.state == State.PAUSED else now
        return DriftStatus(state=State.PAUSED, since=since, message=message)
    if judgement is None:
        return (
            old
            if old.revision == stable.name
            else DriftStatus(state=State.LEARNING, since=now, version=stable.version, revision=stable.name)
        )
    same = old.revision == stable.name and old.state == judgement.state
    return DriftStatus.model_validate(
        {
            "state": judgement.state.value,
            "since": old.since if same and old.since is not None else judgement.since or now,
            "version": stable.version,
            "revision": stable.name,
            "learningUntil": judgement.learning_until,
            "baselineFrom": judgement.baseline_from,
            "nodes": judgement.nodes,
            "nodesDown": judgement.nodes_down,
            "nodesAlone": _nodes_alone(old, judgement) if old.revision == stable.name else len(judgement.lone),
            "strata": [
                {"name": each.name, "nodes": each.nodes, "nodesDown": each.nodes_down} for each in judgement.strata
            ],
            "signals": [
                {"name": each.name, "change": each.change, "threshold": each.threshold} for each in judgement.signals
            ],
            "examples": list(judgement.examples),
            "declaredBy": list(judgement.by),
            "message": judgement.message,
        }
    )


def _nodes_alone(old: DriftStatus, judgement: Judgement) -> int:
    """How many have drifted alone; while nothing is judged, as many as had, as `examples` stay: they are not news."""
    return old.nodes_alone if judgement.state is State.PAUSED else len(judgement.lone)


def _condition(position: Position, judgement: Judgement | None, retrain: RetrainStatus | None) -> Condition | None:
    """DriftDetected: what was declared stays so while the watch is paused. Where a retraining waits for somebody, the
    message says for what."""
    if judgement is None:
        known = conditions.find(position.snapshot.rollout.status.conditions, ConditionType.DRIFT_DETECTED)
        same = before(position).state is not None
        return known if same else None
    waits = f" Not retrained: {retrain.message}" if retrain is not None and retrain.reason in _TOLD else ""
    if judgement.state is State.DRIFTING:
        return conditions.true(ConditionType.DRIFT_DETECTED, Reason.DRIFTING, judgement.message + waits)
    said = f"The watch for drift is at {judgement.state.value}; see status.drift.{waits}"
    if judgement.declared:
        return conditions.true(ConditionType.DRIFT_DETECTED, _REASONS[judgement.state], said)
    return conditions.false(ConditionType.DRIFT_DETECTED, _REASONS[judgement.state], said)


def _state_changed(
    position: Position, old: DriftStatus, new: DriftStatus, judgement: Judgement | None
) -> Iterable[Announce]:
    """The state is another one. A status that was wiped announces nothing but drift."""
    if judgement is None or old.state == new.state or (old.state is None and judgement.state is not State.DRIFTING):
        return
    if judgement.state is State.PAUSED and moving(position):  # what is on its way has Events of its own
        return
    yield Announce(
        "Warning" if judgement.state in _WARNINGS else "Normal", _REASONS[judgement.state], judgement.message
    )


def _alone(old: DriftStatus, judgement: Judgement | None) -> Iterable[Announce]:
    """Nodes that have drifted on their own, and had not at the last look. The status names but the first of them: of
    the others it is known how many there were."""
    if judgement is None or not judgement.lone:
        return
    number = len(judgement.lone)
    if set(judgement.examples) <= set(old.examples) and number <= old.nodes_alone:
        return
    in_all = f" ({number} in all; {EACH_NODE})" if number > LISTED else ""
    said = f"{listed(judgement.lone)} drifted alone{in_all}: was the camera moved, or is its lens dirty?"
    yield Announce("Warning", Reason.NODE_DRIFTS, f"{said} Nothing is retrained for that.")


def _retraining(before: DriftStatus, found: retraining.Outcome) -> Iterable[Announce]:
    """A training was created, or waits for somebody. A status that was wiped announces no old trainings."""
    known, old = {entry.training_job for entry in before.retrainings}, before.retrain
    for entry in found.retrainings if before.state is not None else ():
        if entry.training_job not in known:
            data = ", ".join(entry.data)
            said = f"TrainingJob {entry.training_job} was created ({entry.trigger}) to train on {data}: {entry.cause}"
            yield Announce("Normal", Reason.RETRAINING_STARTED, said)
    if found.status is not None and found.status.reason in _TOLD and (old is None or old.reason != found.status.reason):
        yield Announce("Warning", found.status.reason, found.status.message)
