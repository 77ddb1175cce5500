"""The folder that an archive is unpacked into: which file each name in the archive becomes, and that none leads out.

Archives hold names of any bytes: tar has no rule for them, and old tools write those of their own machine. Libraries
that open files by names which are not UTF-8 can crash (OpenCV does), and such names can't be written into reports. So
each byte that is not printable text becomes %XX in the name of the file, and a note tells of it.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

import artifactstore
from artifactstore import printable
from detectiondata.errors import DatasetError

_CHUNK = 1 << 20
_SHOWN = 80  # characters of a name that is too long to be shown whole
_DRIVE = re.compile(r"^[A-Za-z]:$")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
# What the file system says of names that can't be: of a file where a folder must be, and the other way round; too long.
_NAMES = {
    errno.EEXIST: "as a file and as a folder; rename one of them",
    errno.ENOTDIR: "as a file and as a folder; rename one of them",
    errno.EISDIR: "as a file and as a folder; rename one of them",
    errno.ENAMETOOLONG: "and no file can have so long a name (255 bytes); rename it",
}


class Unpacked:
    """Files below `root`; `uri` is what messages call the archive. All methods raise DatasetError that names the name,
    ArtifactError DiskFull, and OSError."""

    def __init__(self, root: Path, uri: str) -> None:
        self._root = root
        self._uri = uri
        self._names: dict[Path, str] = {}
        self._escaped: list[str] = []
        self._replaced: list[str] = []

    @property
    def notes(self) -> tuple[str, ...]:
        found = []
        for names, what in (
            (self._escaped, "are not printable UTF-8; their files are called by %XX for each such byte"),
            (self._replaced, "are there more than once; the last one counts"),
        ):
            if names:
                shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
                found.append(f"{self._uri}: {len(names)} names in the archive ({shown}) {what}")
        return tuple(found)

    def write(self, name: str, content: IO[bytes], size: int) -> None:
        """The file `name` of at most `size` bytes, which the archive says that it has."""
        target = self._new(name)
        artifactstore.ensure_room(target.parent, size, self._uri, how=f"for {printable(target.name)} alone")
        written = 0
        with target.open("wb") as file:
            for chunk in _chunks(content):
                written += len(chunk)
                if written > size:
                    raise DatasetError(f"{self._uri} holds more bytes than it declares; it is damaged or hostile")
                file.write(chunk)
        if written < size:
            raise DatasetError(f"{self._uri} is damaged: {_shown(name)} ends too early; pack and upload it again")

    def link(self, name: str, earlier: str) -> None:
        """A second name of a file that came before: a hard link, as tar writes for a tree that has them."""
        source = self._path(earlier)
        if source not in self._names:
            raise DatasetError(
                f"{self._uri} holds {_shown(name)} as a second name (hard link) of {_shown(earlier)}, which is not in "
                "it; pack with tar --hard-dereference"
            )
        if source != self._place(name):
            os.link(source, self._new(name))

    def _new(self, name: str) -> Path:
        """Where the file goes; whatever has its name already is taken away, and not written into: it may be linked."""
        target = self._place(name)
        plain = _forward(name)
        before = self._names.setdefault(target, plain)
        if before != plain and PurePosixPath(before) != PurePosixPath(plain):
            raise DatasetError(f"{self._uri} holds {_shown(before)} and {_shown(name)}, too much alike; rename one")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.is_dir():
                raise IsADirectoryError(errno.EISDIR, "")
            if target.exists():
                self._replaced.append(_shown(name))
                target.unlink()
        except OSError as error:
            if error.errno not in _NAMES:
                raise
            raise DatasetError(f"{self._uri} holds the name {_shown(name)} {_NAMES[error.errno]}") from None
        if _CONTROL.search(name):
            self._escaped.append(_shown(name))
        return target

    def _place(self, name: str) -> Path:
        parts = PurePosixPath(_forward(name)).parts
        if not parts or parts[0] == "/" or ".." in parts or _DRIVE.match(parts[0]) or "\0" in name:
            raise DatasetError(f"{self._uri} holds the name {_shown(name)}, which leads out of the archive")
        return self._path(name)

    def _path(self, name: str) -> Path:
        return self._root.joinpath(*(_CONTROL.sub(_escape, part) for part in PurePosixPath(_forward(name)).parts))


def _forward(name: str) -> str:
    return name.replace("\\", "/")


def _escape(found: re.Match[str]) -> str:
    """%XX for each byte; a byte that was no UTF-8 is what surrogateescape made a surrogate of."""
    character = found.group()
    errors = "surrogateescape" if "\udc80" <= character <= "\udcff" else "surrogatepass"
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", errors))


def _shown(name: str) -> str:
    text = printable(name)
    return f"'{text if len(text) <= _SHOWN else text[: _SHOWN - 1] + '…'}'"


def _chunks(content: IO[bytes]) -> Iterator[bytes]:
    return iter(lambda: content.read(_CHUNK), b"")
