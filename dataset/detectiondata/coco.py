"""One COCO annotation file (`images`, `annotations`, `categories`), turned into the rows of YOLO labels. Pure.

Boxes are written as left, top, width and height in pixels, and become centre and size as fractions of the image.
Categories have arbitrary ids and become classes by name, in the order of their ids. What is wrong is collected and not
guessed at; what is left out by rule (crowds, boxes without area) is counted. Numbers may be texts, as some tools write
sizes and ids.

A crowd (`iscrowd`) is one box around many objects, and teaches nothing about a single one. Tools that know brush masks
mark each of these so, for COCO has no other place for them. Of COCO's own annotations one in a hundred is a crowd:
where more than a tenth are, they are masks of objects, and their boxes count.

An annotation without a bbox takes that of its polygons or of its mask (`masks`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TextIO

from detectiondata.jsonstream import arrays
from detectiondata.labels import TOLERANCE, Row
from detectiondata.masks import BadMask, Mask
from detectiondata.masks import read as read_mask
from detectiondata.problems import Problem

SECTIONS = ("images", "annotations", "categories")
_NO_CROWD = (None, False, 0, "", "0", "0.0", "false", "False")
_CROWDS = 10  # in a hundred annotations; more are masks of objects

Box = tuple[float, float, float, float]
Key = int | str


@dataclass(frozen=True)
class Annotated:
    """One image as the file lists it: its name as written, its size in pixels, its objects.

    `turned` are the objects if the boxes are of the picture turned by a quarter, which the size is not; None where they
    don't fit it. `outside` is the first box that does not fit the size as listed, where all fit the turned one.
    """

    name: str
    width: int
    height: int
    rows: tuple[Row, ...]
    turned: tuple[Row, ...] | None = None
    outside: Problem | None = None


@dataclass(frozen=True)
class Annotations:
    """A whole file, of `listed` annotations. `crowds` and `flat` count what was left out;
    `outlined` boxes that were derived, `masks` those of crowds that are objects."""

    file: str
    names: tuple[str, ...]
    images: tuple[Annotated, ...]
    problems: tuple[Problem, ...]
    listed: int
    crowds: int
    outlined: int
    flat: int
    masks: int


@dataclass
class _Listed:
    name: str
    width: int
    height: int
    rows: dict[Row, None] = field(default_factory=dict)  # identical annotations count once
    turned: dict[Row, None] | None = field(default_factory=dict)
    outside: list[Problem] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Annotation:
    id: Any
    image: Any
    category: Any
    box: Box
    crowd: bool
    outlined: bool  # its box is that around its polygons, or that of its
    mask: Mask | None


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
        self._listed = self._crowds = self._outlined = self._flat = 0

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
                    self._wrong(f"entries of {key} that are not objects", f"{key}[{number}]")
        if seen != set(SECTIONS):
            return None
        crowds = sum(annotation.crowd for annotation in self._annotations)
        masks = crowds if crowds * 100 > self._listed * _CROWDS else 0
        if not masks:
            self._annotations = [annotation for annotation in self._annotations if not annotation.crowd]
            self._crowds += crowds
        self._outlined = sum(annotation.outlined for annotation in self._annotations)
        names, indices = self._classes()
        for annotation in self._annotations:
            self._join(annotation, indices)
        images = tuple(self._annotated(listed) for listed in self._images.values())
        return Annotations(
            self._file,
            names,
            images,
            tuple(self._problems),
            self._listed,
            self._crowds,
            self._outlined,
            self._flat,
            masks,
        )

    def _annotated(self, listed: _Listed) -> Annotated:
        turned = None if listed.turned is None else tuple(listed.turned)
        outside = listed.outside[0] if listed.outside else None
        if turned is None:
            self._problems.extend(listed.outside)
            outside = None
        return Annotated(listed.name, listed.width, listed.height, tuple(listed.rows), turned, outside)

    def _wrong(self, kind: str, detail: str) -> None:
        self._problems.append(Problem(kind, self._file, detail))

    def _image(self, entry: Mapping[str, Any]) -> None:
        key, name = _key(entry.get("id")), entry.get("file_name")
        width, height = _length(entry.get("width")), _length(entry.get("height"))
        if key is None or not isinstance(name, str) or not name:
            self._wrong("images without an id or a file_name", f"image {entry.get('id')!r}")
        elif width is None or height is None:
            self._wrong("images without their width and height", f"image {key!r} ({name})")
        elif key in self._images:
            self._wrong("image ids given twice", f"image {key!r} ({self._images[key].name} and {name})")
        else:
            self._images[key] = _Listed(name, width, height)

    def _category(self, entry: Mapping[str, Any]) -> None:
        key, name, group = _key(entry.get("id")), entry.get("name"), entry.get("supercategory")
        text = name.strip() if isinstance(name, str) else ""
        if key is None or not text:
            self._wrong("categories without an id or a name", f"category {entry.get('id')!r}")
        elif key in self._categories:
            self._wrong("category ids given twice", f"category {key!r} ({self._categories[key]} and {text})")
        else:
            self._categories[key] = text
            if isinstance(group, str) and group.strip() != text:
                self._groups.add(group.strip())

    def _annotation(self, entry: Mapping[str, Any]) -> None:
        self._listed += 1
        crowd = entry.get("iscrowd") not in _NO_CROWD
        about = f"annotation {entry.get('id')!r}"
        given = entry.get("bbox")
        mask = None
        if given:
            box = _four(given)
            if box is None:
                self._wrong("boxes that are not four finite numbers", f"{about}: {given!r}"[:80])
                return
        else:
            try:
                mask = _mask(entry.get("segmentation"))
            except BadMask as error:
                self._wrong("masks (RLE) that can't be read, of annotations without a bbox", f"{about}: {error}")
                return
            box = mask.box if mask else _bounds(entry.get("segmentation"))
            if box is None and crowd:  # nothing that a training could use
                self._crowds += 1
                return
            if box is None:
                self._wrong("annotations with neither a bbox, a polygon nor a mask", about)
                return
        image, category = _key(entry.get("image_id")), _key(entry.get("category_id"))
        self._annotations.append(_Annotation(entry.get("id"), image, category, box, crowd, not given, mask))

    def _classes(self) -> tuple[tuple[str, ...], dict[Key, int]]:
        """Class names and the index of each category. A group that no annotation uses is no class."""
        used = {annotation.category for annotation in self._annotations}
        ordered = sorted(self._categories, key=lambda key: (isinstance(key, str), key))
        kept = [key for key in ordered if key in used or self._categories[key] not in self._groups]
        names = tuple(dict.fromkeys(self._categories[key] for key in kept))
        return names, {key: names.index(self._categories[key]) for key in kept}

    def _join(self, annotation: _Annotation, indices: Mapping[Key, int]) -> None:
        about = f"annotation {annotation.id!r}"
        listed = None if annotation.image is None else self._images.get(annotation.image)
        if listed is None:
            self._wrong("annotations of images that are not listed", f"{about}: image {annotation.image!r}")
            return
        index = None if annotation.category is None else indices.get(annotation.category)
        if index is None:
            self._wrong("annotations of unknown categories", f"{about}: category {annotation.category!r}")
            return
        mask = annotation.mask
        if mask and (mask.width, mask.height) != (listed.width, listed.height):
            sizes = f"{mask.width}x{mask.height} of {listed.name} in {listed.width}x{listed.height}"
            self._wrong("masks of another size than their image", f"{about}: {sizes}")
            return
        left, top, width, height = annotation.box
        about += f" of {listed.name}: {left:g} {top:g} {width:g} {height:g}"
        if width < 0 or height < 0:
            self._wrong("boxes of negative size", about)
            return
        if _are_fractions(annotation.box, listed):
            self._wrong("boxes in fractions, where COCO has pixels", f"{about} in {listed.width}x{listed.height}")
            return
        turned = _fractions(annotation.box, listed.height, listed.width)
        if turned is None:
            listed.turned = None
        elif listed.turned is not None and turned[2] > 0 and turned[3] > 0:
            listed.turned[Row(index, turned)] = None
        numbers = _fractions(annotation.box, listed.width, listed.height)
        if numbers is None:
            detail = f"{about} in {listed.width}x{listed.height}"
            listed.outside.append(Problem("boxes outside their image", self._file, detail))
        elif numbers[2] <= 0 or numbers[3] <= 0:
            self._flat += 1
        else:
            listed.rows[Row(index, numbers)] = None


def _key(value: Any) -> Key | None:
    """An id, alike whether it is a number, a float or a text."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and value.isascii() and value.isdigit() and str(int(value[:20])) == value:
        return int(value)
    return value if isinstance(value, (int, str)) else None


def _length(value: Any) -> int | None:
    """A side of an image in pixels; None for what is none."""
    try:
        number = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        return None
    return int(number) if 0 < number < 1_000_000 and number.is_integer() else None


def _are_fractions(box: Box, image: _Listed) -> bool:
    """A box within one pixel, with places after the point, is in fractions of its image."""
    left, top, width, height = box
    if min(width, height) <= 0 or min(image.width, image.height) <= 2:
        return False
    return max(left + width, top + height) <= 1 + TOLERANCE and any(number % 1 for number in box)


def _four(value: Any) -> Box | None:
    numbers = _numbers(value)
    return (numbers[0], numbers[1], numbers[2], numbers[3]) if len(numbers) == 4 else None


def _mask(segmentation: Any) -> Mask | None:
    """None for what is none. Raises BadMask."""
    return read_mask(segmentation) if isinstance(segmentation, dict) else None


def _bounds(segmentation: Any) -> Box | None:
    """The box around polygons ([[x1, y1, x2, y2, ...], ...]); None for nothing."""
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
        numbers = [
            float(number) for number in value if isinstance(number, (int, float, str)) and not isinstance(number, bool)
        ]
    except (OverflowError, ValueError):
        return ()
    return numbers if len(numbers) == len(value) and all(map(math.isfinite, numbers)) else ()


def _fractions(box: Box, across: int, down: int) -> Box | None:
    """Centre and size as fractions, clipped to the image; None for a box that leaves it by more than the tolerance."""
    left, top, width, height = box
    edges = (left / across, top / down, (left + width) / across, (top + height) / down)
    if not all(-TOLERANCE <= edge <= 1 + TOLERANCE for edge in edges):
        return None
    x1, y1, x2, y2 = (min(max(edge, 0.0), 1.0) for edge in edges)
    return (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1
