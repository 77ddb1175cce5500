"""From what the watch for drift sees to status, condition, Events, a training, and the version that comes of it."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from modelfleet.drift import Judgement, State
from modelfleet.drift.judgement import SignalChange, Stratum
from modelfleet.gate import Verdict
from modelfleet.kinds import DATASET, MODEL_VERSION, ROLLOUT, TRAINING_JOB
from unit.rollout.simulation import START, World, fleet, installed, said
from unit.rollout.test_reviewed import raw as dataset

QUICK = {"soak": "1m", "interval": "20s", "timeout": "10m"}
TEMPLATE: dict[str, Any] = {
    "spec": {
        "model": "parts",
        "mode": "FineTune",
        "dataset": {"sources": [{"uri": "s3://data/new/"}]},
        "output": {"uri": "s3://models/"},
    }
}


def judgement(state: State, message: str = "as told", **fields: Any) -> Judgement:
    return Judgement(state, message, declared=state is State.DRIFTING, **fields)


DRIFTS = judgement(State.DRIFTING, "confidence fell", nodes=4, nodes_down=4, since=START + timedelta(hours=1))


def v1_drifts(world: World) -> None:
    """The scene changes: v1 drifts on it, whatever comes next does not."""
    world.watch = lambda plan, now: DRIFTS if plan.version == "v1" else None


def watched(**retrain: Any) -> World:
    """A fleet on v1, whose drift is watched for."""
    return installed(gate=QUICK, drift={"retrain": {"template": TEMPLATE, **retrain}})


def follow_latest(world: World) -> None:
    """What is trained is to be rolled out, and there is nothing else to roll out."""
    world.delete(MODEL_VERSION, "parts-v2")
    world.spec(model={"name": "parts", "tag": "latest"})


def drift_of(world: World) -> dict[str, Any]:
    found: dict[str, Any] = world.status.get("drift") or {}
    return found


def trainings(world: World) -> list[str]:
    return [raw["metadata"]["name"] for raw in world.store.list(TRAINING_JOB, "factory")]


def condition(world: World) -> tuple[str, str] | None:
    return next(((c["status"], c["reason"]) for c in world.status["conditions"] if c["type"] == "DriftDetected"), None)


def test_without_drift_in_the_spec_nothing_is_said_of_it():
    world = installed()
    assert "drift" not in world.status
    assert condition(world) is None


def test_what_the_watch_sees_is_shown():
    world = watched()
    world.watch = lambda plan, now: judgement(
        State.SUSPECTED,
        nodes=4,
        nodes_down=2,
        signals=(SignalChange("confidence", -0.07, -0.05),),
        strata=(Stratum("north", 3, 2),),
        examples=("fleet-0",),
        baseline_from=START,
    )
    world.rest(1)
    shown = drift_of(world)
    assert (shown["state"], shown["version"], shown["nodes"], shown["nodesDown"]) == ("Suspected", "v1", 4, 2)
    assert shown["signals"] == [{"name": "confidence", "change": "-0.07", "threshold": "-0.05"}]
    assert shown["strata"] == [{"name": "north", "nodes": 3, "nodesDown": 2}]
    assert shown["examples"] == ["fleet-0"]
    assert condition(world) == ("False", "Suspected")
    assert "Suspected" in world.events
    assert trainings(world) == []


def test_a_state_keeps_its_beginning_and_is_announced_once():
    world = watched()
    world.rest(3)
    since = drift_of(world)["since"]
    writes = world.writes
    world.rest(20)
    assert drift_of(world)["since"] == since
    assert world.writes == writes
    assert world.events.count("Steady") <= 1


def test_drift_leads_to_a_training_whose_version_goes_through_the_gate_and_starts_a_watch_of_its_own():
    world = watched()
    follow_latest(world)
    world.announced.clear()
    v1_drifts(world)
    world.run(lambda: world.is_at("line-r1"))
    world.rest()
    assert trainings(world) == ["line-r1"]
    order = [reason for reason in world.events if reason in ("Drifting", "RetrainingStarted", "GatePassed", "Promoted")]
    assert order[0] == "Drifting"
    assert order[1] == "RetrainingStarted"
    assert order[-1] == "Promoted"
    assert drift_of(world)["version"] == "line-r1"
    assert drift_of(world)["state"] == "Steady"
    assert condition(world) == ("False", "Steady")
    (entry,) = drift_of(world)["retrainings"]
    assert (entry["trainingJob"], entry["trigger"], entry["stableVersion"]) == ("line-r1", "Drift", "v1")
    assert (entry["cause"], entry["result"]) == ("confidence fell", "Complete")
    assert entry["data"] == ["s3://data/new/"]
    (told,) = [each.message for each in world.announced if each.reason == "RetrainingStarted"]
    assert "line-r1" in told
    assert "s3://data/new/" in told
    assert "confidence fell" in told


@pytest.mark.parametrize("lost", [False, True], ids=["killed", "killed and status lost"])
def test_after_any_single_write_of_an_episode_there_is_one_training_and_the_same_end(lost: bool):
    def play(world: World) -> World:
        world.run(lambda: world.is_at("line-r1"))
        world.rest(3)
        return world

    world, moments = watched(), []
    follow_latest(world)
    v1_drifts(world)
    world.after_write = lambda: moments.append(world.killed())
    undisturbed = play(world)
    assert len(moments) > 8
    for count, fork in enumerate(moments):
        if lost:
            fork.wipe_status()
        assert play(fork).end() == undisturbed.end(), f"after write {count + 1} of {len(moments)}"
        assert trainings(fork) == ["line-r1"]


def test_a_version_that_is_rolled_back_lengthens_the_cooldown_and_the_drift_goes_on():
    world = watched(cooldown="10m")
    follow_latest(world)
    v1_drifts(world)
    world.judge = lambda plan, now: said(plan, now, Verdict.FAIL, "bad")
    world.run(lambda: world.reason("Stalled") == "RolledBack")
    assert condition(world) == ("True", "Drifting")
    world.run(lambda: drift_of(world)["retrain"]["reason"] == "CoolingDown")
    assert "20m" in drift_of(world)["retrain"]["message"]
    world.run(lambda: trainings(world) == ["line-r1", "line-r2"])


@pytest.mark.parametrize("wiped", [False, True], ids=["", "and the status wiped"])
def test_a_training_that_was_deleted_is_not_made_again(wiped: bool):
    world = watched(cooldown="0s")
    v1_drifts(world)
    world.run(lambda: trainings(world) == ["line-r1"])
    world.delete(TRAINING_JOB, "line-r1")
    if wiped:
        world.wipe_status()
    world.rest()
    assert trainings(world) == []
    assert drift_of(world)["retrain"]["reason"] == "TrainingDeleted"
    assert "TrainingDeleted" in world.events
    (said,) = [c["message"] for c in world.status["conditions"] if c["type"] == "DriftDetected"]
    assert "confidence fell Not retrained: TrainingJob line-r1 was deleted before it ended." in said
    world.annotate("retrain", "now@1")
    world.run(lambda: trainings(world) == ["line-r2"])


def test_a_failed_training_is_tried_again_after_the_cooldown_and_no_more_often_than_allowed():
    world = watched(cooldown="10m", maxPerWeek=2)
    world.untrainable = True
    v1_drifts(world)
    world.run(lambda: trainings(world) == ["line-r1", "line-r2"])
    world.run(lambda: drift_of(world)["retrain"]["reason"] == "BudgetSpent")
    world.rest(100)
    assert trainings(world) == ["line-r1", "line-r2"]


def test_a_command_trains_once_whatever_the_watch_says():
    world = watched(suspend=True)
    world.annotate("retrain", "now@1")
    world.run(lambda: trainings(world) == ["line-r1"])
    world.rest(20)
    world.wipe_status()
    world.rest(20)
    assert trainings(world) == ["line-r1"]
    world.annotate("retrain", "now@2")
    world.run(lambda: trainings(world) == ["line-r1", "line-r2"])


def test_a_command_without_a_template_is_reported():
    world = installed(drift={})
    world.annotate("retrain", "now")
    world.rest(2)
    assert "CommandIgnored" in world.events


@pytest.mark.parametrize(
    ("state", "event"),
    [
        (State.SUSPECTED, "Suspected"),
        (State.MORE_CONFIDENT, "MoreConfident"),
        (State.FEWER_OBJECTS, "FewerObjects"),
        (State.PAUSED, "WatchPaused"),
        (State.LEARNING, "Learning"),
    ],
)
def test_no_other_state_leads_to_a_training(state: State, event: str):
    world = watched(cooldown="0s")
    world.rest(1)
    world.watch = lambda plan, now: judgement(state)
    world.rest(1)
    assert trainings(world) == []
    assert world.events.count(event) == 1
    assert condition(world) == ("False", event)


def test_while_prometheus_is_away_drift_stays_declared_and_nothing_is_trained():
    world = watched(suspend=True)
    v1_drifts(world)
    world.rest(1)
    assert condition(world) == ("True", "Drifting")
    world.watch = lambda plan, now: replace(judgement(State.PAUSED, "Paused: no answer."), declared=True)
    world.spec(drift={"retrain": {"template": TEMPLATE}})
    world.rest(2)
    assert condition(world) == ("True", "WatchPaused")
    assert trainings(world) == []
    v1_drifts(world)
    world.rest(1)
    assert trainings(world) == ["line-r1"]


def test_while_a_version_is_on_its_way_the_watch_is_paused_without_a_warning():
    world = watched()
    v1_drifts(world)
    world.spec(paused=True)
    world.choose("v2")
    world.rest(2)
    assert drift_of(world)["state"] == "Paused"
    assert "v2 is on its way" in drift_of(world)["message"]
    assert "WatchPaused" not in world.events


def test_a_paused_rollout_trains_nothing():
    world = watched()
    world.spec(paused=True)
    v1_drifts(world)
    world.rest(2)
    assert trainings(world) == []
    assert drift_of(world)["retrain"]["reason"] == "Paused"


def test_nodes_that_drift_alone_are_announced_once():
    world = watched()
    world.rest(1)
    alone = ("fleet-1",)
    world.watch = lambda plan, now: judgement(State.STEADY, lone=alone, examples=alone)
    world.rest(500)
    assert world.events.count("NodeDrifts") == 1


def test_each_further_node_that_drifts_alone_is_announced_though_the_status_names_three():
    world = watched()
    world.rest(1)

    def drifted(count: int) -> Judgement:
        alone = tuple(f"fleet-{number}" for number in range(count))
        return judgement(State.STEADY, lone=alone, examples=alone[:3])

    for count in (3, 4, 9, 8, 9):
        world.watch = lambda plan, now, count=count: drifted(count)
        world.rest(3)
        assert drift_of(world)["nodesAlone"] == count
    told = [each.message for each in world.announced if each.reason == "NodeDrifts"]
    assert len(told) == 4, "three, the fourth, the ninth, and the ninth again"
    assert "fleet-3 drifted alone" in told[1]
    assert "and 4 more drifted alone (9 in all; the dashboard Drift shows each node" in told[2]
    paused = replace(drifted(9), state=State.PAUSED, lone=())  # Prometheus does not answer for a while
    for found in (paused, drifted(9)):
        world.watch = lambda plan, now, found=found: found
        world.rest(3)
    assert world.events.count("NodeDrifts") == 4, "a pause makes no news of them"


def test_a_spec_without_drift_forgets_it():
    world = watched()
    v1_drifts(world)
    world.rest(2)
    world.edit(ROLLOUT, "line", lambda obj: obj["spec"].pop("drift"))
    world.rest(1)
    assert "drift" not in world.status
    assert condition(world) is None


def test_the_first_install_waits_for_a_stable_version():
    world = fleet(drift={})
    world.operate()
    assert drift_of(world)["state"] == "Paused"
    assert "no version is stable yet" in drift_of(world)["message"]


# --- reviewed frames --------------------------------------------------------------------------------------------------


def reviewed(world: World, recall: tuple[str, str, str] | None, version: str = "v1") -> None:
    """People have reviewed frames of a version: (value, low, high) of its recall."""
    estimate = None if recall is None else dict(zip(("value", "low", "high"), recall, strict=True))
    found = {"version": version, "frames": 420, "recall": estimate}
    if world.store.get(DATASET, "factory", "parts") is None:
        world.put(dataset(found=found))
    else:
        world.edit(DATASET, "parts", lambda obj: obj["status"].update(review=found))


LOW, DOUBT, GOOD = ("0.78", "0.74", "0.82"), ("0.82", "0.77", "0.87"), ("0.9", "0.87", "0.93")


def watched_by_people(**retrain: Any) -> World:
    """A fleet on v1 whose recall is to be 0.85, whose watch has no baseline yet, and whose Prometheus is down."""
    signals = [{"name": "confidence", "minDrop": "0.05"}, {"name": "reviewed-recall", "minimum": "0.85"}]
    world = installed(gate=QUICK, drift={"signals": signals, "retrain": {"template": TEMPLATE, **retrain}})
    world.watch = lambda plan, now: judgement(State.PAUSED, "Paused: no answer.")
    return world


def test_a_recall_below_its_minimum_is_drift_and_is_trained_for_once():
    world = watched_by_people(cooldown="0s")
    follow_latest(world)
    world.rest(1)
    assert "reviewed-recall can't be measured: there is no Dataset of model parts." in drift_of(world)["message"]
    assert drift_of(world)["signals"] == [{"name": "reviewed-recall", "threshold": "0.85"}]
    assert condition(world) == ("False", "WatchPaused")
    reviewed(world, LOW)
    world.run(lambda: world.is_at("line-r1"))
    world.rest(30)
    assert trainings(world) == ["line-r1"]
    assert world.events.count("RetrainingStarted") == 1
    (entry,) = drift_of(world)["retrainings"]
    assert (entry["trigger"], entry["stableVersion"]) == ("Drift", "v1")
    assert "v1 misses too many objects in production: recall 0.780" in entry["cause"]
    # what was reviewed is of v1, and says nothing of the version that is stable now
    assert "the reviewed frames of Dataset parts are of v1, not of line-r1" in drift_of(world)["message"]
    assert condition(world) == ("False", "WatchPaused")


def test_drift_by_review_lasts_until_the_estimate_is_back():
    world = watched_by_people(suspend=True)
    for recall, declared in ((DOUBT, False), (LOW, True), (DOUBT, True), (None, True), (GOOD, False), (DOUBT, False)):
        reviewed(world, recall)
        world.rest(2)
        assert condition(world) == (("True", "Drifting") if declared else ("False", "WatchPaused")), recall
        assert drift_of(world).get("declaredBy", []) == (["reviewed-recall"] if declared else [])
    assert world.events.count("Drifting") == 1
    reviewed(world, LOW)
    world.rest(2)
    reviewed(world, LOW, version="v0")
    world.rest(2)
    assert condition(world) == ("True", "Drifting")
    world.spec(drift={"retrain": {"template": TEMPLATE, "suspend": True}})
    world.rest(2)
    assert condition(world) == ("False", "WatchPaused")


def test_drift_by_review_is_one_episode_though_a_version_fails_meanwhile():
    world = watched_by_people(suspend=True)
    reviewed(world, LOW)
    world.rest(2)
    since = drift_of(world)["since"]
    world.judge = lambda plan, now: said(plan, now, Verdict.INCONCLUSIVE)
    world.choose("v2")
    world.rest(2)
    assert drift_of(world)["state"] == "Paused"
    assert condition(world) == ("True", "WatchPaused")
    assert drift_of(world)["declaredBy"] == ["reviewed-recall"]
    world.judge = lambda plan, now: said(plan, now, Verdict.FAIL, "bad")
    world.run(lambda: drift_of(world)["state"] == "Drifting")
    assert drift_of(world)["since"] == since


@pytest.mark.parametrize("lost", [False, True], ids=["killed", "killed and status lost"])
def test_after_any_single_write_of_an_episode_by_review_there_is_one_training(lost: bool):
    world, moments = watched_by_people(), []
    follow_latest(world)
    reviewed(world, LOW)
    world.after_write = lambda: moments.append(world.killed())
    world.run(lambda: world.is_at("line-r1"))
    assert len(moments) > 8
    for count, fork in enumerate(moments):
        if lost:
            fork.wipe_status()
        fork.run(lambda fork=fork: fork.is_at("line-r1"))
        fork.rest(3)
        assert trainings(fork) == ["line-r1"], f"after write {count + 1} of {len(moments)}"


@pytest.mark.parametrize("by", ["figures", "review"])
def test_a_training_deleted_long_ago_is_not_made_again_when_the_status_is_lost(by: str):
    """As after a restore from a backup: neither figures nor reviews tell any more when the episode began."""
    world = watched(cooldown="0s") if by == "figures" else watched_by_people(cooldown="0s")

    def drifts(since: datetime) -> None:
        if by == "figures":
            found = replace(DRIFTS, since=since, older=True)
            world.watch = lambda plan, now: found

    drifts(world.now)
    reviewed(world, LOW)
    world.run(lambda: trainings(world) == ["line-r1"])
    began = drift_of(world)["retrainings"][0]["at"]
    world.delete(TRAINING_JOB, "line-r1")
    world.now += timedelta(days=20)
    world.wipe_status()
    drifts(world.now - timedelta(days=9))
    world.rest()
    assert trainings(world) == []
    assert drift_of(world)["retrain"]["reason"] == "TrainingDeleted"
    assert drift_of(world)["since"] == began


def test_drift_of_which_the_beginning_is_known_is_an_episode_of_its_own_when_the_status_is_lost():
    world = watched(cooldown="0s")
    v1_drifts(world)
    world.run(lambda: trainings(world) == ["line-r1"])
    world.delete(TRAINING_JOB, "line-r1")
    world.now += timedelta(days=20)
    world.wipe_status()
    later = replace(DRIFTS, since=world.now - timedelta(days=2))
    world.watch = lambda plan, now: later
    world.run(lambda: trainings(world) == ["line-r2"])


def test_figures_and_reviewed_frames_take_back_their_own_drift_alone():
    world = watched_by_people(suspend=True)
    reviewed(world, LOW)
    v1_drifts(world)
    world.rest(2)
    assert drift_of(world)["declaredBy"] == ["figures", "reviewed-recall"]
    reviewed(world, GOOD)
    world.rest(2)
    assert drift_of(world)["declaredBy"] == ["figures"]
    assert condition(world) == ("True", "Drifting")
    world.watch = lambda plan, now: None
    world.rest(2)
    assert condition(world) == ("False", "Steady")
