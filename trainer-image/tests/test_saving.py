"""Saving beside the training: what is stored when, what a slow or broken store costs, and the last act before a
stop."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from artifactstore import ArtifactError
from trainer import saving
from trainer.checkpoint import LAST, State
from trainer.failure import Failure, Interrupted
from trainer.report import Reporter
from trainer.saving import Saver


class Store:
    """Stands in for Checkpoints: remembers what was in last.pt when it was saved."""

    def __init__(self, before: Callable[[], None] = lambda: None) -> None:
        self.saved: list[tuple[int, str]] = []
        self.pruned = 0
        self.before = before
        self.prune_fails = False

    def save(self, state: State, files: Mapping[str, Path]) -> str:
        self.before()
        self.saved.append((state.epoch, files[LAST].read_text()))
        return f"file:///{state.epoch}.json"

    def prune(self) -> None:
        self.pruned += 1
        if self.prune_fails:
            raise ArtifactError("AccessDenied", "may not delete", False)


class Training:
    """Tells a saver of epochs, as ultralytics' callbacks do: last.pt is one file, written over each time."""

    def __init__(self, tmp_path: Path, store: Store, every: int = 2, at: int = 0) -> None:
        self.stream = io.StringIO()
        self.allowed: list[bool] = []
        self.last = tmp_path / "weights" / LAST
        self.last.parent.mkdir()
        self.saver = Saver(store, every, tmp_path / "staged", Reporter(self.stream), self.allowed.append, at)  # type: ignore[arg-type]

    def epochs(self, first: int, last: int, of: int = 99) -> None:
        for epoch in range(first, last + 1):
            self.last.write_text(f"epoch {epoch}")
            self.saver.epoch_done(State(epoch, of, epoch == of, 160, None), {LAST: self.last})
            self.saver.save_if_due()
            self.last.write_text("the next epoch's, half written")

    def said(self, name: str) -> list[dict[str, Any]]:
        events = [json.loads(line) for line in self.stream.getvalue().splitlines()]
        return [event for event in events if event["event"] == name]


def test_every_nth_epoch_and_the_last_are_stored_as_they_were(tmp_path: Path) -> None:
    store = Store()
    training = Training(tmp_path, store)
    with training.saver:
        training.epochs(1, 5, of=5)
    assert store.saved == [(2, "epoch 2"), (4, "epoch 4"), (5, "epoch 5")]
    assert store.pruned == 3
    assert [event["epoch"] for event in training.said("checkpoint")] == [2, 4, 5]
    assert training.said("checkpoint")[0]["uri"] == "file:///2.json"
    assert training.said("warning") == []


def test_an_epoch_that_is_none_to_go_on_from_is_not_saved(tmp_path: Path) -> None:
    store = Store()
    training = Training(tmp_path, store, every=3)

    def run() -> None:
        with training.saver:
            training.epochs(1, 2)
            training.saver.forget()
            training.saver.save_if_due()
            raise Interrupted

    with pytest.raises(Interrupted):
        run()
    assert store.saved == []


def test_a_run_that_resumed_keeps_the_rhythm(tmp_path: Path) -> None:
    store = Store()
    training = Training(tmp_path, store, every=4, at=6)  # 6: saved when it was asked to stop
    with training.saver:
        training.epochs(7, 9)
    assert store.saved == [(8, "epoch 8")]


def test_training_goes_on_during_an_upload_and_waits_before_it_is_an_epoch_ahead(tmp_path: Path) -> None:
    gate = threading.Event()
    store = Store(lambda: gate.wait(30) and None)
    training = Training(tmp_path, store)
    training.epochs(1, 2)  # returned, though nothing is stored
    assert store.saved == []
    threading.Timer(0.1, gate.set).start()
    training.epochs(3, 3)  # returned once it is: dying after this epoch costs this epoch alone
    assert store.saved == [(2, "epoch 2")]


def test_a_store_slower_than_patience_loses_a_checkpoint_and_not_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saving, "PATIENCE", 1)
    gate = threading.Event()
    store = Store(lambda: gate.wait(30) and None)
    training = Training(tmp_path, store)
    with training.saver:
        began = time.monotonic()
        training.epochs(1, 9)
        assert time.monotonic() - began < 8  # patience once for each checkpoint, and not for each of nine epochs
        [first, *_] = training.said("warning")
        assert first["message"] == "no checkpoint of epoch 4: the one of epoch 2 is still being uploaded"
        gate.set()
        while store.pruned == 0:
            time.sleep(0.001)
        training.epochs(10, 10)
    assert [epoch for epoch, _ in store.saved] == [2, 10]


@pytest.mark.parametrize("error", [ArtifactError("Unreachable", "no answer", True), RuntimeError("a defect")])
def test_a_store_that_fails_is_a_warning(error: Exception, tmp_path: Path) -> None:
    failures = iter([error])

    def before() -> None:
        for failure in failures:
            raise failure

    store = Store(before)
    training = Training(tmp_path, store)
    with training.saver:
        training.epochs(1, 4)
    [warning] = training.said("warning")
    assert warning["message"] == f"no checkpoint of epoch 2: {error}"
    assert store.saved == [(4, "epoch 4")]


def test_a_disk_that_takes_no_copy_is_a_warning(tmp_path: Path) -> None:
    training = Training(tmp_path, Store())
    (tmp_path / "staged").write_text("no folder can be made here")
    with training.saver:
        training.epochs(1, 2)
    [warning] = training.said("warning")
    assert "no checkpoint of epoch 2" in warning["message"]


def test_older_ones_that_can_not_be_removed_are_a_warning(tmp_path: Path) -> None:
    store = Store()
    store.prune_fails = True
    training = Training(tmp_path, store)
    with training.saver:
        training.epochs(1, 2)
    assert [event["epoch"] for event in training.said("checkpoint")] == [2]
    [warning] = training.said("warning")
    assert warning["message"] == "older checkpoints can't be removed: may not delete"


def stop(training: Training, *, half_written: bool = False, saved: bool = True) -> None:
    def run() -> None:
        with training.saver:
            training.epochs(1, 2)
            training.last.write_text("epoch 3")
            training.saver.epoch_done(State(3, 99, False, 160, None), {LAST: training.last})
            if saved:
                training.saver.save_if_due()
            if half_written:
                training.last.write_text("ep")
            raise Interrupted

    with pytest.raises(Interrupted):
        run()


@pytest.mark.parametrize("saved", [True, False])  # False: it comes as soon as the epoch's event is out
def test_a_request_to_stop_saves_the_newest_epoch(saved: bool, tmp_path: Path) -> None:
    store = Store()
    training = Training(tmp_path, store)
    stop(training, saved=saved)
    assert store.saved == [(2, "epoch 2"), (3, "epoch 3")]
    assert [event["epoch"] for event in training.said("checkpoint")] == [2, 3]
    assert training.allowed == [True]


def test_a_request_to_stop_saves_nothing_that_is_half_written(tmp_path: Path) -> None:
    store = Store()
    stop(Training(tmp_path, store), half_written=True)
    assert store.saved == [(2, "epoch 2")]


def test_a_request_to_stop_saves_nothing_twice(tmp_path: Path) -> None:
    store = Store()
    training = Training(tmp_path, store, every=3)
    stop(training)
    assert store.saved == [(3, "epoch 3")]


def test_a_request_to_stop_does_not_wait_for_a_store_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saving, "LAST_WORDS", 0.1)
    gate = threading.Event()
    store = Store(lambda: gate.wait(30) and None)
    training = Training(tmp_path, store, every=3)
    began = time.monotonic()
    stop(training)
    assert time.monotonic() - began < 20  # the store would take 30
    assert store.saved == []
    gate.set()


def test_a_failure_of_the_training_waits_for_what_is_under_way(tmp_path: Path) -> None:
    store = Store(lambda: time.sleep(0.1))
    training = Training(tmp_path, store)

    def run() -> None:
        with training.saver:
            training.epochs(1, 2)
            raise Failure("OutOfMemory", "too large")

    with pytest.raises(Failure):
        run()
    assert store.saved == [(2, "epoch 2")]
    assert training.allowed == [True, False]
