"""The expressions of examples/gitops/flux on the conditions of each phase. On real Flux: cluster/test_flux.py."""

from pathlib import Path
from typing import Any

import celpy
import pytest
import yaml
from celpy.adapter import json_to_cel

from modelfleet.api.reasons import Reason

ROOT = Path(__file__).parents[2]
[EXPRESSIONS] = yaml.safe_load((ROOT / "examples/gitops/flux/people-hold-it.yaml").read_text())["spec"][
    "healthCheckExprs"
]


def condition(type: str, reason: str, status: str = "True") -> dict[str, str]:
    return {"type": type, "status": status, "reason": reason}


def held(reason: str) -> list[dict[str, str]]:
    return [condition("Ready", reason, "False"), condition("Reconciling", reason)]


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        (None, "InProgress"),
        ([condition("Ready", "Pending", "Unknown")], "InProgress"),
        ([condition("Ready", "Ready")], "Current"),
        (held("Progressing"), "InProgress"),
        (held(Reason.SOAKING), "InProgress"),
        (held(Reason.PROVIDER_DOWN), "InProgress"),
        (held(Reason.ROLLING_BACK), "InProgress"),
        (held(Reason.WAITING_FOR_WINDOW), "InProgress"),
        (held(Reason.WAITING_FOR_APPROVAL), "Current"),
        (held(Reason.PAUSED), "Current"),
        ([condition("Ready", "Degraded", "False")], "InProgress"),
        ([condition("Ready", Reason.ROLLED_BACK, "False"), condition("Stalled", Reason.ROLLED_BACK)], "Failed"),
        ([condition("Ready", Reason.GATE_TIMED_OUT, "False"), condition("Stalled", Reason.GATE_TIMED_OUT)], "Failed"),
        ([condition("Ready", "Ready"), condition("DriftDetected", "Drift")], "Current"),
    ],
)
def test_health(conditions: list[dict[str, str]] | None, expected: str) -> None:
    status: dict[str, Any] = {} if conditions is None else {"conditions": conditions}
    assert judged({"status": status}) == expected


def judged(rollout: dict[str, Any]) -> str:
    """In Flux' order: failed, then current, and in progress where neither holds."""
    environment = celpy.Environment()
    for name, word in (("failed", "Failed"), ("current", "Current")):
        program = environment.program(environment.compile(EXPRESSIONS[name]))
        if program.evaluate({key: json_to_cel(value) for key, value in rollout.items()}):
            return word
    return "InProgress"
