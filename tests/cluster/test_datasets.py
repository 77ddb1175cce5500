"""Datasets on a real API server, scheduler and Job controller, with a stand-in for the labeler (worlds/datasets.py)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from harness import Cluster, OperatorProcess
from worlds.datasets import Line, dataset, report
from worlds.training import Space, failure, training_job

RESTRICTED = "pod-security.kubernetes.io/enforce=restricted"
KIND = "dataset.modelfleet.dev"


@pytest.fixture
def space(crds: Cluster, namespace: str, kwok_nodes: Callable[..., list[str]], operator: OperatorProcess) -> Space:
    """The test's namespace with one node of its own, and an operator that serves it."""
    (node,) = kwok_nodes(1, labels={"for": namespace}, prefix="labeler")
    return Space(crds, namespace, node)


@pytest.fixture
def line(space: Space) -> Line:
    return Line(space)


def test_from_captures_to_a_version_and_on(line: Line, operator: OperatorProcess):
    space = line.space
    space.cluster.kubectl("label", "namespace", space.namespace, RESTRICTED)
    container = {"name": "labeler", "envFrom": [{"secretRef": {"name": "object-store", "optional": True}}]}
    template = {"spec": {"nodeSelector": {"for": space.namespace}, "containers": [container]}}
    space.apply(dataset(template=template))
    pod = line.until_running()
    assert line.ready()["reason"] == "Syncing"
    (job,) = line.jobs()
    owner = job["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["name"], owner["controller"]) == ("Dataset", "parts", True)
    (labeler,) = job["spec"]["template"]["spec"]["containers"]
    assert labeler["image"] == "localhost/modelfleet/labeler:test"
    environment = {entry["name"]: entry for entry in labeler["env"]}
    assert json.loads(environment["LABELER_RUN"]["value"])["store"] == "s3://data/parts/"
    assert environment["LABEL_STUDIO_API_KEY"]["valueFrom"]["secretKeyRef"]["name"] == "label-studio"

    space.finish(pod, message=report(1, images=52))
    assert line.until_reason("Synced") == (
        "12 images wait to be asked about, 40 in review, version 1 has 52 images. 7 of the 50 images that the next "
        "version takes are reviewed."
    )
    status = line.status()
    assert (status["latest"]["number"], status["latest"]["holdout"]["images"]) == (1, 60)
    assert status["lastSync"]["result"] == "Succeeded"
    row = space.kubectl("get", KIND, "parts", "--no-headers").split()
    assert row[:7] == ["parts", "parts", "1", "52", "12", "40", "700"]
    assert "DatasetVersionCreated" in space.until(line.events)
    assert 'modelfleet_dataset_latest_version{dataset="parts",model="parts"' in operator.metrics()

    before = space.get(KIND, "parts")
    time.sleep(5)
    assert space.get(KIND, "parts") == before, "steady state writes nothing"

    line.sync_now("1")
    second = line.until_running(besides=(pod,))
    space.finish(second, message=report(2, images=104))
    space.until(lambda: line.status()["latest"]["number"] == 2)
    assert line.status()["synced"] == ["now@1"]
    space.until(lambda: len(line.jobs()) == 1)
    assert [each["number"] for each in line.status()["versions"]] == [2, 1]
    assert line.status()["versions"][1]["holdout"] == f"{1001:064x}", "told once, known from then on"

    space.delete(KIND, "parts")
    space.until(lambda: line.jobs() == [])


def test_a_failed_sync_says_why_and_a_correction_is_tried_at_once(line: Line):
    space = line.space
    space.apply(dataset())
    first = line.until_running()
    space.finish(first, 64, failure("LabelStudioRefused", "The token is not valid: replace it in Secret label-studio."))
    message = line.until_reason("LabelStudioRefused")
    assert message.startswith("The token is not valid: replace it in Secret label-studio.")
    assert space.conditions("parts", KIND)["Stalled"]["status"] == "True"
    assert "SyncFailed" in space.until(line.events)
    assert len(space.list("pods", "modelfleet.dev/dataset=parts")) == 1, "64: not tried again"

    patch = '--patch={"spec": {"minNewImages": 60}}'
    space.kubectl("patch", KIND, "parts", "--type=merge", patch)
    second = line.until_running(besides=(first,))
    space.finish(second, message=report(1))
    line.until_reason("Synced")
    assert set(space.conditions("parts", KIND)) == {"Ready"}
    assert len(line.jobs()) == 2, "the last one that found something, and the last failed one"


def test_killed_at_any_moment_no_sync_is_made_twice(line: Line, operator: OperatorProcess):
    space = line.space
    space.apply(dataset())
    space.until(line.jobs)
    operator.kill9()
    operator.start()
    pod = line.until_running()
    operator.kill9()
    space.finish(pod, message=report(1))
    operator.start()
    line.until_reason("Synced")
    patch = '--patch=[{"op": "replace", "path": "/status", "value": {}}]'
    space.kubectl("patch", KIND, "parts", "--subresource=status", "--type=json", patch)
    space.until(lambda: line.status().get("latest", {}).get("number") == 1)
    assert len(line.jobs()) == 1


def test_what_the_api_server_refuses_is_told_in_its_words(line: Line):
    mounts = [{"name": "nowhere", "mountPath": "/data"}]
    line.space.apply(dataset(template={"spec": {"containers": [{"name": "labeler", "volumeMounts": mounts}]}}))
    assert 'Not found: "nowhere"' in line.until_reason("ApplyRejected")


def test_a_training_waits_for_a_version_and_keeps_the_one_that_it_began_with(line: Line):
    space = line.space
    judged = {"dataset": {"from": {"dataset": "parts"}}, "gates": [{"metric": "recall", "minimum": "0.1"}]}
    space.apply(training_job(dataset={"from": {"dataset": "parts"}}, evaluation=judged))
    assert "Dataset parts does not exist in this namespace" in space.until_reason("DatasetNotFound")
    space.apply(dataset())
    space.until_reason("DatasetVersionNotFound")
    pod = line.until_running()
    space.finish(pod, message=report(3, images=640))
    trainer = space.until_running()
    space.until_reason("Training")
    pinned = {
        "dataset": "parts",
        "version": 3,
        "uri": "s3://data/parts/versions/00003/version.json",
        "sha256": f"{3:064x}",
    }
    assert space.status()["dataset"] == pinned
    assert space.status()["holdout"]["uri"] == "s3://data/parts/versions/00003/holdout.json"
    run = _run(space)
    assert run["dataset"]["sources"] == [{"uri": pinned["uri"], "sha256": pinned["sha256"], "format": "Auto"}]
    assert run["evaluation"]["dataset"]["sha256"] == f"{1003:064x}"

    line.sync_now("1")
    space.finish(line.until_running(besides=(pod,)), message=report(4, images=700))
    space.until(lambda: line.status()["latest"]["number"] == 4)
    time.sleep(2)
    assert space.status()["dataset"] == pinned
    assert _run(space) == run
    space.succeed(trainer)
    version = space.until(lambda: space.get("modelversion", "parts-v1"))
    lineage = (version or {})["spec"]["lineage"]["dataset"]
    assert (lineage["dataset"], lineage["version"]) == ("parts", 3)


def _run(space: Space) -> dict[str, object]:
    job = space.get("job", "parts-v1")
    assert job is not None
    (trainer,) = job["spec"]["template"]["spec"]["containers"]
    run: dict[str, object] = json.loads(next(each["value"] for each in trainer["env"] if each["name"] == "TRAINER_RUN"))
    return run
