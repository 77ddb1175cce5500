"""What a watch for drift decided and by what, as one record for the log. Pure.

Written when the state changes, and bounded: nothing in it grows with the number of nodes.
"""

from datetime import datetime
from math import isfinite
from typing import Any

from modelfleet.api.quantities import format_duration
from modelfleet.drift.judgement import Judgement
from modelfleet.drift.plan import Plan
from modelfleet.times import wire_time

_DIGITS = 6


def due(last: Judgement | None, judgement: Judgement) -> bool:
    """Whether a judgement is to be written down: the first one of a watch, and each whose state differs."""
    return last is None or last.state is not judgement.state


def record(plan: Plan, judgement: Judgement) -> dict[str, Any]:
    """The record: JSON values only."""
    policy = plan.policy
    return {
        "namespace": plan.namespace,
        "rollout": plan.rollout,
        "revision": plan.revision,
        "version": plan.version,
        "policy": {
            "signals": [{"name": each.figure.value, "change": round(each.change, _DIGITS)} for each in policy.signals],
            "reviewed": [{"name": each.figure.value, "minimum": each.minimum} for each in policy.floors],
            "nodes": str(policy.nodes),
            "stratifyBy": policy.stratify_by,
            "baseline": format_duration(policy.baseline),
            "window": format_duration(policy.window),
            "sustain": format_duration(policy.sustain),
            "exposure": policy.exposure,
            "provider": policy.provider,
        },
        "calibrated": plan.calibrated,
        "state": judgement.state.value,
        "declared": judgement.declared,
        "declaredBy": list(judgement.by),
        "since": _time(judgement.since),
        "message": judgement.message,
        "baselineFrom": _time(judgement.baseline_from),
        "lookedAt": _time(judgement.looked_at),
        "nodes": judgement.nodes,
        "nodesDown": judgement.nodes_down,
        "signals": [
            {"name": each.name, "change": _number(each.change), "threshold": _number(each.threshold)}
            for each in judgement.signals
        ],
        "strata": [{"name": each.name, "nodes": each.nodes, "nodesDown": each.nodes_down} for each in judgement.strata],
        "examples": list(judgement.examples),
    }


def _number(value: float | None) -> float | None:
    return None if value is None or not isfinite(value) else round(value, _DIGITS)


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else wire_time(moment)
