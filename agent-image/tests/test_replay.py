"""`agent replay`: which frames it takes, how two versions are compared on them, and what it says and writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from agent_models import CLASSES, constant
from agent_processes import ROOT, Agent
from replay_world import BOLT, NOW, NUT, World, box, model
from test_signature import BUNDLE, OURS, PUBLIC, pem, signed, statement

import artifactstore
from agent.config import ConfigError
from agent.replay import report, run, settings
from agent.replay.choose import READ_LIMIT, Turns
from agent.replay.compare import Frame, OfClass, Quality, Share, compare
from agent.termination import Refused
from artifactstore import ArtifactError
from detectiondata import replays
from detectiondata.captures import Detection, Key, parse_key
from detectiondata.version import Box

ALL = frozenset(CLASSES)
WASHER = Detection("washer", 0.7, 4, 34, 24, 54)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def replayed(env: dict[str, str]) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(report.render(report.document(run.run(settings.parse(env), NOW))))
    return message


def refused(env: dict[str, str]) -> Refused:
    with pytest.raises(Refused) as caught:
        run.run(settings.parse(env), NOW)
    return caught.value


# The command


def test_two_versions_are_compared_by_the_real_command(world: World, agent: Callable[..., Agent]) -> None:
    keys = world.fleet()
    black = world.capture("n0", NOW - timedelta(hours=2), light=0)
    env = world.run(world.model("v1", model(BOLT, NUT)), world.model("v2", model(BOLT, WASHER)))
    process = agent("replay", env)
    assert process.process.wait(60) == 0, process.log.read_text()
    message = json.loads(process.termination.read_text())
    assert message == {
        "result": "Replayed",
        "frames": 13,
        "nodeDays": 6,
        "oldest": "2026-11-28T10:59:00.000Z",
        "agreement": {"value": "0.3333", "low": message["agreement"]["low"], "high": message["agreement"]["high"]},
        "perClass": [
            {"name": "nut", "both": 0, "onlyStable": 12, "onlyCandidate": 0},
            {"name": "washer", "both": 0, "onlyStable": 0, "onlyCandidate": 12},
            {"name": "bolt", "both": 12, "onlyStable": 0, "onlyCandidate": 0},
        ],
        "reviewed": None,
        "disagreements": 12,
        "notes": [],
    }
    assert 0 < float(message["agreement"]["low"]) < 1 / 3 < float(message["agreement"]["high"]) < 1
    written = world.list()
    assert written["keys"] == sorted(keys)
    assert black not in written["keys"]
    assert (written["format"], written["stable"], written["candidate"]) == ("modelfleet.dev/replay/v1", "v1", "v2")
    assert replays.parse(json.dumps(written).encode(), "x") == tuple(sorted(keys))


def test_a_refusal_is_in_the_termination_message(world: World, agent: Callable[..., Agent]) -> None:
    process = agent("replay", world.run(world.model("v1", model(BOLT)), world.model("v2", model(BOLT))))
    assert process.process.wait(60) == 1
    message = json.loads(process.termination.read_text())
    assert message["reason"] == "NoCaptures"
    assert "set spec.delivery.capture of the Rollout" in message["message"]
    process = agent("replay", {"REPLAY_RUN": "{"})
    assert process.process.wait(60) == 1
    assert json.loads(process.termination.read_text())["reason"] == "InvalidConfiguration"


@pytest.mark.parametrize(
    ("bundle", "reason"), [(None, "SignatureMissing"), (b"{}", "SignatureInvalid"), (BUNDLE, "SignatureInvalid")]
)
def test_a_model_that_must_be_signed_and_is_not_is_not_loaded(world: World, bundle: bytes | None, reason: str) -> None:
    world.fleet()
    stable, candidate = world.model("v1", model(BOLT)), world.model("v2", b"no model: loading it would fail otherwise")
    beside = world.root / "models/v2/model.sig"
    if bundle is not None:
        beside.write_bytes(bundle)
    demanded = {"uri": f"file://{beside}", "keys": PUBLIC}
    assert refused(world.run(stable, candidate | {"signature": demanded})).reason == reason


def test_a_signed_model_is_replayed(world: World) -> None:
    world.fleet()
    stable, candidate = world.model("v1", model(BOLT)), world.model("v2", model(BOLT))
    beside = world.root / "models/v2/model.sig"
    beside.write_bytes(signed(statement(("best.onnx", candidate["sha256"]))))
    demanded = {"uri": f"file://{beside}", "keys": pem(OURS)}
    assert replayed(world.run(stable, candidate | {"signature": demanded}))["frames"] == 12


def test_a_version_agrees_with_itself_and_an_older_list_is_replaced(world: World) -> None:
    world.fleet()
    same = model(BOLT, NUT)
    stable = world.model("v1", same)
    assert replayed(world.run(stable, world.model("v2", model(BOLT))))["disagreements"] == 12
    message = replayed(world.run(stable, world.model("v2", same)))
    assert (message["agreement"]["value"], message["agreement"]["high"]) == ("1", "1")
    assert float(message["agreement"]["low"]) < 1  # six node-days prove little
    assert (message["disagreements"], world.list()["keys"]) == (0, [])


def test_of_few_node_days_there_is_no_interval_and_of_no_boxes_no_figure(world: World) -> None:
    world.capture()
    stable, candidate = world.model("v1", model(BOLT)), world.model("v2", model(BOLT))
    assert replayed(world.run(stable, candidate))["agreement"] == {"value": "1", "low": None, "high": None}
    blind = world.model("v3", model())
    assert replayed(world.run(blind, blind | {"version": "v4"}))["agreement"] is None


def test_only_classes_that_both_know_are_compared(world: World) -> None:
    world.fleet()
    more = (*CLASSES, "screw")
    screw = Detection("screw", 0.9, 40, 4, 60, 24)
    stable = world.model("v1", model(BOLT))
    message = replayed(world.run(stable, world.model("v2", model(BOLT, screw, classes=more), more)))
    assert message["agreement"]["value"] == "1"
    assert message["notes"] == ["not compared, since only v2 knows them: screw"]


# Reviewed frames


def test_people_say_who_is_right(world: World) -> None:
    keys = world.fleet()
    reviewed = world.reviewed(
        {
            keys[0]: ("holdout", [box(BOLT), box(WASHER)]),  # the candidate is right twice: no nut, a washer
            keys[1]: ("val", [box(BOLT), box(NUT)]),  # the candidate is wrong twice
            keys[2]: ("val", [box(BOLT)]),  # each has one that is not there
            keys[3]: ("train", [box(BOLT), box(WASHER)]),  # the candidate may have learnt it by heart
        }
    )
    env = world.run(world.model("v1", model(BOLT, NUT)), world.model("v2", model(BOLT, WASHER)), reviewed=reviewed)
    message = replayed(env)
    quality = {"precision": "0.6667", "recall": "0.8"}
    assert message["reviewed"] == {
        "frames": 3,
        "stable": quality,
        "candidate": quality,
        "inFavour": 3,
        "against": 3,
        "favour": {"value": "0.5", "low": None, "high": None},
    }
    assert message["notes"] == ["1 reviewed frames are not in `reviewed`: they are of the part that is trained on"]


@pytest.mark.parametrize("damage", ["gone", "digest", "manifest"])
def test_labels_that_cannot_be_read_cost_their_part_only(world: World, damage: str) -> None:
    keys = world.fleet()
    reviewed = world.reviewed({keys[0]: ("val", [box(BOLT)])})
    if damage == "digest":
        reviewed["sha256"] = "0" * 64
    for path in (world.root / "store/versions").rglob("*"):
        if damage == "gone" and path.name == "version.json":
            path.unlink()
        if damage == "manifest" and path.suffix == ".jsonl":
            path.write_text("{}\n")
    env = world.run(world.model("v1", model(BOLT)), world.model("v2", model(BOLT)), reviewed=reviewed)
    message = replayed(env)
    assert (message["reviewed"], message["agreement"]["value"]) == (None, "1")
    (note,) = message["notes"]
    assert note.startswith("nothing is said by reviewed labels, which can't be read: ")
    assert "00001" in note


# What is wrong with captures, models and stores


def test_captures_that_cannot_be_used_are_left_out_and_named(world: World) -> None:
    keys = world.fleet()
    paths = [world.captures / key for key in keys]
    paths[0].write_bytes(b"other bytes")
    paths[1].unlink()
    paths[2].with_suffix(".json").write_text("{}")
    world.capture("n1", NOW, probability=None)
    (world.captures / "line/readme.txt").write_text("hello")
    message = replayed(world.run(world.model("v1", model(BOLT)), world.model("v2", model(BOLT))))
    assert message["frames"] == 9
    (note,) = message["notes"]
    for kind in ("not what was captured: 1", "make no sense: 1", "without an image: 1", "are not captures: 1"):
        assert kind in note


def test_without_sampled_frames_there_is_nothing_to_say(world: World) -> None:
    world.capture(probability=None)
    world.capture(rollout="other")
    refusal = refused(world.run(world.model("v1", model(BOLT)), world.model("v2", model(BOLT))))
    assert refusal.reason == "NoCaptures"
    assert "none of 1 captured frames" in refusal.message


def test_frames_that_are_all_broken_are_no_result(world: World) -> None:
    (world.captures / world.capture()).write_bytes(b"x")
    refusal = refused(world.run(world.model("v1", model(BOLT)), world.model("v2", model(BOLT))))
    assert refusal.reason == "NoCaptures"
    assert "images that are not what was captured: 1" in refusal.message


@pytest.mark.parametrize(
    ("content", "declared", "reason"),
    [
        (model(NUT), {"sha256": "0" * 64}, "DigestMismatch"),
        (model(NUT), {"size": 7}, "DigestMismatch"),
        (b"no model", {}, "ModelUnsupported"),
        (model(BOLT), {"classes": ["bolt"]}, "ModelUnsupported"),
        (constant(np.full((1, 7, 1), np.nan)), {}, "SmokeInferenceFailed"),
    ],
)
def test_a_model_that_cannot_be_run_is_refused_by_name(
    world: World, content: bytes, declared: dict[str, Any], reason: str
) -> None:
    world.capture()
    candidate = world.model("v2", content) | declared
    refusal = refused(world.run(world.model("v1", model(BOLT)), candidate))
    assert refusal.reason == reason
    assert candidate["uri"] in refusal.message


def test_a_model_that_is_gone_is_named(world: World) -> None:
    world.capture()
    gone = world.model("v2", model(NUT)) | {"uri": f"file://{world.root}/nowhere/best.onnx"}
    assert refused(world.run(world.model("v1", model(BOLT)), gone)).reason == "NotFound"


def test_frames_on_which_a_version_fails_are_named(world: World) -> None:
    """A model that is sure beyond 1 on a white frame, and fine on the grey one that it is tried on."""
    world.fleet(nodes=1, days=1)
    world.capture(light=0)
    sure = world.model("v2", model(Detection("bolt", 1.5, 4, 4, 24, 24)))
    message = replayed(world.run(world.model("v1", model(BOLT)), sure))
    assert message["frames"] == 1
    assert message["notes"][0].startswith("left out: frames on which v2 failed: 2")


def test_without_rights_to_write_the_result_is_given_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(data: bytes, uri: str, *, overwrite: bool = False) -> None:
        raise ArtifactError("AccessDenied", f"{uri} was refused", False)

    monkeypatch.setattr(artifactstore, "put_bytes", denied)
    world.fleet()
    message = replayed(world.run(world.model("v1", model(BOLT)), world.model("v2", model(NUT))))
    assert message["disagreements"] == 12
    assert "give the Job rights to write below replay/ in the captures: AccessDenied: file:///" in message["notes"][0]


# Which frames


def key(node: str, minute: int) -> Key:
    at = NOW + timedelta(minutes=minute)
    found = parse_key(f"line/{node}/{at:%Y/%m/%d/%H%M%S}.000Z-0123abcd.jpg")
    assert found is not None
    return found


def test_the_newest_of_each_node_in_turns() -> None:
    keys = [key("n1", minute) for minute in range(9)] + [key("n2", 1), key("n2", 0)]
    turns = Turns(keys)
    order = []
    for each in turns:
        order.append((each.node, each.at.minute))
        turns.found(each.node)
    assert order[:6] == [("n1", 8), ("n2", 1), ("n1", 7), ("n2", 0), ("n1", 6), ("n1", 5)]
    assert len(order) == len(keys)


def test_a_node_with_many_other_captures_has_as_many_sampled_ones() -> None:
    """One of ten of n1 is sampled, all of n2: both give ten."""
    turns = Turns([key(node, minute) for node in ("n1", "n2") for minute in range(400)])
    found: list[str] = []
    for each in turns:
        if each.node == "n2" or each.at.minute % 10 == 0:
            turns.found(each.node)
            found.append(each.node)
        if len(found) == 20:
            break
    assert found.count("n1") == 10


def test_a_node_without_sampled_frames_does_not_hold_up_the_others() -> None:
    turns = Turns([key(node, minute) for node in ("n1", "n2") for minute in range(1400)])
    found = 0
    for each in turns:
        if each.node == "n2":
            turns.found(each.node)
            found += 1
        if found == 50:
            break
    assert turns.read - found <= 51 * 20


def test_the_number_of_sidecars_read_is_bounded() -> None:
    keys = [key(f"n{node}", minute) for node in range(30) for minute in range(READ_LIMIT // 30 + 10)]
    assert sum(1 for _ in Turns(keys)) == READ_LIMIT < len(keys)


def test_only_so_many_frames_are_taken_from_all_nodes(world: World) -> None:
    world.fleet(nodes=5, days=2, a_day=3)
    env = world.run(world.model("v1", model(BOLT)), world.model("v2", model(NUT)), frames=10)
    assert replayed(env)["frames"] == 10
    assert {text.split("/")[1] for text in world.list()["keys"]} == {f"n{node}" for node in range(5)}


# The comparison


def frame(
    stable: Sequence[Detection],
    candidate: Sequence[Detection],
    objects: Sequence[Box] | None = None,
    *,
    name: str = "a",
    node_day: tuple[str, str] = ("n1", "2026-11-29"),
    probability: float = 1.0,
) -> Frame:
    return Frame(name, node_day, probability, stable, candidate, objects)


def moved(by: float, label: str = "bolt", confidence: float = 0.9) -> Detection:
    return Detection(label, confidence, 4 + by, 4, 24 + by, 24)


@pytest.mark.parametrize(
    ("candidate", "both"),
    [
        (moved(6.6), 1),  # IoU 0.504
        (moved(6.8), 0),  # 0.493
        (moved(0, "nut"), 0),
        (moved(0, confidence=0.3), 1),
    ],
)
def test_boxes_agree_by_class_and_overlap(candidate: Detection, both: int) -> None:
    (found,) = [each for each in compare([frame([BOLT], [candidate])], ALL).per_class if each.name == "bolt"]
    assert (found.both, found.only_stable) == (both, 1 - both)


def test_a_box_agrees_with_one_box_only() -> None:
    found = compare([frame([BOLT], [BOLT, moved(1)])], ALL)
    assert found.per_class == (OfClass("bolt", 1, 0, 1),)
    assert found.agreement == Share(0.5)


def test_a_frame_stands_for_as_many_as_it_was_drawn_from() -> None:
    found = compare([frame([BOLT], [BOLT], probability=0.1), frame([BOLT], [], probability=0.5)], ALL)
    assert found.agreement == Share(pytest.approx(10 / 12))


def test_most_disagreeing_first_then_by_name() -> None:
    frames = [
        frame([BOLT], [], name="c"),
        frame([BOLT], [BOLT], name="d"),
        frame([BOLT, NUT], [WASHER], name="b"),
        frame([], [NUT], name="a"),
    ]
    assert compare(frames, ALL).disagreements == ("b", "a", "c")


def test_frames_of_one_day_say_less_than_frames_of_many() -> None:
    """Half of the boxes agree. Node-days on which all or none do leave more doubt than as many mixed ones."""

    def width(alike: bool) -> float:
        frames = [
            frame([BOLT], [BOLT] if (day if alike else number) % 2 else [], node_day=("n1", str(day)))
            for day in range(8)
            for number in range(20)
        ]
        found = compare(frames, ALL).agreement
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        assert found.value == 0.5
        return found.high - found.low

    assert width(alike=True) > 3 * width(alike=False)


def test_who_is_right_is_counted_box_by_box() -> None:
    found = compare(
        [
            frame([BOLT], [BOLT, NUT], [box(BOLT), box(NUT)]),  # found one more
            frame([BOLT, NUT], [BOLT], [box(BOLT)]),  # has one false one less
            frame([BOLT], [], [box(BOLT)]),  # has lost one
            frame([], [NUT], []),  # has invented one
            frame([BOLT], [BOLT], [box(BOLT)]),  # no difference
            frame([BOLT], [NUT]),  # nobody has said
        ],
        ALL,
    ).reviewed
    assert found is not None
    assert (found.frames, found.in_favour, found.against) == (5, 2, 2)
    assert found.stable == Quality(precision=4 / 5, recall=4 / 5)
    assert found.candidate == Quality(precision=4 / 5, recall=4 / 5)
    assert found.favour == Share(0.5)


def test_nobody_is_right_about_a_class_that_people_do_not_label() -> None:
    found = compare([frame([BOLT, WASHER], [BOLT, NUT], [box(BOLT)])], frozenset({"bolt"})).reviewed
    assert found is not None
    assert (found.in_favour, found.against, found.favour) == (0, 0, None)
    assert found.candidate == Quality(1, 1)


def test_without_objects_and_boxes_there_is_no_share() -> None:
    found = compare([frame([], [], [])], ALL)
    assert found.agreement is None
    assert found.reviewed is not None
    assert found.reviewed.stable == Quality(None, None)


# REPLAY_RUN and the message

MODEL = {
    "version": "v1",
    "uri": "s3://m/v1/best.onnx",
    "sha256": "ab" * 32,
    "size": 9,
    "classes": ["a"],
    "imageSize": 640,
}
GIVEN = {"rollout": "line", "namespace": "x", "captures": "s3://c/", "stable": MODEL, "candidate": MODEL}


def test_what_is_not_given_has_a_default() -> None:
    found = settings.parse({"REPLAY_RUN": json.dumps(GIVEN)})
    assert (found.frames, found.confidence, found.iou, found.reviewed) == (200, 0.25, 0.7, None)
    assert found.captures == "s3://c"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"frames": 0}, "frames is not a whole number from 1"),
        ({"frames": 10**9}, "frames is not a whole number"),
        ({"rollout": "../up"}, "rollout is '../up'"),
        ({"rollout": "a/b"}, "rollout is 'a/b'"),
        ({"namespace": None}, "namespace is not a text"),
        ({"stable": None}, "stable is not an object"),
        ({"stable": MODEL | {"version": "a/b"}}, "version is 'a/b'"),
        ({"candidate": MODEL | {"sha256": "x"}}, "candidate.sha256 is not a SHA-256"),
        ({"candidate": MODEL | {"classes": ["a", "a"]}}, "classes must be different"),
        ({"candidate": MODEL | {"classes": ["b"]}}, "no class in common"),
        ({"candidate": MODEL | {"uri": "s3://m/v1/"}}, "must be the address of a file"),
        ({"confidence": 2}, "confidence is not from 0 to 1"),
        ({"reviewed": {"uri": "s3://d/versions/00001/version.json"}}, "reviewed.sha256 is not a text"),
    ],
)
def test_what_is_wrong_with_the_settings_is_named(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match="REPLAY_RUN") as caught:
        settings.parse({"REPLAY_RUN": json.dumps(GIVEN | change)})
    assert says in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000])
def test_settings_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="REPLAY_RUN"):
        settings.parse({"REPLAY_RUN": text})


def test_the_message_is_cut_and_its_figures_stay() -> None:
    frames = [frame([Detection(f"{number}" + "ü" * 1000, 0.9, 1, 1, 9, 9)], []) for number in range(20)]
    outcome = run.Outcome(compare(frames, ALL), NOW, tuple("é" * 900 for _ in range(9)))
    data = report.render(report.document(outcome))
    message = json.loads(data)
    assert len(data) <= report.LIMIT
    assert (message["frames"], message["disagreements"], message["agreement"]["value"]) == (20, 20, "0")
    few = json.loads(report.render(report.document(run.Outcome(compare(frames[:1], ALL), NOW, ("x",) * 9))))
    assert len(few["notes"]) == 5


def test_the_replay_needs_nothing_that_the_image_lacks() -> None:
    """Of the package of datasets it uses modules that do without PyYAML."""
    program = "import sys; sys.modules['yaml'] = None; import agent.replay.run, agent.replay.report"
    paths = os.pathsep.join(str(ROOT / folder) for folder in ("agent-image", "artifacts", "dataset"))
    done = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": paths}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
