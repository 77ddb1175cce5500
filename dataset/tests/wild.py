"""A small dataset of which everything is known, written as other people's tools write theirs, and read back.

Eight pictures of 60x40 pixels in three parts, three classes that are not in the alphabet's order, one box on each whose
pixels are known. The rows of `test_data_in_the_wild.py` are writers of it.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from detectiondata.fetch import Fetched, Format
from detectiondata.source import CheckedSource, check_source

NAMES = ("nut", "washer", "bolt")
WIDTH, HEIGHT = 60, 40
STEMS = tuple(f"im{number}" for number in range(8))
PARTS = dict(zip(STEMS, ["train"] * 5 + ["val"] * 2 + ["test"], strict=True))
NAMED = "names:\n  0: nut\n  1: washer\n  2: bolt\n"
PLAIN = "train: images/train\nval: images/val\ntest: images/test\n" + NAMED
LIST = "nut\nwasher\nbolt\n"

Box = tuple[str, int, int, int, int]  # class, left, top, right, bottom in pixels
Truth = dict[str, tuple[str, Box]]  # stem to part and box


def box(stem: str) -> Box:
    number = STEMS.index(stem)
    return NAMES[number % 3], 5 + 4 * number, 4 + number, 17 + 4 * number, 14 + number


TRUTH: Truth = {stem: (PARTS[stem], box(stem)) for stem in STEMS}


def picture(stem: str, format: str = "JPEG", **how: Any) -> bytes:
    pixels = np.random.default_rng(STEMS.index(stem)).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format, **how)
    return stream.getvalue()


def numbers(stem: str) -> tuple[float, float, float, float]:
    _, left, top, right, bottom = box(stem)
    return (left + right) / 2 / WIDTH, (top + bottom) / 2 / HEIGHT, (right - left) / WIDTH, (bottom - top) / HEIGHT


def line(stem: str, *more: float) -> str:
    return " ".join([str(NAMES.index(box(stem)[0])), *(f"{value:.6f}" for value in (*numbers(stem), *more))]) + "\n"


def corners(stem: str) -> str:
    name, left, top, right, bottom = box(stem)
    points = (left, top), (right, top), (right, bottom), (left, bottom)
    flat = [f"{x / WIDTH:.6f} {y / HEIGHT:.6f}" for x, y in points]
    return f"{NAMES.index(name)} {' '.join(flat)}\n"


@dataclass
class Folder:
    """Where a row writes."""

    root: Path

    def put(self, name: str, content: str | bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def yolo(
        self,
        image: str = "images/{part}/{stem}.jpg",
        label: str = "labels/{part}/{stem}.txt",
        rows: Callable[[str], str] = line,
        yaml: str | None = PLAIN,
        stems: Iterable[str] = STEMS,
    ) -> None:
        for stem in stems:
            self.put(image.format(part=PARTS[stem], stem=stem), picture(stem))
            self.put(label.format(part=PARTS[stem], stem=stem), rows(stem))
        if yaml is not None:
            self.put("data.yaml", yaml)

    def lists(self, line: str, name: str = "{part}.txt", parts: Iterable[str] = ("train", "val", "test")) -> None:
        for part in parts:
            lines = [line.format(part=part, stem=stem) for stem in STEMS if PARTS[stem] == part]
            self.put(name.format(part=part), "\n".join(lines) + "\n")

    def coco(self, **changes: Callable[[str], Any]) -> None:
        """One file for each part; `changes` are values of keys of each annotation."""
        for stem in STEMS:
            self.put(f"{PARTS[stem]}/{stem}.jpg", picture(stem))
        for part in ("train", "val", "test"):
            self.put(f"{part}/_annotations.coco.json", json.dumps(document(part, **changes)))


def document(part: str, **changes: Callable[[str], Any]) -> dict[str, Any]:
    stems = [stem for stem in STEMS if PARTS[stem] == part]
    annotations = []
    for stem in stems:
        name, left, top, right, bottom = box(stem)
        plain = {
            "id": STEMS.index(stem),
            "image_id": STEMS.index(stem),
            "category_id": NAMES.index(name) + 1,
            "bbox": [left, top, right - left, bottom - top],
            "iscrowd": 0,
        }
        annotations.append(plain | {key: change(stem) for key, change in changes.items()})
    return {
        "images": [
            {"id": STEMS.index(stem), "file_name": f"{stem}.jpg", "width": WIDTH, "height": HEIGHT} for stem in stems
        ],
        "annotations": annotations,
        "categories": [{"id": number + 1, "name": name} for number, name in enumerate(NAMES)],
    }


def read(root: Path, format: Format = "Auto") -> CheckedSource:
    return check_source(Fetched("s3://d/wild", root, "0" * 64), format, None)


def found(source: CheckedSource) -> Truth:
    """What was read, to compare with TRUTH: the box in whole pixels."""
    seen: Truth = {}
    for part, samples in source.parts.items():
        for sample in samples:
            [row] = sample.rows
            x, y, width, height = row.box
            edges = (
                (x - width / 2) * WIDTH,
                (y - height / 2) * HEIGHT,
                (x + width / 2) * WIDTH,
                (y + height / 2) * HEIGHT,
            )
            left, top, right, bottom = map(round, edges)
            stem = next(stem for stem in STEMS if stem in sample.image.name.lower())
            assert stem not in seen, f"{stem} twice"
            seen[stem] = part, (source.names[row.index], left, top, right, bottom)
    return seen
