"""The outcome of a comparison, by whichever method: what the judgement goes by, in one shape."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import expm1, isfinite

from modelfleet.api.gatespec import ComparisonMethod
from modelfleet.gate import messages, permutation_look, threshold, weights
from modelfleet.gate.cause import Cause
from modelfleet.gate.evidence import Evidence
from modelfleet.gate.inference import Endpoint
from modelfleet.gate.judgement import EndpointName, Figure, SetAside, Tested, tally
from modelfleet.gate.plan import CONSECUTIVE, Plan
from modelfleet.gate.policy import Comparison
from modelfleet.gate.problem import Problem
from modelfleet.gate.threshold import Difference
from modelfleet.gate.weights import Weights
from modelfleet.measurement.endpoints import RATE_LOSS
from modelfleet.measurement.node_table import Table
from modelfleet.times import clock


@dataclass(frozen=True)
class Compared:
    """What came out.

    by         method and strength, for a message
    worse      why the new version is worse, or None; `no_worse`: it is shown not to be
    problem    why nothing can be said, or None; `lasting`: it has been so for long enough to be called no data
    missing    what is missing for a decision, where neither `worse` nor `no_worse` nor `problem`
    figures    the newest figures in words; `endpoints` as numbers
    aside      the nodes that are not used
    basis      how much was looked at, and what was set aside, in words
    """

    method: ComparisonMethod
    by: str
    canary_nodes: int
    control_nodes: int
    detections: int
    basis: str
    aside: tuple[SetAside, ...] = ()
    worse: Cause | None = None
    no_worse: bool = False
    problem: Problem | None = None
    lasting: bool = False
    missing: str = ""
    figures: str = ""
    endpoints: tuple[Figure, ...] = ()


def compare(plan: Plan, comparison: Comparison, evidence: Evidence) -> Compared | None:
    """By the method that the evidence was gathered for; None before there is any."""
    if not evidence.looks or not plan.compared:
        return None
    found = weights.of(plan)
    if evidence.large:
        return _by_permutation(plan, comparison, found, evidence)
    return _by_threshold(plan, comparison, found, evidence)


def _by_threshold(plan: Plan, comparison: Comparison, weights: Weights, evidence: Evidence) -> Compared:
    found = [threshold.compare(look.table, evidence.past, weights, comparison) for look in evidence.looks]
    differences = [each for each in found if isinstance(each, Difference)]
    enough = len(differences) == len(found) == CONSECUTIVE
    newest, table = found[-1], evidence.looks[-1].table
    worse = None
    if enough and all(difference.finds_less for difference in differences):
        worse = Cause.FINDS_LESS
    elif enough and all(difference.less_precise for difference in differences):
        worse = Cause.LESS_PRECISE
    shown = newest if isinstance(newest, Difference) else None
    return Compared(
        method=ComparisonMethod.THRESHOLD,
        by=f"Threshold, {CONSECUTIVE} looks in a row{', without strata' if comparison.stratify_by else ''}",
        canary_nodes=len(table.canary.nodes),
        control_nodes=len(table.control.nodes),
        detections=table.canary.detections,
        basis=basis(table),
        aside=asides(table),
        worse=worse,
        no_worse=enough and all(difference.within for difference in differences),
        problem=newest if isinstance(newest, Problem) else None,
        lasting=_made(plan, evidence) >= CONSECUTIVE
        and all(isinstance(each, Problem) and each.missing for each in found),
        missing=f"{CONSECUTIVE} looks in a row must agree, and do not yet",
        figures="" if shown is None else messages.sentence(messages.difference(shown), weights.note),
        endpoints=() if shown is None else _differences(evidence, found, shown.margin),
    )


def _differences(evidence: Evidence, found: Sequence[Difference | Problem], margin: float) -> tuple[Figure, ...]:
    """Both endpoints of the Threshold method; one that is no number (no detections to be precise) is left out."""
    made = [
        (look.number, each) for look, each in zip(evidence.looks, found, strict=True) if isinstance(each, Difference)
    ]
    precision = [(number, each.precision) for number, each in made]
    rate = [(number, expm1(each.rate)) for number, each in made]
    sides = ((EndpointName.PRECISION, precision, margin), (EndpointName.DETECTIONS, rate, RATE_LOSS))
    return tuple(
        Figure(name, figures[-1][1], its, by_look=tuple(pair for pair in figures if isfinite(pair[1])))
        for name, figures, its in sides
        if isfinite(figures[-1][1])
    )


def _by_permutation(plan: Plan, comparison: Comparison, weights: Weights, evidence: Evidence) -> Compared:
    look = evidence.looks[-1]
    if evidence.trial is None:
        first = clock(plan.test_time(1) + plan.settle)
        problem = _unusable(look.table) or Problem(Cause.WAITING, f"the first of {plan.tests} tests is at {first}")
        return _nothing(look.table, problem, lasting=problem.missing and _made(plan, evidence) >= CONSECUTIVE)
    table = evidence.trial.table
    found = permutation_look.evaluate(plan, comparison, weights, evidence.trial)
    if isinstance(found, Problem):
        unusable = _unusable(table)
        return _nothing(table, unusable or found, lasting=unusable is not None, aside=found.aside)
    worse = Cause.FINDS_LESS if found.rate.worse else Cause.LESS_PRECISE if found.precision.worse else None
    return Compared(
        method=ComparisonMethod.PERMUTATION,
        by=f"Permutation{_within(plan, comparison)}, test {found.look} of {found.looks}",
        canary_nodes=found.canary_nodes,
        control_nodes=found.control_nodes,
        detections=found.detections,
        basis=messages.sentence(
            messages.basis(found.canary_nodes, found.detections, found.control_nodes), _remarks(table, found.aside)
        ),
        aside=asides(table, found.aside),
        worse=worse,
        no_worse=found.precision.no_worse and found.rate.no_worse,
        missing="the difference is not yet certain",
        figures=messages.sentence(messages.explain(found), weights.note),
        endpoints=(
            _figure(EndpointName.PRECISION, found.precision, found.precision.margin),
            _figure(EndpointName.DETECTIONS, found.rate, RATE_LOSS, expm1),
        ),
    )


def _within(plan: Plan, comparison: Comparison) -> str:
    """Within what the canary labels were permuted, where that was asked for."""
    key = comparison.stratify_by
    if key is None:
        return ""
    return f" within {key}" if plan.strata else f" (no node has the label {key})"


def _figure(
    name: EndpointName, of: Endpoint, margin: float, read: Callable[[float], float] = lambda value: value
) -> Figure:
    """One endpoint of a permutation test, in the unit that `read` makes of it."""
    low, high = of.interval
    return Figure(
        endpoint=name,
        estimate=read(of.estimate),
        margin=margin,
        interval=(read(low), read(high)),
        by_look=tuple((number, read(estimate)) for number, estimate in of.by_look),
        test=Tested(of.p_harm, of.p_worse, of.harmful_at, of.proven_at),
    )


def _made(plan: Plan, evidence: Evidence) -> int:
    """Looks made so far, whether or not they had to be asked for."""
    return evidence.looks[-1].number - plan.first_look + 1


def _nothing(table: Table, problem: Problem, *, lasting: bool, aside: tuple[tuple[str, str], ...] = ()) -> Compared:
    """A permutation test that can't be made."""
    text = messages.basis(len(table.canary.nodes), table.canary.detections, len(table.control.nodes))
    return Compared(
        method=ComparisonMethod.PERMUTATION,
        by="Permutation",
        canary_nodes=len(table.canary.nodes),
        control_nodes=len(table.control.nodes),
        detections=table.canary.detections,
        basis=messages.sentence(text, _remarks(table, aside)),
        aside=asides(table, aside),
        problem=problem,
        lasting=lasting,
    )


def _unusable(table: Table) -> Problem | None:
    for side, name in ((table.canary, "canary"), (table.control, "control")):
        if not side.nodes:
            return Problem(Cause.NO_NODES, f"no usable {name} node", missing=True)
    return None


def basis(table: Table) -> str:
    """How much one look saw, and what was set aside, in words."""
    canary, control = table.canary, table.control
    text = messages.basis(len(canary.nodes), canary.detections, len(control.nodes), control.detections)
    return messages.sentence(text, _remarks(table, ()))


def asides(table: Table, more: tuple[tuple[str, str], ...] = ()) -> tuple[SetAside, ...]:
    """The nodes set aside for their figures, and those for what a test needs beyond them (`more`)."""
    canaries = set(table.canary.nodes)
    return (
        *tally("canary", [*table.canary.aside, *(entry for entry in more if entry[0] in canaries)]),
        *tally("control", [*table.control.aside, *(entry for entry in more if entry[0] not in canaries)]),
    )


def _remarks(table: Table, more: tuple[tuple[str, str], ...]) -> str:
    """Which nodes are set aside, and what is wrong with their labels."""
    unnamed = table.canary.unnamed or table.control.unnamed
    return messages.sentence(
        messages.asides(asides(table, more)), messages.labels(unnamed=unnamed, renamed=table.renamed)
    )
