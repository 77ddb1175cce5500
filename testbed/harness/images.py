"""The images of the pods: ours from their Containerfiles, and small ones that hold one static program.

An image's tag is a hash of everything that goes into it, so an image is built once for each state of its sources, and
never served stale. Images lie in the cache.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness import binaries, buildah, debian
from harness.binaries import go_build
from harness.image import ImageRef, of_program
from harness.paths import IMAGE_SOURCES, REPOSITORY, cache, locked
from harness.progress import step

__all__ = ["ImageRef", "ensure", "in_use", "run_in", "stage"]

_PREFIX = "localhost/modelfleet"
_KEPT = 3  # images of each name, the newest; older states of the sources are built again when somebody returns to them


@dataclass(frozen=True)
class _Recipe:
    containerfile: str
    expected: str


_BUILT = {
    "operator": _Recipe("operator/Containerfile", "1 min"),
    "agent": _Recipe("agent-image/Containerfile", "2 min"),
    "labeler": _Recipe("labeler-image/Containerfile", "2 min"),
    "trainer": _Recipe("trainer-image/Containerfile", "6 min, 6 GB"),
    "demo": _Recipe("testbed/images/demo/Containerfile", "3 min, 1 GB"),
}
_PROGRAMS = ("pause", "probe")
_BUILT_PROGRAMS = REPOSITORY / "build/programs"  # a Containerfile that copies one of these gets it from its Go module


def ensure(name: str) -> ImageRef:
    """Return the image called ``name`` (``operator``, ``agent``, ``labeler``, ``trainer``, ``demo``, ``pause``, ...).

    It is built if its sources changed.

    Raises:
        CommandFailed, BuildFailed: with the end of what the failing tool said.
        PackageMissing: buildah or debootstrap is missing, and this is not root.
    """
    if name in _PROGRAMS:
        key = _hash_of([IMAGE_SOURCES / "go.mod", IMAGE_SOURCES / name])
    elif name in _BUILT:
        key = _hash_of(_inputs(REPOSITORY / _BUILT[name].containerfile), buildah.base())
    else:
        raise ValueError(f"there is no image {name!r}; there are {', '.join([*_BUILT, *_PROGRAMS])}")
    full = f"{_PREFIX}/{name}:{key}"
    with locked(cache() / f"images-{name}.lock", f"another process builds the image {name}; waiting for it"):
        return _program(name, full) if name in _PROGRAMS else buildah.find(full) or _build(name, full)


def run_in(
    name: str,
    command: Sequence[str],
    *,
    mounts: Mapping[Path, str] | None = None,
    environment: Mapping[str, str] | None = None,
    user: str | None = None,
    workdir: str | None = None,
) -> int:
    """Run a command inside a built image, without a cluster; its output goes to ours. Return its exit code.

    Args:
        name: of the image, as for ``ensure``.
        command: what to run, in place of the image's entry point.
        mounts: folders of this machine, and where the command sees them (``"/repo"``, or ``"/repo:ro"``).
        environment: in addition to the image's.
        user: in place of the image's.
        workdir: in place of the image's.
    """
    return buildah.run_in(
        ensure(name).name,
        command,
        mounts=mounts or {},
        environment=environment or {},
        user=user,
        workdir=workdir,
    )


def _build(name: str, full: str) -> ImageRef:
    debian.ensure(*debian.IMAGES)
    recipe = _BUILT[name]
    containerfile = REPOSITORY / recipe.containerfile
    log = cache() / f"build-{name}.log"
    log.unlink(missing_ok=True)
    with step(f"building the image {name} (log: {log})", recipe.expected), tempfile.TemporaryDirectory() as context:
        stage(containerfile, Path(context))
        buildah.build(full, containerfile, Path(context), log)
    with in_use():
        for old in buildah.names(f"{_PREFIX}/{name}:")[_KEPT:]:
            buildah.remove(old)
    image = buildah.find(full)
    assert image is not None
    return image


def stage(containerfile: Path, context: Path) -> None:
    """Copy into ``context`` what a Containerfile of this repository copies, without caches of this checkout."""
    for path in _inputs(containerfile):
        _copy(path, context / path.relative_to(REPOSITORY))


def _program(name: str, full: str) -> ImageRef:
    program = cache() / "programs" / full.rpartition("/")[2].replace(":", "-") / name
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        partial = program.parent.with_suffix(".partial")
        go_build(IMAGE_SOURCES, f"./{name}", str(partial))
        partial.chmod(0o755)
        partial.rename(program)
    return of_program(full, program)


@contextmanager
def in_use() -> Iterator[None]:
    """While this is held, no process removes an image."""
    with locked(cache() / "images.lock", "another process uses the images; waiting for it"):
        yield


def _inputs(containerfile: Path) -> list[Path]:
    """What a Containerfile reads of the repository: itself, and what it copies; programs that it copies are built."""
    found = {containerfile}
    for line in containerfile.read_text().replace("\\\n", " ").splitlines():
        words = line.split()
        if words and words[0].upper() in ("COPY", "ADD") and not any(word.startswith("--from=") for word in words):
            found.update(REPOSITORY / word for word in words[1:-1] if not word.startswith("--"))
    for path in found:
        if path.parent == _BUILT_PROGRAMS:
            _link_program(path)
    return sorted(found)


def _link_program(link: Path) -> None:
    program = binaries.path(link.name)
    if link.is_symlink() and link.readlink() == program:
        return
    link.parent.mkdir(parents=True, exist_ok=True)
    made = link.with_name(f".{link.name}-{os.getpid()}")
    made.symlink_to(program)
    made.replace(link)  # at once: another process may be here, too


def _hash_of(paths: Sequence[Path], *more: str) -> str:
    digest = hashlib.sha256(repr(more).encode())
    for path in (file for each in paths for file in _files(each)):
        executable = bool(path.stat().st_mode & 0o100)
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(REPOSITORY)} {executable} {content}\n".encode())
    return digest.hexdigest()[:12]


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return sorted(each for each in path.rglob("*") if each.is_file() and not _derived(each))


def _derived(path: Path) -> bool:
    return "__pycache__" in path.parts or path.suffix == ".pyc"


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_file():
        shutil.copy2(source, target)
    else:
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
