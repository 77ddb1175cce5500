"""Whole node-days are drawn, never change their side, and are never held out once they were trained on."""

from __future__ import annotations

from decimal import Decimal

from detectiondata.version import Split as Side
from labeler.settings import Split
from labeler.split import NodeDay, Sides

SHARES = Split(Decimal("0.15"), Decimal("0.1"))
DAYS = [(f"n{node}", f"2026-11-{day:02}") for node in range(200) for day in range(1, 31)]


def drawn(shares: Split, known: dict[NodeDay, Side] | None = None) -> dict[NodeDay, Side]:
    sides = Sides(known or {}, shares)
    return {day: sides.of(day) for day in DAYS}


def test_the_shares_are_kept() -> None:
    found = list(drawn(SHARES).values())
    assert 0.09 < found.count("holdout") / len(found) < 0.11
    assert 0.135 < found.count("val") / len(found) < 0.165
    assert set(drawn(Split(Decimal(0), Decimal(0))).values()) == {"train"}


def test_a_changed_share_moves_only_what_it_must() -> None:
    before, after = drawn(SHARES), drawn(Split(Decimal("0.15"), Decimal("0.2")))
    moved = {(before[day], after[day]) for day in DAYS if before[day] != after[day]}
    assert moved == {("train", "holdout")}


def test_a_day_that_a_version_has_never_changes_its_side() -> None:
    known = drawn(SHARES)
    for shares in (Split(Decimal("0.4"), Decimal("0.5")), Split(Decimal(0), Decimal(0))):
        assert drawn(shares, known) == known


def test_the_first_version_always_has_something_to_train_on() -> None:
    alone = drawn(SHARES)
    held = [day for day in DAYS if alone[day] != "train"]
    few = [held[0], held[1], held[1], held[2]]
    sides = Sides({}, SHARES).with_training(few)
    assert sides.of(held[1]) == "train"  # the day with most images
    assert [sides.of(day) for day in (held[0], held[2])] == [alone[day] for day in (held[0], held[2])]


def test_a_day_that_is_written_down_is_never_taken_for_training() -> None:
    held = [day for day, side in drawn(SHARES).items() if side == "holdout"]
    known: dict[NodeDay, Side] = {held[0]: "holdout"}
    assert Sides(known, SHARES).with_training([held[0]]).of(held[0]) == "holdout"
    trained: dict[NodeDay, Side] = {("x", "y"): "train"}
    assert Sides(trained, SHARES).with_training([held[1]]).of(held[1]) == "holdout"
