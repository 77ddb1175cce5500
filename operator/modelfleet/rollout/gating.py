"""The gate of the group that the candidate is in: whether it is active, what is judged, and how status shows it.

A gate starts when the group is done for the first time, and everything about its looks follows from that moment. It is
written on the ControllerRevision (`Revision.gate`), and `status.gate.startedAt` only shows it: whoever writes another
one there, or wipes the status, makes the soak neither shorter nor longer. The calibration by reviewed frames that there
was then is in the status alone (`status.gate.production`); where that is lost, the newest one counts.

A Pass moves a version on, so the status is not believed about it either: where the version waits for something else (an
approval, a window), the ControllerRevision says that this gate has passed it (`Revision.waiting`). Without that, a Pass
in the status is none, and the gate is judged again.
"""

from datetime import datetime

from modelfleet import gate
from modelfleet.api.rolloutstatus import GateStatus, ProductionCalibration, RolloutStatus
from modelfleet.gate import Judgement, Plan, Policy, Production, Verdict
from modelfleet.measurement import calibration
from modelfleet.rollout import commands, groups, reviewed
from modelfleet.rollout.position import Moving, Position
from modelfleet.rollout.revisions import GateStart, Revision
from modelfleet.wording import clip, ended

HOLDS = frozenset({Verdict.NO_DATA, Verdict.PROVIDER_DOWN})
"""Verdicts that say nothing about the version."""

MOST_ANEW = 3
"""So many gates in a row begin again in a group, each with a whole soak, before somebody is asked."""

_LONGEST = 1024  # characters of a message in a status


def started(position: Position) -> GateStatus | None:
    """The status of the gate that is active: started for this candidate in this group; None before it starts."""
    course, latched = position.course, position.snapshot.rollout.status.gate
    if not isinstance(course, Moving):
        return None
    start = _start(course.candidate)
    if start is None or start.group != course.current.name:
        return None
    if latched is None or start_of(latched) != start:
        return GateStatus(
            group=start.group,
            version=course.candidate.version,
            started_at=start.started_at,
            production=reviewed.production(position),
        )
    # A gate that failed is over, and so is none that is active: somebody else wrote that.
    if latched.verdict == Verdict.FAIL.value or (passed_before(latched) and course.candidate.waiting != start):
        return latched.replace(verdict=None, since=None, message=None)
    return latched


def interrupted(position: Position) -> GateStatus | None:
    """The status of a gate of the candidate in this group that counts no more, without a start: another one begins."""
    course, status = position.course, position.snapshot.rollout.status
    if not isinstance(course, Moving) or status.gate is None or status.candidate_revision != course.candidate.name:
        return None
    return status.gate.replace(started_at=None) if status.gate.group == course.current.name else None


def _start(candidate: Revision) -> GateStart | None:
    """The gate that the candidate is in. A ControllerRevision that was restored from a backup is younger than what it
    says: what was before does not count as soaking here."""
    gate = candidate.gate
    return None if gate is None else GateStart(gate.group, max(gate.started_at, candidate.created))


def start_of(latched: GateStatus | None) -> GateStart | None:
    """What the candidate's revision says of this gate."""
    if latched is None or latched.started_at is None:
        return None
    return GateStart(latched.group, latched.started_at.replace(microsecond=0))


def waiting(latched: GateStatus | None) -> GateStart | None:
    """What the candidate's revision says while this gate says Pass; None while it does not."""
    return start_of(latched) if passed_before(latched) else None


def policy(position: Position, moving: Moving) -> Policy:
    """The rules for the group that the candidate is in."""
    return gate.resolve(position.snapshot.rollout.spec.gate, moving.current.spec.gate)


def plan(
    position: Position, moving: Moving, started_at: datetime, production: ProductionCalibration | None = None
) -> Plan:
    """What the gate compares. `production` is the calibration by reviewed frames as status.gate has kept it from the
    start: a newer one must not move the verdict between looks."""
    candidate, current, stable = moving.candidate, moving.current, position.stable
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
        policy=policy(position, moving),
        past_until=_past_until(rollout.status, current.name, candidate, started_at),
        started_at=started_at,
        production=_production(production),
    )


def _production(kept: ProductionCalibration | None) -> Production | None:
    if kept is None:
        return None
    return Production(kept.dataset, kept.version, kept.frames, tuple(map(float, kept.precision)))


def _past_until(status: RolloutStatus, group: str, candidate: Revision, started_at: datetime) -> datetime:
    """When the group's DaemonSet got the candidate, as status has it, and not before there was one; the gate's start
    where that was lost."""
    entry = next((each for each in status.groups if (each.name, each.revision) == (group, candidate.name)), None)
    if entry is None or entry.started_at is None:
        return started_at
    return min(max(entry.started_at, candidate.created), started_at)


def active(position: Position) -> Plan | None:
    """The gate to judge now; None while there is none, where somebody let the candidate pass its gates, and for a
    Rollout that is being deleted."""
    course, latched = position.course, started(position)
    if not isinstance(course, Moving) or latched is None or latched.started_at is None:
        return None
    if position.snapshot.rollout.metadata.deletion_timestamp is not None:
        return None
    if commands.past_gates(course.candidate):
        return None
    return plan(position, course, latched.started_at, latched.production)


def passed_before(latched: GateStatus | None) -> bool:
    """The gate said Pass at an earlier look, and the version only waits for something else since."""
    return latched is not None and latched.verdict == Verdict.PASS.value


def times_anew(moving: Moving) -> int:
    """How many gates in a row have begun in the candidate's group since the one before had nothing to go by."""
    anew = moving.candidate.anew
    return anew.times if anew is not None and anew.group == moving.current.name else 0


def in_vain(moving: Moving) -> bool:
    """Whether it has begun again so often that it does not once more."""
    return times_anew(moving) >= MOST_ANEW


def anew(moving: Moving) -> str:
    """That this gate is not the first of its group, as a sentence; "" where it is."""
    before, times = moving.candidate.anew, times_anew(moving)
    if before is None or not times:
        return ""
    return f"Judged anew ({times} of at most {MOST_ANEW} times), since the gate before ended so: {ended(before.why)}"


def standing(latched: GateStatus | None, judgement: Judgement) -> Verdict:
    """The verdict after a look.

    A Pass is not taken back by later looks that can't decide (the version waits for a window or for approval
    meanwhile); but it gives way to Fail, and to NoData and ProviderDown: nothing moves on while nobody can see.
    """
    stays = passed_before(latched) and judgement.verdict is Verdict.INCONCLUSIVE
    return Verdict.PASS if stays else judgement.verdict


def unseen(latched: GateStatus, now: datetime) -> GateStatus:
    """The gate's status while the group has no node any more: what was measured there holds no longer."""
    verdict = Verdict.NO_DATA.value
    return GateStatus.model_validate(
        {
            "group": latched.group,
            "version": latched.version,
            "startedAt": latched.started_at,
            "production": latched.production,
            "verdict": verdict,
            "since": latched.since if latched.verdict == verdict and latched.since else now,
            "message": f"Group {latched.group} has no node now; nothing is judged without one.",
            "looks": latched.looks,
            "canaryNodes": 0,
            "controlNodes": 0,
            "detections": 0,
        }
    )


def judged(latched: GateStatus, version: str, judgement: Judgement | None, now: datetime, more: str = "") -> GateStatus:
    """The gate's status after a look; unchanged without one, and where an earlier Pass stands. `more` is what the look
    can't know, in sentences."""
    if judgement is None or standing(latched, judgement) is not judgement.verdict:
        return latched
    verdict = judgement.verdict.value
    return GateStatus.model_validate(
        {
            "group": latched.group,
            "version": version,
            "startedAt": latched.started_at,
            "production": latched.production,
            "verdict": verdict,
            "since": latched.since if latched.verdict == verdict and latched.since else now,
            "method": judgement.method,
            "message": _with(judgement.message, more),
            "looks": judgement.looks,
            "canaryNodes": judgement.canary_nodes,
            "controlNodes": judgement.control_nodes,
            "detections": judgement.detections,
            "estimate": judgement.estimate,
            "interval": judgement.interval,
        }
    )


def _with(message: str, more: str) -> str:
    """A message and what else must be known about it, for which there is room in any case."""
    return f"{clip(ended(message), max(1, _LONGEST - len(more) - 1))} {more}" if more else message
