"""The cgroups of real nodes: version 1 hierarchies or the unified one, whichever the machine has.

A cluster's cgroups lie below one group named after the cluster, in every hierarchy. They are the one thing that a
node leaves behind when its processes are killed, so the keeper removes them (``remove``).
"""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

MOUNTS = Path("/proc/self/mounts")


def name(cluster_id: str) -> str:
    """The name of the group that holds all of a cluster's nodes."""
    return f"modelfleet-{cluster_id}"


def create(path: str, mounts: Path = MOUNTS) -> None:
    """Create the group ``path`` in every hierarchy, ready to hold a kubelet's pods.

    A new cpuset group of version 1 has no CPUs and accepts no process until its parent's are copied, level by level.
    In version 2 a group's controllers are those that its parent hands down in ``cgroup.subtree_control``.
    """
    first = _mounted("cgroup", mounts)
    for root in first:
        parent = root
        for part in Path(path).parts:
            group = parent / part
            group.mkdir(exist_ok=True)
            for file in ("cpuset.cpus", "cpuset.mems"):
                if (group / file).exists() and not (group / file).read_text().strip():
                    (group / file).write_text((parent / file).read_text())
            parent = group
        _weigh(parent.parent)
    if first:
        return  # a unified hierarchy beside those of version 1 has no controllers, and runc makes its groups on its own
    for root in _mounted("cgroup2", mounts):
        parent = root
        for part in Path(path).parts:
            _hand_down(parent)
            parent /= part
            parent.mkdir(exist_ok=True)
        _hand_down(parent)
        _weigh(parent.parent)


def remove(group: str, mounts: Path = MOUNTS, patience: float = 10) -> list[Path]:
    """Remove a group with everything below it in every hierarchy; return what could not be removed.

    The processes must be dead already. The kernel lets go of a group a moment after its last process.
    """
    roots = _mounted("cgroup", mounts) + _mounted("cgroup2", mounts)
    left = [path for root in roots for path in _below(root / group)]
    deadline = time.monotonic() + patience
    while left:
        left = [path for path in left if not _rmdir(path)]
        if left and time.monotonic() > deadline:
            break
        if left:
            time.sleep(0.05)
    return left


def _mounted(kind: str, mounts: Path) -> list[Path]:
    """Where hierarchies of a kind are mounted: each controller's (or joined controllers') own, or the unified one."""
    rows = [line.split() for line in mounts.read_text().splitlines()]
    return [Path(row[1]) for row in rows if row[2] == kind]


def _weigh(cluster: Path) -> None:
    """Give a cluster's group a share of the processors for each node that it has.

    By default it has one, as each session on the machine has (sched(7)): what all pods of four nodes do together would
    get no more than one API server of another cluster, and a training beside other lanes took four times as long.
    """
    nodes = sum(each.is_dir() for each in cluster.iterdir())
    for file, share, most in (("cpu.shares", 1024, 2**18), ("cpu.weight", 100, 10_000)):
        if (cluster / file).exists():
            (cluster / file).write_text(str(min(share * nodes, most)))


def _hand_down(group: Path) -> None:
    for controller in (group / "cgroup.controllers").read_text().split():
        try:
            (group / "cgroup.subtree_control").write_text(f"+{controller}")
        except OSError as error:
            # e.g. rdma or misc: a kernel may list a controller and refuse to hand it down; kubelet checks the ones it
            # needs on its own and says which is missing
            if error.errno not in (errno.EBUSY, errno.EOPNOTSUPP, errno.ENOENT, errno.EINVAL):
                raise


def _below(group: Path) -> list[Path]:
    """The group and its descendants, deepest first."""
    return [Path(folder) for folder, _, _ in os.walk(group, topdown=False)]


def _rmdir(path: Path) -> bool:
    try:
        path.rmdir()
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno not in (errno.EBUSY, errno.ENOTEMPTY):
            raise
        return False
    return True
