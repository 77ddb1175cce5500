"""Whatever Label Studio answers, and whatever lies among captures, the labeler says so in its own words.

The examples are derived from the tests' code, so that a failure is the same everywhere; hypothesis prints the smallest.
"""

from __future__ import annotations

import contextlib
import json
from typing import Any

import httpx
from fuzzing import examples, scalars, spoiled
from hypothesis import example, given
from hypothesis import strategies as some
from label_studio_answers import CLASSES, annotation, rectangle

from labeler.label_studio.client import LabelStudio
from labeler.label_studio.http import LabelStudioError
from labeler.label_studio.reading import Counts, newest, read
from labeler.tasks import Review

DEEP = "[" * 2000


KEYS = """data key width height annotations predictions result id was_cancelled last_action ground_truth updated_at
created_at created_username completed_by email parent_prediction type value x y rotation rectanglelabels image_rotation
original_width original_height results title next tasks total total_annotations label_config"""
plain = scalars("zeta", "rectanglelabels", "rejected", 10**400, -1, "2026-11-29T12:00:00Z", [], {})
documents = some.recursive(
    plain,
    lambda inner: some.one_of(
        some.lists(inner, max_size=3), some.dictionaries(some.sampled_from(KEYS.split()), inner, max_size=6)
    ),
    max_leaves=20,
)


TASK = {
    "id": 1,
    "data": {"key": "line/a.jpg", "width": 640, "height": 480},
    "total_annotations": 1,
    "created_at": "2026-11-29T12:00:00Z",
    "annotations": [annotation(rectangle(), parent_prediction=7), annotation(rectangle(x=11), id=2, at="13:00:00")],
    "predictions": [{"id": 7, "result": [rectangle(w=31)]}],
}


@examples(150)
@given(some.one_of(spoiled(TASK, documents), documents.filter(lambda d: isinstance(d, dict))))
@example(TASK | {"annotations": [annotation(rectangle(), updated_at=None)]})
@example(TASK | {"annotations": [annotation(rectangle()), annotation(rectangle(), updated_at="2026-11-29")]})
def test_a_task_of_any_form_is_a_review_or_left_out_and_counted(task: Any) -> None:
    counts = Counts()
    review = read(task, False, counts)
    if review is None:
        asked = task.get("annotations")
        assert counts.sentences() or not (asked and isinstance(asked, list)), "it was answered, and that is forgotten"
    else:
        assert list(newest([review, good()], Counts()))
        assert all(isinstance(box.label, str) and box.x1 < box.x2 and box.y1 < box.y2 for box in review.boxes)
    json.dumps(counts.sentences(), ensure_ascii=False).encode(errors="surrogatepass")


def good() -> Review:
    review = read(TASK, False, Counts())
    assert review is not None
    return review


ANSWERS = some.one_of(
    spoiled({"results": [{"id": 3, "title": "parts"}], "next": None, "tasks": [TASK], "total": 1}, documents),
    documents,
).map(json.dumps)


@examples(100)
@given(some.lists(some.one_of(ANSWERS, some.text(max_size=20)), min_size=1, max_size=4), some.sampled_from([200, 400]))
@example([DEEP], 200)
@example([DEEP], 400)
def test_a_server_of_any_kind_is_read_or_refused_with_a_sentence(answers: list[str], status: int) -> None:
    served = 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal served
        served += 1
        if served > 40:  # whoever answers "there is more" for ever has to be left at some time
            return httpx.Response(400, text="enough")
        return httpx.Response(status, content=answers[(served - 1) % len(answers)].encode(errors="replace"))

    studio = LabelStudio(
        "http://ls:8080", "0123", "parts", CLASSES, environment={}, transport=httpx.MockTransport(answer),
        sleep=lambda seconds: None,
    )  # fmt: skip
    for ask in (studio.asked, lambda: list(studio.reviews(None)), studio.ensure):
        with contextlib.suppress(LabelStudioError):
            ask()
