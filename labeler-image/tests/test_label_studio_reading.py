"""Whose word counts, by tasks as Label Studio gives them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from label_studio_answers import annotation, rectangle, task

from labeler.label_studio.reading import Counts, newest, read
from labeler.tasks import Review


def _read(given: Any, blind: bool = False) -> tuple[Review | None, Counts]:
    counts = Counts()
    return read(given, blind, counts), counts


def test_a_review_has_boxes_author_and_time() -> None:
    review, counts = _read(task(annotation(rectangle("alpha")), predictions=[[rectangle("alpha")]]))
    assert review is not None
    assert (review.key, review.by, review.source) == ("n1/a.jpg", "ada@example.com", "label-studio")
    assert review.at == datetime(2026, 11, 29, 12, tzinfo=UTC)
    assert [box.label for box in review.boxes] == ["alpha"]
    assert (review.edited, review.blind) == (False, False)
    assert counts.sentences() == []


def test_an_empty_annotation_says_that_the_image_is_empty() -> None:
    review, _ = _read(task(annotation(), predictions=[[]]))
    assert review is not None
    assert (review.boxes, review.edited) == ((), False)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (task(), None),
        (task(drafts=[annotation(rectangle())]), None),
        (task(annotation(was_cancelled=True)), "1 image skipped and not counted as reviewed."),
        (
            task(annotation(rectangle(), last_action="rejected")),
            "1 image rejected by a reviewer and not used until corrected.",
        ),
        (
            task(annotation(rectangle()), key=None),
            "1 image in tasks without data.key, which are not ours and were left alone.",
        ),
        (
            task(annotation(rectangle(), rectangle() | {"type": "polygonlabels"})),
            "1 image left out for a shape of kind polygonlabels, e.g. n1/a.jpg: correct that in Label Studio.",
        ),
    ],
)
def test_what_is_no_review_is_counted(given: Any, sentence: str | None) -> None:
    review, counts = _read(given)
    assert review is None
    assert counts.sentences() == ([sentence] if sentence else [])


@pytest.mark.parametrize(
    ("annotations", "winner"),
    [
        ([annotation(id=1, by="a", at="12:00:00"), annotation(id=2, by="b", at="13:00:00")], "b"),
        ([annotation(id=1, by="a", at="13:00:00"), annotation(id=2, by="b", at="12:00:00")], "a"),
        ([annotation(id=1, by="a"), annotation(id=2, by="b")], "b"),
        ([annotation(id=1, by="a", last_action="accepted"), annotation(id=2, by="b", at="13:00:00")], "a"),
        ([annotation(id=1, by="a", ground_truth=True), annotation(id=2, by="b", at="13:00:00")], "a"),
        ([annotation(id=1, by="a"), annotation(id=2, by="b", at="13:00:00", was_cancelled=True)], "a"),
        ([annotation(id=1, by="a"), annotation(id=2, by="b", at="13:00:00", last_action="rejected")], "a"),
    ],
)
def test_of_several_people_the_accepted_and_then_the_newest_counts(annotations: list[Any], winner: str) -> None:
    review, counts = _read(task(*annotations))
    assert review is not None
    assert review.by == winner
    assert counts.sentences() == []


def test_disagreement_is_reported_with_the_image() -> None:
    _, counts = _read(task(annotation(rectangle()), annotation(rectangle(x=60), id=2)))
    assert counts.sentences() == ["Two people disagree on 1 image, e.g. n1/a.jpg: the newer is used."]
    _, counts = _read(task(annotation(rectangle()), annotation(rectangle(x=11), id=2)))
    assert counts.sentences() == []


def test_edited_is_against_the_prediction_that_the_annotator_began_with() -> None:
    older, newer = [rectangle()], [rectangle(x=50)]
    review, _ = _read(task(annotation(rectangle(x=50)), predictions=[older, newer]))
    assert review is not None
    assert review.edited
    review, _ = _read(task(annotation(rectangle(x=50), parent_prediction=8), predictions=[older, newer]))
    assert review is not None
    assert not review.edited


def test_of_a_blind_task_nothing_was_edited_since_nothing_was_shown() -> None:
    review, _ = _read(task(annotation(rectangle())), blind=True)
    assert review is not None
    assert (review.blind, review.edited) == (True, False)


def test_a_label_of_whatever_class_is_told() -> None:
    review, counts = _read(task(annotation(rectangle(), rectangle("gone"))))
    assert review is not None
    assert [box.label for box in review.boxes] == ["zeta", "gone"]
    assert counts.sentences() == []


def test_a_label_that_left_the_classes_since_it_was_predicted_counts_as_edited() -> None:
    review, counts = _read(task(annotation(rectangle("alpha")), predictions=[[rectangle("gone")]]))
    assert review is not None
    assert review.edited
    assert counts.sentences() == []


def test_boxes_that_were_changed_on_the_way_are_counted() -> None:
    _, counts = _read(task(annotation(rectangle(rotation=10), rectangle(x=95), rectangle(x=200))))
    assert counts.sentences() == [
        "1 box rotated: the upright box around each is used.",
        "1 box clipped to the image.",
        "1 box outside of the image and left out.",
    ]


def test_one_review_an_image_the_newest_in_the_order_of_time() -> None:
    start = datetime(2026, 11, 29, tzinfo=UTC)

    def review(key: str, minutes: int) -> Review:
        return Review(key, (), "a", start + timedelta(minutes=minutes), "label-studio", False, False)

    counts = Counts()
    found = list(newest([review("a", 5), review("b", 1), review("a", 3)], counts))
    assert [(each.key, each.at.minute) for each in found] == [("b", 1), ("a", 5)]
    assert counts.sentences() == ["1 image in more than one task: the newest review is used."]
