"""Where a path that somebody wrote down leads inside a dataset: an entry of a data.yaml, a line of a list. Pure.

An entry leads where it says: from the file's place (by its `path`, too), from the top of the dataset, or, where it is a
path of another machine, as far as its end is there. Names may be spelled otherwise than files: NFC against NFD, %20
against a space, capitals. A line of a list may be the name of an image without its suffix, as VOC's are (ImageSets).
"""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import PurePosixPath
from urllib.parse import unquote

from detectiondata.description import Description
from detectiondata.suffixes import is_picture

IMAGE_FOLDERS = frozenset({"image", "images", "img", "imgs", "jpegimages", "jpgs", "photos", "pictures"})
_DRIVE = re.compile(r"^[A-Za-z]:")
_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]+://")  # of a store that images came from: s3://bucket/a.jpg
_SERVED = "/data/local-files/?d="  # what Label Studio calls a file of its own disk
_DATA = "data/"  # darknet's lists count from the folder above


def folded(name: str) -> str:
    """What differently spelled names have in common: "Foto%201.JPG" and "foto 1.jpg", é in one character or two."""
    return unicodedata.normalize("NFC", unquote(name)).casefold()


@dataclass(frozen=True)
class Written:
    """A path with its slashes right, or that of a URL. `foreign` says that its beginning means nothing here."""

    path: str
    foreign: bool

    @staticmethod
    def of(text: str) -> Written:
        if _SERVED in text:
            return Written(unquote(text.strip().partition(_SERVED)[2]), True)
        if scheme := _SCHEME.match(text.strip()):
            path = text.strip()[scheme.end() :]
            signed = scheme.group().lower().startswith("http")  # in the key of a store ? is a character like others
            return Written(path.partition("?")[0] if signed else path, True)
        plain = _DRIVE.sub("", text.strip().replace("\\", "/"))
        return Written(plain, plain.startswith("/") or plain != text.strip().replace("\\", "/"))

    @property
    def steps(self) -> list[str]:
        return [step for step in self.path.split("/") if step not in ("", ".", "..")]


@dataclass(frozen=True)
class Found:
    """The images that an entry leads to. `list` is the text file that names them, `missing` its lines that lead to
    none."""

    images: tuple[str, ...]
    list: str | None = None
    missing: tuple[str, ...] = ()


class Names:
    """Files by the ends of their paths."""

    def __init__(self, files: Iterable[str]) -> None:
        self._exact: Mapping[str, list[str]] = defaultdict(list)
        self._folded: Mapping[str, list[str]] = defaultdict(list)
        for file in files:
            name = PurePosixPath(file).name
            self._exact[name].append(file)
            self._folded[folded(name)].append(file)

    def ending(self, steps: Sequence[str]) -> list[str]:
        """The files whose path ends with `steps`, as written; else those that are spelled otherwise."""
        if not steps:
            return []
        tail = list(steps)
        found = [file for file in self._exact.get(tail[-1], ()) if file.split("/")[-len(tail) :] == tail]
        if found:
            return found
        tail = [folded(step) for step in steps]
        near = self._folded.get(tail[-1], ())
        return [file for file in near if [folded(step) for step in file.split("/")[-len(tail) :]] == tail]


class Resolver:
    """Leads entries of `description` to images; `root` is where the dataset lies on this machine."""

    def __init__(
        self,
        root: str,
        files: Iterable[str],
        images: Sequence[str],
        description: Description,
        read: Callable[[str], str],
        aside: frozenset[str] = frozenset(),
    ) -> None:
        """`aside` are pictures among `images` that are none (masks), and often called as an image is."""
        self._root = root.rstrip("/")
        self._images = images
        self._present = frozenset(files)
        self._description = description
        self._read = read
        self._names = Names(images)
        self._all = frozenset(images)
        self._bare: dict[str, list[str]] = defaultdict(list)
        for image in images:
            if image not in aside:
                self._bare[str(PurePosixPath(image).with_suffix(""))].append(image)
        self._stems = Names(self._bare)

    def at(self, file: str) -> Resolver:
        """One that counts from the place of `file`."""
        other = copy(self)
        other._description = replace(self._description, file=file)
        return other

    def entry(self, entry: str) -> Found | None:
        """None where it leads to no image of the dataset."""
        for candidate in self._candidates(entry):
            if candidate in self._present and candidate.lower().endswith(".txt"):
                return self.list(candidate)
            prefix = "" if candidate == "." else f"{candidate}/"
            below = tuple(image for image in self._images if image.startswith(prefix))
            if below:
                return Found(below)
        return None

    def list(self, file: str) -> Found | None:
        """The images that a text file names, one path a line; None where no line leads anywhere."""
        found: dict[str, None] = {}
        missing = []
        for line in self._lines(file):
            image = self._line(line, file)
            if image is None:
                missing.append(line)
            else:
                found[image] = None
        return Found(tuple(found), file, tuple(missing)) if found else None

    def pictures(self, file: str) -> tuple[str, ...]:
        """The lines of a text file that are called as pictures are, wherever they lead."""
        return tuple(line for line in self._lines(file) if is_picture(line))

    def words(self, file: str) -> tuple[str, ...]:
        """The lines of a text file where each is one word, as it is in a list of names without suffixes; else none."""
        lines = tuple(self._lines(file))
        return lines if all(len(line.split()) == 1 for line in lines) else ()

    def _lines(self, file: str) -> Iterator[str]:
        return (stripped for line in self._read(file).splitlines() if (stripped := line.strip()))

    def _candidates(self, entry: str) -> Iterator[str]:
        written = Written.of(entry)
        here = posixpath.dirname(self._description.file or "")
        if written.foreign:
            if f"{written.path}/".startswith(f"{self._root}/"):
                yield posixpath.normpath(written.path.removeprefix(self._root).lstrip("/") or ".")
            steps = written.steps
            for start in range(len(steps)):
                # "images" alone is the end of too many paths, and may hold all parts
                if start < len(steps) - 1 or steps[-1].lower() not in IMAGE_FOLDERS:
                    for base in dict.fromkeys(("", here)):
                        yield posixpath.join(base, *steps[start:])
            return
        stripped = written.path
        while stripped.startswith("../"):  # as Roboflow writes it
            stripped = stripped[3:]
        place = Written.of(self._description.path)
        bases = [here, ""] if place.foreign else [posixpath.join(here, place.path), here, ""]
        for base in dict.fromkeys(bases):
            for tail in dict.fromkeys((written.path, stripped, stripped.removeprefix(_DATA))):
                joined = posixpath.normpath(posixpath.join(base, tail))
                if not joined.startswith(("/", "..")):
                    yield joined

    def _line(self, line: str, file: str) -> str | None:
        """One image, or none: of several places that a path may mean, nobody knows which; but a name without a suffix
        means an image of the folders that its list is for."""
        written = Written.of(line)
        if written.foreign and f"{written.path}/".startswith(f"{self._root}/"):
            inside = posixpath.normpath(written.path.removeprefix(self._root).lstrip("/"))
            if inside in self._all:
                return inside
        if not written.foreign:
            here = posixpath.dirname(self._description.file or "")
            place = Written.of(self._description.path)
            for base in (posixpath.dirname(file), "" if place.foreign else posixpath.join(here, place.path), here, ""):
                joined = posixpath.normpath(posixpath.join(base, written.path))
                if joined in self._all:
                    return joined
        steps = written.steps
        kept = 1 if written.foreign or steps[:1] == [_DATA.rstrip("/")] else min(2, len(steps))
        for start in range(len(steps) - kept + 1):
            found = self._names.ending(steps[start:]) or nearest(self._without_suffix(steps[start:]), file)
            if found:
                return found[0] if len(found) == 1 else None
        return None

    def _without_suffix(self, steps: Sequence[str]) -> list[str]:
        """The images that `steps` mean where they end in no picture's suffix."""
        if not steps or is_picture(steps[-1]):
            return []
        return [image for bare in self._stems.ending(steps) for image in self._bare[bare]]


def nearest(images: Sequence[str], file: str) -> list[str]:
    """Those that share the most folders with `file`."""
    near = {image: _shared(image, file) for image in images}
    most = max(near.values(), default=0)
    return [image for image in images if near[image] == most]


def _shared(image: str, file: str) -> int:
    """How many folders both lie in."""
    pairs = zip(PurePosixPath(image).parts[:-1], PurePosixPath(file).parts[:-1], strict=False)
    return len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))
