"""The ConfigMap with the settings of capture: what it says, when it is written, and that it always comes back."""

import json

import pytest

from modelfleet.api import Rollout
from modelfleet.api.delivery import Capture
from modelfleet.decision import Apply, Delete
from modelfleet.drift import Judgement, State
from modelfleet.kinds import CONFIG_MAP, CONTROLLER_REVISION, DAEMON_SET, ROLLOUT
from modelfleet.rollout.capture_settings import Outcome, manifest, outcome, settings
from unit.rollout import builders
from unit.rollout.simulation import World, fleet, installed

QUICK = {"soak": "1m", "interval": "20s", "timeout": "10m"}
CAPTURE = {"destination": "s3://captures/line/", "credentialsSecret": "captures-write"}
DRIFTING = {"rules": [{"name": "unsure", "below": "0.7", "perHour": 100}], "sample": {"perHour": 30}}


def says(drifting=False, **capture):
    return settings(Capture.model_validate(CAPTURE | capture), drifting=drifting)


def test_everything_is_spelled_out_but_the_credentials():
    assert says() == {
        "destination": "s3://captures/line/",
        "disk": "2Gi",
        "keepFree": "15%",
        "rate": "2Mi",
        "rules": [{"name": "unsure", "below": "0.5", "cooldown": "1m", "perHour": 6}],
        "sample": {"perHour": 6, "emptyPerHour": 2},
        "image": {"quality": 90, "maxSide": 1920, "mask": []},
        "suspend": False,
    }


def test_each_kind_of_rule_has_its_limits():
    window = {"before": "2s", "after": "1s500ms"}
    given = [
        {"name": "broad", "every": "10m"},
        {"name": "bolts", "below": "0.5", "classes": ["bolt"], **window},
        {"name": "nothing", "empty": True, "cooldown": "10m"},
        {"name": "many", "more": 20, "perHour": 5},
    ]
    assert says(rules=given)["rules"] == [
        {"name": "broad", "every": "10m", "perHour": 3600},
        {"name": "bolts", "below": "0.5", "classes": ["bolt"], **window, "cooldown": "1m", "perHour": 60},
        {"name": "nothing", "empty": True, "cooldown": "10m", "perHour": 60},
        {"name": "many", "more": 20, "cooldown": "1m", "perHour": 5},
    ]


def test_areas_to_mask_are_numbers():
    image = {"mask": [[["0", "0"], ["0.25", "0"], ["0.25", "1"]]]}
    assert says(image=image)["image"] == {"quality": 90, "maxSide": 1920, "mask": [[[0, 0], [0.25, 0], [0.25, 1]]]}


@pytest.mark.parametrize(
    ("over", "rules", "sample"),
    [
        (None, {"unsure": "0.5"}, (6, 2)),
        (DRIFTING, {"unsure": "0.7"}, (30, 2)),
        ({"rules": [{"name": "worse", "below": "0.9"}]}, {"unsure": "0.5", "worse": "0.9"}, (6, 2)),
        ({"sample": {"emptyPerHour": 0}}, {"unsure": "0.5"}, (6, 0)),
    ],
)
def test_while_it_drifts_more_is_laid_over_it(over, rules, sample):
    given = {} if over is None else {"whenDrifting": over}
    found = says(drifting=True, **given)
    assert {rule["name"]: rule["below"] for rule in found["rules"]} == rules
    assert (found["sample"]["perHour"], found["sample"]["emptyPerHour"]) == sample
    assert says(drifting=False, **given) == says()
    assert "whenDrifting" not in found


# --- when it is written -----------------------------------------------------------------------------------------------

OWNER = Rollout.model_validate(builders.rollout("v1", delivery={"capture": CAPTURE}))
FORMER = Rollout.model_validate(builders.rollout("v1"))


def known(change=lambda metadata, data: None, **capture):
    """The ConfigMap as it is in the cluster."""
    raw = json.loads(json.dumps(manifest(OWNER, says(**capture))))
    raw["metadata"]["uid"] = "u"
    change(raw["metadata"], raw["data"])
    return raw


@pytest.mark.parametrize(
    ("change", "written"),
    [
        (lambda metadata, data: None, False),
        (lambda metadata, data: metadata["labels"].update(team="vision"), False),
        (lambda metadata, data: data.update(notes="mine"), False),
        (lambda metadata, data: metadata["ownerReferences"].append({"uid": "other"}), False),
        (lambda metadata, data: metadata["labels"].pop("modelfleet.dev/rollout"), True),
        (lambda metadata, data: metadata["labels"].update({"app.kubernetes.io/managed-by": "Helm"}), True),
        (lambda metadata, data: metadata.pop("ownerReferences"), True),
        (lambda metadata, data: data.clear(), True),
        (lambda metadata, data: data.update({"capture.json": "{}"}), True),
    ],
)
def test_it_is_written_where_it_says_something_else_and_what_others_added_stays(change, written):
    wanted = Outcome(first=(Apply(manifest(OWNER, says())),)) if written else Outcome()
    assert outcome(OWNER, known(change), (), drifting=False) == wanted


def test_it_is_deleted_once():
    gone = outcome(FORMER, known(), (), drifting=False)
    assert gone == Outcome(last=(Delete(CONFIG_MAP, "factory", "line-capture", "u"),))
    deleted = known(lambda metadata, data: metadata.update(deletionTimestamp="2026-11-29T00:00:00Z"))
    assert outcome(FORMER, deleted, (), drifting=False) == Outcome()
    assert outcome(FORMER, None, (), drifting=False) == Outcome()


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_what_no_pod_could_read_is_left_until_it_is_deleted(text):
    spoilt = known(lambda metadata, data: data.update({"capture.json": text}))
    template = {"spec": {"volumes": [{"name": "modelfleet-capture"}]}}
    assert outcome(FORMER, spoilt, [{"spec": {"template": template}}], drifting=False) == Outcome()


def test_one_of_somebody_elses_is_neither_written_nor_deleted():
    def foreign(metadata, data):
        metadata.pop("ownerReferences")
        metadata["labels"] = {"team": "vision"}

    assert outcome(OWNER, None, (), drifting=False, taken=True) == Outcome()
    assert outcome(FORMER, known(foreign), (), drifting=False) == Outcome()


# --- in the cluster ---------------------------------------------------------------------------------------------------


def capturing(**capture):
    return {"capture": CAPTURE | capture}


def content(world: World):
    """What the ConfigMap says; None where there is none."""
    found = world.store.get(CONFIG_MAP, "factory", "line-capture")
    return None if found is None else json.loads(found["data"]["capture.json"])


def revisions(world: World) -> int:
    return len(world.store.list(CONTROLLER_REVISION, "factory"))


def captures(world: World) -> list[bool]:
    """For each DaemonSet, whether its pods capture."""
    volumes = [raw["spec"]["template"]["spec"]["volumes"] for raw in world.store.list(DAEMON_SET, "factory")]
    return [any(volume["name"] == "modelfleet-capture" for volume in each) for each in volumes]


def test_a_rollout_that_captures_nothing_has_none():
    world = installed(gate=QUICK)
    assert world.store.list(CONFIG_MAP) == ()


def test_it_is_there_before_the_first_pod():
    world = fleet(gate=QUICK, delivery=capturing())
    written: list[str] = []
    put = world.put
    world.put = lambda obj: written.append(obj["kind"]) or put(obj)  # type: ignore[method-assign, func-returns-value]
    world.run(lambda: bool(world.store.list(DAEMON_SET)))
    assert written.index("ConfigMap") < written.index("DaemonSet")
    raw = world.get(CONFIG_MAP, "line-capture")
    assert raw["metadata"]["labels"] == {
        "app.kubernetes.io/managed-by": "modelfleet",
        "modelfleet.dev/rollout": "line",
    }
    assert raw["metadata"]["ownerReferences"][0]["uid"] == world.get(ROLLOUT, "line")["metadata"]["uid"]
    assert content(world) == says()


def test_a_changed_rule_is_one_write_and_no_rollout():
    world = installed(gate=QUICK, delivery=capturing())
    assert captures(world) == [True, True]
    before, count, ran = world.writes, revisions(world), len(world.ran)
    world.rest()
    assert world.writes == before, "the steady state costs no writes"
    world.spec(delivery=capturing(rules=[{"name": "many", "more": 20}], suspend=True))
    world.rest()
    assert [rule["name"] for rule in content(world)["rules"]] == ["many"]
    assert content(world)["suspend"] is True
    assert (revisions(world), len(world.ran)) == (count, ran)
    assert world.writes == before + 2, "the ConfigMap, and observedGeneration"


def test_capture_comes_and_goes_by_a_rollout_and_stops_at_once():
    world = installed(gate=QUICK)
    world.spec(delivery=capturing())
    world.run(lambda: captures(world) == [True, False])
    assert world.phase != "Ready", "canary first, as with everything that pods are made from"
    world.run(lambda: world.is_at("v1") and captures(world) == [True, True])
    assert revisions(world) == 2
    world.spec(delivery={})
    world.run(lambda: captures(world) == [False, True])
    assert content(world) == says() | {"suspend": True}, "the fleet is still to be updated, and captures no more"
    world.run(lambda: world.is_at("v1") and captures(world) == [False, False])
    world.rest(1)
    assert content(world) is None
    assert revisions(world) == 2, "back at the first one"


def test_what_somebody_changed_is_put_back():
    world = installed(gate=QUICK, delivery=capturing())

    def spoil(obj):
        obj["data"] = {"capture.json": "{}", "notes": "mine"}
        obj["metadata"]["labels"].pop("modelfleet.dev/rollout")

    world.edit(CONFIG_MAP, "line-capture", spoil)
    world.operate()
    assert content(world) == says()
    world.delete(CONFIG_MAP, "line-capture")
    world.operate()
    assert content(world) == says()


def test_suspended_by_its_removal_it_can_not_be_woken_by_hand():
    world = installed(gate=QUICK, delivery=capturing())
    world.broken.add("v1")  # the pods without capture never become ready: the fleet goes on with those that capture
    world.spec(delivery={})
    world.run(lambda: (content(world) or {}).get("suspend") is True)
    text = json.dumps(says())
    world.edit(CONFIG_MAP, "line-capture", lambda obj: obj["data"].update({"capture.json": text}))
    world.operate()
    assert content(world)["suspend"] is True


def drift(world: World, state: State) -> None:
    told = Judgement(state, "as told", declared=state is State.DRIFTING)
    world.watch = lambda plan, now: told


def test_while_drift_is_declared_more_is_captured():
    world = installed(gate=QUICK, drift={}, delivery=capturing(whenDrifting=DRIFTING))
    assert content(world) == says()
    drift(world, State.SUSPECTED)
    world.rest()
    assert content(world) == says(), "not on a suspicion"
    drift(world, State.DRIFTING)
    world.rest()
    assert content(world) == says(drifting=True, whenDrifting=DRIFTING)
    writes = world.writes
    world.wipe_status()
    world.rest()
    assert content(world) == says(drifting=True, whenDrifting=DRIFTING)
    assert world.writes == writes + 1, "the status alone"
    drift(world, State.STEADY)
    world.rest()
    assert content(world) == says()


@pytest.mark.parametrize("lost", [False, True], ids=["killed", "killed and status lost"])
@pytest.mark.parametrize("starts", [True, False], ids=["capture starts", "capture ends"])
def test_after_any_single_write_it_ends_the_same(starts, lost):
    def play(world: World) -> World:
        world.run(lambda: world.is_at("v1") and captures(world) == [starts, starts])
        world.rest(3)
        return world

    world = installed(gate=QUICK, delivery={} if starts else capturing())
    moments: list[World] = []
    world.after_write = lambda: moments.append(world.killed())
    world.spec(delivery=capturing() if starts else {})
    undisturbed = play(world)
    assert content(undisturbed) == (says() if starts else None)
    assert len(moments) > 5
    for fork in moments:
        if lost:
            fork.wipe_status()
        assert play(fork).end() == undisturbed.end()
        assert content(fork) == content(undisturbed)
