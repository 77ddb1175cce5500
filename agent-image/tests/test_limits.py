"""The container's limits, in the files that the kernel has for them in both versions of control groups."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent import limits


def group(root: Path, **files: str) -> Path:
    """Files by path, in which `__` stands for a slash."""
    for name, content in files.items():
        file = root / name.replace("__", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return root


@pytest.mark.parametrize(
    ("files", "processors"),
    [
        ({}, None),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "5000 50000\n"}, 0.1),
        ({"cpu.max": "nonsense\n"}, None),
        ({"cpu.max": "100000 0\n"}, None),
        ({"cpu__cpu.cfs_quota_us": "-1\n", "cpu__cpu.cfs_period_us": "100000\n"}, None),
        ({"cpu__cpu.cfs_quota_us": "400000\n", "cpu__cpu.cfs_period_us": "100000\n"}, 4),
        ({"cpu__cpu.cfs_quota_us": "400000\n"}, None),
    ],
)
def test_processors(tmp_path: Path, files: dict[str, str], processors: float | None) -> None:
    assert limits.processors(group(tmp_path, **files)) == processors


@pytest.mark.parametrize(
    ("files", "memory"),
    [
        ({}, None),
        ({"memory.max": "max\n"}, None),
        ({"memory.max": "268435456\n"}, 256 << 20),
        ({"memory__memory.limit_in_bytes": "268435456\n"}, 256 << 20),
        ({"memory__memory.limit_in_bytes": "9223372036854771712\n"}, None),  # no limit, in version 1
    ],
)
def test_memory(tmp_path: Path, files: dict[str, str], memory: int | None) -> None:
    assert limits.memory(group(tmp_path, **files)) == memory


@pytest.mark.parametrize(
    ("limit", "usable", "threads"),
    [
        (None, 8, 1),  # the node's other processors are for its other work
        (0.5, 8, 1),
        (1.0, 8, 1),
        (1.9, 8, 1),
        (4.0, 8, 4),
        (4.0, 2, 2),  # pinned to two
        (64.0, 8, 8),
    ],
)
def test_threads(limit: float | None, usable: int, threads: int) -> None:
    assert limits.threads(limit, usable) == threads


def test_this_machine() -> None:
    assert limits.usable_processors() >= 1
    assert 1 << 20 < limits.resident() < 1 << 40
