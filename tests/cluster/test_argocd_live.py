"""A fleet that is steered by the actions of Argo CD's menu alone, and what Argo CD shows of our objects meanwhile.

`MODELFLEET_RECORD=1 pytest -m cluster tests/cluster/test_argocd_live.py` records the objects of test_argocd.py again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

from cluster.argocd_states import STATES, Album, record
from harness import Behaviour, Cluster, Outcome, StartOperator
from harness.ports import free_port
from harness.prometheus import Prometheus
from modelfleet.api.commands import Command, Verb
from worlds import datasets, training
from worlds.argocd import Engine
from worlds.fleet_simulator import FleetSimulator
from worlds.kube_watch import Watch
from worlds.rollout import FINE, LABEL, Fleet, model_version, nodes
from worlds.training import Space, failure

Json = dict[str, Any]

RECORD = bool(os.environ.get("MODELFLEET_RECORD"))
SLOW = {"modelfleet.dev/rollout": "line", "modelfleet.dev/version": "v1"}
METRICS = free_port()
AGENT: Json = {
    "spec": {
        "terminationGracePeriodSeconds": 1,
        "containers": [{"name": "agent", "ports": [{"name": "metrics", "containerPort": METRICS}]}],
        "tolerations": [{"operator": "Exists"}],
    }
}
FULL: Json = {
    "apiVersion": "v1",
    "kind": "ResourceQuota",
    "metadata": {"name": "full"},
    "spec": {"hard": {"pods": "1"}},
}
TEMPLATE: Json = {
    "spec": {
        "model": "parts",
        "mode": "FineTune",
        "dataset": {"sources": [{"uri": "s3://data/new.tar"}]},
        "output": {"uri": "s3://models/"},
    }
}


def test_a_rollout_is_steered_by_actions_alone_and_shown_in_each_state(
    argocd: Engine,
    crds: Cluster,
    namespace: str,
    prometheus: Prometheus,
    kwok_nodes: Callable[..., list[str]],
    start_operator: StartOperator,
) -> None:
    canary, rest = nodes(kwok_nodes, namespace, 1, 3)
    line = Line(Fleet(crds, namespace, canary, rest), argocd)
    fresh = Line(Fleet(crds, namespace, kwok_nodes(1, {LABEL: f"{namespace}-fresh"}), [], "fresh"), argocd)
    album = Album(STATES["Rollout"], namespace)
    with Watch(crds, "rollouts.modelfleet.dev", album):
        line.apply("v1")
        start_operator()
        line.until("ModelVersionNotFound")
        crds.kwok.behave(Behaviour(SLOW, delay=3))
        line.fleet.apply(model_version("v1"), model_version("v2"))
        installs(line)
        crds.kwok.behave()
        pauses_resumes_and_goes_back(line)
        gate_times_out(line)
        holds_and_waits_for_a_window(line, prometheus)
        loses_nodes(line)
        is_replayed(line)
        is_refused_by_the_cluster(line)
        is_left_where_it_failed(line)
        trains(line)
        fails_its_first_install(fresh)
        line.fleet.wait(lambda: not album.missing, f"{album.missing}")
    for state, object in album:
        assert argocd.health(object) == (state.health, state.message(object)), state.name
        assert argocd.enabled(object) == state.enabled, state.name
    if RECORD:
        record("Rollout", album)


class Line:
    """A fleet, and what somebody does with it in Argo CD's menu."""

    def __init__(self, fleet: Fleet, argocd: Engine) -> None:
        self.fleet, self.argocd = fleet, argocd

    def apply(self, version: str, query: str | None = None, **spec: Any) -> None:
        """The Rollout, as Git has it: the first group asks."""
        groups = [self.fleet.group("canary", approval="Manual"), self.fleet.group("fleet", maxUnavailable=2)]
        self.fleet.rollout(version, query=query, **{"groups": groups, "template": AGENT, **spec})

    def until(self, reason: str, **status: Any) -> None:
        """Wait until Ready has this reason, and the status these fields."""

        def is_so() -> bool:
            found = self.fleet.status
            return self.fleet.condition("Ready").get("reason") == reason and all(
                found.get(field) == value for field, value in status.items()
            )

        self.fleet.wait(is_so, f"{reason} {status}")

    def object(self) -> Json:
        return self.fleet.get("rollout", self.fleet.name)

    def choose(self, action: str) -> str:
        """Choose an enabled action. Returns the annotation's value; "" where it writes a field."""
        object = self.object()
        assert action in self.argocd.enabled(object)
        run = self.argocd.run(object, action)
        if action in ("pause", "resume"):
            value, patch = "", {"spec": {"paused": action == "pause"}}
        else:
            value = run.object["metadata"]["annotations"][f"modelfleet.dev/{action}"]
            patch = {"metadata": {"annotations": {f"modelfleet.dev/{action}": value}}}
            command = Command.read(run.object["metadata"]["annotations"], Verb(action))
            assert command is not None
            assert command.version == ("now" if action == "retrain" else object["spec"]["model"]["version"])
        assert run.patch == patch, "nothing else is written"
        where = [f"--namespace={self.fleet.namespace}", "--type=merge", "--field-manager=argocd-server"]
        self.fleet.cluster.kubectl("patch", "rollout", self.fleet.name, *where, f"--patch={json.dumps(run.patch)}")
        return str(value)


def installs(line: Line) -> None:
    line.until("WaitingForApproval")
    line.choose("approve")
    line.fleet.wait(lambda: line.fleet.is_at("v1"), "v1 on all nodes")


def pauses_resumes_and_goes_back(line: Line) -> None:
    """Each command is given twice, and acts twice."""
    line.choose("pause")
    line.apply("v2")
    line.until("Paused")
    line.choose("resume")
    aborted, retried = [], []
    for _ in range(2):
        line.until("WaitingForApproval")
        aborted.append(line.choose("abort"))
        line.fleet.wait(line.fleet.rolled_back, "the way back")
        retried.append(line.choose("retry"))
    line.until("WaitingForApproval")
    assert len({*aborted, *retried}) == 4
    waiting = line.object()
    first = line.argocd.run(waiting, "approve").object
    assert line.argocd.run(first, "approve").patch == {}, "a second click says the same"
    line.choose("approve")
    line.fleet.wait(lambda: line.fleet.is_at("v2"), "v2 on all nodes")


def gate_times_out(line: Line) -> None:
    """The nodes show too few detections to decide by."""
    comparison = {"minDetections": 1000000}
    with FleetSimulator(line.fleet.cluster, METRICS, {}):
        line.apply("v1", gate={"soak": "5s", "interval": "5s", "timeout": "40s", "comparison": comparison})
        line.fleet.wait(
            lambda: line.fleet.condition("Ready").get("reason") == "GateTimedOut", "the timeout", patience=120
        )


def holds_and_waits_for_a_window(line: Line, prometheus: Prometheus) -> None:
    prometheus.stop()
    line.apply("v1", FINE)
    line.until("ProviderDown")
    line.apply("v1", FINE, windows=[{"cron": "0 0 29 2 *", "duration": "1h"}])
    line.choose("promote")
    line.until("WaitingForWindow")
    line.apply("v1", FINE)
    line.fleet.wait(lambda: line.fleet.is_at("v1"), "v1 on all nodes, past the gates")
    prometheus.start()


def loses_nodes(line: Line) -> None:
    kwok = line.fleet.cluster.kwok
    kwok.down(*line.fleet.rest)
    line.until("NodesNotReady")
    kwok.up(*line.fleet.rest)
    line.until("Promoted")


def is_replayed(line: Line) -> None:
    line.apply("v2", delivery={"capture": {"destination": "s3://captures/line/"}}, replay={})
    line.until("Replaying")
    line.apply("v1")
    line.fleet.wait(lambda: line.fleet.is_at("v1"), "v1, as before")


def is_refused_by_the_cluster(line: Line) -> None:
    line.fleet.apply(FULL)
    line.fleet.wait(lambda: bool(line.fleet.get("resourcequota", "full").get("status", {}).get("used")), "the quota")
    line.apply("v2", progressDeadline="10s")
    line.until("ClusterRefuses")
    line.fleet.cluster.kubectl("delete", "resourcequota", "full", f"--namespace={line.fleet.namespace}")
    line.apply("v1")
    line.fleet.wait(lambda: line.fleet.is_at("v1"), "v1 on all nodes", patience=120)  # the controller's own backoff


def is_left_where_it_failed(line: Line) -> None:
    line.fleet.cluster.kwok.behave(Behaviour({**SLOW, "modelfleet.dev/version": "v2"}, Outcome.NEVER_READY))
    line.apply("v2", progressDeadline="10s", rollback={"onFailure": False})
    line.until("ProgressDeadlineExceeded", phase="Failed")
    line.choose("abort")
    line.fleet.wait(line.fleet.rolled_back, "the way back")
    line.fleet.cluster.kwok.behave()


def trains(line: Line) -> None:
    line.apply("v1", drift={"retrain": {"template": TEMPLATE}})
    line.fleet.wait(lambda: line.fleet.is_at("v1") and "drift" in line.fleet.status, "rest")
    once = line.argocd.run(line.object(), "retrain").object
    assert line.argocd.run(once, "retrain").patch == {}, "a second click says the same"
    assert line.choose("retrain") == "now"
    line.fleet.wait(lambda: bool(line.fleet.status["drift"].get("retrainings")), "the TrainingJob")
    assert line.choose("retrain") == "now@after-line-r1"
    line.fleet.wait(lambda: line.fleet.status["drift"]["retrain"]["reason"] == "TrainingRunning", "that it waits")


def fails_its_first_install(fresh: Line) -> None:
    labels = {LABEL: f"{fresh.fleet.namespace}-fresh"}
    fresh.apply("v1", groups=[{"name": "canary", "approval": "Manual", "nodeSelector": {"matchLabels": labels}}])
    for action in ("retry", ""):
        fresh.until("WaitingForApproval")
        fresh.choose("abort")
        fresh.until("InstallFailed")
        if action:
            fresh.choose(action)


def test_training_jobs_and_versions_and_datasets_are_shown_in_each_state(
    argocd: Engine, crds: Cluster, namespace: str, kwok_nodes: Callable[..., list[str]], start_operator: StartOperator
) -> None:
    (node,) = kwok_nodes(1, labels={"for": namespace}, prefix="edge")
    space = Space(crds, namespace, node)
    albums = {kind: Album(states, namespace) for kind, states in STATES.items() if kind != "Rollout"}
    with (
        Watch(crds, "trainingjobs.modelfleet.dev", albums["TrainingJob"]),
        Watch(crds, "modelversions.modelfleet.dev", albums["ModelVersion"]),
        Watch(crds, "datasets.modelfleet.dev", albums["Dataset"]),
    ):
        start_operator({"verification": {"enabled": True}})
        versions_are_verified(space)
        trainings_end(space)
        dataset_is_synced(datasets.Line(space))
        space.until(lambda: not any(album.missing for album in albums.values()))
    for kind, album in albums.items():
        for state, object in album:
            assert argocd.health(object) == (state.health, state.message(object)), f"{kind} {state.name}"
        if RECORD:
            record(kind, album)


def versions_are_verified(space: Space) -> None:
    """The verify Job's pod says what the test has it say."""
    for version, reason, wanted in (
        ("v1", "Verified", "Available"),
        ("v2", "Unreachable", "SourceUnreachable"),
        ("v3", "DigestMismatch", "DigestMismatch"),
    ):
        name = f"parts-{version}"
        space.apply(training.model_version(version))
        space.until(lambda name=name: space.ready(name, "modelversion")["reason"] == "ArtifactUnverified")

        def pod(name: str = name) -> str:
            running = space.list("pods", "app.kubernetes.io/component=verification")
            found = [
                each["metadata"]["name"] for each in running if each["metadata"]["name"].startswith(f"verify-{name}")
            ]
            return str(found[0]) if found else ""

        message = json.dumps({"reason": reason, "message": f"s3://models/parts/{version}/best.onnx: {reason}"})
        space.finish(space.until(pod), int(reason != "Verified"), message)
        space.until(lambda name=name, wanted=wanted: space.ready(name, "modelversion")["reason"] == wanted)


def trainings_end(space: Space) -> None:
    space.apply(training.training_job("a", mode="FineTune", architecture=None, **{"from": {"version": "none"}}))
    space.until_reason("ParentNotFound", "a")
    space.apply(training.training_job("b", {"kueue.x-k8s.io/queue-name": "gpus"}))
    space.until_reason("Queued", "b")
    space.apply(training.training_job("c", backoffLimit=1))
    first = space.until_running("c")
    space.log(first, training.epoch(1))
    space.until(lambda: "progress" in space.status("c"))
    space.kubectl("patch", "trainingjob", "c", "--type=merge", '--patch={"spec": {"suspend": true}}')
    space.until_reason("Suspended", "c")
    space.kubectl("patch", "trainingjob", "c", "--type=merge", '--patch={"spec": {"suspend": false}}')
    second = space.until_running("c", besides=(first,))
    space.finish(second, 1, failure("TrainingFailed", "loss is NaN at epoch 3"))
    third = space.until_running("c", besides=(first, second))
    space.finish(third, 1, failure("TrainingFailed", "loss is NaN again"))
    space.until_reason("TrainingFailed", "c")
    space.apply({**FULL, "spec": {"hard": {"pods": "0"}}})
    space.until(lambda: (space.get("resourcequota", "full") or {}).get("status"))
    space.apply(training.training_job("d"))
    assert "exceeded quota: full" in space.until_reason("NoPods", "d")
    space.delete("resourcequota", "full")
    pod = space.until_running("d")
    space.log(pod, json.dumps({"event": "evaluating"}))
    space.until_reason("Evaluating", "d")
    space.succeed(pod)
    space.until_reason("Complete", "d")
    gates = [{"metric": "recall", "minimum": "0.9"}]
    space.apply(training.training_job("e", evaluation={"dataset": {"uri": "s3://data/holdout.tar"}, "gates": gates}))
    measured = {"candidate": {"recall": "0.8"}, "baseline": None}
    space.succeed(space.until_running("e"), {**training.DETAIL, "evaluation": measured})
    space.until_reason("EvaluationFailed", "e")


def dataset_is_synced(line: datasets.Line) -> None:
    space = line.space
    space.apply(datasets.dataset(suspend=True))
    line.until_reason("Suspended")
    space.apply(datasets.dataset())
    pods = []
    for reason in ("LabelStudioRefused", "LabelStudioUnreachable"):
        pods.append(line.until_running(tuple(pods)))
        space.finish(pods[-1], 64, failure(reason, f"Label Studio at http://label-studio:8080: {reason}."))
        line.until_reason(reason)
        line.sync_now(reason)
    pods.append(line.until_running(tuple(pods)))
    space.finish(pods[-1], message=datasets.report(1, images=52))
    line.until_reason("Synced")
    space.apply(datasets.dataset(suspend=True))
    line.until_reason("Suspended")
