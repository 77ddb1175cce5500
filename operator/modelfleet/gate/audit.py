"""What a gate decided and by what, as one record for the log: enough to repeat the decision by hand. Pure.

It is written where something changed, and else about as often as a permutation test is made, so that a gate leaves some
dozen records and not one for each look. A record is at most `LIMIT` bytes of JSON, whatever the fleet and the policy:
nothing in it grows with the number of nodes, names are as long as the API allows, and where the texts of many long
checks are too much, the last ones are left out and counted.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isfinite
from typing import Any

from modelfleet.api.gatespec import Verdict
from modelfleet.api.quantities import format_duration
from modelfleet.gate import permutation_look, weights
from modelfleet.gate.checks import Outcome
from modelfleet.gate.evidence import Asked, Evidence
from modelfleet.gate.judgement import Figure, Judgement
from modelfleet.gate.plan import Plan
from modelfleet.gate.policy import Policy
from modelfleet.gate.production import Production
from modelfleet.measurement.backends import Backends
from modelfleet.times import wire_time
from modelfleet.wording import clip

LIMIT = 56 * 1024
"""Bytes of a record as JSON, at most: with the message, a line stays below the 64 KiB that log pipelines take."""

_QUERY_LIMIT = 4_096
_TEXT_LIMIT = 300
_NAME_LIMIT = 63
_DIGITS = 6


@dataclass(frozen=True)
class Told:
    """What the last record said, and when."""

    plan: Plan
    judgement: Judgement
    at: datetime


def due(last: Told | None, plan: Plan, judgement: Judgement, now: datetime) -> bool:
    """Whether a judgement is to be written down.

    The first of a gate (or of a new operator process, which shows that it finds the same again), each that differs in
    plan, verdict, reason or method, and else one for each `test_spacing` in which there was a new look.
    """
    if last is None or last.plan != plan:
        return True
    before = last.judgement
    if (before.verdict, before.reason, before.method) != (judgement.verdict, judgement.reason, judgement.method):
        return True
    return judgement.looks > before.looks and now - last.at >= plan.test_spacing


def record(plan: Plan, evidence: Evidence, judgement: Judgement, standing: Verdict) -> dict[str, Any]:
    """The record: JSON values only, at most LIMIT bytes. `standing` is the verdict that counts: an earlier Pass stays
    where this judgement can't decide."""
    queries = [_query(asked) for asked in evidence.queries]
    made: dict[str, Any] = {
        "plan": _plan(plan),
        "verdict": {
            "verdict": judgement.verdict.value,
            "standing": standing.value,
            "reason": judgement.reason,
            "message": judgement.message,
            "method": judgement.method,
            "timedOut": judgement.timed_out,
            "nextLook": _time(judgement.next_look),
        },
        "looks": _looks(plan, evidence, judgement),
        "endpoints": [_endpoint(plan, evidence, figure) for figure in judgement.endpoints],
        "nodes": {"canary": judgement.canary_nodes, "control": judgement.control_nodes},
        "detections": judgement.detections,
        "backends": _backends(evidence.backends),
        "setAside": [
            {
                "side": each.side,
                "reason": each.reason,
                "nodes": each.nodes,
                "examples": [clip(n, _NAME_LIMIT) for n in each.examples],
            }
            for each in judgement.aside
        ],
        "checks": [_check(outcome) for outcome in evidence.checks],
        "providerDown": None if evidence.down is None else clip(evidence.down.message, _TEXT_LIMIT),
        "queries": queries,
        "queriesLeftOut": 0,
    }
    while queries and _size(made) > LIMIT:
        queries.pop()
        made["queriesLeftOut"] += 1
    return made


def _plan(plan: Plan) -> dict[str, Any]:
    return {
        "namespace": plan.namespace,
        "rollout": plan.rollout,
        "group": plan.group,
        "controlGroups": list(plan.control_groups),
        "model": plan.model,
        "candidateVersion": plan.candidate_version,
        "stableVersion": plan.stable_version,
        "candidateWeights": None if plan.candidate_weights is None else [_number(w) for w in plan.candidate_weights],
        "stableWeights": None if plan.stable_weights is None else [_number(w) for w in plan.stable_weights],
        "production": _production(plan.production),
        "calibration": _calibration(plan),
        "pastUntil": _time(plan.past_until),
        "startedAt": _time(plan.started_at),
        "measuredFrom": _time(plan.measured_from),
        "policy": _policy(plan.policy),
        "strata": len(set(plan.strata.values())),
    }


def _production(production: Production | None) -> dict[str, Any] | None:
    if production is None:
        return None
    return {
        "dataset": production.dataset,
        "version": production.version,
        "frames": production.frames,
        "precision": [_number(each) for each in production.precision],
    }


def _backends(found: Backends | None) -> dict[str, Any] | None:
    """How many nodes of each side ran which backend; "" is that of nodes that don't say."""
    if found is None:
        return None
    sides = {"canary": found.canary, "control": found.control}
    return {side: {clip(name, _NAME_LIMIT): nodes for name, nodes in its.items()} for side, its in sides.items()}


def _calibration(plan: Plan) -> dict[str, Any]:
    """By which calibration detections count (production, holdout, or raw confidence), and what each one does."""
    used = weights.of(plan)
    sides = {"canary": used.canary, "control": used.control}
    return {"source": used.source, **{side: [_number(float(w)) for w in each] for side, each in sides.items()}}


def _policy(policy: Policy) -> dict[str, Any]:
    comparison = policy.comparison
    return {
        "provider": policy.provider,
        "soak": format_duration(policy.soak),
        "interval": format_duration(policy.interval),
        "timeout": format_duration(policy.timeout),
        "comparison": None
        if comparison is None
        else {
            "method": comparison.method.value,
            "margin": comparison.margin,
            "alpha": comparison.alpha,
            "minDetections": comparison.min_detections,
            "minNodes": comparison.min_nodes,
            "stratifyBy": comparison.stratify_by,
        },
        "onNoData": policy.on_no_data.value,
        "onProviderDown": policy.on_provider_down,
        "onTimeout": policy.on_timeout.value,
    }


def _looks(plan: Plan, evidence: Evidence, judgement: Judgement) -> dict[str, Any]:
    """How many were made, and when those were that the verdict rests on."""
    made: dict[str, Any] = {
        "made": judgement.looks,
        "planned": plan.last_look - plan.first_look + 1,
        "newest": [{"look": look.number, "at": _time(look.at)} for look in evidence.looks],
    }
    if evidence.large:
        test = evidence.trial
        made["test"] = None if test is None else {"number": test.number, "of": plan.tests, "at": _time(test.at)}
    return made


def _endpoint(plan: Plan, evidence: Evidence, figure: Figure) -> dict[str, Any]:
    made: dict[str, Any] = {
        "endpoint": figure.endpoint.value,
        "estimate": _number(figure.estimate),
        "margin": _number(figure.margin),
        "interval": None if figure.interval is None else [_number(bound) for bound in figure.interval],
        "byLook": [{"look": number, "estimate": _number(estimate)} for number, estimate in figure.by_look],
    }
    found, comparison = figure.test, plan.policy.comparison
    if found is not None and comparison is not None and evidence.trial is not None:
        rules, index = permutation_look.rules(plan, comparison), evidence.trial.number - 1
        made["test"] = {
            "pHarm": _number(found.p_harm),
            "pWorse": _number(found.p_worse),
            "alphaHarm": _number(rules.harm_spending[index]),
            "alphaPass": _number(rules.pass_spending[index]),
            "harmfulAt": found.harmful_at,
            "provenAt": found.proven_at,
        }
    return made


def _check(outcome: Outcome) -> dict[str, Any]:
    check = outcome.check
    return {
        "name": check.name,
        "min": _number(check.minimum),
        "max": _number(check.maximum),
        "failureLimit": check.failure_limit,
        "looks": outcome.looks,
        "failures": outcome.failures,
        "worst": _number(outcome.worst),
        "failed": outcome.failed,
        "providerDown": None if outcome.down is None else clip(outcome.down.message, _TEXT_LIMIT),
    }


def _query(asked: Asked) -> dict[str, Any]:
    made: dict[str, Any] = {"query": clip(asked.query, _QUERY_LIMIT)}
    if asked.step is None:
        return {**made, "time": _time(asked.end)}
    return {**made, "start": _time(asked.start), "end": _time(asked.end), "step": _seconds(asked.step)}


def _number(value: float | None) -> float | str | None:
    """A JSON number; JSON has none for NaN and the infinities, which are written as PromQL does."""
    if value is None or isfinite(value):
        return None if value is None else round(value, _DIGITS)
    return "NaN" if value != value else "+Inf" if value > 0 else "-Inf"


def _time(moment: datetime) -> str:
    return wire_time(moment, "milliseconds")


def _seconds(span: timedelta) -> float:
    return round(span.total_seconds(), 3)


def _size(value: Mapping[str, Any]) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode())
