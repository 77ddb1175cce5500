"""Raw pods, as far as every capability reads them."""

import pytest

from modelfleet.workloads.pods import Problem, container_status, container_statuses, stuck, terminated


@pytest.mark.parametrize(
    ("state", "problem"),
    [
        ({}, None),
        ({"running": {}}, None),
        ({"waiting": {}}, None),
        ({"waiting": {"reason": "ContainerCreating"}}, None),
        ({"waiting": {"reason": "PodInitializing", "message": "soon"}}, None),
        ({"waiting": {"reason": "ErrImagePull"}}, Problem("ErrImagePull", "")),
        ({"waiting": {"reason": "ErrImagePull", "message": "not found"}}, Problem("ErrImagePull", "not found")),
    ],
)
def test_a_container_that_is_starting_is_not_stuck(state, problem):
    assert stuck({"name": "agent", "state": state}) == problem


def test_a_container_without_a_state_has_not_ended():
    assert terminated({}) is None
    assert terminated({"state": {"terminated": {"exitCode": 0}}}) == {"exitCode": 0}


def test_a_pod_that_was_just_made_has_no_containers():
    assert container_statuses({"initContainerStatuses": None}) == []
    assert container_status({}, "agent") == {}


def test_containers_are_found_by_name_and_init_containers_come_first():
    status = {"initContainerStatuses": [{"name": "fetch"}], "containerStatuses": [{"name": "agent"}]}
    assert [each["name"] for each in container_statuses(status)] == ["fetch", "agent"]
    assert container_status(status, "agent") == {"name": "agent"}
    assert container_status(status, "fetch") == {}
