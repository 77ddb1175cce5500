"""Which label file belongs to which image. Pure.

1. Where `images` in the image's path is replaced by `labels`, else beside the image: `a.txt` of `a.jpg`.
2. What is left is matched where names or folders are spelled otherwise (a.TXT, IMG_1 and img_1, %20, NFC and NFD),
   where the folders are called `JPEGImages`, `img`, `label`, where labels lie in one folder without those of the
   parts, and where they are called `a.jpg.txt`: when exactly one label file and one image fit each other.
3. What is left after that, as Label Studio calls what was uploaded to it: eight hexadecimal digits in front, no
   spaces and no signs in the name. Two tasks of one image are two label files for it, and nobody can tell which is
   right.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from detectiondata.resolve import IMAGE_FOLDERS, folded

LABEL_FOLDERS = frozenset({"annotation", "annotations", "label", "labels", "txt"})

UPLOADED = re.compile(r"^[0-9a-f]{8}(?:-|__)")
_SIGN = re.compile(r"[^-\w.]")

_Key = tuple[str, ...]


@dataclass(frozen=True)
class Pairing:
    """`labels` has each image's file; `otherwise` are the pairs of rules 2 and 3 among them, `left` texts of no image,
    `several` the images without one that more than one of rule 3 fits."""

    labels: Mapping[str, str]
    otherwise: tuple[tuple[str, str], ...]
    left: tuple[str, ...]
    several: Mapping[str, tuple[str, ...]]


def pair(images: Sequence[str], texts: Iterable[str], is_part: Callable[[str], bool]) -> Pairing:
    """`texts` are the text files that may be labels; `is_part` knows the names of the parts' folders."""
    present = frozenset(texts)
    labels = {image: label for image in images if (label := label_of(image, present)) is not None}
    left = present.difference(labels.values())
    bare = [image for image in images if image not in labels]
    otherwise: list[tuple[str, str]] = []
    several: dict[str, tuple[str, ...]] = {}
    for key_of_image, key_of_label in _rules(is_part):
        free: dict[_Key | None, list[str]] = defaultdict(list)
        for label in sorted(left):
            free[key_of_label(label)].append(label)
        asking: dict[_Key, list[str]] = defaultdict(list)
        for image in bare:
            asking[key_of_image(image)].append(image)
        for key, candidates in asking.items():
            found = free.get(key, [])
            if len(candidates) == len(found) == 1:
                labels[candidates[0]] = found[0]
                otherwise.append((candidates[0], found[0]))
            elif len(candidates) == 1 and found and key_of_label is _uploaded:
                several[candidates[0]] = tuple(found)
        left = left.difference(labels.values())
        bare = [image for image in bare if image not in labels]
    return Pairing(labels, tuple(sorted(otherwise)), tuple(sorted(left)), several)


def label_of(image: str, present: frozenset[str]) -> str | None:
    """By rule 1."""
    path = PurePosixPath(image)
    for number in reversed(range(len(path.parts) - 1)):
        part = path.parts[number]
        if part.lower() == "images":
            for labels in dict.fromkeys(("labels" if part.islower() else "Labels", "labels", "Labels", "LABELS")):
                swapped = PurePosixPath(*path.parts[:number], labels, *path.parts[number + 1 :]).with_suffix(".txt")
                if str(swapped) in present:
                    return str(swapped)
            break
    beside = str(path.with_suffix(".txt"))
    return beside if beside in present else None


def _rules(is_part: Callable[[str], bool]) -> list[tuple[Callable[[str], _Key], Callable[[str], _Key | None]]]:
    def place(name: str, *, parts: bool) -> _Key:
        return _place(name, lambda step: step.lower() in IMAGE_FOLDERS or (not parts and is_part(step)))

    return [
        (lambda image: place(_stem(image), parts=True), _label),
        (lambda image: place(image, parts=True), _label),
        (lambda image: place(_stem(image), parts=False), _label),
        (lambda image: place(image, parts=False), _label),
        (lambda image: _as_uploaded(place(_stem(image), parts=False)), _uploaded),
    ]


def _label(name: str) -> _Key:
    return _place(_stem(name), lambda step: step.lower() in LABEL_FOLDERS | IMAGE_FOLDERS)


def _uploaded(name: str) -> _Key | None:
    """None for a label file that Label Studio would not have called so."""
    *above, last = _label(name)
    plain, prefixes = UPLOADED.subn("", last)
    return _as_uploaded((*above, plain)) if prefixes else None


def _as_uploaded(key: _Key) -> _Key:
    """Django's get_valid_name, by which Label Studio calls a file."""
    return *key[:-1], _SIGN.sub("", key[-1].replace(" ", "_"))


def _place(name: str, passed_over: Callable[[str], bool]) -> _Key:
    steps = PurePosixPath(name).parts
    return tuple(folded(step) for step in (*(step for step in steps[:-1] if not passed_over(step)), steps[-1]))


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))
