"""Images whose right answer is known: counted, confused and ranked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from trainer.tally import ClassTally, Judged, confusion, tallies, worst

PLACES = [(20.0 * place, 0.0, 20.0 * place + 10, 10.0) for place in range(10)]
Pair = tuple[int, int]  # place, class


def judged(truth: Sequence[Pair] = (), detected: Sequence[tuple[int, int, float]] = (), name: str = "a.jpg") -> Judged:
    """Objects and detections (with a confidence) at places that do not overlap."""
    return Judged(
        image=Path(name),
        boxes=np.array([PLACES[place] for place, _, _ in detected]).reshape(-1, 4),
        classes=np.array([index for _, index, _ in detected], dtype=float),
        confidences=np.array([confidence for _, _, confidence in detected], dtype=float),
        truth_boxes=np.array([PLACES[place] for place, _ in truth]).reshape(-1, 4),
        truth_classes=np.array([index for _, index in truth], dtype=float),
    )


@pytest.mark.parametrize(
    ("one", "right", "found"),
    [
        (judged([(0, 0)], [(0, 0, 0.9)]), [True], [True]),
        (judged([(0, 0)], [(0, 1, 0.9)]), [False], [False]),
        (judged([(0, 0)], [(1, 0, 0.9)]), [False], [False]),
        (judged([(0, 0), (1, 1)], [(1, 1, 0.5)]), [True], [False, True]),
        (judged([(0, 0)], [(0, 0, 0.5), (0, 0, 0.9)]), [False, True], [True]),
        (judged([(0, 0)]), [], [False]),
        (judged([], [(0, 0, 0.5)]), [False], []),
        (judged(), [], []),
    ],
)
def test_right_and_found(one: Judged, right: list[bool], found: list[bool]) -> None:
    assert one.right.tolist() == right
    assert one.found.tolist() == found
    assert (one.false, one.missed) == (right.count(False), found.count(False))


def test_what_is_seen_from_a_confidence_on_does_not_depend_on_what_is_below() -> None:
    every = judged([(0, 0), (1, 0)], [(0, 0, 0.9), (0, 0, 0.25), (1, 0, 0.2), (5, 1, 0.1)])
    assert every.right.tolist() == [True, False, True, False]
    seen = every.above(0.25)
    assert (seen.confidences.tolist(), seen.classes.tolist(), seen.right.tolist()) == ([0.9], [0.0], [True])
    assert (seen.missed, seen.false, len(seen.boxes)) == (1, 0, 1)


SEEN = [
    judged([(0, 0), (1, 0), (2, 1)], [(0, 0, 0.9), (1, 1, 0.8), (5, 1, 0.3)]),  # one right, one mistaken, one made up
    judged([(0, 1)]),
    judged([], [(3, 0, 0.4)]),
    judged(),
]


def test_counts_by_class() -> None:
    assert tallies(SEEN, 3) == (
        ClassTally(images=1, objects=2, found=1, missed=1, false=1),
        ClassTally(images=2, objects=2, found=0, missed=2, false=2),
        ClassTally(images=0, objects=0, found=0, missed=0, false=0),
    )


def test_confusion() -> None:
    assert confusion(SEEN, 2).tolist() == [
        [1, 0, 1],  # said 0: of 0, of 1, of nothing
        [1, 0, 1],
        [0, 2, 0],  # said nothing
    ]


def test_a_model_that_sees_nothing_is_counted_too() -> None:
    blind = [judged([(0, 0)]), judged()]
    assert tallies(blind, 1) == (ClassTally(images=1, objects=1, found=0, missed=1, false=0),)
    assert confusion(blind, 1).tolist() == [[0, 0], [1, 0]]
    assert confusion([], 1).tolist() == [[0, 0], [0, 0]]


def test_the_worst_come_first_and_faultless_ones_never() -> None:
    fine = judged([(0, 0)], [(0, 0, 0.9)], "fine.jpg")
    two = judged([(0, 0)], [(1, 0, 0.3)], "two.jpg")
    unsure = judged([], [(1, 0, 0.3)], "unsure.jpg")
    sure = judged([], [(1, 0, 0.9)], "sure.jpg")
    blind, blinder = judged([(0, 0)], name="blind.jpg"), judged([(0, 0)], name="blinder.jpg")
    given = [fine, blinder, unsure, two, blind, sure]
    assert [one.image.name for one in worst(given, 10)] == [
        "two.jpg",
        "sure.jpg",
        "unsure.jpg",
        "blind.jpg",
        "blinder.jpg",
    ]
    assert worst(given, 2) == (two, sure)
    assert worst([fine], 2) == ()
