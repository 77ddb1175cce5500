"""Reviewed labels from a folder: what CVAT, Roboflow or a person exports, as YOLO label files or COCO annotations.

Images need not be in it; the captured ones are used. A label belongs to a capture by the first of: its name is that of
the capture (of several, its path ends with the capture's key); its name holds the image's digest, or the eight digits
of it that the capture's name ends with, as in what Roboflow and Label Studio make of names; the image of the same name
in the folder has the capture's digest. A label that fits none, or several, is named. An empty label file, and an image
that COCO lists without annotations, is an image that a person found empty.
"""

from __future__ import annotations

import re
import tempfile
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath

import artifactstore
from artifactstore import Entry
from detectiondata import annotated, coco, otherkinds
from detectiondata.captures import Capture, Key
from detectiondata.description import NAME_FILES, Description, read_descriptions
from detectiondata.errors import DatasetError
from detectiondata.jsonstream import Malformed
from detectiondata.labels import KEYPOINTS, Bad, Row, look_like_keypoints, parse
from detectiondata.problems import Problem
from detectiondata.suffixes import IMAGE_SUFFIXES, PICTURE_SUFFIXES
from detectiondata.version import Box
from labeler.failure import Failure
from labeler.listing import ODD
from labeler.settings import FilesSettings, Format
from labeler.tasks import Review

_TEXTS = frozenset({".txt", ".json", ".yaml", ".yml", ".names", ".labels", ".data"})
_TEXT_LIMIT = 256 << 20  # bytes of an annotation file
_ARCHIVES = frozenset({".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst", ".7z", ".rar"})
_LISTS = frozenset({"train", "val", "valid", "validation", "test"})  # .txt files with the paths of images
_DIGEST = re.compile(r"(?<![0-9a-f])([0-9a-f]{8})(?:[0-9a-f]{56})?(?![0-9a-f])")  # eight digits of it, or all 64
_SAME_SHAPE = 0.01  # by how much width to height may differ where a tool has scaled the image
_UNMOVED = 0.75  # pixels that a corner may differ from the prediction's and count as accepted; files round fractions


@dataclass(frozen=True, slots=True)
class Label:
    """What the folder says of one image. `size` in pixels where it tells that."""

    file: str
    name: str  # of the image, as far as it is known
    rows: tuple[tuple[str, tuple[float, ...]], ...]  # class, numbers as fractions
    size: tuple[int, int] | None
    at: datetime

    @property
    def folder(self) -> str:
        return self.file.rpartition("/")[0]


@dataclass(frozen=True)
class Matched:
    """Labels by the captures that they belong to, and everything that could not be used."""

    labels: Mapping[Key, Label]
    problems: tuple[Problem, ...]


def read(settings: FilesSettings, keys: Sequence[Key]) -> Matched:
    """Raises Failure ReviewedLabelsInvalid (nobody can tell what the folder means), ArtifactError."""
    odd: list[str] = []
    entries = artifactstore.entries(settings.uri, odd=odd.append)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        texts = [each for each in entries if _is_text(each) and _is_plain(each)]
        for _ in artifactstore.in_parallel(lambda each: _bring(settings.uri, each, root), texts):
            pass
        labels, problems = _labels(root, texts, settings.uri, settings.format)
    problems.extend(Problem(ODD, key, "") for key in odd)
    problems.extend(_unread(entries))
    matched: dict[Key, Label] = {}
    contradicting: set[Key] = set()
    index = _Index(keys, settings.uri, [each.name for each in entries])
    for label in sorted(labels, key=lambda label: (label.at, label.file)):
        found = index.of(label)
        if isinstance(found, Problem):
            problems.append(found)
            continue
        earlier = matched.get(found)
        if earlier is not None and earlier.rows != label.rows and earlier.folder == label.folder:
            problems.append(Problem("labels of one capture that contradict each other", label.file, earlier.file))
            contradicting.add(found)
        matched[found] = label  # of several exports the newest holds
    for key in contradicting:  # copies that a tool has turned or cut, as a rule: augmentations
        del matched[key]
    return Matched(matched, tuple(problems))


def review(label: Label, capture: Capture) -> Review | Problem:
    """The label in pixels of the capture."""
    width, height = capture.width, capture.height
    if label.size is not None and abs(label.size[0] / label.size[1] * height / width - 1) > _SAME_SHAPE:
        shape = f"{label.size[0]}x{label.size[1]}, captured as {width}x{height}"
        return Problem("labels of an image of another shape", label.file, f"{label.name}: {shape}")
    boxes = tuple(Box(name, *_corners(numbers, width, height)) for name, numbers in label.rows)
    edited = not _accepted(boxes, capture)
    return Review(capture.key.image, boxes, "files", label.at, "files", False, edited)


def _is_text(entry: Entry) -> bool:
    return _suffix(entry) in _TEXTS and entry.size <= _TEXT_LIMIT


def _suffix(entry: Entry) -> str:
    return PurePosixPath(entry.name).suffix.lower()


def _unread(entries: Iterable[Entry]) -> Iterator[Problem]:
    """What may hold labels and is not read: an export as it was downloaded, or one in another format, would be waited
    for without a word."""
    for entry in entries:
        suffix = _suffix(entry)
        if not _is_plain(entry) or _is_text(entry) or suffix in PICTURE_SUFFIXES:
            continue
        if suffix in _TEXTS:
            yield Problem(f"label files of more than {_TEXT_LIMIT >> 20} MiB (divide them)", entry.name, "")
        elif suffix in _ARCHIVES:
            yield Problem("archives among the labels, which are not read (unpack them there)", entry.name, "")
        else:
            yield Problem("files that are neither images nor labels as YOLO (.txt) or COCO (.json)", entry.name, "")


def _is_plain(entry: Entry) -> bool:
    return not any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(entry.name).parts)


def _bring(uri: str, entry: Entry, root: Path) -> None:
    target = root / entry.name  # a name with `..` is not plain, and is not brought
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(artifactstore.read_bytes(artifactstore.join(uri, entry.name), limit=_TEXT_LIMIT))


def _labels(root: Path, texts: Sequence[Entry], uri: str, format: Format) -> tuple[list[Label], list[Problem]]:
    """Auto means YOLO wherever there is a label file, else COCO; but a text beside COCO annotations, where nothing says
    what the numbers of classes mean, is somebody's note. What is passed over of the other format is named."""
    yolo = [each for each in texts if each.name.lower().endswith(".txt") and not _says_something_else(each.name)]
    if format == "YOLO":
        return _yolo(root, texts, yolo, uri)
    if format == "COCO" or not yolo:
        return _coco(root, texts, uri)
    others, unreadable = _annotations(root, texts, uri)
    if others and not unreadable and _description(root, texts, uri).names is None:
        kind = "text files beside COCO annotations, which alone count (label files need a data.yaml or a classes.txt)"
        labels, problems = _coco(root, texts, uri)
        return labels, [*problems, *(Problem(kind, each.name, "") for each in yolo)]
    labels, problems = _yolo(root, texts, yolo, uri)
    kind = "COCO annotations beside label files, which alone count (give them a folder each, or say format)"
    problems = [*problems, *unreadable, *(Problem(kind, name, "") for name in others)]
    return labels, [*problems, *_of_another_kind(root, texts, others)]


def _of_another_kind(root: Path, texts: Sequence[Entry], known: Sequence[str]) -> Iterator[Problem]:
    """JSON with boxes that is not COCO (LabelMe)."""
    for name in (each.name for each in texts if each.name.lower().endswith(".json") and each.name not in known):
        if any(True for _ in otherkinds.listed(root, name)):
            yield Problem("JSON files that are not COCO annotations", name, "")


def _annotations(root: Path, texts: Sequence[Entry], uri: str) -> tuple[list[str], list[Problem]]:
    """The files with COCO annotations."""
    found = [each.name for each in texts if each.name.lower().endswith(".json")]
    try:
        return annotated.files(root, found, uri), []
    except DatasetError as error:
        return [], [Problem("JSON files that can't be read", uri, error.message[:200])]


def _says_something_else(name: str) -> bool:
    path = PurePosixPath(name)
    return path.name in NAME_FILES or path.name.lower().startswith("readme") or path.stem.lower() in _LISTS


def _yolo(root: Path, texts: Sequence[Entry], files: Sequence[Entry], uri: str) -> tuple[list[Label], list[Problem]]:
    if not files:
        return [], []
    description = _description(root, texts, uri)
    names = description.names
    if names is None:
        raise _invalid(f"{uri} names no classes; add a data.yaml with `names:`, or a classes.txt with one a line")
    labels, problems = [], []
    every: list[Row] = []
    for each in files:
        try:
            rows = parse((root / each.name).read_text(encoding="utf-8-sig"), len(names), description.keypoints)
        except Bad as bad:
            problems.append(Problem(f"label files {bad.kind}", each.name, bad.detail))
        except UnicodeDecodeError:
            problems.append(Problem("label files that are not text", each.name, ""))
        else:
            every += rows
            labels.append(_label(each.name, each.name, rows, names, None, each.modified))
    if description.keypoints is None and look_like_keypoints(every):
        raise _invalid(f"{uri}: {KEYPOINTS}")
    return labels, problems


def _description(root: Path, texts: Sequence[Entry], uri: str) -> Description:
    try:
        return read_descriptions(root, [each.name for each in texts], uri)
    except (DatasetError, UnicodeDecodeError) as error:
        raise _invalid(str(error)) from None


def _coco(root: Path, texts: Sequence[Entry], uri: str) -> tuple[list[Label], list[Problem]]:
    labels: list[Label] = []
    problems: list[Problem] = []
    for each in texts:
        if not each.name.lower().endswith(".json"):
            continue
        try:
            with (root / each.name).open(encoding="utf-8-sig") as stream:
                content = coco.read(stream, each.name)
        except (Malformed, UnicodeDecodeError) as error:
            problems.append(Problem("JSON files that can't be read", each.name, str(error)[:80]))
            continue
        if content is None:
            problems.append(Problem("JSON files that are not COCO annotations", each.name, ""))
            continue
        if content.problems:  # of an image whose annotation is wrong nobody knows what else is on it
            raise _invalid(f"{uri}: {content.problems[0].kind}: {each.name} {content.problems[0].detail}")
        labels += [
            _label(each.name, image.name, image.rows, content.names, (image.width, image.height), each.modified)
            for image in content.images
        ]
    return labels, problems


def _label(
    file: str, name: str, rows: Iterable[Row], names: Sequence[str], size: tuple[int, int] | None, at: datetime
) -> Label:
    return Label(file, name, tuple((names[row.index], row.numbers) for row in rows), size, at)


class _Index:
    """The captures by everything that a label may call them. Sorted lists: dictionaries of a million take ten times as
    much."""

    def __init__(self, keys: Iterable[Key], uri: str, names: Iterable[str]) -> None:
        self._uri = uri
        self._by_stem = sorted(keys, key=_stem)
        self._by_sha8 = sorted(self._by_stem, key=_sha8)
        self._images: dict[str, str] = {}
        for name in names:
            path = PurePosixPath(name)
            if path.suffix.lower() in IMAGE_SUFFIXES:
                self._images[path.stem] = name

    def of(self, label: Label) -> Key | Problem:
        path = _without_suffix(label.name)
        stem = path.rpartition("/")[2]
        found = _equal(self._by_stem, stem, _stem)
        if len(found) > 1:
            found = [key for key in found if f"/{path}".endswith(f"/{key.text}")]
        if not found:
            found = [key for digits in _DIGEST.findall(stem) for key in _equal(self._by_sha8, digits, _sha8)]
        if not found:
            found = self._by_content(stem)
        if len(found) == 1:
            return found[0]
        kind = "labels that fit several captures" if found else "labels that fit no capture"
        return Problem(kind, label.file, label.name if label.name != label.file else "")

    def _by_content(self, stem: str) -> list[Key]:
        image = self._images.get(stem)
        if image is None:
            return []
        digest = artifactstore.digest(artifactstore.join(self._uri, image)).sha256
        return _equal(self._by_sha8, digest[:8], _sha8)


def _stem(key: Key) -> str:
    return key.stem


def _sha8(key: Key) -> str:
    return key.sha8


def _equal(keys: Sequence[Key], value: str, by: Callable[[Key], str]) -> list[Key]:
    """Those with this value, of keys that are sorted by it."""
    return list(keys[bisect_left(keys, value, key=by) : bisect_right(keys, value, key=by)])


def _without_suffix(name: str) -> str:
    """`a/b.jpg`, `a\\b.txt` -> `a/b`. Only known suffixes: a capture's name has a dot of its own."""
    path = name.replace("\\", "/")
    suffix = PurePosixPath(path).suffix
    return path[: -len(suffix)] if suffix.lower() in IMAGE_SUFFIXES | {".txt"} else path


def _corners(numbers: Sequence[float], width: int, height: int) -> tuple[float, float, float, float]:
    """Of a box (centre and size) or around a polygon, in pixels."""
    if len(numbers) == 4:
        x, y, w, h = numbers
        return (x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height
    xs, ys = numbers[::2], numbers[1::2]
    return min(xs) * width, min(ys) * height, max(xs) * width, max(ys) * height


def _accepted(boxes: Sequence[Box], capture: Capture) -> bool:
    """Whether the boxes are what the model found, all of it and nothing else."""
    left = list(capture.detections)
    for box in boxes:
        for found in left:
            corners = zip((box.x1, box.y1, box.x2, box.y2), (found.x1, found.y1, found.x2, found.y2), strict=True)
            if found.label == box.label and all(abs(one - other) <= _UNMOVED for one, other in corners):
                left.remove(found)
                break
        else:
            return False
    return not left


def _invalid(message: str) -> Failure:
    return Failure("ReviewedLabelsInvalid", message)
