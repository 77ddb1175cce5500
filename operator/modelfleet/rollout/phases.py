"""What happens now, in one word and one sentence: an ordered chain, each link of which settles it or passes it on.

The order is the policy. The first link that has something to say gives the step: how the rollout is shown (phase,
condition, message), whether the candidate moves into the next group, and when to look again although nothing happens.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from modelfleet.api.commands import Verb
from modelfleet.api.quantities import format_duration
from modelfleet.api.reasons import Reason
from modelfleet.gate import Verdict
from modelfleet.rollout import commands, gating, groups, windows
from modelfleet.rollout.assessment import Assessment
from modelfleet.rollout.groups import NodeView, Progress
from modelfleet.rollout.revisions import Revision
from modelfleet.rollout.snapshot import GroupState
from modelfleet.times import to_minute, to_second
from modelfleet.wording import listed

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
    return next(found for link in CHAIN if (found := link(assessment)) is not None)


def nothing_usable(assessment: Assessment) -> Step | None:
    """Stalled: the spec, or something around it, has to change first."""
    stall = assessment.position.stall
    return (
        None if stall is None else Step("Stalled", "Stalled", stall.reason, stall.message, wake=_next_look(assessment))
    )


def left_where_it_failed(assessment: Assessment) -> Step | None:
    """Stalled: the chosen revision failed and is not taken back."""
    position = assessment.position
    if position.quarantine is None or position.chosen is None or not position.held:
        return None
    version, quarantine = position.chosen.version, position.quarantine
    again = commands.hint(position.revisions, Verb.RETRY, version)
    if position.stable is None:
        message = (
            f"{version} failed on its first install ({quarantine.reason}). There is nothing to go back to: it stays in "
            f"the groups it has reached. Choose another version, or try again with {again}."
        )
        return Step("Failed", "Stalled", Reason.INSTALL_FAILED, message)
    back = commands.hint(position.revisions, Verb.ABORT, version)
    message = (
        f"{version} failed and stays in the groups it has reached, since rollback.onFailure is false: "
        f"{quarantine.reason}. Go back with {back}, or try again with {again}."
    )
    return Step("Failed", "Stalled", quarantine.cause, message)


def rolled_back(assessment: Assessment) -> Step | None:
    """Reconciling while the groups go back to stable, Stalled from then on: what the spec asks for has failed."""
    position = assessment.position
    if position.quarantine is None or position.chosen is None or position.stable is None:
        return None
    version, stable, quarantine = position.chosen.version, position.stable, position.quarantine
    pending = _not_at(assessment, stable)
    why = f"{version} was rolled back ({quarantine.cause}): {quarantine.reason}"
    if pending:
        failed = f"{version} failed ({quarantine.cause}): {quarantine.reason}"
        message = f"Going back to {stable.version} in {_listed(pending)}, since {failed}"
        return Step("RollingBack", "Reconciling", Reason.ROLLING_BACK, message, wake=_next_end(assessment))
    again = commands.hint(position.revisions, Verb.RETRY, version)
    message = f"{_ended(why)} The fleet runs {stable.version}. Choose another version, or try again with {again}."
    return Step("RolledBack", "Stalled", Reason.ROLLED_BACK, message)


def at_stable(assessment: Assessment) -> Step | None:
    """Ready: the fleet runs what the spec asks for; Reconciling until it does."""
    position = assessment.position
    if not position.at_stable or position.stable is None:
        return None
    version, paused = position.stable.version, position.snapshot.rollout.spec.paused
    elsewhere = [
        group
        for group, target in zip(position.snapshot.groups, position.targets, strict=True)
        if target is None or target.hash != position.stable.hash
    ]
    if elsewhere and paused:
        message = f"Paused: {_listed(elsewhere)} would go back to {version}. Set spec.paused to false to go on."
        return Step("Paused", "Reconciling", Reason.PAUSED, message)
    pending = _not_at(assessment, position.stable)
    if pending:
        message = f"Bringing {version} to {_listed(pending)}."
        return Step("Progressing", "Reconciling", Reason.PROGRESSING, message, wake=_next_end(assessment))
    return _health(assessment, position.stable)


def _health(assessment: Assessment, stable: Revision) -> Step:
    position = assessment.position
    minimum = position.snapshot.rollout.spec.min_reachable
    nodes = sum(progress.nodes for progress in assessment.progress)
    ready = sum(progress.ready for progress in assessment.progress)
    away = sum(progress.unreachable for progress in assessment.progress)
    message = f"{stable.version} is ready on {ready} of {_count(nodes)}" + (f"; {away} unreachable" if away else "")
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
    position = assessment.position
    if position.reached or position.candidate is None:
        return None
    return _waits_to_move(assessment) or _move(assessment)


def nodes_are_late(assessment: Assessment) -> Step | None:
    """Stalled: on a first install, nodes that can't become ready. It goes on automatically when they can."""
    if not assessment.late or assessment.position.candidate is None:
        return None
    message = f"{assessment.position.candidate.version} can't be installed everywhere: {assessment.late}."
    return Step("Stalled", "Stalled", Reason.PROGRESS_DEADLINE_EXCEEDED, message, wake=_next_look(assessment))


def updating(assessment: Assessment) -> Step | None:
    """Reconciling: nodes of the current group are not updated and ready."""
    position, candidate, current = assessment.position, assessment.position.candidate, assessment.position.current
    if candidate is None or current is None or assessment.done or assessment.judged_well:
        return None
    rollout, here = position.snapshot.rollout, assessment.here
    where = f"{candidate.version} in group {current.name}"
    if here.nodes == 0:
        return Step("Progressing", "Reconciling", Reason.NO_NODES, _no_nodes(current))
    if here.settled:
        needed = here.required(rollout.spec.min_reachable)
        message = (
            f"{where}: ready on all {here.nodes - here.unreachable} nodes that can be reached; {max(1, needed)} of "
            f"{_count(here.nodes)} must be before it goes on (minReachable {rollout.spec.min_reachable})."
        )
        return Step("Progressing", "Reconciling", Reason.NODES_UNREACHABLE, message, wake=_next_look(assessment))
    problems = groups.describe(found for _, progress in assessment.moving for found in progress.problems)
    message = f"{where}: {_counts(here)}" + (f". {problems}" if problems else ".")
    if assessment.missing:
        message += f" No pod on {listed(assessment.missing)}."
    return Step("Progressing", "Reconciling", Reason.PROGRESSING, message, wake=_next_look(assessment))


def nobody_can_see(assessment: Assessment) -> Step | None:
    """Reconciling, held: the gate has nothing to judge by. Says since when, and why."""
    if assessment.verdict not in gating.HOLDS or assessment.gate is None or assessment.position.candidate is None:
        return None
    since = f"since {to_second(assessment.gate.since)}" if assessment.gate.since else ""
    message = f"{_where(assessment)} has been on hold {since}: {assessment.gate.message}"
    held = Reason.NO_DATA if assessment.verdict is Verdict.NO_DATA else Reason.PROVIDER_DOWN
    return Step("Holding", "Reconciling", held, message, wake=_next_look(assessment))


def undecided_for_good(assessment: Assessment) -> Step | None:
    """Stalled: the gate came to no verdict in time, and the policy says to ask."""
    position, candidate = assessment.position, assessment.position.candidate
    if not assessment.timed_out or candidate is None or assessment.gate is None:
        return None
    go = commands.hint(position.revisions, Verb.PROMOTE, candidate.version)
    back = commands.hint(position.revisions, Verb.ABORT, candidate.version)
    message = f"{assessment.gate.message} Decide yourself: {go}, or {back}."
    return Step("Paused", "Stalled", Reason.GATE_TIMED_OUT, message)


def being_judged(assessment: Assessment) -> Step | None:
    """Reconciling: the gate has not said Pass yet."""
    if assessment.judged_well:
        return None
    policy = gating.policy(assessment.position)
    if assessment.gate is None or assessment.gate.message is None:
        message = f"{_where(assessment)} is judged from now on, for {format_duration(policy.soak)} at least."
    else:
        message = assessment.gate.message
    return Step("Soaking", "Reconciling", Reason.SOAKING, message, wake=_next_look(assessment))


def asks(assessment: Assessment) -> Step | None:
    """Reconciling: somebody must approve."""
    position, candidate, current = assessment.position, assessment.position.candidate, assessment.position.current
    if not assessment.needs_approval or candidate is None or current is None:
        return None
    hint = commands.hint(position.revisions, Verb.APPROVE, candidate.version)
    why = f" {assessment.gate.message}" if assessment.gate is not None and assessment.gate.message else ""
    message = f"{candidate.version} is awaiting approval to leave group {current.name}: annotate with {hint}.{why}"
    return Step("WaitingForApproval", "Reconciling", Reason.WAITING_FOR_APPROVAL, message, wake=_next_look(assessment))


def moving_on(assessment: Assessment) -> Step:
    """The current group is through: into the next one, when that may start."""
    return _waits_to_move(assessment) or _move(assessment)


CHAIN: tuple[Callable[[Assessment], Step | None], ...] = (
    left_where_it_failed,
    rolled_back,
    nothing_usable,
    at_stable,
    not_begun,
    nodes_are_late,
    updating,
    nobody_can_see,
    undecided_for_good,
    being_judged,
    asks,
    moving_on,
)


def _waits_to_move(assessment: Assessment) -> Step | None:
    """Paused, or outside all windows."""
    position, candidate, following = assessment.position, assessment.position.candidate, assessment.position.next_group
    if candidate is None or following is None:
        return None
    what = f"{candidate.version} would go into group {following.name}"
    if position.snapshot.rollout.spec.paused:
        message = f"Paused: {what} now. Set spec.paused to false to go on."
        return Step("Paused", "Reconciling", Reason.PAUSED, message, wake=_next_look(assessment))
    opening = windows.opens(position.snapshot.rollout.spec.windows, assessment.now)
    if opening is None:
        message = f"{what}, but no window of spec.windows ever opens."
        return Step("WaitingForWindow", "Stalled", Reason.NO_WINDOW, message)
    if opening > assessment.now:
        message = f"{what} when the next window opens, at {to_minute(opening)}."
        wake = _soonest(opening, _next_look(assessment))
        return Step("WaitingForWindow", "Reconciling", Reason.WAITING_FOR_WINDOW, message, wake=wake)
    return None


def _move(assessment: Assessment) -> Step:
    """Into the next group."""
    position = assessment.position
    candidate, following = position.candidate, position.next_group
    if candidate is None or following is None:
        raise ValueError("nothing moves without a candidate and a next group")
    message = f"{candidate.version} goes into group {following.name}."
    reached, group = position.reached, position.snapshot.groups[position.reached]
    if not group.nodes and not any(earlier.sampled for earlier in assessment.progress[:reached]):
        return Step("Progressing", "Reconciling", Reason.NO_NODES, f"{message} {_no_nodes(group)}", advance=True)
    return Step("Progressing", "Reconciling", Reason.PROGRESSING, message, advance=True)


def _no_nodes(group: GroupState) -> str:
    return f"No node matches group {group.name}{_shadowed(group)}; nothing is judged without one. Label a node."


def _next_look(assessment: Assessment) -> datetime | None:
    """When the gate is to be looked at again."""
    if assessment.gate is None or assessment.gate.started_at is None:
        return None
    if assessment.judgement is not None:
        return assessment.judgement.next_look
    plan = gating.plan(assessment.position, assessment.gate.started_at)
    return _soonest(plan.next_look(assessment.now), max(assessment.now, assessment.gate.started_at + plan.policy.soak))


def _not_at(assessment: Assessment, revision: Revision) -> list[GroupState]:
    """Groups that have other things running on reachable nodes.

    A node that has just joined does not count, nor one with a pod that should be gone by now and is not.
    """
    return [
        group
        for group, progress in zip(assessment.position.snapshot.groups, assessment.progress, strict=True)
        if groups.carried(group) != revision.hash
        or any(_to_be_replaced(view, assessment.now) for view in progress.views)
    ]


def _to_be_replaced(view: NodeView, now: datetime) -> bool:
    if not view.node.reachable or view.current is not None:
        return False
    return any(pod.ends is None or pod.ends > now for pod in view.others)


def _next_end(assessment: Assessment) -> datetime | None:
    """When the next pod that is being deleted should be gone."""
    ends = [pod.ends for progress in assessment.progress for view in progress.views for pod in view.others]
    return min((end for end in ends if end is not None and end > assessment.now), default=None)


def _where(assessment: Assessment) -> str:
    candidate, current = assessment.position.candidate, assessment.position.current
    return f"{candidate.version if candidate else ''} in group {current.name if current else ''}"


def _counts(progress: Progress) -> str:
    told = f"{progress.updated} of {_count(progress.nodes)} updated, {progress.ready} ready"
    return told + (f", {progress.unreachable} unreachable" if progress.unreachable else "")


def _count(nodes: int) -> str:
    return f"{nodes} node" if nodes == 1 else f"{nodes} nodes"


def _listed(listed: list[GroupState]) -> str:
    word = "group" if len(listed) == 1 else "groups"
    return f"{word} {', '.join(group.name for group in listed)}"


def _shadowed(group: GroupState) -> str:
    return f" (all {group.shadowed} that it selects belong to earlier groups)" if group.shadowed else ""


def _ended(text: str) -> str:
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."


def _soonest(*moments: datetime | None) -> datetime | None:
    return min((moment for moment in moments if moment is not None), default=None)
