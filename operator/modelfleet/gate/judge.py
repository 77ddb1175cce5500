"""The judgement: an ordered chain of small pure functions, each of which settles the verdict or passes the question on.

The order is the policy. What is proven bad comes first, since one broken query must not hide it; then what can't be
known; then what isn't known yet; and only what is left after all of them is a Pass.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from modelfleet import chain
from modelfleet.api.gatespec import Verdict
from modelfleet.gate import messages
from modelfleet.gate.cause import Cause
from modelfleet.gate.comparison import Compared, asides, basis, compare
from modelfleet.gate.evidence import Evidence
from modelfleet.gate.judgement import Judgement
from modelfleet.gate.plan import CONSECUTIVE, Plan
from modelfleet.measurement.node_table import Table
from modelfleet.times import clock
from modelfleet.wording import counted

Finding = tuple[Verdict, Cause, str]

_NOTHING_MOVES = "Nothing is promoted or rolled back."


@dataclass(frozen=True)
class Case:
    """All that the links of the chain look at."""

    plan: Plan
    evidence: Evidence
    now: datetime

    @cached_property
    def compared(self) -> Compared | None:
        """The comparison; None where there is none to make, or nothing was looked at yet."""
        comparison = self.plan.policy.comparison
        return None if comparison is None else compare(self.plan, comparison, self.evidence)

    @property
    def newest(self) -> Table | None:
        """What the newest look saw."""
        return self.evidence.looks[-1].table if self.evidence.looks else None

    @property
    def looks(self) -> int:
        """Looks made so far."""
        return max(0, self.plan.newest_look(self.now) - self.plan.first_look + 1)

    @property
    def subject(self) -> str:
        """What is judged, for a message."""
        return f"{self.plan.candidate_version} on group {self.plan.group}"

    def message(self, *parts: str) -> str:
        """A message that ends with what it rests on and what must be known about it."""
        if self.compared is not None:
            return messages.sentence(*parts, messages.backends(self.evidence.backends), self.compared.basis)
        return messages.sentence(*parts, "" if self.newest is None else basis(self.newest))


def judge(plan: Plan, evidence: Evidence, now: datetime) -> Judgement:
    """The verdict at `now`. Pure: the same plan, evidence and moment give the same judgement.

    Pass     every check fine, the comparison shows the version no worse, and the soak elapsed
    Fail     a check over its failureLimit, or the comparison shows the version worse
    Without control nodes (first install, last group) the checks and the soak decide, and the message says so; but where
    a comparison was asked for, figures of the group must have been seen: nothing passes on zero samples.
    """
    case = Case(plan, evidence, now)
    verdict, reason, message = chain.first(CHAIN, case)
    timed_out = verdict is Verdict.INCONCLUSIVE and plan.timed_out(now)
    if timed_out:
        waited = messages.span(plan.policy.deadline)
        reason, message = Cause.TIMED_OUT, messages.sentence(f"No verdict on {case.subject} after {waited}.", message)
    found, newest = case.compared, case.newest
    seen = None if newest is None else newest.canary
    return Judgement(
        verdict=verdict,
        reason=reason,
        message=message,
        looks=case.looks,
        canary_nodes=found.canary_nodes if found is not None else 0 if seen is None else len(seen.nodes),
        control_nodes=found.control_nodes if found is not None else 0,
        detections=found.detections if found is not None else 0 if seen is None else seen.detections,
        method=_method(case),
        next_look=_next(case, verdict),
        endpoints=() if found is None else found.endpoints,
        aside=found.aside if found is not None else () if newest is None else asides(newest),
        timed_out=timed_out,
        again=verdict is Verdict.NO_DATA and evidence.again,
    )


def failed_check(case: Case) -> Finding | None:
    """Fail: a check was outside its bounds more often than it may be."""
    failed = [outcome for outcome in case.evidence.checks if outcome.failed]
    if not failed:
        return None
    details = " ".join(messages.check_failure(outcome) for outcome in failed)
    return Verdict.FAIL, Cause.CHECK_FAILED, case.message(f"{case.subject} failed.", details)


def worse(case: Case) -> Finding | None:
    """Fail: the comparison shows one endpoint to be worse."""
    found = case.compared
    if found is None or found.worse is None:
        return None
    what = "finds less than" if found.worse == Cause.FINDS_LESS else "is less precise than"
    said = f"{case.subject} {what} {case.plan.stable_version} ({found.by})."
    return Verdict.FAIL, found.worse, case.message(said, found.figures)


def too_early(case: Case) -> Finding | None:
    """Inconclusive: nothing was looked at yet, and there is something to look at."""
    policy, plan = case.plan.policy, case.plan
    if case.looks or (policy.comparison is None and not policy.checks):
        return None
    due = clock(plan.look_time(plan.first_look) + plan.settle)
    return Verdict.INCONCLUSIVE, Cause.WAITING, f"The first look at {case.subject} is at {due}."


def provider_down(case: Case) -> Finding | None:
    """ProviderDown: a query has no answer, or its author must fix it."""
    if case.evidence.down is not None:
        message = f"{case.subject} can't be compared: {case.evidence.down.message}."
        return Verdict.PROVIDER_DOWN, Cause.PROVIDER_DOWN, messages.sentence(message, _NOTHING_MOVES)
    for outcome in case.evidence.checks:
        if outcome.down is not None:
            reason = Cause.BAD_QUERY if outcome.down.bad_query else Cause.PROVIDER_DOWN
            message = f"Check {outcome.check.name} can't be evaluated: {outcome.down.message}."
            return Verdict.PROVIDER_DOWN, reason, messages.sentence(message, _NOTHING_MOVES)
    return None


def no_figures(case: Case) -> Finding | None:
    """NoData (at first: Inconclusive): a comparison was asked for, and there is nothing to go by."""
    if case.plan.policy.comparison is None or case.newest is None:
        return None
    found = case.compared
    if found is not None:
        if found.problem is None or not found.problem.missing:
            return None
        reason, message, lasting = found.problem.reason, found.problem.message, found.lasting
    elif case.newest.canary.nodes:
        return None
    else:
        reason, message = Cause.NO_NODES, f"no usable node in group {case.plan.group}"
        lasting = case.looks >= CONSECUTIVE
    verdict = Verdict.NO_DATA if lasting else Verdict.INCONCLUSIVE
    said = f"{case.subject} can't be judged{'' if lasting else ' yet'}: {message}."
    return verdict, reason, case.message(said, _whereabouts(case, case.newest))


def no_values(case: Case) -> Finding | None:
    """NoData (at first: Inconclusive): a check's query is well, and gives no value."""
    missing = [outcome.check.name for outcome in case.evidence.checks if outcome.missing]
    if not missing:
        return None
    lasting = case.looks >= CONSECUTIVE
    which = f"{'Checks' if len(missing) > 1 else 'Check'} {', '.join(missing)}"
    said = f"{which} gave no value at {counted(case.looks, 'look')}."
    return Verdict.NO_DATA if lasting else Verdict.INCONCLUSIVE, Cause.NO_CHECK_DATA, case.message(said)


def undecided(case: Case) -> Finding | None:
    """Inconclusive: there are figures, and they do not decide yet."""
    found = case.compared
    if found is None or found.no_worse:
        return None
    if found.problem is not None:
        said = f"{case.subject} can't be judged yet: {found.problem.message}."
        return Verdict.INCONCLUSIVE, found.problem.reason, case.message(said)
    said = f"{case.subject}: {found.missing} ({found.by})."
    return Verdict.INCONCLUSIVE, Cause.UNDECIDED, case.message(said, found.figures)


def soaking(case: Case) -> Finding | None:
    """Inconclusive: nothing speaks against the version, and it has not run for long enough."""
    until = case.plan.started_at + case.plan.policy.soak
    if case.now >= until:
        return None
    figures = "" if case.compared is None else case.compared.figures
    said = f"{case.subject} is fine so far and is soaking until {clock(until)}."
    return Verdict.INCONCLUSIVE, Cause.SOAKING, case.message(said, figures)


def passed(case: Case) -> Finding:
    """Pass: what is left."""
    soak = messages.span(case.plan.policy.soak)
    checks = len(case.evidence.checks)
    checked = f"{counted(checks, 'check')} fine, soaked {soak}." if checks else f"Soaked {soak}."
    found = case.compared
    if found is not None:
        said = f"{case.subject} is no worse than {case.plan.stable_version} ({found.by})."
        return Verdict.PASS, Cause.NO_WORSE, case.message(said, found.figures, checked)
    if case.plan.policy.comparison is not None:
        said = f"{case.subject} passed without a comparison: no control nodes run another version beside it."
        return Verdict.PASS, Cause.NO_CONTROL, case.message(said, checked)
    by = "by its checks alone" if checks else "by readiness and soak alone"
    said = f"{case.subject} passed {by}: no comparison is configured."
    return Verdict.PASS, Cause.NOT_COMPARED, case.message(said, checked)


CHAIN = (
    # Proven bad, whatever else is unknown.
    failed_check,
    worse,
    # Cannot be known: nothing has been looked at, nobody answers, or what they answer says nothing.
    too_early,
    provider_down,
    no_figures,
    no_values,
    # Not known yet.
    undecided,
    soaking,
    # What is left.
    passed,
)


def _whereabouts(case: Case, table: Table) -> str:
    """What Prometheus has in place of the figures that are missing."""
    plan = case.plan
    if table.empty:
        known = (
            f", but {case.evidence.hint}" if case.evidence.hint else "; are the pods scraped (PodMonitor, honorLabels)?"
        )
        return (
            f"Prometheus has no modelfleet_frames_total of rollout {plan.rollout} in namespace {plan.namespace}{known}."
        )
    for side, groups in ((table.canary, (plan.group,)), (table.control, plan.control_groups)):
        others = [f"{version} on {counted(nodes, 'node')}" for group, version, nodes in table.others if group in groups]
        if not side.seen and others:
            return f"Group {' and '.join(groups)} reports version {', '.join(others)}."
    return ""


def _method(case: Case) -> str:
    """How it was judged; before that is settled, how the policy wants it."""
    if case.compared is not None:
        return case.compared.method.value
    comparison = case.plan.policy.comparison
    return comparison.method.value if comparison is not None and case.plan.compared else "Checks"


def _next(case: Case, verdict: Verdict) -> datetime:
    """The next look or test; the end of the soak where that comes first and may settle it."""
    plan, now = case.plan, case.now
    due = plan.next_look(now)
    if case.evidence.large and not plan.policy.checks and case.looks >= CONSECUTIVE:
        # Between two tests nothing new is learned.
        coming = plan.test_time(plan.newest_test(now) + 1) + plan.settle
        due = coming if plan.newest_test(now) < plan.tests else due
    over = plan.started_at + plan.policy.soak
    if verdict is Verdict.INCONCLUSIVE and now < over:
        nothing_to_look_at = plan.policy.comparison is None and not plan.policy.checks
        return over if nothing_to_look_at else min(over, due)
    return due
