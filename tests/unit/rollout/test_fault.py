"""What a container's end, or its beginning, says of the node that it was on. Whole rollouts: test_rollback.py."""

import pytest

from modelfleet.rollout import fault
from modelfleet.rollout.pods import pod_state
from unit.rollout.builders import START, wire

TASK = "failed to create containerd task: failed to create shim task: "


def said(**state):
    agent = {"name": "agent", "restartCount": 0, "ready": False, "state": state}
    metadata = {"name": "p", "creationTimestamp": wire(START)}
    return pod_state({"metadata": metadata, "spec": {}, "status": {"containerStatuses": [agent]}}).problem


@pytest.mark.parametrize(
    ("words", "nodes"),
    [
        ("mkdir /run/containerd/x: no space left on device", True),
        ("open /var/lib/containerd/x: stale NFS file handle", True),
        ("open /var/lib/containerd/x: structure needs cleaning", True),
        ("mount /models: transport endpoint is not connected", True),
        ('exec: "detect": executable file not found in $PATH', False),
        ("mkdir /data: read-only file system", False),
    ],
)
def test_a_container_that_can_not_begin(words, nodes):
    for problem in (
        said(waiting={"reason": "CreateContainerError", "message": words}),
        said(waiting={"reason": "RunContainerError", "message": TASK + words}),
        said(terminated={"exitCode": 128, "reason": "StartError", "message": TASK + words}),
    ):
        assert fault.is_clusters(problem) is nodes


def test_an_application_may_speak_of_a_full_disk_of_its_own():
    ended = {"exitCode": 1, "reason": "Error", "message": "write /data/x: no space left on device"}
    assert not fault.is_clusters(said(terminated=ended))


def test_a_container_that_the_kubelet_has_lost():
    lost = {"exitCode": 137, "reason": "ContainerStatusUnknown", "message": "could not be located"}
    assert fault.is_clusters(said(terminated=lost))
