"""Reads one source whole: every image decoded once, every label line parsed, and all that is wrong said at once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from trainer.dataset.fetch import Fetched
from trainer.dataset.labels import Bad, Row, parse
from trainer.dataset.layout import Layout, Part, Sample, detect
from trainer.failure import Failure
from trainer.run import Format

_NAMED = 3  # offending files named per kind of problem


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
class _Problem:
    kind: str
    file: str
    detail: str


def check_source(fetched: Fetched, format: Format, fallback_names: tuple[str, ...] | None) -> CheckedSource:
    """Raises Failure DatasetInvalid with counts and the first files of each problem.

    `fallback_names` are the parent's classes, for a dataset that names none.
    """
    if format == "COCO":
        raise Failure(
            "DatasetInvalid", f"{fetched.uri}: format COCO is not read by this release; convert it to YOLO labels"
        )
    layout = detect(fetched.root, fetched.uri)
    names = layout.names or fallback_names
    if names is None:
        raise Failure(
            "DatasetInvalid",
            f"{fetched.uri} names no classes; add a data.yaml with `names:`, or a classes.txt with one a line",
        )
    parts, problems = _read(fetched.root, layout, len(names))
    if problems:
        raise Failure("DatasetInvalid", _summary(fetched.uri, layout, problems))
    checked: tuple[Part, Part] = ("train", "val")
    for part in checked:
        samples = parts.get(part)
        if samples is not None and not any(sample.rows for sample in samples):
            raise Failure(
                "DatasetInvalid", f"{fetched.uri}: none of the {len(samples)} images of {part} has a labelled object"
            )
    return CheckedSource(fetched, names, parts, layout.notes)


def _read(root: Path, layout: Layout, classes: int) -> tuple[dict[Part, tuple[CheckedSample, ...]], list[_Problem]]:
    problems: list[_Problem] = []
    parts: dict[Part, tuple[CheckedSample, ...]] = {}
    with ThreadPoolExecutor(max(len(os.sched_getaffinity(0)), 2)) as pool:
        for part, samples in layout.parts.items():
            checked: list[CheckedSample] = []
            for result in pool.map(lambda sample: _read_one(root, sample, classes), samples, chunksize=1):
                if isinstance(result, _Problem):
                    problems.append(result)
                else:
                    checked.append(result)
            parts[part] = tuple(checked)
    return parts, problems


def _read_one(root: Path, sample: Sample, classes: int) -> CheckedSample | _Problem:
    content = (root / sample.image).read_bytes()
    length = picture_length(content)
    if length is None:
        return _Problem("images that can't be read", sample.image, "empty, cut short or no picture")
    rows: list[Row] = []
    if sample.label is not None:
        try:
            rows = parse((root / sample.label).read_text(encoding="utf-8-sig"), classes)
        except Bad as bad:
            return _Problem(f"label files {bad.kind}", sample.label, bad.detail)
        except UnicodeDecodeError:
            return _Problem("label files that are no text", sample.label, "")
    digest = hashlib.sha256(content).hexdigest()
    return CheckedSample(root / sample.image, tuple(rows), sample.label is not None, digest, length)


def picture_length(content: bytes) -> int | None:
    """Where the picture ends, or None if it can't be decoded whole.

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
    return None if picture is None or picture.size == 0 else length


def _summary(uri: str, layout: Layout, problems: Iterable[_Problem]) -> str:
    kinds: dict[str, list[_Problem]] = {}
    for problem in problems:
        kinds.setdefault(problem.kind, []).append(problem)
    total = sum(len(samples) for samples in layout.parts.values())
    texts = []
    for kind, group in sorted(kinds.items(), key=lambda item: -len(item[1])):
        shown = "; ".join(f"{problem.file} {problem.detail}".strip() for problem in group[:_NAMED])
        texts.append(f"{kind}: {len(group)} ({shown}{'; ...' if len(group) > _NAMED else ''})")
    return f"{uri} ({total} images) has " + ", ".join(texts)
