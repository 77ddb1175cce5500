"""Two operators of which one works: who takes over, when, and what the other may still do."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from harness import Cluster, OperatorProcess, StartOperator
from harness.processes import wait_until
from worlds.operator_proxy import ApiProxy, Behind

TERMS = {"leaseDuration": "5s", "renewDeadline": "3s", "retryPeriod": "500ms"}
LONG_TERMS = {"leaseDuration": "60s", "renewDeadline": "40s", "retryPeriod": "2s"}

Start = Callable[..., OperatorProcess]


@pytest.fixture
def start(start_operator: StartOperator, namespace: str) -> Start:
    """Start one more operator of the pair."""
    election = {"enabled": True, "namespace": namespace}
    return lambda terms=TERMS: start_operator({"leaderElection": election | terms})


@pytest.fixture
def pair(start: Start) -> tuple[OperatorProcess, OperatorProcess]:
    """The leader and the one that stands by; both are ready."""
    first = start()
    assert wait_until(lambda: leads(first), 20)
    return first, start()


def leads(operator: OperatorProcess) -> bool:
    return "modelfleet_operator_leader 1.0" in operator.metrics()


def train(cluster: Cluster, namespace: str, name: str) -> None:
    manifest = {
        "apiVersion": "modelfleet.dev/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {"name": name},
        "spec": {
            "model": "parts",
            "mode": "Scratch",
            "architecture": "yolo11n",
            "dataset": {"sources": [{"uri": "s3://data/1.tar"}]},
            "output": {"uri": "s3://models/"},
        },
    }
    cluster.kubectl("apply", f"--namespace={namespace}", "--filename=-", input=json.dumps(manifest))


def has_job(cluster: Cluster, namespace: str, name: str) -> bool:
    found = cluster.kubectl("get", "jobs", f"--namespace={namespace}", "--output=name")
    return f"job.batch/{name}" in found.split()


def test_one_works_and_the_other_takes_over_when_it_is_killed(
    pair: tuple[OperatorProcess, OperatorProcess], crds: Cluster, namespace: str
) -> None:
    leader, standby = pair
    assert not leads(standby)
    train(crds, namespace, "parts-v1")
    assert wait_until(lambda: has_job(crds, namespace, "parts-v1"), 20)
    assert "created Job" not in standby.tail(500)
    leader.kill9()
    train(crds, namespace, "parts-v2")
    assert wait_until(lambda: has_job(crds, namespace, "parts-v2"), 30)
    assert leads(standby)


def test_one_that_is_stopped_hands_over_at_once(start: Start) -> None:
    leader = start(LONG_TERMS)
    assert wait_until(lambda: leads(leader), 20)
    standby = start(LONG_TERMS)
    assert leader.stop() == 0
    assert "let the Lease go" in leader.tail(100)
    assert wait_until(lambda: leads(standby), 30)  # half of what the Lease would have lasted


def test_one_that_was_frozen_writes_nothing_when_it_wakes_and_ends(
    pair: tuple[OperatorProcess, OperatorProcess], crds: Cluster, namespace: str
) -> None:
    leader, standby = pair
    leader.pause()
    assert wait_until(lambda: leads(standby), 30)
    train(crds, namespace, "parts-v1")
    assert wait_until(lambda: has_job(crds, namespace, "parts-v1"), 20)
    crds.kubectl("delete", "trainingjob", "parts-v1", f"--namespace={namespace}")
    train(crds, namespace, "parts-v2")
    assert wait_until(lambda: has_job(crds, namespace, "parts-v2"), 20)
    before = leader.tail(1000)
    leader.resume()
    assert wait_until(lambda: not leader.alive, 30)
    assert leader.process.exit == 1
    said = leader.tail(1000).removeprefix(before)
    assert "could not be renewed in time" in said or "holds the Lease now" in said
    for wrote in ("created ", "applied ", "patched ", "deleted "):
        assert wrote not in said, said
    assert leads(standby)


def test_one_that_can_not_reach_the_api_server_ends(
    crds: Cluster, proxy: ApiProxy, namespace: str, start: Start
) -> None:
    settings: dict[str, Any] = {"leaderElection": {"enabled": True, "namespace": namespace, **TERMS}}
    behind = OperatorProcess(
        Behind(crds.supervisor, proxy.kubeconfig), settings, namespaces=[namespace], name=f"operator-cut-{namespace}"
    )
    behind.start()
    assert wait_until(lambda: leads(behind), 20)
    standby = start()
    proxy.cut()
    try:
        assert wait_until(lambda: not behind.alive, 30)
        assert behind.process.exit == 1
        assert wait_until(lambda: leads(standby), 30)
    finally:
        proxy.resume(expired=False)
