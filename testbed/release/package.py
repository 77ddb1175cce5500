"""`make package`: chart, CRDs, the plugin as wheels and as archives that run, bills of materials, checksums.

An archive is a zipapp with all of the plugin's locked libraries for one platform and several versions of Python. It is
put together from wheels, and nothing of it runs meanwhile, so that any machine makes the archives of all platforms.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from harness import binaries
from harness.paths import REPOSITORY
from release import materials
from release.images import version

# The oldest C library that the plugin's libraries have wheels for.
PLATFORMS = {
    "linux-amd64": "x86_64-manylinux_2_28",
    "linux-arm64": "aarch64-manylinux_2_28",
    "darwin-arm64": "aarch64-apple-darwin",
}
COMMAND = "kubectl-modelfleet"
# Whose Python packages get a bill of materials. That of a whole image: make images MATERIALS=...
LOCKS = {
    COMMAND: "cli/requirements.txt",
    "operator": "operator/requirements.txt",
    "agent": "agent-image/requirements.txt",
    "labeler": "labeler-image/requirements.txt",
}
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
CHART = REPOSITORY / "charts/modelfleet"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write everything into a folder that is made anew; raises CalledProcessError with what failed on stderr."""
    parser = argparse.ArgumentParser(prog="make package")
    parser.add_argument("--tools", type=Path, required=True, help="the virtual environment with setuptools and shiv")
    parser.add_argument("folder", type=Path)
    options = parser.parse_args(arguments)
    folder, tools = options.folder.resolve(), options.tools.resolve() / "bin"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _run(binaries.path("helm"), "package", CHART, f"--destination={folder}")
    crds = sorted((REPOSITORY / "crds").glob("*.yaml"))
    (folder / f"modelfleet-crds-{version()}.yaml").write_text("---\n".join(each.read_text() for each in crds))
    wheels = [_wheel(tools, source, folder) for source in (REPOSITORY, REPOSITORY / "cli")]
    for platform in PLATFORMS:
        _archive(tools, platform, wheels, folder / f"{COMMAND}-{version()}-{platform}.pyz")
    for name, source in LOCKS.items():
        _materials(source, folder / f"{name}-{version()}.cdx.json")
    files = sorted(each for each in folder.iterdir())
    sums = [f"{hashlib.sha256(each.read_bytes()).hexdigest()}  {each.name}\n" for each in files]
    (folder / "SHA256SUMS").write_text("".join(sums))
    print("".join(f"{each.stat().st_size / 1e6:7.2f} MB  {each.name}\n" for each in files), end="")
    return 0


def _wheel(tools: Path, source: Path, folder: Path) -> Path:
    """Build from a copy: setuptools writes beside what it reads."""
    with tempfile.TemporaryDirectory(prefix="modelfleet-wheel-") as scratch:
        copy, made = Path(scratch) / "source", Path(scratch) / "made"
        tracked = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=source, capture_output=True, text=True, check=True,
        ).stdout.split("\0")  # fmt: skip
        for name in tracked:
            if name.startswith(("operator/modelfleet/", "kubectl_modelfleet/")) or (name and "/" not in name):
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source / name, copy / name)
        pip = (tools / "python", "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check")
        _run(*pip, "--no-deps", "--no-build-isolation", f"--wheel-dir={made}", copy)
        [wheel] = made.iterdir()
        return Path(shutil.move(wheel, folder / wheel.name))


def _archive(tools: Path, platform: str, wheels: Sequence[Path], archive: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="modelfleet-archive-") as scratch:
        packages = Path(scratch) / "packages"
        for python in PYTHONS:  # libraries with machine code have a file for each; the rest is the same in all
            one = Path(scratch) / python
            where = (f"--python-platform={PLATFORMS[platform]}", f"--python-version={python}", f"--target={one}")
            install = (Path(sys.executable).parent / "uv", "pip", "install", "--quiet", "--no-deps", *where)
            _run(*install, "--only-binary=:all:", "--require-hashes", "-r", REPOSITORY / "cli/requirements.txt")
            _run(*install, *wheels)
            shutil.copytree(one, packages, dirs_exist_ok=True)
        _run(
            tools / "shiv", f"--site-packages={packages}", f"--console-script={COMMAND}", "--reproducible",
            "--python=/usr/bin/env python3", f"--output-file={archive}",
        )  # fmt: skip


def _materials(lock: str, file: Path) -> None:
    """The bill of materials (CycloneDX) of a lock's packages as they are installed for linux on amd64."""
    with tempfile.TemporaryDirectory(prefix="modelfleet-sbom-") as folder:
        where = (f"--python-platform={PLATFORMS['linux-amd64']}", "--python-version=3.12", f"--target={folder}")
        install = (Path(sys.executable).parent / "uv", "pip", "install", "--quiet", "--no-deps", *where)
        _run(*install, "--only-binary=:all:", "--require-hashes", "-r", REPOSITORY / lock)
        materials.of_folder(Path(folder), lock.partition("/")[0], file)


def _run(*command: object) -> None:
    subprocess.run([str(each) for each in command], check=True)


if __name__ == "__main__":
    sys.exit(main())
