"""Files on this machine: digests, and writing so that a reader sees the whole file or none of it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ._errors import ArtifactError, error

CHUNK = 1 << 20


@dataclass(frozen=True)
class Digest:
    """SHA-256 (lower-case hexadecimal) and size in bytes of one file's content."""

    sha256: str
    size: int


def of_chunks(chunks: Iterable[bytes]) -> Digest:
    sha, size = hashlib.sha256(), 0
    for chunk in chunks:
        sha.update(chunk)
        size += len(chunk)
    return Digest(sha.hexdigest(), size)


def file_digest(path: Path) -> Digest:
    """Digest of a local file, read in pieces. Raises OSError."""
    with path.open("rb") as file:
        return of_chunks(iter(lambda: file.read(CHUNK), b""))


def ensure_room(folder: Path, needed: int, uri: str, *, how: str = "") -> None:
    """Raises ArtifactError DiskFull, with figures, where the disk of `folder` has less than `needed` bytes free.

    `folder` need not exist yet. `how` says in what form `uri` takes so many bytes ("unpacked"). A quota that the file
    system knows nothing of (an emptyDir's sizeLimit) is not seen.
    """
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if needed > free:
        form = f" {how}" if how else ""
        hint = f"needs {size_text(needed)}{form} and the disk has {size_text(free)} free; give the volume more space"
        raise error("DiskFull", uri, hint=hint)


def size_text(size: int) -> str:
    """A size for people: "12.3 GB"."""
    value = float(size)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.{0 if unit == 'bytes' else 1}f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


class AtomicFile:
    """Collects bytes in a hidden temporary file beside `destination`; `commit` makes it appear, whole and durable.

    Leaving the `with` block without a commit removes the temporary file. With `kept` it is that file, and it is gone on
    with from what it holds: it outlives a crash, and a store that was lost or refused its credentials on the way. The
    caller makes sure that there is one writer of it.
    """

    def __init__(self, destination: Path, kept: Path | None = None) -> None:
        self._destination = destination
        self._kept = kept
        self._sha = hashlib.sha256()
        self.size = 0

    def __enter__(self) -> AtomicFile:
        self._destination.parent.mkdir(parents=True, exist_ok=True)
        if self._kept is None:
            # at most 4 bytes a character: room for what mkstemp adds to a name of at most 255 bytes
            handle, name = tempfile.mkstemp(prefix=f".{self._destination.name[:32]}.", dir=self._destination.parent)
            self._file, self._temporary = os.fdopen(handle, "w+b"), Path(name)
            return self
        self._file, self._temporary = self._kept.open("a+b"), self._kept
        self._file.seek(0)
        while chunk := self._file.read(CHUNK):
            self._count(chunk)
        return self

    def write(self, chunk: bytes) -> None:
        self._file.write(chunk)
        self._count(chunk)

    def _count(self, chunk: bytes) -> None:
        self._sha.update(chunk)
        self.size += len(chunk)

    def restart(self) -> None:
        """Forget what was written so far."""
        self._file.seek(0)
        self._file.truncate()
        self._sha, self.size = hashlib.sha256(), 0

    def digest(self) -> Digest:
        return Digest(self._sha.hexdigest(), self.size)

    def commit(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._temporary.chmod(0o644)  # mkstemp makes it private; other containers of the pod read it
        self._temporary.replace(self._destination)
        folder = os.open(self._destination.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def __exit__(self, _kind: object, caught: BaseException | None, _trace: object) -> None:
        if not self._file.closed:
            # a full disk refuses the last buffer too; the error that brought us here says so already
            with contextlib.suppress(OSError):
                self._file.close()
        # what was wrong is of no use, and a full disk harms everything on the node: nothing is kept then
        broke_off = isinstance(caught, ArtifactError) and caught.reason in ("Unreachable", "AccessDenied")
        if self._kept is None or not (broke_off or not isinstance(caught, Exception)):
            self._temporary.unlink(missing_ok=True)
