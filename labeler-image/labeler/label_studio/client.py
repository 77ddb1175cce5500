"""The labeler's view of Label Studio: a project for each Dataset, one task an image, and the reviews that came of it.

Label Studio is not the record of what was asked: a task that somebody deletes there is unknown to it ever after. So
`push` takes the caller's word: it pushes what has no task. A caller that keeps its own record of what it asked, and
passes only the rest, thereby leaves deleted tasks deleted; to ask again is to pass the image again.
"""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx

from labeler.label_studio import storage
from labeler.label_studio.http import REFUSED, Http, LabelStudioError, Uncertain
from labeler.label_studio.interface import Interface, Unsuitable, check, compose
from labeler.label_studio.reading import Counts, newest, read
from labeler.label_studio.results import to_result
from labeler.tasks import Review, Task

BLIND = "-blind"
OVERLAP = timedelta(hours=1)  # that is read again: a change may be written later than it is stamped
# Annotators are shown the predictions of one model version, the project's, which the first import sets. So all of ours
# have the same; with the real one, those of the next version would not be shown.
MODEL_VERSION = "modelfleet"
_BATCH = 500  # tasks of one import; Label Studio writes them in one transaction
_PAGE = 500
_INTERRUPTIONS = 3  # imports without an answer, of one push
_SINGLY = 100  # tasks that are read one by one in a run


@contextmanager
def _expected_form() -> Iterator[None]:
    """What an answer lacks that we know from version 1.23 is an error of its own, and no crash."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise LabelStudioError(
            REFUSED,
            f"Label Studio's answer has another form than that of version 1.23 ({type(error).__name__}: {error}); "
            "is that the version that runs?",
        ) from error


@dataclass(frozen=True)
class _Project:
    id: int
    title: str
    interface: Interface


@dataclass(frozen=True)
class _Answered:
    """A task with an annotation, in one of the projects."""

    project: _Project
    blind: bool
    id: int


class LabelStudio:
    """One Dataset's projects in a Label Studio: that for correcting predictions, and the blind one beside it."""

    def __init__(
        self,
        url: str,
        token: str,
        project: str,
        classes: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Describe it; nothing is asked yet.

        Args:
            url: where Label Studio's own page starts.
            token: a personal access token, or a legacy token.
            project: its title; the blind project's is the same with `-blind` behind it.
            classes: in the order of the dataset.
            environment: where S3 credentials for Label Studio are looked for; default: the process's.
            transport: for tests.
            sleep: likewise.

        Raises:
            LabelStudioError: the URL is none.
        """
        self._http = Http(url, token, transport=transport, sleep=sleep)
        self._title = project
        self._classes = tuple(classes)
        self._environment = os.environ if environment is None else environment
        self._counts = Counts()
        self._warnings: list[str] = []
        self._answered: dict[str, _Answered] = {}  # by key

    @_expected_form()
    def ensure(self) -> None:
        """See to it that the project exists and that its labelling interface fits the classes.

        The blind project is created by the first push of a blind task; one that is there is checked.

        Raises:
            LabelStudioError: it can't be reached, or something must be changed by hand.
        """
        project = self._find(self._title) or self._create(self._title)
        blind = self._find(self._title + BLIND)
        for each in (project, blind):
            if each is not None:
                self._warnings += storage.warnings(self._http, each.id)

    @_expected_form()
    def asked(self) -> dict[str, datetime]:
        """The keys of all images that have a task, in either project, and since when, by our clock. Raises
        LabelStudioError."""
        found: dict[str, datetime] = {}
        answered: dict[str, _Answered] = {}
        for project, blind in self._projects():
            for task in self._tasks(project, "task_only", "id,data,created_at,total_annotations", []):
                key = (task.get("data") or {}).get("key")
                if isinstance(key, str):
                    found[key] = datetime.fromisoformat(task["created_at"]) - self._http.ahead
                    if task["total_annotations"] > 0:
                        answered[key] = _Answered(project, blind, task["id"])
        self._answered = answered
        return found

    def answered(self) -> Collection[str]:
        """The keys of those images that somebody had answered at the last `asked`; skipping is no answer."""
        return self._answered.keys()

    @_expected_form()
    def push(self, tasks: Sequence[Task]) -> int:
        """Make tasks of the images that have none yet, in the order given; returns how many are new.

        May be repeated at any time, also after it was interrupted: Label Studio writes a batch whole or not at all.

        Raises:
            LabelStudioError: it can't be reached, or something must be changed by hand.
        """
        asked = self.asked()
        missing = list({task.key: task for task in tasks if task.key not in asked}.values())
        return sum(
            self._push(title, [task for task in missing if task.blind == blind])
            for title, blind in ((self._title, False), (self._title + BLIND, True))
        )

    def reviews(self, since: datetime | None, also: Collection[str] = ()) -> Iterator[Review]:
        """What people said since then (None: ever), oldest first, one an image; the last hour before it is read again.

        Of `also`, keys that had an answer at the last `asked`, a hundred are read whenever that was.

        Raises:
            LabelStudioError: it can't be reached, or something must be changed by hand.
        """
        self._counts = Counts()
        yield from newest(self._answers(since, also), self._counts)

    def notes(self) -> list[str]:
        """Sentences about the last `ensure`, `push` and `reviews`: what was left out, and what should be changed."""
        return [*self._counts.sentences(), *dict.fromkeys(self._warnings)]

    @_expected_form()
    def _answers(self, since: datetime | None, also: Collection[str]) -> list[Review]:
        changed = [] if since is None else [_filter("updated_at", "Datetime", _utc(since - OVERLAP))]
        found = []
        seen = set()
        # a task with skipped annotations only has a total of 0
        some = _filter("total_annotations", "Number", 0)
        for project, blind in self._projects():
            for task in self._tasks(project, "all", None, [*changed, some]):
                seen.add(task["id"])
                review = read(task, blind, self._counts)
                if review is not None:
                    found.append(review)
            skipped = [*changed, _filter("cancelled_annotations", "Number", 0)]
            for task in self._tasks(project, "task_only", "id,total_annotations", skipped):
                self._counts.skipped += task["total_annotations"] == 0
        older = [each for key in sorted(also) if (each := self._answered.get(key)) is not None and each.id not in seen]
        self._counts.unread += len(older[_SINGLY:])
        for each in older[:_SINGLY]:
            for task in self._page(each.project, "all", None, [some], each.id - 1, 1):
                review = read(task, each.blind, self._counts) if task["id"] == each.id else None
                if review is not None:
                    found.append(review)
        return found

    # --- projects -----------------------------------------------------------------------------------------------------

    def _projects(self) -> Iterator[tuple[_Project, bool]]:
        for title, blind in ((self._title, False), (self._title + BLIND, True)):
            project = self._find(title)
            if project is not None:
                yield project, blind

    def _find(self, title: str) -> _Project | None:
        """The project of this title, if there is one. Raises LabelStudioError where it can't be used."""
        named = []
        for page in itertools.count(1):
            wanted = {"title": title, "include": "id,title", "page_size": 100, "page": page}  # within the title
            answer = self._http.get("/api/projects", wanted)
            named += [each["id"] for each in answer["results"] if each["title"] == title]
            if not answer.get("next"):
                break
        if not named:
            return None
        if len(named) > 1:
            raise LabelStudioError(
                REFUSED,
                f"{len(named)} projects are called {title!r} ({', '.join(map(str, named))}): rename all but one",
            )
        return self._checked(named[0])

    def _checked(self, id: int) -> _Project:
        there = self._http.get(f"/api/projects/{id}")
        try:
            interface = check(there["label_config"], self._classes)
        except Unsuitable as error:
            raise LabelStudioError(
                REFUSED,
                f"Project {there['title']!r} can't be used as it is: {error} "
                f"(in {self._http.url}/projects/{id}/settings/labeling, Code)",
            ) from None
        if there.get("enable_empty_annotation") is False:
            self._warnings.append(
                f"Project {there['title']} does not let people submit an image without boxes, so that empty images are "
                "never learned from: allow empty annotations in its settings."
            )
        if there["title"] == self._title and there.get("model_version") not in (None, "", MODEL_VERSION):
            self._warnings.append(
                f"Project {there['title']} shows predictions of {there['model_version']} and not ours: choose "
                f"{MODEL_VERSION} in Settings > Annotation > Live Predictions."
            )
        return _Project(id, there["title"], interface)

    def _create(self, title: str) -> _Project:
        blind = title != self._title
        purpose = "Images to label without help: predictions stay hidden here" if blind else "Predictions to correct"
        made = self._http.post(
            "/api/projects",
            {
                "title": title,
                "description": f"{purpose}. Made by modelfleet; submit an image without boxes if it shows nothing.",
                "label_config": compose(self._classes),
                "enable_empty_annotation": True,
                "show_collab_predictions": not blind,
            },
        )
        return self._checked(made["id"])

    # --- tasks --------------------------------------------------------------------------------------------------------

    def _tasks(
        self, project: _Project, fields: str, include: str | None, filters: Sequence[Mapping[str, Any]]
    ) -> Iterator[dict[str, Any]]:
        """All tasks that pass the filters, by id. Each page begins behind the last id, and not at a number of tasks:
        so none is missed, and none comes twice, while others delete and add tasks. `include` thins out nested objects,
        too: None for annotations."""
        last = 0
        while True:
            page = self._page(project, fields, include, filters, last, _PAGE)
            yield from page
            if not page:  # a shorter one is no sign of the end: the server may have a limit of its own
                return
            last = page[-1]["id"]

    def _page(
        self,
        project: _Project,
        fields: str,
        include: str | None,
        filters: Sequence[Mapping[str, Any]],
        after: int,
        size: int,
    ) -> Sequence[dict[str, Any]]:
        """The first tasks behind this id that pass the filters, by id."""
        items = [_filter("id", "Number", after), *filters]
        query = {"filters": {"conjunction": "and", "items": items}, "ordering": ["tasks:id"]}
        page: Sequence[dict[str, Any]] = self._http.get(
            "/api/tasks",
            {
                "project": project.id,
                "fields": fields,
                **({"include": include} if include else {}),
                "resolve_uri": "false",
                "page_size": size,
                "query": json.dumps(query),
            },
        )["tasks"]
        return page

    def _push(self, title: str, tasks: Sequence[Task]) -> int:
        if not tasks:
            return 0
        project = self._find(title) or self._create(title)
        for scheme, bucket in storage.buckets([task.image_uri for task in tasks]):
            storage.attach(self._http, project.id, scheme, bucket, self._environment)
        new = 0
        interruptions = 0
        left = list(tasks)
        while left:
            batch = left[:_BATCH]
            try:
                answer = self._http.post(
                    f"/api/projects/{project.id}/import",
                    [_document(task, project.interface) for task in batch],
                    {"return_task_ids": "true"},
                )
            except Uncertain as error:
                interruptions += 1
                if interruptions > _INTERRUPTIONS:
                    raise LabelStudioError(error.reason, error.message) from None
                self._http.wait(interruptions)
                there = self.asked()  # it may have been written: asking again blindly would double the tasks
                new += sum(task.key in there for task in batch)
                left = [task for task in left if task.key not in there]
                continue
            new += len(batch)
            left = left[_BATCH:]
            for number in answer.get("task_ids", [])[:1] if not left else []:
                self._look(number, batch[0])
        return new

    def _look(self, number: int, task: Task) -> None:
        """Fetch the start of one new task's image as a reviewer's browser would."""
        shown = self._http.get(f"/api/tasks/{number}")["data"]
        uri = next((each for each in shown.values() if isinstance(each, str) and "/resolve/" in each), None)
        if uri is None and urlsplit(task.image_uri).scheme in ("http", "https"):
            return
        place = urlsplit(uri or "")
        status = self._http.head_of(f"{place.path}?{place.query}") if uri else 404
        if status >= 400:
            self._warnings.append(
                f"Label Studio can't show {task.image_uri} (it answers {status}): does the project's source storage "
                "lead to that bucket, with keys that may read it?"
            )


def _document(task: Task, interface: Interface) -> dict[str, Any]:
    """A task as Label Studio imports it: beside the image what people may want to sort and filter by."""
    document: dict[str, Any] = {
        "data": {
            "key": task.key,
            "node": task.node,
            "reason": task.reason,
            "capturedAt": _utc(task.captured_at),
            "width": task.width,
            "height": task.height,
            interface.image_field: task.image_uri,
        }
    }
    if not task.blind:
        prediction: dict[str, Any] = {
            "model_version": MODEL_VERSION,
            "result": to_result(task.predictions, task.width, task.height, interface),
        }
        if task.predictions:  # the least sure one: sorting by it brings the doubtful images to the front
            prediction["score"] = min(each.confidence for each in task.predictions)
        document["predictions"] = [prediction]
    return document


def _filter(column: str, kind: str, above: float | str) -> dict[str, Any]:
    return {"filter": f"filter:tasks:{column}", "operator": "greater", "type": kind, "value": above}


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
