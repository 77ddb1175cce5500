"""Whole runs on the simulation; and each of them again with the operator killed after every single write."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from modelfleet.kinds import JOB, MODEL_VERSION, POD, TRAINING_JOB
from unit.training.builders import DETAIL, fine_tune, model_version, rollout, success, training_job
from unit.training.simulation import Story, Try, World

Play = Callable[[Story], Awaitable[None]]

CRASH = Try(1, "Killed")
PREEMPTED = Try(preempted=True)
BAD_DATA = Try(64, json.dumps({"result": "Failed", "reason": "DatasetInvalid", "message": "no labels"}))
NO_DATA = Try(
    64, json.dumps({"result": "Failed", "reason": "DatasetMissing", "message": "s3://data/1.tar is not there"})
)


def beside(how: str, attempt: Try) -> Try:
    """The same with a container beside the trainer."""
    return replace(attempt, beside=how)


def story(*tries: Try, training=None, others=()) -> Story:
    world = World(tries=list(tries) or [Try()])
    for obj in others:
        world.add(obj)
    world.add(training or training_job(ttlAfterFinished="2m"))
    return Story(world)


async def test_a_run_from_the_spec_to_the_model_version():
    told = story(Try())
    await told.until("Training")
    await told.run(2)
    assert told.world.training["status"]["progress"]["epoch"] == 2
    await told.until("Complete")
    version = told.world.get(MODEL_VERSION, "parts-v4")
    assert version["spec"]["metrics"] == {"map50": "0.91", "recall": "0.87"}
    assert version["spec"]["calibration"] == DETAIL["calibration"]
    source = {"uri": "s3://data/1.tar", "sha256": "d" * 64, "images": 120, "labels": 300}
    assert version["spec"]["lineage"]["dataset"] == {**source, "sources": [source]}
    assert version["spec"]["lineage"]["diagnosis"] == DETAIL["diagnosis"]
    (complete,) = (
        each for each in told.world.get(JOB, "parts-v4")["status"]["conditions"] if each["type"] == "Complete"
    )
    assert version["spec"]["createdAt"] == complete["lastTransitionTime"]
    assert version["spec"]["report"] == {name: DETAIL["report"][name] for name in ("uri", "sha256")}
    assert "tracking" not in version["spec"]["lineage"]  # a remark that makes no sense costs no version
    assert told.world.training["status"]["diagnosis"] == DETAIL["diagnosis"]
    assert version["status"]["tags"] == ["latest"]
    assert told.world.events == ["JobCreated", "Training", "Evaluating", "Complete"]
    assert told.world.get(JOB, "parts-v4") is not None
    await told.run(15)
    assert told.world.get(JOB, "parts-v4") is None
    assert told.world.reason == "Complete"


async def test_steady_state_costs_no_writes():
    told = story(Try())
    await told.until("Complete")
    await told.run(15)
    writes = told.world.writes
    told.restart()
    await told.run(30)
    assert told.world.writes == writes


async def test_it_waits_for_its_parent_and_goes_on_by_itself():
    told = story(Try(), training=fine_tune({"tag": "gold"}))
    await told.until("ParentNotFound")
    told.world.add(model_version("v2", tags=("gold",), ready=None))
    await told.until("Complete")
    assert told.world.training["status"]["parent"] == "v2"
    assert told.world.get(MODEL_VERSION, "parts-v4")["spec"]["lineage"]["parent"] == "v2"


async def test_it_waits_for_a_rollouts_stable_version():
    told = story(Try(), training=fine_tune({"rollout": "line"}), others=[model_version("v2")])
    await told.until("ParentNotFound")
    told.world.add(rollout("line"))
    await told.run(2)
    assert told.world.reason == "ParentNotFound"
    line = told.world.add(rollout("line"))
    told.world.change(line, status={"stableVersion": "v2"})
    await told.until("Complete")


async def test_an_existing_version_is_never_overwritten():
    told = story(Try(), others=[model_version("v4")])
    await told.until("VersionExists")
    assert told.world.get(JOB, "parts-v4") is None
    told.world.remove(told.world.get(MODEL_VERSION, "parts-v4"))
    await told.until("Complete")


async def test_a_version_made_by_somebody_else_meanwhile_is_not_taken_for_its_own():
    told = story(Try())
    await told.until("Training")
    told.world.add(model_version("v4"))
    await told.until("VersionExists")
    assert told.world.training["status"]["phase"] == "Failed"
    assert "modelVersion" not in told.world.training["status"]


async def test_a_job_of_somebody_else_is_not_touched():
    foreign = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "parts-v4", "namespace": "factory"},
        "spec": {"suspend": True, "template": {"spec": {"containers": []}}},
    }
    told = story(Try(), others=[foreign])
    await told.until("NameConflict")
    told.world.remove(told.world.get(JOB, "parts-v4"))
    await told.until("Complete")


async def test_crashes_and_preemptions_are_counted_apart():
    told = story(CRASH, PREEMPTED, PREEMPTED, Try())
    await told.until("Complete")
    status = told.world.training["status"]
    assert (status["attempts"], status["preemptions"]) == (4, 2)
    assert told.world.events.count("Preempted") == 2
    assert told.world.events.count("Retrying") == 1


async def test_counts_survive_a_wiped_status():
    told = story(CRASH, PREEMPTED, Try())
    await told.until("Complete")
    before = told.world.training["status"]
    told.world.wipe_status()
    told.restart()
    await told.run(1)
    assert told.world.training["status"] == before


async def test_a_run_that_can_not_be_mended_fails_at_once():
    told = story(BAD_DATA)
    await told.until("DatasetInvalid")
    status = told.world.training["status"]
    assert (status["phase"], status["attempts"]) == ("Failed", 1)
    assert told.world.all(MODEL_VERSION) == []
    await told.run(15)
    assert told.world.get(JOB, "parts-v4") is None
    assert told.world.reason == "DatasetInvalid"


async def test_a_run_that_keeps_failing_ends():
    told = story(CRASH, training=training_job(backoffLimit=1, ttlAfterFinished="2m"))
    await told.until("TrainerCrashed")
    assert told.world.training["status"]["attempts"] == 2
    assert "All 2 attempts failed" in told.world.training["status"]["conditions"][0]["message"]


async def test_missing_data_is_waited_for():
    told = story(NO_DATA, NO_DATA, Try())
    await told.until("DatasetMissing")
    await told.until("Complete", steps=400)
    assert told.world.started == 3


async def test_suspend_and_resume():
    told = story(Try())
    await told.until("Training")
    told.world.set_spec(suspend=True)
    await told.until("Suspended")
    await told.run(5)
    assert told.world.get(JOB, "parts-v4")["spec"]["suspend"] is True
    assert told.world.reason == "Suspended"
    told.world.set_spec(suspend=False)
    await told.until("Complete")
    assert "Suspended" in told.world.events


async def test_a_log_that_can_not_be_read_for_a_while():
    told = story(Try())
    told.world.logs_readable = False
    await told.until("ReadingResult")
    await told.run(20)
    assert told.world.reason == "ReadingResult"
    told.world.logs_readable = True
    await told.until("Complete")


async def test_a_report_that_is_lost_is_made_again_from_what_was_published():
    told = story(Try(log_lost=True), Try())
    await told.until_event("RereadingResult")
    await told.until("Complete")
    assert told.world.started == 2


async def test_a_report_that_is_lost_twice_ends_the_run():
    told = story(Try(log_lost=True))
    await told.until("ResultLost")
    assert told.world.started == 2
    assert told.world.all(MODEL_VERSION) == []


async def test_a_run_that_began_keeps_its_parent_though_the_tag_moves_on():
    told = story(Try(log_lost=True), Try(), training=fine_tune({"tag": "latest"}), others=[model_version("v2")])
    await told.until_event("RereadingResult")
    told.world.add(model_version("v3"))
    await told.until("Complete")
    assert told.world.get(MODEL_VERSION, "parts-v4")["spec"]["lineage"]["parent"] == "v2"


async def test_being_asked_to_stop_is_no_failure():
    told = story(Try(143, json.dumps({"result": "Failed", "reason": "Interrupted", "message": "asked to stop"})), Try())
    await told.until("Complete")
    assert "Stopped" in told.world.events
    status = told.world.training["status"]
    assert (status["attempts"], status["preemptions"]) == (2, 0)


async def test_a_detail_of_another_digest_makes_no_version():
    told = story(Try(said=success({**DETAIL, "classes": ["other"]})))
    await told.until("ResultLost")
    assert told.world.all(MODEL_VERSION) == []


async def test_a_container_that_goes_on_beside_it_does_not_keep_a_run_from_ending():
    told = story(beside("goes on", Try()))
    await told.until("Complete")
    assert told.world.get(MODEL_VERSION, "parts-v4")["spec"]["metrics"] == {"map50": "0.91", "recall": "0.87"}
    (pod,) = told.world.all(POD)
    ended = pod["status"]["containerStatuses"][0]["state"]["terminated"]["finishedAt"]
    status = told.world.training["status"]
    assert (status["attempts"], status["finishedAt"]) == (1, ended)
    await told.run(2)
    assert told.world.all(POD) == [pod]  # half a minute to end on its own
    await told.run(2)
    assert told.world.all(POD) == told.world.all(JOB) == []
    assert (told.world.training["status"], told.world.started) == (status, 1)
    assert told.world.events == ["JobCreated", "Training", "Complete"]


async def test_a_container_that_fails_beside_it_takes_nothing_from_a_version_that_was_published():
    told = story(beside("fails", Try()), training=training_job(backoffLimit=0))
    await told.until("Training")
    while "status" not in told.world.get(JOB, "parts-v4"):
        told.world.tick()  # and the operator is away
    assert told.world.get(JOB, "parts-v4")["status"]["conditions"][0]["reason"] == "BackoffLimitExceeded"
    await told.until("Complete")
    assert told.world.started == 1


async def test_a_cause_that_a_pod_takes_along_is_kept():
    told = story(beside("goes on", BAD_DATA))
    await told.until("DatasetInvalid")
    assert told.world.all(POD) == []
    assert told.world.get(JOB, "parts-v4")["status"]["conditions"][0]["reason"] == "PodFailurePolicy"
    assert "no labels" in told.world.training["status"]["conditions"][0]["message"]


async def test_each_attempt_beside_a_container_that_goes_on_counts_once():
    told = story(*[beside("goes on", CRASH)] * 3, training=training_job(backoffLimit=2))
    await told.until("TrainerCrashed")
    assert told.world.training["status"]["attempts"] == told.world.started == 3
    assert "All 3 attempts failed" in told.world.training["status"]["conditions"][0]["message"]
    assert told.world.events.count("Retrying") == 2


async def test_a_deadline_that_comes_before_the_rest_is_stopped_does_not_hide_the_cause():
    told = story(beside("goes on", BAD_DATA), training=training_job(activeDeadline="1m"))
    await told.until("DatasetInvalid")
    assert told.world.get(JOB, "parts-v4")["status"]["conditions"][0]["reason"] == "DeadlineExceeded"


async def test_what_was_published_before_the_deadline_is_reported_again_where_the_report_is_lost():
    told = story(beside("goes on", Try(log_lost=True)), Try(), training=training_job(activeDeadline="1m"))
    await told.until("ReadingResult")
    await told.run(3)
    assert told.world.get(JOB, "parts-v4")["status"]["conditions"][0]["reason"] == "DeadlineExceeded"
    assert told.world.reason == "ReadingResult"
    await told.until("Complete")
    assert told.world.started == 2


EVALUATED = {"dataset": {"uri": "s3://data/holdout.tar"}, "gates": [{"metric": "map50", "minimum": "0.99"}]}


async def play_success(told: Story) -> None:
    await told.until("Complete")
    await told.run(15)


async def play_suspension(told: Story) -> None:
    await told.until("Training")
    told.world.set_spec(suspend=True)
    await told.until("Suspended")
    await told.run(3)
    told.world.set_spec(suspend=False)
    await told.until("Complete")
    await told.run(15)


async def play_wiped(told: Story) -> None:
    await told.until("Training")
    told.world.wipe_status()
    await told.until("Complete")
    told.world.wipe_status()
    await told.run(15)


def play(reason: str) -> Play:
    async def until(told: Story) -> None:
        await told.until(reason, steps=400)
        await told.run(15)

    return until


STORIES: dict[str, tuple[Callable[[], Story], Play]] = {
    "success": (lambda: story(Try()), play_success),
    "crash and preemptions": (lambda: story(CRASH, PREEMPTED, PREEMPTED, Try()), play_success),
    "preempted, then hopeless": (lambda: story(PREEMPTED, BAD_DATA), play("DatasetInvalid")),
    "missing data": (lambda: story(NO_DATA, Try()), play_success),
    "suspended": (lambda: story(Try()), play_suspension),
    "wiped": (lambda: story(PREEMPTED, Try()), play_wiped),
    "result lost once": (lambda: story(Try(log_lost=True), Try()), play_success),
    "result lost": (lambda: story(Try(log_lost=True)), play("ResultLost")),
    "rejected": (
        lambda: story(Try(), training=training_job(ttlAfterFinished="2m", evaluation=EVALUATED)),
        play("EvaluationFailed"),
    ),
    "a container goes on": (lambda: story(beside("goes on", Try())), play_success),
    "a container goes on beside a crash": (
        lambda: story(beside("goes on", CRASH), beside("goes on", Try())),
        play_success,
    ),
    "a container goes on beside a failure": (lambda: story(beside("goes on", BAD_DATA)), play("DatasetInvalid")),
    "a container goes on beside missing data": (
        lambda: story(beside("goes on", NO_DATA), beside("goes on", Try())),
        play_success,
    ),
    "a container fails": (lambda: story(beside("fails", Try())), play_success),
    "from a parent": (
        lambda: story(
            Try(),
            training=fine_tune({"tag": "latest"}, ttlAfterFinished="2m"),
            others=[model_version("v2", ready=None)],
        ),
        play_success,
    ),
}


def end_of(told: Story) -> str:
    """All that is left in the end, without what only tells of the number of writes."""
    objects = []
    for kind in (TRAINING_JOB, MODEL_VERSION, JOB):
        for obj in told.world.all(kind):
            metadata = {k: v for k, v in obj["metadata"].items() if k not in ("resourceVersion", "uid")}
            objects.append({**obj, "metadata": metadata})
    return json.dumps(objects, indent=1, sort_keys=True)


@pytest.mark.parametrize("name", STORIES)
async def test_killed_after_any_single_write_it_ends_the_same(name):
    make, played = STORIES[name]
    plain = make()
    await played(plain)
    expected = end_of(plain)
    assert plain.world.writes >= 5
    for write in range(1, plain.world.writes + 1):
        told = make()
        told.world.kill_after = write
        await played(told)
        assert told.kills == 1, f"write {write} was never made"
        assert end_of(told) == expected, f"killed after write {write}"


async def test_killed_after_every_write_it_ends_the_same():
    """Not one kill, but one after each write of the whole run."""
    make, played = STORIES["crash and preemptions"]
    plain = make()
    await played(plain)
    told = make()
    told.world.kill_always = True
    await played(told)
    assert told.kills == told.world.writes > 20
    assert end_of(told) == end_of(plain)
