"""Captures that can't be sent: out of the way, with the reason, until somebody looks, within a share of the disk."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from pathlib import Path

from agent.capture import shares
from agent.capture.delivery import Name
from agent.capture.spool import REFUSED, make_folder, oldest_first, remove


def set_aside(root: Path, name: Name, why: str, disk: int) -> int:
    """Move a capture to `_refused`, with `<stem>.why`. Returns how many older ones had to go. May raise OSError.

    To have it sent again, move both files back into the folder of its reason, the image first.
    """
    reason, stem = name
    folder = root / REFUSED
    make_folder(folder)
    (folder / f"{stem}.why").write_text(f"{reason}\n{why}\n", encoding="utf-8")
    for suffix in ("json", "jpg"):  # the sidecar first: without it, the image is no capture
        with contextlib.suppress(FileNotFoundError):
            (root / reason / f"{stem}.{suffix}").replace(folder / f"{stem}.{suffix}")
    return _trim(folder, shares.refused(disk))


def _trim(folder: Path, limit: int) -> int:
    """Remove the oldest captures until `limit` bytes are left."""
    sizes: dict[str, int] = {}
    for file in folder.iterdir():
        stem = file.name.rpartition(".")[0]
        sizes[stem] = sizes.get(stem, 0) + file.stat().st_size
    left, removed = sum(sizes.values()), 0
    for stem in oldest_first(sizes, datetime.now(UTC)):
        if left <= limit:
            break
        left -= sizes[stem]
        remove(folder, stem)
        (folder / f"{stem}.why").unlink(missing_ok=True)
        removed += 1
    return removed
