"""The spec comes to nothing that can be used (a typo in `spec.model`) while a version is on its way: it is judged on,
taken back where it fails, obeys `abort`, and is never promoted."""

from collections.abc import Callable

import pytest

from modelfleet.gate import Verdict
from modelfleet.kinds import CONTROLLER_REVISION, ROLLOUT
from modelfleet.versions.usage import roles
from unit.rollout import builders
from unit.rollout.simulation import Json, World, fleet, installed, said

GATE = {"soak": "1m", "interval": "20s", "timeout": "10m", "comparison": {}}


def says(world: World, verdict: Verdict) -> None:
    world.judge = lambda plan, now: said(plan, now, verdict)


def soaking(model: Json | None = None, **spec: object) -> World:
    """v2 soaks in the canary group, and then the spec comes to nothing."""
    world = installed(gate=GATE, **spec)
    says(world, Verdict.INCONCLUSIVE)
    world.choose("v2")
    world.run(lambda: world.phase == "Soaking")
    world.spec(model=model or {"name": "parts", "version": "v33"})
    world.rest()
    return world


def is_back(world: World) -> bool:
    return world.versions == {"v1"} and bool(world.status.get("quarantined"))


def promoted(world: World) -> set[str]:
    return {
        raw["data"]["version"]
        for raw in world.store.list(CONTROLLER_REVISION)
        if "modelfleet.dev/promoted-at" in raw["metadata"]["annotations"]
    }


MISSING = pytest.mark.parametrize(
    "model",
    [
        {"name": "parts", "version": "v33"},
        {"name": "partz", "version": "v2"},
        {"name": "parts", "tag": "production"},
    ],
    ids=["version", "model", "tag"],
)


@MISSING
def test_what_is_on_its_way_is_named_beside_what_is_missing(model: Json):
    world = soaking(model)
    assert (world.phase, world.reason("Stalled")) == ("Stalled", "ModelVersionNotFound")
    assert "Meanwhile v2 stays in group canary and goes no further; its gate goes on" in world.message()
    assert "modelfleet.dev/abort=v2" in world.message()
    assert (world.status["candidateVersion"], world.status["gate"]["verdict"]) == ("v2", "Inconclusive")
    assert dict(roles(world.get(ROLLOUT, "line"))) == {"parts-v1": "Stable", "parts-v2": "Candidate"}


def test_programs_are_not_told_that_what_is_on_its_way_is_missing():
    missing = [each for each in soaking().announced if each.reason == "ModelVersionNotFound"]
    assert [each.version for each in missing] == [None]


@MISSING
@pytest.mark.parametrize("lost", [False, True], ids=["", "status lost"])
def test_a_bad_version_is_taken_back_all_the_same(model: Json, lost: bool):
    world = soaking(model)
    if lost:
        world.wipe_status()
    says(world, Verdict.FAIL)
    world.run(lambda: is_back(world))
    assert world.reason("Stalled") == "ModelVersionNotFound"
    assert "Meanwhile" not in world.message(), "nothing but v1 is there"
    assert lost or "RolledBack" in world.events
    world.choose("v2")
    world.run(lambda: world.phase == "RolledBack")


@MISSING
def test_abort_takes_it_back(model: Json):
    world = soaking(model)
    world.annotate("abort", "v2")
    world.run(lambda: is_back(world))
    assert world.status["quarantined"][0]["reason"].startswith("Aborted")


def test_one_whose_nodes_do_not_become_ready_is_taken_back():
    world = installed(gate=GATE, progressDeadline="2m")
    world.broken = {"v2"}
    world.choose("v2")
    world.run(lambda: world.phase == "Progressing" and not world.running.get("canary-0"))
    world.choose("v33")
    world.run(lambda: is_back(world))


@pytest.mark.parametrize("command", ["promote", "approve", None])
@pytest.mark.parametrize("whole", [False, True], ids=["in the first group", "in the last group"])
def test_it_is_not_promoted_and_enters_no_group_until_it_is_asked_for_again(command: str | None, whole: bool):
    """Whatever its gate says, and whatever was said of it."""
    world = installed(gate=GATE)
    world.judge = lambda plan, now: said(
        plan, now, Verdict.PASS if whole and plan.group == "canary" else Verdict.INCONCLUSIVE
    )
    world.choose("v2")
    where = "fleet" if whole else "canary"
    world.run(lambda: world.phase == "Soaking" and world.status["currentGroup"] == where)
    world.choose("v33")
    world.rest(1)
    if command:
        world.annotate(command, "v2")
    says(world, Verdict.PASS)
    world.rest(60)
    assert promoted(world) == {"v1"}
    assert world.status["stableVersion"] == "v1"
    assert world.versions == ({"v2"} if whole else {"v1", "v2"})
    world.choose("v2")
    world.run(lambda: world.is_at("v2"))


def test_a_promote_of_before_does_not_promote_it_either():
    world = installed(gate=GATE)
    says(world, Verdict.INCONCLUSIVE)
    world.broken = {"v2"}
    world.choose("v2")
    world.annotate("promote", "v2")
    world.run(lambda: world.phase == "Progressing" and not world.running.get("canary-0"))
    world.choose("v33")
    world.rest(1)
    world.broken = set()
    world.rest(60)
    assert promoted(world) == {"v1"}
    assert world.running["fleet-0"] == "v1"
    assert "nothing judges it there" in world.message()


def test_another_version_supersedes_it():
    world = soaking()
    world.put(builders.model_version("v33", created=world.now))
    says(world, Verdict.PASS)
    world.run(lambda: world.is_at("v33"))
    assert [(e["version"], e["result"]) for e in world.status["history"]][:2] == [
        ("v33", "Promoted"),
        ("v2", "Superseded"),
    ]


def test_what_failed_and_is_held_can_be_taken_back():
    world = installed(gate=GATE, rollback={"onFailure": False})
    says(world, Verdict.FAIL)
    world.choose("v2")
    world.run(lambda: world.phase == "Failed")
    world.choose("v33")
    world.rest()
    assert world.reason("Stalled") == "ModelVersionNotFound"
    assert "Meanwhile v2, which failed, stays in group canary" in world.message()
    world.annotate("abort", "v2")
    world.run(lambda: world.versions == {"v1"})


def test_what_failed_and_is_held_behind_a_new_first_group_can_be_taken_back():
    """It was said to go back, and did not: where the spec comes to nothing, other groups stay as they are."""
    world = installed(gate=GATE, rollback={"onFailure": False})
    says(world, Verdict.FAIL)
    world.choose("v2")
    world.run(lambda: world.phase == "Failed")
    world.choose("v33")
    world.add_nodes("first", 1)
    world.spec(groups=[builders.group(name) for name in ("first", "canary", "fleet")])
    world.rest()
    assert (world.versions, world.status["candidateVersion"]) == ({"v1", "v2"}, "v2")
    assert "Meanwhile v2, which failed, stays in group canary" in world.message()
    world.annotate("abort", "v2")
    world.run(lambda: world.versions == {"v1"})


def test_another_template_of_what_is_stable_is_one_as_well():
    world = installed(gate=GATE)
    says(world, Verdict.INCONCLUSIVE)
    world.spec(template=builders.template("app:2"))
    world.run(lambda: world.phase == "Soaking")
    world.choose("v33")
    world.rest()
    assert "Meanwhile another template of v1 stays in group canary" in world.message()
    says(world, Verdict.FAIL)
    world.run(lambda: is_back(world))
    assert world.status["quarantined"][0]["revision"], "the template alone"


def test_a_first_install_stays_as_it_is():
    world = fleet(gate=GATE)
    says(world, Verdict.PASS)
    world.run(lambda: world.running.get("canary-0") == "v1")
    world.choose("v33")
    world.rest(60)
    assert promoted(world) == set()
    assert "Meanwhile v1 stays in groups canary, fleet and goes no further" in world.message()
    world.choose("v1")
    world.run(lambda: world.is_at("v1"))


def test_where_nothing_was_on_its_way_there_is_nothing_more_to_say():
    world = installed()
    world.choose("v33")
    world.rest()
    assert "Meanwhile" not in world.message()


@pytest.mark.parametrize("lost", [False, True], ids=["killed", "killed and status lost"])
@pytest.mark.parametrize(
    "goes_wrong", [lambda world: says(world, Verdict.FAIL), lambda world: world.annotate("abort", "v2")], ids=["F", "a"]
)
def test_killed_after_any_write_it_ends_the_same(lost: bool, goes_wrong: Callable[[World], None]):
    world, moments = soaking(), []
    world.after_write = lambda: moments.append(world.killed())
    goes_wrong(world)
    world.run(lambda: is_back(world))
    world.rest(3)
    assert len(moments) > 2
    for fork in moments:
        if lost:
            fork.wipe_status()
        fork.run(lambda fork=fork: is_back(fork))
        fork.rest(3)
        assert fork.end() == world.end()
