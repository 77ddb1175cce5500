"""The detector: one YOLO model, from a frame to boxes. What runs its network is a backend (backends/).

Pre- and post-processing follow ultralytics' predictor for an exported model (letterbox to a full square, best class per
anchor, non-maximum suppression within each class), so that what was measured on the holdout is what runs on the node.

Two layouts of the network's output are known, both with boxes in pixels of the letterboxed square:
    [1, 4 + classes, anchors]   YOLOv8 and YOLO11: centre x, centre y, width, height, then a score per class
    [1, detections, 6]          models exported with the suppression inside (YOLO26): x1, y1, x2, y2, confidence, class
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.detection import Detection
from agent.serve.backends import onnx_runtime
from agent.serve.backends.network import InferenceFailed, Loader, ModelUnsupported, Square

MAX_DETECTIONS = 300  # per frame, as ultralytics
_PADDING = 114  # grey of the letterbox, as in training

Image = NDArray[np.uint8]
"""One frame: uint8 [height, width, 3], channels blue, green, red as OpenCV reads them."""


@dataclass(frozen=True)
class Detections:
    """What was found on one frame: n detections, most confident first."""

    boxes: NDArray[np.float32]  # [n, 4]: x1, y1, x2, y2 in pixels of the frame, inside it
    confidences: NDArray[np.float32]  # [n], above the confidence threshold
    classes: NDArray[np.intp]  # [n], index into the model's class names

    def __len__(self) -> int:
        return len(self.confidences)

    def named(self, classes: Sequence[str]) -> list[Detection]:
        """The same as plain values, with names of classes."""
        columns = zip(self.classes.tolist(), self.confidences.tolist(), self.boxes.tolist(), strict=True)
        return [Detection(classes[index], confidence, tuple(box)) for index, confidence, box in columns]


@dataclass(frozen=True)
class Letterbox:
    """How a frame of `height` x `width` lies in a square of `side` pixels: scaled evenly, centred, padded with grey."""

    height: int
    width: int
    side: int

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the scaled frame, at least 1 pixel each."""
        scale = min(self.side / self.height, self.side / self.width)
        return max(round(self.width * scale), 1), max(round(self.height * scale), 1)

    @property
    def offset(self) -> tuple[int, int]:
        """(left, top) padding. Half a pixel too many goes right and down, by ultralytics' rounding (x - 0.1)."""
        width, height = self.size
        return round((self.side - width) / 2 - 0.1), round((self.side - height) / 2 - 0.1)

    def apply(self, image: Image) -> Square:
        """The square: uint8 [side, side, 3]."""
        width, height = self.size
        left, top = self.offset
        square = np.full((self.side, self.side, 3), _PADDING, np.uint8)
        inside = square[top : top + height, left : left + width]
        if (self.width, self.height) == (width, height):
            inside[:] = image
        else:
            cv2.resize(image, (width, height), inside, interpolation=cv2.INTER_LINEAR)
        return square

    def restore(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Boxes [n, 4] (x1, y1, x2, y2) from pixels of the square to pixels of the frame, clipped to it."""
        width, height = self.size
        offset = np.array(self.offset * 2, np.float32)
        scale = np.array([width / self.width, height / self.height] * 2, np.float32)
        return ((boxes - offset) / scale).clip(0, np.array([self.width, self.height] * 2, np.float32))


def decode(output: NDArray[np.float32], confidence: float, iou: float) -> Detections:
    """Detections in pixels of the square, from one frame's output [4 + classes, anchors].

    Each anchor votes for its best class only; scores at or below `confidence` are dropped; then of boxes of one class
    that overlap by more than `iou` the most confident stays. At most MAX_DETECTIONS are kept.
    """
    scores = output[4:].max(axis=0)
    (anchors,) = np.nonzero(scores > confidence)
    if not len(anchors):
        return Detections(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.intp))
    scores = scores[anchors]
    classes = output[4:, anchors].argmax(axis=0)
    centres: NDArray[np.float32] = output[:2, anchors].T
    sizes: NDArray[np.float32] = output[2:4, anchors].T
    half = sizes / np.float32(2)
    low, high = centres - half, centres + half
    # OpenCV takes and gives arrays here; its type hints know of sequences only.
    rectangles = cast(Sequence[Sequence[float]], np.hstack([low, sizes]))
    best = cv2.dnn.NMSBoxesBatched(
        rectangles, cast(Sequence[float], scores), cast(Sequence[int], classes.astype(np.int32)), 0.0, iou
    )
    kept = np.asarray(best[:MAX_DETECTIONS], np.intp)
    return Detections(np.hstack([low, high])[kept], scores[kept], classes[kept])


def decode_suppressed(output: NDArray[np.float32], confidence: float) -> Detections:
    """Detections in pixels of the square, from one frame's output [detections, 6] of a model that suppresses itself."""
    rows = output[output[:, 4] > confidence]
    rows = rows[np.argsort(-rows[:, 4], kind="stable")][:MAX_DETECTIONS]
    return Detections(rows[:, :4], rows[:, 4], rows[:, 5].astype(np.intp))


class Detector:
    """A loaded model. `detect` is for one thread at a time.

    `model` is the file's content, so that what was verified is what is loaded. `threads` is the number of CPU threads
    of one inference, `load` the backend. Raises ModelUnsupported when the model can't be loaded or isn't a detector of
    these `classes` for `image_size` pixels, and BackendUnavailable.
    """

    def __init__(
        self,
        model: bytes,
        classes: Sequence[str],
        image_size: int,
        *,
        confidence: float = 0.25,
        iou: float = 0.7,
        threads: int = 1,
        load: Loader = onnx_runtime.load,
    ) -> None:
        self._network = load(model, image_size, threads)
        self._confidence = confidence
        self._iou = iou
        self.side = image_size
        self._classes = len(classes)
        self.suppressed = self._check_output(classes)

    def detect(self, image: Image) -> Detections:
        """Run the model on one frame, uint8 [height, width, 3] BGR. Raises InferenceFailed."""
        if not image.size:
            raise InferenceFailed(f"the frame has no pixels (shape {image.shape})")
        letterbox = Letterbox(image.shape[0], image.shape[1], self.side)
        try:
            square = letterbox.apply(image)
        except cv2.error as error:
            raise InferenceFailed(str(error)) from error
        output = self.output(square)
        if self.suppressed:
            found = decode_suppressed(output, self._confidence)
        else:
            found = decode(output, self._confidence, self._iou)
        if not len(found):
            return found
        if not set(found.classes.tolist()) <= set(range(self._classes)):
            raise InferenceFailed(f"the model found class {found.classes.max()}, of {self._classes} classes")
        if found.confidences.max() > 1:
            raise InferenceFailed(f"the model is {found.confidences.max()} confident, which is more than 1")
        return Detections(letterbox.restore(found.boxes), found.confidences, found.classes)

    def smoke(self) -> Detections:
        """Run the model once on a plain grey frame: it works from end to end, and its first, slow run is over."""
        return self.detect(self._grey())

    def output(self, square: Square) -> NDArray[np.float32]:
        """The network's answer for one letterboxed frame, without the batch. The next run may overwrite it. Raises
        InferenceFailed."""
        output = np.asarray(self._network.run(square)[0], np.float32)
        if not np.isfinite(output).all():
            raise InferenceFailed("the model's output holds values that are not finite")
        return output

    def _grey(self) -> Square:
        return np.full((self.side, self.side, 3), _PADDING, np.uint8)

    def _check_output(self, classes: Sequence[str]) -> bool:
        """True when the model suppresses itself. Dimensions that the file leaves open are checked by a first run."""
        outputs = self._network.outputs
        if len(outputs) != 1:
            names = ", ".join(output.name for output in outputs)
            raise ModelUnsupported(f"the model has {len(outputs)} outputs ({names}); a detector has one")
        shape = list(outputs[0].shape)
        if not all(isinstance(n, int) for n in shape):
            try:
                shape = list(self._network.run(self._grey()).shape)
            except InferenceFailed as error:
                raise ModelUnsupported(f"the model can't be run: {error}") from error
        if len(shape) == 3 and shape[0] == 1:
            if shape[1] == 4 + len(classes):
                return False
            if shape[2] == 6:
                return True
        raise ModelUnsupported(
            f"the model's output is {shape}; a detector of {len(classes)} classes ({', '.join(classes)[:200]}) has "
            f"[1, {4 + len(classes)}, anchors]"
        )
