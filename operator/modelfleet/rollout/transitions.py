"""What became true and must be remembered: commands that were seen, failures, promotions. An ordered chain.

Each link looks at where the rollout stands and returns the revisions with what it found written on them; the next link
looks at the result. All that is durable about a rollout is decided here, and written before anything else: killed right
after the write, the operator reads the same facts and goes on from them.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from modelfleet.api.reasons import Reason
from modelfleet.gate import Verdict
from modelfleet.rollout import commands, gating, retraining
from modelfleet.rollout import revisions as revs
from modelfleet.rollout.assessment import Assessment
from modelfleet.rollout.position import Position, locate
from modelfleet.rollout.revisions import Quarantine, Revision, Scope

Revisions = tuple[Revision, ...]


def establish(assessment: Assessment) -> Assessment:
    """Where the rollout stands once everything that can be found out now is taken down."""
    snapshot, now = assessment.position.snapshot, assessment.now
    for link in CHAIN:
        found = link(assessment)
        if found != assessment.position.revisions:
            assessment = Assessment(locate(snapshot, found, now), now)
    return assessment


def retried(assessment: Assessment) -> Revisions:
    """Somebody lifts a quarantine."""
    position = assessment.position
    return commands.lift(position.snapshot.rollout.metadata.annotations, position.revisions, assessment.now)


def let_past(assessment: Assessment) -> Revisions:
    """Somebody lets the candidate pass its gates."""
    position = assessment.position
    if position.chosen is None:
        return position.revisions
    return commands.latch_promote(
        position.snapshot.rollout.metadata.annotations, position.revisions, position.candidate
    )


def approved(assessment: Assessment) -> Revisions:
    """Somebody approves that the candidate leaves the Manual group it is in."""
    position = assessment.position
    if position.chosen is None:
        return position.revisions
    group = position.current.name if assessment.needs_approval and position.current is not None else None
    annotations = position.snapshot.rollout.metadata.annotations
    return commands.latch_approve(annotations, position.revisions, position.candidate, group)


def aborted(assessment: Assessment) -> Revisions:
    """Somebody stops what is on its way, or what failed and was left where it is."""
    position = assessment.position
    if position.chosen is None:
        return position.revisions
    moving = position.chosen if position.held else position.candidate
    annotations = position.snapshot.rollout.metadata.annotations
    command = commands.wants_abort(annotations, position.revisions, moving)
    if command is None or moving is None:
        return commands.latch_idle_abort(annotations, position.revisions, moving)
    known = revs.with_changed(position.revisions, commands.noted(moving, command, moving.hash))
    return _quarantine(
        replace(position, revisions=known), moving.hash, Reason.ABORTED, "aborted by annotation", assessment.now
    )


def missed_deadline(assessment: Assessment) -> Revisions:
    """A node can't become ready on the candidate. (On a first install there is no use in giving up.)"""
    position, candidate = assessment.position, assessment.position.candidate
    if candidate is None or position.stable is None or not assessment.late:
        return position.revisions
    return _quarantine(position, candidate.hash, Reason.PROGRESS_DEADLINE_EXCEEDED, assessment.late, assessment.now)


def judged_bad(assessment: Assessment) -> Revisions:
    """The gate failed the candidate, or came to no verdict and the policy says to go back then."""
    position, candidate, gate = assessment.position, assessment.position.candidate, assessment.gate
    if candidate is None or gate is None or assessment.judgement is None:
        return position.revisions
    policy, message = gating.policy(position), gate.message or ""
    soaked = gate.started_at is not None and assessment.now >= gate.started_at + policy.soak
    if assessment.verdict is Verdict.FAIL:
        cause = Reason.GATE_FAILED
    elif assessment.timed_out and policy.on_timeout == "Rollback":
        cause = Reason.GATE_TIMED_OUT
    elif assessment.verdict is Verdict.NO_DATA and policy.on_no_data == "Rollback" and soaked:
        cause = Reason.NO_DATA
    else:
        return position.revisions
    return _quarantine(position, candidate.hash, cause, message, assessment.now)


def finished(assessment: Assessment) -> Revisions:
    """The candidate went through all groups, the last one's watch included: it is the stable one from now on."""
    position, candidate = assessment.position, assessment.position.candidate
    if candidate is None or position.reached < len(position.snapshot.groups):
        return position.revisions
    if not assessment.judged_well or assessment.needs_approval:
        return position.revisions
    reason = "gates skipped by annotation" if commands.past_gates(candidate) else _why(assessment, candidate)
    promoted = replace(
        candidate,
        promoted_at=assessment.now,
        promoted_reason=reason,
        commands=dict.fromkeys(candidate.commands, commands.NOWHERE),
    )
    return revs.with_changed(position.revisions, promoted)


def retrained(assessment: Assessment) -> Revisions:
    """Somebody asked for a training, and it was created."""
    return retraining.noted(assessment.position)


def learned(assessment: Assessment) -> Revisions:
    """The watch for drift knows more nodes' baselines than are kept with the stable revision."""
    position, seen = assessment.position, assessment.position.snapshot.drift
    stable = position.stable
    if seen is None or stable is None or seen.plan.revision != stable.name or seen.baseline == stable.baseline:
        return position.revisions
    return revs.with_changed(position.revisions, replace(stable, baseline=seen.baseline))


CHAIN: tuple[Callable[[Assessment], Revisions], ...] = (
    retried,
    let_past,
    approved,
    aborted,
    missed_deadline,
    judged_bad,
    finished,
    retrained,
    learned,
)


def _why(assessment: Assessment, candidate: Revision) -> str:
    """What the gates said in all groups, the first (which compares with the most nodes) first."""
    before = [
        group.passed for group in assessment.position.snapshot.rollout.status.groups if group.revision == candidate.name
    ]
    here = assessment.gate.message if assessment.gate is not None else None
    return " ".join(said for said in (*before, here) if said)


def _quarantine(position: Position, hash: str, cause: str, reason: str, now: datetime) -> Revisions:
    """Quarantine a revision, and its model version unless the template may be to blame.

    The template is to blame where it is all that changed, and may be where nothing ran before.
    """
    failed = next(revision for revision in position.revisions if revision.hash == hash)
    stable = position.stable
    only_template = stable is not None and stable.version == failed.version
    unclear = stable is None and cause != Reason.ABORTED
    scope: Scope = "Revision" if only_template or unclear else "Version"
    return revs.with_changed(position.revisions, replace(failed, quarantine=Quarantine(now, cause, reason, scope)))
