"""Whatever lies among captures, it is read or is a Problem with a name: anybody with rights on the bucket may put it
there."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from fuzzing import examples, scalars, spoiled
from hypothesis import example, given
from hypothesis import strategies as some

from detectiondata import captures, replays
from detectiondata.problems import Problem

NAME = "line/edge-1/2026/11/29/120000.000Z-" + "a" * 8
SIDECAR = {
    "format": captures.FORMAT,
    "image": {"sha256": "a" * 64, "bytes": 1000},
    "width": 640,
    "height": 480,
    "node": "edge-1",
    "rollout": "line",
    "group": "canary",
    "version": "v1",
    "modelSha256": "b" * 64,
    "capturedAt": "2026-11-29T12:00:00Z",
    "rules": ["sample", "unsure"],
    "sample": {"probability": 0.5, "stratum": "found"},
    "thresholds": {"confidence": 0.25, "iou": 0.7},
    "detections": [{"class": "bolt", "confidence": 0.9, "box": [1, 2, 30, 40]}],
    "sequence": {"role": "trigger"},
}
LIST = {"format": replays.FORMAT, "keys": [NAME + captures.IMAGE_SUFFIX], "frames": 3}


values = scalars(10**400, -1, 0, "2026-11-29", "x" * 5000, "\ud800", [], {}, [[]], ["a.jpg"])


def written(whole: Any) -> some.SearchStrategy[bytes]:
    """A good document with something wrong in it, as a file has it."""
    return spoiled(whole, values).map(lambda document: json.dumps(document).encode())


contents = some.one_of(some.binary(max_size=40), values.map(lambda value: json.dumps(value).encode()))


def test_a_good_sidecar_is_a_capture() -> None:
    key = captures.parse_key(NAME)
    assert key is not None
    assert isinstance(captures.parse(json.dumps(SIDECAR).encode(), key), captures.Capture)
    assert replays.parse(json.dumps(LIST).encode(), "x") == tuple(LIST["keys"])  # type: ignore[arg-type]


@examples(250)
@given(some.one_of(written(SIDECAR), contents))
@example(b"[" * 5000)
def test_a_sidecar_of_any_content(content: bytes) -> None:
    key = captures.parse_key(NAME)
    assert key is not None
    found = captures.parse(content, key)
    if isinstance(found, captures.Capture):
        kept = json.loads(json.dumps(found.to_json()))
        again = captures.from_manifest(
            kept, width=found.width, height=found.height, sha256=found.sha256, size=found.size
        )
        assert (again.key, again.rules, again.weight) == (found.key, found.rules, found.weight)
    else:
        assert isinstance(found, Problem)


@examples(100)
@given(some.one_of(written(LIST), contents))
@example(b"[" * 5000)
def test_a_list_of_disagreements_of_any_content(content: bytes) -> None:
    found = replays.parse(content, "replay/line/1.json")
    assert isinstance(found, Problem) or all(captures.parse_key(key) is not None for key in found)


@examples(150)
@given(some.lists(some.one_of(some.text(some.characters(), max_size=30), some.just(NAME + ".jpg")), max_size=5))
@example(["line/edge/9999/99/99/999999.999Z-aaaaaaaa.jpg", "replay/\n/x.json", ""])
def test_names_of_any_kind(names: list[str]) -> None:
    complete, problems = captures.pair(names, datetime(2026, 11, 29, tzinfo=UTC))
    assert not complete  # none has its sidecar
    assert len(problems) <= len(names)
