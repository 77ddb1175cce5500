"""The files that are published: the trained checkpoint, and the same network as ONNX, proven to compute the same."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from trainer.failure import Failure

if TYPE_CHECKING:
    from ultralytics.nn.tasks import DetectionModel

FORMATS = ("onnx",)

# Largest difference allowed between PyTorch and ONNX Runtime: of box coordinates in pixels, and of class scores.
_BOX_TOLERANCE = 0.5
_SCORE_TOLERANCE = 0.005


@dataclass(frozen=True)
class Exported:
    path: Path
    format: str


def export(best: Path, formats: Sequence[str], image_size: int, images: Sequence[Path], folder: Path) -> list[Exported]:
    """best.pt and one file per format in `folder`, checked on `images`. Raises Failure ExportFailed."""
    folder.mkdir(parents=True)
    checkpoint = folder / "best.pt"
    shutil.copyfile(best, checkpoint)
    exported = [Exported(checkpoint, "pytorch")]
    if "onnx" in formats:
        exported.append(Exported(_to_onnx(checkpoint, image_size, images), "onnx"))
    return exported


def check_formats(formats: Sequence[str]) -> None:
    """Raises Failure UnknownArgument before anything is trained for a format that can't be written."""
    unknown = [format for format in formats if format not in FORMATS]
    if unknown:
        raise Failure(
            "UnknownArgument", f"output.formats: {unknown[0]!r} can't be written by this trainer; known is onnx"
        )


def _to_onnx(checkpoint: Path, image_size: int, images: Sequence[Path]) -> Path:
    from ultralytics.engine.exporter import Exporter
    from ultralytics.nn.tasks import load_checkpoint

    model, _ = load_checkpoint(str(checkpoint))
    overrides = {"format": "onnx", "imgsz": image_size, "batch": 1, "device": "cpu", "simplify": True, "dynamic": False}
    try:
        path = Path(Exporter(overrides=overrides)(model=model))
    except (RuntimeError, AssertionError, ValueError) as error:
        raise Failure("ExportFailed", f"the ONNX export failed: {' '.join(str(error).split())}") from error
    _prove(path, model, image_size, images)
    return path


def _prove(path: Path, model: DetectionModel, image_size: int, images: Sequence[Path]) -> None:
    """Runs noise and up to four real images through both. Raises Failure ExportFailed on any real difference."""
    import onnxruntime
    import torch

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    [declared] = session.get_inputs()
    if list(declared.shape) != [1, 3, image_size, image_size]:
        raise Failure("ExportFailed", f"the ONNX input is {declared.shape} and not [1, 3, {image_size}, {image_size}]")
    noise = np.random.default_rng(0).random((1, 3, image_size, image_size), dtype=np.float32)
    batches = [noise, *(letterboxed(image, image_size) for image in images[:4])]
    network: Any = model.float().eval()
    for batch in batches:
        with torch.no_grad():
            expected = network(torch.from_numpy(batch))
        wanted = (expected[0] if isinstance(expected, (list, tuple)) else expected).numpy()
        [got] = session.run(None, {declared.name: batch})
        differ = difference(wanted, got, len(model.names))
        if differ is not None:
            raise Failure("ExportFailed", f"the ONNX file does not compute what the model does: {differ}")


def difference(wanted: npt.NDArray[np.float32], got: npt.NDArray[np.float32], classes: int) -> str | None:
    """What is wrong with `got`, None if it agrees. Both are [1, 4 + classes, anchors]: boxes in pixels, then scores."""
    if got.shape != wanted.shape or got.shape[1] != 4 + classes:
        return f"its output is {list(got.shape)} and should be [1, {4 + classes}, {wanted.shape[-1]}]"
    boxes = float(np.abs(wanted[:, :4] - got[:, :4]).max())
    scores = float(np.abs(wanted[:, 4:] - got[:, 4:]).max())
    if not (boxes <= _BOX_TOLERANCE and scores <= _SCORE_TOLERANCE):  # also false for NaN
        return f"boxes differ by up to {boxes:.3g} pixels and scores by {scores:.3g}"
    return None


def letterboxed(path: Path, size: int) -> npt.NDArray[np.float32]:
    """An image as the network wants it: [1, 3, size, size], RGB, 0 to 1, its shape kept by grey borders."""
    import cv2
    from ultralytics.data.augment import LetterBox
    from ultralytics.utils.patches import imread

    image = imread(str(path))
    assert image is not None, path
    boxed = LetterBox((size, size), auto=False)(image=image)
    rgb = cv2.cvtColor(boxed, cv2.COLOR_BGR2RGB)
    return np.ascontiguousarray(rgb.transpose(2, 0, 1)[None], dtype=np.float32) / np.float32(255)
