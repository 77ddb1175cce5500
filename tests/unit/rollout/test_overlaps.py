"""Rollouts that want the same of a host."""

import pytest

from modelfleet.rollout.overlaps import host_resources
from unit.rollout import builders
from unit.rollout.simulation import installed


def template(port=None, path=None, read_only=False, network=False, number=9090):
    container = {"name": "agent", "image": "a", "ports": [{"containerPort": number}]}
    spec = {"containers": [container], "hostNetwork": network}
    if port:
        container["ports"][0]["hostPort"] = port
    if path:
        container["volumeMounts"] = [{"name": "v", "mountPath": "/x", "readOnly": read_only}]
        spec["volumes"] = [{"name": "v", "hostPath": {"path": path}}]
    return {"spec": spec}


@pytest.mark.parametrize(
    ("given", "resources"),
    [
        (template(), set()),
        (template(port=80), {"host port 80/TCP"}),
        (template(network=True), {"host port 9090/TCP"}),
        (template(path="/dev/video0"), {"host path /dev/video0"}),
        (template(path="/etc/localtime", read_only=True), set()),
        (template(path="/var/lib/modelfleet/models"), set()),
    ],
)
def test_what_is_taken_of_a_host(given, resources):
    assert host_resources(given) == resources


def test_two_rollouts_with_one_camera_are_told():
    world = installed()
    other = builders.rollout("v1", name="other", template=template(path="/dev/video0"))
    world.put(other)
    world.rest(1)
    assert world.reason("NodesOverlap") is None
    world.spec(template=template(path="/dev/video0"))
    world.rest(1)
    assert world.reason("NodesOverlap") == "SameHostResources"
    assert "node canary-0: Rollout other wants host path /dev/video0 too" in world.message("NodesOverlap")


def test_a_template_that_names_nothing_takes_nothing():
    odd = {"spec": {"containers": [{"volumeMounts": [{"mountPath": "/x"}]}], "volumes": [{"emptyDir": {}}]}}
    assert host_resources(odd) == set()
