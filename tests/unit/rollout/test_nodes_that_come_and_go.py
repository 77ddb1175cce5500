"""Nodes that are out of reach, return, join or leave, and groups that have none."""

from datetime import timedelta

import pytest

from modelfleet.kinds import DAEMON_SET, NODE, POD
from unit.rollout import builders
from unit.rollout.simulation import World, fleet, installed


def budget(world: World, group: str):
    return world.get(DAEMON_SET, f"line-{group}")["spec"]["updateStrategy"]["rollingUpdate"]["maxUnavailable"]


def test_unreachable_nodes_never_block_and_catch_up_when_they_return():
    world = installed(rest=6)
    for name in ("fleet-0", "fleet-1", "fleet-2"):
        world.reach(name, False)
    world.choose("v2")
    world.run(lambda: world.status.get("currentGroup") == "fleet")
    assert budget(world, "fleet") == 4, "the group's one, and those that are away"
    world.run(lambda: world.phase == "Ready")
    assert world.status["groups"][1] | {"startedAt": "", "readyAt": ""} == {
        "name": "fleet",
        "phase": "Ready",
        "version": "v2",
        "model": "parts",
        "revision": world.status["stableRevision"],
        "nodes": 6,
        "updated": 3,
        "ready": 3,
        "unreachable": 3,
        "startedAt": "",
        "readyAt": "",
    }
    world.put(builders.model_version("v3", created=world.now))
    world.choose("v3")
    world.run(lambda: world.running.get("canary-0") == "v3")
    world.reach("fleet-0", True)
    world.rest(4)
    assert world.running["fleet-0"] == "v2", "what is approved for its group, not what is newest"
    world.run(lambda: world.is_at("v3"))
    for name in ("fleet-1", "fleet-2"):
        world.reach(name, True)
    world.run(lambda: world.is_at("v3") and len(world.running) == 7)
    world.rest(2)
    assert budget(world, "fleet") == 1


def test_nodes_that_come_and_go_cause_no_writes_once_all_are_updated():
    world = installed()
    before = world.get(DAEMON_SET, "line-fleet")
    world.reach("fleet-1", False)
    world.rest(2)
    world.reach("fleet-1", True)
    world.rest(2)
    assert world.get(DAEMON_SET, "line-fleet") == before


def test_a_node_that_joins_and_is_not_ready_yet_causes_no_write_of_its_group():
    world = installed()
    before = world.get(DAEMON_SET, "line-fleet")
    world.put(builders.node("fleet-9", {"group": "fleet"}, reachable=False))
    world.rest(2)
    world.reach("fleet-9", True)
    world.rest(4)
    assert world.running["fleet-9"] == "v1"
    assert world.get(DAEMON_SET, "line-fleet") == before


def test_an_old_pod_that_does_not_end_is_not_held_against_the_version():
    world = installed(progressDeadline="3m")
    pod = next(raw for raw in world.store.list(POD) if raw["spec"]["nodeName"] == "canary-0")
    world.stuck.add("canary-0")
    world.choose("v2")
    world.rest(2)
    assert world.reason("Stalled") is None
    world.run(lambda: world.reason("Stalled") == "ClusterRefuses")
    assert f"PodStuck on canary-0: pod {pod['metadata']['name']}" in world.message()
    world.rest(60)
    assert world.status["quarantined"] == []
    world.stuck.clear()
    world.run(lambda: world.is_at("v2"))


def test_too_few_reachable_nodes_hold():
    world = installed(rest=4, minReachable="75%")
    for name in ("fleet-0", "fleet-1"):
        world.reach(name, False)
    world.choose("v2")
    world.run(lambda: world.reason("Reconciling") == "NodesUnreachable")
    assert "3 of 4 nodes" in world.message()
    world.rest(60)
    assert world.status["currentGroup"] == "fleet"
    world.reach("fleet-0", True)
    world.run(lambda: world.is_at("v2") or world.phase == "Ready")


def test_a_canary_out_of_reach_is_never_judged():
    world = installed(minReachable="0%")
    world.reach("canary-0", False)
    world.choose("v2")
    world.rest(90)
    assert world.running["fleet-0"] == "v1"
    assert world.reason("Reconciling") == "NodesUnreachable"
    world.reach("canary-0", True)
    world.run(lambda: world.is_at("v2"))


GATE = {"soak": "5m", "interval": "1m", "timeout": "1h"}


def removed(world: World, name: str) -> None:
    world.delete(NODE, name)
    for pod in world.store.list(POD):
        if pod["spec"]["nodeName"] == name:
            world.delete(POD, pod["metadata"]["name"])


@pytest.mark.parametrize("how", ["out of reach", "another node in its place"])
def test_a_canary_that_was_away_soaks_all_over_again(how: str):
    """It went out of reach a minute after its gate had begun; v2 went to the fleet ten seconds after it was back."""
    world = installed(gate=GATE)
    world.choose("v2")
    world.run(lambda: world.phase == "Soaking")
    world.rest(6)
    if how == "out of reach":
        world.reach("canary-0", False)
    else:
        removed(world, "canary-0")
    world.rest(60)
    assert world.running["fleet-0"] == "v1"
    if how == "out of reach":
        world.reach("canary-0", True)
    else:  # what was measured there is not shown as if it held
        assert (world.status["gate"]["verdict"], world.status["gate"]["canaryNodes"]) == ("NoData", 0)
        assert "has no node now" in world.status["gate"]["message"]
        world.put(builders.node("canary-9", {"group": "canary"}, since=world.now))
    back = world.now
    world.run(lambda: world.phase == "Soaking")
    assert world.status["gate"]["startedAt"] >= builders.wire(back), "another gate"
    world.run(lambda: world.status["currentGroup"] == "fleet")
    assert world.now - back >= timedelta(minutes=5)
    world.run(lambda: world.is_at("v2"))


def test_a_canary_that_was_away_for_a_moment_goes_on_soaking():
    world = installed(gate=GATE)
    world.choose("v2")
    world.run(lambda: world.phase == "Soaking")
    began = world.now
    world.rest(6)
    world.reach("canary-0", False)
    world.rest(3)
    world.reach("canary-0", True)
    world.run(lambda: world.status["currentGroup"] == "fleet")
    assert world.now - began < timedelta(minutes=6)


def test_one_canary_of_two_that_is_away_does_not_interrupt_the_gate():
    world = installed(gate=GATE, canary=2)
    world.choose("v2")
    world.run(lambda: world.phase == "Soaking")
    began = world.now
    world.reach("canary-0", False)
    world.run(lambda: world.status["currentGroup"] == "fleet")
    assert world.now - began < timedelta(minutes=6)


def test_what_has_passed_and_waits_for_approval_is_not_judged_again_for_a_canary_that_was_away():
    world = installed(gate=GATE)
    world.spec(groups=[builders.group("canary", approval="Manual"), builders.group("fleet")])
    world.choose("v2")
    world.run(lambda: world.phase == "WaitingForApproval")
    world.reach("canary-0", False)
    world.rest(60)
    world.reach("canary-0", True)
    world.annotate("approve", "v2")
    back = world.now
    world.run(lambda: world.status["currentGroup"] == "fleet")
    assert world.now - back < timedelta(minutes=1)


def test_a_node_that_was_away_is_given_its_time():
    world = installed(progressDeadline="3m", canary=2)
    world.broken.add("v2")
    world.reach("canary-0", False)
    world.reach("canary-1", False)
    world.choose("v2")
    world.rest(60)
    world.reach("canary-0", True)
    back = world.now
    world.run(lambda: world.reason("Stalled") == "RolledBack")
    assert timedelta(minutes=3) <= world.now - back <= timedelta(minutes=4)


def test_a_node_that_joins_gets_its_groups_version():
    world = installed()
    world.choose("v2")
    world.run(lambda: world.phase == "Soaking")
    started = world.status["gate"]["startedAt"]
    world.add_nodes("canary", 1)
    world.add_nodes("fleet", 1)
    world.run(lambda: world.running.get("canary-1") == "v2" and world.running.get("fleet-3") == "v1")
    assert world.status["gate"]["startedAt"] == started, "the gate goes on"
    world.run(lambda: world.is_at("v2"))


def test_a_node_belongs_to_the_first_group_it_matches():
    world = World()
    world.put(builders.node("a", {"app": "line", "group": "canary"}))
    world.put(builders.node("b", {"app": "line"}))
    world.put(builders.node("c", {"app": "line", "group": "other"}))
    world.put(builders.model_version("v1"))
    everybody = {"name": "fleet", "nodeSelector": {"matchLabels": {"app": "line"}}}
    world.put(builders.rollout("v1", groups=(builders.group("canary"), everybody)))
    world.run(lambda: world.is_at("v1"))
    assert sorted(world.ran) == [("a", "v1"), ("b", "v1"), ("c", "v1")]
    assert [entry["nodes"] for entry in world.status["groups"]] == [1, 2]


def test_a_node_that_changes_its_group_changes_its_version():
    world = installed()
    world.choose("v2")
    world.run(lambda: world.phase == "Soaking")
    world.edit(NODE, "fleet-0", lambda obj: obj["metadata"]["labels"].update(group="canary"))
    world.run(lambda: world.running.get("fleet-0") == "v2")


def test_a_canary_without_nodes_holds_and_is_named():
    world = fleet(canary=0)
    world.rest()
    assert world.running == {}
    assert world.reason("Reconciling") == "NoNodes"
    assert "canary" in world.message("GroupsWithoutNodes")
    world.add_nodes("canary", 1)
    world.run(lambda: world.is_at("v1"))
    assert world.reason("GroupsWithoutNodes") is None


def test_a_later_group_without_nodes_is_passed_over():
    world = fleet(rest=0)
    world.run(lambda: world.is_at("v1"))
    assert world.reason("GroupsWithoutNodes") == "NoNodeMatches"
    assert world.status["groups"][1]["phase"] == "Empty"


def test_a_group_in_the_shadow_of_earlier_ones_is_named():
    world = World()
    world.put(builders.node("a", {"app": "line"}))
    world.put(builders.model_version("v1"))
    groups = tuple({"name": name, "nodeSelector": {"matchLabels": {"app": "line"}}} for name in ("first", "second"))
    world.put(builders.rollout("v1", groups=groups))
    world.run(lambda: world.is_at("v1"))
    assert "second: no node matches: all 1 that it selects belong to earlier groups" in world.message(
        "GroupsWithoutNodes"
    )


@pytest.mark.parametrize("tolerated", [False, True])
def test_nodes_that_the_template_can_not_run_on_do_not_count(tolerated):
    world = World()
    world.add_nodes("canary", 1)
    taint = {"key": "dedicated", "value": "db", "effect": "NoSchedule"}
    world.put(builders.node("tainted", {"group": "canary"}, taints=[taint]))
    world.put(builders.model_version("v1"))
    tolerations = [{"key": "dedicated", "operator": "Exists"}] if tolerated else []
    template = builders.template(tolerations=tolerations)
    world.put(builders.rollout("v1", groups=(builders.group("canary"),), template=template))
    world.run(lambda: world.is_at("v1"))
    assert len(world.running) == (2 if tolerated else 1)


def test_too_few_ready_nodes_are_told():
    world = installed()
    for pod in [raw for raw in world.store.list(POD) if raw["spec"]["nodeName"].startswith("fleet")]:
        world.broken.add("v1")
        world.delete(POD, pod["metadata"]["name"])
    world.rest(2)
    assert world.phase == "Degraded"
    assert world.reason("Ready") == "NodesNotReady"
    assert world.reason("Stalled") is None
    assert "fleet" in world.message()
    world.broken.clear()
    world.run(lambda: world.is_at("v1"))


def test_somebody_elses_daemon_set_is_left_alone():
    world = fleet()
    theirs = {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {
            "name": "line-canary",
            "namespace": "factory",
            "ownerReferences": [{"uid": "other"}],
            "labels": {},
        },
        "spec": {"template": {"spec": {}}, "updateStrategy": {"rollingUpdate": {"maxUnavailable": 1}}},
    }
    world.put(theirs)
    world.operate()
    assert world.reason("Stalled") == "NameTaken"
    assert "line-canary" in world.message()
    assert world.get(DAEMON_SET, "line-canary")["metadata"]["ownerReferences"] == [{"uid": "other"}]
