"""Every file of a source, and which of them are images.

Links to folders inside the source are followed, as people share images between parts by them. Links to folders outside
are refused: such a folder is not in the digest that pins the source, and is there on one machine alone.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from detectiondata.errors import DatasetError
from detectiondata.suffixes import IMAGE_SUFFIXES, PICTURE_SUFFIXES

_LOST = "lost+found"  # what ext4 makes at the top of a volume, for root alone
# A link in a circle, through a file, to a name that can be none: that of nothing at all is no error to the system.
_NOWHERE = (errno.ELOOP, errno.ENOTDIR, errno.ENAMETOOLONG)
_HEAD = 12  # bytes that tell what a file is
_PICTURES = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n|GIF8[79]a|II\*\0|MM\0\*|RIFF....WEBP|BM.{4}\0{4}"
    rb"|\0\0\0\x0cjP  |....ftyp(?:avi|hei|mif)",
    re.DOTALL,
)
_TEXTS = frozenset({".csv", ".data", ".json", ".labels", ".md", ".names", ".txt", ".xml", ".yaml", ".yml"})


@dataclass(frozen=True)
class Inventory:
    """Names are relative to `root`, sorted. `hidden` are those of the operating system and of tools (.DS_Store)."""

    root: Path
    uri: str
    files: tuple[str, ...]
    images: tuple[str, ...]
    hidden: tuple[str, ...]


def take(root: Path, uri: str) -> Inventory:
    """Raises DatasetError for links that lead nowhere or outside, and where there is no image."""
    files: list[str] = []
    hidden: list[str] = []
    for name, is_hidden in walk(root, uri):
        (hidden if is_hidden else files).append(name)
    files.sort()
    images = tuple(name for name in files if _is_image(root, name))
    if not images:
        kinds = " ".join(sorted(IMAGE_SUFFIXES))
        raise DatasetError(f"{uri} holds no image ({kinds}); found {some(files, 'file')}")
    return Inventory(root, uri, tuple(files), images, tuple(sorted(hidden)))


def walk(root: Path, uri: str) -> Iterator[tuple[str, bool]]:
    """(name, whether it is hidden) of every file. Raises DatasetError as `take` does."""
    top = root.resolve()
    pending: list[tuple[str, bool, tuple[Path, ...]]] = [("", False, (top,))]
    while pending:
        folder, hidden, above = pending.pop()
        with os.scandir(root / folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if not folder and entry.name == _LOST:
                    continue
                name = f"{folder}/{entry.name}" if folder else entry.name
                is_hidden = hidden or entry.name.startswith(".") or entry.name == "__MACOSX"
                is_dir, is_file = _kind(entry)
                if is_dir:
                    inside = Path(entry.path).resolve() if entry.is_symlink() else above[-1] / entry.name
                    if not (is_hidden and entry.is_symlink()):
                        _refuse_link(name, inside, above, top, uri)
                        pending.append((name, is_hidden, (*above, inside)))
                elif is_file:
                    yield name, is_hidden
                elif entry.is_symlink() and not is_hidden:
                    target = Path(entry.path).readlink()
                    raise DatasetError(
                        f"{uri}: {name} is a link that leads nowhere ({target}); fetch what it stands for (git annex "
                        "get, dvc pull), or remove it",
                    )


def _kind(entry: os.DirEntry[str]) -> tuple[bool, bool]:
    """Whether it is a folder, and whether a file; neither for a link that leads nowhere, in whatever way."""
    try:
        return entry.is_dir(), entry.is_file()
    except OSError as error:
        if not entry.is_symlink() or error.errno not in _NOWHERE:
            raise
        return False, False


def _refuse_link(name: str, inside: Path, above: tuple[Path, ...], top: Path, uri: str) -> None:
    if not inside.is_relative_to(top):
        raise DatasetError(
            f"{uri}: {name} is a link to a folder outside the source; copy it in, or give that folder as a source too"
        )
    if inside in above:
        raise DatasetError(f"{uri}: {name} is a link to a folder that it lies in; remove it")


def _is_image(root: Path, name: str) -> bool:
    """By its suffix; a file without one, or with one that nobody knows, by its first bytes."""
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in PICTURE_SUFFIXES:
        return True
    if suffix in _TEXTS:
        return False
    with (root / name).open("rb") as file:
        return _PICTURES.match(file.read(_HEAD)) is not None


def some(names: Iterable[str], what: str, limit: int = 3) -> str:
    """A count and the first names: "2 files (a, b)"."""
    listed = list(names)
    if not listed:
        return f"no {what} at all"
    more = ", ..." if len(listed) > limit else ""
    return f"{len(listed)} {what}{'s' if len(listed) != 1 else ''} ({', '.join(listed[:limit])}{more})"
