"""TrainingJobs on a real API server, scheduler and Job controller, with simulated nodes (see worlds/training.py)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from harness import Cluster, OperatorProcess, StartOperator
from harness.timing import within
from worlds.training import DETAIL, Space, epoch, failure, model_version, training_job

RESTRICTED = "pod-security.kubernetes.io/enforce=restricted"


@pytest.fixture
def space(crds: Cluster, namespace: str, kwok_nodes: Callable[..., list[str]], operator: OperatorProcess) -> Space:
    """The test's namespace with one node of its own, and an operator that serves it."""
    (node,) = kwok_nodes(1, labels={"for": namespace}, prefix="trainer")
    return Space(crds, namespace, node)


def test_from_the_spec_to_the_model_version(space: Space):
    space.cluster.kubectl("label", "namespace", space.namespace, RESTRICTED)
    template = {
        "metadata": {"labels": {"team": "vision"}},
        "spec": {
            "nodeSelector": {"for": space.namespace},
            "containers": [{"name": "trainer", "envFrom": [{"secretRef": {"name": "object-store"}}]}],
        },
    }
    space.apply(
        training_job(
            template=template,
            backoffLimit=2,
            activeDeadline="2h",
            hyperparameters={"epochs": 3},
            resources={"requests": {"cpu": "500m"}, "limits": {"memory": "2Gi"}},
            output={"uri": "s3://models/", "tags": ["candidate"]},
        )
    )
    pod = space.until_running()

    job = space.get("job", "parts-v1")
    assert job is not None
    owner = job["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["name"], owner["controller"]) == ("TrainingJob", "parts-v1", True)
    assert (job["spec"]["backoffLimit"], job["spec"]["activeDeadlineSeconds"]) == (2, 7200)
    spec = job["spec"]["template"]["spec"]
    (trainer,) = spec["containers"]
    assert trainer["image"] == "localhost/modelfleet/trainer:test"
    assert trainer["envFrom"] == [{"secretRef": {"name": "object-store"}}]
    assert trainer["resources"] == {"requests": {"cpu": "500m"}, "limits": {"memory": "2Gi"}}
    assert (spec["restartPolicy"], spec["automountServiceAccountToken"]) == ("Never", False)
    assert job["spec"]["template"]["metadata"]["labels"]["team"] == "vision"
    run = json.loads(next(entry["value"] for entry in trainer["env"] if entry["name"] == "TRAINER_RUN"))
    assert (run["version"], run["output"]["uri"]) == ("v1", "s3://models/parts/v1/")

    space.until_reason("Training")
    space.log(pod, json.dumps({"event": "started"}), epoch(1))
    with within(15):  # after an epoch its figures are in the status
        space.until(lambda: space.status().get("progress", {}).get("epoch") == 1)
    space.log(pod, epoch(2))
    space.until(lambda: space.status().get("progress", {}).get("epoch") == 2)
    status = space.status()
    assert status["progress"] == {
        "epoch": 2,
        "epochs": 3,
        "percent": 66,
        "remaining": "1m",
        "metrics": {"map50": "0.2"},
    }
    assert (status["phase"], status["attempts"], status["version"]) == ("Running", 1, "v1")
    row = space.kubectl("get", "trainingjob", "parts-v1", "--no-headers").split()
    assert row[1:][:9] == ["parts", "v1", "Scratch", "Running", "2", "3", "66", "1m", "0.2"]

    space.succeed(pod)
    space.kubectl("wait", "--for=condition=Complete", "trainingjob/parts-v1", "--timeout=60s")
    version = space.get("modelversion", "parts-v1")
    assert version is not None
    assert version["metadata"]["labels"] == {
        "modelfleet.dev/model": "parts",
        "modelfleet.dev/training-job": "parts-v1",
    }
    assert "ownerReferences" not in version["metadata"]
    assert version["spec"]["metrics"] == {"map50": "0.91", "recall": "0.87"}
    assert version["spec"]["tags"] == ["candidate"]
    assert version["spec"]["calibration"] == DETAIL["calibration"]
    assert version["spec"]["lineage"]["trainingJob"] == "parts-v1"
    space.until(lambda: space.ready("parts-v1", "modelversion")["status"] == "True")
    space.until(lambda: space.status("parts-v1", "modelversion").get("tags") == ["candidate", "latest"])
    assert set(space.conditions()) == {"Ready", "Complete"}
    assert space.status()["modelVersion"] == "parts-v1"
    space.hears("JobCreated", "Training", "Complete")

    before = space.get("trainingjob", "parts-v1")
    time.sleep(5)
    assert space.get("trainingjob", "parts-v1") == before, "steady state writes nothing"

    space.delete("trainingjob", "parts-v1")
    space.until(lambda: space.get("job", "parts-v1") is None)
    assert space.get("modelversion", "parts-v1") is not None


def test_a_missing_parent_is_named_and_waited_for(space: Space):
    space.apply(training_job("parts-v2", mode="FineTune", architecture=None, **{"from": {"version": "v1"}}))
    message = space.until_reason("ParentNotFound", "parts-v2")
    assert "ModelVersion parts-v1 does not exist" in message
    assert space.conditions("parts-v2")["Stalled"]["status"] == "True"
    assert space.list("jobs") == []
    space.apply(model_version("v1"))
    space.until_running("parts-v2")
    space.until_reason("Training", "parts-v2")
    assert set(space.conditions("parts-v2")) == {"Ready", "Reconciling"}
    assert space.status("parts-v2")["parent"] == "v1"


def test_an_existing_version_is_not_overwritten(space: Space):
    space.apply(model_version("v1"))
    space.apply(training_job())
    assert "ModelVersion parts-v1 exists already" in space.until_reason("VersionExists")
    assert space.list("jobs") == []


def test_a_job_of_somebody_else_is_left_alone(space: Space):
    foreign = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "parts-v1"},
        "spec": {
            "suspend": True,
            "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "x"}]}},
        },
    }
    space.apply(foreign)
    space.until(lambda: (space.get("job", "parts-v1") or {})["status"].get("conditions"))  # its controller has seen it
    before = space.get("job", "parts-v1")
    space.apply(training_job())
    assert "was not created by this TrainingJob" in space.until_reason("NameConflict")
    assert space.get("job", "parts-v1") == before


def test_what_the_api_server_refuses_is_told_in_its_words(space: Space):
    mounts = [{"name": "nowhere", "mountPath": "/data"}]
    space.apply(training_job(template={"spec": {"containers": [{"name": "trainer", "volumeMounts": mounts}]}}))
    assert 'Not found: "nowhere"' in space.until_reason("ApplyRejected")
    assert space.conditions()["Stalled"]["status"] == "True"


def test_a_pod_that_no_node_takes_is_explained(space: Space):
    space.apply(training_job(resources={"gpus": 1}))
    message = space.until_reason("Unschedulable")
    assert "nvidia.com/gpu" in message
    assert "Reconciling" in space.conditions()


def test_a_failure_that_can_not_be_mended_ends_the_run_at_once(space: Space):
    space.apply(training_job())
    pod = space.until_running()
    space.finish(pod, 64, failure("DatasetInvalid", "train/labels/7.txt: class 9 of 2 classes"))
    message = space.until_reason("DatasetInvalid")
    assert "train/labels/7.txt: class 9 of 2 classes" in message
    conditions = space.conditions()
    assert (conditions["Failed"]["status"], conditions["Stalled"]["status"]) == ("True", "True")
    assert "Complete" not in conditions
    assert space.status()["phase"] == "Failed"
    assert len(space.list("pods", "modelfleet.dev/training-job=parts-v1")) == 1
    assert space.list("modelversions") == []


def test_preemption_is_not_a_failure_and_a_crash_is_tried_again(space: Space):
    space.apply(training_job(backoffLimit=1))
    first = space.until_running()
    space.until_reason("Training")
    space.cluster.kwok.disrupt_pod(space.namespace, first)
    second = space.until_running(besides=(first,))
    space.until(lambda: space.status().get("preemptions") == 1)
    space.finish(second, 1, failure("TrainingFailed", "loss is NaN at epoch 3"))
    space.until(lambda: "loss is NaN at epoch 3" in space.ready()["message"])
    third = space.until_running(besides=(first, second))
    space.until_reason("Training")
    status = space.status()
    assert (status["attempts"], status["preemptions"]) == (3, 1)
    assert "attempt 3" in space.ready()["message"]
    space.finish(third, 1, failure("TrainingFailed", "loss is NaN again"))
    message = space.until_reason("TrainingFailed")
    assert "All 2 attempts failed, the last one: loss is NaN again" in message
    space.hears("Preempted", "Retrying", "TrainingFailed")


BESIDE = {"spec": {"containers": [{"name": "trainer"}, {"name": "mesh", "image": "localhost/mesh:test"}]}}


def test_a_container_beside_it_does_not_keep_a_run_from_ending(space: Space):
    space.apply(training_job(template=BESIDE))
    pod = space.until_running()
    space.until_reason("Training")
    space.succeed(pod, alone=True)
    space.until_reason("Complete", patience=15)
    (left,) = space.list("pods", "modelfleet.dev/training-job=parts-v1")
    assert left["status"]["phase"] == "Running"
    assert "conditions" not in (space.get("job", "parts-v1") or {})["status"]
    version = space.get("modelversion", "parts-v1")
    assert version is not None
    before = space.status()
    space.until(lambda: space.list("jobs") == [] and space.list("pods") == [])
    assert space.status() == before
    assert space.get("modelversion", "parts-v1") is not None


def test_a_container_beside_it_hides_no_failure(space: Space):
    """The first attempt fails and is tried again; the second one can't be mended."""
    space.apply(training_job(template=BESIDE, backoffLimit=2))
    first = space.until_running()
    space.finish(first, 1, failure("TrainingFailed", "loss is NaN at epoch 3"), alone=True)
    assert "Still running beside it: mesh" in space.until_reason("Retrying")
    second = space.until_running(besides=(first,))
    assert space.get("pod", first) is None
    space.until_reason("Training")
    assert space.status()["attempts"] == 2
    space.finish(second, 64, failure("DatasetInvalid", "train/labels/7.txt: class 9 of 2 classes"), alone=True)
    assert "train/labels/7.txt: class 9 of 2 classes" in space.until_reason("DatasetInvalid")
    assert space.status()["attempts"] == 2
    assert space.list("pods") == []
    (end,) = (
        entry for entry in (space.get("job", "parts-v1") or {})["status"]["conditions"] if entry["type"] == "Failed"
    )
    assert end["reason"] == "PodFailurePolicy"


def test_suspend_stops_the_pod_and_lets_it_go_on(space: Space):
    space.apply(training_job())
    first = space.until_running()
    space.kubectl("patch", "trainingjob", "parts-v1", "--type=merge", '--patch={"spec": {"suspend": true}}')
    space.until_reason("Suspended")
    space.until(lambda: not space.list("pods", "modelfleet.dev/training-job=parts-v1"))
    assert space.status()["phase"] == "Suspended"
    assert (space.get("job", "parts-v1") or {})["spec"]["suspend"] is True
    space.kubectl("patch", "trainingjob", "parts-v1", "--type=merge", '--patch={"spec": {"suspend": false}}')
    pod = space.until_running(besides=(first,))
    space.log(pod, '{"event": "resumed", "resumedFromEpoch": 2, "epochs": 3}')
    space.until(lambda: space.status().get("resumedFromEpoch") == 2)
    assert space.status()["progress"]["epoch"] == 2
    space.hears("Resumed")
    space.succeed(pod)
    space.until_reason("Complete")


def test_a_run_that_takes_too_long_ends(space: Space):
    space.apply(training_job(activeDeadline="3s"))
    assert "The run took longer than spec.activeDeadline, 3s" in space.until_reason("DeadlineExceeded")
    assert space.status()["phase"] == "Failed"
    space.until(lambda: not space.list("pods", "modelfleet.dev/training-job=parts-v1"))


def test_deleting_it_while_it_runs_takes_job_and_pod_along(space: Space, operator: OperatorProcess):
    space.apply(training_job())
    space.until_running()
    space.until_reason("Training")
    space.delete("trainingjob", "parts-v1")
    space.until(lambda: space.list("jobs") == [] and space.list("pods") == [])
    assert space.list("modelversions") == []
    assert operator.alive


def test_a_queue_in_a_cluster_without_kueue_is_said(space: Space):
    """With Kueue: test_kueue.py."""
    space.apply(training_job(labels={"kueue.x-k8s.io/queue-name": "gpus"}))
    assert space.until_reason("Queued") == "Waiting for admission by Kueue queue gpus."
    assert (space.get("job", "parts-v1") or {})["spec"]["suspend"] is True
    assert "Kueue is not installed in this cluster; install it, or" in space.until_reason("QueueNotServed", patience=90)
    assert space.conditions()["Stalled"]["status"] == "True"
    assert space.status()["phase"] == "Queued"


def test_a_failed_evaluation_makes_a_rejected_version(space: Space):
    gates = [{"metric": "recall", "maxRegression": "0.02", "perClass": True}]
    space.apply(model_version("v1"))
    space.until(lambda: space.ready("parts-v1", "modelversion")["status"] == "True")
    space.apply(
        training_job(
            "parts-v2",
            evaluation={"dataset": {"uri": "s3://data/holdout.tar"}, "baseline": {"tag": "latest"}, "gates": gates},
        )
    )
    pod = space.until_running("parts-v2")
    measured = {
        "candidate": {"recall": "0.8", "perClass": {"bolt": {"recall": "0.9"}, "nut": {"recall": "0.6"}}},
        "baseline": {"recall": "0.8", "perClass": {"bolt": {"recall": "0.9"}, "nut": {"recall": "0.7"}}},
    }
    space.succeed(pod, {**DETAIL, "evaluation": measured})
    message = space.until_reason("EvaluationFailed", "parts-v2")
    assert "recall of class nut is 0.6, 0.1 lower than the baseline's 0.7" in message
    assert space.status("parts-v2")["baseline"] == "v1"
    space.until(lambda: space.ready("parts-v2", "modelversion")["reason"] == "Rejected")
    assert space.status("parts-v1", "modelversion")["tags"] == ["latest"]


def test_killed_at_any_moment_it_ends_the_same(space: Space, operator: OperatorProcess):
    """Killed while training, while the pod ends, and after the end; the status wiped on top."""
    space.apply(training_job(ttlAfterFinished="15s"))
    pod = space.until_running()
    space.log(pod, epoch(1))
    space.until(lambda: space.status().get("progress", {}).get("epoch") == 1)
    operator.kill9()
    space.log(pod, epoch(2))
    operator.restart()
    space.until(lambda: space.status().get("progress", {}).get("epoch") == 2)
    operator.kill9()
    space.succeed(pod)
    space.kubectl("wait", "--for=condition=Complete", "job/parts-v1", "--timeout=60s")
    wiped = '--patch={"status": {"conditions": [], "progress": null, "version": null, "startedAt": null}}'
    space.kubectl("patch", "trainingjob", "parts-v1", "--subresource=status", "--type=merge", wiped)
    operator.restart()
    space.until_reason("Complete")
    assert space.get("modelversion", "parts-v1") is not None
    assert space.status()["progress"]["epoch"] == 2
    assert space.status()["startedAt"]
    before = space.status()
    operator.restart()
    space.until(lambda: space.get("job", "parts-v1") is None)
    assert space.status() == before, "the TrainingJob stays as a record when its Job is gone"


def test_an_operator_that_was_away_reads_the_result_afterwards(
    crds: Cluster, namespace: str, kwok_nodes: Callable[..., list[str]], start_operator: StartOperator
):
    """Nobody followed the log: the detail is read from the ended pod."""
    (node,) = kwok_nodes(1, prefix="trainer")
    space = Space(crds, namespace, node)
    operator = start_operator()
    space.apply(training_job())
    pod = space.until_running()
    operator.stop()
    space.succeed(pod)
    space.kubectl("wait", "--for=condition=Complete", "job/parts-v1", "--timeout=60s")
    operator.start()
    space.until_reason("Complete")
