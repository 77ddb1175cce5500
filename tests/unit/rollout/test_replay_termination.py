"""The agent's last word about a replay: believed only where all of it is as it should be."""

import json
import random
from decimal import Decimal
from typing import Any

import pytest

from modelfleet.api.replay import ReplayFound
from modelfleet.rollout.replay.termination import parse
from modelfleet.workloads.last_words import Failed
from unit.rollout.replays import ABSENT, FOUND, NO_CAPTURES, word


def test_what_was_found():
    found = parse(word(ofALaterRelease=1))
    assert isinstance(found, ReplayFound)
    assert (found.frames, found.node_days, found.disagreements) == (200, 34, 29)
    assert found.agreement is not None
    assert (found.agreement.value, found.agreement.low) == (Decimal("0.91"), Decimal("0.88"))
    assert found.per_class[0].only_candidate == 31
    assert found.reviewed is not None
    assert found.reviewed.candidate.recall == Decimal("0.996")
    assert found.to_dict() == {
        **{name: value for name, value in FOUND.items() if name != "result"},
        "oldest": "2026-11-19T06:12:01Z",
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"agreement": None},
        {"agreement": {"value": "1", "low": None, "high": None}},
        {"reviewed": None},
        {"perClass": [], "notes": [], "disagreements": 0},
    ],
)
def test_what_is_not_known_is_none(changes: Any):
    assert isinstance(parse(word(**changes)), ReplayFound)


def test_why_nothing_was_found():
    assert parse(NO_CAPTURES) == Failed("NoCaptures", "none of 3 captured frames is of the sample")
    assert parse(json.dumps({"reason": "no such: reason!", "message": "x" * 5000})) == Failed("nosuchreason", "x" * 900)
    assert parse(json.dumps({"reason": "...", "message": "x"})) == Failed("ReplayFailed", "x")


BAD = [
    pytest.param("", "left no termination message", id="nothing"),
    pytest.param("Traceback (most recent call last)", "is not valid JSON: Traceback", id="a traceback"),
    pytest.param(word()[:-20], "is not valid JSON", id="cut"),
    pytest.param("[" * 100_000, "is not valid JSON", id="too deep"),
    pytest.param("[]", "says neither", id="a list"),
    pytest.param('{"reason": "X"}', "says neither", id="no message"),
    pytest.param('{"result": "Succeeded"}', "says neither", id="another result"),
    pytest.param(word(frames=ABSENT, notes=ABSENT), "lacks frames, notes", id="no frames"),
    pytest.param(word(frames=0), "frames: ", id="none"),
    pytest.param(word(frames=True), "frames: ", id="a truth"),
    pytest.param(word(frames="200"), "frames: ", id="a text"),
    pytest.param(word(frames=None), "frames: ", id="null"),
    pytest.param(word(frames=10**30), "frames: ", id="more than there may be"),
    pytest.param(word(disagreements=-1), "disagreements: ", id="fewer than none"),
    pytest.param(word(disagreements=201), "contradicts itself: some frames", id="more than all frames"),
    pytest.param(word(nodeDays=201), "contradicts itself: some frames", id="more days than frames"),
    pytest.param(word(agreement={"value": "0.91", "low": "0.95", "high": "1"}), "contradicts itself: an", id="outside"),
    pytest.param(word(agreement={"value": "0.9", "low": "0.8", "high": None}), "contradicts itself: an", id="half"),
    pytest.param(word(agreement={"value": "1.2"}), "agreement.value: ", id="more than all"),
    pytest.param(word(agreement={"value": "NaN"}), "agreement.value: ", id="not a number"),
    pytest.param(word(agreement=[]), "agreement: ", id="a list for a figure"),
    pytest.param(word(perClass={"nut": 3}), "perClass must be a list", id="a map for a list"),
    pytest.param(word(notes="left out"), "notes must be a list", id="a text for a list"),
    pytest.param(word(notes=[3]), "notes.0: ", id="a number for a note"),
    pytest.param(word(perClass=[{"name": "nut"}]), "perClass.0.both: ", id="half a class"),
    pytest.param(word(oldest="yesterday"), "oldest: ", id="no time"),
    pytest.param(word(oldest="2026-11-19T06:12:01"), "oldest: ", id="no time zone"),
    pytest.param(word(reviewed={"frames": 60}), "reviewed.stable: ", id="half a review"),
]


@pytest.mark.parametrize(("text", "says"), BAD)
def test_what_makes_no_sense_is_said(text: str, says: str):
    result = parse(text)
    assert isinstance(result, str)
    assert says in result
    assert len(result) < 400


ODD = (None, True, -1, 0, 1, 10**30, 0.5, float("nan"), "", "0.5", "1e999", "\ud800", "x" * 5000, [], {}, [None], [[]])


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, each in inner for found in paths(each, (*path, key)))]


def changed(value: Any, path: tuple[Any, ...], odd: Any) -> Any:
    if not path:
        return odd
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = changed(value[path[0]], path[1:], odd)
    return copy


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: repr(odd)[:12])
def test_whatever_stands_in_any_place_is_read_or_refused(odd: Any):
    for path in paths(FOUND):
        result = parse(json.dumps(changed(FOUND, path, odd)))
        if isinstance(result, ReplayFound):
            assert ReplayFound.model_validate(result.to_dict()) == result, "what is kept can be read again"
        else:
            assert isinstance(result, Failed | str)


def test_whatever_comes_out_of_a_pod_is_read_or_refused():
    chance = random.Random(11)
    text = word()
    for _ in range(3000):
        start, length = chance.randrange(len(text)), chance.choice((0, 1, 1, 5, 60))
        put = "".join(chance.choice('{}[]",:0123456789.-eE\\unltrfasé \x00') for _ in range(chance.randrange(4)))
        assert isinstance(parse(text[:start] + put + text[start + length :]), ReplayFound | Failed | str)


def test_half_a_character_is_no_reason_to_write_nothing():
    """JSON can escape a lone surrogate, and UTF-8, which a status is sent as, can't write it."""
    found = parse('{"reason": "NotFound", "message": "s3://\\ud800/ is gone"}')
    assert found == Failed("NotFound", "s3://?/ is gone")
    assert isinstance(parse(word(notes=["\ud800"])), str)
