"""Keys and sidecars: the agent's are read, everything else is left out, counted and named; nothing ends a run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from labeling_world import BOLT, NOW, World, capture, key, sidecar

from detectiondata import captures
from detectiondata.captures import Detection, Sample
from detectiondata.problems import Problem

MADE = capture(3, role="trigger", rules=("sample", "unsure"))


def encoded(document: Any) -> bytes:
    return json.dumps(document).encode()


def test_a_sidecar_is_read() -> None:
    assert captures.parse(encoded(sidecar(MADE)), MADE.key) == MADE
    assert captures.parse(encoded(sidecar(MADE) | {"new": {"member": 1}}), MADE.key) == MADE
    assert MADE.sample == Sample(0.01, "found")
    assert MADE.node_day == ("n1", "2026-11-29")


def test_what_a_manifest_keeps_is_read_again() -> None:
    facts = json.loads(json.dumps(MADE.to_json()))
    read = captures.from_manifest(facts, width=MADE.width, height=MADE.height, sha256=MADE.sha256, size=MADE.size)
    assert read == replace(MADE, role=None)  # of a sequence nothing is kept


def test_boxes_are_clipped_and_the_most_confident_comes_first() -> None:
    document = sidecar(MADE)
    document["detections"] = [
        {"class": "bolt", "confidence": 0.3, "box": [-1.5, 1, 20, 49]},
        {"class": "washer", "confidence": 0.8, "box": [1, 1, 2, 2]},
    ]
    read = captures.parse(encoded(document), MADE.key)
    assert isinstance(read, captures.Capture)
    assert read.detections == (Detection("washer", 0.8, 1, 1, 2, 2), Detection("bolt", 0.3, 0, 1, 20, 48))


def changed(**fields: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda document: document | fields


def box(*corners: Any, **fields: Any) -> Callable[[dict[str, Any]], Any]:
    return changed(detections=[{"class": "bolt", "confidence": 0.5, "box": list(corners)} | fields])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (changed(format="modelfleet.dev/capture/v2"), "modelfleet.dev/capture/v2"),
        (changed(format=None), "format is not a text"),
        (changed(node="n2"), "node is not the one in its name"),
        (changed(rollout="other"), "rollout is not the one in its name"),
        (changed(capturedAt="2026-11-29T13:00:00Z"), "capturedAt is not the time in its name"),
        (changed(capturedAt="yesterday"), "capturedAt is not a time"),
        (changed(capturedAt="0001-01-01T00:00:00+23:59"), "capturedAt is not a time"),
        (changed(modelSha256="AB" * 32), "modelSha256 is not a SHA-256"),
        (changed(width=9), "width is not a whole number from 10"),
        (changed(height=True), "height is not a whole number"),
        (changed(height=1e3), "height is not a whole number"),
        (changed(width=10**400), "width is not a whole number"),
        (changed(image={"sha256": "0" * 64, "bytes": 1}), "00000000"),
        (changed(image={"sha256": MADE.sha256, "bytes": 1 << 40}), "image.bytes is not a whole number"),
        (changed(image=[]), "image is not an object"),
        (changed(rules=[]), "rules and sample contradict"),
        (changed(rules=["broad"]), "rules and sample contradict"),
        (changed(sample=None), "rules and sample contradict"),
        (changed(rules="sample"), "rules is not a list"),
        (changed(rules=["a\nb"]), "rules is not a text"),
        (changed(rules=["x" * 2000]), "rules is not a text"),
        (changed(sample={"probability": 0, "stratum": "found"}), "probability is zero"),
        (changed(sample={"probability": 1.5, "stratum": "found"}), "probability is not from 0 to 1"),
        (changed(sample={"probability": 0.5, "stratum": "full"}), "neither found nor empty"),
        (changed(sequence={"id": "x"}), "sequence.role is not a text"),
        (changed(thresholds={"confidence": "0.25", "iou": 0.7}), "thresholds.confidence is not a number"),
        (changed(detections={}), "detections is not a list"),
        (changed(detections=[3]), "detections[0] is not an object"),
        (changed(detections=[{}] * 10_001), "detections is not a list of at most"),
        (box(1, 1, 70, 2), "outside the image"),
        (box(-3, 1, 7, 2), "outside the image"),
        (box(5, 1, 4, 2), "wrong way round"),
        (box(1, 1, 2), "has not 4 numbers"),
        (box(1, 1, 2, float("nan")), "is not a number"),
        (box(1, 1, 2, float("inf")), "is not a number"),
        (box(1, 1, 2, 3, confidence=1.01), "confidence is not from 0 to 1"),
        (box(1, 1, 2, 3, **{"class": ""}), "class is not a text"),
        (lambda document: [document], "not an object"),
    ],
)
def test_a_sidecar_that_makes_no_sense_is_named(change: Callable[[dict[str, Any]], Any], told: str) -> None:
    read = captures.parse(encoded(change(sidecar(MADE))), MADE.key)
    assert isinstance(read, Problem)
    assert read.file == MADE.key.text + ".json"
    assert told in read.detail


def test_hostile_bytes_are_a_problem_and_no_more() -> None:
    whole = encoded(sidecar(MADE))
    hostile = [b"", b"null", b"[" * 100_000, b"\xff\xfe\x00", b'{"a":' * 50_000, b"1" * 10_000]
    hostile += [whole[:length] for length in range(0, len(whole), 7)]
    random = np.random.default_rng(0)
    for _ in range(2_000):
        damaged = bytearray(whole)
        for at in random.integers(0, len(whole), 3):
            damaged[at] = random.integers(0, 256)
        hostile.append(bytes(damaged))
    read = [captures.parse(content, MADE.key) for content in hostile]
    assert all(isinstance(each, (Problem, captures.Capture)) for each in read)
    assert sum(isinstance(each, Problem) for each in read) > 1_000


@pytest.mark.parametrize(
    "name",
    [
        "readme.txt",
        "line/n1/2026/11/29/115959.000Z-0123abcd.png",
        "line/n1/2026/11/29/115959.000Z-0123ABCD.jpg",
        "line/n1/2026/02/30/115959.000Z-0123abcd.jpg",
        "line/n1/2026/11/29/246060.000Z-0123abcd.jpg",
        "line/n1/2026/11/29/115959.000Z-0123abcd",
        "line/n1/x/2026/11/29/115959.000Z-0123abcd.jpg",
        "../n1/2026/11/115959.000Z-0123abcd.jpg",
    ],
)
def test_a_name_of_something_else_is_no_capture(name: str) -> None:
    keys, problems = captures.pair([name], NOW)
    assert keys == []
    assert problems == [Problem("files that are not captures", name, "")]


def test_only_whole_captures_count() -> None:
    whole, cut, lonely = key(sha8="00000001"), key(sha8="00000002"), key(sha8="00000003")
    future = key(at=NOW + timedelta(days=2))
    names = [whole.image, whole.text + ".json", cut.image, lonely.text + ".json", future.image, future.text + ".json"]
    keys, problems = captures.pair(names, NOW)
    assert keys == [whole]
    assert [(problem.kind.split(" (")[0], problem.file) for problem in problems] == [
        ("images without a sidecar", cut.image),
        ("captures from the future", future.image),
        ("sidecars without an image", lonely.text + ".json"),
    ]
    assert whole.at == datetime(2026, 11, 29, 12, tzinfo=UTC)


@pytest.mark.parametrize("seed", range(20))
def test_captures_are_the_same_in_whatever_order_and_however_often_their_names_come(seed: int) -> None:
    made = [key(f"n{number % 3}", NOW - timedelta(hours=number), f"{number:08x}") for number in range(30)]
    names = [name for each in made for name in (each.image, f"{each.text}.json")] + ["readme.txt"]
    alone = [key(sha8="aaaaaaaa").image, key(sha8="bbbbbbbb").text + ".json"]
    shuffled = [*names, *alone, *names[seed::7]]
    np.random.default_rng(seed).shuffle(shuffled)
    keys, problems = captures.pair(shuffled, NOW)
    assert keys == sorted(made, key=lambda each: each.text)
    assert {problem.file for problem in problems} == {"readme.txt", *alone}


def test_sidecars_come_in_order_and_what_is_gone_is_named(tmp_path: Path) -> None:
    world = World(tmp_path)
    made = [world.capture(number, detections=(BOLT,) * number) for number in range(5)]
    (world.captures / (made[2].key.text + ".json")).unlink()
    (world.captures / (made[3].key.text + ".json")).write_bytes(b" " * (5 << 20))
    read = list(captures.read(f"file://{world.captures}", [each.key for each in made]))
    assert [read[0], read[1], read[4]] == [made[0], made[1], made[4]]
    assert [(each.kind, each.detail) for each in read[2:4] if isinstance(each, Problem)] == [
        ("sidecars that can't be read", "NotFound"),
        ("sidecars that can't be read", "Unsupported"),
    ]
