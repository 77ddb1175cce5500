"""From Prometheus' answers to what a permutation test takes: each node's counts at every test, and before the update.

The counts come as two ranges of increases, one step for each test: from the start on, and back from the update. Their
sums give the windows of all tests at once, so that the number of queries does not grow with the number of looks.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from zlib import crc32

import numpy as np

from modelfleet.api.gatespec import ComparisonMethod
from modelfleet.gate.baseline import Past
from modelfleet.gate.cause import Cause
from modelfleet.gate.inference import Inference, Rules, infer
from modelfleet.gate.plan import Plan
from modelfleet.gate.policy import Comparison
from modelfleet.gate.problem import Problem
from modelfleet.gate.weights import Weights
from modelfleet.measurement import permutation
from modelfleet.measurement.endpoints import BUCKETS, EDGES, Array
from modelfleet.measurement.fleet import Counts, Fleet
from modelfleet.measurement.node_table import Table, column
from modelfleet.measurement.sides import CANARY, CONTROL, NodeKey, Sides, node_of
from modelfleet.prometheus.results import Samples


@dataclass(frozen=True, eq=False)
class Trial:
    """Test `number`, at `at`: what it saw of each node there, and the fleet as the test takes it."""

    number: int
    at: datetime
    table: Table
    fleet: Fleet | None


@dataclass(frozen=True)
class Increases:
    """The answers with the increases of each step; None stands for an answer without data."""

    buckets: Samples | None = None
    frames: Samples | None = None


def rules(plan: Plan, comparison: Comparison) -> Rules:
    """The rules of a plan's permutation test. The seed is a function of the plan: a gate always samples the same."""
    name = f"{plan.namespace}/{plan.rollout}/{plan.group}/{plan.started_at.isoformat()}"
    return Rules(
        margin=comparison.margin,
        alpha=comparison.alpha,
        looks=plan.tests,
        min_detections=comparison.min_detections,
        min_nodes=comparison.min_nodes,
        seed=crc32(name.encode()),
    )


def wanted(plan: Plan, comparison: Comparison, table: Table) -> bool:
    """Whether the policy has a fleet like this judged by permutation."""
    if comparison.method is ComparisonMethod.AUTO:
        return enough(plan, comparison, table)
    return comparison.method is ComparisonMethod.PERMUTATION


def enough(plan: Plan, comparison: Comparison, table: Table) -> bool:
    """Whether a fleet like this has enough ways to choose the canary nodes for harm to be found from the first test on.

    All nodes that were seen count, used or not: the method must not change when a node goes away.
    """
    sides = [[*side.nodes, *(name for name, _ in side.aside)] for side in (table.canary, table.control)]
    names = [name for side in sides for name in side]
    if not all(sides):
        return False
    canary = np.arange(len(names)) < len(sides[0])
    _, strata = np.unique([plan.strata.get(name, "") for name in names], return_inverse=True)
    return permutation.possible(canary, strata) >= rules(plan, comparison).enough_assignments


def assemble(
    plan: Plan,
    number: int,
    table: Table,
    after: Increases,
    past: Past | None = None,
    before: Increases | None = None,
) -> Trial:
    """The trial at test `number`, of the nodes that `table` has in use; `before` are the increases in their `past`.

    A test that sees more time than there is a past goes by all of the past.
    """
    names = (*table.canary.nodes, *table.control.nodes)
    at, step = plan.test_time(number), plan.test_spacing
    if not names:
        return Trial(number, at, table, None)
    keys = [(CANARY, node) for node in table.canary.nodes] + [(CONTROL, node) for node in table.control.nodes]
    rows = {key: row for row, key in enumerate(keys)}
    now = _increases(plan.sides, rows, _steps(plan, plan.test_time(1), number), after)
    steps = 0 if past is None else past.steps(step, number)
    then = (np.zeros((1, len(keys), BUCKETS)), np.zeros((1, len(keys))))
    if past is not None and before is not None and steps:
        then = _increases(
            plan.sides.before_the_update, rows, _steps(plan, past.until - (steps - 1) * step, steps), before
        )
        for side, node in rows.keys() - past.keys:
            for increases in then:
                increases[:, rows[side, node]] = 0
    # Back from the update: the step next to it belongs to the window of the first test.
    summed = np.minimum(np.arange(number), max(steps, 1) - 1)
    fleet = Fleet(
        names,
        np.array([side == CANARY for side, _ in keys]),
        Counts(now[0].cumsum(axis=0), now[1].cumsum(axis=0)),
        Counts(*(increases[::-1].cumsum(axis=0)[summed] for increases in then)),
        tuple(plan.strata.get(name, "") for name in names) if plan.strata else None,
    )
    return Trial(number, at, table, fleet)


def evaluate(plan: Plan, comparison: Comparison, weights: Weights, trial: Trial) -> Inference | Problem:
    """The outcome of the trial's test."""
    if trial.fleet is None:
        return Problem(Cause.NO_NODES, "no usable node")
    return infer(trial.fleet, list(weights.canary), list(weights.control), rules(plan, comparison))


def _steps(plan: Plan, first: datetime, number: int) -> Array:
    """The times of the points of a range, in Unix seconds."""
    return np.asarray(first.timestamp() + plan.test_spacing.total_seconds() * np.arange(number), np.float64)


def _increases(sides: Sides, rows: Mapping[NodeKey, int], steps: Array, answers: Increases) -> tuple[Array, Array]:
    """Detections (steps, nodes, 10) and frames (steps, nodes) of each step. What is no number, or fell, is nothing."""
    cumulative = np.zeros((len(rows), len(EDGES) + 1, len(steps)))
    counted = np.zeros((len(rows), len(steps)))
    for samples, target in ((answers.buckets, cumulative), (answers.frames, counted)):
        for labels, values in () if samples is None else samples.series:
            side = sides.of(labels)
            row = None if side is None else rows.get((side, node_of(labels)))
            edge = column(labels.get("le", "")) if target is cumulative else 0
            if row is None or edge is None:
                continue
            times, increases = np.array(values).T
            at = np.searchsorted(steps, times - 0.5)
            within = (at < len(steps)) & (np.abs(steps[np.minimum(at, len(steps) - 1)] - times) < 0.5)
            np.add.at(cumulative[row, edge] if target is cumulative else counted[row], at[within], increases[within])
    detections = np.diff(np.nan_to_num(cumulative, nan=0, posinf=0, neginf=0), axis=1)[:, :BUCKETS].clip(0)
    return detections.transpose(2, 0, 1), np.nan_to_num(counted, nan=0, posinf=0, neginf=0).clip(0).T
