"""Which files of a folder are images, which are their labels, and which part (train, val, test) each belongs to.

What people call a YOLO dataset has many shapes. All of them follow from three rules:

1. The part of an image is the nearest folder above it whose name is a part's (`train`, `valid`, `val2017`, ...), so
   `train/images/a.jpg`, `images/train/a.jpg`, `v7/images/train/a.jpg` and `export/set/train/images/a.jpg` are alike.
2. Its labels are where `images` in its path is replaced by `labels`, else beside the image.
3. A `data.yaml` says the class names, and the parts where its paths lead to images inside the dataset; paths from the
   machine that wrote it are common, and then rule 1 holds.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from detectiondata.description import Description, read_descriptions
from detectiondata.errors import DatasetError
from detectiondata.labels import Row
from detectiondata.problems import Problem

Part = Literal["train", "val", "test"]
PARTS: tuple[Part, ...] = ("train", "val", "test")
IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})

_PART_NAMES: Mapping[str, Part] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
_PART = re.compile(r"^(train|training|val|valid|validation|test|testing)[-_]?\d*$")


@dataclass(frozen=True)
class Boxes:
    """What an annotation file says of an image: its objects, and the size in pixels that they were measured on."""

    rows: tuple[Row, ...]
    width: int
    height: int


@dataclass(frozen=True)
class Sample:
    """Paths relative to the dataset's root. `label` is None for an image without a label file of its own."""

    image: str
    label: str | None
    boxes: Boxes | None = None


@dataclass(frozen=True)
class Layout:
    """`parts` holds the parts that exist; images under no part's folder count as `train`."""

    parts: Mapping[Part, tuple[Sample, ...]]
    names: tuple[str, ...] | None
    notes: tuple[str, ...]
    problems: tuple[Problem, ...] = ()


class NoLabels(DatasetError):
    """There are images, and no YOLO label file for any of them."""


def detect(root: Path, uri: str) -> Layout:
    """Reads file names, data.yaml and classes.txt, no image.

    Raises DatasetError that says what was found; NoLabels where another kind of annotation may be.
    """
    files, images = listing(root, uri)
    present = frozenset(files)
    description = read_descriptions(root, files, uri)
    parts, notes = _parts(images, description, present, uri)
    samples: dict[Part, tuple[Sample, ...]] = {
        part: tuple(Sample(image, _label_of(image, present)) for image in parts[part])
        for part in PARTS
        if part in parts
    }
    if not any(sample.label for part in samples.values() for sample in part):
        raise NoLabels(_no_labels(images, files, uri))
    return Layout(samples, description.names, tuple(notes))


def listing(root: Path, uri: str) -> tuple[list[str], list[str]]:
    """All files of the dataset, and those that are images; sorted. Raises DatasetError for no image."""
    files = sorted(_walk(root))
    images = [name for name in files if PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES]
    if not images:
        raise DatasetError(f"{uri} holds no image ({_kinds()}); found {some(files, 'file')}")
    return files, images


def _walk(root: Path) -> Iterator[str]:
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__MACOSX")
        for name in names:
            if not name.startswith("."):
                yield (Path(folder) / name).relative_to(root).as_posix()


def _parts(
    images: list[str], description: Description, present: frozenset[str], uri: str
) -> tuple[dict[Part, list[str]], list[str]]:
    notes: list[str] = []
    if description.parts:
        named, unresolved = _named_parts(images, description, present)
        if not unresolved and "train" in named:
            if named.get("val") and set(named["val"]) == set(named["train"]):
                raise DatasetError(
                    f"{uri}: {description.file} names the same images for train and val; leave val out to have a share "
                    "of train held back",
                )
            return named, notes
        if unresolved:
            notes.append(f"{uri}: {description.file} names {unresolved[0]}, which is not there; went by folder names")
    return _parts_by_folder(images, notes, uri), notes


def _parts_by_folder(images: list[str], notes: list[str], uri: str) -> dict[Part, list[str]]:
    parts: dict[Part, list[str]] = {}
    loose: list[str] = []
    for image in images:
        part = part_above(image)
        if part is None:
            loose.append(image)
        else:
            parts.setdefault(part, []).append(image)
    if not parts:
        return {"train": loose}
    if loose:
        notes.append(f"{uri}: {some(loose, 'image')} outside the folders of train, val and test left out")
    return parts


def part_above(file: str) -> Part | None:
    """The part that the nearest folder above `file` is called after."""
    return next(filter(None, map(part_called, reversed(PurePosixPath(file).parts[:-1]))), None)


def part_called(name: str) -> Part | None:
    """The part that `name` is a name of: "train", "val2017", "Testing", ..."""
    found = _PART.match(name.lower())
    return _PART_NAMES[found.group(1)] if found else None


def _named_parts(
    images: list[str], description: Description, present: frozenset[str]
) -> tuple[dict[Part, list[str]], list[str]]:
    """The parts a data.yaml names, and the paths in it that lead to no image of the dataset."""
    named: dict[Part, list[str]] = {}
    unresolved: list[str] = []
    for part, entries in description.parts.items():
        found: list[str] = []
        for entry in entries:
            below = _resolve(entry, images, description, present)
            if below:
                found.extend(below)
            else:
                unresolved.append(f"{part}: {entry}")
        if found:
            named[part] = sorted(set(found))
    return named, unresolved


def _resolve(entry: str, images: list[str], description: Description, present: frozenset[str]) -> list[str]:
    for candidate in description.candidates(entry):
        if candidate in present and candidate.endswith(".txt"):
            return description.listed(candidate, frozenset(images))
        prefix = "" if candidate == "." else f"{candidate}/"
        below = [image for image in images if image.startswith(prefix)]
        if below:
            return below
    return []


def _label_of(image: str, present: frozenset[str]) -> str | None:
    path = PurePosixPath(image)
    for number in reversed(range(len(path.parts) - 1)):
        part = path.parts[number]
        if part.lower() == "images":
            for labels in dict.fromkeys(("labels" if part.islower() else "Labels", "labels", "Labels", "LABELS")):
                swapped = PurePosixPath(*path.parts[:number], labels, *path.parts[number + 1 :]).with_suffix(".txt")
                if str(swapped) in present:
                    return str(swapped)
            break
    beside = str(path.with_suffix(".txt"))
    return beside if beside in present else None


def _no_labels(images: list[str], files: list[str], uri: str) -> str:
    looked = PurePosixPath(images[0])
    places = [str(looked.with_suffix(".txt"))]
    if "images" in looked.parts[:-1]:
        number = len(looked.parts) - 2 - list(reversed(looked.parts[:-1])).index("images")
        places.insert(
            0, str(PurePosixPath(*looked.parts[:number], "labels", *looked.parts[number + 1 :]).with_suffix(".txt"))
        )
    message = f"{uri} holds no label for any of its {len(images)} images; "
    message += f"those of {images[0]} were looked for at {' and '.join(places)}"
    others = [name for name in files if name.lower().endswith((".json", ".xml"))]
    if others:
        message += f"; {others[0]} looks like another annotation format: convert it to YOLO label files or to COCO"
    return message


def _kinds() -> str:
    return " ".join(sorted(IMAGE_SUFFIXES))


def some(names: Iterable[str], what: str, limit: int = 3) -> str:
    """A count and the first names: "2 files (a, b)"."""
    listed = list(names)
    if not listed:
        return f"no {what} at all"
    more = ", ..." if len(listed) > limit else ""
    return f"{len(listed)} {what}{'s' if len(listed) != 1 else ''} ({', '.join(listed[:limit])}{more})"
