"""Unpacks tar and zip archives that come from anywhere: all of one, or none of it.

A damaged archive is refused, whatever its damage would leave to be read: of a tar that is its end mark, which must be
there, with nothing behind it; of what is compressed its check sums (`compressed`); of a zip those of its files. Only
plain files are written, each below the destination (`unpacked`), and the disk is asked first: a zip's directory says
how much it holds, a tar holds at least what it weighs. Links and devices have no place in a dataset and are refused
rather than followed; hard links are second names of files in the archive, and become that.
"""

from __future__ import annotations

import errno
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import IO, Protocol

import artifactstore
from artifactstore import printable
from detectiondata import compressed
from detectiondata.errors import DatasetError
from detectiondata.unpacked import Unpacked

_CHUNK = 1 << 20
_BLOCK = 4096  # bytes; a file takes whole ones
_PADDING = 1 << 26  # bytes; tar fills up to a multiple of 10 KiB, and nobody to more than this
# What GNU's tar writes beside files: the archive's name (tar --label), which is none of them; and backups, in which it
# has times where others have a part of the names.
_LABEL = b"V"
_BACKUPS = {b"D": "an incremental backup (tar -g)", b"M": "a part of an archive of several volumes (tar -M)"}
_ZIP_END = struct.Struct("<4s4H2LH")  # the last record of a zip, but for its comment
_DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    compressed.Damaged,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    struct.error,
    ValueError,  # with OverflowError, KeyError and IndexError what Python's readers say of fields out of their bounds
    OverflowError,
    LookupError,
)


def unpack(archive: Path, destination: Path, uri: str) -> tuple[str, ...]:
    """Unpacks `archive` (told by its content, not its name) into `destination`; `uri` is what messages call it.

    Returns what is worth knowing and no error. Raises DatasetError (no archive, damaged, encrypted, names that lead out
    or can't be, links), ArtifactError DiskFull.
    """
    unpacked = Unpacked(destination, uri)
    try:
        if _is_tar(archive):
            artifactstore.ensure_room(destination, archive.stat().st_size, uri, how="or more unpacked")
            with compressed.opened(archive) as stream:
                _unpack_tar(stream, unpacked, uri)
        elif zipfile.is_zipfile(archive):
            _refuse_appended(archive)
            with zipfile.ZipFile(archive) as opened:
                needed = sum(-(-member.file_size // _BLOCK) * _BLOCK for member in opened.infolist())
                artifactstore.ensure_room(destination, needed, uri, how="unpacked")
                _unpack_zip(opened, unpacked, uri)
        else:
            raise DatasetError(f"{uri} is neither a tar nor a zip archive; give one, or a folder ending in /")
    except _DAMAGED as error:
        raise _damaged(uri, error) from None
    except RuntimeError as error:  # zipfile's way to say that a password, or a compression of its own, is needed
        raise DatasetError(f"{uri} can't be unpacked: {printable(str(error))}") from None
    except OSError as error:
        if error.errno is None:  # bzip2's way to say that a sum is wrong
            raise _damaged(uri, error) from None
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise DatasetError(
                f"dataset: {uri} does not fit on the disk unpacked; give the volume more space", "DiskFull"
            ) from None
        raise
    return unpacked.notes


def _damaged(uri: str, error: Exception) -> DatasetError:
    return DatasetError(f"{uri} is damaged: {printable(str(error)) or type(error).__name__}; pack and upload it again")


def _is_tar(archive: Path) -> bool:
    """By its beginning: a tar whose last file is a zip ends as a zip does, and a zip may begin with anything."""
    with compressed.opened(archive) as stream:
        head = stream.read(tarfile.BLOCKSIZE)
    if head[257:262] == b"ustar":
        return True
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return _is_end_mark(head)  # an empty one
    return True


class _Remembering:
    """A stream that still has what it gave last."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._before = self._last = b""
        self._given = 0

    def read(self, size: int = -1, /) -> bytes:
        self._before, self._last = self._last, self._stream.read(size)
        self._given += len(self._last)
        return self._last

    def block(self, at: int) -> bytes:
        """The block of a tar that begins at this place; shorter, or empty, where the stream ended before."""
        kept = self._before + self._last
        start = at - (self._given - len(kept))
        return kept[start : start + tarfile.BLOCKSIZE]


def _is_end_mark(block: bytes | bytearray) -> bool:
    return len(block) == tarfile.BLOCKSIZE and not block.strip(b"\0")


def _unpack_tar(stream: IO[bytes], unpacked: Unpacked, uri: str) -> None:
    given = _Remembering(stream)
    with tarfile.open(  # type: ignore[call-overload]  # of a stream, tarfile only reads
        fileobj=given,
        mode="r|",
        bufsize=_CHUNK,
        encoding="utf-8",
        errors="surrogateescape",
    ) as opened:
        for member in opened:
            if member.isdir() or member.type == _LABEL:
                continue
            if member.type in _BACKUPS:
                raise DatasetError(
                    f"{uri} is {_BACKUPS[member.type]}, of which not all files can be told; pack with a plain tar -cf"
                )
            if member.islnk():
                unpacked.link(member.name, member.linkname)
                continue
            if not member.isfile():
                kind = "a link" if member.issym() else "a device"
                raise DatasetError(
                    f"{uri} holds {kind}, '{printable(member.name)}'; pack plain files only (tar --dereference)"
                )
            content = opened.extractfile(member)
            assert content is not None  # it is a file
            with content:
                unpacked.write(member.name, content, member.size)
        _refuse_other_end(given.block(opened.offset))
        assert opened.fileobj is not None  # it is open
        _refuse_rest(opened.fileobj)


def _refuse_other_end(block: bytes) -> None:
    """tarfile takes any header that makes no sense for the end. `block` is the one at which it stopped."""
    if not block:
        raise tarfile.ReadError("its end mark is missing")
    if not _is_end_mark(block):
        raise tarfile.ReadError("it has something else where a file or its end should be")


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def _refuse_rest(stream: _Readable) -> None:
    """Behind the end mark are zeros; reading them compares the last check sum, too."""
    read = 0
    while chunk := stream.read(_CHUNK):
        read += len(chunk)
        if chunk.strip(b"\0"):
            raise tarfile.ReadError("something follows its end mark (two archives in one file?)")
        if read > _PADDING:
            raise tarfile.ReadError("its end mark is followed by zeros without end")


def _unpack_zip(opened: zipfile.ZipFile, unpacked: Unpacked, uri: str) -> None:
    for member in opened.infolist():
        if member.filename.replace("\\", "/").endswith("/") and member.file_size == 0:
            continue
        mode = member.external_attr >> 16
        if stat.S_ISLNK(mode):
            raise DatasetError(f"{uri} holds a link, '{printable(member.filename)}'; pack plain files only")
        if member.header_offset < 0:  # an older zipfile would ask the system for it
            raise zipfile.BadZipFile("its index points to what is before its beginning")
        with opened.open(member) as content:
            unpacked.write(member.filename, content, member.file_size)


def _refuse_appended(archive: Path) -> None:
    """zipfile finds the last record wherever it is in the last 64 KiB, and passes over what follows."""
    with archive.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _ZIP_END.size - 0xFFFF))
        tail = file.read()
    at = tail.rfind(b"PK\5\6")
    comment = _ZIP_END.unpack_from(tail, at)[-1]
    if at + _ZIP_END.size + comment != len(tail):
        raise zipfile.BadZipFile("something follows its end, or its comment is cut short")
