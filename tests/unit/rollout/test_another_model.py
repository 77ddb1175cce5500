"""A Rollout that goes to another model, whose versions have the names that the old one's had."""

import json
from collections.abc import Callable
from datetime import timedelta

import pytest

from modelfleet import drift
from modelfleet.gate import Plan, Verdict
from modelfleet.kinds import CONTROLLER_REVISION, ROLLOUT, TRAINING_JOB
from modelfleet.versions.usage import roles
from unit.rollout import builders
from unit.rollout.simulation import World, installed, said

GATE = {"soak": "1m", "interval": "20s", "timeout": "10m", "comparison": {}}


def world_of(fails: Callable[[Plan], bool], **spec: object) -> World:
    """A fleet on v1 of parts. There are v1 and v2 of screws, too."""
    world = installed(gate=GATE, **spec)
    world.judge = lambda plan, now: said(plan, now, Verdict.FAIL if fails(plan) else Verdict.PASS)
    for version in ("v1", "v2"):
        world.put(builders.model_version(version, model="screws", created=world.now))
    return world


def of_parts(version: str) -> Callable[[Plan], bool]:
    return lambda plan: (plan.model, plan.candidate_version) == ("parts", version)


def failed(world: World) -> bool:
    return world.phase == "RolledBack"


def chosen(world: World, model: str, version: str) -> None:
    world.spec(model={"name": model, "version": version})


def notes(world: World) -> dict[tuple[str, str], dict[str, str]]:
    """What the ControllerRevisions say, by model and version."""
    return {
        (raw["data"]["model"], raw["data"]["version"]): raw["metadata"]["annotations"]
        for raw in world.store.list(CONTROLLER_REVISION)
    }


def quarantined(world: World) -> set[tuple[str, str]]:
    return {of for of, said in notes(world).items() if "modelfleet.dev/quarantined-at" in said}


def test_a_version_is_not_in_quarantine_for_one_of_the_same_name_of_another_model():
    world = world_of(fails=of_parts("v2"))
    chosen(world, "parts", "v2")
    world.run(lambda: failed(world))
    judged = []
    world.judge = lambda plan, now: judged.append(plan.model) or said(plan, now, Verdict.PASS)
    chosen(world, "screws", "v2")
    world.run(lambda: world.is_at("v2"))
    assert set(judged) == {"screws"}
    chosen(world, "parts", "v2")
    world.run(lambda: failed(world))
    assert quarantined(world) == {("parts", "v2")}, "as before"
    assert set(judged) == {"screws"}, "what failed is not tried again"


def test_a_version_that_fails_beside_one_of_the_same_name_is_not_taken_for_a_bad_template():
    world = world_of(fails=lambda plan: plan.model == "screws")
    chosen(world, "screws", "v1")
    world.run(lambda: failed(world))
    assert notes(world)["screws", "v1"]["modelfleet.dev/quarantined-scope"] == "Version"
    world.spec(template=builders.template("app:2"))
    world.rest()
    assert failed(world), "another template does not bring the version back"
    assert quarantined(world) == {("screws", "v1")}


def test_the_gate_compares_two_models_whose_versions_have_the_same_name():
    world = world_of(fails=lambda plan: False)
    plans: list[Plan] = []
    world.judge = lambda plan, now: plans.append(plan) or said(plan, now, Verdict.PASS)
    chosen(world, "screws", "v1")
    world.run(lambda: world.is_at("v1") and ("screws", "v1") in notes(world))
    first = plans[0]
    assert (first.group, first.control_groups, first.compared) == ("canary", ("fleet",), True)
    series = {"rollout": "line", "version": "v1"}
    assert [first.sides.of(series | {"group": group}) for group in ("canary", "fleet")] == [0, 1]
    assert first.production is None, "reviewed frames of one model say nothing of another"


def test_of_each_models_quarantines_the_newest_stays_whatever_the_history_limit():
    world = world_of(fails=lambda plan: plan.candidate_version == "v2", revisionHistoryLimit=1)
    for model in ("parts", "screws"):
        chosen(world, model, "v2")
        world.run(lambda: failed(world))
    for number in range(3, 7):
        world.put(builders.model_version(f"v{number}", created=world.now + timedelta(hours=number)))
        chosen(world, "parts", f"v{number}")
        world.run(lambda number=number: world.is_at(f"v{number}"))
    assert quarantined(world) == {("parts", "v2"), ("screws", "v2")}


def test_a_retry_means_the_version_of_the_model_that_the_spec_names():
    world = world_of(fails=lambda plan: plan.candidate_version == "v2")
    for model in ("parts", "screws"):
        chosen(world, model, "v2")
        world.run(lambda: failed(world))
    world.judge = lambda plan, now: said(plan, now, Verdict.PASS)
    world.annotate("retry", "v2")
    world.run(lambda: world.is_at("v2"))
    assert quarantined(world) == {("parts", "v2")}


def test_a_command_waits_for_the_version_of_the_model_that_the_spec_names():
    """v2 of parts was there before: it is not what `promote` means from then on."""
    world = world_of(fails=of_parts("v2"))
    chosen(world, "parts", "v2")
    world.run(lambda: failed(world))
    chosen(world, "screws", "v1")
    world.annotate("promote", "v2")
    world.run(lambda: world.is_at("v1") and ("screws", "v1") in notes(world))
    assert "modelfleet.dev/commands" not in notes(world)["parts", "v2"]
    chosen(world, "screws", "v2")
    world.run(lambda: world.is_at("v2"))
    assert json.loads(notes(world)["screws", "v2"]["modelfleet.dev/commands"]) == {"promote=v2": ""}
    assert notes(world)["screws", "v2"]["modelfleet.dev/promoted-reason"] == "gates skipped by annotation"


def used(world: World) -> dict[str, str]:
    """The ModelVersions that the Rollout uses, as the operator finds them in its status."""
    return dict(roles(world.get(ROLLOUT, "line")))


def test_what_the_fleet_runs_stays_in_use_from_the_change_of_the_model_on():
    world = world_of(fails=lambda plan: False)
    world.judge = lambda plan, now: said(plan, now, Verdict.INCONCLUSIVE)
    assert used(world) == {"parts-v1": "Stable"}
    chosen(world, "screws", "v1")
    assert used(world) == {"parts-v1": "Stable"}, "before the operator has seen it"
    world.run(lambda: world.phase == "Soaking")
    assert used(world) == {"parts-v1": "Stable", "screws-v1": "Candidate"}
    world.wipe_status()
    world.run(lambda: world.phase == "Soaking")
    assert used(world) == {"parts-v1": "Stable", "screws-v1": "Candidate"}
    world.judge = lambda plan, now: said(plan, now, Verdict.PASS)
    world.run(lambda: world.status.get("stableModel") == "screws" and world.phase == "Ready")
    assert used(world) == {"screws-v1": "Stable", "parts-v1": "Previous"}


def test_a_status_names_the_model_of_each_version():
    world = world_of(fails=lambda plan: plan.model == "screws")
    chosen(world, "screws", "v1")
    world.run(lambda: failed(world))
    status = world.status
    assert status["stableModel"] == "parts"
    assert {entry["model"] for entry in status["groups"]} == {"parts"}
    assert [entry["model"] for entry in status["quarantined"]] == ["screws"]
    assert [entry["model"] for entry in status["history"]] == ["screws", "parts"]


def test_the_history_of_an_older_release_is_of_the_model_that_the_spec_named_then():
    world = world_of(fails=lambda plan: False)
    chosen(world, "parts", "v2")
    world.run(lambda: world.is_at("v2"))
    world.edit(ROLLOUT, "line", lambda obj: [entry.pop("model") for entry in obj["status"]["history"]])
    world.rest(1)
    chosen(world, "screws", "v1")
    world.rest(1)
    assert {entry["model"] for entry in world.status["history"]} == {"parts"}
    assert used(world)["parts-v1"] == "Previous"


@pytest.mark.parametrize("asked", [False, True], ids=["drift", "on somebody's word"])
def test_a_retraining_does_not_start_from_a_version_of_the_other_model(asked: bool):
    """v1 of screws failed, and v1 of parts, which is stable, drifts: v1 of screws is nothing to start from."""
    world = world_of(fails=lambda plan: plan.model == "screws")
    job = {"mode": "FineTune", "dataset": {"sources": [{"uri": "s3://data/new/"}]}, "output": {"uri": "s3://models/"}}
    retrain = {"template": {"spec": {"model": "screws", **job}}}
    world.spec(drift={"retrain": retrain})
    chosen(world, "screws", "v1")
    world.run(lambda: failed(world))
    if asked:
        world.annotate("retrain", "now")
    else:
        world.watch = lambda plan, now: drift.Judgement(drift.State.DRIFTING, "as told", declared=True, since=world.now)
    world.rest()
    assert not world.store.list(TRAINING_JOB)
    held = world.status["drift"]["retrain"]
    assert (held["reason"], "v1 of parts is stable, and no version of screws" in held["message"]) == ("NotDue", True)
    world.judge = lambda plan, now: said(plan, now, Verdict.PASS)
    chosen(world, "screws", "v2")
    world.run(lambda: world.is_at("v2"))
    if asked:
        world.rest()
        [training] = world.store.list(TRAINING_JOB)
        assert training["spec"]["from"] == {"version": "v2"}, "what was asked for was kept"


def test_it_is_said_of_which_model_the_version_is_that_it_goes_back_to():
    world = world_of(fails=lambda plan: plan.model == "screws")
    chosen(world, "screws", "v1")
    world.run(lambda: world.phase == "RollingBack")
    assert "Going back to v1 of parts in group canary" in world.message()
    world.run(lambda: failed(world))
    assert "The fleet runs v1 of parts." in world.message()
    [told] = [each.message for each in world.announced if each.reason == "RolledBack"]
    assert told.startswith("v1 failed and is rolled back to v1 of parts (GateFailed)")
    chosen(world, "parts", "v2")
    world.judge = lambda plan, now: said(plan, now, Verdict.FAIL)
    world.run(lambda: failed(world) and "v2" in world.message())
    assert "The fleet runs v1. " in world.message()
