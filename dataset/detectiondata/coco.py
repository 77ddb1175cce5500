"""One COCO annotation file (`images`, `annotations`, `categories`), turned into the rows of YOLO labels. Pure.

Boxes are written as left, top, width and height in pixels, and become centre and size as fractions of the image.
Categories have arbitrary ids and become classes by name, in the order of their ids. What is wrong is collected and not
guessed at; what is left out by rule (crowds, boxes without area) is counted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TextIO, TypeGuard

from detectiondata.jsonstream import arrays
from detectiondata.labels import TOLERANCE, Row
from detectiondata.problems import Problem

_SECTIONS = ("images", "annotations", "categories")

Box = tuple[float, float, float, float]
Key = int | str


@dataclass(frozen=True)
class Annotated:
    """One image as the file lists it: its name as written, its size in pixels, its objects."""

    name: str
    width: int
    height: int
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Annotations:
    """A whole file. `crowds`, `outlined` and `flat` count annotations that were left out or whose box was derived."""

    file: str
    names: tuple[str, ...]
    images: tuple[Annotated, ...]
    problems: tuple[Problem, ...]
    crowds: int
    outlined: int
    flat: int


@dataclass
class _Listed:
    name: str
    width: int
    height: int
    rows: dict[Row, None] = field(default_factory=dict)  # identical annotations count once


@dataclass(frozen=True, slots=True)
class _Annotation:
    id: Any
    image: Any
    category: Any
    box: Box


def read(stream: TextIO, file: str) -> Annotations | None:
    """The annotations in `stream`; None for a JSON file of another kind. `file` is what problems call it.

    Raises Malformed for a text that is not valid JSON.
    """
    return _Reader(file).read(stream)


class _Reader:
    """Collects the three sections, whatever their order in the file, and joins them at the end."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._problems: list[Problem] = []
        self._images: dict[Key, _Listed] = {}
        self._categories: dict[Key, str] = {}
        self._groups: set[str] = set()  # names that are another category's supercategory
        self._annotations: list[_Annotation] = []
        self._crowds = self._outlined = self._flat = 0

    def read(self, stream: TextIO) -> Annotations | None:
        sections = {"images": self._image, "annotations": self._annotation, "categories": self._category}
        seen = set()
        for key, elements in arrays(stream):
            take = sections.get(key)
            if take is None:
                continue
            seen.add(key)
            for number, entry in enumerate(elements):
                if isinstance(entry, dict):
                    take(entry)
                else:
                    self._wrong(f"entries of {key} that are no objects", f"{key}[{number}]")
        if seen != set(_SECTIONS):
            return None
        names, indices = self._classes()
        for annotation in self._annotations:
            self._join(annotation, indices)
        images = tuple(
            Annotated(listed.name, listed.width, listed.height, tuple(listed.rows)) for listed in self._images.values()
        )
        return Annotations(self._file, names, images, tuple(self._problems), self._crowds, self._outlined, self._flat)

    def _wrong(self, kind: str, detail: str) -> None:
        self._problems.append(Problem(kind, self._file, detail))

    def _image(self, entry: Mapping[str, Any]) -> None:
        key, name = entry.get("id"), entry.get("file_name")
        width, height = entry.get("width"), entry.get("height")
        if not isinstance(key, (int, str)) or not isinstance(name, str) or not name:
            self._wrong("images without an id or a file_name", f"image {key!r}")
        elif not (_is_length(width) and _is_length(height)):
            self._wrong("images without their width and height", f"image {key!r} ({name})")
        elif key in self._images:
            self._wrong("image ids given twice", f"image {key!r} ({self._images[key].name} and {name})")
        else:
            self._images[key] = _Listed(name, width, height)

    def _category(self, entry: Mapping[str, Any]) -> None:
        key, name, group = entry.get("id"), entry.get("name"), entry.get("supercategory")
        text = name.strip() if isinstance(name, str) else ""
        if not isinstance(key, (int, str)) or not text:
            self._wrong("categories without an id or a name", f"category {key!r}")
        elif key in self._categories:
            self._wrong("category ids given twice", f"category {key!r} ({self._categories[key]} and {text})")
        else:
            self._categories[key] = text
            if isinstance(group, str) and group.strip() != text:
                self._groups.add(group.strip())

    def _annotation(self, entry: Mapping[str, Any]) -> None:
        if entry.get("iscrowd"):  # one box around many objects: nothing to learn a single one from
            self._crowds += 1
            return
        about = f"annotation {entry.get('id')!r}"
        given = entry.get("bbox")
        if given:
            box = _four(given)
            if box is None:
                self._wrong("boxes that are not four finite numbers", f"{about}: {given!r}"[:80])
                return
        else:
            box = _bounds(entry.get("segmentation"))
            if box is None:
                self._wrong("annotations with neither a bbox nor a polygon", about)
                return
            self._outlined += 1
        self._annotations.append(_Annotation(entry.get("id"), entry.get("image_id"), entry.get("category_id"), box))

    def _classes(self) -> tuple[tuple[str, ...], dict[Key, int]]:
        """Class names and the index of each category. A group that no annotation uses is no class."""
        used = {annotation.category for annotation in self._annotations if isinstance(annotation.category, (int, str))}
        ordered = sorted(self._categories, key=lambda key: (isinstance(key, str), key))
        kept = [key for key in ordered if key in used or self._categories[key] not in self._groups]
        names = tuple(dict.fromkeys(self._categories[key] for key in kept))
        return names, {key: names.index(self._categories[key]) for key in kept}

    def _join(self, annotation: _Annotation, indices: Mapping[Key, int]) -> None:
        about = f"annotation {annotation.id!r}"
        listed = self._images.get(annotation.image) if isinstance(annotation.image, (int, str)) else None
        if listed is None:
            self._wrong("annotations of images that are not listed", f"{about}: image {annotation.image!r}")
            return
        index = indices.get(annotation.category) if isinstance(annotation.category, (int, str)) else None
        if index is None:
            self._wrong("annotations of unknown categories", f"{about}: category {annotation.category!r}")
            return
        left, top, width, height = annotation.box
        about += f" of {listed.name}: {left:g} {top:g} {width:g} {height:g}"
        if width < 0 or height < 0:
            self._wrong("boxes of negative size", about)
            return
        numbers = _fractions(annotation.box, listed)
        if numbers is None:
            self._wrong("boxes outside their image", f"{about} in {listed.width}x{listed.height}")
        elif numbers[2] <= 0 or numbers[3] <= 0:
            self._flat += 1
        else:
            listed.rows[Row(index, numbers)] = None


def _is_length(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and 0 < value < 1_000_000


def _four(value: Any) -> Box | None:
    numbers = _numbers(value)
    return (numbers[0], numbers[1], numbers[2], numbers[3]) if len(numbers) == 4 else None


def _bounds(segmentation: Any) -> Box | None:
    """The box around polygons ([[x1, y1, x2, y2, ...], ...]); None for a mask or nothing."""
    if not isinstance(segmentation, list):
        return None
    points = [number for polygon in segmentation for number in _polygon(polygon)]
    if len(points) < 6:
        return None
    left, top = min(points[::2]), min(points[1::2])
    return left, top, max(points[::2]) - left, max(points[1::2]) - top


def _polygon(value: Any) -> Iterator[float]:
    numbers = _numbers(value)
    return iter(numbers if len(numbers) % 2 == 0 else ())


def _numbers(value: Any) -> Sequence[float]:
    """The finite numbers of a list; empty where anything else is in it."""
    if not isinstance(value, list):
        return ()
    try:
        numbers = [float(number) for number in value if isinstance(number, (int, float))]
    except OverflowError:
        return ()
    return numbers if len(numbers) == len(value) and all(map(math.isfinite, numbers)) else ()


def _fractions(box: Box, image: _Listed) -> Box | None:
    """Centre and size as fractions, clipped to the image; None for a box that leaves it by more than the tolerance."""
    left, top, width, height = box
    edges = (left / image.width, top / image.height, (left + width) / image.width, (top + height) / image.height)
    if not all(-TOLERANCE <= edge <= 1 + TOLERANCE for edge in edges):
        return None
    x1, y1, x2, y2 = (min(max(edge, 0.0), 1.0) for edge in edges)
    return (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1
