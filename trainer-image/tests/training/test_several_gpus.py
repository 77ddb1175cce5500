"""Training spread over processes, from torchrun to the reports, on two processors in place of two GPUs.

What this can't show is CUDA's part: NCCL between GPUs, each process on its own, and ultralytics' last validation.
"""

from __future__ import annotations

import csv
import io
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import documents
import pytest
from trainings import HYPERPARAMETERS

from detectiondata.assemble import assemble
from detectiondata.fetch import fetch
from detectiondata.source import check_source
from trainer import distributed, environment, training, weights
from trainer.arguments import resolve
from trainer.checkpoint import State
from trainer.failure import Failure, Interrupted
from trainer.metrics import Exporter
from trainer.report import Reporter
from trainer.run import Source


@dataclass
class Saver:
    """What the saver of checkpoints is told, and what the files were like then."""

    told: list[State] = field(default_factory=list)
    sizes: list[dict[str, int]] = field(default_factory=list)
    stop_after: int | None = None

    def epoch_done(self, state: State, files: dict[str, Path]) -> None:
        self.told.append(state)
        self.sizes.append({name: path.stat().st_size for name, path in files.items()})

    def save_if_due(self) -> None:
        if self.told[-1].epoch == self.stop_after:
            raise Interrupted


@dataclass
class Run:
    place: Path
    saver: Saver
    log: io.StringIO
    exporter: Exporter
    trained: training.Trained | None = None

    @property
    def epochs(self) -> list[dict[str, Any]]:
        events = [json.loads(line) for line in self.log.getvalue().splitlines()]
        return [event for event in events if event["event"] == "epoch"]


def train(data: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, saver: Saver, **given: Any) -> Run:
    monkeypatch.setattr(training, "_devices", lambda: "0,1")
    monkeypatch.setattr(distributed, "WORKER", "two_processors")
    monkeypatch.setenv("PYTHONPATH", f"{Path(__file__).parent}:{os.environ['PYTHONPATH']}")
    environment.prepare(folder)
    document = documents.run(hyperparameters=HYPERPARAMETERS | {"epochs": 2} | given)
    dataset = assemble(
        [check_source(fetch(Source(f"file://{data}"), folder / "s"), "Auto", None)],
        document.dataset.validation_split,
        0,
        folder / "d",
    )
    run = Run(folder / "training", saver, io.StringIO(), Exporter(document))
    reporter = Reporter(run.log)
    progress = training.Progress(run.place, reporter, saver, run.exporter, None, lambda: None, None)  # type: ignore[arg-type]
    start = weights.start("Scratch", "yolo11n", None, None, dataset.classes)
    run.trained = training.train(start.model, dataset.yaml, resolve(document), run.place, reporter, progress)
    return run


def test_two_processes_train_one_model_and_this_one_reports(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = train(data, tmp_path, monkeypatch, Saver())
    assert run.trained is not None
    assert run.trained.image_size == 160
    weights.load_checkpoint(run.trained.best, "what was trained")

    assert [(event["epoch"], event["epochs"], event["percent"]) for event in run.epochs] == [(1, 2, 50), (2, 2, 100)]
    assert run.epochs[0]["remainingSeconds"] > 0
    assert run.epochs[-1]["remainingSeconds"] == 0
    with run.trained.curves.open() as file:
        rows = list(csv.DictReader(file))
    for event, row in zip(run.epochs, rows, strict=True):
        assert float(event["metrics"]["map50"]) == pytest.approx(float(row["metrics/mAP50(B)"]), abs=1e-4)
        assert float(event["metrics"]["box_loss"]) == pytest.approx(float(row["train/box_loss"]), abs=1e-4)

    assert [(state.epoch, state.finished) for state in run.saver.told] == [(1, False), (2, True)]
    assert all(size > 1_000_000 for sizes in run.saver.sizes for name, size in sizes.items() if name == "last.pt")
    labels = {"training_job": "parts-1", "model": "parts", "version": "v1"}
    assert run.exporter.registry.get_sample_value("modelfleet_training_images_per_second", labels) > 0  # type: ignore[operator]
    assert run.exporter.registry.get_sample_value("modelfleet_training_epoch", labels) == 2


@pytest.mark.parametrize(
    ("batch", "message"), [(-1, "-1 fits it to one alone"), (1, "1 is less than one image for each")]
)
def test_a_batch_that_can_not_be_spread_is_refused(
    batch: int, message: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Failure) as caught:
        train(data, tmp_path, monkeypatch, Saver(), batch=batch)
    assert (caught.value.reason, caught.value.exit_code) == ("UnknownArgument", 64)
    assert caught.value.message == f"2 GPUs need hyperparameters.batch of 2 or more: {message}"


def test_what_one_of_them_died_of_is_said(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAIL_ON_RANK", "1")
    with pytest.raises(Failure) as caught:
        train(data, tmp_path, monkeypatch, Saver())
    assert caught.value.reason == "OutOfMemory"
    assert "Tried to allocate 2 GiB" in caught.value.message


def test_none_of_them_outlives_a_stop(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = processes()
    with pytest.raises(Interrupted):
        train(data, tmp_path, monkeypatch, Saver(stop_after=1))
    assert processes() == before


def processes() -> set[str]:
    """Those that run the module, by their ids."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes()
        except OSError:  # it has just ended
            continue
        if b"two_processors" in command:
            found.add(path.parent.name)
    return found
