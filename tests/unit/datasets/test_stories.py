"""Days of a Dataset in milliseconds, and the operator dying after any single write of them."""

import itertools
from datetime import timedelta

import pytest

from modelfleet.kinds import JOB
from unit.datasets.builders import dataset, failure, latest, report
from unit.datasets.simulation import Line
from unit.training.simulation import Story

HALF = timedelta(minutes=30)


def line(*said: str) -> Story:
    world = Line(said=itertools.chain(said)) if said else Line()
    world.add(dataset())
    return Story(world)


async def syncs(story: Story, count: int) -> None:
    """So many half hours, ten seconds at a time where something goes on."""
    for _ in range(count):
        await story.run(6)
        story.world.now += HALF - timedelta(seconds=60)
    await story.run(6)


async def test_from_nothing_to_a_version_and_on():
    story = line()
    await story.until("Synced")
    world = story.world
    assert world.status["latest"]["number"] == 1
    assert world.events == ["DatasetVersionCreated"]
    await syncs(story, 3)
    assert world.status["latest"]["number"] == 4
    assert [each["number"] for each in world.status["versions"]] == [4, 3, 2, 1]
    assert len(world.jobs) == 1, "old Jobs are removed"
    assert world.events == ["DatasetVersionCreated"] * 4


async def test_between_two_syncs_nothing_is_written():
    story = line()
    await story.until("Synced")
    writes = story.world.writes
    await story.run(120)
    assert story.world.writes == writes
    await story.run(70)
    assert story.world.writes == writes + 3, "the Job, the status in one write, and the old Job"


async def test_a_slot_that_was_missed_is_made_up_once():
    story = line()
    await story.until("Synced")
    story.world.now += timedelta(days=3)
    story.restart()
    await story.run(6)
    assert story.world.status["latest"]["number"] == 2
    await story.run(6)
    assert story.world.status["latest"]["number"] == 2


async def test_with_the_clock_put_right_one_sync_follows_another():
    story = line()
    world = story.world
    world.now += timedelta(days=3652)
    await story.until("Synced")
    world.now -= timedelta(days=3652)
    story.restart()
    for number in (2, 3, 4):
        await story.run(6)
        assert world.status["latest"]["number"] == number
        await story.run(6)
        assert world.status["latest"]["number"] == number, "and no second one before the next slot"
        world.now += HALF


async def test_a_failed_sync_is_tried_again_at_the_next_slot_and_after_a_correction():
    good = report(latest=latest(1))
    story = line(failure(), failure(), good)
    await story.until("LabelStudioRefused")
    await story.run(60)
    assert story.world.status["lastSync"]["failures"] == 1, "not before the slot"
    await story.run(130)
    assert story.world.status["lastSync"]["failures"] == 2
    story.world.set_spec(minNewImages=60)
    await story.until("Synced", steps=10)
    assert [each for each in story.world.events if each != "DatasetVersionCreated"] == ["SyncFailed", "Synced"]
    assert len(story.world.jobs) == 2, "the last good one and the last failed one"


async def test_somebody_asks_and_is_answered_once():
    story = line()
    await story.until("Synced")
    story.world.annotate("modelfleet.dev/sync", "now@1")
    await story.run(30)
    assert story.world.status["latest"]["number"] == 2
    assert story.world.status["synced"] == ["now@1"]
    story.restart()
    await story.run(30)
    assert story.world.status["latest"]["number"] == 2


async def test_a_wiped_status_is_the_same_again():
    story = line()
    await story.until("Synced")
    before = story.world.status
    story.world.wipe_status()
    await story.settle()
    after = story.world.status
    assert {name: after[name] for name in after if name != "conditions"} == {
        name: before[name] for name in before if name != "conditions"
    }
    assert len(story.world.all(JOB)) == 1


async def test_a_job_that_somebody_deleted_is_made_again():
    story = line()
    await story.settle()
    (job,) = story.world.all(JOB)
    story.world.remove(job)
    await story.until("Synced")


def told(world: Line) -> object:
    """What is left in the end, but for times."""
    status = world.status
    return (
        status["latest"],
        [each["number"] for each in status["versions"]],
        status["lastSync"]["result"],
        world.reason,
        len(world.jobs),
    )


async def story_of_two_syncs(kill_after: int | None, *, wiped: bool = False) -> Line:
    good = [report(latest=latest(number)) for number in range(1, 9)]
    story = line(good[0], failure(), *good[1:])
    story.world.kill_after = kill_after
    await syncs(story, 1)
    if wiped:
        story.world.wipe_status()
    await syncs(story, 2)
    world = story.world
    assert kill_after is None or story.kills == 1 or world.writes < kill_after
    before = world.writes
    await story.settle()
    assert world.writes == before
    assert isinstance(world, Line)
    return world


@pytest.mark.parametrize("wiped", [False, True])
@pytest.mark.parametrize("kill_after", range(1, 16))
async def test_killed_after_any_write_it_ends_in_the_same_state(kill_after: int, wiped: bool):
    expected = await story_of_two_syncs(None)
    world = await story_of_two_syncs(kill_after, wiped=wiped)
    assert told(world) == told(expected)
    assert world.started == expected.started, "no sync was made twice"


async def test_killed_after_every_write_it_gets_there_all_the_same():
    story = line()
    story.world.kill_always = True
    await story.until("Synced")
    assert story.world.started == 1
