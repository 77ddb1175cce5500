"""The next group's model, fetched ahead: when, onto which nodes, and that nothing depends on it."""

from typing import Any

import pytest

from agent import config
from modelfleet.api import ModelVersion, Rollout
from modelfleet.kinds import DAEMON_SET, NODE
from modelfleet.rollout import nodes, prefetch
from modelfleet.rollout import revisions as revs
from unit.rollout import builders, positions
from unit.rollout.builders import AGENT_IMAGE, START
from unit.rollout.simulation import NAMESPACE, World, installed

NAME = "line.prefetch"


def there(world: World) -> dict[str, Any] | None:
    found = world.store.get(DAEMON_SET, NAMESPACE, NAME)
    return None if found is None else dict(found)


def on_nodes(daemon_set: dict[str, Any]) -> set[str]:
    return {
        node["metadata"]["name"]
        for node in installed(delivery={"prefetch": True}).store.list(NODE)
        if not nodes.kept_off(daemon_set["spec"]["template"]["spec"], node)
    }


def soaking(**spec: Any) -> World:
    """v2 soaks in the canary group."""
    world = installed(delivery={"prefetch": True, **spec})
    world.choose("v2")
    world.run(lambda: world.phase == "Soaking")
    return world


def test_it_is_there_while_the_present_group_soaks_and_gone_when_the_next_one_begins():
    world = installed(delivery={"prefetch": True})
    assert there(world) is None
    world.choose("v2")
    world.run(lambda: world.status.get("currentGroup") == "canary")
    assert there(world) is None, "what can't even start is not fetched ahead"
    world.run(lambda: world.phase == "Soaking")
    daemon_set = there(world)
    assert daemon_set is not None
    assert on_nodes(daemon_set) == {"fleet-0", "fleet-1", "fleet-2"}
    world.run(lambda: world.status.get("currentGroup") == "fleet")
    assert there(world) is None
    world.run(lambda: world.is_at("v2"))
    assert there(world) is None


def test_nothing_is_fetched_ahead_unless_it_is_asked_for():
    for delivery in ({}, {"prefetch": True, "cache": "Pod"}):
        world = installed(delivery=delivery)
        world.choose("v2")
        world.run(lambda world=world: world.phase == "Soaking")
        assert there(world) is None


def test_asking_for_it_restarts_nothing():
    world = installed()
    ran = list(world.ran)
    world.spec(delivery={"prefetch": True})
    world.rest(3)
    assert world.ran == ran


def test_its_pods_are_no_groups_and_change_no_word_of_the_rollout():
    """None of them ever becomes ready here, as with a store that is away: the rollout is the same without them."""
    with_it, without = installed(delivery={"prefetch": True}), installed()
    for world in (with_it, without):
        world.choose("v2")
        world.run(lambda world=world: world.is_at("v2"))
    assert with_it.now == without.now
    assert with_it.events == without.events
    same = ("running", "status", "conditions", "quarantined")
    assert {key: with_it.end()[key] for key in same} == {key: without.end()[key] for key in same}
    assert len(with_it.ran) == len(without.ran) + 2 * 3, "on the three nodes of the fleet, for v1 and for v2"


@pytest.mark.parametrize("change", ["aborted", "paused", "switched off"])
def test_it_goes_when_there_is_nothing_to_fetch_any_more(change: str):
    world = soaking()
    assert there(world) is not None
    if change == "aborted":
        world.annotate("abort", "v2")
    else:
        world.spec(**{"paused": {"paused": True}, "switched off": {"delivery": {}}}[change])
    world.rest(3)
    assert there(world) is None


def test_it_is_written_once_and_what_somebody_changes_in_it_is_put_back():
    world = soaking()
    world.tick()
    writes = world.writes
    world.operate()
    assert there(world)["metadata"]["generation"] == 1
    assert world.writes == writes
    world.edit(DAEMON_SET, NAME, lambda obj: obj["spec"]["template"]["spec"]["containers"][0].update(args=["serve"]))
    world.operate()
    assert there(world)["spec"]["template"]["spec"]["containers"][0]["args"] == ["prefetch"]


def test_a_daemon_set_of_that_name_that_is_somebody_elses_is_left_alone():
    world = installed(delivery={"prefetch": True})
    theirs = {"uid": "other", "controller": True, "kind": "Other", "apiVersion": "x/v1", "name": "x"}
    world.put(
        {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {
                "name": NAME,
                "namespace": NAMESPACE,
                "ownerReferences": [theirs],
                "labels": {},
                "generation": 1,
            },
            "spec": {
                "updateStrategy": {"rollingUpdate": {"maxUnavailable": 1}},
                "template": {"metadata": {"labels": {}}, "spec": {"nodeSelector": {"nowhere": "x"}}},
            },
        }
    )
    before = there(world)["spec"]
    world.choose("v2")
    world.run(lambda: world.is_at("v2"))
    assert there(world)["spec"] == before


@pytest.mark.parametrize("lost", [False, True], ids=["killed", "killed and status lost"])
def test_killed_after_any_write_it_ends_the_same(lost: bool):
    world = installed(delivery={"prefetch": True})
    forks: list[World] = []
    world.after_write = lambda: forks.append(world.killed())
    world.choose("v2")
    world.run(lambda: world.is_at("v2"))
    world.rest(3)
    assert len(forks) > 5
    for fork in forks:
        if lost:
            fork.wipe_status()
        fork.run(lambda fork=fork: fork.is_at("v2"))
        fork.rest(3)
        assert there(fork) is None
        assert fork.end()["daemon sets"] == world.end()["daemon sets"]


def test_the_agent_understands_what_its_container_is_told():
    owner = Rollout.model_validate(builders.rollout("v2", delivery={"prefetch": True}))
    revision = revs.desired(owner, positions.VERSIONS["v2"], (), AGENT_IMAGE, START)
    pod = prefetch.daemon_set(owner, 1, revision)["spec"]["template"]["spec"]
    [container] = pod["containers"]
    told = {entry["name"]: entry.get("value", "edge-1") for entry in container["env"]}
    read = config.fetch_config(told, spread=60.0)
    assert (read.owner, read.spread, read.keep) == ("factory.line", 60.0, 3)
    assert container["args"] == ["prefetch"]
    assert {mount["name"] for mount in container["volumeMounts"]} <= {volume["name"] for volume in pod["volumes"]}


def test_of_the_users_pod_it_takes_how_to_get_there_and_how_to_reach_the_store():
    template = builders.template()
    spec = template["spec"]
    spec |= {
        "tolerations": [{"operator": "Exists"}],
        "priorityClassName": "vital",
        "hostNetwork": True,
        "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": []}},
        "volumes": [{"name": "ca", "configMap": {"name": "ca"}}, {"name": "other", "emptyDir": {}}],
    }
    spec["containers"][0] |= {
        "envFrom": [{"secretRef": {"name": "s3"}}],
        "volumeMounts": [{"name": "ca", "mountPath": "/ca"}],
        "resources": {"requests": {"cpu": "2"}},
    }
    owner = Rollout.model_validate(builders.rollout("v2", template=template))
    revision = revs.desired(owner, positions.VERSIONS["v2"], (), AGENT_IMAGE, START)
    pod = prefetch.daemon_set(owner, 1, revision)["spec"]["template"]["spec"]
    assert pod["tolerations"] == [{"operator": "Exists"}]
    assert pod["hostNetwork"] is True
    assert "priorityClassName" not in pod
    assert list(pod["affinity"]) == ["nodeAffinity"]
    assert [volume["name"] for volume in pod["volumes"]] == ["ca", "modelfleet-models"]
    assert pod["containers"][0]["envFrom"] == [{"secretRef": {"name": "s3"}}]
    assert pod["containers"][0]["resources"] == {"requests": {"cpu": "10m", "memory": "64Mi"}}


def test_it_fetches_what_its_group_loads():
    groups = (builders.group("canary"), builders.group("fleet", delivery={"format": "engine"}))
    owner = Rollout.model_validate(builders.rollout("v2", groups=groups, delivery={"prefetch": True}))
    version = ModelVersion.model_validate(builders.model_version("v2", formats=("onnx", "engine")))
    revision = revs.desired(owner, version, (), AGENT_IMAGE, START)
    [container] = prefetch.daemon_set(owner, 1, revision)["spec"]["template"]["spec"]["containers"]
    assert {"name": "MODEL_URI", "value": "s3://models/parts/v2/best.engine"} in container["env"]
