"""Progress on long steps: what is happening, how long it should take, how long it took."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


def say(message: str) -> None:
    """Print one line of progress to stderr."""
    print(f"[harness] {message}", file=sys.stderr, flush=True)


@contextmanager
def step(what: str, expected: str) -> Iterator[None]:
    """Announce a long step with its expected time, and say afterwards how long it took."""
    say(f"{what} (expected: {expected}) ...")
    start = time.monotonic()
    yield
    say(f"{what}: done in {time.monotonic() - start:.0f} s")
