"""Answers that no version has, since they can't be used: read again in each run, however old they are.

The server is a stand-in that filters as Label Studio does; the real one's tests are test_label_studio_service.py.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
from label_studio_answers import CLASSES, annotation, rectangle, task

from labeler.label_studio import client
from labeler.label_studio.client import LabelStudio
from labeler.label_studio.interface import compose

SINCE = datetime(2026, 11, 30, tzinfo=UTC)  # annotations are of the 29th


class Server:
    """One project with these tasks, and another, blind one; all tasks were changed when they were answered."""

    def __init__(self, *tasks: Any, blind: Any = ()) -> None:
        self.tasks = {1: list(tasks), 2: list(blind)}
        self.titles = {1: "parts", 2: "parts-blind"}
        self.read: list[int] = []  # tasks that were given whole

    def __call__(self, request: httpx.Request) -> httpx.Response:
        asked = request.url.params
        if request.url.path == "/api/projects":
            named = [{"id": id, "title": title} for id, title in self.titles.items() if asked["title"] in title]
            return httpx.Response(200, json={"results": named, "next": None})
        if request.url.path != "/api/tasks":
            id = int(request.url.path.rpartition("/")[2])
            return httpx.Response(200, json={"id": id, "title": self.titles[id], "label_config": compose(CLASSES)})
        found = self.tasks[int(asked["project"])]
        for each in json.loads(asked["query"])["filters"]["items"]:
            column, above = each["filter"].rpartition(":")[2], each["value"]
            found = [one for one in found if one[column] > above]
        page = sorted(found, key=lambda one: one["id"])[: int(asked["page_size"])]
        if asked["fields"] == "all":
            self.read += [one["id"] for one in page]
        return httpx.Response(200, json={"tasks": page})


def answered(id: int, *result: Any, at: str = "12:00:00") -> Any:
    return task(
        *([annotation(*result, at=at)] if result else []),
        id=id,
        key=f"n1/{id}.jpg",
        created_at="2026-11-29T11:00:00Z",
        updated_at=f"2026-11-29T{at}.000000Z",
        total_annotations=len(result),
        cancelled_annotations=0,
    )


def studio_at(server: Server) -> LabelStudio:
    return LabelStudio(
        "http://ls:8080", "0123", "parts", CLASSES, environment={}, transport=httpx.MockTransport(server)
    )


@pytest.mark.parametrize("wrong", [timedelta(days=-40), timedelta(days=40), timedelta(seconds=20)])
def test_when_a_task_was_made_is_told_by_our_clock(wrong: timedelta) -> None:
    """Label Studio's may be wrong; by it, as many would be asked about at each sync, or nobody for weeks."""
    server, real = Server(answered(1)), datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)
    server.tasks[1][0]["created_at"] = (real + wrong).isoformat()

    def answer(request: httpx.Request) -> httpx.Response:
        response = server(request)
        response.headers["date"] = format_datetime(datetime.now(UTC) + wrong, usegmt=True)
        return response

    studio = LabelStudio("http://ls:8080", "0", "parts", CLASSES, environment={}, transport=httpx.MockTransport(answer))
    assert abs(studio.asked()["n1/1.jpg"] - real) < timedelta(minutes=1)


@pytest.mark.parametrize("date", [None, "", "yesterday", "Mon, 30 Nov 2026 10:00:00 -0000"])
def test_without_a_date_in_its_answers_label_studios_clock_is_believed(date: str | None) -> None:
    server = Server(answered(1))

    def answer(request: httpx.Request) -> httpx.Response:
        response = server(request)
        if date is not None:
            response.headers["date"] = date
        return response

    studio = LabelStudio("http://ls:8080", "0", "parts", CLASSES, environment={}, transport=httpx.MockTransport(answer))
    assert studio.asked() == {"n1/1.jpg": datetime(2026, 11, 29, 11, tzinfo=UTC)}


POLYGON = rectangle() | {"type": "polygonlabels"}


def test_what_can_not_be_used_is_named_again_and_what_is_mended_is_taken() -> None:
    server = Server(answered(1, POLYGON), answered(2, rectangle()), answered(3), blind=[answered(4, POLYGON)])
    studio = studio_at(server)
    assert studio.asked().keys() == {f"n1/{id}.jpg" for id in (1, 2, 3, 4)}
    assert studio.answered() == {"n1/1.jpg", "n1/2.jpg", "n1/4.jpg"}
    assert list(studio.reviews(SINCE)) == []
    assert studio.notes() == []
    assert list(studio.reviews(SINCE, {"n1/1.jpg", "n1/4.jpg", "n1/3.jpg", "n1/9.jpg"})) == []
    assert server.read == [1, 4]
    assert studio.notes() == [
        "2 images left out for a shape of kind polygonlabels, e.g. n1/1.jpg, n1/4.jpg: correct that in Label Studio."
    ]
    server.tasks[2] = [answered(4, rectangle())]
    (review,) = studio.reviews(SINCE, {"n1/1.jpg", "n1/4.jpg"})
    assert (review.key, review.blind, len(review.boxes)) == ("n1/4.jpg", True, 1)


def test_what_was_changed_lately_is_read_and_counted_once() -> None:
    server = Server(answered(1, POLYGON))
    studio = studio_at(server)
    studio.asked()
    for since in (None, SINCE - timedelta(days=1)):
        server.read.clear()
        assert list(studio.reviews(since, {"n1/1.jpg"})) == []
        assert server.read == [1]
        assert studio.notes()[0].startswith("1 image left out")


def test_a_task_that_was_deleted_since_is_no_answer_of_the_next_one() -> None:
    server = Server(answered(1, POLYGON), answered(2, rectangle()))
    studio = studio_at(server)
    studio.asked()
    server.tasks[1] = server.tasks[1][1:]
    assert list(studio.reviews(SINCE, {"n1/1.jpg"})) == []


def test_of_very_many_a_part_is_read_and_the_others_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_SINGLY", 2)
    server = Server(*(answered(id, POLYGON) for id in range(1, 6)))
    studio = studio_at(server)
    studio.asked()
    assert list(studio.reviews(SINCE, studio.answered())) == []
    assert server.read == [1, 2]
    assert studio.notes()[1] == "3 images with older answers that are in no version, too, and were not looked at again."
