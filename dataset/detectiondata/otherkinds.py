"""Labels of kinds that are not read: lists of boxes (keras-retinanet's annotations.csv and its like, those of Open
Images and of the Global Wheat Heads), VOC, CVAT's XML of images and of videos, LabelMe, Supervisely.

Alone they are refused, by the name of their kind. Beside YOLO labels they matter where they have boxes of an image that
has no label file: that image would be trained on as one without objects.
"""

from __future__ import annotations

import csv
import html
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath

from detectiondata.resolve import Names, Written, nearest
from detectiondata.suffixes import PICTURE_SUFFIXES, is_picture

_LISTS = (".csv", ".tsv", ".txt")
_LOOKED_AT = 20  # lines, of which one must be of a box, or a file is no list
_LIMITS = {".xml": 256 << 20, ".json": 16 << 20}  # bytes; CVAT writes a whole task into one, some 150 bytes a box
_CVAT = re.compile(rb"""<image\b[^>]*?\bname="([^"]*)"[^>]*(?<!/)>\s*<(?:box|polygon|polyline|points|mask|ellipse)\b""")
_TRACKED = re.compile(rb"""<(?:box|polygon|polyline|points|mask|ellipse|cuboid|skeleton)\b[^>]*>""")
_FRAME = re.compile(rb"""\bframe="([0-9]{1,9})\"""")
_OUTSIDE = b'outside="1"'  # the object is not to be seen any more: it ends the track
_OBJECT = re.compile(rb"<bndbox\b|<polygon\b|<robndbox\b", re.IGNORECASE)
_PLAIN = re.compile(r"[^a-z0-9]")
_CORNERS = ({"xmin", "ymin", "xmax", "ymax"}, {"x1", "y1", "x2", "y2"}, {"left", "top", "right", "bottom"})
_NAMES = ("filename", "imagename", "imagepath", "filepath", "image", "file", "path", "img", "imageid", "name")
_SCORES = {"score", "scores", "conf", "confidence", "prob", "probability"}  # detections, and no labels
_SHAPES = "regionshapeattributes"  # of VIA
_OPEN_IMAGES = {"imageid", "source", "labelname", "xmin", "xmax", "ymin", "ymax"}  # its Confidence is always 1
_CELLS = ("boxesstring", "bbox", "boxes", "boundingbox")  # with all four numbers of a box, or of several
_LIST = "a list of boxes"
_NUMBER = re.compile(r"-?[0-9]+(?:[.][0-9]+)?")
_EDGE = re.compile(
    r"(?:b?box|bb|bounding|bnd|rect|roi|coord)*"
    r"(?:x|y|w|h|width|height|left|right|top|bottom|upper|lower|min|max|start|end|tl|br|[0-9])+"
)
"""What columns of a box are called, as `_PLAIN` leaves it."""
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
    return (image for _, image in _read(root, file))


def kind(root: Path, file: str) -> str | None:
    """What a file with boxes is called, None where it is no file of such a kind."""
    return next((kind for kind, _ in _read(root, file)), None)


def advice(kind: str) -> str:
    """What to do with a file of this kind."""
    if kind.startswith("CVAT"):
        return "export the task from CVAT as COCO 1.0, which has the boxes of tracks frame by frame, too"
    return "convert it to YOLO label files or to COCO"


def _read(root: Path, file: str) -> Iterator[tuple[str, str]]:
    """The kind of the file, and an image of which it has a box."""
    suffix = PurePosixPath(file).suffix.lower()
    if suffix in _LISTS:
        with (root / file).open(encoding="utf-8-sig", errors="replace", newline="") as lines:
            yield from _of_list(lines)
    elif suffix in _LIMITS and (root / file).stat().st_size <= _LIMITS[suffix]:
        content = (root / file).read_bytes()
        stem = PurePosixPath(file).stem  # Supervisely's a.jpg.json is called after the whole name
        if b"<annotations" in content and suffix == ".xml":
            for image in _CVAT.finditer(content):
                yield "CVAT's XML for images", html.unescape(image[1].decode("utf-8", "replace"))
            for frame in _frames(content):
                yield "CVAT's XML for video, with tracks", f"frame_{frame:06d}"  # so CVAT calls the pictures beside it
        elif suffix == ".xml" and _has_objects(content):
            yield "Pascal VOC's XML", stem
        elif suffix == ".json" and _has_shapes(content):
            yield "LabelMe's JSON" if b'"shapes"' in content else "Supervisely's JSON", stem


def _frames(content: bytes) -> Iterator[int]:
    """Of CVAT's tracks: the frames on which there is something to be seen."""
    if b"<track" in content:
        for shape in _TRACKED.finditer(content):
            if (frame := _FRAME.search(shape[0])) and _OUTSIDE not in shape[0]:
                yield int(frame[1])


def _of_list(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    whole = (line for line in lines if line.strip() and "\0" not in line)
    first = list(islice(whole, _LOOKED_AT))
    if not first:
        return
    separator = next((each for each in "\t;," if each in first[0]), ",")
    header = [_PLAIN.sub("", field.lower()) for field in _fields(first[0], separator)]
    at = next((header.index(name) for name in _NAMES if name in header), None)
    boxes = None if at is None else _boxes(header)
    if at is not None and boxes is not None:
        for line in (*first[1:], *whole) if boxes.labels else ():
            row = _fields(line, separator)
            if len(row) > max(at, *boxes.columns) and boxes.has_one(row):
                yield boxes.kind, row[at]
    elif read := _reader(first, separator):
        for line in (*first, *whole):
            if image := read(line, separator):
                yield _LIST, image


@dataclass(frozen=True)
class _Boxes:
    """Of a list with a header that tells of boxes: its kind, the columns that they are in, whether a row has any, and
    whether they are labels; else they are what a model has found."""

    kind: str
    columns: Sequence[int]
    has_one: Callable[[Sequence[str]], bool]
    labels: bool = True


def _boxes(header: Sequence[str]) -> _Boxes | None:
    if _SHAPES in header:
        shapes = header.index(_SHAPES)
        return _Boxes("VIA's csv", [shapes], lambda row: '"name"' in row[shapes].replace("'", '"'))
    labels = _SCORES.isdisjoint(header)
    if corners := next((each for each in _CORNERS if each <= set(header)), None):
        places = [header.index(corner) for corner in corners]
        ours = set(header) >= _OPEN_IMAGES
        kind = "a csv of Open Images" if ours else _LIST
        return _Boxes(kind, places, lambda row: all(row[place].strip() for place in places), labels or ours)
    if cell := next((name for name in _CELLS if name in header), None):
        place = header.index(cell)
        kind = "a csv of the Global Wheat Head Dataset" if cell == "boxesstring" else _LIST
        return _Boxes(kind, [place], lambda row: len(_NUMBER.findall(row[place])) >= 4, labels)
    return None


def _reader(first: Sequence[str], separator: str) -> Callable[[str, str], str | None] | None:
    """What reads the lines of a list without a header that tells of boxes, by its `first`; None where it is none."""
    if any(_of_line(line, separator) for line in first):
        return _of_line
    return _in_any_order if _are_in_any_order(first, separator) else None


def _are_in_any_order(first: Sequence[str], separator: str) -> bool:
    """Whether the `first` lines are of boxes in any order. A line of numbers may look like one by chance: so nearly all
    must, and where names of the columns are above them, these must be of a box."""
    names = _stripped(first[0], separator)
    has_names = not any(_NUMBER.fullmatch(name) or is_picture(name) for name in names)
    full = [line for line in first[has_names:] if "" not in _stripped(line, separator)]
    boxes = [line for line in full if _in_any_order(line, separator)]
    if not boxes or len(boxes) * 4 < len(full) * 3:
        return False
    at = _first_number(_stripped(boxes[0], separator))
    return not has_names or all(_EDGE.fullmatch(_PLAIN.sub("", name.lower())) for name in names[at : at + 4])


def _of_line(line: str, separator: str) -> str | None:
    """The image of `a.jpg,x1,y1,x2,y2,class` (keras-retinanet), or of `a.jpg x1,y1,x2,y2,class ...` (keras-yolo3)."""
    fields = _stripped(line, separator)
    if len(fields) == 6 and is_picture(fields[0]) and fields[5] and _are_corners(fields[1:5]):
        return fields[0]
    name, *boxes = line.split()
    if boxes and is_picture(name) and all(_PACKED.match(box) for box in boxes):
        return name if all(_are_corners(box.split(",")[:4]) for box in boxes) else None
    return None


def _in_any_order(line: str, separator: str) -> str | None:
    """The image of a line that has one image, one class that is no number, and four corners in a row, or (makesense.ai)
    corner and size. Other numbers are the size of the image, with the box inside: that tells them from lists of
    something else."""
    fields = _stripped(line, separator)
    numbers = [field for field in fields if _NUMBER.fullmatch(field)]
    names = [field for field in fields if is_picture(field)]
    at = _first_number(fields)
    if len(fields) not in (6, 8) or len(names) != 1 or len(numbers) != len(fields) - 2 or "" in fields:
        return None
    if fields[at : at + 4] != numbers[:4]:
        return None
    x, y, right, bottom, *size = map(float, numbers)
    corners = x < right and y < bottom
    if not size:
        return names[0] if corners else None
    inside = corners and right <= size[0] + 1 and bottom <= size[1] + 1
    sized = right > 0 < bottom and x + right <= size[0] + 1 and y + bottom <= size[1] + 1
    return names[0] if inside or sized else None


def _first_number(fields: Sequence[str]) -> int:
    """Its place; 0 where there is none."""
    return next((place for place, field in enumerate(fields) if _NUMBER.fullmatch(field)), 0)


def _stripped(line: str, separator: str) -> list[str]:
    return [field.strip() for field in _fields(line, separator)]


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
