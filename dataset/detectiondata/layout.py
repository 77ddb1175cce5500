"""Which files of a folder are images, which are their labels, and which part (train, val, test) each belongs to.

What people call a YOLO dataset has many shapes. All of them follow from four rules:

1. A `data.yaml`, an `obj.data` or lists of images (`train.txt`, `valid.txt`) say the parts (`parts`).
2. Where nothing does, the part of an image is the nearest folder above it whose name is a part's (`train`, `valid`,
   `val2017`, ...), so `train/images/a.jpg`, `images/train/a.jpg` and `v7/images/train/a.jpg` are alike.
3. Its labels are where `images` in its path is replaced by `labels`, else beside the image (`pairing`).
4. Pictures in folders beside `images` of which none has a label are masks or previews, and no images.

Whatever is not used is in the layout, too, with the reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from detectiondata import inventory, labels, otherkinds, pairing
from detectiondata.description import read_descriptions
from detectiondata.errors import DatasetError
from detectiondata.inventory import Inventory
from detectiondata.labels import Row
from detectiondata.pairing import LABEL_FOLDERS, UPLOADED, Pairing
from detectiondata.parts import PARTS, Part, part_called, split
from detectiondata.problems import Problem
from detectiondata.resolve import IMAGE_FOLDERS, Resolver
from detectiondata.suffixes import is_picture
from detectiondata.texts import read_text

_ASIDE = frozenset(
    {
        *("annotated", "depth", "gt", "instance", "instances", "mask", "masks", "overlay", "overlays", "pred", "preds"),
        *("predictions", "preview", "previews", "segmentation", "segmentations", "segmentationclass"),
        *("segmentationobject", "semantic", "thumbnail", "thumbnails", "thumbs", "vis", "visualization"),
    }
)
UNUSED = "in label files that are left out"
_TABLES = (".csv", ".tsv", ".parquet", ".jsonl", ".ndjson", ".tfrecord", ".record", ".mat", ".pkl", ".h5")
_HEAD = 4096  # bytes of a text that tell whether it is a label file


@dataclass(frozen=True)
class Boxes:
    """What an annotation file says of an image: its objects, and the size in pixels that they were measured on.

    `turned` are the objects where that size is the one before the picture was turned by its EXIF orientation, and the
    boxes are of the turned one; None where they don't fit it. `outside` is what is wrong where they don't fit the size
    as it is listed.
    """

    rows: tuple[Row, ...]
    width: int
    height: int
    turned: tuple[Row, ...] | None = None
    outside: Problem | None = None


@dataclass(frozen=True)
class Sample:
    """Paths relative to the dataset's root. `label` is None for an image without a label file of its own."""

    image: str
    label: str | None
    boxes: Boxes | None = None


@dataclass(frozen=True)
class Ledger:
    """What is not in the parts: images and label files with the reason, other files by kind, and of annotation files,
    how many objects they list, and how many of these were left out and why."""

    files: int
    images: tuple[tuple[str, str], ...] = ()
    label_files: tuple[tuple[str, str], ...] = ()
    other: Mapping[str, int] = field(default_factory=dict)
    annotations: Mapping[str, int] = field(default_factory=dict)
    listed: int = 0


@dataclass(frozen=True)
class Layout:
    """`parts` holds the parts that exist; images under no part's folder count as `train`. `keypoints` follow each box
    of a label file. `counts` is how many classes there are, by what says so."""

    parts: Mapping[Part, tuple[Sample, ...]]
    names: tuple[str, ...] | None
    notes: tuple[str, ...]
    ledger: Ledger
    problems: tuple[Problem, ...] = ()
    keypoints: tuple[int, int] | None = None
    counts: Mapping[str, int] = field(default_factory=dict)


class NoLabels(DatasetError):
    """There are images, and no YOLO label file for any of them."""


def detect(root: Path, uri: str) -> Layout:
    """Reads file names, descriptions and lists, no image.

    Raises DatasetError that says what was found; NoLabels where another kind of annotation may be.
    """
    found = inventory.take(root, uri)
    description = read_descriptions(root, found.files, uri)
    texts = [name for name in found.files if name.lower().endswith(".txt") and name not in description.files]
    paired = pairing.pair(found.images, texts, lambda name: part_called(name) is not None)
    if not paired.labels and not paired.several:
        raise NoLabels(_no_labels(found))
    aside = _aside(found.images, paired.labels)
    resolver = Resolver(
        str(root.resolve()), found.files, found.images, description, lambda name: _read_list(root, name, uri), aside
    )
    parts, left, notes, lists = split(found.images, aside, description, resolver, paired.left, uri)
    samples: dict[Part, tuple[Sample, ...]] = {
        part: tuple(Sample(image, paired.labels.get(image)) for image in parts[part]) for part in PARTS if part in parts
    }
    if paired.otherwise:
        told = [f"{label} of {image}" for image, label in paired.otherwise]
        notes.append(f"{uri}: {inventory.some(told, 'label file')} found under another name or folder than is usual")
    shared = [label for label, count in Counter(paired.labels.values()).items() if count > 1]
    if shared:
        notes.append(f"{uri}: {inventory.some(shared, 'label file')} count for several images of the same name each")
    ledger = _ledger(found, paired, left, {*description.files, *lists})
    problems = tuple(
        Problem("images that several label files fit", image, _one_of(paired.several[image]))
        for image in sorted(paired.several)
    )
    keypoints, counts = description.keypoints, description.counts
    return Layout(samples, description.names, tuple(notes), ledger, problems, keypoints, counts)


def _read_list(root: Path, name: str, uri: str) -> str:
    """A text that may be a list of images. Raises DatasetError for a list in another encoding than UTF-8; the log of a
    training that is called after it (train_log.txt) may be in any."""
    try:
        return read_text(root, name, uri)
    except DatasetError:
        roughly = (root / name).read_bytes().replace(b"\0", b"").decode("latin-1")
        pictures = any(is_picture(line.strip()) for line in roughly.splitlines())
        if pictures or part_called(PurePosixPath(name).stem):
            raise
        return ""


def _one_of(labels: Sequence[str]) -> str:
    kept = PurePosixPath(labels[0]).with_name(UPLOADED.sub("", PurePosixPath(labels[0]).name))
    return f"{' and '.join(labels[:2])}; keep the right one, as {kept}"


def _aside(images: Sequence[str], labelled: Mapping[str, str]) -> frozenset[str]:
    """Pictures that are no images: in a folder that has no label and is called `masks`, or lies beside `images`."""
    holding = {folder.as_posix() for image in labelled for folder in PurePosixPath(image).parents}
    beside = {
        folder.rpartition("/")[0] if "/" in folder else "."
        for folder in holding
        if PurePosixPath(folder).name.lower() in IMAGE_FOLDERS
    }

    def is_aside(folder: PurePosixPath) -> bool:
        name = folder.name.lower()
        if folder.as_posix() in holding or name in IMAGE_FOLDERS or part_called(name) is not None:
            return False
        return name in _ASIDE or folder.parent.as_posix() in beside

    return frozenset(
        image
        for image in images
        if image not in labelled and any(is_aside(folder) for folder in PurePosixPath(image).parents if folder.name)
    )


def _ledger(found: Inventory, paired: Pairing, left: Mapping[str, str], describing: set[str]) -> Ledger:
    kept = set(paired.labels.values())
    unused: list[tuple[str, str]] = []
    used = {label for image, label in paired.labels.items() if image not in left}
    for label in sorted(kept - used):
        unused.append(("of images that are left out", label))
    for name in paired.left:
        if name not in describing and _is_label_file(found, name):
            unused.append(("that belong to no image", name))
    taken = {*found.images, *kept, *describing, *(name for _, name in unused)}
    other = Counter(PurePosixPath(name).suffix.lower() or "no suffix" for name in found.files if name not in taken)
    kinds = {"descriptions": len(describing), "hidden": len(found.hidden), **other}
    return Ledger(
        files=len(found.files) + len(found.hidden),
        images=tuple((why, image) for image, why in left.items()),
        label_files=tuple(unused),
        other={kind: count for kind, count in kinds.items() if count},
        annotations={UNUSED: sum(_objects(found.root / name) for _, name in unused)},
    )


def _objects(path: Path) -> int:
    return labels.count(path.read_text(encoding="utf-8-sig", errors="replace"))


def _is_label_file(found: Inventory, name: str) -> bool:
    """By its first line; an empty one where labels lie."""
    with (found.root / name).open("rb") as file:
        lines = file.read(_HEAD).decode("utf-8-sig", "replace").split("\n")
    first = next((line for line in lines if line.strip()), None)
    if first is not None:
        return labels.is_row(first)
    folders = {step.lower() for step in PurePosixPath(name).parts[:-1]}
    here = PurePosixPath(name).parent
    return bool(folders & LABEL_FOLDERS) or any(PurePosixPath(image).parent == here for image in found.images)


def _no_labels(found: Inventory) -> str:
    images = found.images
    looked = PurePosixPath(images[0])
    places = [str(looked.with_suffix(".txt"))]
    if "images" in looked.parts[:-1]:
        number = len(looked.parts) - 2 - list(reversed(looked.parts[:-1])).index("images")
        places.insert(
            0, str(PurePosixPath(*looked.parts[:number], "labels", *looked.parts[number + 1 :]).with_suffix(".txt"))
        )
    message = f"{found.uri} holds no label for any of its {len(images)} images; "
    message += f"those of {images[0]} were looked for at {' and '.join(places)}"
    return message + _hint(found)


def _hint(found: Inventory) -> str:
    """What the labels may be that were meant."""
    for name in found.files:
        if kind := otherkinds.kind(found.root, name):
            return f"; {name} looks like another annotation format, {kind}: {otherkinds.advice(kind)}"
    for suffixes in ((".json", ".xml"), _TABLES):
        for name in found.files:
            if name.lower().endswith(suffixes):
                return f"; {name} looks like another annotation format: {otherkinds.advice('')}"
    return ""
