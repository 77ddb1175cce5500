"""What the container may use, as the kernel has it: processors and memory. A container sees all of its host's.

Control groups of version 2 and 1, as container runtimes mount them: the container's own group is the root.
"""

from __future__ import annotations

import os
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")


def processors(root: Path = _ROOT) -> float | None:
    """The limit of processor time, in processors; None where there is none."""
    version2 = _words(root / "cpu.max")
    if len(version2) == 2:
        return _share(*version2)
    quota, period = (_words(root / "cpu" / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
    return _share(quota[0], period[0]) if quota and period else None


def memory(root: Path = _ROOT) -> int | None:
    """The limit of memory, in bytes; None where there is none."""
    found = _words(root / "memory.max") or _words(root / "memory" / "memory.limit_in_bytes")
    if not found or not found[0].isdecimal():
        return None
    limit = int(found[0])
    return limit if limit < _physical() else None  # version 1 has an immense number for none


def threads(limit: float | None, usable: int) -> int:
    """Threads for one inference: as many whole processors as the limit allows of those that are `usable`.

    One where there is no limit: an edge node's other processors are for its other work.
    """
    return 1 if limit is None else max(1, min(int(limit), usable))


def usable_processors() -> int:
    """Those that this process may run on."""
    return len(os.sched_getaffinity(0))


def resident() -> int:
    """Memory that this process has now, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _physical() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _share(quota: str, period: str) -> float | None:
    """`max` and -1 stand for no limit."""
    if not quota.isdecimal() or not period.isdecimal() or not int(period):
        return None
    return int(quota) / int(period)


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []
