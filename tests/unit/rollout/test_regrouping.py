"""Groups are added and reordered while a version is on its way: it is judged in each that gets it."""

import pytest

from modelfleet.kinds import CONTROLLER_REVISION, DAEMON_SET
from unit.rollout import builders
from unit.rollout.simulation import World, installed

QUICK = {"soak": "1m", "interval": "20s", "timeout": "10m"}


def grouped(*names: str) -> list[dict[str, object]]:
    return [builders.group(name) for name in names]


def on_its_way(judged: list[str], carrying: int) -> World:
    """A fleet in which v2 has come into so many of two groups; `judged` is filled with the groups that are judged."""
    world = installed(gate=QUICK)
    world.add_nodes("site", 1)
    world.choose("v2")
    world.run(lambda: world.phase == "Soaking" and world.status["currentGroup"] == ("canary", "fleet")[carrying - 1])
    world.rest(2)
    world.judge = lambda plan, now: judged.append(plan.group)
    return world


@pytest.mark.parametrize(
    ("carrying", "order", "expected"),
    [
        (1, ("canary", "site", "fleet"), ["canary", "site", "fleet"]),
        (1, ("site", "canary", "fleet"), ["site", "canary", "fleet"]),
        (2, ("site", "canary", "fleet"), ["site", "fleet"]),
        (2, ("fleet", "canary"), ["fleet", "canary"]),  # the last one of all, once more
        (2, ("site", "fleet", "canary"), ["site", "fleet", "canary"]),
    ],
)
@pytest.mark.parametrize("lost", [False, True], ids=["", "status lost"])
def test_each_group_that_gets_a_version_judges_it(carrying, order, expected, lost):
    judged: list[str] = []
    world = on_its_way(judged, carrying)
    world.spec(groups=grouped(*order))
    if lost:
        world.wipe_status()
    world.run(lambda: world.is_at("v2"))
    assert list(dict.fromkeys(judged)) == expected


def test_a_group_that_a_version_came_back_to_judges_it_anew():
    judged: list[str] = []
    world = on_its_way(judged, 2)
    world.choose("v1")
    world.run(lambda: world.is_at("v1"))
    judged.clear()
    world.choose("v2")
    world.run(lambda: world.is_at("v2"))
    assert list(dict.fromkeys(judged)) == ["canary", "fleet"]
    assert not any(
        "modelfleet.dev/passed" in raw["metadata"]["annotations"] for raw in world.store.list(CONTROLLER_REVISION)
    )


def test_the_group_that_is_judged_is_the_current_one():
    world = on_its_way([], 1)
    world.spec(groups=grouped("site", "canary", "fleet"))
    world.run(lambda: world.phase == "Soaking")
    assert world.status["currentGroup"] == world.status["gate"]["group"] == "site"
    carried = {
        raw["metadata"]["name"]: raw["metadata"]["labels"]["modelfleet.dev/version"]
        for raw in world.store.list(DAEMON_SET)
    }
    assert carried == {"line-site": "v2", "line-canary": "v2", "line-fleet": "v1"}
