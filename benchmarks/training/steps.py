"""The trainer with a clock around each of its steps: `python -P steps.py` in place of `python -P -m trainer`.

Its functions are wrapped by name before its entry point runs; one that is no longer there ends this at once. Steps
nest, and each counts its own time alone, without that of the steps inside. What runs on another thread is beside the
training and counted apart.
"""

import atexit
import importlib
import json
import os
import runpy
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

START, EPOCHS, OTHER = "start Python, import the trainer", "the epochs", "all else"
SET_UP, FINAL = "ultralytics: set up", "ultralytics: evaluate best.pt again"
FUNCTIONS = (
    ("trainer.main", "publish.already", "look at the output folder"),
    ("trainer.main", "environment.configure_ultralytics", "import torch and ultralytics"),
    ("trainer.main", "arguments.check", "check the arguments against ultralytics"),
    ("trainer.main", "fetch", "fetch the data and verify its digest"),
    ("detectiondata.fetch", "unpack", "unpack"),
    ("detectiondata.source", "_layout", "detect the layout"),
    ("detectiondata.source", "_read", "decode every image, read every label"),
    ("trainer.main", "assemble", "assemble the data set"),
    ("trainer.main", "assemble_holdout", "assemble the holdout"),
    ("trainer.main", "Checkpoints.restore", "look for a checkpoint"),
    ("trainer.main", "Checkpoints.begin", "mark the training as begun"),
    ("trainer.main", "weights.start", "build the model"),
    ("trainer.main", "training.train", SET_UP),
    ("trainer.training", "Progress.epoch_done", "each epoch: event and figures"),
    ("trainer.saving", "Saver.save_if_due", "each epoch: copy the checkpoint aside, wait for the one before"),
    ("trainer.saving", "Saver.__exit__", "wait for the last checkpoint"),
    ("trainer.saving", "_Upload.run", "upload a checkpoint and read it back"),
    ("trainer.main", "export.export", "export to ONNX"),
    ("trainer.export", "_prove", "prove that the ONNX file computes the same"),
    ("trainer.main", "measure.measure", "evaluate on the holdout"),
    ("trainer.measure", "calibrate", "calibrate"),
    ("trainer.main", "write_report", "write the report"),
    ("trainer.main", "publish.publish", "claim, manifest"),
    ("trainer.publish", "_upload", "upload the files"),
    ("trainer.publish", "_verify", "read the files back"),
    ("trainer.main", "_remove_checkpoints", "remove the checkpoints"),
)


class Clock:
    """Seconds by step: they go to the innermost of the steps that are under way."""

    def __init__(self, step: str, since: float) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.beside: dict[str, list[float]] = defaultdict(list)
        self._steps = [step]
        self._since = since

    def become(self, step: str) -> None:
        """The innermost step ends, and this one is in its place."""
        self._count()
        self._steps[-1] = step

    def timed(self, function: Callable[..., Any], step: str) -> Callable[..., Any]:
        """`function`, whose time is that of `step`."""

        def act(*arguments: Any, **options: Any) -> Any:
            if threading.current_thread() is not threading.main_thread():
                began = time.monotonic()
                try:
                    return function(*arguments, **options)
                finally:
                    self.beside[step].append(time.monotonic() - began)
            self._count()
            self._steps.append(step)
            try:
                return function(*arguments, **options)
            finally:
                self._count()
                self._steps.pop()

        return act

    def write(self, path: Path) -> None:
        """`ended` tells the starter when Python began to shut down."""
        self._count()
        document = {"seconds": self.seconds, "beside": self.beside, "ended": self._since}
        path.write_text(json.dumps(document))

    def _count(self) -> None:
        now = time.monotonic()
        self.seconds[self._steps[-1]] += now - self._since
        self._since = now


def main() -> None:
    """The command."""
    clock = Clock(START, time.monotonic() - _age())
    atexit.register(clock.write, Path(os.environ["BENCH_STEPS"]))
    for module, path, step in FUNCTIONS:
        *owners, name = path.split(".")
        owner: Any = importlib.import_module(module)
        for each in owners:
            owner = getattr(owner, each)
        setattr(owner, name, clock.timed(getattr(owner, name), step))
    _tell_epochs_apart(importlib.import_module("trainer.training").Progress, clock)
    clock.become(OTHER)
    runpy.run_module("trainer", run_name="__main__", alter_sys=True)


def _age() -> float:
    """Seconds since this process was started."""
    started = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started


def _tell_epochs_apart(progress: Any, clock: Clock) -> None:
    """The training's own time is ultralytics' set-up, then the epochs, then its last evaluation."""
    began, epoch_done = progress.began, progress.epoch_done

    def first(self: Any, *counts: int) -> None:
        began(self, *counts)
        clock.become(EPOCHS)

    def after(self: Any, epoch: Any) -> None:
        epoch_done(self, epoch)
        if epoch.over:
            clock.become(FINAL)

    progress.began, progress.epoch_done = first, after


if __name__ == "__main__":
    main()
