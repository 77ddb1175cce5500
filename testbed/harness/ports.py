"""Ports of what tests start: free, and promised to nobody else, neither here nor in another worker's process; and
whether anything listens there yet."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from functools import cache
from pathlib import Path

_RANGE = range(15000, 32000)
"""Below the kernel's range for outgoing connections: it hands none of these out before the listener starts."""

_random = random.SystemRandom()  # what seeds the common one, in several workers alike, would make them choose alike
_promised: set[int] = set()


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on, and that is promised to nobody else while this process lives.

    A listener needs seconds to start; a port that is only looked at is found free by others until then.
    """
    while True:
        port = _random.choice(_RANGE)
        if port not in _promised and _lock(port) and _is_free(port):
            _promised.add(port)
            return port


def listens(address: str, port: int) -> bool:
    """Whether something accepts TCP connections there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((address, port)) == 0


@cache
def _promises() -> int:
    """A file of which a byte is locked for each port. Open for the life of this process: closing it unlocks all."""
    return os.open(Path(tempfile.gettempdir()) / f"modelfleet-ports-{os.getuid()}", os.O_RDWR | os.O_CREAT, 0o600)


def _lock(port: int) -> bool:
    try:
        fcntl.lockf(_promises(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
