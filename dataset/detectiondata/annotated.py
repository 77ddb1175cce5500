"""A dataset with COCO annotation files: which part each file speaks of, and which images it means.

1. The part is in the file's name (`instances_train2017.json`), else in a folder above it
   (`valid/_annotations.coco.json`); a dataset whose files name no part is all `train`.
2. An image is where its `file_name` ends a path of the dataset; of several places that of the same part, then the
   nearest to the annotation file. Absolute names come from another machine: as much of their end as leads somewhere.
3. What no annotation file lists is left out, and said.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path, PurePosixPath

from detectiondata import coco
from detectiondata.coco import Annotations
from detectiondata.errors import DatasetError
from detectiondata.jsonstream import Malformed
from detectiondata.labels import Row
from detectiondata.layout import PARTS, Boxes, Layout, Part, Sample, listing, part_above, part_called, some
from detectiondata.problems import Problem

_INSTANCES = "instances_"  # beside these lie captions_, person_keypoints_, ... of the same images
_WORDS = re.compile(r"[^A-Za-z0-9]+")
_DRIVE = re.compile(r"^[A-Za-z]:")


@dataclass(frozen=True)
class _File:
    content: Annotations
    part: Part | None


def detect(root: Path, uri: str) -> Layout | None:
    """Reads the annotation files, no image; None where there is none.

    Raises DatasetError for a JSON file that can't be read, and where it is unclear which part one speaks of.
    What is wrong inside the annotations is in the layout's `problems`.
    """
    names, images = listing(root, uri)
    files = [_File(content, _part_of(content.file)) for content in _read(root, _candidates(names), uri)]
    if not files:
        return None
    unnamed = [file.content.file for file in files if file.part is None]
    if unnamed and len(unnamed) < len(files):
        raise DatasetError(
            f"{uri}: {unnamed[0]} says neither by its name nor by its folder whether it is train, val or test, and "
            "other annotation files do; rename or remove it",
        )
    files.sort(key=lambda file: PARTS.index(file.part or "train"))
    classes = tuple(dict.fromkeys(name for file in files for name in file.content.names))
    problems = [problem for file in files for problem in file.content.problems]
    parts: dict[Part, tuple[Sample, ...]] = {}
    places = _Places(images)
    for file in files:
        part = file.part or "train"
        samples = tuple(_samples(file, classes, places, problems))
        parts[part] = (*parts.get(part, ()), *samples)
    return Layout(parts, classes, tuple(_notes(files, images, places, uri)), tuple(problems))


def _candidates(names: Iterable[str]) -> list[str]:
    found = [name for name in names if name.lower().endswith(".json")]
    official = [name for name in found if PurePosixPath(name).name.startswith(_INSTANCES)]
    return official or found


def _read(root: Path, names: Iterable[str], uri: str) -> Iterator[Annotations]:
    for name in names:
        try:
            with (root / name).open(encoding="utf-8-sig") as stream:
                content = coco.read(stream, name)
        except (Malformed, UnicodeDecodeError) as error:
            raise DatasetError(f"{uri}: {name} is not JSON: {error}") from None
        if content is not None:
            yield content


def _part_of(file: str) -> Part | None:
    words = _WORDS.split(PurePosixPath(file).stem)
    return next(filter(None, map(part_called, words)), None) or part_above(file)


def _samples(file: _File, classes: Sequence[str], places: _Places, problems: list[Problem]) -> Iterator[Sample]:
    indices = tuple(classes.index(name) for name in file.content.names)
    for image in file.content.images:
        found = places.of(image.name, file)
        if isinstance(found, str):
            rows = tuple(Row(indices[row.index], row.numbers) for row in image.rows)
            yield Sample(found, None, Boxes(rows, image.width, image.height))
        else:
            problems.append(found)


class _Places:
    """Where the images are, by the ends of their paths. Each is given out once."""

    def __init__(self, images: Iterable[str]) -> None:
        self._by_name: Mapping[str, list[str]] = defaultdict(list)
        for image in images:
            self._by_name[PurePosixPath(image).name].append(image)
        self.given: dict[str, str] = {}  # image to the annotation file that lists it

    def of(self, name: str, file: _File) -> str | Problem:
        """The image that `file` calls `name`."""
        found = self._ending(name)
        if len(found) > 1 and file.part is not None:
            found = [image for image in found if part_above(image) == file.part] or found
        if len(found) > 1:
            nearness = {image: _shared(image, file.content.file) for image in found}
            found = [image for image in found if nearness[image] == max(nearness.values())]
        if not found:
            return Problem("images that are listed and not there", file.content.file, name)
        if len(found) > 1:
            return Problem("image names that fit several files", file.content.file, f"{name}: {', '.join(found[:2])}")
        [image] = found
        if image in self.given:
            return Problem("images listed twice", file.content.file, f"{name}, before in {self.given[image]}")
        self.given[image] = file.content.file
        return image

    def _ending(self, name: str) -> list[str]:
        plain = name.replace("\\", "/")
        here = _DRIVE.sub("", plain)
        parts = [part for part in here.split("/") if part not in ("", ".", "..")]
        foreign = here != plain or here.startswith("/") or ".." in here.split("/")
        for start in range(len(parts) if foreign else min(len(parts), 1)):
            tail = parts[start:]
            found = [image for image in self._by_name.get(parts[-1], ()) if image.split("/")[-len(tail) :] == tail]
            if found:
                return found
        return []


def _shared(image: str, file: str) -> int:
    """How many folders both lie in."""
    pairs = zip(PurePosixPath(image).parts[:-1], PurePosixPath(file).parts[:-1], strict=False)
    return len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))


def _notes(files: Sequence[_File], images: Sequence[str], places: _Places, uri: str) -> Iterator[str]:
    """What was left out or derived by rule: no error, and worth knowing."""
    for count, what in (
        (sum(file.content.crowds for file in files), "crowd annotations (iscrowd) left out"),
        (sum(file.content.outlined for file in files), "annotations without a bbox took that of their polygons"),
        (sum(file.content.flat for file in files), "boxes without area left out"),
    ):
        if count:
            yield f"{uri}: {count} {what}"
    unlisted = [image for image in images if image not in places.given]
    if unlisted:
        yield f"{uri}: {some(unlisted, 'image')} in no annotation file left out"
