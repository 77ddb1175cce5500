"""Cut a byte stream into lines of text, whatever the sizes of its chunks, with a bound on memory."""

from collections.abc import AsyncIterator

MAX_LINE = 4 * 2**20
"""Bytes of one line that are kept; a longer line is dropped as a whole (a progress bar that never ends its line)."""


async def split_lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """The lines without their line ends; invalid UTF-8 is replaced. The last line may lack its line end."""
    rest = bytearray()
    overflow = False
    async for chunk in chunks:
        *complete, tail = chunk.split(b"\n")
        for piece in complete:
            if not overflow and len(rest) + len(piece) <= MAX_LINE:
                rest += piece
                yield rest.decode("utf-8", "replace").rstrip("\r")
            rest.clear()
            overflow = False
        if overflow or len(rest) + len(tail) > MAX_LINE:
            overflow = True
            rest.clear()
        else:
            rest += tail
    if rest and not overflow:
        yield rest.decode("utf-8", "replace").rstrip("\r")
