"""What a pod says of itself, and what that means to somebody who has to fix it."""

import json
from datetime import timedelta

import pytest

from modelfleet.rollout.pods import node_of, pod_state
from modelfleet.workloads.pods import Problem
from unit.rollout.builders import START, wire

LATER = START + timedelta(minutes=5)


def pod(*containers, init=(), ready=False, conditions=(), **status):
    return {
        "metadata": {"name": "p", "creationTimestamp": wire(START), "labels": {"modelfleet.dev/revision": "abc"}},
        "spec": {"nodeName": "edge-1"},
        "status": {
            "conditions": [
                {"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": wire(LATER)},
                *conditions,
            ],
            "containerStatuses": list(containers),
            "initContainerStatuses": list(init),
            **status,
        },
    }


def container(name="agent", restarts=0, ready=False, last=None, **state):
    return {
        "name": name,
        "restartCount": restarts,
        "ready": ready,
        "state": state,
        "lastState": {"terminated": last} if last else {},
    }


def ended(code=1, **more):
    return {"exitCode": code, **more}


MISMATCH = json.dumps({"reason": "DigestMismatch", "message": "best.onnx has digest 00, not 76"})
BACKING_OFF = {"reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting failed container"}


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (pod(container(running={}, ready=True), ready=True), None),
        (pod(container(waiting={"reason": "PodInitializing"}), init=[container("fetch-model", running={})]), None),
        (pod(container(waiting={"reason": "ContainerCreating"})), None),
        (
            pod(init=[container("fetch-model", terminated=ended(message=MISMATCH))]),
            Problem("DigestMismatch", "fetch-model: best.onnx has digest 00, not 76"),
        ),
        (
            pod(init=[container("fetch-model", restarts=3, waiting=BACKING_OFF, last=ended(message=MISMATCH))]),
            Problem("DigestMismatch", "fetch-model: best.onnx has digest 00, not 76"),
        ),
        (
            pod(init=[container("fetch-model", restarts=3, running={}, last=ended(message=MISMATCH))]),
            Problem("DigestMismatch", "fetch-model: best.onnx has digest 00, not 76"),
        ),
        (
            pod(container(waiting=BACKING_OFF, last=ended(137, reason="OOMKilled"))),
            Problem("OOMKilled", "container agent was killed for using too much memory"),
        ),
        (
            pod(container(waiting=BACKING_OFF, last=ended(2, reason="Error", message="no camera at /dev/video0\n"))),
            Problem("Error", "container agent ended with exit code 2: no camera at /dev/video0"),
        ),
        (
            pod(container(waiting={"reason": "ImagePullBackOff", "message": "Back-off pulling image x:1"})),
            Problem("ImagePullBackOff", "container agent: Back-off pulling image x:1"),
        ),
        (
            pod(container(waiting={"reason": "CreateContainerConfigError", "message": 'secret "s" not found'})),
            Problem("CreateContainerConfigError", 'container agent: secret "s" not found'),
        ),
        (
            pod(container(running={})),
            Problem("NotReady", "container agent runs, but its readiness probe does not pass"),
        ),
        (
            pod(
                conditions=[
                    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
                ]
            ),
            Problem("Unschedulable", "0/3 nodes"),
        ),
        (
            pod(phase="Failed", reason="Evicted", message="The node was low on memory"),
            Problem("Evicted", "The node was low on memory"),
        ),
    ],
)
def test_problems(given, problem):
    assert pod_state(given).problem == problem


def test_the_clock_starts_at_the_last_change_of_readiness():
    assert pod_state(pod(container(running={}))).since == LATER


def test_a_pod_that_keeps_crashing_is_late_from_its_creation_on():
    assert pod_state(pod(container(restarts=5, waiting=BACKING_OFF, last=ended()))).since == START
    assert pod_state(pod(container(restarts=4, waiting=BACKING_OFF, last=ended()))).since == LATER


def test_what_else_is_read():
    state = pod_state(pod(ready=True))
    assert (state.name, state.node, state.revision, state.ready, state.ends) == ("p", "edge-1", "abc", True, None)


def test_a_pod_without_the_label_is_of_no_revision():
    given = pod(ready=True)
    del given["metadata"]["labels"]
    assert pod_state(given).revision == ""


def test_an_unscheduled_pod_tells_its_node_by_affinity():
    terms = [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["edge-7"]}]}]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    assert node_of({"spec": {"affinity": {"nodeAffinity": required}}}) == "edge-7"
    assert node_of({"spec": {}}) == ""


SANDBOX, NO_SANDBOX = (
    {"type": "PodReadyToStartContainers", "status": status, "lastTransitionTime": wire(START)}
    for status in ("True", "False")
)
SCHEDULED, UNSCHEDULED = ({"type": "PodScheduled", "status": status} for status in ("True", "False"))
WAITING = container(waiting={"reason": "PodInitializing"})
CRASHED = container(waiting=BACKING_OFF, last=ended(255), restarts=1)


@pytest.mark.parametrize(
    ("given", "unstarted"),
    [
        (pod(WAITING, init=[container("fetch-model", waiting={"reason": "PodInitializing"})]), True),
        (pod(container(waiting={"reason": "ContainerCreating"}), conditions=[SANDBOX]), True),
        (pod(CRASHED, conditions=[NO_SANDBOX]), True),  # after a reboot
        (pod(CRASHED, conditions=[SANDBOX]), False),
        (pod(WAITING, init=[container("fetch-model", running={})]), True),  # a slow line
        (pod(WAITING, init=[container("fetch-model", running={}, last=ended(message=MISMATCH))]), False),
        (pod(WAITING, init=[container("fetch-model", terminated=ended(1))]), False),
        (pod(WAITING, init=[container("prepare", running={})]), False),  # hangs, perhaps
        (pod(WAITING, init=[container("fetch-model", terminated=ended(0))]), True),  # and the agent's image is pulled
        (pod(WAITING, container("logger", running={})), False),
        (pod(container(waiting={"reason": "ErrImagePull"})), False),
        (pod(container(running={}), conditions=[SANDBOX]), False),
        (pod(container(running={}, ready=True), ready=True, conditions=[NO_SANDBOX]), False),
        (pod(WAITING, phase="Failed", conditions=[NO_SANDBOX]), False),
        (pod(conditions=[SCHEDULED]), True),
        (pod(conditions=[UNSCHEDULED]), False),
        (pod(), False),
    ],
)
def test_whether_a_node_has_come_to_start_a_pod(given, unstarted):
    assert pod_state(given).unstarted is unstarted


@pytest.mark.parametrize(("status", "since"), [("True", LATER), ("False", START)])
def test_a_pod_that_had_to_wait_for_its_node_counts_from_when_it_was_given_it(status, since):
    waited = pod()
    waited["status"]["conditions"] = [{"type": "PodScheduled", "status": status, "lastTransitionTime": wire(LATER)}]
    assert pod_state(waited).since == since
