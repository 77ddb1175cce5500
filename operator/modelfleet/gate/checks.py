"""PromQL guardrails: a look at which a check's value is outside its bounds is a failure, and failures are counted."""

from dataclasses import dataclass
from math import isnan

from modelfleet.gate.plan import Plan
from modelfleet.gate.policy import Check
from modelfleet.prometheus.promql import filled
from modelfleet.prometheus.results import ProviderDown, Result, Samples


@dataclass(frozen=True)
class Outcome:
    """A check so far. `worst` is the value furthest outside (or the newest, where none is); None without any value."""

    check: Check
    looks: int
    failures: int
    worst: float | None
    down: ProviderDown | None = None

    @property
    def failed(self) -> bool:
        """More failures than the check allows."""
        return self.failures > self.check.failure_limit

    @property
    def missing(self) -> bool:
        """The provider answered, and there was no value at any look."""
        return self.down is None and self.looks == 0


def query(check: Check, plan: Plan) -> str:
    """The check's query with ${namespace} ${rollout} ${group} ${model} ${version} filled in; anything else stays."""
    names = {
        "namespace": plan.namespace,
        "rollout": plan.rollout,
        "group": plan.group,
        "model": plan.model,
        "version": plan.candidate_version,
    }
    return filled(check.query, names)


def evaluate(check: Check, result: Result) -> Outcome:
    """Count the failures in a range result. NaN is no value (0/0 without traffic); infinity is outside any bound."""
    if isinstance(result, ProviderDown):
        return Outcome(check, 0, 0, None, result)
    by_time: dict[float, list[float]] = {}
    for _, values in result.series if isinstance(result, Samples) else ():
        for time, value in values:
            if not isnan(value):
                by_time.setdefault(time, []).append(value)
    # A look fails once, however many series are outside.
    worst_by_time = {time: max(values, key=lambda value: _excess(check, value)) for time, values in by_time.items()}
    outside = [value for value in worst_by_time.values() if _excess(check, value) > 0]
    newest = worst_by_time[max(worst_by_time)] if worst_by_time else None
    worst = max(outside, key=lambda value: _excess(check, value)) if outside else newest
    return Outcome(check, len(by_time), len(outside), worst)


def _excess(check: Check, value: float) -> float:
    """How far outside the bounds; 0 or less within."""
    above = value - check.maximum if check.maximum is not None else float("-inf")
    below = check.minimum - value if check.minimum is not None else float("-inf")
    return max(above, below)
