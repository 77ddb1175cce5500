"""What became true and must be remembered: commands that were seen, failures, promotions. An ordered chain.

Each link looks at where the rollout stands and returns the revisions with what it found written on them; the next link
looks at the result. All that is durable about a rollout is decided here, and written before anything else: killed right
after the write, the operator reads the same facts and goes on from them.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from modelfleet.api.reasons import Reason
from modelfleet.gate import Verdict
from modelfleet.measurement.node_table import MIN_COVERAGE
from modelfleet.rollout import commands, gating, groups, retraining
from modelfleet.rollout import revisions as revs
from modelfleet.rollout.assessment import Assessment
from modelfleet.rollout.position import Blocked, Moving, Position, locate
from modelfleet.rollout.revisions import Anew, Quarantine, Revision, Scope
from modelfleet.wording import clip

Revisions = tuple[Revision, ...]

SKEW = timedelta(minutes=1)
"""By so much the clock of another operator, which led before, may differ without any meaning."""

_MOST_WHY = 300
"""Characters of why a gate had nothing to go by: they stand beside what the next one says."""


def establish(assessment: Assessment) -> Assessment:
    """Where the rollout stands once everything that can be found out now is taken down."""
    snapshot, now = assessment.position.snapshot, assessment.now
    for link in CHAIN:
        found = link(assessment)
        if found != assessment.position.revisions:
            if link in (begun_again, interrupted):  # what was said of the gate that is over is not said of the next one
                snapshot = replace(snapshot, judgement=None)
            assessment = Assessment(locate(snapshot, found, now), now)
    return assessment


def taken_back(assessment: Assessment) -> Revisions:
    """Groups that don't have a revision any more have not passed it: it is judged again where it comes back.

    Nor is there a gate that starts later than now: the clock was ahead. It starts again, and does not wait for a time
    that was wrong.
    """
    position, latest = assessment.position, assessment.now + SKEW
    carried = {group.name: groups.carried(group) for group in position.snapshot.groups}

    def kept(revision: Revision) -> Revision:
        still = tuple(name for name in revision.passed if carried.get(name) == revision.hash)
        gate, waiting = (
            each
            if each is not None and carried.get(each.group) == revision.hash and each.started_at <= latest
            else None
            for each in (revision.gate, revision.waiting)
        )
        anew = revision.anew
        if anew is not None and carried.get(anew.group) != revision.hash:
            anew = None
        return replace(revision, passed=still, gate=gate, waiting=waiting, anew=anew)

    return tuple(map(kept, position.revisions))


def retried(assessment: Assessment) -> Revisions:
    """Somebody lifts a quarantine."""
    position = assessment.position
    return commands.lift(position.snapshot.rollout, position.revisions, assessment.now)


def let_past(assessment: Assessment) -> Revisions:
    """Somebody lets the candidate pass its gates."""
    position = assessment.position
    if position.unasked:  # it is said of a version that the spec asks for: it waits for one
        return position.revisions
    return commands.latch_promote(position.snapshot.rollout, position.revisions, position.candidate)


def approved(assessment: Assessment) -> Revisions:
    """Somebody approves that the candidate leaves the Manual group it is in."""
    position = assessment.position
    course = position.course
    if position.unasked:
        return position.revisions
    group = course.current.name if isinstance(course, Moving) and assessment.needs_approval else None
    return commands.latch_approve(position.snapshot.rollout, position.revisions, position.candidate, group)


def aborted(assessment: Assessment) -> Revisions:
    """Somebody stops what is on its way, or what failed and was left where it is."""
    position = assessment.position
    if isinstance(position.course, Blocked):
        return position.revisions
    moving, rollout = position.attempted, position.snapshot.rollout
    command = commands.wants_abort(rollout, position.revisions, moving)
    if command is None or moving is None:
        return commands.latch_idle_abort(rollout, position.revisions, moving)
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
    position, course, gate = assessment.position, assessment.position.course, assessment.gate
    if not isinstance(course, Moving) or gate is None or assessment.judgement is None:
        return position.revisions
    policy, message = gating.policy(position, course), gate.message or ""
    soaked = gate.started_at is not None and assessment.now >= gate.started_at + policy.soak
    if assessment.verdict is Verdict.FAIL:
        cause = Reason.GATE_FAILED
    elif assessment.timed_out and policy.on_timeout == "Rollback":
        cause = Reason.GATE_TIMED_OUT
    elif assessment.verdict is Verdict.NO_DATA and policy.on_no_data == "Rollback" and soaked:
        cause = Reason.NO_DATA
    else:
        return position.revisions
    return _quarantine(position, course.candidate.hash, cause, message, assessment.now)


def begun_again(assessment: Assessment) -> Revisions:
    """The gate's last look had nothing to go by: the figures of its time were never there, or Prometheus has lost them.
    Now there are figures, and another gate begins; this one would hold for ever. But not without end: where figures
    come and go, each gate would end as the one before, and somebody has to be asked."""
    position, course = assessment.position, assessment.position.course
    if not isinstance(course, Moving) or assessment.judgement is None or not assessment.judgement.again:
        return position.revisions
    if gating.in_vain(course):
        return position.revisions
    anew = Anew(course.current.name, gating.times_anew(course) + 1, clip(assessment.judgement.message, _MOST_WHY))
    return revs.with_changed(position.revisions, replace(course.candidate, gate=None, waiting=None, anew=anew))


def interrupted(assessment: Assessment) -> Revisions:
    """No node has run the candidate for more than a fifth of the soak: what was before it is none, and another gate
    begins, with a whole soak, when the group is done again. What passed before stays so.

    (Where figures are compared, the same share of the time is asked of each node: a gate by checks or the soak alone
    has no other sign of it.)
    """
    position, course, latched = assessment.position, assessment.position.course, assessment.latched
    if not isinstance(course, Moving) or latched is None or assessment.skips_gate or course.candidate.waiting:
        return position.revisions
    policy, idle = gating.policy(position, course), assessment.here.idle_since(assessment.now)
    if idle is None or (assessment.here.nodes == 0 and policy.on_no_data == "Rollback"):
        return position.revisions
    if assessment.here.nodes and assessment.now - idle <= policy.soak * (1 - MIN_COVERAGE):
        return position.revisions
    return revs.with_changed(position.revisions, replace(course.candidate, gate=None))


def gated(assessment: Assessment) -> Revisions:
    """The gate of the group that the candidate is in starts; it says Pass, or does so no longer. A Pass is a verdict:
    what gates before it lacked does not count any more."""
    position, course, gate = assessment.position, assessment.position.course, assessment.gate
    if not isinstance(course, Moving):
        return position.revisions
    waiting = gating.waiting(gate)
    anew = course.candidate.anew if waiting is None else None
    known = replace(course.candidate, gate=gating.start_of(gate), waiting=waiting, anew=anew)
    return revs.with_changed(position.revisions, known)


def finished(assessment: Assessment) -> Revisions:
    """The candidate went through all groups, the last one's watch included: it is the stable one from now on. One that
    the spec does not ask for any more is not: nobody wants the fleet to be brought back to it later."""
    position, course = assessment.position, assessment.position.course
    if not isinstance(course, Moving) or course.following is not None or position.unasked:
        return position.revisions
    candidate = course.candidate
    if not assessment.judged_well or assessment.needs_approval:
        return position.revisions
    reason = "gates skipped by annotation" if commands.past_gates(candidate) else _why(assessment, candidate)
    promoted = replace(
        candidate,
        promoted_at=revs.promotion_time(position.revisions, assessment.now),
        promoted_reason=reason,
        passed=(),
        gate=None,
        waiting=None,
        anew=None,
        commands=dict.fromkeys(candidate.commands, commands.NOWHERE),
    )
    return revs.with_changed(position.revisions, promoted)


def retrained(assessment: Assessment) -> Revisions:
    """Somebody asked for a training, and it was created."""
    return retraining.noted(assessment.position)


def passed_on(position: Position) -> Revisions:
    """The candidate is through with the group that it is in, and goes on to the next one."""
    course = position.course
    if not isinstance(course, Moving):
        return position.revisions
    candidate, group = course.candidate, course.current.name
    passed = candidate.passed if group in candidate.passed else (*candidate.passed, group)
    return revs.with_changed(position.revisions, replace(candidate, passed=passed, gate=None, waiting=None, anew=None))


def learned(assessment: Assessment) -> Revisions:
    """The watch for drift knows more nodes' baselines than are kept with the stable revision."""
    position, seen = assessment.position, assessment.position.snapshot.drift
    stable = position.stable
    if seen is None or stable is None or seen.plan.revision != stable.name or seen.baseline == stable.baseline:
        return position.revisions
    return revs.with_changed(position.revisions, replace(stable, baseline=seen.baseline))


CHAIN: tuple[Callable[[Assessment], Revisions], ...] = (
    # What holds no longer.
    taken_back,
    # What people said, before what was found: a command counts in the same look.
    retried,
    let_past,
    approved,
    aborted,
    # What was found: failures before the promotion that they forbid.
    missed_deadline,
    judged_bad,
    begun_again,
    interrupted,
    gated,
    finished,
    # What is kept with the stable revision, once it is known which one that is.
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
    """Quarantine a revision, and its model version unless the template may be at fault.

    The template is at fault where it is all that changed, and may be where nothing ran before.
    """
    failed = next(revision for revision in position.revisions if revision.hash == hash)
    stable = position.stable
    only_template = stable is not None and stable.is_of(failed.model, failed.version)
    unclear = stable is None and cause != Reason.ABORTED
    scope: Scope = "Revision" if only_template or unclear else "Version"
    ended = replace(failed, quarantine=Quarantine(now, cause, reason, scope), gate=None, waiting=None, anew=None)
    return revs.with_changed(position.revisions, ended)
