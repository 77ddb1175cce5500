"""Reads one source whole: every image decoded once, every label line parsed, and all that is wrong said at once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from detectiondata import annotated
from detectiondata.errors import DatasetError
from detectiondata.fetch import Fetched, Format
from detectiondata.labels import Bad, Row, parse
from detectiondata.layout import Boxes, Layout, NoLabels, Part, Sample, detect
from detectiondata.problems import Problem, summary

_THUMB = 8  # pictures are decoded to an eighth of their size


@dataclass(frozen=True)
class CheckedSample:
    """`length` is where the picture ends in its file; some cameras append bytes that readers stumble over."""

    image: Path
    rows: tuple[Row, ...]
    labelled: bool
    sha256: str
    length: int


@dataclass(frozen=True)
class CheckedSource:
    fetched: Fetched
    names: tuple[str, ...]
    parts: Mapping[Part, tuple[CheckedSample, ...]]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Picture:
    """`length` is where it ends in its file's bytes; `thumb` is its (width, height) scaled down to an eighth."""

    length: int
    thumb: tuple[int, int]


def check_source(fetched: Fetched, format: Format, fallback_names: tuple[str, ...] | None) -> CheckedSource:
    """Raises DatasetError with counts and the first files of each problem.

    `fallback_names` are the parent's classes, for a dataset that names none.
    """
    layout = _layout(fetched.root, fetched.uri, format)
    names = layout.names or fallback_names
    if names is None:
        raise DatasetError(
            f"{fetched.uri} names no classes; add a data.yaml with `names:`, or a classes.txt with one a line",
        )
    parts, problems = _read(fetched.root, layout, len(names))
    problems = [*layout.problems, *problems]
    if problems:
        total = sum(len(samples) for samples in layout.parts.values())
        raise DatasetError(f"{fetched.uri} ({total} images) has {summary(problems)}")
    checked: tuple[Part, Part] = ("train", "val")
    for part in checked:
        samples = parts.get(part)
        if samples is not None and not any(sample.rows for sample in samples):
            raise DatasetError(f"{fetched.uri}: none of the {len(samples)} images of {part} has a labelled object")
    return CheckedSource(fetched, names, parts, layout.notes)


def _layout(root: Path, uri: str, format: Format) -> Layout:
    """Auto means YOLO wherever one image has a label file, else COCO."""
    if format == "COCO":
        found = annotated.detect(root, uri)
        if found is None:
            raise DatasetError(
                f"{uri} holds no COCO annotations, a .json file with images, annotations and categories; add it, or "
                "leave out format to have it found out",
            )
        return found
    try:
        return detect(root, uri)
    except NoLabels:
        found = annotated.detect(root, uri) if format == "Auto" else None
        if found is None:
            raise
        return found


def _read(root: Path, layout: Layout, classes: int) -> tuple[dict[Part, tuple[CheckedSample, ...]], list[Problem]]:
    problems: list[Problem] = []
    parts: dict[Part, tuple[CheckedSample, ...]] = {}
    with ThreadPoolExecutor(max(len(os.sched_getaffinity(0)), 2)) as pool:
        for part, samples in layout.parts.items():
            checked: list[CheckedSample] = []
            for result in pool.map(lambda sample: _read_one(root, sample, classes), samples, chunksize=1):
                if isinstance(result, Problem):
                    problems.append(result)
                else:
                    checked.append(result)
            parts[part] = tuple(checked)
    return parts, problems


def _read_one(root: Path, sample: Sample, classes: int) -> CheckedSample | Problem:
    content = (root / sample.image).read_bytes()
    picture = read_picture(content)
    if picture is None:
        return Problem("images that can't be read", sample.image, "empty, cut short or no picture")
    rows: list[Row] = []
    if sample.label is not None:
        try:
            rows = parse((root / sample.label).read_text(encoding="utf-8-sig"), classes)
        except Bad as bad:
            return Problem(f"label files {bad.kind}", sample.label, bad.detail)
        except UnicodeDecodeError:
            return Problem("label files that are no text", sample.label, "")
    if sample.boxes is not None:
        wrong = _other_size(sample.boxes, picture)
        if wrong:
            return Problem("images of another size than annotated", sample.image, wrong)
        rows = list(sample.boxes.rows)
    labelled = sample.label is not None or sample.boxes is not None
    digest = hashlib.sha256(content).hexdigest()
    return CheckedSample(root / sample.image, tuple(rows), labelled, digest, picture.length)


def _other_size(boxes: Boxes, picture: Picture) -> str | None:
    """As far as the thumbnail tells, which is enough for a turned or a scaled picture."""
    annotated = (boxes.width, boxes.height)
    if all(abs(thumb * _THUMB - length) < _THUMB for thumb, length in zip(picture.thumb, annotated, strict=True)):
        return None
    width, height = (thumb * _THUMB for thumb in picture.thumb)
    return f"annotated as {boxes.width}x{boxes.height} pixels and about {width}x{height}"


def read_picture(content: bytes) -> Picture | None:
    """None for what can't be decoded whole.

    OpenCV paints what is missing of a picture grey and says nothing, so the end marks are looked for.
    """
    length = len(content)
    if content.startswith(b"\xff\xd8"):
        end = content.rfind(b"\xff\xd9")
        if end < 0:
            return None
        length = end + 2
    elif content.startswith(b"\x89PNG"):
        end = content.rfind(b"IEND")
        if end < 0:
            return None
        length = end + 8
    try:
        # the smallest of OpenCV's reduced sizes: all of the stream is read, little of it computed
        picture = cv2.imdecode(np.frombuffer(content, dtype=np.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_8)
    except cv2.error:
        return None
    return None if picture is None or picture.size == 0 else Picture(length, (picture.shape[1], picture.shape[0]))
