"""The client against a real Label Studio beside a real S3 gateway, with each trap that we know of."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from label_studio_answers import CLASSES, rectangle

from detectiondata.version import Box
from harness.label_studio import USER
from harness.label_studio import LabelStudio as Service
from harness.object_store import ObjectStore
from harness.paths import state_folder
from harness.ports import free_port
from harness.processes import Supervisor, wait_until
from harness.timing import slowness
from labeler.label_studio import LabelStudio, LabelStudioError
from labeler.tasks import Prediction, Review, Task

pytestmark = pytest.mark.cluster

JPEG = b"\xff\xd8\xff\xe0 not much of a picture \xff\xd9"
CAPTURED = datetime(2026, 11, 29, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def supervisor() -> Iterator[Supervisor]:
    id = secrets.token_hex(3)
    state = state_folder(id)
    state.mkdir()
    supervisor = Supervisor.start(id, state, remove=[state])
    yield supervisor
    supervisor.stop()


@pytest.fixture(scope="module")
def store(supervisor: Supervisor) -> ObjectStore:
    store = ObjectStore(supervisor, "127.0.0.1", free_port()).start()
    store.create_bucket("captures")
    store.put("captures", "line/n1/a.jpg", JPEG)
    return store


@pytest.fixture(scope="module")
def service(supervisor: Supervisor) -> Service:
    return Service(supervisor, "127.0.0.1", free_port()).start()


@pytest.fixture
def title() -> str:
    return f"parts {secrets.token_hex(3)}"


@pytest.fixture
def studio(service: Service, store: ObjectStore, title: str) -> LabelStudio:
    """The client of a project of the test's own."""
    studio = LabelStudio(service.url, service.token, title, CLASSES, environment=store.environment)
    studio.ensure()
    return studio


class Reviewer:
    """What people do in Label Studio, by its API."""

    def __init__(self, service: Service, title: str) -> None:
        self.http = httpx.Client(
            base_url=service.url,
            headers={"Authorization": f"Token {service.token}"},
            timeout=60,
            limits=httpx.Limits(max_keepalive_connections=0),
        )
        self.title = title

    def call(self, method: str, path: str, **more: Any) -> Any:
        response = self.http.request(method, path, **more)
        assert response.status_code < 300, f"{method} {path}: {response.status_code} {response.text[:500]}"
        return response.json() if response.content else None

    def project(self, suffix: str = "") -> int:
        found = self.call("GET", "/api/projects", params={"title": self.title})["results"]
        return int(next(each["id"] for each in found if each["title"] == self.title + suffix))

    def tasks(self, suffix: str = "") -> dict[str, Any]:
        params = {"project": self.project(suffix), "fields": "all", "resolve_uri": "false", "page_size": 5000}
        return {each["data"]["key"]: each for each in self.call("GET", "/api/tasks", params=params)["tasks"]}

    def total(self, project: int) -> int:
        return int(self.call("GET", "/api/tasks", params={"project": project, "page_size": 1})["total"])

    def submit(self, key: str, *result: Any, suffix: str = "", **more: Any) -> Any:
        number = self.tasks(suffix)[key]["id"]
        return self.call("POST", f"/api/tasks/{number}/annotations", json={"result": list(result), **more})


@pytest.fixture
def reviewer(service: Service, title: str) -> Reviewer:
    return Reviewer(service, title)


def _task(key: str = "n1/a.jpg", *boxes: Box, blind: bool = False) -> Task:
    predictions = tuple(Prediction(box, 0.9 - number / 10) for number, box in enumerate(boxes))
    return Task(key, "s3://captures/line/n1/a.jpg", 640, 480, predictions, blind, "sample", CAPTURED, "n1")


BOX = Box("zeta", 64, 96, 256, 288)  # what rectangle() is in pixels


def _reviews(studio: LabelStudio, since: datetime | None = None) -> dict[str, Review]:
    return {review.key: review for review in studio.reviews(since)}


# --- the service itself -----------------------------------------------------------------------------------------------


def test_it_asks_nobody_outside(service: Service) -> None:
    version = httpx.get(f"{service.url}/api/version").json()
    assert version["release"].startswith("1.23")
    assert version["label-studio-os-package"]["latest_version_from_pypi"] is None
    page = httpx.get(f"{service.url}/user/login/").text
    assert "sentry.io" not in page


# --- tasks ------------------------------------------------------------------------------------------------------------


def test_two_thousand_tasks_and_twice_is_once(studio: LabelStudio, reviewer: Reviewer, record_property: Any) -> None:
    boxes = [Box("zeta", 20 * n, 30, 20 * n + 15, 60) for n in range(6)]
    tasks = [_task(f"n{n % 20}/{n:04}.jpg", *boxes[: n % 7], blind=n % 10 == 0) for n in range(2000)]
    started = time.monotonic()
    assert studio.push(tasks) == 2000
    pushed = time.monotonic()
    assert studio.push(tasks) == 0
    again = time.monotonic()
    assert studio.asked().keys() == {task.key for task in tasks}
    record_property("push 2,000 tasks, s", round(pushed - started, 1))
    record_property("push them again, s", round(again - pushed, 1))
    print(f"2,000 tasks: {pushed - started:.1f} s; again: {again - pushed:.1f} s")
    assert studio.notes() == []
    assert (len(reviewer.tasks()), len(reviewer.tasks("-blind"))) == (1800, 200)


def test_a_task_has_predictions_and_what_people_sort_by(studio: LabelStudio, reviewer: Reviewer) -> None:
    studio.push([_task("n1/a.jpg", BOX, BOX._replace(label="alpha")), _task("n1/b.jpg")])
    tasks = reviewer.tasks()
    assert tasks["n1/a.jpg"]["data"] == {
        "key": "n1/a.jpg",
        "image": "s3://captures/line/n1/a.jpg",
        "node": "n1",
        "reason": "sample",
        "capturedAt": "2026-11-29T12:00:00.000000Z",
        "width": 640,
        "height": 480,
    }
    [prediction] = tasks["n1/a.jpg"]["predictions"]
    assert prediction["score"] == pytest.approx(0.8)
    assert [each["value"]["rectanglelabels"] for each in prediction["result"]] == [["zeta"], ["alpha"]]
    assert prediction["result"][0]["score"] == pytest.approx(0.9)
    [nothing] = tasks["n1/b.jpg"]["predictions"]
    assert (nothing["result"], nothing["score"]) == ([], None)


def test_predictions_are_what_an_annotator_is_shown(studio: LabelStudio, reviewer: Reviewer) -> None:
    """Only those of the project's model version are, which the first import sets."""
    studio.push([_task("n1/a.jpg", BOX)])
    studio.push([_task("n1/b.jpg", BOX)])
    for _ in range(2):
        shown = reviewer.call("GET", f"/api/projects/{reviewer.project()}/next")
        assert [len(each["result"]) for each in shown["predictions"]] == [1]
        reviewer.submit(shown["data"]["key"])


def test_a_blind_task_has_no_predictions_anywhere(studio: LabelStudio, reviewer: Reviewer) -> None:
    studio.push([_task("n1/a.jpg", BOX, blind=True)])
    assert reviewer.tasks() == {}
    [task] = reviewer.tasks("-blind").values()
    assert task["predictions"] == []
    reviewer.submit("n1/a.jpg", rectangle(), suffix="-blind")
    review = _reviews(studio)["n1/a.jpg"]
    assert (review.blind, review.edited, len(review.boxes)) == (True, False, 1)
    assert studio.push([_task("n1/a.jpg", BOX)]) == 0  # and it isn't asked about once more with predictions


def test_a_deleted_task_is_made_again_only_by_asking_again(studio: LabelStudio, reviewer: Reviewer) -> None:
    studio.push([_task("n1/a.jpg"), _task("n1/b.jpg")])
    reviewer.call("DELETE", f"/api/tasks/{reviewer.tasks()['n1/a.jpg']['id']}")
    [storage] = reviewer.call("GET", "/api/storages/", params={"project": reviewer.project()})
    synced = reviewer.call("POST", f"/api/storages/s3/{storage['id']}/sync")
    assert synced["last_sync_count"] in (0, None)
    assert studio.asked().keys() == reviewer.tasks().keys() == {"n1/b.jpg"}
    assert studio.push([_task("n1/b.jpg")]) == 0
    assert studio.push([_task("n1/a.jpg"), _task("n1/b.jpg")]) == 1


# --- images -----------------------------------------------------------------------------------------------------------


def test_a_reviewers_browser_gets_the_image(studio: LabelStudio, reviewer: Reviewer, service: Service) -> None:
    studio.push([_task()])
    assert studio.notes() == []
    with httpx.Client(base_url=service.url, follow_redirects=True, timeout=60) as browser:
        form = browser.get("/user/login/").text
        csrf = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form)
        assert csrf
        login = {"email": USER, "password": service.token, "csrfmiddlewaretoken": csrf[1]}
        assert browser.post("/user/login/", data=login).status_code == 200
        task = browser.get(f"/api/tasks/{reviewer.tasks()['n1/a.jpg']['id']}").json()
        assert task["data"]["image"].startswith(("/tasks/", service.url))
        assert browser.get(task["data"]["image"]).content == JPEG  # and by no other host: it isn't redirected
        assert browser.get(task["data"]["image"]).history == []


def test_an_image_that_cannot_be_shown_is_said(studio: LabelStudio) -> None:
    studio.push([replace(_task(), image_uri="s3://captures/line/n1/gone.jpg")])
    [note] = studio.notes()
    assert "can't show s3://captures/line/n1/gone.jpg" in note


def test_without_credentials_it_says_how_to_give_them_and_a_storage_made_by_hand_will_do(
    service: Service, store: ObjectStore, reviewer: Reviewer, title: str
) -> None:
    studio = LabelStudio(service.url, service.token, title, CLASSES, environment={})
    studio.ensure()
    with pytest.raises(LabelStudioError, match="AWS_ACCESS_KEY_ID") as caught:
        studio.push([_task()])
    assert caught.value.reason == "LabelStudioRefused"
    assert studio.asked() == {}
    by_hand = {
        "project": reviewer.project(),
        "bucket": "captures",
        "s3_endpoint": store.endpoint,
        "aws_access_key_id": store.access_key,
        "aws_secret_access_key": store.secret_key,
    }
    reviewer.call("POST", "/api/storages/s3", json=by_hand)
    assert studio.push([_task()]) == 1
    assert studio.notes() == []
    assert len(reviewer.call("GET", "/api/storages/", params={"project": reviewer.project()})) == 1


def test_a_bucket_without_a_single_object_will_do(studio: LabelStudio, store: ObjectStore) -> None:
    """Label Studio answers 500 to a storage whose prefix has no objects."""
    store.create_bucket("empty")
    assert studio.push([replace(_task(), image_uri="s3://empty/a.jpg")]) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "may the key modelfleet list it"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "is http://127.0.0.1:9 reachable"),
    ],
)
def test_wrong_credentials_for_images_are_named(
    service: Service, store: ObjectStore, title: str, change: dict[str, str], words: str
) -> None:
    environment = store.environment | change
    studio = LabelStudio(service.url, service.token, title, CLASSES, environment=environment)
    with pytest.raises(LabelStudioError) as caught:
        studio.push([_task()])
    assert caught.value.reason == "LabelStudioRefused"
    assert words in caught.value.message
    assert "wrong" not in caught.value.message


def test_label_studio_may_have_keys_of_its_own(service: Service, store: ObjectStore, title: str) -> None:
    environment = {"AWS_ACCESS_KEY_ID": "ours", "AWS_SECRET_ACCESS_KEY": "ours"}
    environment |= {f"LABEL_STUDIO_{name}": value for name, value in store.environment.items()}
    studio = LabelStudio(service.url, service.token, title, CLASSES, environment=environment)
    assert studio.push([_task()]) == 1
    assert studio.notes() == []


def test_protection_against_private_addresses_is_named_and_can_stay_on(
    supervisor: Supervisor, store: ObjectStore, title: str
) -> None:
    settings = {"LABEL_STUDIO_SSRF_PROTECTION_ENABLED": "true", "LABEL_STUDIO_S3_ENDPOINT": store.endpoint}
    service = Service(supervisor, "127.0.0.1", free_port(), name="label-studio-protected", settings=settings).start()
    try:
        studio = LabelStudio(service.url, service.token, title, CLASSES, environment=store.environment)
        with pytest.raises(LabelStudioError, match="LABEL_STUDIO_S3_ENDPOINT") as caught:
            studio.push([_task()])
        assert "SSRF_PROTECTION_ENABLED=false" in caught.value.message
        reviewer = Reviewer(service, title)
        by_hand = {
            "project": reviewer.project(),
            "bucket": "captures",
            "presign": False,
            "aws_access_key_id": store.access_key,
            "aws_secret_access_key": store.secret_key,
        }
        reviewer.call("POST", "/api/storages/s3", json=by_hand)  # without an endpoint: the server's own is trusted
        assert studio.push([_task()]) == 1
        assert studio.notes() == []
    finally:
        service.stop()


def test_a_target_storage_is_warned_of_since_it_stops_submitting(
    studio: LabelStudio, reviewer: Reviewer, store: ObjectStore
) -> None:
    studio.push([_task()])
    store.create_bucket("target")
    target = {
        "project": reviewer.project(),
        "title": "results",
        "bucket": "target",
        "s3_endpoint": store.endpoint,
        "aws_access_key_id": store.access_key,
        "aws_secret_access_key": store.secret_key,
    }
    reviewer.call("POST", "/api/storages/export/s3", json=target)
    studio.ensure()
    [note] = studio.notes()
    assert "Target storage results is attached" in note
    assert reviewer.call("GET", "/api/storages/export", params={"project": reviewer.project()})


# --- reviews ----------------------------------------------------------------------------------------------------------


def test_reviews_are_boxes_in_pixels_by_name_whatever_the_order_of_classes(
    studio: LabelStudio, reviewer: Reviewer
) -> None:
    studio.push([_task("n1/a.jpg", BOX), _task("n1/b.jpg", BOX), _task("n1/c.jpg", BOX), _task("n1/d.jpg", BOX)])
    reviewer.submit("n1/a.jpg", rectangle("zeta"))
    reviewer.submit("n1/b.jpg", rectangle("alpha"))
    reviewer.submit("n1/c.jpg")
    found = _reviews(studio)
    assert set(found) == {"n1/a.jpg", "n1/b.jpg", "n1/c.jpg"}
    [box] = found["n1/a.jpg"].boxes
    assert (box.label, box.x1, box.y1, box.x2, box.y2) == pytest.approx(("zeta", 64, 96, 256, 288))
    assert [box.label for box in found["n1/b.jpg"].boxes] == ["alpha"]
    assert found["n1/c.jpg"].boxes == ()  # reviewed, and empty
    assert [found[key].edited for key in sorted(found)] == [False, True, True]
    assert {review.by for review in found.values()} == {USER}
    assert [review.key for review in studio.reviews(None)] == ["n1/a.jpg", "n1/b.jpg", "n1/c.jpg"]  # by time


def test_edits_move_a_review_and_the_last_hour_is_read_again(studio: LabelStudio, reviewer: Reviewer) -> None:
    studio.push([_task("n1/a.jpg", BOX), _task("n1/b.jpg", BOX)])
    first = reviewer.submit("n1/a.jpg", rectangle())
    reviewer.submit("n1/b.jpg", rectangle())
    before = _reviews(studio)
    reviewer.call("PATCH", f"/api/annotations/{first['id']}", json={"result": [rectangle("alpha")]})
    after = _reviews(studio, before["n1/b.jpg"].at)
    assert set(after) == {"n1/a.jpg", "n1/b.jpg"}
    assert after["n1/a.jpg"].at > before["n1/b.jpg"].at > before["n1/a.jpg"].at
    assert [box.label for box in after["n1/a.jpg"].boxes] == ["alpha"]
    later = after["n1/a.jpg"].at + timedelta(hours=1)
    assert set(_reviews(studio, later - timedelta(milliseconds=1))) == {"n1/a.jpg"}
    assert _reviews(studio, later + timedelta(minutes=1)) == {}


def test_skipped_drafted_and_withdrawn_are_no_reviews(studio: LabelStudio, reviewer: Reviewer) -> None:
    studio.push([_task(f"n1/{name}.jpg", BOX) for name in "abcd"])
    reviewer.submit("n1/a.jpg", was_cancelled=True)
    reviewer.call("POST", f"/api/tasks/{reviewer.tasks()['n1/b.jpg']['id']}/drafts", json={"result": [rectangle()]})
    withdrawn = reviewer.submit("n1/c.jpg", rectangle())
    assert set(_reviews(studio)) == {"n1/c.jpg"}
    reviewer.call("DELETE", f"/api/annotations/{withdrawn['id']}")
    assert _reviews(studio) == {}
    assert studio.notes() == ["1 image skipped and not counted as reviewed."]


def test_rotation_is_not_dropped(studio: LabelStudio, reviewer: Reviewer) -> None:
    studio.push([_task()])
    reviewer.submit("n1/a.jpg", rectangle(x=50, y=50, w=15, h=20, rotation=90))
    [box] = _reviews(studio)["n1/a.jpg"].boxes
    assert (box.x1, box.y1, box.x2, box.y2) == pytest.approx((224, 240, 320, 336))
    assert studio.notes() == ["1 box rotated: the upright box around each is used."]


def test_the_newer_of_two_reviewers_counts_and_disagreement_is_reported(
    studio: LabelStudio, reviewer: Reviewer
) -> None:
    studio.push([_task("n1/a.jpg", BOX)])
    name = secrets.token_hex(3)
    other = reviewer.call("POST", "/api/users", json={"email": f"{name}@example.com", "username": name})
    reviewer.submit("n1/a.jpg", rectangle())
    reviewer.submit("n1/a.jpg", rectangle("alpha"), completed_by=other["id"])
    review = _reviews(studio)["n1/a.jpg"]
    assert [box.label for box in review.boxes] == ["alpha"]
    assert review.by == other["email"]
    assert studio.notes() == ["Two people disagree on 1 image, e.g. n1/a.jpg: the newer is used."]


def test_a_label_that_was_removed_after_its_use_is_told_with_its_image(
    studio: LabelStudio, reviewer: Reviewer, service: Service, store: ObjectStore, title: str
) -> None:
    studio.push([_task("n1/a.jpg"), _task("n1/b.jpg")])
    reviewer.submit("n1/a.jpg", rectangle("alpha"), rectangle("zeta"))
    reviewer.submit("n1/b.jpg", rectangle("zeta"))
    config = reviewer.call("GET", f"/api/projects/{reviewer.project()}")["label_config"]
    without = config.replace('<Label value="alpha"/>', "")
    assert without != config
    reviewer.call("PATCH", f"/api/projects/{reviewer.project()}", json={"label_config": without})  # it says yes
    with pytest.raises(LabelStudioError, match='add <Label value="alpha"/>'):
        studio.ensure()
    fewer = LabelStudio(service.url, service.token, title, ("zeta",), environment=store.environment)
    told = {key: sorted(box.label for box in review.boxes) for key, review in _reviews(fewer).items()}
    assert told == {"n1/a.jpg": ["alpha", "zeta"], "n1/b.jpg": ["zeta"]}
    assert fewer.notes() == []


# --- projects that people made ---------------------------------------------------------------------------------------


def _by_hand(reviewer: Reviewer, config: str) -> int:
    return int(reviewer.call("POST", "/api/projects", json={"title": reviewer.title, "label_config": config})["id"])


def test_a_project_made_by_hand_is_used_by_its_own_names(
    service: Service, store: ObjectStore, reviewer: Reviewer, title: str
) -> None:
    _by_hand(
        reviewer,
        '<View><RectangleLabels name="boxes" toName="photo"><Label value="alpha"/><Label value="zeta"/>'
        '</RectangleLabels><Image name="photo" value="$picture"/></View>',
    )
    reviewer.call(
        "POST", f"/api/projects/{reviewer.project()}/import", json=[{"data": {"picture": "s3://captures/own.jpg"}}]
    )
    studio = LabelStudio(service.url, service.token, title, CLASSES, environment=store.environment)
    studio.ensure()
    assert studio.push([_task("n1/a.jpg", BOX)]) == 1
    assert studio.notes() == []
    shown = reviewer.call("GET", f"/api/projects/{reviewer.project()}/next")  # theirs first, in its order
    assert "key" not in shown["data"]
    reviewer.call("POST", f"/api/tasks/{shown['id']}/annotations", json={"result": []})
    shown = reviewer.call("GET", f"/api/projects/{reviewer.project()}/next")
    assert "resolve" in shown["data"]["picture"]
    [prediction] = shown["predictions"]
    assert (prediction["result"][0]["from_name"], prediction["result"][0]["to_name"]) == ("boxes", "photo")
    reviewer.call("POST", f"/api/tasks/{shown['id']}/annotations", json={"result": prediction["result"]})
    assert not _reviews(studio)["n1/a.jpg"].edited
    assert studio.notes() == ["1 image in tasks without data.key, which are not ours and were left alone."]


def test_a_project_that_will_not_do_is_refused_before_anything_is_written(
    service: Service, store: ObjectStore, reviewer: Reviewer, title: str
) -> None:
    id = _by_hand(reviewer, '<View><Text name="t" value="$text"/></View>')
    studio = LabelStudio(service.url, service.token, title, CLASSES, environment=store.environment)
    for use in (studio.ensure, lambda: studio.push([_task()]), studio.asked):
        with pytest.raises(LabelStudioError, match="it shows no image") as caught:
            use()
        assert caught.value.reason == "LabelStudioRefused"
        assert f"{service.url}/projects/{id}/settings/labeling" in caught.value.message
    assert reviewer.call("GET", "/api/tasks", params={"project": id})["tasks"] == []


def test_a_title_within_another_is_another_project_and_one_title_twice_is_refused(
    studio: LabelStudio, reviewer: Reviewer, service: Service, title: str
) -> None:
    config = reviewer.call("GET", f"/api/projects/{reviewer.project()}")["label_config"]
    reviewer.call("POST", "/api/projects", json={"title": f"{title} old", "label_config": config})
    studio.ensure()
    reviewer.call("POST", "/api/projects", json={"title": title, "label_config": config})
    with pytest.raises(LabelStudioError, match="2 projects are called"):
        studio.ensure()


def test_a_project_that_refuses_empty_annotations_is_warned_of(studio: LabelStudio, reviewer: Reviewer) -> None:
    reviewer.call("PATCH", f"/api/projects/{reviewer.project()}", json={"enable_empty_annotation": False})
    studio.ensure()
    [note] = studio.notes()
    assert "allow empty annotations" in note


def test_a_title_that_label_studio_does_not_take_is_said_in_its_words(service: Service, store: ObjectStore) -> None:
    with pytest.raises(LabelStudioError, match="no more than 50 characters"):
        LabelStudio(service.url, service.token, "x" * 60, CLASSES, environment=store.environment).ensure()


# --- tokens, crashes, outages -----------------------------------------------------------------------------------------


def test_a_personal_token_works_as_well(
    studio: LabelStudio, reviewer: Reviewer, service: Service, store: ObjectStore, title: str
) -> None:
    personal = reviewer.call("POST", "/api/token/", json={})["token"]
    other = LabelStudio(service.url, personal, title, CLASSES, environment=store.environment)
    assert other.push([_task()]) == 1
    assert studio.asked() == other.asked()
    [(key, at)] = studio.asked().items()
    assert key == "n1/a.jpg"
    assert abs(datetime.now(UTC) - at) < timedelta(minutes=5)
    reviewer.call("POST", "/api/token/blacklist/", json={"refresh": personal})
    with pytest.raises(LabelStudioError, match="put a valid one there"):
        LabelStudio(service.url, personal, title, CLASSES).asked()


@pytest.mark.parametrize("token", ["0123456789abcdef", "a.b.c"])
def test_a_wrong_token_says_what_to_do(service: Service, token: str) -> None:
    with pytest.raises(LabelStudioError, match="put a valid one there") as caught:
        LabelStudio(service.url, token, "parts", CLASSES).ensure()
    assert caught.value.reason == "LabelStudioRefused"


def test_nobody_there_is_unreachable() -> None:
    waits: list[float] = []
    with pytest.raises(LabelStudioError, match="does not answer") as caught:
        LabelStudio(f"http://127.0.0.1:{free_port()}", "0123", "parts", CLASSES, sleep=waits.append).ensure()
    assert caught.value.reason == "LabelStudioUnreachable"
    assert waits == [1, 2, 4, 8, 16]


def test_another_service_is_named_as_none(store: ObjectStore) -> None:
    with pytest.raises(LabelStudioError, match=r"is labelStudio\.url where") as caught:
        LabelStudio(store.endpoint, "0123", "parts", CLASSES).ensure()
    assert caught.value.reason == "LabelStudioRefused"


_PUSH = """
import json, sys
from datetime import UTC, datetime
from labeler.label_studio import LabelStudio
from detectiondata.version import Box
from labeler.tasks import Prediction, Task
url, token, title, classes, environment, keys = json.load(sys.stdin)
found = (Prediction(Box("zeta", 64, 96, 256, 288), 0.9),)
LabelStudio(url, token, title, classes, environment=environment).push(
    [Task(k, "s3://captures/line/n1/a.jpg", 640, 480, found, False, "sample", datetime.now(UTC), "n1") for k in keys]
)
"""


def test_a_labeler_killed_in_the_middle_of_a_push_goes_on_where_it_was(
    studio: LabelStudio, reviewer: Reviewer, service: Service, store: ObjectStore, title: str
) -> None:
    keys = [f"n1/{n:04}.jpg" for n in range(1500)]
    given = json.dumps([service.url, service.token, title, CLASSES, store.environment, keys])
    with subprocess.Popen(
        [sys.executable, "-c", _PUSH], stdin=subprocess.PIPE, text=True, env={"PYTHONPATH": os.pathsep.join(sys.path)}
    ) as labeler:
        assert labeler.stdin is not None
        labeler.stdin.write(given)
        labeler.stdin.close()
        number = reviewer.project()
        assert wait_until(lambda: reviewer.total(number) > 0, 120, interval=0.02)
        labeler.kill()
    assert labeler.returncode == -signal.SIGKILL
    settled = _settled(studio)
    assert 0 < settled < 1500
    assert studio.push([_task(key, BOX) for key in keys]) == 1500 - settled
    _each_once(reviewer, keys)


def _settled(studio: LabelStudio) -> int:
    """How many tasks there are once the request that was under way is over, which a busy machine takes longer for."""
    counts = [-1, len(studio.asked())]
    while counts[-1] != counts[-2]:
        time.sleep(3 * slowness())
        counts.append(len(studio.asked()))
    return counts[-1]


def _each_once(reviewer: Reviewer, keys: Sequence[str]) -> None:
    params = {"project": reviewer.project(), "page_size": 5000, "include": "id,data,total_predictions"}
    listed = reviewer.call("GET", "/api/tasks", params=params)["tasks"]
    assert sorted(each["data"]["key"] for each in listed) == sorted(keys)
    assert {each["total_predictions"] for each in listed} == {1}


def test_label_studio_killed_in_the_middle_of_a_push_doubles_nothing(
    studio: LabelStudio, reviewer: Reviewer, service: Service
) -> None:
    tasks = [_task(f"n1/{n:04}.jpg", BOX) for n in range(1500)]
    ended: list[int | LabelStudioError] = []

    def push() -> None:
        try:
            ended.append(studio.push(tasks))
        except LabelStudioError as error:
            ended.append(error)

    thread = threading.Thread(target=push)
    number = reviewer.project()
    thread.start()
    assert wait_until(lambda: reviewer.total(number) > 0, 120, interval=0.02)
    service.kill9()
    service.start()
    thread.join(300)
    [end] = ended
    if isinstance(end, LabelStudioError):  # it was away for longer than we wait, as the next run finds it back
        assert end.reason == "LabelStudioUnreachable"
        assert 0 < studio.push(tasks) < 1500
    else:
        assert end == 1500
    _each_once(reviewer, [task.key for task in tasks])


def test_what_was_there_is_there_after_a_restart(studio: LabelStudio, service: Service) -> None:
    studio.push([_task()])
    service.stop()
    service.start()
    assert studio.asked().keys() == {"n1/a.jpg"}
