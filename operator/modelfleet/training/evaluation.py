"""Judges a new version's figures on the holdout by the gates of its TrainingJob. Pure.

The trainer measures candidate and baseline on the same data and reports figures; what they mean is decided here, where
the gates are. A figure that is missing or is no number never passes.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from modelfleet.api import Evaluation, EvaluationGate, EvaluationSpec, parse_decimal
from modelfleet.wording import clauses


def judge(spec: EvaluationSpec, measured: Mapping[str, Any] | None) -> Evaluation:
    """The verdict on `measured`, the trainer's `evaluation`: {"candidate": figures, "baseline": figures or null}.

    Figures are {metric: number, ..., "perClass": {class: {metric: number, ...}}}.
    """
    if measured is None:
        return Evaluation(result="Failed", message="the trainer reported no evaluation")
    candidate = _figures(measured.get("candidate"))
    baseline = _figures(measured.get("baseline"))
    misses = [miss for gate in spec.gates for miss in _misses(gate, candidate, baseline)]
    if misses:
        return Evaluation(result="Failed", message=clauses(misses))
    if not spec.gates:
        return Evaluation(result="Passed", message="measured; no gates were given")
    passed = ", ".join(_passed(gate, candidate, baseline) for gate in spec.gates)
    return Evaluation(result="Passed", message=passed)


def _figures(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _misses(gate: EvaluationGate, candidate: Mapping[str, Any], baseline: Mapping[str, Any]) -> Iterator[str]:
    if not gate.per_class:
        yield from _compare(gate, gate.metric, candidate, baseline)
        return
    classes, before = _figures(candidate.get("perClass")), _figures(baseline.get("perClass"))
    if not classes:
        yield f"{gate.metric} per class was not measured"
        return
    for name in before if gate.max_regression is not None else ():
        if name not in classes:
            yield f"{gate.metric} of class {name} was not measured, though the baseline knows it"
    for name, figures in classes.items():
        # A class that the baseline does not know can't regress; a minimum holds for it all the same.
        new_class = bool(before) and name not in before
        yield from _compare(
            gate, f"{gate.metric} of class {name}", _figures(figures), _figures(before.get(name)), new_class=new_class
        )


def _compare(
    gate: EvaluationGate,
    what: str,
    candidate: Mapping[str, Any],
    baseline: Mapping[str, Any],
    *,
    new_class: bool = False,
) -> Iterator[str]:
    value = _number(candidate.get(gate.metric))
    if value is None:
        yield f"{what} was not measured"
        return
    if gate.minimum is not None and value < gate.minimum:
        yield f"{what} is {value:f}, below the minimum {gate.minimum:f}"
    if gate.max_regression is None or new_class:
        return
    before = _number(baseline.get(gate.metric))
    if before is None:
        yield f"{what} was not measured for the baseline"
    elif before - value > gate.max_regression:
        lower = f"{before - value:f} lower than the baseline's {before:f}"
        yield f"{what} is {value:f}, {lower} (at most {gate.max_regression:f})"


def _passed(gate: EvaluationGate, candidate: Mapping[str, Any], baseline: Mapping[str, Any]) -> str:
    if gate.per_class:
        return f"{gate.metric} of every class is within its limits"
    before = _number(baseline.get(gate.metric))
    beside = "" if before is None else f" (baseline {before:f})"
    return f"{gate.metric} is {candidate[gate.metric]}{beside}"


def _number(value: Any) -> Decimal | None:
    """A finite number, from a decimal string or a JSON number; None for anything else."""
    try:
        return parse_decimal(value)
    except ValueError:
        return None
