"""What decoders written in C say on stderr while they patch up a damaged picture: nothing else tells of it.

libjpeg and libtiff hand out such a picture as if it were whole, grey or shifted from the damage on.
"""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Callable
from typing import TypeVar

_STDERR = 2
_MOST = 1 << 16  # bytes of what is said that count

_MISSING = re.compile(
    rb"premature end of|bad Huffman code|found marker 0x[0-9a-f]+ instead of RST|Not enough data at scanline",
    re.IGNORECASE,
)
"""In the words of libjpeg and libtiff. Not: extraneous bytes before a marker, which some cameras write into every
picture, and which leave it whole."""

_LEFT_OVER = re.compile(rb"([0-9]{1,9}) extraneous bytes before marker 0xd9")

Result = TypeVar("Result")

_one_at_a_time = threading.Lock()


def hear(function: Callable[[], Result]) -> tuple[Result, bytes]:
    """What `function` returns, and what is written to stderr meanwhile; that goes there afterwards.

    One thread at a time. What others write to stderr in these milliseconds comes a little later, and is among it.
    """
    with _one_at_a_time:
        sys.stderr.flush()
        kept, heard = os.dup(_STDERR), os.memfd_create("heard")
        try:
            os.dup2(heard, _STDERR)
            try:
                result = function()
            finally:
                os.dup2(kept, _STDERR)
                said = os.pread(heard, _MOST, 0)
                if said:
                    os.write(_STDERR, said)
        finally:
            os.close(heard)
            os.close(kept)
    return result, said


def tells_of_damage(said: bytes) -> bool:
    """Whether a decoder has missed a part of the picture."""
    return _MISSING.search(said) is not None


def left_over(said: bytes) -> int:
    """How many bytes libjpeg had left when the picture was full."""
    return max(map(int, _LEFT_OVER.findall(said)), default=0)
