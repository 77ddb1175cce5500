"""Replays in whole stories, on the operator's real code: one Job for a pair of versions, whenever the operator dies."""

import json
from collections.abc import Callable

import pytest

from modelfleet.kinds import JOB, ROLLOUT
from unit.rollout.replays import CAPTURE, NO_CAPTURES, word
from unit.rollout.simulation import NAMESPACE, World, installed
from unit.rollout.test_recovery import (
    QUICK,
    Step,
    canary_runs_v2,
    fails_v2,
    forks,
    go_on,
    is_at,
    rolled_back,
    tries_again,
)

REPLAYING = {"gate": QUICK, "delivery": CAPTURE, "replay": {"timeout": "5m"}}


def fleet(ends: Callable[[object], tuple[int, str] | None] = lambda job: (0, word())) -> World:
    """A fleet on v1 that replays."""
    world = installed(**REPLAYING)
    world.replays = ends
    return world


def choose(world: World) -> None:
    world.choose("v2")


STORIES: dict[str, list[Step]] = {
    "upgrade": [(choose, is_at("v2"))],
    "failure and another try": [(fails_v2, rolled_back), (tries_again, is_at("v2"))],
    "aborted": [(choose, canary_runs_v2), (lambda world: world.annotate("abort", "v2"), rolled_back)],
}
ENDINGS = {"replayed": (0, word()), "no captures": (1, NO_CAPTURES), "crashed": (139, "")}


def test_a_version_enters_the_first_group_after_its_replay():
    world = fleet()
    world.choose("v2")
    world.run(lambda: world.phase == "Replaying")
    assert world.versions == {"v1"}
    assert world.message().startswith("v2 enters group canary after its replay. Job replay-line-")
    assert world.status["replay"].get("result") is None
    world.run(lambda: world.status["replay"].get("result") == "Replayed")
    world.run(lambda: world.is_at("v2"))
    found = world.status["replay"]
    assert (found["stable"], found["candidate"], found["found"]["frames"]) == ("v1", "v2", 200)
    assert len(world.replayed) == 1
    events = [reason for reason in world.events if reason in ("Replaying", "Replayed", "RolloutStarted", "Promoted")]
    assert events[-4:] == ["Replaying", "Replayed", "RolloutStarted", "Promoted"]
    world.rest()
    before = world.writes
    world.rest()
    assert world.writes == before, "the steady state writes nothing"


def test_a_job_that_never_ends_holds_nothing_up_for_longer_than_the_timeout():
    world = fleet(lambda job: None)
    world.choose("v2")
    world.run(lambda: world.phase == "Replaying")
    started = world.now
    world.run(lambda: world.status.get("currentGroup") == "canary")
    assert 300 <= (world.now - started).total_seconds() < 330
    world.run(lambda: world.is_at("v2"))
    assert not world.store.list(JOB, NAMESPACE), "it runs for nothing once the version is stable"


def test_a_job_that_was_deleted_is_not_made_again():
    world = fleet(lambda job: None)
    world.choose("v2")
    world.run(lambda: world.phase == "Replaying")
    world.delete(JOB, world.status["replay"]["job"])
    world.run(lambda: world.is_at("v2"))
    assert (world.status["replay"]["reason"], len(world.replayed)) == ("JobDeleted", 1)
    assert "ReplayFailed" in world.events


def test_of_two_candidates_each_has_its_job():
    world = fleet()
    world.choose("v2")
    world.run(lambda: world.is_at("v2"))
    world.choose("v1")
    world.run(lambda: world.is_at("v1"))
    assert (world.status["replay"]["stable"], world.status["replay"]["candidate"]) == ("v2", "v1")
    assert len(world.replayed) == 2
    assert len(world.store.list(JOB, NAMESPACE)) == 1, "the last one is kept"
    world.edit(ROLLOUT, "line", lambda obj: obj["spec"].pop("replay"))
    world.rest(2)
    assert not world.store.list(JOB, NAMESPACE)
    assert "replay" not in world.status


@pytest.mark.parametrize("lost", [False, True], ids=["killed", "killed and status lost"])
@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("story", STORIES)
def test_after_any_single_write_it_ends_the_same_with_one_job(story: str, ending: str, lost: bool):
    def shown(world: World) -> tuple[object, ...]:
        replay = {name: each for name, each in world.status["replay"].items() if not name.endswith("At")}
        return json.dumps(replay, sort_keys=True), len(world.replayed), world.end()

    undisturbed, moments = forks(fleet(lambda job: ENDINGS[ending]), STORIES[story])
    assert len(undisturbed.replayed) == 1
    assert len(moments) > 5
    for count, (index, world) in enumerate(moments):
        if lost:
            world.wipe_status()
        go_on(world, STORIES[story][index:], first=1)
        assert shown(world) == shown(undisturbed), f"after write {count + 1} of {len(moments)}"
