"""A dataset with COCO annotation files: which part each file speaks of, and which images it means.

1. The part is in the file's name (`instances_train2017.json`), else in a folder above it
   (`valid/_annotations.coco.json`); where files name no part, the folders of the images do, and without any all is
   `train`.
2. An image is where its `file_name` ends a path of the dataset; of several places that of the same part, then the
   nearest to the annotation file. Absolute names come from another machine: as much of their end as leads somewhere.
3. What no annotation file lists is left out, and said.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from detectiondata import coco, inventory
from detectiondata.coco import Annotations
from detectiondata.errors import DatasetError
from detectiondata.inventory import Inventory
from detectiondata.jsonstream import Malformed
from detectiondata.labels import Row
from detectiondata.layout import Boxes, Layout, Ledger, Sample
from detectiondata.parts import PARTS, Part, by_folder, part_above, part_called
from detectiondata.problems import Problem
from detectiondata.resolve import Names, Written, nearest

CROWDS = "of crowds (iscrowd)"
FLAT = "without area"
UNPLACED = "of images that are left out"
_INSTANCES = "instances_"  # beside these lie captions_, person_keypoints_, ... of the same images
_WORDS = re.compile(r"[^A-Za-z0-9]+")
_SECTION = re.compile(rb'"(?:images|annotations|categories)"')
_IMAGES = re.compile(rb'"images"')
_HEAD = 1 << 16  # bytes that tell what a JSON file is meant to be


@dataclass(frozen=True)
class _File:
    content: Annotations
    part: Part | None


def detect(root: Path, uri: str) -> Layout | None:
    """Reads the annotation files, no image; None where there is none.

    Raises DatasetError for a JSON file that can't be read, and where it is unclear which part one speaks of.
    What is wrong inside the annotations is in the layout's `problems`.
    """
    found = inventory.take(root, uri)
    contents, halves = _read(root, _candidates(found.files), uri)
    files = [_File(content, _part_of(content.file)) for content in contents]
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
    parts: dict[Part, list[Sample]] = {}
    places = _Places(found.images)
    undivided: list[Sample] = []
    for file in files:
        samples = list(_samples(file, classes, places, problems))
        if file.part is None:
            undivided += samples
        else:
            parts[file.part] = [*parts.get(file.part, ()), *samples]
    left: list[tuple[Sample, str]] = []
    if unnamed:
        parts, left = _by_folder(undivided)
    divided = {part: tuple(parts[part]) for part in PARTS if part in parts}
    return Layout(
        divided, classes, tuple(_notes(files, halves, uri)), _ledger(found, files, places, left), tuple(problems)
    )


def _by_folder(samples: Sequence[Sample]) -> tuple[dict[Part, list[Sample]], list[tuple[Sample, str]]]:
    """What no annotation file divides: the parts, and what lies outside their folders, with the reason."""
    of = {sample.image: sample for sample in samples}
    parts, left = by_folder(of)
    return {part: [of[image] for image in parts[part]] for part in parts}, [(of[each], left[each]) for each in left]


def files(root: Path, names: Iterable[str], uri: str) -> list[str]:
    """Those of `names` that are COCO annotations. Raises DatasetError for one that is damaged."""
    return [content.file for content in _read(root, _candidates(names), uri, alone=False)[0]]


def _candidates(names: Iterable[str]) -> list[str]:
    found = [name for name in names if name.lower().endswith(".json")]
    official = [name for name in found if PurePosixPath(name).name.startswith(_INSTANCES)]
    return official or found


def _read(root: Path, names: Iterable[str], uri: str, *, alone: bool = True) -> tuple[list[Annotations], list[str]]:
    """Other JSON may lie beside: predictions, lists of tasks. It is refused where it looks like damaged annotations,
    and where there are no others and nothing else that could be (`alone`). The second is those that lack a section."""
    read: list[Annotations] = []
    halves: list[str] = []
    broken: list[str] = []
    for name in names:
        try:
            with (root / name).open(encoding="utf-8-sig") as stream:
                content = coco.read(stream, name)
        except (Malformed, UnicodeDecodeError) as error:
            if _is_list(root / name):
                continue
            text = isinstance(error, UnicodeDecodeError)
            said = f"{uri}: {name} is not " + ("UTF-8 text; save it as UTF-8" if text else f"JSON: {error}")
            if _is_meant(root / name):
                raise DatasetError(said) from None
            broken.append(said)
        else:
            if content is not None:
                read.append(content)
            elif _is_meant(root / name, _IMAGES):
                halves.append(name)
    if broken and alone and not read:
        raise DatasetError(broken[0])
    return read, halves


def _is_list(path: Path) -> bool:
    """Results, tasks and their like, which are lists; and a file of nothing."""
    with path.open("rb") as file:
        start = file.read(_HEAD).lstrip(b"\xef\xbb\xbf \t\r\n")
    return not start or start.startswith(b"[")


def _is_meant(path: Path, mark: re.Pattern[bytes] = _SECTION) -> bool:
    """In any encoding: PowerShell writes UTF-16."""
    with path.open("rb") as file:
        return mark.search(file.read(_HEAD).replace(b"\0", b"")) is not None


def _part_of(file: str) -> Part | None:
    words = _WORDS.split(PurePosixPath(file).stem)
    return next(filter(None, map(part_called, words)), None) or part_above(file)


def _samples(file: _File, classes: Sequence[str], places: _Places, problems: list[Problem]) -> Iterator[Sample]:
    indices = tuple(classes.index(name) for name in file.content.names)
    for image in file.content.images:
        found = places.of(image.name, file)
        if isinstance(found, str):
            rows, turned = _reindexed(image.rows, indices), image.turned
            shown = None if turned is None else _reindexed(turned, indices)
            yield Sample(found, None, Boxes(rows, image.width, image.height, shown, image.outside))
        else:
            problems.append(found)


def _reindexed(rows: Iterable[Row], indices: Sequence[int]) -> tuple[Row, ...]:
    return tuple(Row(indices[row.index], row.numbers) for row in rows)


class _Places:
    """Where the images are, by the ends of their paths. Each is given out once."""

    def __init__(self, images: Iterable[str]) -> None:
        self._names = Names(images)
        self.given: dict[str, str] = {}  # image to the annotation file that lists it

    def of(self, name: str, file: _File) -> str | Problem:
        """The image that `file` calls `name`."""
        found = self._ending(name)
        if len(found) > 1 and file.part is not None:
            found = [image for image in found if part_above(image) == file.part] or found
        if len(found) > 1:
            found = nearest(found, file.content.file)
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
        written = Written.of(name)
        steps = written.steps
        foreign = written.foreign or "\\" in name or ".." in name.replace("\\", "/").split("/")
        for start in range(len(steps) if foreign else min(len(steps), 1)):
            found = self._names.ending(steps[start:])
            if found:
                return found
        return []


def _notes(files: Sequence[_File], halves: Sequence[str], uri: str) -> Iterator[str]:
    """What was derived by rule: no error, and worth knowing."""
    if halves:
        told = inventory.some(halves, "JSON file")
        yield f"{uri}: {told} without one of images, annotations and categories: no COCO annotations, and not read"
    for count, what in (
        (
            sum(file.content.outlined for file in files),
            "annotations without a bbox took that of their polygons or mask",
        ),
        (
            sum(file.content.masks for file in files),
            "annotations are marked as crowds (iscrowd), too many to be any: taken as masks of objects, as tools mark "
            "them; remove those that are groups",
        ),
    ):
        if count:
            yield f"{uri}: {count} {what}"


def _ledger(found: Inventory, files: Sequence[_File], places: _Places, left: Sequence[tuple[Sample, str]]) -> Ledger:
    used = {file.content.file for file in files}
    unlisted = [image for image in found.images if image not in places.given]
    others = Counter(
        PurePosixPath(name).suffix.lower() or "no suffix" for name in found.files if name not in {*found.images, *used}
    )
    kinds = {"annotation files": len(used), "hidden": len(found.hidden), **others}
    return Ledger(
        files=len(found.files) + len(found.hidden),
        images=(*(("in no annotation file", image) for image in unlisted), *((why, each.image) for each, why in left)),
        other={kind: count for kind, count in kinds.items() if count},
        annotations={
            CROWDS: sum(file.content.crowds for file in files),
            FLAT: sum(file.content.flat for file in files),
            UNPLACED: sum(len(each.boxes.rows) for each, _ in left if each.boxes is not None),
        },
        listed=sum(file.content.listed for file in files),
    )
