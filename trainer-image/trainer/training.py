"""The training itself: ultralytics' own detection trainer, told where to write and listened to.

On the pod's GPU, on several of them (`trainer.distributed`), or on the processor where there is none. The model comes
ready made from `trainer.weights`; nothing is downloaded, plotted or sent.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer import distributed, resume
from trainer.arguments import Value
from trainer.callbacks import Epoch, Speed, figures, watch
from trainer.checkpoint import BEST, LAST, RESULTS, Restored, State
from trainer.environment import processors
from trainer.failure import Failure
from trainer.metrics import Exporter
from trainer.report import Reporter, decimal
from trainer.saving import Saver

if TYPE_CHECKING:
    from ultralytics.nn.tasks import DetectionModel

_METRICS = {
    "metrics/mAP50(B)": "map50",
    "metrics/mAP50-95(B)": "map50-95",
    "metrics/precision(B)": "precision",
    "metrics/recall(B)": "recall",
}
_FIXED = {
    "task": "detect",
    "mode": "train",
    "model": "model.yaml",  # never read: the model is handed over
    "pretrained": False,
    "plots": False,
    "verbose": True,
    "save": True,
    "val": True,
}


@dataclass(frozen=True)
class Trained:
    """`best` is the checkpoint with the highest fitness on the validation part, without optimizer state; `curves` is
    ultralytics' results.csv."""

    best: Path
    curves: Path
    image_size: int


class Progress:
    """Listens to the training: one event per epoch, figures for Prometheus, and a checkpoint where one is due."""

    def __init__(
        self,
        place: Path,
        reporter: Reporter,
        saver: Saver,
        exporter: Exporter,
        loaded_share: str | None,
        check: Callable[[], None],
        images: Mapping[str, int] | None,
        origin: Mapping[str, Any] | None = None,
    ) -> None:
        """`check` raises where the training is to stop; `images` of each part (train, val) are to be read; None where
        the user asked for a share of them (`fraction`)."""
        self._place = place
        self._reporter = reporter
        self._saver = saver
        self._exporter = exporter
        self._loaded_share = loaded_share
        self._origin = origin
        self._check = check
        self._images = images
        self._began = time.monotonic()
        self.image_size = 0

    def began(self, train: int, val: int) -> None:
        """Raises Failure DatasetInvalid where ultralytics' reader dropped what was checked."""
        if self._images is not None:
            for part, read in (("train", train), ("val", val)):
                all_read(part, read, self._images[part])
        self._began = time.monotonic()

    def measured(self, speed: Speed) -> None:
        self._check()
        self._exporter.measured(speed)

    def epoch_done(self, epoch: Epoch) -> None:
        self.image_size = epoch.image_size
        self._remember(epoch)  # before anybody hears of it, and may ask this run to stop
        spent = (time.monotonic() - self._began) / (epoch.number - epoch.start)
        found = _named(figures(self._place / RESULTS, epoch.number))
        self._exporter.epoch_done(epoch, found)
        self._reporter.event(
            "epoch",
            epoch=epoch.number,
            epochs=epoch.epochs,
            percent=100 * epoch.number // epoch.epochs,
            remainingSeconds=0 if epoch.over else round(spent * (epoch.epochs - epoch.number)),
            bestEpoch=epoch.best,
            metrics={name: decimal(value) for name, value in found.items()},
            **({"resumedFromEpoch": epoch.start} if epoch.start else {}),
        )
        self._saver.save_if_due()
        self._check()

    def _remember(self, epoch: Epoch) -> None:
        files = {LAST: self._place / "weights" / LAST, BEST: self._place / "weights" / BEST}
        files[RESULTS] = self._place / RESULTS
        if not files[BEST].exists():
            if epoch.over:  # going on from here could not end otherwise; from an earlier epoch it might
                self._saver.forget()
                return
            del files[BEST]
        state = State(epoch.number, epoch.epochs, epoch.over, epoch.image_size, self._loaded_share, self._origin)
        self._saver.epoch_done(state, files)


def all_read(part: str, read: int, images: int) -> None:
    """What is trained on and measured on is what was checked and recorded. Raises Failure DatasetInvalid."""
    if read != images:
        raise Failure(
            "DatasetInvalid",
            f"ultralytics reads {read} of the {images} images of {part} that were checked; the pod's log names those "
            "that it drops: correct or remove them, and report them as a fault of this trainer",
        )


def _named(row: Mapping[str, float]) -> dict[str, float]:
    """A row of results.csv under our names: metrics on the validation part, losses of the training (`box_loss`) and of
    the validation (`val_box_loss`)."""
    found = {ours: row[theirs] for theirs, ours in _METRICS.items() if theirs in row}
    losses = {name: value for name, value in row.items() if name.startswith(("train/", "val/"))}
    return found | {name.removeprefix("train/").replace("val/", "val_"): value for name, value in losses.items()}


def train(
    start: DetectionModel | Restored,
    data: Path,
    arguments: Mapping[str, Value],
    place: Path,
    reporter: Reporter,
    progress: Progress,
) -> Trained:
    """Trains `start`, a model or a checkpoint of this training; ultralytics' files go to `place`.

    A checkpoint brings optimizer, gradient scaler, averaged weights, epoch counter, learning rate schedule, best result
    and patience along; random numbers start again. Raises Failure TrainingFailed or OutOfMemory; what the disk
    refuses comes as OSError.
    """
    import torch
    from ultralytics.engine import trainer as engine
    from ultralytics.models.yolo.detect import DetectionTrainer

    engine.check_amp = mixed_precision_works
    devices = _devices()
    count = len(devices.split(","))
    _check_batch(int(arguments["batch"]), count)  # type: ignore[arg-type]
    overrides: dict[str, Any] = {"data": str(data), "device": devices, "save_dir": str(place)}
    if arguments["batch"] == -1 and devices == "cpu":
        reporter.warning("batch -1 fits the batch to a GPU's memory; this pod has no GPU, and 16 is taken")
    if devices != "cpu" and "workers" not in arguments:
        overrides["workers"] = _workers(int(arguments["batch"]), int(arguments["imgsz"]), count, reporter)  # type: ignore[arg-type]
    model = None if isinstance(start, Restored) else start
    if isinstance(start, Restored):
        # all else comes from the checkpoint: also what the first attempt found out, as batch and optimizer
        overrides["resume"] = str(resume.unpack(start, place))
    else:
        overrides = dict(arguments) | _FIXED | overrides
    try:
        if count > 1:
            distributed.train(model, overrides, count, progress)
        else:
            trainer = DetectionTrainer(overrides=overrides)
            if model is not None:
                trainer.model = model
                model.args = trainer.args
            watch(trainer, progress)
            trainer.train()
    except torch.cuda.OutOfMemoryError as error:
        raise Failure(
            "OutOfMemory",
            f"the GPU's memory does not hold batch {arguments['batch']} of {arguments['imgsz']} pixels; lower "
            f"hyperparameters.batch (-1 fits it to memory) or imageSize: {str(error).splitlines()[0]}",
        ) from None
    except (RuntimeError, ValueError, AssertionError) as error:
        raise Failure("TrainingFailed", f"{type(error).__name__}: {' '.join(str(error).split())}") from error
    best = place / "weights" / BEST
    if not best.exists():
        raise Failure("TrainingFailed", "training ended without a checkpoint; its metrics were never finite")
    return Trained(best, place / RESULTS, progress.image_size)


def first_epoch(curves: Path) -> dict[str, str]:
    """What the model was worth after one epoch, on the validation part: beside the parent's figures, what it kept."""
    row = figures(curves, 1)
    return {ours: decimal(row[theirs]) for theirs, ours in _METRICS.items() if theirs in row}


def finished(checkpoint: Restored, place: Path) -> Trained:
    """What `train` returned, or would have, in a run that ended after its last epoch."""
    return Trained(resume.finish(checkpoint, place), place / RESULTS, checkpoint.state.image_size)


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


def check_gpus(asked: int) -> None:
    """Raises Failure GpuMissing where the pod was to have GPUs and sees fewer: it would train for days on the
    processor, and nobody would know why."""
    devices = _devices() if asked else "cpu"
    found = 0 if devices == "cpu" else len(devices.split(","))
    if found < asked:
        raise Failure(
            "GpuMissing",
            f"spec.resources.gpus is {asked}, and the container sees {found or 'none'}: the node's container runtime "
            "does not hand them out (runtimeClassName in spec.template may choose the one that does), or its driver is "
            "older than CUDA in this image wants; nvidia-smi in a pod on the same node tells which",
        )


def _check_batch(batch: int, gpus: int) -> None:
    """The operator asks the same, but of what spec.resources says and not for images of other releases."""
    if gpus > 1 and batch < gpus:
        least = "-1 fits it to one alone" if batch == -1 else f"{batch} is less than one image for each"
        raise Failure("UnknownArgument", f"{gpus} GPUs need hyperparameters.batch of {gpus} or more: {least}")


def _devices() -> str:
    """What ultralytics is to train on: all the GPUs that the pod was given."""
    import torch

    return ",".join(str(number) for number in range(torch.cuda.device_count())) or "cpu"


def _workers(batch: int, size: int, trainers: int, reporter: Reporter) -> int:
    """Processes that load images for each process that trains, as many as processors and shared memory allow.

    Batches travel through /dev/shm, 64 MB in a pod that mounts nothing there; a worker that finds it full dies with
    "Bus error", far from the cause.
    """
    wanted = max(1, min(8, processors() // trainers))
    per_worker = 2 * 3 * size * size * max(batch, 16) // trainers  # two batches in flight, one byte a channel
    fit = int(shutil.disk_usage("/dev/shm").free * 0.8 / (per_worker * trainers))
    if fit < wanted:
        reporter.warning(
            f"/dev/shm holds the batches of {fit} of {wanted} loading processes; mount an emptyDir of medium Memory "
            "there through spec.template to load images faster"
        )
    return min(wanted, fit)
