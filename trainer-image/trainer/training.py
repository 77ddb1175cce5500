"""The training itself: ultralytics' own detection trainer, told where to write and listened to.

One device: a GPU where there is one, else the processor. The model comes ready made from `trainer.weights`; nothing is
downloaded, plotted or sent.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.arguments import Value
from trainer.environment import processors
from trainer.failure import Failure
from trainer.report import Reporter, decimal

if TYPE_CHECKING:
    from ultralytics.nn.tasks import DetectionModel

_METRICS = {
    "metrics/mAP50(B)": "map50",
    "metrics/mAP50-95(B)": "map50-95",
    "metrics/precision(B)": "precision",
    "metrics/recall(B)": "recall",
}


@dataclass(frozen=True)
class Trained:
    """`best` is the checkpoint with the highest fitness on the validation part, without optimizer state."""

    best: Path
    image_size: int
    epochs: int
    batch: int


class Progress:
    """Callbacks of ultralytics' trainer that write one event per epoch."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._began = time.monotonic()
        self._over = False
        self.epochs = 0

    def attach(self, trainer: Any) -> None:
        trainer.add_callback("on_train_start", self.on_train_start)
        trainer.add_callback("on_fit_epoch_end", self.on_fit_epoch_end)

    def on_train_start(self, trainer: Any) -> None:
        self._began = time.monotonic()

    def on_fit_epoch_end(self, trainer: Any) -> None:
        if self._over:  # the final evaluation of best.pt comes in the guise of one more epoch
            return
        self._over = bool(trainer.stop)
        done = trainer.epoch + 1
        self.epochs = done
        spent = (time.monotonic() - self._began) / (done - trainer.start_epoch)
        metrics = {_METRICS[name]: decimal(float(value)) for name, value in trainer.metrics.items() if name in _METRICS}
        losses = {name: decimal(float(value)) for name, value in (trainer.tloss or {}).items()}
        self._reporter.event(
            "epoch",
            epoch=done,
            epochs=trainer.epochs,
            percent=100 * done // trainer.epochs,
            remainingSeconds=0 if self._over else round(spent * (trainer.epochs - done)),
            metrics=metrics | losses,
        )


def train(
    model: DetectionModel, data: Path, arguments: Mapping[str, Value], folder: Path, reporter: Reporter
) -> Trained:
    """Raises Failure TrainingFailed or OutOfMemory; what the disk refuses comes as OSError."""
    import torch
    from ultralytics.engine import trainer as engine
    from ultralytics.models.yolo.detect import DetectionTrainer

    engine.check_amp = mixed_precision_works
    device = "0" if torch.cuda.is_available() else "cpu"
    if torch.cuda.device_count() > 1:
        reporter.warning(f"{torch.cuda.device_count()} GPUs are visible and one is used")
    overrides = dict(arguments) | {
        "task": "detect",
        "mode": "train",
        "model": "model.yaml",  # never read: the model is handed over below
        "data": str(data),
        "pretrained": False,
        "project": str(folder),
        "name": "training",
        "exist_ok": True,
        "device": device,
        "plots": False,
        "verbose": True,
        "save": True,
        "val": True,
    }
    if device != "cpu" and "workers" not in arguments:
        overrides["workers"] = _workers(int(arguments["batch"]), int(arguments["imgsz"]), reporter)  # type: ignore[arg-type]
    try:
        trainer = DetectionTrainer(overrides=overrides)
        trainer.model = model
        model.args = trainer.args
        progress = Progress(reporter)
        progress.attach(trainer)
        trainer.train()
    except torch.cuda.OutOfMemoryError as error:
        raise Failure(
            "OutOfMemory",
            f"the GPU's memory does not hold batch {overrides['batch']} of {overrides['imgsz']} pixels; lower "
            f"hyperparameters.batch (-1 fits it to memory) or imageSize: {str(error).splitlines()[0]}",
        ) from None
    except (RuntimeError, ValueError, AssertionError) as error:
        raise Failure("TrainingFailed", f"{type(error).__name__}: {' '.join(str(error).split())}") from error
    best = Path(trainer.best)
    if not best.exists():
        raise Failure("TrainingFailed", "training ended without a checkpoint; its metrics were never finite")
    return Trained(best, int(trainer.args.imgsz), progress.epochs, int(trainer.batch_size))


def mixed_precision_works(model: Any) -> bool:
    """Whether this GPU computes finite numbers for the model in half precision; some (GTX 16xx) do not.

    Stands in for ultralytics' check, which downloads a model to compare with.
    """
    import torch

    device = next(model.parameters()).device
    if device.type != "cuda":
        return False
    image = torch.rand(1, 3, 256, 256, device=device)
    with torch.no_grad(), torch.autocast("cuda"):
        output = model.eval()(image)
    return bool(torch.isfinite(output[0] if isinstance(output, (list, tuple)) else output).all())


def _workers(batch: int, size: int, reporter: Reporter) -> int:
    """Processes that load images, as many as processors and shared memory allow.

    Batches travel through /dev/shm, 64 MB in a pod that mounts nothing there; a worker that finds it full dies with
    "Bus error", far from the cause.
    """
    wanted = min(8, processors())
    per_worker = 2 * 3 * size * size * max(batch, 16)  # two batches in flight, one byte a channel
    fit = int(shutil.disk_usage("/dev/shm").free * 0.8 / per_worker)
    if fit < wanted:
        reporter.warning(
            f"/dev/shm holds the batches of {fit} of {wanted} loading processes; mount an emptyDir of medium Memory "
            "there through spec.template to load images faster"
        )
    return min(wanted, fit)
