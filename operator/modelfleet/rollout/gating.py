"""The gate of the group that the candidate is in: whether it is active, what is judged, and how status shows it.

A gate starts when the group is done for the first time, and the start is latched in `status.gate.startedAt`: everything
about its looks follows from there. With the status wiped it starts again, which costs time and never safety.
"""

from datetime import datetime

from modelfleet import gate
from modelfleet.api.rolloutstatus import GateStatus, RolloutStatus
from modelfleet.gate import Judgement, Plan, Policy, Verdict
from modelfleet.measurement import calibration
from modelfleet.rollout import commands, groups
from modelfleet.rollout.position import Position

HOLDS = frozenset({Verdict.NO_DATA, Verdict.PROVIDER_DOWN})
"""Verdicts that say nothing about the version."""


def started(position: Position) -> GateStatus | None:
    """The status of the gate that is active: started for this candidate in this group; None before it starts.

    A gate that failed and whose quarantine was lifted since does not count: the version is judged again.
    """
    candidate, current, status = position.candidate, position.current, position.snapshot.rollout.status
    if candidate is None or current is None or status.gate is None or status.candidate_revision != candidate.name:
        return None
    latched = status.gate
    if latched.group != current.name or latched.started_at is None or latched.verdict == Verdict.FAIL.value:
        return None
    if candidate.retried_at is not None and latched.started_at < candidate.retried_at.replace(microsecond=0):
        return None
    return latched


def policy(position: Position) -> Policy:
    """The rules for the group that the candidate is in."""
    current = position.current
    return gate.resolve(position.snapshot.rollout.spec.gate, current.spec.gate if current else None)


def plan(position: Position, started_at: datetime) -> Plan:
    """What the gate compares. The candidate must have reached a group."""
    candidate, current, stable = position.candidate, position.current, position.stable
    if candidate is None or current is None:
        raise ValueError("there is no gate without a candidate in a group")
    rollout = position.snapshot.rollout
    control = tuple(
        group.name
        for group in position.snapshot.groups[position.reached :]
        if stable is not None and groups.carried(group) == stable.hash and group.nodes
    )
    return Plan(
        namespace=rollout.metadata.namespace,
        rollout=rollout.metadata.name,
        group=current.name,
        control_groups=control,
        model=str(candidate.data["model"]),
        candidate_version=candidate.version,
        stable_version=stable.version if stable is not None else None,
        candidate_weights=calibration.weights(position.snapshot.versions, candidate.model_version),
        stable_weights=calibration.weights(position.snapshot.versions, stable.model_version)
        if stable is not None
        else None,
        policy=policy(position),
        past_until=_past_until(rollout.status, current.name, candidate.name, started_at),
        started_at=started_at,
    )


def _past_until(status: RolloutStatus, group: str, revision: str, started_at: datetime) -> datetime:
    """When the group's DaemonSet got the candidate, as status has it; the gate's start where that was lost."""
    entry = next((entry for entry in status.groups if (entry.name, entry.revision) == (group, revision)), None)
    return min(entry.started_at, started_at) if entry is not None and entry.started_at is not None else started_at


def active(position: Position) -> Plan | None:
    """The gate to judge now; None while there is none, where somebody let the candidate pass its gates, and for a
    Rollout that is being deleted."""
    latched = started(position)
    if latched is None or latched.started_at is None:
        return None
    if position.snapshot.rollout.metadata.deletion_timestamp is not None:
        return None
    if position.candidate is not None and commands.past_gates(position.candidate):
        return None
    return plan(position, latched.started_at)


def passed_before(latched: GateStatus | None) -> bool:
    """The gate said Pass at an earlier look, and the version only waits for something else since."""
    return latched is not None and latched.verdict == Verdict.PASS.value


def standing(latched: GateStatus | None, judgement: Judgement) -> Verdict:
    """The verdict after a look.

    A Pass is not taken back by later looks that can't decide (the version waits for a window or for approval
    meanwhile); but it gives way to Fail, and to NoData and ProviderDown: nothing moves on while nobody can see.
    """
    stays = passed_before(latched) and judgement.verdict is Verdict.INCONCLUSIVE
    return Verdict.PASS if stays else judgement.verdict


def judged(latched: GateStatus, version: str, judgement: Judgement | None, now: datetime) -> GateStatus:
    """The gate's status after a look; unchanged without one, and where an earlier Pass stands."""
    if judgement is None or standing(latched, judgement) is not judgement.verdict:
        return latched
    verdict = judgement.verdict.value
    return GateStatus.model_validate(
        {
            "group": latched.group,
            "version": version,
            "startedAt": latched.started_at,
            "verdict": verdict,
            "since": latched.since if latched.verdict == verdict and latched.since else now,
            "method": judgement.method,
            "message": judgement.message,
            "looks": judgement.looks,
            "canaryNodes": judgement.canary_nodes,
            "controlNodes": judgement.control_nodes,
            "detections": judgement.detections,
            "estimate": judgement.estimate,
            "interval": judgement.interval,
        }
    )
