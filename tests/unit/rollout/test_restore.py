"""A namespace that was restored from a backup: the same names, labels and specs; no uids, owners and statuses."""

from modelfleet.kinds import CONTROLLER_REVISION, DAEMON_SET, MODEL_VERSION, NODE, POD, ROLLOUT
from unit.rollout.simulation import NAMESPACE, World, installed


def restored(world: World) -> World:
    """A new cluster with what was kept: a new uid for everything."""
    new = World()
    for kind in (NODE, MODEL_VERSION, CONTROLLER_REVISION, DAEMON_SET, ROLLOUT):
        for obj in world.store.list(kind):
            metadata = {
                name: value
                for name, value in obj["metadata"].items()
                if name not in ("uid", "resourceVersion", "ownerReferences")
            }
            kept = obj if kind in (NODE, MODEL_VERSION) else {k: v for k, v in obj.items() if k != "status"}
            new.put({**kept, "metadata": metadata})
    history = world.get(CONTROLLER_REVISION, world.status["stableRevision"])
    history["metadata"]["name"] = "line-canary-7f9c"  # the DaemonSet controller's own
    history["data"] = {"spec": {}}
    new.put(
        {
            **history,
            "metadata": {"name": "line-canary-7f9c", "namespace": NAMESPACE, "labels": history["metadata"]["labels"]},
        }
    )
    new.now = world.now
    return new


def quarantined() -> World:
    world = installed()
    world.choose("v2")
    world.run(lambda: "v2" in world.versions)
    world.annotate("abort", "v2")
    world.run(lambda: world.reason("Stalled") == "RolledBack")
    return world


def test_children_are_adopted_and_what_they_know_is_found_again():
    before = quarantined()
    world = restored(before)
    world.run(lambda: world.reason("Stalled") == "RolledBack")
    assert [entry["version"] for entry in world.status["quarantined"]] == ["v2"]
    assert world.status["stableVersion"] == "v1"
    assert {entry["result"] for entry in world.status["history"]} == {"Aborted", "Installed"}
    uid = world.get(ROLLOUT, "line")["metadata"]["uid"]
    for kind in (DAEMON_SET, CONTROLLER_REVISION):
        for child in world.store.list(kind):
            if child["metadata"]["name"] == "line-canary-7f9c":
                continue
            assert [owner["uid"] for owner in child["metadata"]["ownerReferences"]] == [uid]


def test_the_pods_go_on():
    world = restored(quarantined())
    world.rest(10)
    assert {version for _, version in world.ran} == {"v1"}
    pods = {pod["metadata"]["uid"] for pod in world.store.list(POD)}
    world.rest(30)
    assert {pod["metadata"]["uid"] for pod in world.store.list(POD)} == pods


def test_what_another_controller_owns_is_left_alone():
    world = restored(installed())
    other = {"apiVersion": "x/v1", "kind": "X", "name": "x", "uid": "uid-x", "controller": True}
    world.edit(DAEMON_SET, "line-fleet", lambda obj: obj["metadata"].update(ownerReferences=[other]))
    world.run(lambda: world.reason("Stalled") == "NameTaken")
    assert world.get(DAEMON_SET, "line-fleet")["metadata"]["ownerReferences"] == [other]
