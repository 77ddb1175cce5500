"""Which frames are kept, in tables: the rules, cooldowns, limits, near-duplicates and windows. No clock, no images."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest

from agent.capture.policy import Choice, Policy, same_objects
from agent.capture.settings import Rule, Sample, Settings
from agent.detection import Detection


def bolt(confidence: float, x: float = 0.0, label: str = "bolt") -> Detection:
    return Detection(label, confidence, (x, 0.0, x + 10, 10.0))


class Camera:
    """Frames for a policy under one set of rules. Frames look different from each other, unless told otherwise."""

    def __init__(self, *rules: Rule, sample: Sample | None = None, draw: float = 1.0) -> None:
        self.settings = Settings("s3://captures/", rules=rules, sample=sample)
        self._policy = Policy(10.0, lambda: draw)
        self._looks = random.Random(0)

    def frame(self, now: float, found: Sequence[Detection] = (), looks: int | None = None) -> Choice:
        seen = self._looks.getrandbits(64) if looks is None else looks
        return self._policy.decide(self.settings, found, now, lambda: seen, f"t{now:g}")

    def kept(self, *frames: tuple[float, Sequence[Detection]]) -> list[float]:
        return [now for now, found in frames if self.frame(now, found).rules]


@pytest.mark.parametrize(
    ("rule", "found", "fires"),
    [
        ({"every": 600.0}, [], True),
        ({"below": 0.5}, [], False),
        ({"below": 0.5}, [bolt(0.9), bolt(0.49)], True),
        ({"below": 0.5}, [bolt(0.5)], False),
        ({"below": 0.5, "classes": frozenset({"nut"})}, [bolt(0.3)], False),
        ({"below": 0.5, "classes": frozenset({"nut"})}, [bolt(0.3), bolt(0.4, label="nut")], True),
        ({"empty": True}, [], True),
        ({"empty": True}, [bolt(0.3)], False),
        ({"more": 2}, [bolt(0.9)] * 2, False),
        ({"more": 2}, [bolt(0.9)] * 3, True),
        ({"more": 0}, [], False),
    ],
)
def test_what_fires(rule: dict[str, Any], found: list[Detection], fires: bool) -> None:
    assert Camera(Rule("a", **rule)).frame(0, found).rules == (("a",) if fires else ())


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        ({"every": 3.0, "cooldown": 0.0}, [0, 3, 6, 9]),
        ({"every": 3.0, "cooldown": 5.0}, [0, 5]),
        ({"empty": True, "cooldown": 4.0}, [0, 4, 8]),
        ({"empty": True, "cooldown": 0.0}, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ({"empty": True, "cooldown": 0.0, "per_hour": 3}, [0, 1, 2]),
    ],
)
def test_when_a_rule_fires_again(rule: dict[str, Any], kept: list[float]) -> None:
    assert Camera(Rule("a", **rule)).kept(*((float(second), []) for second in range(10))) == kept


def test_the_limit_is_of_any_60_minutes() -> None:
    camera = Camera(Rule("a", empty=True, cooldown=0.0, per_hour=2))
    minutes = (0, 30, 59, 60, 61, 90, 119, 120)
    assert camera.kept(*((60.0 * minute, []) for minute in minutes)) == [60.0 * m for m in (0, 30, 60, 90, 120)]


def test_several_rules_choose_one_frame_and_the_sample_is_named_first() -> None:
    camera = Camera(Rule("a", every=1.0), Rule("b", below=0.5), Rule("c", empty=True), sample=Sample(6, 2), draw=0.0)
    choice = camera.frame(0, [bolt(0.3)])
    assert choice.rules == ("sample", "a", "b")
    assert choice.draw is not None
    assert (choice.draw.stratum, choice.draw.probability) == ("found", 6 / 36000)


@pytest.mark.parametrize(
    ("looks", "found", "kept"),
    [
        (0b1111, [bolt(0.3)], False),
        (0b11111, [bolt(0.3)], True),
        (0, [bolt(0.4, x=2)], False),
        (0, [bolt(0.3, x=50)], True),  # the scene looks the same, and the bolt is another one
        (0, [bolt(0.3, label="nut")], True),
        (0, [bolt(0.3), bolt(0.3, x=50)], True),
    ],
)
def test_the_like_of_what_a_rule_kept_is_skipped(looks: int, found: list[Detection], kept: bool) -> None:
    camera = Camera(Rule("a", below=0.5, cooldown=1.0))
    assert camera.frame(0, [bolt(0.3)], looks=0).rules == ("a",)
    choice = camera.frame(5, found, looks=looks)
    assert choice.rules == (("a",) if kept else ())
    assert choice.duplicates == (() if kept else ("a",))


def test_a_skipped_frame_does_not_begin_a_cooldown() -> None:
    camera = Camera(Rule("a", every=10.0, cooldown=0.0))
    assert camera.frame(0, looks=0).rules
    assert not camera.frame(10, looks=0).rules
    assert camera.frame(11, looks=0xFF).rules


def test_rules_do_not_know_what_others_kept() -> None:
    camera = Camera(Rule("a", below=0.5), Rule("b", empty=True))
    assert camera.frame(0, [bolt(0.3)], looks=0).rules == ("a",)
    assert camera.frame(1, [], looks=0).rules == ("b",)


def test_the_sample_keeps_what_rules_would_skip() -> None:
    camera = Camera(Rule("a", below=0.5, cooldown=0.0), sample=Sample(6, 2), draw=0.0)
    assert [camera.frame(now, [bolt(0.3)], looks=0).rules for now in (0, 1)] == [("sample", "a"), ("sample",)]


def test_looks_are_asked_for_only_when_needed() -> None:
    policy = Policy(10.0, lambda: 1.0)
    settings = Settings("s3://captures/", rules=(Rule("a", below=0.5), Rule("b", empty=True)))

    def must_not_be_asked() -> int:
        raise AssertionError("looks were computed for a frame that no rule wants")

    assert not policy.decide(settings, [bolt(0.9)], 0.0, must_not_be_asked, "t").rules


def test_a_window_keeps_two_frames_a_second_around_the_one_that_fired() -> None:
    camera = Camera(Rule("a", below=0.5, before=1.0, after=2.0))
    frames = [round(tenth / 10, 1) for tenth in range(60)]
    choices = {now: camera.frame(now, [bolt(0.3 if now == 2.0 else 0.9)]) for now in frames}
    kept = {now: choice for now, choice in choices.items() if choice.rules}
    assert list(kept) == [2.0, 2.5, 3.0, 3.5, 4.0]
    assert [(choice.window.id, choice.window.role) for choice in kept.values() if choice.window] == [
        ("a-t2", "trigger"),
        *[("a-t2", "after")] * 4,
    ]
    assert (kept[2.0].before, kept[2.0].before_of) == (1.0, "a")
    assert [now for now, choice in choices.items() if choice.hold][:5] == [0.0, 0.5, 1.0, 1.5, 2.0]


def test_nothing_is_held_where_no_rule_looks_back() -> None:
    camera = Camera(Rule("a", below=0.5, after=2.0))
    assert not any(camera.frame(now, [bolt(0.3)]).hold for now in range(5))


def test_a_frame_of_a_window_may_be_another_rules_too() -> None:
    camera = Camera(Rule("a", below=0.5, after=2.0), Rule("b", empty=True))
    camera.frame(0, [bolt(0.3)])
    choice = camera.frame(1, [])
    assert choice.rules == ("b", "a")
    assert choice.window is not None
    assert choice.window.role == "after"


def test_a_rule_that_fires_within_a_window_begins_a_new_one() -> None:
    camera = Camera(Rule("a", below=0.5, after=4.0, cooldown=1.0))
    found = [camera.frame(now, [bolt(0.3 if now in (0, 2) else 0.9)]) for now in (0, 1, 2, 3, 6, 7)]
    assert [(each.window.id, each.window.role) if each.window else None for each in found] == [
        ("a-t0", "trigger"),
        ("a-t0", "after"),
        ("a-t2", "trigger"),
        ("a-t2", "after"),
        ("a-t2", "after"),
        None,
    ]


def test_a_rule_keeps_its_past_when_others_change() -> None:
    camera = Camera(Rule("a", empty=True, cooldown=100.0))
    assert camera.frame(0).rules == ("a",)
    camera.settings = Settings("s3://x/", rules=(Rule("new", empty=True), Rule("a", empty=True, cooldown=100.0)))
    assert camera.frame(50).rules == ("new",)


@pytest.mark.parametrize(
    ("some", "others", "same"),
    [
        ([], [], True),
        ([bolt(0.3)], [], False),
        ([bolt(0.3), bolt(0.9, x=50)], [bolt(0.2, x=50), bolt(0.1)], True),
        ([bolt(0.3), bolt(0.3)], [bolt(0.3), bolt(0.3, x=50)], False),
        ([bolt(0.3)], [bolt(0.3, x=3)], True),
        ([bolt(0.3)], [bolt(0.3, x=4)], False),
    ],
)
def test_same_objects(some: list[Detection], others: list[Detection], same: bool) -> None:
    assert same_objects(some, others) is same
    assert same_objects(others, some) is same


def test_a_rule_that_skipped_a_frame_looks_at_none_for_a_second() -> None:
    camera = Camera(Rule("a", below=0.5, cooldown=0.0))
    tenths = [round(tenth / 10, 1) for tenth in range(25)]
    choices = [camera.frame(now, [bolt(0.3)], looks=0) for now in tenths]
    assert choices[0].rules == ("a",)
    assert [now for now, choice in zip(tenths, choices, strict=True) if choice.duplicates] == [0.1, 1.1, 2.1]
    assert not camera.frame(2.5, [bolt(0.3)], looks=0xFFFF).rules
    assert camera.frame(3.1, [bolt(0.3)], looks=0xFFFF).rules == ("a",)
