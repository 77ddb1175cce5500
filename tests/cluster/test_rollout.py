"""Rollouts on a real API server, with real controllers and a real Prometheus; only the nodes are simulated."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families

from harness import Behaviour, Cluster, OperatorProcess, Outcome
from harness.processes import wait_until
from harness.prometheus import Prometheus
from worlds.rollout import FINE, LABEL, ONLY_V2_IS_BAD, PATIENCE, Fleet, check, model_version, nodes


@pytest.fixture
def fleet(crds: Cluster, namespace: str, kwok_nodes: Callable[..., list[str]]) -> Fleet:
    """One canary and three others."""
    canary, rest = nodes(kwok_nodes, namespace, 1, 3)
    return Fleet(crds, namespace, canary, rest)


def installed(fleet: Fleet, version: str = "v1", **rollout: object) -> None:
    fleet.apply(model_version("v1"), model_version("v2"))
    fleet.rollout(version, **rollout)  # type: ignore[arg-type]
    fleet.wait(lambda: fleet.is_at(version), f"{version} on all nodes")


def test_install_upgrade_and_steady_state(fleet: Fleet, prometheus: Prometheus, operator: OperatorProcess) -> None:
    fleet.rollout("v1")
    fleet.wait(lambda: fleet.condition("Stalled").get("reason") == "ModelVersionNotFound", "the reason")
    assert "parts-v1" in fleet.condition("Stalled")["message"]
    installed(fleet)
    assert fleet.condition("Ready")["status"] == "True"
    assert fleet.condition("Reconciling") == {}
    assert [entry["result"] for entry in fleet.status["history"]] == ["Installed"]
    fleet.wait(lambda: used(fleet, "parts-v1") == [{"rollout": "line", "role": "Stable"}], "who uses v1")

    fleet.rollout("v2")
    fleet.wait(lambda: fleet.running.get(fleet.canary[0]) == "v2", "v2 on the canary")
    assert {fleet.running[node] for node in fleet.rest} == {"v1"}
    fleet.wait(lambda: (fleet.status.get("gate") or {}).get("verdict") is not None, "a verdict")
    fleet.wait(lambda: fleet.is_at("v2"), "v2 on all nodes")
    gate = fleet.status["gate"]
    assert (gate["group"], gate["verdict"]) == ("fleet", "Pass")
    fleet.hears("RolloutStarted", "GroupAdvanced", "GatePassed", "Promoted")
    fleet.wait(lambda: used(fleet, "parts-v2") == [{"rollout": "line", "role": "Stable"}], "who uses v2")
    fleet.wait(lambda: used(fleet, "parts-v1") == [{"rollout": "line", "role": "Previous"}], "who uses v1")

    versions = {each["metadata"]["name"]: each["metadata"]["resourceVersion"] for each in _written(fleet)}
    requests = _writes(operator)
    assert requests
    time.sleep(5)
    assert {each["metadata"]["name"]: each["metadata"]["resourceVersion"] for each in _written(fleet)} == versions
    assert _writes(operator) == requests, "the steady state costs no writes"


def used(fleet: Fleet, version: str) -> list[dict[str, str]]:
    """Who uses a version, as its status has it: gathered for a second."""
    return fleet.get("modelversion", version)["status"].get("usedBy", [])


def _written(fleet: Fleet) -> list[dict[str, dict[str, str]]]:
    return [*fleet.list("rollouts"), *fleet.list("daemonsets"), *fleet.list("controllerrevisions")]


def _writes(operator: OperatorProcess) -> list[str]:
    return [
        line
        for line in operator.metrics().splitlines()
        if line.startswith(("modelfleet_operator_actions", "modelfleet_operator_status"))
    ]


def test_a_failed_check_rolls_back_and_the_fleet_never_ran_it(
    fleet: Fleet, prometheus: Prometheus, operator: OperatorProcess
) -> None:
    installed(fleet, query=ONLY_V2_IS_BAD)
    fleet.rollout("v2", query=ONLY_V2_IS_BAD)
    fleet.wait(fleet.rolled_back, "the rollback")
    assert fleet.templates("canary") == {"v1", "v2"}
    assert fleet.templates("fleet") == {"v1"}, "no pod of v2 was ever asked for there"
    status = fleet.status
    assert (status["stableVersion"], status.get("candidateVersion")) == ("v1", None)
    assert status["quarantined"][0]["version"] == "v2"
    assert (status["history"][0]["version"], status["history"][0]["result"]) == ("v2", "RolledBack")
    assert "errors" in fleet.condition("Stalled")["message"], "which check"
    fleet.hears("GateFailed", "RolledBack")

    fleet.wipe_status()
    fleet.wait(fleet.rolled_back, "the same state, found again")
    assert fleet.status["quarantined"][0]["version"] == "v2"
    fleet.rollout("v1", query=ONLY_V2_IS_BAD)
    fleet.wait(lambda: fleet.is_at("v1"), "rest")
    fleet.rollout("v2", query=ONLY_V2_IS_BAD)
    fleet.wait(fleet.rolled_back, "the quarantine")
    fleet.annotate("retry", "v2@1")
    fleet.rollout("v2")
    fleet.wait(lambda: fleet.is_at("v2"), "another attempt")


def test_prometheus_down_holds_and_says_since_when(
    fleet: Fleet, prometheus: Prometheus, operator: OperatorProcess
) -> None:
    installed(fleet)
    fleet.rollout("v2", gate={"soak": "3s", "interval": "1s", "provider": "north", "checks": [check(FINE)]})
    fleet.wait(lambda: "gate.provider names 'north'" in fleet.condition("Ready")["message"], "the unknown provider")
    assert "(known: default)" in fleet.condition("Ready")["message"]
    prometheus.stop()
    fleet.rollout("v2")
    fleet.wait(lambda: "Prometheus at" in fleet.condition("Ready")["message"], "the hold")
    assert fleet.status["phase"] == "Holding"
    since = fleet.status["gate"]["since"]
    time.sleep(8)
    status = fleet.status
    assert (status["gate"]["verdict"], status["gate"]["since"]) == ("ProviderDown", since)
    assert fleet.condition("Reconciling")["reason"] == "ProviderDown"
    assert f"since {since[:10]} {since[11:19]} UTC" in fleet.condition("Ready")["message"]
    assert fleet.templates("fleet") == {"v1"}
    assert fleet.running[fleet.canary[0]] == "v2", "no rollback either"
    fleet.hears("GateHeld")
    assert _gate_verdicts(operator, fleet)["ProviderDown"] == 1
    prometheus.start()
    fleet.wait(lambda: fleet.is_at("v2"), "v2, once Prometheus is back")
    fleet.wait(lambda: _gate_verdicts(operator, fleet) == {}, "the end of its series")


def _gate_verdicts(operator: OperatorProcess, fleet: Fleet) -> dict[str, float]:
    """What the operator's metrics say of the Rollout's gate; empty where none is active."""
    families = text_string_to_metric_families(operator.metrics())
    samples = [sample for family in families if family.name == "modelfleet_gate_verdict" for sample in family.samples]
    return {s.labels["verdict"]: s.value for s in samples if s.labels["namespace"] == fleet.namespace}


@pytest.mark.parametrize("query", [FINE, ONLY_V2_IS_BAD], ids=["passes", "fails"])
def test_killed_and_with_its_status_lost_it_ends_the_same(
    fleet: Fleet, prometheus: Prometheus, operator: OperatorProcess, query: str
) -> None:
    installed(fleet, query=query)
    fleet.rollout("v2", query=query)
    operator.kill9()  # with luck between two writes; tests/unit/rollout/test_recovery.py does it after each
    operator.start()
    # a machine that is busy starts it so slowly that it has failed by then
    fleet.wait(lambda: fleet.running.get(fleet.canary[0]) == "v2" or fleet.rolled_back(), "v2 on the canary")
    operator.kill9()
    fleet.wipe_status()
    operator.start()
    if query == FINE:
        fleet.wait(lambda: fleet.is_at("v2"), "v2 on all nodes")
    else:
        fleet.wait(fleet.rolled_back, "the rollback")
        assert fleet.templates("fleet") == {"v1"}
    assert [entry["version"] for entry in fleet.status["history"]] == ["v2", "v1"]
    assert len(fleet.list("controllerrevisions", "modelfleet.dev/revision")) >= 2


def test_what_can_not_start_is_named_and_taken_back(
    fleet: Fleet, prometheus: Prometheus, operator: OperatorProcess, crds: Cluster
) -> None:
    installed(fleet)
    said = "s3://models/parts/v2/best.onnx has sha256 00000000, not 76327632"
    crds.kwok.behave(
        Behaviour(
            {"modelfleet.dev/version": "v2", "modelfleet.dev/rollout": "line"},
            Outcome.INIT_FAILS,
            message=json.dumps({"reason": "DigestMismatch", "message": said}),
        )
    )
    fleet.rollout("v2", progressDeadline="10s")
    fleet.wait(lambda: "DigestMismatch" in fleet.condition("Ready").get("message", ""), "the reason")
    message = fleet.condition("Ready")["message"]
    assert fleet.canary[0] in message
    assert said in message
    fleet.wait(fleet.rolled_back, "the rollback at the deadline")
    assert said in fleet.condition("Stalled")["message"]
    assert fleet.templates("fleet") == {"v1"}

    container = {"name": "agent", "image": "app:1", "imagePullPolicy": "Nevver"}
    fleet.rollout("v1", template={"spec": {"containers": [container]}})
    fleet.wait(lambda: fleet.condition("Stalled").get("reason") == "ApplyRejected", "the server's refusal")
    assert "imagePullPolicy" in fleet.condition("Stalled")["message"]
    assert fleet.running == dict.fromkeys(fleet.canary + fleet.rest, "v1")
    container["imagePullPolicy"] = "Never"
    fleet.rollout("v1", template={"spec": {"containers": [container]}})
    fleet.wait(lambda: fleet.is_at("v1") and fleet.status["history"][0]["version"] == "v1", "the fixed template")


def test_nodes_go_come_back_and_join_and_people_approve(
    fleet: Fleet,
    prometheus: Prometheus,
    operator: OperatorProcess,
    crds: Cluster,
    kwok_nodes: Callable[..., list[str]],
) -> None:
    groups = [fleet.group("canary", approval="Manual"), fleet.group("fleet", maxUnavailable="50%")]
    fleet.apply(model_version("v1"), model_version("v2"))
    fleet.rollout("v1", groups=groups)
    fleet.wait(lambda: fleet.status.get("phase") == "WaitingForApproval", "the question")
    assert fleet.running == dict.fromkeys(fleet.canary, "v1")
    fleet.annotate("approve", "v1")
    fleet.wait(lambda: fleet.is_at("v1"), "v1 on all nodes")

    away, others = fleet.rest[0], [*fleet.canary, *fleet.rest[1:]]
    crds.kwok.down(away)
    fleet.annotate("approve", "v2")
    fleet.rollout("v2", groups=groups)
    fleet.wait(lambda: fleet.status.get("phase") == "Ready" and fleet.status["stableVersion"] == "v2", "v2 elsewhere")
    assert fleet.running == dict.fromkeys(others, "v2")
    assert fleet.status["groups"][1]["unreachable"] == 1
    crds.kwok.up(away)
    fleet.wait(lambda: fleet.is_at("v2"), "v2 on the node that came back")
    fleet.rest += kwok_nodes(1, {LABEL: fleet.namespace}, "late")
    fleet.wait(lambda: fleet.is_at("v2"), "v2 on the node that joined")

    crds.kubectl("delete", "rollout", "line", f"--namespace={fleet.namespace}")

    def nothing_left() -> bool:
        return not [*fleet.list("daemonsets"), *fleet.list("controllerrevisions"), *fleet.list("pods")]

    assert wait_until(nothing_left, PATIENCE)
    crds.kubectl("delete", "modelversion", "parts-v2", f"--namespace={fleet.namespace}", "--timeout=30s")
