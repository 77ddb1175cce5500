"""Where things lie: the repository, the per-user cache and the folders of running clusters."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.progress import say

REPOSITORY = Path(__file__).resolve().parents[2]
TOOLS = REPOSITORY / "testbed/tools"
IMAGE_SOURCES = REPOSITORY / "testbed/images"


def cache() -> Path:
    """The per-user cache: binaries, images and the record of running clusters.

    ``MODELFLEET_CACHE`` moves it. It may be deleted at any time while no cluster runs; everything in it is made again.
    """
    folder = Path(os.environ.get("MODELFLEET_CACHE") or Path.home() / ".cache/modelfleet").absolute()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def state_folder(name: str) -> Path:
    """The folder for one cluster's configuration, logs, keys and sockets, which is not made yet.

    Its path is short on purpose: a unix socket's path may have 107 characters.

    Raises:
        PermissionError: somebody else owns our part of the temporary folder.
    """
    ours = Path(tempfile.gettempdir()) / f"modelfleet-{os.getuid()}"
    ours.mkdir(mode=0o700, exist_ok=True)
    if ours.stat().st_uid != os.getuid():
        raise PermissionError(f"{ours} belongs to another user")
    return ours / name


@contextmanager
def locked(path: Path, waiting: str) -> Iterator[None]:
    """Hold an exclusive lock on ``path`` across processes; say ``waiting`` once if somebody else has it.

    The kernel drops the lock with its holder, so that a crash leaves none behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(waiting)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
