"""Most devices are arm64: what is locked has wheels for it as for amd64, and nothing chooses an architecture.

The package index is asked, by uv; nothing is installed.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.paths import REPOSITORY

IMAGES = ("operator", "agent-image", "labeler-image")
# glibc 2.36 is that of Debian 12, which the images are made of by default and in the tests
PLATFORMS = ("x86_64-manylinux_2_36", "aarch64-manylinux_2_36")
# Debian 12's, and that of the Containerfiles' default base
PYTHONS = ("3.11", "3.12")


def resolve(lock: Path, platform: str, python: str, nowhere: Path) -> subprocess.CompletedProcess[str]:
    command = [
        Path(sys.executable).parent / "uv", "pip", "install", "--dry-run", "--no-deps", "--require-hashes",
        "--only-binary=:all:", f"--python-platform={platform}", f"--python-version={python}", f"--target={nowhere}",
        "-r", lock,
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("image", IMAGES)
def test_every_locked_package_has_a_wheel(image: str, platform: str, python: str, tmp_path: Path) -> None:
    lock = REPOSITORY / image / "requirements.txt"
    done = resolve(lock, platform, python, tmp_path / "none")
    assert done.returncode == 0, done.stderr
    assert "Would install" in done.stderr


def test_a_platform_without_wheels_is_found(tmp_path: Path) -> None:
    """No numpy of today runs on a C library as old as manylinux2014's."""
    done = resolve(REPOSITORY / "agent-image/requirements.txt", "aarch64-manylinux2014", "3.12", tmp_path / "none")
    assert done.returncode != 0
    assert "Wheels are required for `numpy`" in done.stderr


@pytest.mark.parametrize("file", [*REPOSITORY.glob("*/Containerfile"), *REPOSITORY.glob("charts/*/templates/**/*")])
def test_nothing_chooses_an_architecture(file: Path) -> None:
    if file.is_file():
        named = re.findall(r"\b(amd64|x86_64|kubernetes\.io/arch|--platform)\b", file.read_text())
        assert named == []
