"""The balance of a source: what became of each of its files, and of each annotation. It adds up. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from artifactstore import printable

_NAMED = 3  # files named of each kind
_KINDS = 8  # that a lineage has room for; what else there is becomes one
_TEXT = 128  # characters of a reason or a name, alike


@dataclass(frozen=True)
class LeftOut:
    """`why` in words; `first` are the first names of the files."""

    why: str
    count: int
    first: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {"why": cut(self.why), "count": self.count, "first": [cut(name) for name in self.first]}

    def said(self, what: str) -> str:
        """ "2 images in no annotation file (a.jpg, b.jpg)"."""
        more = ", ..." if self.count > len(self.first) else ""
        names = f" ({', '.join(map(cut, self.first))}{more})" if self.first else ""
        return f"{self.count} {what}{'s' if self.count != 1 else ''} {self.why}{names}"


@dataclass(frozen=True)
class Balance:
    """`images` has what is used, by part; `other` are files that are neither images nor labels, by kind; annotations
    are objects, of which label files and annotation files list so many."""

    files: int
    images: Mapping[str, int]
    images_left_out: tuple[LeftOut, ...]
    label_files: int
    label_files_left_out: tuple[LeftOut, ...]
    listed: int
    annotations: int
    annotations_left_out: tuple[LeftOut, ...]
    other: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        found = sum(self.images.values()) + _sum(self.images_left_out) + sum(self.other.values())
        found += self.label_files + _sum(self.label_files_left_out)
        objects = self.annotations + _sum(self.annotations_left_out)
        if found != self.files or objects != self.listed:
            raise AssertionError(f"of {self.files} files {found} and of {self.listed} objects {objects} are told of")

    @property
    def left_out(self) -> tuple[str, ...]:
        """In words, what was left out."""
        return (
            *(group.said("image") for group in self.images_left_out),
            *(group.said("label file") for group in self.label_files_left_out),
            *(group.said("annotation") for group in self.annotations_left_out),
        )

    def without(self, part: str, why: str, images: Sequence[str], objects: int, label_files: int) -> Balance:
        """After `images` of `part`, with so many objects in so many label files, were left out as well."""
        if not images:
            return self
        return replace(
            self,
            images={**self.images, part: self.images[part] - len(images)},
            images_left_out=(*self.images_left_out, group(why, images)),
            label_files=self.label_files - label_files,
            label_files_left_out=_with(self.label_files_left_out, LeftOut(why, label_files)),
            annotations=self.annotations - objects,
            annotations_left_out=_with(self.annotations_left_out, LeftOut(why, objects)),
        )

    def with_odd(self, objects: int) -> Balance:
        """After so many objects were not fetched, since their keys can't be asked for."""
        if not objects:
            return self
        return replace(
            self, files=self.files + objects, other={**self.other, "of keys that can't be asked for": objects}
        )

    def moved(self, part: str, other: str, images: int) -> Balance:
        """After so many images of `part` came into `other`."""
        counts = Counter(self.images)
        counts.update({part: -images, other: images})
        return replace(self, images=dict(counts))

    def to_json(self) -> dict[str, Any]:
        return {
            "files": self.files,
            "images": {"train": 0, "val": 0, "test": 0, **self.images},
            "imagesLeftOut": _bounded(self.images_left_out),
            "labelFiles": self.label_files,
            "labelFilesLeftOut": _bounded(self.label_files_left_out),
            "annotations": self.annotations,
            "annotationsLeftOut": _bounded(self.annotations_left_out),
            "otherFiles": _bounded_kinds(self.other),
        }


def groups(left_out: Iterable[tuple[str, str]]) -> tuple[LeftOut, ...]:
    """(why, name) of each, gathered."""
    gathered: dict[str, list[str]] = {}
    for why, name in left_out:
        gathered.setdefault(why, []).append(name)
    return tuple(group(why, names) for why, names in gathered.items())


def group(why: str, names: Sequence[str]) -> LeftOut:
    return LeftOut(why, len(names), tuple(names[:_NAMED]))


def counted(left_out: Mapping[str, int]) -> tuple[LeftOut, ...]:
    return tuple(LeftOut(why, count) for why, count in left_out.items() if count)


def cut(text: str) -> str:
    """As much as a lineage has room for, in characters that any reader can decode: names of files hold any bytes."""
    text = printable(text)
    return text if len(text) <= _TEXT else text[: _TEXT - 1] + "…"


def _with(groups: tuple[LeftOut, ...], more: LeftOut) -> tuple[LeftOut, ...]:
    return (*groups, more) if more.count else groups


def _sum(groups: Iterable[LeftOut]) -> int:
    return sum(group.count for group in groups)


def _bounded(groups: Sequence[LeftOut]) -> list[dict[str, Any]]:
    """The largest first; the rest as one, so that the sum stays right."""
    ordered = sorted(groups, key=lambda group: -group.count)
    kept, rest = ordered[: _KINDS - 1], ordered[_KINDS - 1 :]
    if len(rest) > 1:
        names = tuple(name for group in rest for name in group.first)
        rest = [LeftOut("for other reasons", _sum(rest), names[:_NAMED])]
    return [group.to_json() for group in (*kept, *rest)]


def _bounded_kinds(kinds: Mapping[str, int]) -> dict[str, int]:
    ordered = Counter(dict(kinds)).most_common()
    kept, rest = ordered[: 2 * _KINDS - 1], ordered[2 * _KINDS - 1 :]
    bounded = {cut(kind): count for kind, count in kept}
    return bounded | ({"others": sum(count for _, count in rest)} if rest else {})
