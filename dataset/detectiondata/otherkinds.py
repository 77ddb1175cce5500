"""Labels of kinds that are not read: lists of boxes (keras-retinanet's annotations.csv and its like), VOC, CVAT's XML,
LabelMe, Supervisely.

Alone they are refused by name. Beside YOLO labels they matter where they have boxes of an image that has no label file:
that image would be trained on as one without objects.
"""

from __future__ import annotations

import csv
import html
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath

from detectiondata.resolve import Names, Written, nearest
from detectiondata.suffixes import PICTURE_SUFFIXES, is_picture

_LISTS = (".csv", ".tsv", ".txt")
_LOOKED_AT = 20  # lines, of which one must be of a box, or a file is no list
_LIMIT = 16 << 20  # bytes of a VOC or LabelMe file
_CVAT = re.compile(rb"""<image\b[^>]*?\bname="([^"]*)"[^>]*(?<!/)>\s*<(?:box|polygon|polyline|points|mask|ellipse)\b""")
_OBJECT = re.compile(rb"<bndbox\b|<polygon\b|<robndbox\b", re.IGNORECASE)
_PLAIN = re.compile(r"[^a-z0-9]")
_CORNERS = ({"xmin", "ymin", "xmax", "ymax"}, {"x1", "y1", "x2", "y2"}, {"left", "top", "right", "bottom"})
_NAMES = ("filename", "imagename", "imagepath", "filepath", "image", "file", "path", "img", "imageid", "name")
_SCORES = {"score", "scores", "conf", "confidence", "probability"}  # detections, and no labels
_SHAPES = "regionshapeattributes"  # of VIA
_PACKED = re.compile(r"^-?[\d.]+(?:,-?[\d.]+){4,5}$")  # "x1,y1,x2,y2,class", several in a line behind the name


def of_bare_images(
    root: Path, images: Iterable[str], bare: frozenset[str], files: Iterable[str]
) -> dict[str, list[str]]:
    """Those of `bare`, the `images` without a label file, of which one of `files` has boxes: these files."""
    mentioned: dict[str, list[str]] = {}
    if bare:
        names = Names(images)
        for file in files:
            for name in dict.fromkeys(listed(root, file)):
                found = _images(name, file, names)
                if len(found) == 1 and found[0] in bare:
                    mentioned.setdefault(found[0], []).append(file)
    return mentioned


def listed(root: Path, file: str) -> Iterator[str]:
    """The images of which `file` has boxes, as it calls them; none where it is no file of such a kind."""
    suffix = PurePosixPath(file).suffix.lower()
    if suffix in _LISTS:
        with (root / file).open(encoding="utf-8-sig", errors="replace", newline="") as lines:
            yield from _of_list(lines)
    elif suffix in (".xml", ".json") and (root / file).stat().st_size <= _LIMIT:
        content = (root / file).read_bytes()
        if b"<annotations" in content and suffix == ".xml":
            yield from (html.unescape(name.decode("utf-8", "replace")) for name in _CVAT.findall(content))
        elif _has_objects(content) if suffix == ".xml" else _has_shapes(content):
            yield PurePosixPath(file).stem  # Supervisely's a.jpg.json is called after the whole name


def _of_list(lines: Iterable[str]) -> Iterator[str]:
    whole = (line for line in lines if line.strip() and "\0" not in line)
    first = list(islice(whole, _LOOKED_AT))
    if not first:
        return
    separator = next((each for each in "\t;," if each in first[0]), ",")
    header = [_PLAIN.sub("", field.lower()) for field in _fields(first[0], separator)]
    at = next((header.index(name) for name in _NAMES if name in header), None)
    if at is not None and _SHAPES in header:
        boxes = header.index(_SHAPES)
        rows = (_fields(line, separator) for line in (*first[1:], *whole))
        yield from (row[at] for row in rows if len(row) > max(at, boxes) and '"name"' in row[boxes].replace("'", '"'))
    elif at is not None and any(corners <= set(header) for corners in _CORNERS):
        if _SCORES.isdisjoint(header):
            [corners, *_] = [each for each in _CORNERS if each <= set(header)]
            places = [header.index(corner) for corner in corners]
            rows = (_fields(line, separator) for line in (*first[1:], *whole))
            yield from (
                row[at] for row in rows if len(row) > max(at, *places) and all(row[place].strip() for place in places)
            )
    elif any(_of_line(line, separator) for line in first):
        for line in (*first, *whole):
            if name := _of_line(line, separator):
                yield name


def _of_line(line: str, separator: str) -> str | None:
    """The image of `a.jpg,x1,y1,x2,y2,class` (keras-retinanet) or `a.jpg x1,y1,x2,y2,class ...` (keras-yolo3)."""
    fields = _fields(line, separator)
    if len(fields) == 6 and is_picture(fields[0].strip()) and fields[5].strip() and _are_corners(fields[1:5]):
        return fields[0].strip()
    name, *boxes = line.split()
    if boxes and is_picture(name) and all(_PACKED.match(box) for box in boxes):
        return name if all(_are_corners(box.split(",")[:4]) for box in boxes) else None
    return None


def _are_corners(texts: Sequence[str]) -> bool:
    try:
        left, top, right, bottom = map(float, texts)
    except ValueError:
        return False
    return left < right and top < bottom


def _fields(line: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=separator), [])
    except csv.Error:  # a field too long for it
        return []


def _has_objects(content: bytes) -> bool:
    """Of VOC."""
    return b"<annotation" in content and _OBJECT.search(content) is not None


def _has_shapes(content: bytes) -> bool:
    """Of LabelMe and Supervisely."""
    if b'"shapes"' not in content and b'"classTitle"' not in content:
        return False
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return False
    listed = [document.get(key) for key in ("shapes", "objects")] if isinstance(document, dict) else []
    shapes = [shape for each in listed if isinstance(each, list) for shape in each if isinstance(shape, dict)]
    return any(shape.get("points") or "classTitle" in shape for shape in shapes)


def _images(name: str, file: str, names: Names) -> Sequence[str]:
    """Of a list, as much of the end of a path as leads to an image; of VOC and LabelMe, what is called as the file."""
    steps = Written.of(name).steps
    if steps and not is_picture(name.strip()):
        found = [image for suffix in PICTURE_SUFFIXES for image in names.ending([f"{steps[-1]}{suffix}"])]
        return nearest(found, file)
    for start in range(len(steps)):
        found = names.ending(steps[start:])
        if found:
            return nearest(found, file)
    return []
