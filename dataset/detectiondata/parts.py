"""Which part (train, val, test) each image belongs to, by what the dataset says of itself, else by its folders. Pure.

A split that is written down is followed whole or not at all: where one entry leads nowhere and images are left over
that it may have meant, nobody knows which, and the dataset is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Literal, NamedTuple

from detectiondata.description import Description
from detectiondata.errors import DatasetError
from detectiondata.inventory import some
from detectiondata.resolve import Found, Resolver

Part = Literal["train", "val", "test"]
PARTS: tuple[Part, ...] = ("train", "val", "test")

_PART_NAMES: Mapping[str, Part] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
_PART = re.compile(r"^(?:obj_)?(train|training|val|valid|validation|test|testing)(?:[-_]?\d*|_data)$")
_WORDS = re.compile(r"[^A-Za-z0-9]+")
_ASIDE = "in a folder without labels beside the images (masks, previews)"

_Parts = dict[Part, list[str]]


class _Lost(NamedTuple):
    """A path that `file` names for a part, and that leads nowhere."""

    file: str
    part: Part
    path: str

    def __str__(self) -> str:
        return f"{self.file} names {self.part}: {self.path}"


def part_above(file: str) -> Part | None:
    """The part that the nearest folder above `file` is called after."""
    return next(filter(None, map(part_called, reversed(PurePosixPath(file).parts[:-1]))), None)


def part_called(name: str) -> Part | None:
    """The part that `name` is a name of: "train", "val2017", "Testing", "obj_train_data", ..."""
    found = _PART.match(name.lower())
    return _PART_NAMES[found.group(1)] if found else None


def split(
    images: Sequence[str],
    aside: frozenset[str],
    description: Description,
    resolver: Resolver,
    texts: Iterable[str],
    uri: str,
) -> tuple[_Parts, dict[str, str], list[str], set[str]]:
    """The parts; the images in none of them, with the reason; remarks; and the lists that were followed.

    `aside` are pictures that count only where a list names them; among `texts` may be lists of images. Raises
    DatasetError where a split can't be followed whole.
    """
    notes: list[str] = []
    plain = [image for image in images if image not in aside]
    resolved: dict[Part, list[Found]] = {}
    lost: list[_Lost] = []
    for part, paths in description.parts.items():
        for path in paths:
            found = resolver.entry(path)
            if found is None:
                lost.append(_Lost(description.file or "", part, path))
            else:
                resolved.setdefault(part, []).append(found)
    for twin in description.twins:
        _refuse_other_place(description, twin, resolver, uri)
    file = description.file or ""
    if not description.parts:
        resolved, lost, file = _lists(texts, resolver)
        named = {image for each in resolved.values() for found in each for image in found.images}
        if resolved and "train" not in {*resolved, *(each.part for each in lost)} and not named.issuperset(plain):
            _refuse_without_train(resolved, plain, uri)
            resolved = {}
    if not resolved:
        parts, left = by_folder(plain)
        notes += _unresolved(parts, lost, uri)
        return parts, left | dict.fromkeys(sorted(aside), _ASIDE), notes, set()
    _refuse_half_lists(resolved, uri)
    lists = {found.list for each in resolved.values() for found in each if found.list is not None}
    listed = {image for each in resolved.values() for found in each if found.list for image in found.images}
    parts = {part: _images(found, aside - listed) for part, found in resolved.items()}
    notes += _complete(parts, lost, plain, uri)
    notes += _apart(parts, file, uri)
    claimed = {image for each in parts.values() for image in each}
    left = {image: f"in no part that {file} names" for image in plain if image not in claimed}
    return parts, left | dict.fromkeys(sorted(aside - claimed), _ASIDE), notes, lists


def _apart(parts: _Parts, file: str, uri: str) -> list[str]:
    """Leaves each image in one part: what is validated or tested with is never trained on. Raises DatasetError where
    nothing would be left to train on."""
    notes = []
    for kept, other in (("val", "train"), ("test", "train"), ("val", "test")):
        both = set(parts.get(kept, ())) & set(parts.get(other, ()))  # type: ignore[call-overload]
        if not both:
            continue
        rest = [image for image in parts[other] if image not in both]  # type: ignore[index]
        if other == "train" and not rest:
            raise DatasetError(
                f"{uri}: {file} names the same images for train and {kept}; leave {kept} out"
                + (" to have a share of train held back" if kept == "val" else "")
            )
        parts[other] = rest  # type: ignore[index]
        notes.append(f"{uri}: {file} names {some(sorted(both), 'image')} for {other} and {kept}; used for {kept} alone")
    return notes


def _images(found: Iterable[Found], aside: frozenset[str]) -> list[str]:
    return sorted({image for each in found for image in each.images} - aside)


def _lists(texts: Iterable[str], resolver: Resolver) -> tuple[dict[Part, list[Found]], list[_Lost], str]:
    """train.txt and its like, where nothing else says what they are; the first line of those that lead nowhere; and
    what to call them."""
    resolved: dict[Part, list[Found]] = {}
    lost: list[_Lost] = []
    for name in texts:
        words = _WORDS.split(PurePosixPath(name).stem)
        part: Part | None = next(filter(None, map(part_called, words)), None)
        if part is None:
            continue
        found, meant = resolver.list(name), resolver.pictures(name)
        if not meant and part_called(PurePosixPath(name).stem):
            meant = resolver.words(name)
        if found is not None and (meant or len(found.images) >= len(found.missing)):
            resolved.setdefault(part, []).append(found)
        elif meant:  # else it is another text; some of its words may be the name of an image
            lost.append(_Lost(name, part, meant[0]))
    return resolved, lost, ", ".join(found.list or "" for each in resolved.values() for found in each)


def _refuse_without_train(resolved: Mapping[Part, list[Found]], images: Sequence[str], uri: str) -> None:
    """What a list of val or test names is never trained on: all but where folders say the same. Raises DatasetError."""
    folders, _ = by_folder(images)
    for part, each in resolved.items():
        for found in each:
            if not set(found.images) <= set(folders.get(part, ())):
                without = "have all images trained on" if set(folders) == {"train"} else "go by the folders' names"
                raise DatasetError(
                    f"{uri}: {found.list} says which images are {part}, and no list says which are train; add one "
                    f"(train.txt), or remove this one to {without}"
                )


def _refuse_other_place(description: Description, twin: str, resolver: Resolver, uri: str) -> None:
    """Two exports of one project say the same, each of its own images. Raises DatasetError."""
    elsewhere = resolver.at(twin)
    for paths in description.parts.values():
        for path in paths:
            here, there = resolver.entry(path), elsewhere.entry(path)
            if here is not None and there is not None and set(here.images) != set(there.images):
                inside = PurePosixPath(twin).is_relative_to(PurePosixPath(description.file or "").parent)
                what = "give one of their folders, or each as a source"
                if inside:
                    what = f"remove {twin} to have its images left out, or move its folder out of this one"
                raise DatasetError(
                    f"{uri}: {description.file} and {twin} say the same of different images ({here.images[0]}, "
                    f"{there.images[0]}), so these are several datasets; {what}"
                )


def _refuse_half_lists(resolved: Mapping[Part, list[Found]], uri: str) -> None:
    for each in resolved.values():
        for found in each:
            if found.missing:
                raise DatasetError(
                    f"{uri}: {some(found.missing, 'line')} of {found.list} lead to no image, {len(found.images)} do; "
                    "correct or remove them"
                )


def _unresolved(parts: _Parts, lost: Sequence[_Lost], uri: str) -> list[str]:
    """Of a description, or of lists, that lead nowhere at all."""
    if not lost:
        return []
    first = lost[0]
    if len({each.part for each in lost}) > 1 and not any(map(part_above, parts.get("train", ()))) and len(parts) == 1:
        raise DatasetError(
            f"{uri}: {first}, and nothing that it names is there, nor does a folder say which images are which; "
            "correct the paths, or remove them to have a share of all images held back"
        )
    return [f"{uri}: {first}, which is not there; went by folder names"]


def _complete(parts: _Parts, lost: Sequence[_Lost], images: Sequence[str], uri: str) -> list[str]:
    """Fills in the parts whose entry leads nowhere where folders say the same of the others. Raises DatasetError."""
    notes = []
    folders, _ = by_folder(images)
    agree = all(set(found) == set(folders.get(part, ())) for part, found in parts.items())
    given = set(parts)
    for each in lost:
        part = each.part
        claimed = {image for found in parts.values() for image in found}
        rest = [image for image in images if image not in claimed]
        if part in given:
            raise DatasetError(
                f"{uri}: {each.file} names several places for {part}, and {each.path} is not there; correct or remove "
                "it"
            )
        if part not in parts and agree and folders.get(part):
            parts[part] = folders[part]
            notes.append(f"{uri}: {each}, which is not there; went by folder names")
        elif not rest or part == "test":
            notes.append(f"{uri}: {each}, which is not there")
        else:
            raise DatasetError(
                f"{uri}: {each}, which is not there, and {some(rest, 'image')} may be meant; correct or remove it"
            )
    return notes


def by_folder(images: Iterable[str]) -> tuple[_Parts, dict[str, str]]:
    """The parts by the nearest folder that is called after one, and images outside these, with the reason; all is train
    where there is no such folder."""
    parts: _Parts = {}
    loose: list[str] = []
    for image in images:
        part = part_above(image)
        if part is None:
            loose.append(image)
        else:
            parts.setdefault(part, []).append(image)
    if not parts:
        return {"train": loose}, {}
    return parts, dict.fromkeys(loose, "outside the folders of train, val and test")
