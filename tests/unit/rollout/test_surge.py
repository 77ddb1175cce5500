"""Groups with maxSurge: the new pod starts beside the old one, which goes when the new one is ready."""

from datetime import timedelta

import pytest

from modelfleet.api import Rollout, names
from modelfleet.kinds import DAEMON_SET, POD
from modelfleet.rollout import groups, surge
from modelfleet.rollout.snapshot import GroupState, NodeState, PodState
from modelfleet.workloads.pods import Problem
from unit.rollout import builders, positions
from unit.rollout.builders import START
from unit.rollout.simulation import NAMESPACE, World, installed
from unit.rollout.test_rollback import fails, rolled_back

SURGE = {"maxUnavailable": 0, "maxSurge": 1}
GROUPS = (builders.group("canary", **SURGE), builders.group("fleet", **SURGE))
HOST_PORT = builders.template(
    containers=[{"name": "agent", "image": "app:1", "ports": [{"containerPort": 80, "hostPort": 80}]}]
)


def surging(**spec) -> World:
    return installed(groups=GROUPS, **spec)


def served(world: World, until, limit: int = 400) -> None:
    """Let time pass until something is so; no node is ever without a ready pod meanwhile."""
    wanted = set(world.running)
    for _ in range(limit):
        world.operate()
        assert set(world.running) == wanted, "a node has no ready pod"
        if until():
            return
        world.tick()
    raise AssertionError(f"it never came to that: {world.message()}")


def rolling_update(world: World, group: str):
    return world.get(DAEMON_SET, f"line-{group}")["spec"]["updateStrategy"]["rollingUpdate"]


def pods(world: World, node: str) -> list[str]:
    """The versions of the node's pods, ready or not."""
    return sorted(
        raw["metadata"]["labels"][names.VERSION]
        for raw in world.store.list(POD, NAMESPACE)
        if raw["spec"]["nodeName"] == node
    )


@pytest.mark.parametrize(
    ("group", "template", "expected"),
    [
        ({}, None, surge.Budget(1)),
        ({"maxUnavailable": "25%"}, None, surge.Budget("25%")),
        (SURGE, None, surge.Budget(0, 1)),
        ({"maxUnavailable": "0%", "maxSurge": "50%"}, None, surge.Budget(0, "50%")),
        ({"maxUnavailable": 1, "maxSurge": "0%"}, None, surge.Budget(1)),
        ({"maxUnavailable": 0, "maxSurge": 2}, HOST_PORT, surge.Budget(2)),
        ({"maxUnavailable": 0, "maxSurge": "50%"}, builders.template(hostNetwork=True), surge.Budget("50%")),
        (
            SURGE,
            builders.template(initContainers=[{"name": "x", "ports": [{"containerPort": 1, "hostPort": 1}]}]),
            surge.Budget(1),
        ),
    ],
)
def test_what_the_daemon_set_says(group, template, expected):
    spec = positions.rollout(groups=[builders.group("canary", **group)])
    revision = positions.revision("v2")
    revision.data["template"].update(template or {})
    assert surge.budget(positions.group(spec, 0, "v1"), revision) == expected


def test_nodes_out_of_reach_take_nothing_of_a_surge():
    world = surging(rest=3)
    world.reach("fleet-0", False)
    world.choose("v2")
    world.run(lambda: world.status.get("currentGroup") == "fleet")
    assert rolling_update(world, "fleet") == {"maxUnavailable": 0, "maxSurge": 1}
    world.run(lambda: world.phase == "Ready")
    assert world.status["groups"][1]["ready"] == 2


def test_an_upgrade_takes_no_node_away():
    world = surging()
    world.choose("v2")
    served(world, lambda: world.is_at("v2"))
    assert rolling_update(world, "fleet") == {"maxUnavailable": 0, "maxSurge": 1}
    assert {node: len(pods(world, node)) for node in world.running} == dict.fromkeys(world.running, 1)
    assert "PodsMissing" not in {each["type"] for each in world.status["conditions"]}


def test_the_gate_begins_when_the_new_pods_are_ready_and_not_before():
    world = surging()
    world.choose("v2")
    served(world, lambda: pods(world, "canary-0") == ["v1", "v2"])
    assert world.phase == "Progressing"
    assert world.status.get("gate") is None
    assert (world.status["groups"][0]["updated"], world.status["groups"][0]["ready"]) == (1, 0)
    served(world, lambda: world.status.get("gate") is not None)
    assert world.running["canary-0"] == "v2"


def test_a_version_that_never_starts_is_taken_back_and_its_node_never_was_without():
    world = surging(progressDeadline="3m")
    world.broken.add("v2")
    world.choose("v2")
    served(world, lambda: world.reason("Stalled") == "RolledBack")
    assert pods(world, "canary-0") == ["v1"]
    assert world.status["quarantined"][0]["version"] == "v2"


def test_a_gate_that_fails_goes_back_beside_the_running_pod_and_is_not_back_before_that_is_gone():
    world = surging()
    world.choose("v2")
    served(world, lambda: pods(world, "canary-0") == ["v2"])
    world.judge = fails("v2")
    served(world, lambda: world.phase == "RollingBack" and pods(world, "canary-0") == ["v1", "v2"])
    world.operate()
    assert world.phase == "RollingBack", "the version that failed still runs"
    assert "Going back to v1 in group canary" in world.message()
    served(world, lambda: rolled_back(world, "v2"))
    assert pods(world, "canary-0") == ["v1"]


def test_a_gate_that_fails_at_once_leaves_the_old_pod_where_it_is():
    world = surging()
    before = next(raw["metadata"]["name"] for raw in world.store.list(POD) if raw["spec"]["nodeName"] == "canary-0")
    world.judge = fails("v2")
    world.choose("v2")
    served(world, lambda: rolled_back(world, "v2"))
    assert world.get(POD, before)["metadata"]["labels"][names.VERSION] == "v1"


def test_a_rollback_for_which_there_is_no_room_says_so_and_goes_on_when_there_is():
    world = surging()
    world.choose("v2")
    served(world, lambda: pods(world, "canary-0") == ["v2"])
    world.judge = fails("v2")
    world.broken.add("v1")
    world.problem = _no_room
    served(world, lambda: "Unschedulable" in world.message())
    assert world.phase == "RollingBack"
    assert "the node must have room for this pod beside the old one, which runs on" in world.message()
    world.broken.clear()
    world.run(lambda: rolled_back(world, "v2"))


def test_no_room_for_both_is_the_clusters_and_the_old_pod_stays():
    world = surging(progressDeadline="3m")
    world.broken.add("v2")
    world.problem = _no_room
    world.choose("v2")
    served(world, lambda: world.reason("Stalled") == "ClusterRefuses")
    assert "Insufficient memory; with maxSurge the node must have room" in world.message()
    assert world.status["quarantined"] == []
    world.broken.clear()
    served(world, lambda: world.is_at("v2"))


def _no_room(pod) -> None:
    """What the scheduler writes."""
    said = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "Insufficient memory"}
    ready = next(each for each in pod["status"]["conditions"] if each["type"] == "Ready")
    pod["status"] = {"conditions": [ready, said]}


def test_a_second_pod_that_is_refused_is_named_and_held():
    world = surging(progressDeadline="3m")
    world.no_pods.add("canary-0")
    world.choose("v2")
    served(world, lambda: world.reason("PodsMissing") == "NoPod")
    assert "No pod was created on canary-0" in world.message("PodsMissing")
    served(world, lambda: world.reason("Stalled") == "ClusterRefuses")
    assert world.status["quarantined"] == []
    world.no_pods.clear()
    served(world, lambda: world.is_at("v2"))


def test_a_rollback_whose_pod_is_refused_says_where_and_goes_on_when_it_is_let():
    world = surging()
    world.choose("v2")
    served(world, lambda: pods(world, "canary-0") == ["v2"])
    world.no_pods.add("canary-0")
    world.judge = fails("v2")
    served(world, lambda: world.status["groups"][0].get("reason") == "no pod was created on canary-0")
    assert world.phase == "RollingBack"
    world.rest()
    assert (world.phase, pods(world, "canary-0")) == ("RollingBack", ["v2"])
    world.no_pods.clear()
    served(world, lambda: rolled_back(world, "v2"))


def test_going_back_to_pods_with_host_ports_does_without_a_surge():
    world = surging(template=HOST_PORT)
    assert rolling_update(world, "canary") == {"maxUnavailable": 1, "maxSurge": 0}
    world.spec(template=builders.template("app:2"), model={"name": "parts", "version": "v2"})
    world.run(lambda: pods(world, "canary-0") == ["v2"])
    assert rolling_update(world, "canary") == {"maxUnavailable": 0, "maxSurge": 1}
    world.judge = fails("v2")
    world.run(lambda: rolled_back(world, "v2"))
    assert rolling_update(world, "canary") == {"maxUnavailable": 1, "maxSurge": 0}


def test_changing_to_a_surge_starts_no_pod_again():
    world = installed()
    ran = list(world.ran)
    world.spec(groups=list(GROUPS))
    world.rest(2)
    assert rolling_update(world, "fleet") == {"maxUnavailable": 0, "maxSurge": 1}
    assert world.ran == ran
    assert world.is_at("v1")


NEW, OLD = positions.revision("v2").hash, positions.revision("v1").hash


def pod(revision: str, node: str, *, ready: bool = True, since=START, **fields) -> PodState:
    return PodState(f"{node}-{revision}", node, revision, ready, since, **fields)


def progress(*given: PodState, nodes: int = 3, max_surge: int | str = 1, observed: int = 1) -> groups.Progress:
    """Of a group whose DaemonSet carries v2."""
    strategy = {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": max_surge}}
    daemon_set = {
        "metadata": {"labels": {names.REVISION: NEW}, "generation": 1},
        "spec": {"updateStrategy": strategy},
        "status": {"observedGeneration": observed},
    }
    spec = Rollout.model_validate(builders.rollout("v2", groups=GROUPS)).spec.groups[0]
    members = tuple(NodeState(f"n{number}", True, START) for number in range(nodes))
    return groups.progress(GroupState(spec, daemon_set, members, given), NEW)


def test_two_pods_of_a_node_are_one_node():
    seen = progress(pod(OLD, "n0"), pod(NEW, "n0", ready=False), pod(OLD, "n1"), pod(OLD, "n2"))
    assert (seen.nodes, seen.updated, seen.ready, seen.settled) == (3, 1, 0, False)
    seen = progress(pod(OLD, "n0"), pod(NEW, "n0"), pod(NEW, "n1"), pod(NEW, "n2"))
    assert (seen.updated, seen.ready, seen.settled) == (3, 3, True)


@pytest.mark.parametrize(
    ("given", "max_surge", "missing"),
    [
        ((pod(OLD, "n0"), pod(OLD, "n1"), pod(OLD, "n2")), 1, ["n0"]),
        ((pod(OLD, "n0"), pod(OLD, "n1"), pod(OLD, "n2")), "50%", ["n0", "n1"]),
        ((pod(OLD, "n0"), pod(NEW, "n0", ready=False), pod(OLD, "n1"), pod(OLD, "n2")), 1, []),
        ((pod(OLD, "n0"), pod(NEW, "n0", ready=False), pod(OLD, "n1"), pod(OLD, "n2")), 2, ["n1"]),
        ((pod(NEW, "n0"), pod(OLD, "n1"), pod(OLD, "n2")), 1, ["n1"]),
        ((pod(NEW, "n0"), pod(OLD, "n1", ends=START), pod(NEW, "n2")), 1, []),
        ((pod(NEW, "n0"), pod(NEW, "n2")), 1, ["n1"]),
        ((pod(OLD, "n0"), pod(OLD, "n1"), pod(OLD, "n2")), 0, []),
    ],
    ids=["none", "half", "one is starting", "one of two", "the next", "ends", "none at all", "no surge"],
)
def test_for_which_nodes_no_pod_was_made(given, max_surge, missing):
    assert progress(*given, max_surge=max_surge).missing(START + timedelta(hours=1)) == missing
    assert progress(*given, max_surge=max_surge, observed=0).missing(START + timedelta(hours=1)) == []


def test_the_controller_has_its_time_between_two_nodes():
    done = START + timedelta(minutes=1)
    seen = progress(pod(NEW, "n0", since=done), pod(OLD, "n1"), pod(OLD, "n2"))
    assert seen.missing(done) == []
    assert seen.next_missing(done) == done + groups.GRACE
    assert seen.missing(done + groups.GRACE) == ["n1"]
    assert seen.next_missing(done + groups.GRACE) is None


def test_room_is_spoken_of_only_where_an_old_pod_takes_it():
    problem = Problem("Unschedulable", "Insufficient memory")
    beside = progress(pod(OLD, "n0"), pod(NEW, "n0", ready=False, problem=problem), nodes=1)
    alone = progress(pod(NEW, "n0", ready=False, problem=problem), nodes=1)
    assert "beside the old one" in beside.problems[0][1].message
    assert alone.problems == [("n0", problem)]
