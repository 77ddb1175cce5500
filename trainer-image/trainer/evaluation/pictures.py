"""The report's pictures: three plots, and images with what is on them and what the model saw. Draws, decides nothing.

Drawn here and not by ultralytics, whose confusion matrix counts detections of any confidence down to 0.001 and whose
plots know no holdout: these show the very figures of report.json.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from trainer.evaluation.curves import Curves
from trainer.tally import Judged

LONGEST_SIDE = 1280  # pixels
LARGEST_FILE = 400_000  # bytes

_LABELLED = 40  # classes beyond which names and numbers would be unreadable
_LEGEND = 10
_FOUND, _MISSED, _RIGHT, _FALSE = (90, 160, 60), (0, 140, 255), (230, 140, 30), (40, 40, 220)  # BGR


def draw_confusion(counts: npt.NDArray[np.int64], labels: Sequence[str], path: Path) -> None:
    """Rows are what was said, columns what is there; shaded by the column's shares."""
    from matplotlib.figure import Figure

    size = min(max(4.5, 0.45 * len(labels) + 2), 20)
    figure = Figure(figsize=(size + 1, size), layout="constrained")
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=0, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, label="share of the true class")
    axes.set(xlabel="true", ylabel="predicted", title="Confusion matrix")
    if len(labels) <= _LABELLED:
        axes.set_xticks(range(len(labels)), [_short(label) for label in labels], rotation=90)
        axes.set_yticks(range(len(labels)), [_short(label) for label in labels])
        for row, column in zip(*np.nonzero(counts), strict=True):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=colour, fontsize=8)
    figure.savefig(path, dpi=100)


def draw_precision_recall(
    recall: Sequence[float], precision: Mapping[str, Sequence[float]], mean: Sequence[float], path: Path
) -> None:
    """Precision by recall at IoU 0.5, one line a class and a thick one for their mean."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.subplots()
    for name, values in precision.items():
        label = _short(name) if len(precision) <= _LEGEND else None
        axes.plot(recall, values, linewidth=1, label=label)
    axes.plot(recall, mean, linewidth=2.5, color="black", label="all classes")
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02), title="Precision and recall, IoU 0.5")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left")
    figure.savefig(path, dpi=100)


def draw_curves(curves: Curves, path: Path) -> None:
    """Losses and metrics by epoch: each training loss beside its validation loss, then everything of "metrics/"."""
    from matplotlib.figure import Figure

    losses = [name.removeprefix("train/") for name in curves.series if name.startswith("train/")]
    panels = [*losses, "metrics"]
    columns = 2
    rows = math.ceil(len(panels) / columns)
    figure = Figure(figsize=(9, 3.2 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).flat
    marker = "o" if len(curves.epochs) < 15 else None
    for axes, panel in zip(grid, panels, strict=False):
        if panel == "metrics":
            shown = {
                name.removeprefix("metrics/").removesuffix("(B)"): values
                for name, values in curves.series.items()
                if name.startswith("metrics/")
            }
        else:
            shown = {part: curves.named(f"{part}/{panel}") for part in ("train", "val")}
        for label, values in shown.items():
            axes.plot(curves.epochs, values, marker=marker, markersize=3, label=label)
        axes.set(title=panel, xlabel="epoch")
        axes.grid(alpha=0.3)
        if shown:
            axes.legend()
    for axes in list(grid):  # what is left of the grid
        axes.set_axis_off()
    figure.savefig(path, dpi=100)


def draw_judged(one: Judged, classes: Sequence[str], path: Path) -> None:
    """The image with its objects (green, orange where missed) and the detections (blue, red where false), as a JPEG of
    at most LARGEST_FILE bytes. Raises OSError for an image that can't be read any more."""
    # from bytes: cv2.imread reads no TIFF that EXIF turns, and dies of names that are not UTF-8
    content = np.frombuffer(one.image.read_bytes(), np.uint8)
    picture = cv2.imdecode(content, cv2.IMREAD_COLOR) if content.size else None
    if picture is None:
        raise OSError(f"{one.image.name} can't be read")
    scale = min(1.0, LONGEST_SIDE / max(picture.shape[:2]))
    scale = max(scale, min(4.0, 480 / max(picture.shape[:2])))  # a stamp would have no room for the words
    picture = cv2.resize(
        picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    )
    for box, index, found in zip(one.truth_boxes, one.truth_classes, one.found, strict=True):
        _box(
            picture,
            box * scale,
            classes[int(index)] + ("" if found else " missed"),
            _FOUND if found else _MISSED,
            below=True,
        )
    for box, index, confidence, right in zip(one.boxes, one.classes, one.confidences, one.right, strict=True):
        _box(picture, box * scale, f"{classes[int(index)]} {confidence:.2f}", _RIGHT if right else _FALSE, below=False)
    for quality in (85, 70, 50, 30, 10):
        done, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
        if done and len(encoded) <= LARGEST_FILE:
            break
    path.write_bytes(encoded.tobytes())


def _box(
    picture: npt.NDArray[np.uint8],
    corners: npt.NDArray[np.floating],
    text: str,
    colour: tuple[int, int, int],
    *,
    below: bool,
) -> None:
    """One box with its words: those of objects below it, those of detections above, so that both can be read."""
    height, width = picture.shape[:2]
    left, top, right, bottom = (round(float(value)) for value in corners)
    cv2.rectangle(picture, (left, top), (right, bottom), colour, 2, cv2.LINE_AA)
    # OpenCV's font is ASCII; what it can't write would come out as question marks anyway
    plain = text.encode("ascii", "replace").decode()
    (wide, high), base = cv2.getTextSize(plain, cv2.FONT_HERSHEY_SIMPLEX, 0.45, 1)
    x = min(max(left, 0), max(width - wide, 0))
    y = bottom + high + 2 if below else top - base
    y = min(max(y, high + 1), height - base)
    cv2.rectangle(picture, (x, y - high - 1), (x + wide, y + base), colour, cv2.FILLED)
    cv2.putText(picture, plain, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1, cv2.LINE_AA)


def _short(label: str) -> str:
    return label if len(label) <= 24 else label[:23] + "…"
