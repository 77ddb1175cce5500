"""What decoders written in C say on stderr while they patch up a damaged picture: nothing else tells of it.

libjpeg and libtiff hand out such a picture as if it were whole, grey or shifted from the damage on.
"""

from __future__ import annotations

import contextlib
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
    """What `function` returns, and (the beginning of) what is written to stderr meanwhile; that goes there afterwards.

    One thread at a time. What others write to stderr in these milliseconds comes a little later, and is among it.
    """
    with _one_at_a_time, contextlib.ExitStack() as files:
        sys.stderr.flush()
        kept = os.dup(_STDERR)
        files.callback(os.close, kept)
        heard = os.memfd_create("heard")
        files.callback(os.close, heard)
        os.dup2(heard, _STDERR)
        try:
            result = function()
        finally:
            os.dup2(kept, _STDERR)
            said = os.pread(heard, _MOST, 0)
            _pass_on(heard)
    return result, said


def _pass_on(heard: int) -> None:
    """Write all of it to stderr, however much others have said."""
    done = 0
    while piece := os.pread(heard, _MOST, done):
        done += os.write(_STDERR, piece)


def tells_of_damage(said: bytes) -> bool:
    """Whether a decoder has missed a part of the picture."""
    return _MISSING.search(said) is not None


def left_over(said: bytes) -> int:
    """How many bytes libjpeg had left when the picture was full."""
    return max(map(int, _LEFT_OVER.findall(said)), default=0)


def why_damaged(said: bytes) -> str:
    """The line that tells of it, among what others have said; "" where there is none."""
    lines = said.decode(errors="replace").splitlines()
    return next((line.strip() for line in lines if tells_of_damage(raw := line.encode()) or left_over(raw)), "")
