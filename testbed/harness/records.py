"""The record of each running cluster: what to stop and what to remove if its keeper is not there to do it.

One JSON file per cluster in the cache. The keeper writes it when it starts and deletes it last, after everything it
lists is gone. A record whose keeper is dead is therefore work left over, and ``sweep`` does it.
"""

from __future__ import annotations

import json
import shutil
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from harness import cgroups
from harness.lifetime import ProcessId
from harness.paths import cache
from harness.progress import say


@dataclass(frozen=True)
class Record:
    """A cluster as the machine sees it. Process ids are those of the machine's own PID namespace."""

    id: str
    keeper: ProcessId
    starter: ProcessId
    state: Path
    isolated: bool
    remove: tuple[Path, ...]
    cgroup: str

    @property
    def file(self) -> Path:
        """Where this record lies."""
        return folder() / f"{self.id}.json"

    def write(self) -> None:
        """Write the record so that a reader sees all of it or none."""
        temporary = self.file.with_suffix(".tmp")
        temporary.write_text(json.dumps(asdict(self), default=str, indent=1))
        temporary.rename(self.file)


def folder() -> Path:
    """Where records lie. Also read by the keeper, which inherits the client's environment."""
    path = cache() / "clusters"
    path.mkdir(exist_ok=True)
    return path


def read(file: Path) -> Record:
    """Parse a record."""
    raw = json.loads(file.read_text())
    return Record(
        raw["id"],
        ProcessId(**raw["keeper"]),
        ProcessId(**raw["starter"]),
        Path(raw["state"]),
        raw["isolated"],
        tuple(Path(path) for path in raw["remove"]),
        raw["cgroup"],
    )


def all_records() -> list[Record]:
    """Every cluster on this machine of this user, running or left over."""
    found = []
    for file in sorted(folder().glob("*.json")):
        try:
            found.append(read(file))
        except FileNotFoundError:
            continue  # its keeper finished between the listing and the reading
    return found


def remove(record: Record) -> None:
    """Remove what the dead processes of a cluster left: cgroups, folders, and the record itself, last."""
    if record.isolated:
        left = cgroups.remove(record.cgroup)
        if left:
            say(f"could not remove {len(left)} cgroups, for example {left[0]}")
            return
    for path in record.remove:
        shutil.rmtree(path, ignore_errors=True)
    record.file.unlink(missing_ok=True)


def stop(record: Record, patience: float = 60) -> None:
    """Take a cluster down, whoever started it, and return when it is gone."""
    record.keeper.kill(signal.SIGTERM)
    _wait(record.keeper, patience)
    if record.file.exists():
        # the keeper was dead already, or is stuck: do its work. The starter is process 1 of its namespace or the parent
        # of all it started, and each of those dies with it
        record.keeper.kill()
        record.starter.kill()
        _wait(record.starter, patience)
        remove(record)


def sweep() -> list[Record]:
    """Clean up after clusters whose keeper died before it could; return them."""
    left_over = [record for record in all_records() if not record.keeper.alive()]
    for record in left_over:
        say(f"removing what cluster {record.id} left behind")
        stop(record)
    return left_over


def _wait(process: ProcessId, patience: float) -> None:
    deadline = time.monotonic() + patience
    while process.alive() and time.monotonic() < deadline:
        time.sleep(0.02)
