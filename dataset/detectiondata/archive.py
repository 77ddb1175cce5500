"""Unpacks tar and zip archives that come from anywhere, so that nothing can land outside the folder meant for it.

Only plain files are written, each below the destination, and the disk is asked first: a zip's directory says how much
it holds, a tar holds at least what it weighs. Links and devices have no place in a dataset and are refused rather than
followed.
"""

from __future__ import annotations

import errno
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

import artifactstore
from detectiondata.errors import DatasetError

_CHUNK = 1 << 20
_BLOCK = 4096  # bytes; a file takes whole ones


def unpack(archive: Path, destination: Path, uri: str) -> None:
    """Unpacks `archive` (told by its content, not its name) into `destination`; `uri` is what messages call it.

    Raises DatasetError (no archive, damaged, encrypted, names that lead out, links), ArtifactError DiskFull.
    """
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as opened:
                needed = sum(-(-member.file_size // _BLOCK) * _BLOCK for member in opened.infolist())
                artifactstore.ensure_room(destination, needed, uri, how="unpacked")
                _unpack_zip(opened, destination, uri)
        elif tarfile.is_tarfile(archive):
            artifactstore.ensure_room(destination, archive.stat().st_size, uri, how="or more unpacked")
            with tarfile.open(archive) as opened_tar:
                _unpack_tar(opened_tar, destination, uri)
        else:
            raise DatasetError(f"{uri} is neither a tar nor a zip archive; give one, or a folder ending in /")
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError) as error:
        raise DatasetError(f"{uri} is damaged: {error}; pack and upload it again") from None
    except RuntimeError as error:  # zipfile's way to say that a password is needed
        raise DatasetError(f"{uri} can't be unpacked: {error}") from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise DatasetError(
                f"dataset: {uri} does not fit on the disk unpacked; give the volume more space", "DiskFull"
            ) from None
        raise


def _unpack_tar(opened: tarfile.TarFile, destination: Path, uri: str) -> None:
    for member in opened:
        if member.isdir():
            continue
        if not member.isfile():
            kind = "a link" if member.issym() or member.islnk() else "a device"
            raise DatasetError(f"{uri} holds {kind}, {member.name!r}; pack plain files only (tar --dereference)")
        content = opened.extractfile(member)
        assert content is not None  # it is a file
        with content:
            _write(content, _target(member.name, destination, uri), member.size, uri)


def _unpack_zip(opened: zipfile.ZipFile, destination: Path, uri: str) -> None:
    for member in opened.infolist():
        if member.is_dir():
            continue
        mode = member.external_attr >> 16
        if stat.S_ISLNK(mode):
            raise DatasetError(f"{uri} holds a link, {member.filename!r}; pack plain files only")
        with opened.open(member) as content:
            _write(content, _target(member.filename, destination, uri), member.file_size, uri)


def _target(name: str, destination: Path, uri: str) -> Path:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or parts[0] == "/" or ".." in parts or ":" in parts[0] or "\0" in name:
        raise DatasetError(f"{uri} holds the name {name!r}, which leads out of the archive")
    return destination.joinpath(*parts)


def _write(content: IO[bytes], target: Path, size: int, uri: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    artifactstore.ensure_room(target.parent, size, uri, how=f"for {target.name} alone")
    written = 0
    with target.open("wb") as file:
        for chunk in _chunks(content):
            written += len(chunk)
            if written > size:
                raise DatasetError(f"{uri} holds more bytes than it declares; it is damaged or hostile")
            file.write(chunk)


def _chunks(content: IO[bytes]) -> Iterator[bytes]:
    return iter(lambda: content.read(_CHUNK), b"")
