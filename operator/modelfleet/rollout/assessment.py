"""One rollout at one moment, with what follows from it: what the chains in transitions.py and phases.py look at."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from modelfleet.api import conditions
from modelfleet.api.reasons import ConditionType
from modelfleet.api.rolloutstatus import GateStatus
from modelfleet.gate import Judgement, Verdict
from modelfleet.rollout import architectures, commands, fault, gating, groups, manifests, reviewed
from modelfleet.rollout.groups import NodeView, Progress
from modelfleet.rollout.position import Moving, Position
from modelfleet.rollout.replay import outcome as replays
from modelfleet.rollout.snapshot import Snapshot
from modelfleet.wording import listed

_FOR_WORDS = timedelta(seconds=10)
"""After so long the DaemonSet controller's Event should be there that says why it creates no pod."""


@dataclass(frozen=True)
class Assessment:
    """A position and the time."""

    position: Position
    now: datetime

    @cached_property
    def progress(self) -> tuple[Progress, ...]:
        """How far each group is with the revision that it carries."""
        return tuple(groups.progress(group, groups.carried(group)) for group in self.position.snapshot.groups)

    @property
    def here(self) -> Progress:
        """How far the group is that the candidate is in. There must be one."""
        return self.progress[self.position.reached - 1]

    @cached_property
    def replay(self) -> replays.Outcome:
        """What comes of the candidate's replay."""
        return replays.look(self.position, self.now)

    @cached_property
    def latched(self) -> GateStatus | None:
        """The gate as it was left by the last look; None before it starts."""
        return gating.started(self.position)

    @property
    def judgement(self) -> Judgement | None:
        """What the gate says now."""
        return self.position.snapshot.judgement if self.latched is not None else None

    @cached_property
    def gate(self) -> GateStatus | None:
        """The gate's status after this look; a gate that starts now starts at `now`."""
        course = self.position.course
        if not isinstance(course, Moving) or self.skips_gate:
            return None
        if not self.here.nodes and (last := self.latched or gating.interrupted(self.position)) is not None:
            return gating.unseen(last, self.now)
        if self.latched is not None:
            more = " ".join(filter(None, (architectures.unseen(self.position, course), gating.anew(course))))
            return gating.judged(self.latched, course.candidate.version, self.judgement, self.now, more)
        if not self.done:
            return None
        return GateStatus(
            group=course.current.name,
            version=course.candidate.version,
            started_at=self.now,
            production=reviewed.production(self.position),
        )

    @property
    def verdict(self) -> Verdict | None:
        """The gate's verdict; None before the first."""
        return Verdict(self.gate.verdict.value) if self.gate is not None and self.gate.verdict is not None else None

    @property
    def timed_out(self) -> bool:
        """The gate came to no verdict in time, and will not any more."""
        return self.judgement is not None and self.judgement.timed_out and self.verdict is Verdict.INCONCLUSIVE

    @property
    def in_vain(self) -> bool:
        """The gate has ended without anything to go by as often as it may begin again, and will not any more."""
        course, plan = self.position.course, gating.active(self.position)
        if plan is None or not isinstance(course, Moving) or self.verdict is not Verdict.NO_DATA:
            return False
        return gating.in_vain(course) and plan.timed_out(self.now)

    @property
    def done(self) -> bool:
        """The current group is done: all reachable nodes updated and ready, and enough of all of them."""
        minimum = self.position.snapshot.rollout.spec.min_reachable
        return isinstance(self.position.course, Moving) and self.here.done(minimum)

    @property
    def empty(self) -> bool:
        """The current group has no nodes, and an earlier one had some: there is nothing here to wait for."""
        return (
            isinstance(self.position.course, Moving)
            and self.here.nodes == 0
            and any(earlier.sampled for earlier in self.progress[: self.position.reached - 1])
        )

    @property
    def skips_gate(self) -> bool:
        """Nothing is to be judged in this group: it is empty, or somebody let the candidate pass."""
        return self.empty or (self.position.candidate is not None and commands.past_gates(self.position.candidate))

    @property
    def judged_well(self) -> bool:
        """The current group is done and its gate says Pass, or nothing had to be judged."""
        if self.empty or (self.skips_gate and self.here.nodes == 0):
            return True
        return self.done and (self.skips_gate or self.verdict is Verdict.PASS)

    @property
    def needs_approval(self) -> bool:
        """The current group is Manual, and nobody said yet that the candidate may leave it."""
        course = self.position.course
        if not isinstance(course, Moving) or course.current.spec.approval != "Manual":
            return False
        return not commands.past_gates(course.candidate) and not commands.approved(
            course.candidate, course.current.name
        )

    @cached_property
    def moving(self) -> tuple[tuple[str, Progress], ...]:
        """(name, progress) of the groups that carry the candidate."""
        candidate = self.position.candidate
        if candidate is None:
            return ()
        return tuple(
            (group.name, progress)
            for group, progress in zip(self.position.snapshot.groups, self.progress, strict=True)
            if groups.carried(group) == candidate.hash
        )

    @cached_property
    def overdue(self) -> tuple[NodeView, ...]:
        """Reachable nodes that have not become ready on the candidate within the progress deadline."""
        if self._retried_just_now:
            return ()
        deadline = self.position.snapshot.rollout.spec.progress_deadline
        return tuple(view for _, progress in self.moving for view in progress.overdue(deadline, self.now))

    @property
    def _retried_just_now(self) -> bool:
        """A quarantine was lifted less than a progress deadline ago: what was late before is not late yet. One that is
        further ahead than that was written by a clock that was wrong."""
        candidate = self.position.candidate
        if candidate is None or candidate.retried_at is None:
            return False
        return abs(self.now - candidate.retried_at) < self.position.snapshot.rollout.spec.progress_deadline

    @cached_property
    def missing(self) -> tuple[str, ...]:
        """Reachable nodes of groups with the candidate for which no pod of it is made."""
        return tuple(name for _, progress in self.moving for name in progress.missing(self.now))

    @property
    def missing_since(self) -> datetime:
        """Since when pods are missing without a break, as the status has it."""
        known = conditions.find(self.position.snapshot.rollout.status.conditions, ConditionType.PODS_MISSING)
        since = known.last_transition_time if known is not None else None
        return since or self.now

    @property
    def missing_too_long(self) -> bool:
        """Pods have been missing for longer than the progress deadline."""
        deadline = self.position.snapshot.rollout.spec.progress_deadline
        return bool(self.missing) and not self._retried_just_now and self.now - self.missing_since >= deadline

    @property
    def next_deadline(self) -> datetime | None:
        """When the next node will be late, if nothing changes."""
        candidate, deadline = self.position.candidate, self.position.snapshot.rollout.spec.progress_deadline
        coming = [moment for _, p in self.moving if (moment := p.next_overdue(deadline, self.now)) is not None]
        coming += [moment for _, p in self.moving if (moment := p.next_missing(self.now)) is not None]
        if self.missing:
            coming.append(self.missing_since + deadline)
            if any(not self.position.snapshot.no_pod.get(name) for name, p in self.moving if p.missing(self.now)):
                coming.append(self.now + _FOR_WORDS)
        if candidate is not None and candidate.retried_at is not None:
            coming.append(candidate.retried_at + deadline)
        return min((moment for moment in coming if moment > self.now), default=None)

    @property
    def late(self) -> str:
        """Which nodes missed the progress deadline by what may be the candidate's fault, and why; "" if none."""
        return _late(view for view in self.overdue if not _is_clusters(view))

    @property
    def refused(self) -> str:
        """What the cluster has kept the candidate from for longer than the progress deadline; "" where nothing."""
        said = [_late(view for view in self.overdue if _is_clusters(view))]
        if self.missing_too_long:
            said.append(self.no_pod)
        return "; ".join(filter(None, said))

    @property
    def no_pod(self) -> str:
        """For which nodes of the candidate's groups no pod is created, and why; "" where none is missing."""
        snapshot = self.position.snapshot
        told = [
            f"no pod was created on {listed(missing)}: "
            + (snapshot.no_pod.get(name) or f"see the events of DaemonSet {_daemon_set(snapshot, name)}")
            for name, progress in self.moving
            if (missing := progress.missing(self.now))
        ]
        return "; ".join(told)


def _is_clusters(view: NodeView) -> bool:
    problem = view.problem_if_late
    return problem is not None and fault.is_clusters(problem)


def _late(views: Iterable[NodeView]) -> str:
    found = sorted(views, key=lambda view: view.node.name)
    if not found:
        return ""
    why = groups.describe((view.node.name, problem) for view in found if (problem := view.problem_if_late) is not None)
    nodes = listed(view.node.name for view in found)
    return f"not ready within the progress deadline: {nodes}" + (f" ({why})" if why else "")


def _daemon_set(snapshot: Snapshot, group: str) -> str:
    return manifests.daemon_set_name(snapshot.rollout.metadata.name, group)
