"""What a compressed file holds, as a stream that believes nothing: every check sum is compared, and nothing may follow.

Python's own readers pass over whatever follows a bzip2 or xz stream, and compare the sum of a gzip file only when they
are read to the end, which a tar reader never does.
"""

from __future__ import annotations

import bz2
import io
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_CHUNK = 1 << 18
_MAGIC = 6  # bytes that tell any format
_PADDING = b"\0"  # gzip and xz files may be filled up with it


class Damaged(Exception):
    """The stream is not what its format says; the words say how."""


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _Gzip:
    """zlib's object with the face of the two others."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)  # a gzip header, check sum and length

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


_FORMATS: tuple[tuple[bytes, Callable[[], _Decompressor]], ...] = (
    (b"\x1f\x8b", _Gzip),
    (b"BZh", bz2.BZ2Decompressor),
    (b"\xfd7zXZ\0", lzma.LZMADecompressor),
    (b"]\0\0", lzma.LZMADecompressor),  # .lzma, the format before .xz
)


def is_compressed(head: bytes) -> bool:
    return _begun(head) is not None


def _begun(head: bytes) -> Callable[[], _Decompressor] | None:
    return next((make for magic, make in _FORMATS if head.startswith(magic)), None)


def opened(path: Path) -> IO[bytes]:
    """The bytes of the file, decompressed where it is compressed.

    Reading raises Damaged, and OSError of the disk.
    """
    with path.open("rb") as file:
        head = file.read(_MAGIC)
    return io.BufferedReader(_Stream(path), _CHUNK) if is_compressed(head) else path.open("rb")


class _Stream(io.RawIOBase):
    """Stream after stream, as gzip, pbzip2 and xz may write several into one file."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._waiting = b""  # read from the file and not yet decompressed
        self._now: _Decompressor | None = None
        self._ended = False

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        super().close()

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        while not self._ended:
            found = self._next(len(view))
            if found:
                view[: len(found)] = found
                return len(found)
        return 0

    def _next(self, limit: int) -> bytes:
        if self._now is None:
            self._begin()
        if self._now is None:
            return b""
        try:
            found = self._now.decompress(self._waiting, limit)
        except (zlib.error, lzma.LZMAError, OSError, EOFError) as error:  # bz2's complaint is an OSError
            raise Damaged(" ".join(str(error).split())) from None
        self._waiting = b""
        if self._now.eof:
            self._waiting, self._now = self._now.unused_data, None
        elif not found:
            self._waiting = self._file.read(_CHUNK)
            if not self._waiting:
                raise Damaged("the compressed data ends in the middle")
        return found

    def _begin(self) -> None:
        """The next stream, or the end of the file."""
        self._waiting = self._waiting.lstrip(_PADDING)
        while len(self._waiting) < _MAGIC:
            more = self._file.read(_CHUNK)
            if not more:
                break
            self._waiting = (self._waiting + more).lstrip(_PADDING)
        if not self._waiting:
            self._ended = True
            return
        begun = _begun(self._waiting)
        if begun is None:
            raise Damaged("something that is not compressed follows the compressed data")
        self._now = begun()
