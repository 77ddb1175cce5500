"""A group is renamed, split, merged or removed: its nodes go over one after the other, or stay as long as they must."""

import copy

import pytest

from modelfleet.api import names
from modelfleet.gate import Verdict
from modelfleet.kinds import CONTROLLER_REVISION, DAEMON_SET, NODE, POD
from unit.rollout import builders
from unit.rollout.simulation import NAMESPACE, World, fleet, installed, said

QUICK = {"soak": "1m", "interval": "20s", "timeout": "10m"}
OURS = {names.ROLLOUT: "line"}


def grouped(*wanted: str, **fields: object) -> list[dict[str, object]]:
    """Groups by name; `new=old` is a group of that name with the nodes of the old one."""
    pairs = [each.partition("=") for each in wanted]
    return [builders.group(old or new, **fields) | {"name": new} for new, _, old in pairs]


def daemon_sets(world: World) -> list[str]:
    return sorted(raw["metadata"]["name"] for raw in world.store.list(DAEMON_SET))


def started(world: World) -> dict[str, list[str]]:
    """The groups whose pods are on a node, and do not wait to come onto it."""
    found: dict[str, list[str]] = {}
    for pod in world.store.list(POD, NAMESPACE, labels=OURS):
        if not pod["spec"]["affinity"].get("podAntiAffinity") or "started" in pod["metadata"]["annotations"]:
            found.setdefault(pod["spec"]["nodeName"], []).append(pod["metadata"]["labels"][names.NODE_GROUP])
    return found


def watched(world: World, ticks: int = 60) -> int:
    """Let time pass. How many nodes ran something at the worst moment; never has one two pods."""
    least = len(world.running)
    for _ in range(ticks):
        world.tick()
        least = min(least, len(world.running))
        assert all(len(on) == 1 for on in started(world).values()), started(world)
    world.operate()
    return least


def settled(world: World) -> None:
    """All runs, all is said, and nothing is written any more."""
    assert (world.phase, len(world.running)) == ("Ready", 4), world.message()
    writes = world.writes
    world.rest()
    assert world.writes == writes


@pytest.mark.parametrize(
    ("groups", "most_down", "left"),
    [
        (grouped("canary", "rest=fleet"), 1, ["line-canary", "line-rest"]),
        (grouped("canary", "rest=fleet", maxUnavailable=2), 2, ["line-canary", "line-rest"]),
        (grouped("canary", "rest=fleet", maxUnavailable=0, maxSurge=1), 1, ["line-canary", "line-rest"]),
        (grouped("first=canary", "rest=fleet"), 2, ["line-first", "line-rest"]),
    ],
    ids=["one", "two at once", "with surge", "both"],
)
def test_a_renamed_group_hands_its_nodes_over_within_max_unavailable(groups, most_down, left):
    world = installed()
    world.spec(groups=groups)
    world.operate()
    assert (world.phase, world.reason("Stalled")) == ("Progressing", None)
    assert "from fleet to rest" in world.message()
    assert watched(world) == 4 - most_down
    assert daemon_sets(world) == left
    settled(world)


def test_a_merged_group_hands_its_nodes_over():
    world = installed()
    both = {"matchExpressions": [{"key": "group", "operator": "In", "values": ["canary", "fleet"]}]}
    world.spec(groups=[builders.group("fleet") | {"nodeSelector": both}])
    assert watched(world) >= 3
    assert daemon_sets(world) == ["line-fleet"]
    settled(world)


def test_a_rename_is_ended_by_the_next_operator_after_any_write():
    world = installed()
    forks: list[World] = []
    world.after_write = lambda: forks.append(world.killed())
    world.spec(groups=grouped("canary", "rest=fleet"))
    watched(world, 30)
    assert len(forks) > 5
    for fork in forks:
        assert watched(fork, 40) >= 3
        assert fork.end() == world.end()


def test_a_rename_that_is_taken_back_half_way_ends_as_it_began():
    world = installed()
    world.spec(groups=grouped("canary", "rest=fleet"))
    world.rest(5)
    assert len(daemon_sets(world)) == 3
    world.spec(groups=grouped("canary", "fleet"))
    assert watched(world) >= 2  # the node that was on its way, and the one that is next
    assert daemon_sets(world) == ["line-canary", "line-fleet"]
    settled(world)


def paused(world: World) -> None:
    world.spec(paused=True)


def taken(world: World) -> None:
    template = {"metadata": {"labels": {}}, "spec": {"nodeSelector": {"no": "node"}, "containers": []}}
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}}
    world.put(
        {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {"name": "line-rest", "namespace": NAMESPACE, "generation": 1},
            "spec": {"updateStrategy": strategy, "template": template},
        }
    )


def go_on(world: World) -> None:
    world.spec(paused=False)
    found = world.store.get(DAEMON_SET, NAMESPACE, "line-rest")
    if found is not None and names.ROLLOUT not in (found["metadata"].get("labels") or {}):
        world.delete(DAEMON_SET, "line-rest")


@pytest.mark.parametrize(
    ("hold", "reason"), [(paused, "Paused"), (taken, "NameTaken")], ids=["paused", "the name is taken"]
)
def test_nothing_is_taken_away_while_nothing_may_change(hold, reason):
    world = installed()
    hold(world)
    world.spec(groups=grouped("canary", "rest=fleet"))
    pods = {pod["metadata"]["uid"] for pod in world.store.list(POD)}
    assert watched(world) == 4
    assert {pod["metadata"]["uid"] for pod in world.store.list(POD)} == pods
    assert world.reason() == reason
    assert "3 nodes (fleet-0, fleet-1, fleet-2) from fleet to rest" in world.message()
    go_on(world)
    assert watched(world) == 3
    settled(world)


def exists(key: str) -> dict[str, str]:
    return {"key": key, "operator": "Exists"}


def test_selectors_that_are_too_complex_take_nothing_away():
    world = installed()
    many = [
        {"name": f"g{number}", "nodeSelector": {"matchExpressions": [exists(f"k{number}-{key}") for key in range(4)]}}
        for number in range(4)
    ]
    world.spec(groups=[builders.group("canary"), *many, builders.group("fleet") | {"name": "rest"}])
    assert watched(world) == 4
    assert world.reason() == "SelectorsTooComplex"
    assert "from fleet to rest" in world.message()


def affinity_of(world: World, name: str) -> list[object]:
    """The terms of a DaemonSet's node affinity."""
    required = world.get(DAEMON_SET, name)["spec"]["template"]["spec"]["affinity"]["nodeAffinity"]
    terms: list[object] = required["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    return terms


def test_a_pause_half_way_stops_the_handover_where_it_is():
    world = installed()
    world.spec(groups=grouped("canary", "rest=fleet"))
    world.run(lambda: sum("rest" in on for on in started(world).values()) == 1 and len(world.running) == 4)
    world.spec(paused=True)
    keeps = affinity_of(world, "line-fleet")
    assert len(keeps) == 1, "one runs the new pod, and one more was on its way"
    watched(world, 30)
    assert (world.phase, len(world.running)) == ("Paused", 4)
    assert affinity_of(world, "line-fleet") == keeps
    assert sum("fleet" in on for on in started(world).values()) == 1
    world.spec(paused=False)
    assert watched(world) == 3
    settled(world)


def test_while_paused_a_new_group_takes_no_nodes_from_one_that_stays():
    world = installed()
    world.spec(paused=True)
    some = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["fleet-0"]}]}
    raw = copy.deepcopy(dict(world.get(NODE, "fleet-0")))
    raw["metadata"]["labels"]["kubernetes.io/hostname"] = "fleet-0"
    world.put(raw)
    world.spec(groups=[{"name": "new", "nodeSelector": some}, *grouped("canary", "fleet")])
    assert watched(world) == 4
    assert "1 node (fleet-0) from fleet to new" in world.message()
    world.spec(paused=False)
    watched(world)
    assert daemon_sets(world) == ["line-canary", "line-fleet", "line-new"]
    settled(world)


def test_a_node_that_no_group_selects_any_more_loses_its_pod_at_once():
    world = installed()
    labels = {"group": "fleet", "kept": "yes"}
    for name in ("fleet-0", "fleet-1"):
        world.put({**world.get(NODE, name), "metadata": {**world.get(NODE, name)["metadata"], "labels": labels}})
    kept = {"name": "rest", "nodeSelector": {"matchLabels": {"kept": "yes"}}}
    world.spec(groups=[*grouped("canary"), kept])
    world.rest(1)
    assert set(world.running) <= {"canary-0", "fleet-0", "fleet-1"}
    watched(world)
    assert set(world.running) == {"canary-0", "fleet-0", "fleet-1"}
    assert daemon_sets(world) == ["line-canary", "line-rest"]


def test_the_waiting_of_new_pods_is_not_held_against_a_version():
    world = installed(gate=QUICK, progressDeadline="2m")
    world.add_nodes("fleet", 9)
    world.rest(6)
    world.judge = lambda plan, now: said(
        plan, now, Verdict.PASS if now >= plan.started_at + plan.policy.soak else Verdict.INCONCLUSIVE
    )
    world.choose("v2")
    world.run(lambda: world.status.get("currentGroup") == "fleet" and world.phase == "Soaking")
    world.spec(groups=grouped("rest=fleet"))  # twelve nodes, one after the other: longer than the deadline
    phases = set()
    for _ in range(120):
        world.tick()
        phases.add(world.phase)
    assert not world.status.get("quarantined")
    assert phases <= {"Progressing", "Soaking", "Ready"}
    assert {version for node, version in world.running.items() if node.startswith("fleet")} == {"v2"}
    assert not any(
        names.QUARANTINED_AT in raw["metadata"]["annotations"] for raw in world.store.list(CONTROLLER_REVISION)
    )


def test_where_the_new_pods_never_become_ready_the_other_nodes_run_on():
    world = installed(gate=QUICK, progressDeadline="2m")
    world.spec(paused=True)
    world.spec(groups=grouped("canary", "rest=fleet"))
    world.operate()
    world.broken.add("v1")  # from now on
    world.spec(paused=False)
    assert watched(world) == 3


def test_a_first_install_that_failed_runs_on_under_another_name():
    world = fleet(gate=QUICK)
    world.judge = lambda plan, now: said(plan, now, Verdict.FAIL)
    world.run(lambda: world.phase == "Failed")
    world.spec(groups=grouped("first=canary", "fleet"))
    assert watched(world, 20) == 1
    assert daemon_sets(world) == ["line-canary"]
    assert "Running on until their new group gets a version: 1 node (canary-0) from canary to first" in world.message()
    world.judge = lambda plan, now: said(plan, now, Verdict.PASS)
    world.choose("v2")
    world.run(lambda: world.is_at("v2"))
    assert daemon_sets(world) == ["line-first", "line-fleet"]


def test_the_pods_apart_are_not_restarted_when_all_have_moved():
    world = installed()
    world.spec(groups=grouped("canary", "rest=fleet"))
    watched(world)
    ran = len(world.ran)
    world.spec(groups=grouped("canary", "rest=fleet", maxUnavailable=2))
    world.rest()
    assert len(world.ran) == ran
    world.choose("v2")
    world.judge = lambda plan, now: said(plan, now, Verdict.PASS)
    world.run(lambda: world.is_at("v2"))
    template = world.get(DAEMON_SET, "line-rest")["spec"]["template"]["spec"]
    assert "podAntiAffinity" not in template["affinity"], "only for the pods that had to wait"
