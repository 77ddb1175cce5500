"""Whom people are asked about: within the budget, the important first, a random part of the sample, nodes in turns."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from decimal import Decimal

import pytest
from labeling_world import NOW, capture, key

from detectiondata.captures import Capture
from labeler import choose
from labeler.choose import Chosen, is_blind, recent, waiting, worth_reading

NO = Decimal(0)


def heap(rule: str, nodes: dict[str, int], start: int = 0) -> list[Capture]:
    """So many captures of each node, a minute apart."""
    found = []
    for node, count in nodes.items():
        for _ in range(count):
            found.append(capture(start, node, NOW - timedelta(minutes=start), rules=(rule,)))
            start += 1
    return found


def reasons(chosen: list[Chosen]) -> list[str]:
    return [each.reason for each in chosen]


def test_the_sample_comes_first_unless_somebody_says_otherwise() -> None:
    waiting = [
        *heap("unsure", {"n1": 2}),
        *heap("sample", {"n1": 2}, 10),
        *heap("broad", {"n1": 2}, 20),
        *heap("disagree", {"n1": 2}, 30),
    ]
    assert reasons(choose.choose(waiting, {}, 5, (), NO)) == ["sample", "sample", "broad", "broad", "disagree"]
    order = ("disagree", "unsure", "sample")
    assert reasons(choose.choose(waiting, {}, 5, order, NO)) == ["disagree", "disagree", "unsure", "unsure", "sample"]
    assert reasons(choose.choose(waiting, {}, 3, ("unsure",), NO)) == ["sample", "sample", "unsure"]


def test_what_the_sample_drew_is_asked_as_sample_whatever_else_chose_it() -> None:
    both = capture(1, rules=("unsure", "sample"))
    only = capture(2, rules=("unsure",))
    chosen = choose.choose([both, only], {}, 5, ("unsure", "sample"), NO)
    assert [(each.capture, each.reason) for each in chosen] == [(only, "unsure"), (both, "sample")]


def test_a_capture_of_several_rules_goes_by_the_most_important() -> None:
    made = capture(1, rules=("broad", "unsure", "many"))
    assert reasons(choose.choose([made], {}, 1, ("unsure", "many"), NO)) == ["unsure"]


@pytest.mark.parametrize(("already", "left"), [(0, 10), (4, 6), (10, 0), (15, 0)])
def test_the_budget_is_that_of_the_last_24_hours(already: int, left: int) -> None:
    asked = {key(sha8=f"{number:08x}").image: NOW - timedelta(hours=23) for number in range(already)}
    asked |= {key("n2", sha8=f"{number:08x}").image: NOW - timedelta(hours=25) for number in range(50)}
    counted = recent(asked, NOW)
    assert counted == Counter({"n1": already} if already else {})
    assert len(choose.choose(heap("sample", {"n1": 30}), counted, 10, (), NO)) == left


def test_what_a_wrong_clock_has_dated_does_not_use_up_the_budget_until_then() -> None:
    asked = {key(sha8=f"{number:08x}").image: NOW + timedelta(days=300) for number in range(10)}
    asked[key("n2").image] = NOW + timedelta(hours=1)  # two clocks may differ a little
    assert recent(asked, NOW) == Counter({"n2": 1})


def test_a_task_of_something_else_counts_too() -> None:
    assert recent({"not a capture": NOW}, NOW).total() == 1


def test_nodes_take_turns_and_who_was_asked_least_is_next() -> None:
    waiting = heap("unsure", {"noisy": 50, "n1": 3, "n2": 3})
    chosen = choose.choose(waiting, {}, 9, (), NO)
    assert Counter(each.capture.key.node for each in chosen) == {"noisy": 3, "n1": 3, "n2": 3}
    chosen = choose.choose(waiting, {"noisy": 5, "n1": 2}, 12, (), NO)
    assert Counter(each.capture.key.node for each in chosen) == {"n1": 2, "n2": 3}


def test_of_a_node_triggers_come_first_and_then_the_newest() -> None:
    before = capture(1, at=NOW - timedelta(minutes=1), rules=("unsure",), role="before")
    old = capture(2, at=NOW - timedelta(minutes=9), rules=("unsure",), role="trigger")
    new = capture(3, at=NOW - timedelta(minutes=5), rules=("unsure",))
    assert [each.capture for each in choose.choose([before, old, new], {}, 3, (), NO)] == [new, old, before]


def test_the_part_of_the_sample_that_is_asked_does_not_depend_on_what_is_on_it() -> None:
    empty = [capture(number, f"n{number % 7}", NOW - timedelta(minutes=number), detections=()) for number in range(300)]
    full = [capture(number, f"n{number % 7}", NOW - timedelta(minutes=number)) for number in range(300, 600)]
    chosen = choose.choose([*empty, *full], {}, 200, (), NO)
    assert 75 <= sum(not each.capture.detections for each in chosen) <= 125  # 100 expected, 6 is one sigma


@pytest.mark.parametrize("killed", [0, 1, 5, 17, 23, 40])
def test_where_a_run_is_killed_changes_nothing(killed: int) -> None:
    waiting = [
        *heap("unsure", {"a": 9, "b": 4, "c": 20}),
        *heap("sample", {"a": 3, "b": 8}, 100),
        *heap("broad", {"c": 7, "d": 7}, 200),
    ]
    whole = choose.choose(waiting, {"a": 2}, 42, ("unsure",), Decimal("0.3"))
    assert len(whole) == 40
    pushed = whole[:killed]
    already = Counter({"a": 2}) + Counter(each.capture.key.node for each in pushed)
    rest = [each for each in waiting if each not in [done.capture for done in pushed]]
    assert pushed + choose.choose(rest, already, 42, ("unsure",), Decimal("0.3")) == whole


def test_the_share_of_blind_tasks_is_drawn_by_the_key() -> None:
    keys = [key(sha8=f"{number:08x}").image for number in range(4_000)]
    blind = [name for name in keys if is_blind(name, Decimal("0.1"))]
    assert 320 <= len(blind) <= 480
    assert {name for name in keys if is_blind(name, Decimal("0.2"))} > set(blind)
    assert not any(is_blind(name, NO) for name in keys)
    assert all(is_blind(name, Decimal(1)) for name in keys)


def test_a_heap_of_captures_is_read_in_part_and_of_every_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "READ_LIMIT", 10)
    keys = [key("noisy", NOW - timedelta(minutes=number)) for number in range(100)]
    keys += [key("quiet", NOW - timedelta(days=number)) for number in range(3)]
    keys += [key("old", NOW - timedelta(days=31))]
    left = waiting(keys, {keys[0].image}, NOW)
    assert len(left) == 102
    read = worth_reading(left)
    assert Counter(each.node for each in read) == {"noisy": 7, "quiet": 3}
    assert read[0] == keys[100]  # the newest of all; keys[0] is known


def test_one_image_is_asked_about_once_and_the_sample_keeps_all_of_its_own() -> None:
    def of(content: int, minute: int, rule: str) -> Capture:
        return capture(content, at=NOW - timedelta(minutes=minute), rules=(rule,))

    hangs = [of(1, minute, "unsure") for minute in range(3)]
    others = [of(2, 5, "unsure"), of(3, 6, "unsure"), *(of(1, minute, "sample") for minute in (7, 8))]
    asked = [of(3, 600, "unsure").key.image, "a key of something else"]
    assert list(choose.distinct([*hangs, *others], asked)) == [hangs[0], others[0], *others[2:]]
