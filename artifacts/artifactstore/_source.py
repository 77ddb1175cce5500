"""One file to be read, in whatever store it lies: its size, and its content from any byte on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import obstore

from ._address import parse
from ._files import CHUNK

if TYPE_CHECKING:
    from obstore import GetOptions, GetResult

    from ._address import Address


@dataclass(frozen=True, slots=True)
class Source:
    """`size` is of the whole file, in bytes; `chunks` begin where it was opened.

    `sha256` is what the store itself says of the content, in a manifest that was verified; None where it says nothing.
    `packed` is the type of a file that is an archive by its manifest, else "".
    """

    size: int
    chunks: Iterator[bytes]
    sha256: str | None = None
    packed: str = ""


@contextmanager
def opened(uri: str, *, offset: int = 0) -> Iterator[Source]:
    """The file at `uri`, from byte `offset` on, to be read inside the block.

    Raises ArtifactError, obstore's errors and OSError, there as well as here.
    """
    if not uri.startswith("oci://"):
        yield opened_at(parse(uri), offset=offset)
        return
    from . import _oci  # most who read a file have none of these addresses, and httpx takes a while to load

    with _oci.opened(uri) as blob:
        packed = blob.layer.media if blob.layer.is_packed else ""
        yield Source(blob.layer.size, blob.chunks(offset), blob.layer.sha256, packed)


def opened_at(address: Address, *, offset: int = 0) -> Source:
    """An object of an object store, or a local file. Raises obstore's errors and OSError."""
    options: GetOptions = {"range": {"offset": offset}} if offset else {}
    result = obstore.get(address.store, address.key, options=options)
    return Source(result.meta["size"], _streamed(result))


def _streamed(result: GetResult) -> Iterator[bytes]:
    # the library resumes a broken stream by range, from the same entity tag, within its retry limits
    for chunk in result.stream(min_chunk_size=CHUNK):
        yield bytes(chunk)
