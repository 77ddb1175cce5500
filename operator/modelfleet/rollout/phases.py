"""What happens now, in one word and one sentence: an ordered chain, each link of which settles it or passes it on.

The order is the policy. The first link that has something to say gives the step: how the rollout is shown (phase,
condition, message), whether the candidate moves into the next group, and when to look again although nothing happens.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from modelfleet import chain
from modelfleet.api.commands import Verb
from modelfleet.api.quantities import format_duration
from modelfleet.api.reasons import Reason
from modelfleet.gate import Verdict
from modelfleet.rollout import commands, gating, groups, handover, windows
from modelfleet.rollout.assessment import Assessment
from modelfleet.rollout.groups import NodeView, Progress
from modelfleet.rollout.position import AtStable, Blocked, GoingBack, Held, Moving, NotBegun
from modelfleet.rollout.revisions import Revision
from modelfleet.rollout.snapshot import GroupState
from modelfleet.times import to_minute, to_second
from modelfleet.wording import counted, ended, sentence

Standing = Literal["Ready", "Degraded", "Reconciling", "Stalled"]


@dataclass(frozen=True)
class Step:
    """The outcome. `standing` becomes the kstatus conditions; `phase` is for display only."""

    phase: str
    standing: Standing
    reason: str
    message: str
    advance: bool = False
    wake: datetime | None = None


def step(assessment: Assessment) -> Step:
    """What happens now."""
    return chain.first(CHAIN, assessment)


def nothing_usable(assessment: Assessment) -> Step | None:
    """Stalled: the spec, or something around it, has to change first."""
    stall = assessment.position.stall
    if stall is None:
        return None
    message = " ".join(filter(None, (stall.message, _meanwhile(assessment), handover.told(assessment.position))))
    return Step("Stalled", "Stalled", stall.reason, message, wake=_next_look(assessment))


def _meanwhile(assessment: Assessment) -> str:
    """What becomes of what was on its way when the spec came to nothing usable, in sentences; "" where nothing was."""
    position, course = assessment.position, assessment.position.course
    if not position.unasked or isinstance(course, Blocked | AtStable):
        return ""
    left = course.candidate if isinstance(course, NotBegun | Moving) else course.chosen
    stable, back = position.stable, commands.hint(position.revisions, Verb.ABORT, left.version)
    what = left.version if stable is None else left.beside(stable)
    if stable is not None and left.is_of(stable.model, stable.version):
        what = f"another template of {what}"
    where = _listed([group for group in position.snapshot.groups if groups.carried(group) == left.hash])
    if isinstance(course, GoingBack):
        why = f"it failed ({course.quarantine.cause}): {ended(course.quarantine.reason)}"
        return f"Meanwhile {what} goes back to {course.stable.beside(left)} in {where}, since {why}"
    out = f" To take it back now: {back}." if stable is not None else ""
    if isinstance(course, Held):
        return f"Meanwhile {what}, which failed, stays in {where}: {ended(course.quarantine.reason)}{out}"
    judged = isinstance(course, Moving) and not assessment.skips_gate
    gate = "its gate goes on, and what fails it is dealt with as ever" if judged else "nothing judges it there"
    return f"Meanwhile {what} stays in {where} and goes no further; {gate}. Choose it again to let it go on.{out}"


def regrouping_waits(assessment: Assessment) -> Step | None:
    """Paused, and nodes would go from one group into another."""
    waiting = handover.told(assessment.position) if assessment.position.frozen else ""
    if not waiting:
        return None
    message = f"Paused: nodes would change their group. Set spec.paused to false to continue. {waiting}"
    return Step("Paused", "Reconciling", Reason.PAUSED, message, wake=_next_look(assessment))


def left_where_it_failed(assessment: Assessment) -> Step | None:
    """Stalled: the chosen revision failed and is not taken back."""
    position, course = assessment.position, assessment.position.course
    if not isinstance(course, Held) or position.unasked:
        return None
    version, quarantine = course.chosen.version, course.quarantine
    again = commands.hint(position.revisions, Verb.RETRY, version)
    if position.stable is None:
        message = (
            f"{version} failed on its first install ({quarantine.reason}). There is nothing to go back to: it stays in "
            f"the groups it has reached. Choose another version, or try again with {again}."
        )
        message = " ".join(filter(None, (message, handover.told(position))))
        return Step("Failed", "Stalled", Reason.INSTALL_FAILED, message)
    back = commands.hint(position.revisions, Verb.ABORT, version)
    message = (
        f"{version} failed and stays in the groups it has reached, since rollback.onFailure is false: "
        f"{quarantine.reason}. Go back with {back}, or try again with {again}."
    )
    return Step("Failed", "Stalled", quarantine.cause, message)


def rolled_back(assessment: Assessment) -> Step | None:
    """Reconciling while the groups go back to stable, Stalled from then on: what the spec asks for has failed."""
    position, course = assessment.position, assessment.position.course
    if not isinstance(course, GoingBack) or position.unasked:
        return None
    version, stable, quarantine = course.chosen.version, course.stable, course.quarantine
    pending = _not_at(assessment, stable)
    why = f"{version} was rolled back ({quarantine.cause}): {quarantine.reason}"
    if pending:
        failed = f"{version} failed ({quarantine.cause}): {quarantine.reason}"
        message = f"Going back to {stable.beside(course.chosen)} in {_listed(pending)}, since {failed}"
        problems = groups.describe(found for progress in assessment.progress for found in progress.problems)
        message = f"{ended(message)} {problems}" if problems else message
        return Step("RollingBack", "Reconciling", Reason.ROLLING_BACK, message, wake=_next_end(assessment))
    again = commands.hint(position.revisions, Verb.RETRY, version)
    runs = stable.beside(course.chosen)
    message = f"{ended(why)} The fleet runs {runs}. Choose another version, or try again with {again}."
    return Step("RolledBack", "Stalled", Reason.ROLLED_BACK, message)


def at_stable(assessment: Assessment) -> Step | None:
    """Ready: the fleet runs what the spec asks for; Reconciling until it does."""
    position, course = assessment.position, assessment.position.course
    if not isinstance(course, AtStable):
        return None
    version, paused = course.stable.version, position.snapshot.rollout.spec.paused
    elsewhere = [
        group
        for group, target in zip(position.snapshot.groups, position.targets, strict=True)
        if target is None or target.hash != course.stable.hash
    ]
    if elsewhere and paused:
        message = f"Paused: {_listed(elsewhere)} would go back to {version}. Set spec.paused to false to continue."
        return Step("Paused", "Reconciling", Reason.PAUSED, message)
    pending = _not_at(assessment, course.stable)
    if pending:
        message = " ".join(filter(None, (f"Bringing {version} to {_listed(pending)}.", handover.told(position))))
        return Step("Progressing", "Reconciling", Reason.PROGRESSING, message, wake=_next_end(assessment))
    return _health(assessment, course.stable)


def _health(assessment: Assessment, stable: Revision) -> Step:
    position = assessment.position
    minimum = position.snapshot.rollout.spec.min_reachable
    nodes = sum(progress.nodes for progress in assessment.progress)
    ready = sum(progress.ready for progress in assessment.progress)
    away = sum(progress.unreachable for progress in assessment.progress)
    message = f"{stable.version} is ready on {ready:,} of {counted(nodes, 'node')}"
    message += f"; {away} unreachable" if away else ""
    problems = groups.describe(found for progress in assessment.progress for found in progress.problems)
    message += f". {problems}" if problems else "."
    poor = [
        group
        for group, progress in zip(position.snapshot.groups, assessment.progress, strict=True)
        if progress.ready < progress.required(minimum)
    ]
    if poor:
        return Step(
            "Degraded", "Degraded", Reason.NODES_NOT_READY, f"Too few nodes are ready in {_listed(poor)}: {message}"
        )
    return Step("Ready", "Ready", Reason.PROMOTED, message)


def not_begun(assessment: Assessment) -> Step | None:
    """The candidate has reached no group yet."""
    course = assessment.position.course
    if not isinstance(course, NotBegun):
        return None
    candidate, following = course.candidate, course.following
    return (
        _waits_to_move(assessment, candidate, following)
        or _replayed(assessment, candidate, following)
        or _move(assessment, candidate, following)
    )


def under_way(assessment: Assessment) -> Step | None:
    """The candidate is in a group."""
    course = assessment.position.course
    return chain.first(UNDER_WAY, assessment, course) if isinstance(course, Moving) else None


def nodes_are_late(assessment: Assessment, moving: Moving) -> Step | None:
    """Stalled: on a first install, nodes that can't become ready. It goes on automatically when they can."""
    if not assessment.late:
        return None
    message = f"{moving.candidate.version} can't be installed everywhere: {assessment.late}."
    return Step("Stalled", "Stalled", Reason.PROGRESS_DEADLINE_EXCEEDED, message, wake=_next_look(assessment))


def refused_by_the_cluster(assessment: Assessment, moving: Moving) -> Step | None:
    """Stalled: nodes can't run the candidate, and it is not at fault. It continues automatically when they can."""
    if not assessment.refused:
        return None
    message = (
        f"{moving.candidate.version} stays where it is: {ended(assessment.refused)} This is not held "
        "against it: it continues automatically once the cluster allows it."
    )
    return Step("Stalled", "Stalled", Reason.CLUSTER_REFUSES, message, wake=_next_look(assessment))


def updating(assessment: Assessment, moving: Moving) -> Step | None:
    """Reconciling: nodes of the current group are not updated and ready."""
    if assessment.done or assessment.judged_well:
        return None
    rollout, here, where = assessment.position.snapshot.rollout, assessment.here, _where(moving)
    if here.nodes == 0:
        return Step("Progressing", "Reconciling", Reason.NO_NODES, _no_nodes(moving.current))
    if here.settled:
        needed = here.required(rollout.spec.min_reachable)
        message = (
            f"{where}: ready on all {here.nodes - here.unreachable} reachable nodes; {max(1, needed)} of "
            f"{counted(here.nodes, 'node')} required before it continues (minReachable {rollout.spec.min_reachable})."
        )
        return Step("Progressing", "Reconciling", Reason.NODES_UNREACHABLE, message, wake=_next_look(assessment))
    problems = groups.describe(found for _, progress in assessment.moving for found in progress.problems)
    message = f"{where}: {_counts(here)}" + (f". {problems}" if problems else ".")
    if assessment.missing:
        message += f" {sentence(assessment.no_pod)}"
    if moving_over := handover.told(assessment.position):
        message += f" {moving_over}"
    return Step("Progressing", "Reconciling", Reason.PROGRESSING, message, wake=_next_look(assessment))


def nobody_can_see(assessment: Assessment, moving: Moving) -> Step | None:
    """Reconciling, held: the gate has nothing to judge by. Says since when, and why."""
    if assessment.verdict not in gating.HOLDS or assessment.gate is None:
        return None
    since = f"since {to_second(assessment.gate.since)}" if assessment.gate.since else ""
    message = f"{_where(moving)} has been on hold {since}: {assessment.gate.message}"
    held = Reason.NO_DATA if assessment.verdict is Verdict.NO_DATA else Reason.PROVIDER_DOWN
    return Step("Holding", "Reconciling", held, message, wake=_next_look(assessment))


def never_anything_to_go_by(assessment: Assessment, moving: Moving) -> Step | None:
    """Stalled: one gate after the other ended without figures, though there were some in between."""
    if not assessment.in_vain or assessment.gate is None:
        return None
    position, version = assessment.position, moving.candidate.version
    go, back, again = (
        commands.hint(position.revisions, verb, version) for verb in (Verb.PROMOTE, Verb.ABORT, Verb.RETRY)
    )
    message = (
        f"{_where(moving)}: {1 + gating.MOST_ANEW} gates in a row had nothing to go by, and no other one begins. "
        f"Fix the scraping and start over with {back} and then {again}; or promote it unjudged with {go}. "
        f"{assessment.gate.message}"
    )
    return Step("Paused", "Stalled", Reason.GATE_TIMED_OUT, message, wake=_next_look(assessment))


def undecided_for_good(assessment: Assessment, moving: Moving) -> Step | None:
    """Stalled: the gate came to no verdict in time, and the policy says to ask."""
    position, candidate = assessment.position, moving.candidate
    if not assessment.timed_out or assessment.gate is None:
        return None
    go = commands.hint(position.revisions, Verb.PROMOTE, candidate.version)
    back = commands.hint(position.revisions, Verb.ABORT, candidate.version)
    message = f"{assessment.gate.message} Decide yourself: {go}, or {back}."
    return Step("Paused", "Stalled", Reason.GATE_TIMED_OUT, message)


def being_judged(assessment: Assessment, moving: Moving) -> Step | None:
    """Reconciling: the gate has not said Pass yet."""
    if assessment.judged_well:
        return None
    policy = gating.policy(assessment.position, moving)
    if assessment.gate is None or assessment.gate.message is None:
        message = f"{_where(moving)} is judged from now on, for {format_duration(policy.soak)} at least."
        message = " ".join(filter(None, (message, gating.anew(moving))))
    else:
        message = assessment.gate.message
    return Step("Soaking", "Reconciling", Reason.SOAKING, message, wake=_next_look(assessment))


def asks(assessment: Assessment, moving: Moving) -> Step | None:
    """Reconciling: somebody must approve."""
    if not assessment.needs_approval:
        return None
    version = moving.candidate.version
    hint = commands.hint(assessment.position.revisions, Verb.APPROVE, version)
    why = f" {assessment.gate.message}" if assessment.gate is not None and assessment.gate.message else ""
    message = f"{version} is awaiting approval to leave group {moving.current.name}: annotate with {hint}.{why}"
    return Step("WaitingForApproval", "Reconciling", Reason.WAITING_FOR_APPROVAL, message, wake=_next_look(assessment))


def moving_on(assessment: Assessment, moving: Moving) -> Step:
    """The current group is through: into the next one, when that may start."""
    candidate, following = moving.candidate, moving.following
    if following is None:
        raise ValueError("a candidate that is through the last group is promoted (transitions.py), and goes nowhere")
    return _waits_to_move(assessment, candidate, following) or _move(assessment, candidate, following)


CHAIN: tuple[Callable[[Assessment], Step | None], ...] = (
    # What failed goes first: it is taken back whatever else stands in the way.
    left_where_it_failed,
    rolled_back,
    # Nothing is on its way.
    nothing_usable,
    regrouping_waits,
    at_stable,
    not_begun,
    # The candidate is on its way through the groups.
    under_way,
)

UNDER_WAY: tuple[Callable[[Assessment, Moving], Step | None], ...] = (
    # The candidate is in a group, and its nodes are not done.
    nodes_are_late,
    refused_by_the_cluster,
    updating,
    # They are, and the gate speaks: that it can't see, that it came to no verdict in time, that it needs longer.
    never_anything_to_go_by,
    nobody_can_see,
    undecided_for_good,
    being_judged,
    # The gate has passed it.
    asks,
    moving_on,
)


def _waits_to_move(assessment: Assessment, candidate: Revision, following: GroupState) -> Step | None:
    """Paused, or outside all windows."""
    position = assessment.position
    what = f"{candidate.version} would go into group {following.name}"
    if position.snapshot.rollout.spec.paused:
        message = f"Paused: {what} now. Set spec.paused to false to continue."
        return Step("Paused", "Reconciling", Reason.PAUSED, message, wake=_next_look(assessment))
    opening = windows.opens(position.snapshot.rollout.spec.windows, assessment.now)
    if opening > assessment.now:
        message = f"{what} when the next window opens, at {to_minute(opening)}."
        wake = _soonest(opening, _next_look(assessment))
        return Step("WaitingForWindow", "Reconciling", Reason.WAITING_FOR_WINDOW, message, wake=wake)
    return None


def _replayed(assessment: Assessment, candidate: Revision, following: GroupState) -> Step | None:
    """Its replay goes on, and is waited for."""
    replay = assessment.replay
    if replay.until is None or replay.status is None:
        return None
    message = f"{candidate.version} enters group {following.name} after its replay. {replay.status.message}"
    return Step("Replaying", "Reconciling", Reason.REPLAYING, message, wake=replay.until)


def _move(assessment: Assessment, candidate: Revision, following: GroupState) -> Step:
    """Into the next group."""
    message = f"{candidate.version} is entering group {following.name}."
    before = assessment.progress[: assessment.position.reached]
    if not following.nodes and not any(earlier.sampled for earlier in before):
        return Step("Progressing", "Reconciling", Reason.NO_NODES, f"{message} {_no_nodes(following)}", advance=True)
    return Step("Progressing", "Reconciling", Reason.PROGRESSING, message, advance=True)


def _no_nodes(group: GroupState) -> str:
    todo = "Remove it, or tolerate it in spec.template" if group.kept_off else "Label a node"
    return f"Group {group.name} has no node: {groups.why_empty(group)}. Nothing is judged without one. {todo}."


def _next_look(assessment: Assessment) -> datetime | None:
    """When the gate is to be looked at again."""
    course = assessment.position.course
    if not isinstance(course, Moving) or assessment.gate is None or assessment.gate.started_at is None:
        return None
    if assessment.judgement is not None:
        return assessment.judgement.next_look
    plan = gating.plan(assessment.position, course, assessment.gate.started_at, assessment.gate.production)
    return _soonest(plan.next_look(assessment.now), max(assessment.now, assessment.gate.started_at + plan.policy.soak))


def _not_at(assessment: Assessment, revision: Revision) -> list[GroupState]:
    """Groups that have other things running on reachable nodes.

    A node that has just joined does not count, nor one with a pod that should be gone by now and is not. With maxSurge
    the old pod runs on beside the one of the revision until that is ready.
    """
    return [
        group
        for group, progress in zip(assessment.position.snapshot.groups, assessment.progress, strict=True)
        if groups.carried(group) != revision.hash
        or any(_to_be_replaced(view, assessment.now) for view in progress.views)
    ]


def _to_be_replaced(view: NodeView, now: datetime) -> bool:
    if not view.node.reachable:
        return False
    if view.occupied:
        return True
    if view.current is not None:
        return view.keeps_old
    return any(pod.ends is None or pod.ends > now for pod in view.others)


def _next_end(assessment: Assessment) -> datetime | None:
    """When the next pod that is being deleted should be gone, or one that is missing should be there."""
    ends = [pod.ends for progress in assessment.progress for view in progress.views for pod in view.others]
    ends += [progress.next_missing(assessment.now) for progress in assessment.progress]
    return min((end for end in ends if end is not None and end > assessment.now), default=None)


def _where(moving: Moving) -> str:
    return f"{moving.candidate.version} in group {moving.current.name}"


def _counts(progress: Progress) -> str:
    told = f"{progress.updated:,} of {counted(progress.nodes, 'node')} updated, {progress.ready:,} ready"
    return told + (f", {progress.unreachable} unreachable" if progress.unreachable else "")


def _listed(listed: list[GroupState]) -> str:
    word = "group" if len(listed) == 1 else "groups"
    return f"{word} {', '.join(group.name for group in listed)}"


def _soonest(*moments: datetime | None) -> datetime | None:
    return min((moment for moment in moments if moment is not None), default=None)
