"""Whole rollouts, from the first node to the last, on the simulation."""

from datetime import timedelta

from modelfleet.decision import Decision
from modelfleet.gate import Verdict
from modelfleet.kinds import CONTROLLER_REVISION, DAEMON_SET, MODEL_VERSION, ROLLOUT, Key
from modelfleet.rollout.decide import decide
from modelfleet.rollout.observe import snapshot
from unit.rollout import builders
from unit.rollout.builders import START
from unit.rollout.simulation import World, fleet, installed, said


def test_a_first_install_goes_through_the_groups_in_order():
    world = fleet()
    world.run(lambda: bool(world.running))
    assert set(world.running) == {"canary-0"}
    world.run(lambda: world.is_at("v1"))
    assert len(world.running) == 4
    assert world.status["history"][0]["result"] == "Installed"
    assert world.events == ["RolloutStarted", "GatePassed", "GroupAdvanced", "GatePassed", "Installed"]


def test_an_upgrade_reaches_the_canary_first_and_the_fleet_after_the_soak():
    world = installed()
    world.choose("v2")
    world.run(lambda: "v2" in world.versions)
    began = world.now
    assert {node for node, version in world.running.items() if version == "v2"} == {"canary-0"}
    assert world.status["stableVersion"] == "v1"
    assert (world.status["candidateVersion"], world.status["currentGroup"]) == ("v2", "canary")
    world.run(lambda: world.status["currentGroup"] == "fleet")
    assert world.now - began >= timedelta(minutes=5)
    world.run(lambda: world.is_at("v2"))
    assert [entry["result"] for entry in world.status["history"]] == ["Promoted", "Installed"]
    assert "candidateVersion" not in world.status
    assert world.reason("Reconciling") is None
    assert world.reason("Stalled") is None


def test_the_steady_state_costs_no_writes_and_no_wake_ups():
    world = installed()
    writes = world.writes
    decision = world.look()
    assert decision is not None
    assert (decision.actions, decision.announcements, decision.requeue_after) == ((), (), None)
    world.rest()
    assert world.writes == writes


def test_a_lost_status_is_found_again_in_silence():
    world = installed()
    before, announced = world.status, len(world.announced)
    world.wipe_status()
    world.rest(1)
    after = world.status
    for name in ("phase", "stableVersion", "stableRevision", "history"):
        assert after[name] == before[name], name
    assert len(world.announced) == announced


def test_a_newer_version_in_the_middle_takes_the_place_of_the_first():
    world = installed()
    world.choose("v2")
    world.run(lambda: world.status.get("currentGroup") == "fleet")
    world.put(builders.model_version("v3", created=START + timedelta(hours=2)))
    world.choose("v3")
    world.run(lambda: world.running.get("canary-0") == "v3")
    world.rest(3)
    assert world.running["fleet-0"] == "v1", "a superseded attempt is taken back, so that it can serve as control"
    world.run(lambda: world.is_at("v3"))
    assert [(entry["version"], entry["result"]) for entry in world.status["history"]] == [
        ("v3", "Promoted"),
        ("v2", "Superseded"),
        ("v1", "Installed"),
    ]


def test_going_back_to_stable_needs_no_gate():
    world = installed()
    world.choose("v2")
    world.run(lambda: world.running.get("canary-0") == "v2")
    world.choose("v1")
    world.run(lambda: world.is_at("v1"), limit=15)
    assert world.status["history"][0]["result"] == "Superseded"
    assert world.status.get("quarantined", []) == []


def test_going_back_to_an_older_promoted_version_is_a_rollout_like_any_other():
    world = installed()
    world.choose("v2")
    world.run(lambda: world.is_at("v2"))
    world.choose("v1")
    world.run(lambda: world.running.get("canary-0") == "v1")
    assert world.running["fleet-0"] == "v2"
    world.run(lambda: world.is_at("v1"))
    assert len(world.store.list(CONTROLLER_REVISION)) == 2, "the same three things make the same revision"


def test_a_tag_is_followed():
    world = World()
    world.add_nodes("canary", 1)
    world.add_nodes("fleet", 2)
    world.put(builders.model_version("v1"))
    world.put(builders.rollout(None))
    world.run(lambda: world.is_at("v1"))
    world.put(builders.model_version("v2", created=world.now))
    world.run(lambda: world.is_at("v2"))


def test_a_tag_that_moves_is_followed():
    world = World()
    world.add_nodes("canary", 1)
    world.put(builders.model_version("v1", tags=("live",)))
    world.put(builders.model_version("v2", created=START + timedelta(hours=1)))
    world.put(builders.rollout(None, groups=(builders.group("canary"),)))
    world.spec(model={"name": "parts", "tag": "live"})
    world.run(lambda: world.is_at("v1"))
    world.edit(MODEL_VERSION, "parts-v1", lambda obj: obj["spec"].update(tags=[]))
    world.rest()
    assert world.reason("Stalled") == "ModelVersionNotFound"
    assert world.versions == {"v1"}
    world.edit(MODEL_VERSION, "parts-v2", lambda obj: obj["spec"].update(tags=["live"]))
    world.run(lambda: world.is_at("v2"))


def test_a_template_goes_through_the_gates_like_a_model():
    world = installed()
    world.spec(template=builders.template("app:2"))
    world.run(lambda: world.status.get("candidateRevision") is not None)
    world.run(lambda: world.status["currentGroup"] == "fleet")
    image = world.get(DAEMON_SET, "line-canary")["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == "app:2"
    world.run(lambda: world.is_at("v1"))
    assert world.status["history"][0]["result"] == "Promoted"


def test_a_missing_version_is_named_and_awaited():
    world = installed()
    world.choose("v9")
    world.rest(2)
    assert world.reason("Stalled") == "ModelVersionNotFound"
    assert "parts-v9" in world.message()
    assert "v2" in world.message(), "what there is instead"
    assert world.versions == {"v1"}
    world.put(builders.model_version("v9", created=world.now))
    world.run(lambda: world.is_at("v9"))


def test_a_version_without_the_wanted_format_is_refused():
    world = installed()
    world.put(builders.model_version("v3", formats=("pytorch", "engine")))
    world.choose("v3")
    world.rest(2)
    assert world.reason("Stalled") == "FormatNotFound"
    assert "engine, pytorch" in world.message()
    assert "onnx" in world.message()
    assert world.versions == {"v1"}


def test_a_tag_passes_over_a_checkpoint_and_says_so_until_a_version_comes_that_can_be_loaded():
    world = installed()
    world.spec(model={"name": "parts", "tag": "latest"})
    world.run(lambda: world.is_at("v2"))
    world.put(builders.model_version("v7", created=START + timedelta(days=1), formats=("pytorch",)))
    world.rest(2)
    assert world.is_at("v2")
    assert world.reason("Stalled") is None
    assert world.reason("VersionsPassedOver") == "NoUsableFile"
    assert "v7 was passed over: it has no onnx file, which groups " in world.message("VersionsPassedOver")
    world.put(builders.model_version("v8", created=START + timedelta(days=2)))
    world.run(lambda: world.is_at("v8"))
    assert world.reason("VersionsPassedOver") is None


def test_groups_may_want_another_format():
    world = fleet(
        groups=(builders.group("canary"), builders.group("fleet", delivery={"format": "engine"})),
    )
    world.put(builders.model_version("v1", formats=("onnx", "engine")))
    world.run(lambda: world.is_at("v1"))
    env = world.get(DAEMON_SET, "line-fleet")["spec"]["template"]["spec"]["containers"][0]["env"]
    assert next(entry["value"] for entry in env if entry["name"] == "MODEL_PATH").endswith("best.engine")


def test_a_group_that_is_added_gets_stable_at_once_and_one_that_is_removed_goes():
    world = installed()
    world.add_nodes("annex", 2)
    world.spec(groups=[builders.group("canary"), builders.group("fleet"), builders.group("annex")])
    world.run(lambda: len(world.running) == 6, limit=10)
    assert world.versions == {"v1"}
    world.spec(groups=[builders.group("canary"), builders.group("fleet")])
    world.rest(2)
    assert world.store.get(DAEMON_SET, "factory", "line-annex") is None


def test_the_history_of_revisions_is_bounded():
    world = installed(revisionHistoryLimit=2)
    for number in range(2, 8):
        version = f"v{number}"
        world.put(builders.model_version(version, created=world.now))
        world.choose(version)
        world.run(lambda version=version: world.is_at(version))
    left = {raw["data"]["version"] for raw in world.store.list(CONTROLLER_REVISION)}
    assert left == {"v7", "v6", "v5", "v4"}, "stable, previous, and two more"


def test_what_a_gate_says_is_shown():
    world = installed()
    world.judge = lambda plan, now: said(plan, now, Verdict.INCONCLUSIVE, "v2 is fine so far")
    world.choose("v2")
    world.run(lambda: world.phase == "Soaking")
    world.rest(3)
    gate = world.status["gate"]
    assert (gate["group"], gate["version"], gate["verdict"]) == ("canary", "v2", "Inconclusive")
    assert gate["message"] == "v2 is fine so far"
    assert world.message() == "v2 is fine so far"
    assert world.reason("Reconciling") == "Soaking"
    started = gate["startedAt"]
    world.rest()
    assert world.status["gate"]["startedAt"] == started


def test_the_past_of_the_nodes_ends_when_the_first_of_them_is_updated():
    world, plans = installed(), []

    def judge(plan, now):
        plans.append(plan)
        return said(plan, now, Verdict.PASS)

    world.judge = judge
    before = world.now
    world.choose("v2")
    world.run(lambda: world.is_at("v2"))
    canary, last = (next(plan for plan in plans if plan.group == group) for group in ("canary", "fleet"))
    assert before <= canary.past_until < canary.started_at <= last.past_until < last.started_at
    assert {plan.past_until for plan in plans} == {canary.past_until, last.past_until}, "the same at every look"


def test_the_history_tells_what_the_gate_of_each_group_said():
    world = installed()
    world.judge = lambda plan, now: said(plan, now, Verdict.PASS, f"{plan.candidate_version} is fine on {plan.group}.")
    world.choose("v2")
    world.run(lambda: world.is_at("v2"))
    assert world.status["history"][0]["message"] == "v2 is fine on canary. v2 is fine on fleet."
    assert world.status["groups"][0]["passed"] == "v2 is fine on canary."


def test_a_rollout_that_is_being_deleted_is_left_alone():
    world = installed()
    world.edit(ROLLOUT, "line", lambda obj: obj["metadata"].update(deletionTimestamp=builders.wire(START)))
    world.choose("v2")
    seen = snapshot(world.store, Key("factory", "line"), builders.AGENT_IMAGE)
    assert seen is not None
    assert decide(seen, world.now) == Decision()


def test_where_nothing_is_left_the_stall_alone_says_what_was_passed_over():
    world = World()
    world.add_nodes("canary", 1)
    world.put(builders.model_version("v7", formats=("pytorch",)))
    world.put(builders.rollout("v7"))
    world.spec(model={"name": "parts", "tag": "latest"})
    world.rest(2)
    assert world.reason("Stalled") == "FormatNotFound"
    assert "v7 was passed over: it has no onnx file" in world.message("Stalled")
    assert world.reason("VersionsPassedOver") is None
    assert world.running == {}
