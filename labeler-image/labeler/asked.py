"""What people were asked about, as the labeler remembers it: so that a task that somebody deletes stays deleted.

Label Studio keeps no record of tasks that are gone. Ours is in the store, `asked/<day>.txt` for each day of capture, a
key (of an image) a line, written after the tasks were seen or made. Killed before that, the next run sees them where
they are and writes them down then. It only grows, until a day's captures are too old to be asked about, or there is no
task left at all. Who wants to be asked again removes the day's file.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from pathlib import PurePosixPath

import artifactstore
from artifactstore import Entry
from detectiondata.captures import parse_key
from labeler.choose import WINDOW

_FOLDER = "asked"
_LIMIT = 64 << 20  # bytes of a day's file: some 800,000 keys


def read(store: str, now: datetime) -> frozenset[str]:
    """The keys of all images that people were asked about, as far as they are asked about such old ones at all. Raises
    ArtifactError."""
    folder, oldest = f"{store.rstrip('/')}/{_FOLDER}", f"{now - WINDOW:%Y-%m-%d}"

    def keys(entry: Entry) -> list[str]:
        return artifactstore.read_bytes(f"{folder}/{entry.name}", limit=_LIMIT).decode(errors="replace").splitlines()

    days = [
        entry
        for entry in artifactstore.entries(folder)
        if entry.name.endswith(".txt") and PurePosixPath(entry.name).stem >= oldest
    ]
    return frozenset(key for found in artifactstore.in_parallel(keys, days) for key in found)


def forget(store: str, known: frozenset[str]) -> frozenset[str]:
    """Forget all that is `known`; returns what still is. Raises ArtifactError."""
    for day in {f"{found.at:%Y-%m-%d}" for key in known if (found := parse_key(key)) is not None}:
        artifactstore.put_bytes(b"", f"{store.rstrip('/')}/{_FOLDER}/{day}.txt", overwrite=True)
    return frozenset()


def write(store: str, known: frozenset[str], asked: Iterable[str], now: datetime) -> None:
    """Add what was asked to what is `known`. Days for which there is nothing new aren't written. Raises
    ArtifactError."""
    days: dict[str, set[str]] = defaultdict(set)
    changed = set()
    for key in known.union(asked):
        found = parse_key(key)
        if found is None or found.at <= now - WINDOW:
            continue
        day = f"{found.at:%Y-%m-%d}"
        days[day].add(key)
        if key not in known:
            changed.add(day)
    for day in sorted(changed):
        content = "".join(f"{key}\n" for key in sorted(days[day])).encode()
        artifactstore.put_bytes(content, f"{store.rstrip('/')}/{_FOLDER}/{day}.txt", overwrite=True)
