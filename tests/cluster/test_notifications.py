"""Notifications of the operator as a process, on a real API server, to a real HTTP server that is not always there."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from harness import Cluster, OperatorProcess, StartOperator
from harness.objects import condition
from harness.processes import wait_until
from harness.prometheus import Prometheus
from harness.timing import within
from worlds.operator_proxy import ApiProxy, Behind
from worlds.rollout import ONLY_V2_IS_BAD, Fleet, model_version, nodes
from worlds.training import training_job
from worlds.webhook import Receiver, Request, receiving

KEY = b"a key of thirty-two bytes, known"
SECRET = "whsec_" + base64.b64encode(KEY).decode()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@dataclass(frozen=True)
class Plant:
    """A namespace whose TrainingJobs fail within a few seconds, since no node takes them: each makes one
    notification."""

    cluster: Cluster
    namespace: str

    def fail(self, *names: str, after: str = "1s") -> None:
        """Create TrainingJobs."""
        items = [training_job(name, version=name, activeDeadline=after) for name in names]
        document = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
        self.cluster.kubectl("apply", f"--namespace={self.namespace}", "--filename=-", input=document)

    def failed(self) -> set[str]:
        """The TrainingJobs whose status says so."""
        jobs = self.cluster.objects.list("trainingjobs", self.namespace)
        return {each["metadata"]["name"] for each in jobs if condition(each, "Failed").get("status") == "True"}

    def outbox(self) -> list[str]:
        """What is not delivered yet."""
        kept = self.cluster.objects.list("configmaps", self.namespace, labels="modelfleet.dev/outbox=notifications")
        return [each["metadata"]["name"] for each in kept]

    def settings(self, receiver: Receiver, **endpoint: Any) -> dict[str, Any]:
        """One endpoint, `bus`."""
        bus = {"url": f"{receiver.url}/events", "timeout": "2s", **endpoint}
        return {"notifications": {"namespace": self.namespace, "endpoints": {"bus": bus}}}


@pytest.fixture
def plant(crds: Cluster, namespace: str) -> Plant:
    return Plant(crds, namespace)


def eventually(holds: Callable[[], Any], what: str, patience: float = 40) -> None:
    assert wait_until(holds, patience, interval=0.1), f"{what} did not come"


def names(requests: list[Request]) -> Counter[str]:
    """Of the objects that were spoken of."""
    return Counter(each.json["data"]["name"] for each in requests)


def is_signed(request: Request) -> bool:
    """As a receiver by Standard Webhooks would find out."""
    id, timestamp = request.headers["webhook-id"], request.headers["webhook-timestamp"]
    mac = hmac.new(KEY, f"{id}.{timestamp}.".encode() + request.body, hashlib.sha256).digest()
    fresh = abs(time.time() - int(timestamp)) < 300
    return fresh and request.headers["webhook-signature"] == f"v1,{base64.b64encode(mac).decode()}"


def value(operator: OperatorProcess, name: str) -> float:
    """The sum of a metric over its labels."""
    lines = [line for line in operator.metrics().splitlines() if line.startswith(f"modelfleet_operator_{name}")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def test_a_rollouts_story_goes_to_those_who_want_it(
    crds: Cluster,
    namespace: str,
    kwok_nodes: Callable[..., list[str]],
    prometheus: Prometheus,
    start_operator: StartOperator,
    receiver: Receiver,
    tmp_path: Path,
) -> None:
    (tmp_path / "key").write_text(SECRET)
    (tmp_path / "address").write_text(f"{receiver.url}/hooks/T0-secret")
    bus = {"url": f"{receiver.url}/events", "signingKey": str(tmp_path / "key")}
    chat = {"urlFile": str(tmp_path / "address"), "format": "slack", "severity": "Warning"}
    elsewhere = {"url": f"{receiver.url}/elsewhere", "namespaces": ["other-*"]}
    endpoints = {"bus": bus, "chat": chat, "elsewhere": elsewhere}
    operator = start_operator({"notifications": {"namespace": namespace, "cluster": "plant-3", "endpoints": endpoints}})

    fleet = Fleet(crds, namespace, *nodes(kwok_nodes, namespace, 1, 1))
    fleet.apply(model_version("v1"), model_version("v2"), model_version("v3"))
    fleet.rollout("v1", query=ONLY_V2_IS_BAD)
    fleet.wait(lambda: fleet.is_at("v1"), "v1 on all nodes")
    fleet.rollout("v2", query=ONLY_V2_IS_BAD)
    fleet.wait(lambda: fleet.rolled_back("v1"), "v1 again")
    groups = [fleet.group("canary", approval="Manual"), fleet.group("fleet")]
    fleet.rollout("v3", query=ONLY_V2_IS_BAD, groups=groups)
    fleet.wait(lambda: fleet.condition("Ready").get("reason") == "WaitingForApproval", "the approval's turn")
    fleet.annotate("approve", "v3")
    fleet.wait(lambda: fleet.is_at("v3"), "v3 on all nodes")
    eventually(lambda: not Plant(crds, namespace).outbox(), "an empty outbox")

    events = [each for each in receiver.taken if each.path == "/events"]
    assert [each.json["type"] for each in events] == [
        "dev.modelfleet.rollout.promoted",
        "dev.modelfleet.rollout.failed",
        "dev.modelfleet.rollout.rolled-back",
        "dev.modelfleet.rollout.awaiting-approval",
        "dev.modelfleet.rollout.promoted",
    ]
    assert [each.json["data"]["reason"] for each in events] == [
        "Installed", "GateFailed", "RolledBack", "WaitingForApproval", "Promoted",
    ]  # fmt: skip
    assert [each.json["data"]["version"] for each in events] == ["v1", "v2", "v2", "v3", "v3"]
    assert all(is_signed(each) for each in events)
    for each in events:
        assert each.headers["content-type"].startswith("application/cloudevents+json")
        assert each.headers["webhook-id"] == each.json["id"]
        assert (each.json["source"], each.json["subject"]) == ("/modelfleet/plant-3", f"{namespace}/Rollout/line")
    assert len({each.json["id"] for each in events}) == 5
    chats = [each.json for each in receiver.taken if each.path == "/hooks/T0-secret"]
    assert [each["text"].partition(":")[0] for each in chats] == ["*GateFailed*", "*RolledBack*"]
    assert not [each for each in receiver.requests if each.path == "/elsewhere"]
    assert value(operator, "notifications_sent_total") == 7
    log = operator.log.read_text()
    assert "T0-secret" not in log
    assert SECRET not in log


def test_a_receiver_that_refuses_dawdles_and_goes_away_gets_each_once(
    plant: Plant, start_operator: StartOperator, receiver: Receiver
) -> None:
    receiver.answers = [503, 0, 429]
    operator = start_operator(plant.settings(receiver))
    plant.fail("one", "two", "three")
    eventually(lambda: len(receiver.taken) == 3, "three notifications")
    assert names(receiver.taken) == {"one": 1, "two": 1, "three": 1}
    assert [each.status for each in receiver.requests].count(0) == 1
    assert value(operator, "notification_failures_total") == 3
    assert value(operator, "notifications_lost_total") == 0

    receiver.go()
    with within(20):
        plant.fail("four", "five")
        eventually(lambda: plant.failed() >= {"four", "five"}, "statuses, with nobody to hear of them")
    eventually(lambda: len(plant.outbox()) == 2, "two that wait")
    assert value(operator, "notifications_waiting") == 2
    receiver.come()
    eventually(lambda: len(receiver.taken) == 5, "the other two")
    eventually(lambda: not plant.outbox(), "an empty outbox")
    assert names(receiver.taken)["four"] == names(receiver.taken)["five"] == 1
    assert "notifications to bus arrive again" in operator.tail(200)


def test_what_a_receiver_never_takes_is_lost_and_counted(
    plant: Plant, start_operator: StartOperator, receiver: Receiver
) -> None:
    receiver.answers = [400]
    operator = start_operator(plant.settings(receiver))
    plant.fail("one")
    eventually(lambda: value(operator, "notifications_lost_total") == 1, "the count")
    eventually(lambda: not plant.outbox(), "an empty outbox")
    assert len(receiver.requests) == 1
    assert "a notification to bus is lost, training.failed of TrainingJob" in operator.tail(200)


def test_killed_while_nobody_listens_it_delivers_at_the_next_start(
    plant: Plant, start_operator: StartOperator, receiver: Receiver
) -> None:
    receiver.go()
    operator = start_operator(plant.settings(receiver))
    plant.fail("one", "two", "three")
    eventually(lambda: len(plant.failed()) == 3, "three failures")
    eventually(lambda: len(plant.outbox()) == 3, "three that wait")
    operator.kill9()
    plant.cluster.kubectl("delete", "trainingjob", "two", f"--namespace={plant.namespace}")
    receiver.come()
    operator.start()
    eventually(lambda: len(receiver.taken) == 3, "three notifications")
    eventually(lambda: not plant.outbox(), "an empty outbox")
    assert names(receiver.requests) == {"one": 1, "two": 1, "three": 1}


@pytest.mark.parametrize("carried_out", [False, True])
def test_killed_before_the_answer_to_the_status_it_finds_out_at_the_next_start(
    plant: Plant, receiver: Receiver, tmp_path: Path, carried_out: bool
) -> None:
    proxy = ApiProxy(plant.cluster.kubeconfig, tmp_path).start()
    behind = Behind(plant.cluster.supervisor, proxy.kubeconfig)
    settings, name = plant.settings(receiver), f"operator-unheard-{plant.namespace}"
    operator = OperatorProcess(behind, settings, namespaces=[plant.namespace], name=name).start()
    try:
        proxy.leave_unheard('"type":"Failed"', carried_out=carried_out)
        plant.fail("one")
        eventually(plant.outbox, "what is written down")
        time.sleep(2)
        assert bool(plant.failed()) is carried_out
        assert receiver.requests == [], "the operator does not know yet"
        operator.kill9()
        proxy.hear()
        operator.start()
        eventually(lambda: plant.failed() and receiver.taken, "the failure and its notification")
        eventually(lambda: not plant.outbox(), "an empty outbox")
        assert names(receiver.requests) == {"one": 1}
        assert ("did not come to pass" in operator.log.read_text()) is not carried_out
    finally:
        operator.stop()
        proxy.stop()


def test_killed_at_any_moment_nothing_is_lost_and_what_comes_twice_has_one_id(
    plant: Plant, start_operator: StartOperator, receiver: Receiver
) -> None:
    operator = start_operator(plant.settings(receiver))
    moments = random.Random(12)
    all_of = {f"run{number}" for number in range(8)}
    for number in range(0, 8, 2):
        plant.fail(f"run{number}", f"run{number + 1}")
        time.sleep(moments.uniform(0.9, 2.6))  # about when they fail
        operator.restart()  # kill -9
    eventually(lambda: plant.failed() == all_of, "all failures", 60)
    eventually(lambda: names(receiver.taken).keys() >= all_of, "a notification of each")
    eventually(lambda: not plant.outbox(), "an empty outbox")
    assert names(receiver.taken).keys() == all_of
    ids = {(each.json["data"]["name"], each.json["id"]) for each in receiver.taken}
    assert len(ids) == 8, "one id for each failure, however often it came"


def test_told_to_stop_it_waits_for_no_receiver_that_hangs(
    plant: Plant, start_operator: StartOperator, receiver: Receiver
) -> None:
    receiver.answers = [0] * 50
    operator = start_operator(plant.settings(receiver, timeout="50s"))
    plant.fail("one", "two")
    eventually(lambda: receiver.requests, "a request")
    eventually(lambda: len(plant.failed()) == 2, "both failures")
    with within(12):
        assert operator.stop() == 0
    assert len(plant.outbox()) == 2
    assert "2 notifications to bus wait for the next start" in operator.tail(20)
    assert "Traceback" not in operator.tail(1000)
    receiver.answers.clear()
    operator.start()
    eventually(lambda: len(receiver.taken) == 2, "both notifications")
    first = receiver.requests[0].json["id"]
    again = next(each for each in receiver.taken if each.json["id"] == first)
    assert replace(again, headers={}, status=0) == replace(receiver.requests[0], headers={})
