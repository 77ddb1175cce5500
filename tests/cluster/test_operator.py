"""The operator as a process against a real API server: starting, stopping, being killed, gaps, silence, refusals."""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness import Cluster, OperatorProcess, StartOperator
from harness.paths import REPOSITORY
from harness.processes import wait_until
from harness.timing import within
from modelfleet.kinds import OWNERS
from worlds.operator_proxy import ApiProxy, Behind

TRAINING_JOB = """
apiVersion: modelfleet.dev/v1alpha1
kind: TrainingJob
metadata: {name: NAME}
spec:
  model: parts
  version: VERSION
  mode: Scratch
  architecture: yolo11n
  dataset: {sources: [{uri: "s3://data/parts.tar"}]}
  output: {uri: "s3://models/"}
  template: TEMPLATE
"""

ROLLOUT = """
apiVersion: modelfleet.dev/v1alpha1
kind: Rollout
metadata: {name: line}
spec:
  model: {name: parts-detector, version: v0}
  groups:
    - {name: canary, nodeSelector: {matchLabels: {modelfleet.dev/group: canary}}}
    - {name: fleet, nodeSelector: {matchLabels: {modelfleet.dev/app: NAMESPACE}}}
  gate: {soak: 1s, interval: 1s}
  template: {spec: {containers: [{name: agent, image: none}]}}
"""

REVISION = """
apiVersion: apps/v1
kind: ControllerRevision
metadata: {name: NAME, labels: {app.kubernetes.io/managed-by: modelfleet}}
revision: 1
data: {}
"""


@dataclass
class Space:
    """A namespace, and what is in it."""

    cluster: Cluster
    namespace: str

    def apply(self, manifest: str) -> None:
        self.cluster.kubectl("apply", f"--namespace={self.namespace}", "--filename=-", input=manifest)

    def train(self, name: str, template: str = "{}") -> None:
        self.apply(TRAINING_JOB.replace("NAME", name).replace("VERSION", f"v-{name}").replace("TEMPLATE", template))

    def get(self, kind: str, name: str = "") -> Any:
        names = [name] if name else []
        text = self.cluster.kubectl("get", kind, *names, f"--namespace={self.namespace}", "--output=json")
        return json.loads(text) if name else json.loads(text)["items"]

    def delete(self, kind: str, name: str) -> None:
        self.cluster.kubectl("delete", kind, name, f"--namespace={self.namespace}")

    def condition(self, kind: str, name: str, type_: str) -> dict[str, Any]:
        found = self.get(kind, name).get("status", {}).get("conditions", [])
        return next((each for each in found if each["type"] == type_), {})


@pytest.fixture
def space(crds: Cluster, namespace: str) -> Space:
    return Space(crds, namespace)


def metric(operator: OperatorProcess, name: str, **labels: str) -> float:
    """The sum of a metric of the operator over all series with these labels."""
    total = 0.0
    for line in operator.metrics().splitlines():
        match = re.fullmatch(rf"modelfleet_operator_{name}(?:{{(.*)}})? ([0-9.e+]+)", line)
        if match and all(f'{key}="{value}"' in (match[1] or "") for key, value in labels.items()):
            total += float(match[2])
    return total


def eventually(holds: Any, patience: float = 20) -> None:
    assert wait_until(holds, patience, interval=0.1)


def test_sigterm_ends_it_with_status_0(space: Space, start_operator: StartOperator) -> None:
    operator = start_operator()
    space.train("one")
    eventually(lambda: space.get("jobs"))
    with within(10):
        assert operator.stop() == 0
    assert "stopped" in operator.tail(3)
    assert "Traceback" not in operator.tail(1000)
    assert "Unclosed" not in operator.tail(1000)


def test_killed_at_any_moment_it_ends_in_the_same_state(space: Space, start_operator: StartOperator) -> None:
    operator = start_operator()
    moments = random.Random(3)
    space.train("calm")
    eventually(lambda: shape(space, "calm")[1:] == (1, "Pending"))
    for number in range(4):
        space.train(f"wild{number}")
        time.sleep(moments.uniform(0, 0.4))
        operator.restart()  # kill -9
    for number in range(4):
        eventually(lambda name=f"wild{number}": shape(space, name) == shape(space, "calm"))
    assert len(space.get("jobs")) == 5


def shape(space: Space, name: str) -> tuple[Any, ...]:
    """What of a TrainingJob must not depend on how it came about."""
    job = space.get("trainingjob", name)
    children = [each for each in space.get("jobs") if each["metadata"]["name"] == name]
    status = job.get("status", {})
    conditions = tuple(sorted((each["type"], each["status"], each["reason"]) for each in status.get("conditions", ())))
    return conditions, len(children), status.get("phase")


def test_steady_state_asks_nothing_of_the_api_server(
    space: Space, start_operator: StartOperator, control_plane: Cluster, kwok_nodes: Callable[..., list[str]]
) -> None:
    if not hasattr(control_plane, "control_plane"):
        pytest.skip("only the test cluster's own API server has an audit log that we can read")
    kwok_nodes(2, {"modelfleet.dev/group": "canary", "modelfleet.dev/app": space.namespace})
    kwok_nodes(3, {"modelfleet.dev/app": space.namespace})
    operator = start_operator()
    space.train("one")
    space.train("two")
    space.apply((REPOSITORY / "examples" / "modelversion.yaml").read_text())
    space.apply(ROLLOUT.replace("NAMESPACE", space.namespace))
    eventually(lambda: sum(each["metadata"]["name"][:3] in ("one", "two") for each in space.get("pods")) == 2)
    for pod in space.get("pods"):
        if pod["spec"]["containers"][0]["name"] == "trainer":
            control_plane.kwok.write_log(space.namespace, pod["metadata"]["name"], "trainer", ['{"event": "started"}'])
    eventually(lambda: space.condition("rollout", "line", "Ready").get("status") == "True", 60)
    audit = control_plane.control_plane.audit_log
    eventually(lambda: quiet(audit, 3), 60)
    kinds = "trainingjobs,jobs,modelversions,rollouts,controllerrevisions"
    versions = [each["metadata"]["resourceVersion"] for each in space.get(kinds)]
    requests = metric(operator, "api_requests_total")
    start = audit.stat().st_size
    time.sleep(20)
    asked = [(entry["verb"], entry["requestURI"]) for entry in entries(audit, start) if entry["verb"] != "watch"]
    assert asked == []
    assert [each["metadata"]["resourceVersion"] for each in space.get(kinds)] == versions
    assert metric(operator, "api_requests_total") == requests


def entries(audit: Path, start: int) -> list[dict[str, Any]]:
    """The requests of the operator since the audit log had this size."""
    with audit.open("rb") as log:
        log.seek(start)
        return [json.loads(line) for line in log.read().splitlines()]


def quiet(audit: Path, seconds: float) -> bool:
    """Whether the operator makes no request but watches for some seconds."""
    start = audit.stat().st_size
    time.sleep(seconds)
    return all(entry["verb"] == "watch" for entry in entries(audit, start))


def test_other_namespaces_are_left_alone(space: Space, start_operator: StartOperator) -> None:
    operator = start_operator(namespaces=["somewhere-else"])
    space.train("one")
    time.sleep(2)
    assert space.get("jobs") == []
    assert metric(operator, "store_objects", kind="TrainingJob") == 0
    assert space.condition("trainingjob", "one", "Ready")["status"] == "Unknown"


def test_what_the_api_server_refuses_reaches_the_user_and_is_mended(
    space: Space, start_operator: StartOperator
) -> None:
    start_operator({"backoff": {"base": "200ms", "limit": "1s"}})
    space.apply("{apiVersion: v1, kind: ResourceQuota, metadata: {name: none}, spec: {hard: {count/jobs.batch: 0}}}")
    eventually(lambda: space.get("resourcequota", "none").get("status", {}).get("hard"))
    space.train("one")
    eventually(lambda: space.condition("trainingjob", "one", "Stalled").get("reason") == "ApplyRejected")
    assert "exceeded quota" in space.condition("trainingjob", "one", "Stalled")["message"]
    assert space.condition("trainingjob", "one", "Ready")["status"] == "False"
    version = space.get("trainingjob", "one")["metadata"]["resourceVersion"]
    time.sleep(2)  # several attempts, each refused: the status says it once
    assert space.get("trainingjob", "one")["metadata"]["resourceVersion"] == version
    space.delete("resourcequota", "none")
    eventually(lambda: space.get("jobs"))
    eventually(lambda: space.condition("trainingjob", "one", "Stalled").get("reason") != "ApplyRejected")


def test_deletion_that_no_watch_has_seen_is_found(space: Space, proxy: ApiProxy, behind: OperatorProcess) -> None:
    behind.start()
    for name in ("first", "last"):
        space.apply(REVISION.replace("NAME", name))
    eventually(lambda: metric(behind, "store_objects", kind="ControllerRevision") == 2)
    for left in (
        1,
        0,
    ):  # also the last one: then the watch starts again with an empty list, and kopf says nothing at all
        proxy.cut()
        space.delete("controllerrevision", "first" if left else "last")
        space.apply(REVISION.replace("NAME", "first" if left else "last").replace("modelfleet", "nobody"))
        proxy.resume(expired=True)
        eventually(lambda left=left: metric(behind, "store_objects", kind="ControllerRevision") == left)
    eventually(lambda: metric(behind, "resyncs_total", reason="gap") >= 2)  # counted once all kinds are listed
    assert metric(behind, "missed_changes_total", kind="ControllerRevision") == 2
    space.apply(REVISION.replace("NAME", "after"))
    eventually(lambda: metric(behind, "store_objects", kind="ControllerRevision") == 1)


def test_watch_that_breaks_and_goes_on_lists_nothing(space: Space, proxy: ApiProxy, behind: OperatorProcess) -> None:
    behind.start()
    lists = metric(behind, "watch_lists_total")
    proxy.cut()
    space.train("one")
    proxy.resume(expired=False)
    eventually(lambda: space.get("jobs"))
    assert metric(behind, "watch_lists_total") == lists
    assert metric(behind, "resyncs_total", reason="gap") == 0


def test_what_is_missing_is_named_and_waited_for(proxy: ApiProxy, behind: OperatorProcess) -> None:
    proxy.refuse({"/apis/modelfleet.dev/v1alpha1": 404, "/pods": 403})
    behind.start(wait=False)
    eventually(lambda: "trying again" in behind.tail(30))
    log = behind.tail(30)
    for kind in OWNERS:
        assert f"{kind.plural}.modelfleet.dev (version v1alpha1) is not installed: apply crds/" in log
    assert "not allowed to list pods in namespace" in log
    assert log.count("apply crds/") == len(OWNERS)  # said once, not at each attempt
    assert behind.alive
    proxy.refuse({})
    behind.wait_ready()


def test_permission_that_is_taken_away_is_named_and_the_operator_lives_on(
    proxy: ApiProxy, behind: OperatorProcess
) -> None:
    behind.start()
    proxy.refuse({"/pods": 403})
    proxy.cut()
    proxy.resume(expired=False)
    eventually(lambda: "not allowed to watch pods" in behind.tail(50))
    assert not ready(behind)
    proxy.refuse({})
    eventually(lambda: ready(behind), 40)
    assert behind.alive


def ready(operator: OperatorProcess) -> bool:
    return operator._status("/readyz") == 200


def test_credentials_that_are_not_accepted_for_a_while(space: Space, proxy: ApiProxy, behind: OperatorProcess) -> None:
    behind.start()
    proxy.refuse({"/": 401})
    proxy.cut()
    proxy.resume(expired=False)
    time.sleep(8)
    assert behind.alive
    assert proxy.refusals < 100  # it asks again and again, but with patience
    proxy.refuse({})
    space.train("one")
    eventually(lambda: space.get("jobs"), 40)


def test_sigterm_ends_it_also_while_it_waits_for_the_api_server(proxy: ApiProxy, behind: OperatorProcess) -> None:
    proxy.refuse({"/": 503})
    behind.start(wait=False)
    eventually(lambda: "trying again" in behind.tail(30))
    assert behind.stop() == 0


def test_api_server_that_is_away_at_the_start_is_waited_for(proxy: ApiProxy, behind: OperatorProcess) -> None:
    proxy.refuse({"/": 503})
    behind.start(wait=False)
    eventually(lambda: "trying again" in behind.tail(30))
    proxy.refuse({})
    behind.wait_ready()


def test_credentials_that_are_missing_end_it_with_an_explanation(crds: Cluster, namespace: str, tmp_path: Path) -> None:
    cluster = Behind(crds.supervisor, tmp_path / "missing")
    operator = OperatorProcess(cluster, name=f"operator-lost-{namespace}")
    operator.start(wait=False)
    eventually(lambda: not operator.alive)
    assert operator.process.exit == 1
    assert "missing" in operator.tail(5)
    assert "Traceback" not in operator.tail(50)
