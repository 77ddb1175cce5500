"""The spool: the folder in which captures wait to be sent. Its layout is a contract, `docs/capture.md`.

    <reason>/<time>-<id>.jpg     an image; without its sidecar it is not there yet
    <reason>/<time>-<id>.json    its sidecar, by rename, after the image: the mark that both are whole
    <reason>/.*                  being written
    _refused/                    set aside by the upload, with a .why

Folders and files are the group's to read, write and remove, for an upload that runs as another user. Whoever removes a
capture removes its sidecar first. Several processes use the spool at once without locks: the agent and other
applications add, the agent makes room, the upload removes what was sent. A capture that is gone was removed by one of
the others, and is not an error.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from agent.capture import shares
from agent.capture.settings import Settings
from agent.capture.sidecar import Capture, compact

REFUSED = "_refused"
"""No reason can have this name: it is no DNS label."""
ORPHAN_AGE = 60.0
"""Seconds after which a file without its counterpart is a crash's: its writer would have been done long ago."""
_FILE_MODE = 0o660  # whatever the umask: the upload may be another user of the spool's group
_RESCAN = 600.0  # seconds: what others added counts from then on
_TIMED = re.compile(r"[0-9]{8}T[0-9]{6}")  # a name that begins with a time, as the contract says
_STEP = timedelta(minutes=1)  # by which a clock that is right may be put back

_log = logging.getLogger(__name__)


class NoRoom(Exception):
    """A capture is larger than the share of its reason, or the disk has too little space left."""


@dataclass
class _Reason:
    """What is known to lie in one folder: names in the order of time, and bytes."""

    sizes: dict[str, int] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        return sum(self.sizes.values())


class Spool:
    """The agent's side: adds captures, makes room. For one thread. Every method may raise OSError."""

    def __init__(
        self,
        root: Path,
        on_evicted: Callable[[str], None],
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`on_evicted` hears the reason of each capture that had to go before it was sent."""
        self.root = root
        self._on_evicted = on_evicted
        self._wall = wall
        self._reasons: dict[str, _Reason] = {}
        self._scanned: float | None = None

    def free(self) -> tuple[int, int]:
        """(bytes free, bytes in all) on the spool's disk."""
        status = os.statvfs(self.root)
        return status.f_bavail * status.f_frsize, status.f_blocks * status.f_frsize

    def open(self) -> None:
        """Make the folder, remove what a crash left, and see what lies there."""
        self.root.mkdir(parents=True, exist_ok=True)
        if not os.access(self.root, os.W_OK | os.X_OK):  # the file system may be read-only, which mkdir does not see
            raise PermissionError(errno.EACCES, f"user {os.geteuid()} can't write there", str(self.root))
        removed = sum(_remove_orphans(folder) for folder in _folders(self.root))
        if removed:
            _log.info("removed %d incomplete captures from %s, left by a process that was killed", removed, self.root)
        self._scan()

    def write(self, reason: str, capture: Capture, settings: Settings) -> None:
        """Add one capture. Raises NoRoom; nothing is left behind after an error."""
        if self._scanned is None or time.monotonic() - self._scanned > _RESCAN:
            self._scan()
        size = _rounded(len(capture.image)) + _rounded(len(capture.sidecar))
        self._make_room(reason, size, settings)
        folder = self.root / reason
        make_folder(folder)
        image, sidecar = folder / f"{capture.stem}.jpg", folder / f"{capture.stem}.json"
        try:
            _put(image, capture.image)
            _put(sidecar, capture.sidecar)
        except OSError:
            if not sidecar.exists():
                image.unlink(missing_ok=True)
            raise
        _sync(folder)
        self._of(reason).sizes[capture.stem] = size

    def _make_room(self, reason: str, size: int, settings: Settings) -> None:
        free, total = self.free()
        if free - size < settings.keep_free(total):
            raise NoRoom(
                f"{free} bytes are free on the disk of {self.root}, and {settings.keep_free(total)} must stay free"
            )
        self._of(reason)
        used = {name for name, held in self._reasons.items() if held.sizes}
        limits = shares.of(settings.disk, used | set(settings.reasons) | {reason})
        if size > limits[reason]:
            raise NoRoom(f"a capture of {size} bytes is larger than the share of {reason}, {limits[reason]} bytes")
        for name in used | {reason}:
            self._shrink(name, limits[name] - (size if name == reason else 0))

    def _shrink(self, reason: str, limit: int) -> None:
        """Remove the oldest captures of one reason until `limit` bytes are left."""
        held = self._of(reason)
        left = held.bytes
        if left <= limit:
            return
        for stem in oldest_first(held.sizes, self._wall()):
            if left <= limit:
                return
            left -= held.sizes.pop(stem)
            if remove(self.root / reason, stem):  # else it was sent meanwhile
                self._on_evicted(reason)

    def _of(self, reason: str) -> _Reason:
        return self._reasons.setdefault(reason, _Reason())

    def _scan(self) -> None:
        self._reasons = {folder.name: _Reason(_sizes(folder)) for folder in _folders(self.root)}
        self._scanned = time.monotonic()


def oldest_first(stems: Iterable[str], now: datetime) -> list[str]:
    """In the order in which they go when there is no room: by the time in their names.

    What is later than now was taken before now, by a clock that was ahead: it goes first. By its name it would never
    be the oldest, and fill the share for good, while each new capture drove out the one before.
    """
    latest = compact(now + _STEP)
    return sorted(stems, key=lambda stem: (not (_TIMED.match(stem) and stem > latest), stem))


def make_folder(folder: Path) -> None:
    """Make a folder of the spool, if it isn't there, in which the spool's group may remove what was sent."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir()
    status = folder.stat()
    missing = stat.S_IRWXG & ~status.st_mode  # the umask took it, or its maker was killed before this line
    if missing and status.st_uid == os.geteuid():  # nobody else may change it
        folder.chmod(stat.S_IMODE(status.st_mode) | missing)


def remove(folder: Path, stem: str) -> bool:
    """Remove one capture, the sidecar first. False where it had none: it was gone, or never whole."""
    there = True
    try:
        (folder / f"{stem}.json").unlink()
    except FileNotFoundError:
        there = False
    (folder / f"{stem}.jpg").unlink(missing_ok=True)
    return there


def committed(root: Path) -> Iterator[tuple[str, str]]:
    """(reason, stem) of every capture that is whole, in no order."""
    for folder in _folders(root):
        for name in _names(folder):
            if name.endswith(".json") and not name.startswith("."):
                yield folder.name, name.removesuffix(".json")


def _folders(root: Path) -> list[Path]:
    """One for each reason."""
    with os.scandir(root) as entries:
        return [Path(each.path) for each in entries if each.is_dir() and not each.name.startswith((".", "_"))]


def sizes(root: Path) -> dict[str, int]:
    """Bytes on the disk by reason, and of what was refused."""
    folders = _folders(root)
    if (root / REFUSED).is_dir():
        folders.append(root / REFUSED)
    return {folder.name: sum(_sizes(folder).values()) for folder in folders}


def _sizes(folder: Path) -> dict[str, int]:
    """Bytes on the disk by stem."""
    found: dict[str, int] = {}
    for name in _names(folder):
        with contextlib.suppress(FileNotFoundError):  # sent meanwhile
            stem = name.lstrip(".").rpartition(".")[0]
            found[stem] = found.get(stem, 0) + _occupied(folder / name)
    return found


def _remove_orphans(folder: Path) -> int:
    """Remove files being written and images or sidecars without the other, all older than ORPHAN_AGE."""
    names = set(_names(folder))
    now = time.time()
    removed = 0
    for name in sorted(names):
        stem, _, suffix = name.rpartition(".")
        other = f"{stem}.{'jpg' if suffix == 'json' else 'json'}"
        if not name.startswith(".") and other in names:
            continue
        with contextlib.suppress(FileNotFoundError):
            if abs(now - (folder / name).stat().st_mtime) > ORPHAN_AGE:  # or from the future: the clock was wrong
                (folder / name).unlink()
                removed += 1
    return removed


def _names(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [each.name for each in entries]
    except FileNotFoundError:
        return []


def _put(path: Path, data: bytes) -> None:
    """The whole file under its name, on the disk, or nothing. The folder's group may read it."""
    temporary = path.with_name(f".{path.name}")
    try:
        with temporary.open("wb") as file:
            os.fchmod(file.fileno(), _FILE_MODE)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):  # the first error says what is wrong
            temporary.unlink(missing_ok=True)
        raise


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _rounded(size: int) -> int:
    """Bytes that a file of `size` bytes takes on a disk of the usual 4 kB blocks."""
    return -(-size // 4096) * 4096


def _occupied(path: Path) -> int:
    status = path.stat()
    return max(status.st_size, status.st_blocks * 512)
