"""The format of a dataset version: `version.json` and the manifest it names. Pure; docs/labels.md describes both.

A version is pinned by the SHA-256 of its version.json, which pins the manifest, which pins each image. What is written
is canonical JSON, so that the same content has the same bytes: whoever labels nothing new makes no new manifest.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, cast

from detectiondata.errors import DatasetError
from detectiondata.labels import Row
from detectiondata.suffixes import IMAGE_SUFFIXES

FORMAT = "modelfleet.dev/dataset/v1"

Split = Literal["train", "val", "holdout"]
Piece = Literal["dataset", "holdout", "aside"]  # which of a version's lists; nothing is trained on what is aside

_SPLITS: Mapping[Piece, frozenset[str]] = {
    "dataset": frozenset({"train", "val"}),
    "holdout": frozenset({"holdout"}),
    "aside": frozenset({"train", "val", "holdout"}),
}
_MANIFESTS: Mapping[Piece, str] = {"dataset": "manifest", "holdout": "holdout", "aside": "aside"}
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MANIFEST = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*\.jsonl")
_PLACE = re.compile(r"^(?P<store>.+)/versions/(?P<number>[0-9]{5,})/(?:version|holdout)\.json$")
_DECIMALS = 2  # of a pixel; finer than any person draws


class Box(NamedTuple):
    """One object: its class, and its corners in pixels of the image."""

    label: str
    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True, slots=True)
class Image:
    """One line of a manifest. No boxes: reviewed, and nothing is on it. `capture` and `review` are kept as they are.

    `aside` are boxes that were reviewed, too, and do not count: with those that do, the review is whole. Where none
    counts, the image is set aside itself: that nothing is on it nobody has said.
    """

    sha256: str
    suffix: str
    size: int  # bytes
    width: int
    height: int
    split: Split
    boxes: tuple[Box, ...]
    capture: Mapping[str, Any]
    review: Mapping[str, Any]
    aside: tuple[Box, ...] = ()

    @property
    def piece(self) -> Piece:
        """Which list of a version it belongs to."""
        if self.aside and not self.boxes:
            return "aside"
        return "holdout" if self.split == "holdout" else "dataset"

    @property
    def reviewed(self) -> tuple[Box, ...]:
        """All boxes, those that do not count included."""
        return tuple(sorted((*self.boxes, *self.aside)))

    def rows(self, classes: Sequence[str]) -> list[Row]:
        """The boxes as YOLO has them."""
        return [Row(classes.index(box.label), self._fractions(box)) for box in self.boxes]

    def _fractions(self, box: Box) -> tuple[float, float, float, float]:
        return (
            (box.x1 + box.x2) / 2 / self.width,
            (box.y1 + box.y2) / 2 / self.height,
            (box.x2 - box.x1) / self.width,
            (box.y2 - box.y1) / self.height,
        )


@dataclass(frozen=True)
class Manifest:
    """Name (beside version.json), SHA-256 and size in bytes of a list of images."""

    name: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Version:
    """What version.json says of itself, of its holdout (as holdout.json does) or of what is aside (`piece`).

    `added` to `removed` compare with the parent, by image.
    """

    number: int
    parent: tuple[int, str] | None  # number and SHA-256 of version.json
    created_at: str
    classes: tuple[str, ...]
    piece: Piece
    images: int
    objects: int
    per_class: Mapping[str, int]
    added: int
    changed: int
    removed: int
    manifest: Manifest
    holdout: Version | None = field(default=None)
    aside: Version | None = field(default=None)

    def to_json(self) -> dict[str, Any]:
        document = {
            "format": FORMAT,
            "number": self.number,
            "parent": None if self.parent is None else {"number": self.parent[0], "sha256": self.parent[1]},
            "createdAt": self.created_at,
            "classes": list(self.classes),
            "part": self.piece,
            "images": self.images,
            "objects": self.objects,
            "perClass": dict(self.per_class),
            "added": self.added,
            "changed": self.changed,
            "removed": self.removed,
            "manifest": {"name": self.manifest.name, "sha256": self.manifest.sha256, "bytes": self.manifest.size},
        }
        if self.piece == "dataset":
            document["holdout"] = None if self.holdout is None else self.holdout.to_json()
            if self.aside is not None:
                document["aside"] = self.aside.to_json()
        return document

    def encoded(self) -> bytes:
        """The bytes of version.json or holdout.json: indented, since people read it."""
        return json.dumps(self.to_json(), indent=1, sort_keys=True, allow_nan=False).encode() + b"\n"

    @property
    def sha256(self) -> str:
        """What pins it."""
        return hashlib.sha256(self.encoded()).hexdigest()


def rounded(box: Box) -> Box:
    """As it is written."""
    return Box(box.label, *(round(float(value), _DECIMALS) for value in box[1:]))


def line(image: Image) -> str:
    """One line of a manifest, without its end."""
    document: dict[str, Any] = {
        "image": image.sha256,
        "suffix": image.suffix,
        "bytes": image.size,
        "width": image.width,
        "height": image.height,
        "split": image.split,
        "boxes": [list(rounded(box)) for box in image.boxes],
        "capture": image.capture,
        "review": image.review,
    }
    if image.aside:
        document["aside"] = [list(rounded(box)) for box in image.aside]
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)


def manifest(images: Iterable[Image], piece: Piece) -> tuple[bytes, Manifest]:
    """The bytes of a manifest, sorted by the images' digests, and how version.json names it.

    The name holds a part of the digest: of two writers at work at once neither replaces what the other's version pins.
    """
    content = "".join(line(image) + "\n" for image in sorted(images, key=lambda image: image.sha256)).encode()
    digest = hashlib.sha256(content).hexdigest()
    return content, Manifest(f"{_MANIFESTS[piece]}-{digest[:16]}.jsonl", digest, len(content))


def describe(
    images: Sequence[Image],
    before: Mapping[str, Image],
    classes: Sequence[str],
    piece: Piece,
    *,
    number: int,
    parent: tuple[int, str] | None,
    created_at: str,
) -> tuple[bytes, Version]:
    """The bytes of the manifest of `images`, and the version that they are; `before` are the parent's, by digest."""
    content, named = manifest(images, piece)
    objects = Counter(box.label for image in images for box in image.boxes)
    kept = {image.sha256 for image in images}
    return content, Version(
        number=number,
        parent=parent,
        created_at=created_at,
        classes=tuple(classes),
        piece=piece,
        images=len(images),
        objects=objects.total(),
        per_class={name: objects[name] for name in classes},
        added=len(kept - before.keys()),
        changed=sum(image.sha256 in before and not same(image, before[image.sha256]) for image in images),
        removed=len(before.keys() - kept),
        manifest=named,
    )


def same(one: Image, other: Image) -> bool:
    """Whether both teach the same. Who reviewed it, and when, is no difference."""
    return one.split == other.split and sorted(map(rounded, one.boxes)) == sorted(map(rounded, other.boxes))


def place(uri: str) -> tuple[str, int] | None:
    """The store and the number of the version at `uri`; None where it is no address of one."""
    found = _PLACE.match(uri)
    return None if found is None else (found["store"], int(found["number"]))


def parse(content: bytes, uri: str) -> Version:
    """Raises DatasetError for what is no version.json or holdout.json of this format."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise DatasetError(f"{uri} is not valid JSON; it is not a dataset version") from None
    return _Reader(uri).version(document, ("dataset", "holdout"))


def parse_line(text: str, classes: Sequence[str], piece: Piece, where: str) -> Image:
    """Raises DatasetError, which says `where`."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise DatasetError(f"{where} is not valid JSON") from None
    return _Reader(where).image(document, frozenset(classes), piece)


class _Reader:
    """Takes documents apart; everything that is not as the format says is a DatasetError that names the place."""

    def __init__(self, where: str) -> None:
        self._where = where

    def version(self, document: Any, pieces: tuple[Piece, ...]) -> Version:
        fields = self._object(document, "the document")
        if fields.get("format") != FORMAT:
            raise self._wrong(f"has the format {str(fields.get('format'))[:80]!r} and not {FORMAT!r}")
        piece = fields.get("part")
        if not isinstance(piece, str) or piece not in pieces:
            raise self._wrong(f"has a part that is not {' or '.join(pieces)}")
        holdout, aside = fields.get("holdout"), fields.get("aside")
        parent, named = fields.get("parent"), self._object(fields.get("manifest"), "manifest")
        name = named.get("name")
        if not isinstance(name, str) or not _MANIFEST.fullmatch(name):
            raise self._wrong("names no manifest beside it (manifest.name)")
        return Version(
            number=self._count(fields, "number"),
            parent=None if parent is None else self._parent(parent),
            created_at=self._text(fields, "createdAt"),
            classes=self._classes(fields.get("classes")),
            piece=piece,
            images=self._count(fields, "images"),
            objects=self._count(fields, "objects"),
            per_class=self._per_class(fields.get("perClass")),
            added=self._count(fields, "added"),
            changed=self._count(fields, "changed"),
            removed=self._count(fields, "removed"),
            manifest=Manifest(name, self._sha256(named, "sha256"), self._count(named, "bytes")),
            holdout=None if holdout is None or piece != "dataset" else self.version(holdout, ("holdout",)),
            aside=None if aside is None or piece != "dataset" else self.version(aside, ("aside",)),
        )

    def image(self, document: Any, classes: frozenset[str], piece: Piece) -> Image:
        fields = self._object(document, "the line")
        suffix, split = fields.get("suffix"), fields.get("split")
        if not isinstance(suffix, str) or suffix not in IMAGE_SUFFIXES:
            raise self._wrong("has a suffix that is not an image's")
        if not isinstance(split, str) or split not in _SPLITS[piece]:
            raise self._wrong(f"has the split {str(split)[:40]!r}, which has no place in a {piece}")
        width, height = self._count(fields, "width"), self._count(fields, "height")
        boxes, aside = fields.get("boxes"), fields.get("aside", [])
        if not width or not height or not isinstance(boxes, list) or not isinstance(aside, list):
            raise self._wrong("has no width, height or boxes")
        return Image(
            sha256=self._sha256(fields, "image"),
            suffix=suffix,
            size=self._count(fields, "bytes"),
            width=width,
            height=height,
            split=cast("Split", split),
            boxes=tuple(self._box(box, classes, width, height) for box in boxes),
            capture=self._object(fields.get("capture"), "capture"),
            review=self._object(fields.get("review"), "review"),
            aside=tuple(self._box(box, None, width, height) for box in aside),
        )

    def _box(self, box: Any, classes: frozenset[str] | None, width: int, height: int) -> Box:
        """`classes` is None for a box that may be of any."""
        known = isinstance(box, list) and len(box) == 5 and isinstance(box[0], str)
        if not known or (classes is not None and box[0] not in classes):
            raise self._wrong(f"has a box that is not [class, x1, y1, x2, y2] of a known class: {str(box)[:80]}")
        corners = [float(value) for value in box[1:] if isinstance(value, (int, float)) and 0 <= value < 1 << 53]
        if len(corners) == 4:
            found = Box(box[0], *corners)
            if 0 <= found.x1 < found.x2 <= width and 0 <= found.y1 < found.y2 <= height:
                return found
        raise self._wrong(f"has a box outside its image of {width}x{height}, or without area: {str(box)[:80]}")

    def _parent(self, value: Any) -> tuple[int, str]:
        fields = self._object(value, "parent")
        return self._count(fields, "number"), self._sha256(fields, "sha256")

    def _classes(self, value: Any) -> tuple[str, ...]:
        names = [name for name in value if isinstance(name, str) and name.strip() == name != ""] if value else []
        if not isinstance(value, list) or len(names) != len(value) or len(set(names)) < len(names) or not names:
            raise self._wrong("has classes that are not a list of different names")
        return tuple(names)

    def _per_class(self, value: Any) -> Mapping[str, int]:
        fields = self._object(value, "perClass")
        return {name: self._count(fields, name) for name in fields}

    def _object(self, value: Any, what: str) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            raise self._wrong(f"has no object where {what} should be")
        return cast("Mapping[str, Any]", value)

    def _count(self, fields: Mapping[str, Any], name: str) -> int:
        value = fields.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 53:
            raise self._wrong(f"has no number for {name}")
        return value

    def _text(self, fields: Mapping[str, Any], name: str) -> str:
        value = fields.get(name)
        if not isinstance(value, str):
            raise self._wrong(f"has no text for {name}")
        return value

    def _sha256(self, fields: Mapping[str, Any], name: str) -> str:
        value = fields.get(name)
        if not isinstance(value, str) or not _SHA256.fullmatch(value):
            raise self._wrong(f"has no SHA-256 for {name}")
        return value

    def _wrong(self, what: str) -> DatasetError:
        return DatasetError(f"{self._where} {what}")
