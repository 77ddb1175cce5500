"""Lists of disagreements: read from the captures' bucket, asked about first, and no part of the sample's figures."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from labeling_world import BOLT, CLASSES, MODEL, NOW, TasksInMemory, World, capture, key

import artifactstore
from detectiondata import captures
from detectiondata import replays as format
from detectiondata.captures import Capture, Sample
from detectiondata.problems import Problem
from detectiondata.version import Box
from labeler import choose, replays, review
from labeler import run as runs
from labeler.replays import Disagreements
from labeler.review import Reviewed
from labeler.settings import Deployed, Split

NO = Decimal(0)


def put(world: World, keys: list[str], *, rollout: str = "line", versions: str = "v1-v2", age: int = 0) -> str:
    """A list as the agent writes it, `age` seconds old."""
    stable, candidate = versions.split("-")
    name = format.name(rollout, stable, candidate)
    path = world.captures / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(format.encode(rollout, "default", stable, candidate, NOW, 9, keys))
    os.utime(path, (1_000_000_000 - age, 1_000_000_000 - age))
    return name


def read(world: World) -> tuple[Disagreements, list[Problem]]:
    uri = f"file://{world.captures}"
    return replays.read(uri, artifactstore.entries(uri))


def asked_for(made: Capture, reason: str) -> Capture:
    """`made` with a digest that leaves it to the sample, or to the disagreements."""
    odd = "1" if reason == "disagree" else "0"
    sha256 = made.sha256[:7] + odd + made.sha256[8:]
    found = captures.parse_key(made.key.text[:-1] + odd)
    assert found is not None
    return replace(made, sha256=sha256, key=found)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_list_is_no_capture_and_other_files_beside_it_are_named() -> None:
    names = [format.name("line", "v1", "v2"), "replay/line/notes.txt", "replay/line/more/v1-v2.json"]
    keys, problems = captures.pair(names, NOW)
    assert (keys, [problem.file for problem in problems]) == ([], names[1:])


def test_a_rollout_called_replay_has_captures_as_any_other() -> None:
    made = key(rollout="replay")
    keys, problems = captures.pair([made.image, made.text + ".json"], NOW)
    assert (keys, problems) == ([made], [])


def test_the_newest_list_of_each_rollout_is_asked_about(world: World) -> None:
    keys = [key(sha8=f"{number:08x}").image for number in range(6)]
    put(world, [keys[2], keys[0]], versions="v2-v3", age=10)
    put(world, [keys[1], keys[2]], versions="v1-v2", age=20)
    put(world, [keys[4]], rollout="other", age=30)
    found, problems = read(world)
    assert problems == []
    assert found.ranks == {keys[2]: 0, keys[0]: 1, keys[4]: 0}
    assert found.listed == {keys[0], keys[1], keys[2], keys[4]}


def test_without_lists_there_is_nothing(world: World) -> None:
    world.capture(1)
    assert read(world) == (Disagreements(), [])


GOOD = json.loads(format.encode("line", "default", "v1", "v2", NOW, 9, [key().image]))


@pytest.mark.parametrize(
    ("content", "kind", "told"),
    [
        (b"{", "that make no sense", "not valid JSON"),
        (b"[" * 100_000, "that make no sense", "not valid JSON"),
        (b"[]", "that make no sense", "not an object"),
        (GOOD | {"format": "modelfleet.dev/replay/v2"}, "of an unknown format", "modelfleet.dev/replay/v2"),
        (GOOD | {"keys": None}, "that make no sense", "keys is not a list"),
        (GOOD | {"keys": [3]}, "that make no sense", "keys is not a text"),
        (GOOD | {"keys": [key().image] * 501}, "that make no sense", "keys is not a list of at most 500"),
        (GOOD | {"keys": ["../../etc/passwd.jpg"]}, "that make no sense", "../../etc/passwd.jpg is not the name"),
        (GOOD | {"keys": [key().text]}, "that make no sense", "is not the name of a capture's image"),
        (b" " * (2 << 20), "that can't be read", "Unsupported"),
    ],
)
def test_a_list_that_makes_no_sense_is_named(world: World, content: Any, kind: str, told: str) -> None:
    name = put(world, [], age=10)
    (world.captures / name).write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    made = key(sha8="00000001").image
    put(world, [made], rollout="other")
    found, [problem] = read(world)
    assert found.ranks == {made: 0}
    assert (problem.kind, problem.file) == (f"lists of disagreements {kind}", name)
    assert told in problem.detail


def test_hostile_bytes_are_a_problem_and_no_more() -> None:
    whole = json.dumps(GOOD).encode()
    random = np.random.default_rng(0)
    for _ in range(1_000):
        damaged = bytearray(whole)
        for at in random.integers(0, len(whole), 3):
            damaged[at] = random.integers(0, 256)
        assert isinstance(format.parse(bytes(damaged), "x"), (Problem, tuple))


def test_the_most_disagreeing_is_asked_first_whatever_its_node() -> None:
    found = [capture(number, f"n{number % 2}", rules=("sample", "disagree")) for number in range(6)]
    made = [asked_for(each, "disagree") for each in found]
    order = [made[4], made[0], made[2], made[5]]
    ranks = {each.key.image: place for place, each in enumerate(order)}
    other = capture(9, rules=("unsure",))
    chosen = choose.choose([other, *made], {"n0": 50}, 56, ("disagree", "sample"), NO, ranks)
    assert [each.capture for each in chosen[:4]] == order
    assert [each.reason for each in chosen] == ["disagree"] * 6  # the budget is spent: nothing is left for unsure


def test_half_of_the_disagreements_is_left_to_the_sample() -> None:
    left, taken = (asked_for(capture(1, rules=("sample", "disagree")), reason) for reason in ("sample", "disagree"))
    chosen = choose.choose([left, taken], {}, 9, ("disagree",), NO)
    assert [(each.capture, each.reason) for each in chosen] == [(left, "sample"), (taken, "disagree")]
    assert (left.weight, taken.weight) == (200, None)
    assert capture(1).weight == 100
    assert capture(1, rules=("disagree",)).weight is None


def test_asking_about_disagreements_does_not_move_the_figures() -> None:
    """One in five frames is hard and listed; on those the model misses one of two objects. So of
    100 frames it finds 80 + 20 of 80 + 40 objects."""
    random = np.random.default_rng(1)
    there = Box("bolt", 4, 4, 24, 20)
    missed = Box("washer", 1, 30, 9, 40)
    frames = []
    for number in range(4_000):
        hard = number % 5 == 0
        rules = ("sample", "disagree") if hard else ("sample",)
        made = capture(0, f"n{number % 40}", NOW - timedelta(minutes=number), rules=rules)
        digest = random.bytes(4).hex()
        made = replace(
            made,
            key=replace(made.key, text=made.key.text[:-8] + digest),
            sample=Sample(0.01, "found"),
            detections=(BOLT,),
        )
        asked = made.weight is None or random.random() < 0.3  # what is out of turn is asked at once, of the rest a part
        if asked:
            frames.append(Reviewed(made, (there, missed) if hard else (there,)))
    found = review.judge(frames, [Deployed("v2", MODEL)])
    assert found is not None
    assert found.recall is not None
    assert found.recall.low < 100 / 120 < found.recall.high
    assert found.recall.value == pytest.approx(100 / 120, abs=0.02)
    assert found.frames < len(frames)


def test_a_run_asks_about_the_list_first_and_the_version_keeps_why(world: World) -> None:
    made = world.fleet(nodes=4, days=1, a_day=6)
    taken = [each for each in made if int(each.key.sha8, 16) % 2]
    left = [each for each in made if each not in taken]
    assert len(taken) >= 3
    assert left
    put(world, [each.key.image for each in (*reversed(taken[:3]), left[0])])
    (world.captures / "replay/broken").mkdir()
    (world.captures / "replay/broken/v1-v2.json").write_text("{}")
    tool = TasksInMemory()
    settings = world.settings(
        per_day=3, priority=("disagree", "sample"), min_new_images=1, split=Split(NO, NO), classes=CLASSES
    )
    outcome = runs.run(settings, tool, NOW)
    assert [problem.kind for problem in outcome.problems] == ["lists of disagreements that make no sense"]
    assert list(tool.tasks) == [each.key.image for each in reversed(taken[:3])]
    assert {task.reason for task in tool.tasks.values()} == {"disagree"}
    tool.answer_all()
    first = runs.run(settings, tool, NOW)
    assert first.figures is None  # none of them counts for the sample
    assert {tuple(line["capture"]["rules"]) for line in world.lines(1)} == {("sample", "disagree")}
    (world.captures / "replay/line/v1-v2.json").unlink()
    assert runs.run(settings, tool, NOW).figures is None  # nor later, when the list is gone
