"""What a listener is told of ultralytics' trainer, and how the speed is measured: with a clock that the test turns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import documents
import pytest

from trainer.callbacks import Epoch, Speed, figures, watch
from trainer.metrics import PORT, Exporter


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Heard:
    speeds: list[Speed] = field(default_factory=list)
    epochs: list[Epoch] = field(default_factory=list)
    starts: int = 0
    read: tuple[int, int] = (0, 0)

    def began(self, train: int, val: int) -> None:
        self.starts += 1
        self.read = (train, val)

    def epoch_done(self, epoch: Epoch) -> None:
        self.epochs.append(epoch)

    def measured(self, speed: Speed) -> None:
        self.speeds.append(speed)


class Trainer:
    """The part of ultralytics' trainer that is looked at, and its order of callbacks."""

    def __init__(self, images: int, batch: int, clock: Clock) -> None:
        self.callbacks: dict[str, list[Callable[[Any], None]]] = defaultdict(list)
        self.batch_size, self.epochs, self.epoch, self.start_epoch, self.stop = batch, 3, 0, 0, False
        self.train_loader = SimpleNamespace(dataset=range(images))
        self.test_loader = SimpleNamespace(dataset=range(7))
        self.stopper = SimpleNamespace(best_epoch=1)
        self.args = SimpleNamespace(imgsz=160)
        self.device = SimpleNamespace(type="cpu")
        self._clock = clock

    def add_callback(self, event: str, callback: Callable[[Any], None]) -> None:
        self.callbacks[event].append(callback)

    def run(self, event: str) -> None:
        for callback in self.callbacks[event]:
            callback(self)

    def train_epoch(self, loading: float, step: float, *, validation: float = 0.0) -> None:
        self.run("on_train_epoch_start")
        for _ in range(-(-len(self.train_loader.dataset) // self.batch_size)):
            self._clock.now += loading
            self.run("on_train_batch_start")
            self._clock.now += step
            self.run("on_train_batch_end")
        self.run("on_train_epoch_end")
        self._clock.now += validation
        self.run("on_fit_epoch_end")


def made(images: int = 30, batch: int = 8) -> tuple[Trainer, Heard]:
    clock, heard = Clock(), Heard()
    trainer = Trainer(images, batch, clock)
    watch(trainer, heard, clock)
    return trainer, heard


@pytest.mark.parametrize(
    ("loading", "step", "share"), [(0.0, 0.5, 0.0), (0.25, 0.75, 0.25), (0.9, 0.1, 0.9), (0.5, 0.0, 1.0)]
)
def test_the_share_of_waiting_is_of_the_training_alone(loading: float, step: float, share: float) -> None:
    trainer, heard = made()
    trainer.train_epoch(loading, step, validation=50.0)
    [speed] = heard.speeds
    assert speed.data_loading_share == pytest.approx(share)
    assert speed.images_per_second == pytest.approx(30 / (4 * (loading + step)))  # 30 images, the last batch not full
    assert speed.gpu_memory is None


def test_a_long_epoch_is_measured_while_it_goes_on() -> None:
    trainer, heard = made(images=80, batch=8)
    trainer.train_epoch(0.5, 1.5)
    assert len(heard.speeds) == 4  # 20 s: after 6, 12 and 18 s, and at the end
    assert [round(speed.images_per_second, 6) for speed in heard.speeds] == [4.0] * 4


def test_an_epoch_that_is_begun_again_counts_from_its_new_beginning() -> None:
    """ultralytics halves the batch when memory runs out, and starts the epoch over."""
    trainer, heard = made()
    trainer.run("on_train_epoch_start")
    trainer._clock.now += 1000
    trainer.run("on_train_batch_start")
    trainer.train_epoch(0.25, 0.75)
    assert heard.speeds[-1].data_loading_share == pytest.approx(0.25)


def test_epochs_are_told_once_each_and_the_final_evaluation_is_none() -> None:
    trainer, heard = made()
    trainer.run("on_train_start")
    for epoch in range(2):
        trainer.epoch, trainer.stop, trainer.stopper.best_epoch = epoch, epoch == 1, 1
        trainer.train_epoch(0.1, 0.1)
    trainer.epoch = 2
    trainer.run("on_fit_epoch_end")
    assert (heard.starts, heard.read) == (1, (len(trainer.train_loader.dataset), 7))
    assert heard.epochs == [
        Epoch(number=1, epochs=3, start=0, best=1, over=False, image_size=160),
        Epoch(number=2, epochs=3, start=0, best=1, over=True, image_size=160),
    ]


def test_figures_are_those_of_the_epochs_row(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text(
        "epoch,time,train/box_loss,  metrics/mAP50(B)\n1,2.5,1.25,0.5\n2,5,1,0.75\n3,7,nan,0.8\n"
    )
    assert figures(tmp_path / "results.csv", 2) == {"time": 5.0, "train/box_loss": 1.0, "metrics/mAP50(B)": 0.75}
    assert figures(tmp_path / "results.csv", 4) == {}


def test_prometheus_reads_what_was_measured_and_nothing_else() -> None:
    exporter = Exporter(documents.run())
    assert not [sample for metric in exporter.registry.collect() for sample in metric.samples]
    exporter.measured(Speed(12.5, 0.25, None))
    exporter.epoch_done(Epoch(3, 10, 0, 2, False, 160), {"map50": 0.5})
    found = {
        sample.name.removeprefix("modelfleet_training_"): (sample.value, sample.labels)
        for metric in exporter.registry.collect()
        for sample in metric.samples
    }
    run = {"training_job": "parts-1", "model": "parts", "version": "v1"}
    assert found == {
        "epoch": (3, run),
        "epochs": (10, run),
        "best_epoch": (2, run),
        "images_per_second": (12.5, run),
        "data_loading_ratio": (0.25, run),
        "figure": (0.5, run | {"figure": "map50"}),
    }
    exporter.measured(Speed(12.5, 0.25, 1 << 30))
    assert exporter.registry.get_sample_value("modelfleet_training_gpu_memory_bytes", run) == 1 << 30


def test_without_a_port_nothing_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    def listen(*_: object, **__: object) -> None:
        raise AssertionError("listens")

    monkeypatch.setattr("trainer.metrics.start_http_server", listen)
    Exporter(documents.run()).serve({})
    with pytest.raises(AssertionError, match="listens"):
        Exporter(documents.run()).serve({PORT: "9090"})
