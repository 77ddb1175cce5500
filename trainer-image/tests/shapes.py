"""A small detection dataset drawn from a seed: coloured shapes on cluttered backgrounds, in YOLO layout.

Nothing can be downloaded where the tests run, and a detector learns this in seconds on a processor. Every image holds
one to four objects of the named classes, some overlapping the edge of clutter that is not to be detected (lines,
speckles, blotches of the same colours). The same seed draws the same bytes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
CLASSES = ("disc", "square", "star")


@dataclass(frozen=True)
class Box:
    """Class index, then centre and size as fractions of the image: one line of a YOLO label file."""

    index: int
    x: float
    y: float
    width: float
    height: float

    def line(self) -> str:
        return f"{self.index} {self.x:.6f} {self.y:.6f} {self.width:.6f} {self.height:.6f}"


def draw(rng: np.random.Generator, size: int) -> tuple[Image, list[Box]]:
    """One square image of `size` pixels and its boxes."""
    image = _background(rng, size)
    boxes: list[Box] = []
    taken: list[tuple[float, float, float]] = []
    for _ in range(int(rng.integers(1, 5))):
        radius = float(rng.uniform(0.09, 0.2) * size)
        x, y = rng.uniform(radius + 1, size - radius - 1, 2)
        if any(math.hypot(x - other_x, y - other_y) < radius + other for other_x, other_y, other in taken):
            continue  # objects of this set do not cover each other
        taken.append((x, y, radius))
        index = int(rng.integers(len(CLASSES)))
        outline = _outline(CLASSES[index], x, y, radius, float(rng.uniform(0, 2 * math.pi)))
        colour = tuple(int(value) for value in rng.integers(0, 256, 3))
        cv2.fillPoly(image, [outline], colour, cv2.LINE_AA)
        cv2.polylines(image, [outline], True, tuple(255 - value for value in colour), max(size // 160, 1), cv2.LINE_AA)
        left, top = outline.min(axis=0) / size
        right, bottom = outline.max(axis=0) / size
        boxes.append(
            Box(index, float(left + right) / 2, float(top + bottom) / 2, float(right - left), float(bottom - top))
        )
    noise = rng.normal(0, 6, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8), boxes


def write(root: Path, *, train: int, val: int = 0, size: int = 160, seed: int = 0, yaml: bool = True) -> Path:
    """Writes `train/images`, `train/labels`, `val/...` and `data.yaml` below `root`, and returns it."""
    rng = np.random.default_rng(seed)
    for part, count in (("train", train), ("val", val)):
        for number in range(count):
            image, boxes = draw(rng, size)
            write_pair(root / part / "images" / f"{part}{number:04}.jpg", image, boxes)
    if yaml:
        parts = "train: train/images\n" + ("val: val/images\n" if val else "")
        (root / "data.yaml").write_text(f"{parts}names: [{', '.join(CLASSES)}]\n")
    return root


def write_pair(path: Path, image: Image, boxes: list[Box]) -> None:
    """Writes one image, and its labels in the `labels` folder beside its `images` folder."""
    label = path.parent.parent / "labels" / path.with_suffix(".txt").name
    for folder in (path.parent, label.parent):
        folder.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, 92])
    label.write_text("".join(box.line() + "\n" for box in boxes))


def _background(rng: np.random.Generator, size: int) -> Image:
    coarse = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    image = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
    for _ in range(int(rng.integers(8, 20))):
        start, end = rng.integers(0, size, 2), rng.integers(0, size, 2)
        colour = tuple(int(value) for value in rng.integers(0, 256, 3))
        cv2.line(image, tuple(map(int, start)), tuple(map(int, end)), colour, int(rng.integers(1, 4)), cv2.LINE_AA)
    for _ in range(int(rng.integers(10, 40))):
        colour = tuple(int(value) for value in rng.integers(0, 256, 3))
        centre = tuple(int(value) for value in rng.integers(0, size, 2))
        cv2.circle(image, centre, int(rng.integers(1, max(size // 50, 2))), colour, -1, cv2.LINE_AA)
    return image


def _outline(name: str, x: float, y: float, radius: float, turn: float) -> npt.NDArray[np.int32]:
    if name == "disc":
        corners, radii = 36, [radius]
    elif name == "square":
        corners, radii = 4, [radius]
    else:
        corners, radii = 10, [radius, radius * 0.45]
    angles = turn + np.arange(corners) * (2 * math.pi / corners)
    lengths = np.resize(np.array(radii), corners)
    points = np.stack([x + lengths * np.cos(angles), y + lengths * np.sin(angles)], axis=1)
    return points.round().astype(np.int32)
