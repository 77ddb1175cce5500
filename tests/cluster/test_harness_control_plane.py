"""The test cluster itself: API server, controllers and simulated nodes behave as the other tests take for granted."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from harness import Behaviour, Cluster, Outcome
from harness.processes import wait_until

DAEMON_SET = """
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: NAME}
spec:
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      nodeSelector: {pool: NAME}
      initContainers: [{name: first, image: none}]
      containers: [{name: main, image: none}]
"""


class Pods:
    """The pods of one DaemonSet that a test made."""

    def __init__(self, cluster: Cluster, namespace: str, name: str) -> None:
        self._cluster = cluster
        self._arguments = ("get", "pods", f"--namespace={namespace}", f"--selector=app={name}", "--output=json")
        cluster.kubectl("apply", f"--namespace={namespace}", "--filename=-", input=DAEMON_SET.replace("NAME", name))

    def all(self) -> list[dict[str, Any]]:
        return list(json.loads(self._cluster.kubectl(*self._arguments))["items"])

    def ready(self, node: str | None = None) -> int:
        return sum(
            any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", []))
            for pod in self.all()
            if node is None or pod["spec"].get("nodeName") == node
        )

    def eventually(self, holds: Callable[[], bool]) -> None:
        assert wait_until(holds, 20, interval=0.2), json.dumps([pod["status"] for pod in self.all()], indent=1)


@pytest.fixture
def pods(
    control_plane: Cluster, namespace: str, kwok_nodes: Callable[..., list[str]]
) -> Callable[[str, int], tuple[Pods, list[str]]]:
    def make(name: str, nodes: int) -> tuple[Pods, list[str]]:
        names = kwok_nodes(nodes, {"pool": name}, name)
        return Pods(control_plane, namespace, name), names

    return make


def test_versions_are_real(control_plane: Cluster) -> None:
    version = json.loads(control_plane.kubectl("get", "--raw", "/version"))
    assert (version["gitVersion"], version["major"], version["minor"]) == ("v1.35.4", "1", "35")


def test_a_daemon_sets_pods_become_ready(pods: Callable[[str, int], tuple[Pods, list[str]]]) -> None:
    made, nodes = pods("good", 3)
    made.eventually(lambda: made.ready() == 3)
    assert {pod["spec"]["nodeName"] for pod in made.all()} == set(nodes)


@pytest.mark.parametrize(("outcome", "phase"), [(Outcome.NEVER_READY, "Running"), (Outcome.CRASH, "Running")])
def test_pods_can_be_made_to_fail(
    control_plane: Cluster, pods: Callable[[str, int], tuple[Pods, list[str]]], outcome: Outcome, phase: str
) -> None:
    control_plane.kwok.behave(Behaviour({"app": "bad"}, outcome))
    made, _ = pods("bad", 2)
    made.eventually(lambda: [pod["status"]["phase"] for pod in made.all()] == [phase] * 2)
    assert made.ready() == 0


def test_an_init_container_can_be_made_to_fail_with_a_message(
    control_plane: Cluster, pods: Callable[[str, int], tuple[Pods, list[str]]]
) -> None:
    control_plane.kwok.behave(Behaviour({"app": "bad"}, Outcome.INIT_FAILS, message='{"reason": "DigestMismatch"}'))
    made, _ = pods("bad", 1)

    def first() -> list[dict[str, Any]]:
        return [each for pod in made.all() for each in pod["status"].get("initContainerStatuses", [])]

    made.eventually(
        lambda: [each["state"].get("waiting", {}).get("reason") for each in first()] == ["CrashLoopBackOff"]
    )
    [status] = first()
    assert status["lastState"]["terminated"]["message"] == '{"reason": "DigestMismatch"}'


def test_a_node_that_is_down_keeps_its_pods_as_they_are_until_it_is_back(
    control_plane: Cluster, namespace: str, pods: Callable[[str, int], tuple[Pods, list[str]]]
) -> None:
    made, nodes = pods("good", 2)
    made.eventually(lambda: made.ready() == 2)
    down = nodes[0]
    [pod] = [pod["metadata"]["name"] for pod in made.all() if pod["spec"]["nodeName"] == down]

    control_plane.kwok.down(down)

    assert made.ready(down) == 0
    taints = ("get", "node", down, "--output=jsonpath={.spec.taints[*].key}")
    assert wait_until(lambda: "node.kubernetes.io/unreachable" in control_plane.kubectl(*taints), 20)
    control_plane.kubectl("delete", "pod", pod, f"--namespace={namespace}", "--wait=false")
    assert not wait_until(lambda: pod not in {each["metadata"]["name"] for each in made.all()}, 3)

    control_plane.kwok.up(down)

    made.eventually(lambda: made.ready(down) == 1 and pod not in {each["metadata"]["name"] for each in made.all()})


def test_a_jobs_pod_logs_and_ends_as_the_test_says(
    control_plane: Cluster, namespace: str, kwok_nodes: Callable[..., list[str]]
) -> None:
    kwok_nodes(1)
    control_plane.kubectl("create", "job", "work", "--image=none", f"--namespace={namespace}")
    get = ("get", "pods", f"--namespace={namespace}", "--selector=job-name=work", "--output=name")
    assert wait_until(lambda: bool(control_plane.kubectl(*get).strip()), 20)
    pod = control_plane.kubectl(*get).strip().removeprefix("pod/")

    control_plane.kwok.write_log(namespace, pod, "work", ["first", '{"event": "epoch"}'])
    control_plane.kwok.write_log(namespace, pod, "work", ["last"])
    control_plane.kwok.finish_pod(namespace, pod, message='{"result": "Succeeded"}')

    logs = ("logs", pod, f"--namespace={namespace}")
    assert wait_until(lambda: control_plane.kubectl(*logs, check=False).count("\n") == 3, 20)
    assert control_plane.kubectl(*logs).splitlines() == ["first", '{"event": "epoch"}', "last"]
    wait_for_job = ("wait", "--for=condition=Complete", "job/work", f"--namespace={namespace}", "--timeout=20s")
    control_plane.kubectl(*wait_for_job)
    message = "--output=jsonpath={.status.containerStatuses[0].state.terminated.message}"
    shown = control_plane.kubectl("get", "pod", pod, f"--namespace={namespace}", message)
    assert shown == '{"result": "Succeeded"}'
