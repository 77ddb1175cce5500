"""A tracker's feed, with a client made for each way a tracker behaves: it never costs more than the bound says."""

from __future__ import annotations

import io
import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import documents
import pytest

from trainer.failure import Interrupted
from trainer.report import Reporter
from trainer.tracking import feed as feeds
from trainer.tracking import tracking as trackings
from trainer.tracking.client import answer
from trainer.tracking.feed import Feed, Settings
from trainer.tracking.tracking import Tracking

# answers each record, after having written it into a file; `behaviour` may do something else before
CLIENT = """
import json, sys, time, pathlib, os
place = pathlib.Path({folder!r})
for line in sys.stdin:
    record = json.loads(line)
    reply = {{"url": "http://tracker/run"}} if record["do"] == "begin" else {{}}
{behaviour}
    with (place / "records").open("a") as file:
        file.write(line)
    print(json.dumps(reply), flush=True)
"""
HANGS = "    time.sleep(3600)"
DIES = "    sys.exit(1)"
REFUSES = "    reply = {'error': 'RuntimeError: no such key hunter2, honestly'}"
REFUSES_ONE = "    reply = {'error': 'bad value'} if record.get('epoch') == 2 else reply"
DOWN = "    reply = {'error': 'refused'} if not (place / 'up').exists() else reply"


class Told:
    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.urls: list[str] = []
        self.changed = threading.Condition()

    def warn(self, message: str) -> None:
        with self.changed:
            self.warnings.append(message)
            self.changed.notify_all()

    def url(self, url: str) -> None:
        self.urls.append(url)

    def wait(self, condition: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, timeout=30)


def feed(folder: Path, behaviour: str, told: Told, name: str = "fake") -> Feed:
    code = CLIENT.format(folder=str(folder), behaviour=behaviour)
    settings = Settings(name, "http://tracker", {"project": "p"}, {}, ("hunter2",))
    return Feed(settings, told.warn, told.url, (sys.executable, "-c", code))


def close(feed: Feed, seconds: float = 30) -> float:
    began = time.monotonic()
    feed.hurry(began + seconds)
    feed.close()
    return time.monotonic() - began


def metrics(epoch: int) -> dict[str, Any]:
    return {"do": "metrics", "epoch": epoch, "at": 0, "values": {"map50": 0.5}}


def received(folder: Path) -> list[dict[str, Any]]:
    file = folder / "records"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def test_everything_arrives_in_order(tmp_path: Path) -> None:
    told = Told()
    one = feed(tmp_path, "", told)
    one.begin({"uid": "uid-1"})
    for epoch in range(20):
        one.put(metrics(epoch))
    close(one)
    begin, *rest = received(tmp_path)
    assert begin == {"do": "begin", "uid": "uid-1", "settings": {"project": "p"}}
    assert rest == [metrics(epoch) for epoch in range(20)]
    assert (told.warnings, told.urls, one.url) == ([], ["http://tracker/run"], "http://tracker/run")


@pytest.mark.parametrize("behaviour", [HANGS, DIES, REFUSES])
def test_a_tracker_that_is_down_is_said_once_and_never_waited_for(
    behaviour: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "RETRY", 0.01)
    monkeypatch.setitem(feeds._ANSWER, "begin", 3)
    told = Told()
    one = feed(tmp_path, behaviour, told)
    began = time.monotonic()
    one.begin({})
    for epoch in range(5):
        one.put(metrics(epoch))
    assert time.monotonic() - began < 3  # the training goes on
    told.wait(lambda: bool(told.warnings))
    assert close(one, 0.5) < 10
    first, last = told.warnings
    assert first.startswith("fake (http://tracker) is not informed of this run: ")
    assert "The training goes on" in first
    assert "hunter2" not in first
    assert last == "fake (http://tracker) lacks 5 records of this run"
    assert told.urls == []


def test_a_tracker_that_was_never_reached_had_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "CLOSING", 3)
    told = Told()
    one = feed(tmp_path, HANGS, told)
    one.begin({})
    one.put(metrics(1))
    time.sleep(3)
    assert close(one) < 3
    assert told.warnings[-1] == "fake (http://tracker) lacks 1 records of this run"


def test_after_an_outage_everything_arrives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "RETRY", 0.01)
    told = Told()
    one = feed(tmp_path, DOWN, told)
    one.begin({})
    for epoch in range(3):
        one.put(metrics(epoch))
    told.wait(lambda: bool(told.warnings))
    (tmp_path / "up").touch()
    (tmp_path / "records").unlink(missing_ok=True)
    deadline = time.monotonic() + 30
    while len([record for record in received(tmp_path) if record["do"] == "metrics"]) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    close(one)
    assert [record["epoch"] for record in received(tmp_path) if record["do"] == "metrics"] == [0, 1, 2]
    assert len(told.warnings) == 1


def test_a_record_that_is_refused_does_not_hold_up_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "RETRY", 0.01)
    told = Told()
    one = feed(tmp_path, REFUSES_ONE, told)
    one.begin({})
    for epoch in range(5):
        one.put(metrics(epoch))
    deadline = time.monotonic() + 30
    while not any(record.get("epoch") == 4 for record in received(tmp_path)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    close(one)
    assert [record["epoch"] for record in received(tmp_path) if record["do"] == "metrics"] == [0, 1, 2, 2, 3, 4]
    assert [text.rpartition(" is not informed")[0] or text for text in told.warnings] == [
        "fake (http://tracker)",
        "fake (http://tracker) lacks 1 records of this run",
    ]


def test_the_backlog_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "LIMIT", 10)
    told = Told()
    one = feed(tmp_path, HANGS, told)
    one.begin({})
    for epoch in range(1000):
        one.put(metrics(epoch))
    close(one, 0.3)
    assert told.warnings[-1] == "fake (http://tracker) lacks 1000 records of this run"


def test_a_client_that_can_not_be_started_is_said(tmp_path: Path) -> None:
    told = Told()
    one = Feed(Settings("fake", "there", {}, {}), told.warn, told.url, (str(tmp_path / "missing"),))
    one.begin({})
    one.put(metrics(1))
    told.wait(lambda: bool(told.warnings))
    close(one, 0.3)
    assert "its client can't be started" in told.warnings[0]


TRACKING = {"mlflow": {"uri": "http://mlflow:5000"}, "wandb": {"project": "parts", "entity": "team"}}


@pytest.fixture
def spied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Feeds whose clients write down what they are told, in a folder by the tracker's name."""
    places = {name: tmp_path / name for name in TRACKING}
    for place in places.values():
        place.mkdir()
    real = Feed

    def made(settings: Settings, warn: Any, on_url: Any) -> Feed:
        code = CLIENT.format(folder=str(places[settings.name]), behaviour="")
        return real(settings, warn, on_url, (sys.executable, "-c", code))

    monkeypatch.setattr(trackings, "Feed", made)
    return places


def test_trackers_are_told_parameters_epochs_figures_and_the_end(spied: dict[str, Path], tmp_path: Path) -> None:
    stream = io.StringIO()
    reporter = Reporter(stream)
    run = documents.run(tracking=TRACKING)
    with Tracking(run, reporter, tmp_path, {}) as tracking:
        tracking.begin({"epochs": "3", "architecture": None, "cfg": ""})
        for epoch in (1, 2):
            reporter.event("epoch", epoch=epoch, epochs=2, metrics={"map50": "0.5", "box_loss": "1.25"})
        tracking.evaluated({"map50": "0.9"}, [tmp_path / "report.json"])
    for name, place in spied.items():
        begin, first, second, evaluation, files, end = received(place)
        assert (begin["uid"], begin["name"], begin["parameters"]) == ("uid-1", "parts-1", {"epochs": "3"})
        assert begin["tags"] == {"model": "parts", "version": "v1", "trainingJob": "parts-1"}
        assert begin["settings"]["experiment" if name == "mlflow" else "project"] == "parts"
        assert (first["epoch"], first["values"]) == (1, {"map50": 0.5, "box_loss": 1.25})
        assert second["epoch"] == 2
        assert evaluation["values"] == {"evaluation/map50": 0.9}
        assert files["paths"] == [str(tmp_path / "report.json")]
        assert end == {"do": "end", "status": "FINISHED"}
    told = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert sorted(event["tracker"] for event in told if event["event"] == "tracking") == ["mlflow", "wandb"]
    assert tracking.urls() == {"mlflow": "http://tracker/run", "wandb": "http://tracker/run"}


@pytest.mark.parametrize(("error", "ends"), [(RuntimeError, ["FAILED"]), (Interrupted, [])])
def test_a_run_that_fails_is_ended_and_one_that_is_stopped_goes_on(
    error: type[BaseException], ends: list[str], spied: dict[str, Path], tmp_path: Path
) -> None:
    def fail() -> None:
        with Tracking(documents.run(tracking=TRACKING), Reporter(io.StringIO()), tmp_path, {}) as one:
            one.begin({})
            raise error

    with pytest.raises(error):
        fail()
    for place in spied.values():
        assert [record["status"] for record in received(place) if record["do"] == "end"] == ends


def test_without_trackers_nothing_is_started(tmp_path: Path) -> None:
    threads = threading.active_count()
    with Tracking(documents.run(), Reporter(io.StringIO()), tmp_path, {}) as tracking:
        tracking.begin({})
        tracking.evaluated({}, [])
    assert threading.active_count() == threads
    assert tracking.urls() == {}


def test_whatever_a_library_raises_is_an_answer() -> None:
    class Broken:
        def end(self, status: str) -> None:
            raise KeyError("a\n  b")

    assert answer(Broken(), {"do": "end", "status": "FINISHED"}) == {"error": "KeyError: 'a\\n b'"}  # type: ignore[arg-type]
