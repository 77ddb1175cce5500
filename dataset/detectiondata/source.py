"""Reads one source whole: every image decoded once, every label line parsed, and all that is wrong said at once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from detectiondata import annotated, inventory, limits, otherkinds
from detectiondata.acceptance import Look, look, why_not
from detectiondata.balance import Balance, counted, groups
from detectiondata.description import check_counts
from detectiondata.errors import DatasetError
from detectiondata.fetch import Fetched, Format
from detectiondata.isolated import Died, isolated
from detectiondata.labels import KEYPOINTS, Bad, Row, count, look_like_keypoints, parse
from detectiondata.layout import UNUSED, Boxes, Layout, NoLabels, Sample, detect
from detectiondata.parts import Part
from detectiondata.picture import THUMB, Picture, read_picture
from detectiondata.problems import Problem, summary
from detectiondata.suffixes import IMAGE_SUFFIXES
from detectiondata.turned import Turned, settle

_BLACK = 16  # of 255; what holds nothing brighter looks black


@dataclass(frozen=True)
class CheckedSample:
    """`length` is where the picture ends in its file; some cameras append bytes that readers stumble over. `listed` is
    how many objects its label file lists, identical ones too. `suffix` is what ultralytics knows its format by; None
    where it takes the picture only converted (`acceptance`)."""

    image: Path
    rows: tuple[Row, ...]
    labelled: bool
    sha256: str
    length: int
    suffix: str | None = ".jpg"
    label: str | None = None
    listed: int = 0
    orientation: int = 1
    dark: bool = False


@dataclass(frozen=True)
class CheckedSource:
    fetched: Fetched
    names: tuple[str, ...]
    parts: Mapping[Part, tuple[CheckedSample, ...]]
    notes: tuple[str, ...]
    balance: Balance


@dataclass(frozen=True)
class _Unreadable:
    """A picture of a format that the trainer does not read, with the label file that goes with it."""

    image: str
    label: str | None
    why: str
    objects: int


def check_source(fetched: Fetched, format: Format, fallback_names: tuple[str, ...] | None) -> CheckedSource:
    """Raises DatasetError with counts and the first files of each problem.

    `fallback_names` are the parent's classes, for a dataset that names none.
    """
    layout = _layout(fetched.root, fetched.uri, format)
    names = layout.names or fallback_names
    if names is None:
        raise DatasetError(
            f"{fetched.uri} names no classes; add a data.yaml with `names:`, or a classes.txt with one a line",
        )
    check_counts(layout.counts, names, f"and names none, where the model has {len(names)}; add names:", fetched.uri)
    limits.check(names, fetched.uri)
    parts, unreadable, problems = _read(fetched.root, layout, len(names))
    problems = [*layout.problems, *problems]
    if problems:
        total = sum(len(samples) for samples in layout.parts.values())
        raise DatasetError(f"{fetched.uri} ({total} images) has {summary(problems)}")
    _refuse_keypoints(fetched.uri, layout, parts)
    checked: tuple[Part, Part] = ("train", "val")
    for part in checked:
        samples = parts.get(part)
        if samples is not None and not any(sample.rows for sample in samples):
            crowds, flat = (layout.ledger.annotations.get(why, 0) for why in (annotated.CROWDS, annotated.FLAT))
            more = f"; {crowds} annotations are crowds (iscrowd), which are left out" if crowds else ""
            more += f"; {flat} annotations have a bbox without area, and are left out" if flat else ""
            raise DatasetError(
                f"{fetched.uri}: none of the {len(samples)} images of {part} has a labelled object{more}"
            )
    balance = _balance(layout, parts, unreadable).with_odd(len(fetched.odd))
    left_out = [f"{fetched.uri}: left out: {what}" for what in balance.left_out]
    notes = (*fetched.notes, *layout.notes, *_remarks(fetched, parts), *left_out)
    return CheckedSource(fetched, names, parts, notes, balance)


def _refuse_keypoints(uri: str, layout: Layout, parts: Mapping[Part, tuple[CheckedSample, ...]]) -> None:
    """Without kpt_shape, rows of keypoints read as polygons, and each box is another one."""
    rows = [row for samples in parts.values() for sample in samples for row in sample.rows]
    if layout.keypoints is None and look_like_keypoints(rows):
        raise DatasetError(f"{uri}: {KEYPOINTS}")


def _balance(
    layout: Layout, parts: Mapping[Part, tuple[CheckedSample, ...]], unreadable: Sequence[_Unreadable]
) -> Balance:
    """What became of every file of the source, and of every object."""
    ledger = layout.ledger
    samples = [sample for each in parts.values() for sample in each]
    label_files = {sample.label for sample in samples if sample.label is not None}
    of_unreadable = {each.label for each in unreadable if each.label is not None} - label_files
    used = sum(len(sample.rows) for sample in samples)
    lost = sum(each.objects for each in unreadable)
    listed = ledger.listed or sum(sample.listed for sample in samples) + lost + ledger.annotations.get(UNUSED, 0)
    left_out = {**ledger.annotations, "of pictures that can't be read": lost}
    left_out["that are the same as another of their image"] = listed - used - sum(left_out.values())
    return Balance(
        files=ledger.files,
        images={part: len(each) for part, each in parts.items()},
        images_left_out=groups([*ledger.images, *((each.why, each.image) for each in unreadable)]),
        label_files=len(label_files),
        label_files_left_out=groups(
            [*ledger.label_files, *(("of pictures that can't be read", label) for label in sorted(of_unreadable))]
        ),
        listed=listed,
        annotations=used,
        annotations_left_out=counted(left_out),
        other=ledger.other,
    )


def _remarks(fetched: Fetched, parts: Mapping[Part, tuple[CheckedSample, ...]]) -> Iterator[str]:
    """What is no error in a picture, and worth a look."""
    samples = [sample for each in parts.values() for sample in each]
    if fetched.odd:
        objects = inventory.some(fetched.odd, "object")
        yield (f"{fetched.uri}: left out: {objects} whose key can't be asked for (//, /../, a control character)")
    for found, what in (
        (
            [sample for sample in samples if sample.suffix is None],
            "converted to PNG, for ultralytics takes no picture in its format or state",
        ),
        (
            [sample for sample in samples if sample.dark],
            f"almost black: no value above {_BLACK - 1} of 255. Pictures of 10 or 12 bits in files of 16 look so: "
            "scale their values to the whole range",
        ),
        (
            [sample for sample in samples if sample.orientation > 1 and sample.rows],
            "turned by their EXIF orientation before training, and so by the agent: make sure that they were labelled "
            "as they are shown",
        ),
    ):
        if found:
            names = [sample.image.relative_to(fetched.root).as_posix() for sample in found]
            yield f"{fetched.uri}: {inventory.some(names, 'image')} {what}"


def _layout(root: Path, uri: str, format: Format) -> Layout:
    """Auto means YOLO where images have label files, and COCO where annotation files lie; never both."""
    if format == "COCO":
        found = annotated.detect(root, uri)
        if found is None:
            raise DatasetError(
                f"{uri} holds no COCO annotations, a .json file with images, annotations and categories; add it, or "
                "leave out format to have it found out",
            )
        return found
    try:
        layout = detect(root, uri)
    except NoLabels:
        found = annotated.detect(root, uri) if format == "Auto" else None
        if found is None:
            raise
        return found
    if format == "Auto":
        _refuse_both(root, layout, uri)
        _refuse_other_kinds(root, layout, uri)
    return layout


def _refuse_both(root: Path, layout: Layout, uri: str) -> None:
    names = [name for name, hidden in inventory.walk(root, uri) if name.lower().endswith(".json") and not hidden]
    others = annotated.files(root, names, uri) if names else []
    if others:
        labels = [sample.label for samples in layout.parts.values() for sample in samples if sample.label is not None]
        raise DatasetError(
            f"{uri} holds COCO annotations, {inventory.some(others, 'file')}, and YOLO labels, "
            f"{inventory.some(labels, 'file')}; remove those that are wrong, or say which count with format: COCO or "
            "format: YOLO"
        )


def _refuse_other_kinds(root: Path, layout: Layout, uri: str) -> None:
    """Where somebody converted a part of the labels, the rest would be images without objects. Raises DatasetError."""
    samples = [sample for part in layout.parts.values() for sample in part]
    bare = frozenset(sample.image for sample in samples if sample.label is None)
    used = {sample.label for sample in samples}
    others = (name for name, hidden in inventory.walk(root, uri) if not hidden and name not in used)
    found = otherkinds.of_bare_images(root, (sample.image for sample in samples), bare, others)
    if found:
        files = dict.fromkeys(file for each in found.values() for file in each)
        kinds = sorted({kind for file in files if (kind := otherkinds.kind(root, file))})
        raise DatasetError(
            f"{uri}: {inventory.some(sorted(found), 'image')} without a YOLO label file and with boxes in "
            f"{inventory.some(files, 'file')} of a format that is not read ({', '.join(kinds)}); convert these to YOLO "
            "label files, or say format: YOLO to have such images count as images without objects"
        )


def _read(
    root: Path, layout: Layout, classes: int
) -> tuple[dict[Part, tuple[CheckedSample, ...]], list[_Unreadable], list[Problem]]:
    problems: list[Problem] = []
    unreadable: list[_Unreadable] = []
    turned: list[Turned] = []
    read: dict[Part, list[CheckedSample]] = {}
    read_one = partial(_read_one, root, classes=classes, keypoints=layout.keypoints)
    for part, samples in layout.parts.items():
        checked = read[part] = []
        for sample, result in zip(samples, isolated(read_one, samples), strict=True):
            match result:
                case Died():
                    kind = "images that end the program which decodes them"
                    problems.append(Problem(kind, sample.image, result.how))
                case Problem():
                    problems.append(result)
                case _Unreadable():
                    unreadable.append(result)
                case CheckedSample(), Turned() as how:
                    turned.append(how)
                    checked.append(result[0])
                case CheckedSample():
                    checked.append(result)
    settled = settle(turned)
    if isinstance(settled, list):
        problems.extend(settled)
        settled = {}
    parts = {part: tuple(_settled(sample, root, settled) for sample in samples) for part, samples in read.items()}
    return parts, unreadable, problems


def _settled(sample: CheckedSample, root: Path, settled: Mapping[str, tuple[Row, ...]]) -> CheckedSample:
    rows = settled.get(sample.image.relative_to(root).as_posix())
    return sample if rows is None else replace(sample, rows=rows, listed=len(rows), orientation=1)


def _read_one(
    root: Path, sample: Sample, classes: int, keypoints: tuple[int, int] | None
) -> CheckedSample | tuple[CheckedSample, Turned] | _Unreadable | Problem:
    content = (root / sample.image).read_bytes()
    rows: list[Row] = []
    listed = 0
    if sample.label is not None:
        try:
            text = (root / sample.label).read_text(encoding="utf-8-sig")
            rows, listed = parse(text, classes, keypoints), count(text)
        except Bad as bad:
            return Problem(f"label files {bad.kind}", sample.label, bad.detail)
        except UnicodeDecodeError:
            return Problem("label files that are not text", sample.label, "")
    picture = read_picture(content)
    if picture is None:
        why = why_not(content)
        if Path(sample.image).suffix.lower() in IMAGE_SUFFIXES:
            return Problem("images that can't be read", sample.image, why)
        objects = listed if sample.boxes is None else len(sample.boxes.rows)
        return _Unreadable(sample.image, sample.label, f"that can't be read: {why}", objects)
    seen = look(content[: picture.length])
    if seen.verdict == "refused":
        return Problem("images that ultralytics does not take", sample.image, seen.why)
    if sample.boxes is not None:
        if sample.boxes.outside is not None and not _is_turned(sample.boxes, picture, seen):
            return sample.boxes.outside
        rows = list(sample.boxes.rows)
        listed = len(rows)
    checked = CheckedSample(
        image=root / sample.image,
        rows=tuple(rows),
        labelled=sample.label is not None or sample.boxes is not None,
        sha256=hashlib.sha256(content).hexdigest(),
        length=picture.length,
        suffix=_suffix(sample.image, seen),
        label=sample.label,
        listed=listed,
        orientation=1 if _tells(sample.boxes, seen) else seen.orientation,
        dark=picture.brightest < _BLACK,
    )
    if sample.boxes is not None:
        if _is_turned(sample.boxes, picture, seen):
            return checked, Turned(sample.image, sample.boxes, seen.orientation)
        wrong = _other_size(sample.boxes, picture)
        if wrong:
            return Problem("images of another size than annotated", sample.image, wrong)
    return checked


def _suffix(image: str, seen: Look) -> str | None:
    """The file's own where ultralytics lists it, whatever its content is; it looks for the format itself."""
    if seen.verdict == "converted":
        return None
    own = Path(image).suffix.lower()
    return own if own in IMAGE_SUFFIXES else seen.suffix


def _tells(boxes: Boxes | None, seen: Look) -> bool:
    """Whether the size as listed says how a picture that is turned by a quarter was annotated."""
    return boxes is not None and seen.orientation >= 5 and boxes.width != boxes.height


def _is_turned(boxes: Boxes, picture: Picture, seen: Look) -> bool:
    """Whether the size as listed is the one before EXIF's orientation turned the picture by a quarter."""
    unturned = replace(boxes, width=boxes.height, height=boxes.width)
    return seen.orientation >= 5 and bool(_other_size(boxes, picture)) and not _other_size(unturned, picture)


def _other_size(boxes: Boxes, picture: Picture) -> str | None:
    """As far as the thumbnail tells, which is enough for a turned or a scaled picture."""
    annotated = (boxes.width, boxes.height)
    if all(abs(thumb * THUMB - length) < THUMB for thumb, length in zip(picture.thumb, annotated, strict=True)):
        return None
    width, height = (thumb * THUMB for thumb in picture.thumb)
    return f"annotated as {boxes.width}x{boxes.height} pixels and about {width}x{height}"
