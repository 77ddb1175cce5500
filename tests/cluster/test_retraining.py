"""Retrainings on a real API server: created once whatever happens, and what it refuses is said."""

from __future__ import annotations

import time
from typing import Any

from harness import OperatorProcess
from harness.prometheus import Prometheus
from worlds.rollout import Fleet, model_version

TEMPLATE: dict[str, Any] = {
    "metadata": {"labels": {"team": "vision"}},
    "spec": {
        "model": "parts",
        "mode": "FineTune",
        "dataset": {"sources": [{"uri": "s3://data/new.tar"}]},
        "output": {"uri": "s3://models/"},
    },
}


def installed(fleet: Fleet, **drift: Any) -> None:
    fleet.apply(model_version("v1"))
    fleet.rollout("v1", drift={"retrain": {"template": TEMPLATE}, **drift})
    fleet.wait(lambda: fleet.is_at("v1"), "v1 on all nodes")


def trainings(fleet: Fleet) -> list[str]:
    return sorted(each["metadata"]["name"] for each in fleet.list("trainingjobs"))


def drift(fleet: Fleet) -> dict[str, Any]:
    found: dict[str, Any] = fleet.status.get("drift") or {}
    return found


def waits_for(fleet: Fleet) -> str | None:
    return (drift(fleet).get("retrain") or {}).get("reason")


def test_somebody_asks_and_one_is_created_whatever_happens(
    fleet: Fleet, prometheus: Prometheus, operator: OperatorProcess
) -> None:
    installed(fleet)
    fleet.wait(lambda: drift(fleet).get("state") == "Learning", "the state")
    assert fleet.condition("DriftDetected")["status"] == "False"
    fleet.annotate("retrain", "now@1")
    fleet.wait(lambda: trainings(fleet) == ["line-r1"], "the TrainingJob")
    operator.kill9()
    fleet.wipe_status()
    operator.start()
    fleet.wait(
        lambda: [each["trainingJob"] for each in drift(fleet).get("retrainings", ())] == ["line-r1"], "its entry"
    )
    made = fleet.get("trainingjob", "line-r1")
    assert made["metadata"]["labels"] == {
        "team": "vision",
        "app.kubernetes.io/managed-by": "modelfleet",
        "modelfleet.dev/rollout": "line",
    }
    assert made["spec"]["from"] == {"version": "v1"}
    assert made["metadata"]["ownerReferences"][0]["kind"] == "Rollout"
    assert waits_for(fleet) in ("TrainingRunning", "NotDue")
    fleet.annotate("retrain", "now@2")
    time.sleep(3)
    assert trainings(fleet) == ["line-r1"], "the first is under way"
    fleet.cluster.kubectl("delete", "trainingjob", "line-r1", f"--namespace={fleet.namespace}")
    fleet.wait(lambda: trainings(fleet) == ["line-r2"], "the second")
    time.sleep(3)
    assert trainings(fleet) == ["line-r2"]


def test_what_the_api_server_refuses_is_said_and_not_tried_in_a_loop(
    fleet: Fleet, prometheus: Prometheus, operator: OperatorProcess
) -> None:
    installed(fleet)
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "no-trainings"},
        "spec": {"hard": {"count/trainingjobs.modelfleet.dev": "0"}},
    }
    fleet.apply(quota)
    fleet.wait(lambda: "hard" in fleet.get("resourcequota", "no-trainings").get("status", {}), "the quota")
    fleet.annotate("retrain", "now@1")
    fleet.wait(lambda: waits_for(fleet) == "TemplateRejected", "the refusal")
    assert "exceeded quota: no-trainings" in drift(fleet)["retrain"]["message"]
    assert "Not retrained: The API server refused the TrainingJob: " in fleet.condition("DriftDetected")["message"]
    fleet.hears("TemplateRejected")
    assert "RetrainingStarted" not in fleet.events()
    tried = refusals(operator)
    time.sleep(5)
    assert refusals(operator) == tried
    assert fleet.is_at("v1"), "nothing else is held up"

    fleet.cluster.kubectl("delete", "resourcequota", "no-trainings", f"--namespace={fleet.namespace}")
    fleet.rollout("v1", drift={"retrain": {"template": TEMPLATE, "cooldown": "1h"}})  # a changed spec is tried at once
    fleet.wait(lambda: trainings(fleet) == ["line-r1"], "the TrainingJob")
    fleet.hears("RetrainingStarted")


def refusals(operator: OperatorProcess) -> int:
    return operator.tail(10_000).count("was refused")


def test_without_an_answer_of_prometheus_the_watch_is_paused_and_says_why(
    fleet: Fleet, prometheus: Prometheus, operator: OperatorProcess
) -> None:
    installed(fleet, provider="north")
    time.sleep(1)
    fleet.rollout("v1", drift={"provider": "north", "window": "1m", "baseline": "3m"})
    fleet.wait(lambda: drift(fleet).get("state") == "Paused", "the state", patience=60)
    assert "drift.provider names 'north'" in drift(fleet)["message"]
    columns = fleet.cluster.kubectl("get", "mro", "-o", "wide", f"--namespace={fleet.namespace}").splitlines()
    assert "DRIFT" in columns[0]
    assert "Paused" in columns[1]
    assert fleet.condition("DriftDetected")["reason"] == "WatchPaused"
