"""What ultralytics' trainer does, told to a listener: that it began, each epoch that is done, and how fast it goes.

In the process that trains. With several GPUs that is not the process that reports (`trainer.distributed`), and what a
listener is told is plain data that can go from one to the other.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

_TELL_EVERY = 5.0  # seconds: an epoch may take hours


@dataclass(frozen=True)
class Epoch:
    """One epoch that is done, with its row in results.csv and its checkpoint written.

    number    from 1
    epochs    how many there will be at most
    start     how many were done before this process began
    best      the number of the best one so far
    over      it is the last one
    """

    number: int
    epochs: int
    start: int
    best: int
    over: bool
    image_size: int


@dataclass(frozen=True)
class Speed:
    """How fast an epoch's training goes, its validation left out.

    images_per_second   on all GPUs together
    data_loading_share  of the time, that spent waiting for the next images (0 to 1)
    gpu_memory          the most that torch took of the first GPU so far, in bytes; None without one
    """

    images_per_second: float
    data_loading_share: float
    gpu_memory: int | None


class Listener(Protocol):
    """Called from the training's own thread, which waits for the answer."""

    def began(self, train: int, val: int) -> None:
        """All is set up and the first epoch starts, with so many images of each part as ultralytics' reader took."""

    def epoch_done(self, epoch: Epoch) -> None:
        """The checkpoint's files stay as they are until this returns."""

    def measured(self, speed: Speed) -> None:
        """Every few seconds, and at the end of each epoch's training."""


def watch(trainer: Any, listener: Listener, clock: Callable[[], float] = time.perf_counter) -> None:
    """Lets `listener` know what an ultralytics trainer does."""
    watcher = _Watcher(listener, clock)
    for event in ("on_train_start", "on_train_epoch_start", "on_train_batch_start", "on_train_batch_end"):
        trainer.add_callback(event, getattr(watcher, event))
    for event in ("on_train_epoch_end", "on_fit_epoch_end"):
        trainer.add_callback(event, getattr(watcher, event))


def figures(results: Path, number: int) -> dict[str, float]:
    """The row of an epoch in ultralytics' results.csv, by column; empty where it is not there."""
    with results.open(newline="", encoding="utf-8") as file:
        rows = [{name.strip(): text for name, text in row.items()} for row in csv.DictReader(file)]
    found = [row for row in rows if int(row["epoch"]) == number]
    return {name: float(text) for name, text in found[-1].items() if name != "epoch"} if found else {}


class _Watcher:
    def __init__(self, listener: Listener, clock: Callable[[], float]) -> None:
        self._listener = listener
        self._clock = clock
        self._over = False
        self._began = self._idle_since = self._told = 0.0
        self._waited = 0.0
        self._batches = 0

    def on_train_start(self, trainer: Any) -> None:
        self._listener.began(len(trainer.train_loader.dataset), len(trainer.test_loader.dataset))

    def on_train_epoch_start(self, trainer: Any) -> None:
        self._began = self._idle_since = self._told = self._clock()
        self._waited, self._batches = 0.0, 0

    def on_train_batch_start(self, trainer: Any) -> None:
        """The loader has just handed over a batch."""
        self._waited += self._clock() - self._idle_since

    def on_train_batch_end(self, trainer: Any) -> None:
        """The step is done. (ultralytics has read its loss by now, and so waited for the GPU.)"""
        self._idle_since = self._clock()
        self._batches += 1
        if self._idle_since - self._told >= _TELL_EVERY:
            self._tell(trainer)

    def on_train_epoch_end(self, trainer: Any) -> None:
        self._tell(trainer)

    def on_fit_epoch_end(self, trainer: Any) -> None:
        if self._over:  # the final evaluation of best.pt comes in the guise of one more epoch
            return
        self._over = bool(trainer.stop)
        self._listener.epoch_done(
            Epoch(
                number=trainer.epoch + 1,
                epochs=trainer.epochs,
                start=trainer.start_epoch,
                best=trainer.stopper.best_epoch,
                over=self._over,
                image_size=int(trainer.args.imgsz),
            )
        )

    def _tell(self, trainer: Any) -> None:
        self._told = self._clock()
        seconds = self._told - self._began
        if seconds <= 0:
            return
        images = min(self._batches * trainer.batch_size, len(trainer.train_loader.dataset))
        self._listener.measured(Speed(images / seconds, self._waited / seconds, _gpu_memory(trainer.device)))


def _gpu_memory(device: Any) -> int | None:
    if device.type != "cuda":
        return None
    import torch

    return int(torch.cuda.max_memory_reserved(device))
