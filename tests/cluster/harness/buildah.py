"""Building images with buildah, without a registry and without Docker, in a storage of our own in the cache."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness import debian
from harness.lifetime import run
from harness.oci import Layout
from harness.paths import cache, locked
from harness.progress import step

_SUITE = "bookworm"
_INCLUDE = "python3,python3-venv,ca-certificates"
_REPOSITORY = "localhost/modelfleet"
# image builds and debootstrap mount things and leave processes; both go with these namespaces, also when we are killed
_CONTAINED = ("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child=KILL", "--mount-proc")
_CERTIFICATES = "/etc/ssl/certs:/etc/ssl/certs:ro"  # the machine's, where it trusts a proxy of its own


def _buildah() -> list[str]:
    folder = cache() / "buildah"
    # the overlay driver needs no copying; buildah refuses it by itself where the file system can't do it
    return ["buildah", f"--root={folder}/storage", f"--runroot={folder}/run", "--storage-driver=overlay"]


def base() -> str:
    """The image that stands in for ``python:3.12-slim``: Debian with Python, made by debootstrap on first use."""
    key = hashlib.sha256(f"{_SUITE} {_INCLUDE}".encode()).hexdigest()[:12]
    name = f"{_REPOSITORY}/base:{key}"
    if exists(name):
        return name
    debian.ensure(*debian.IMAGES)
    with locked(cache() / "buildah/base.lock", "another process makes the base image; waiting for it"):
        if not exists(name):
            with step("making the base image with debootstrap", "2 min"):
                _make_base(name)
    return name


def _make_base(name: str) -> None:
    folder = Path(tempfile.mkdtemp(prefix="base-", dir=cache() / "buildah"))
    try:
        log = cache() / "buildah/debootstrap.log"
        strap = [debian.program("debootstrap") or "debootstrap", "--variant=minbase", f"--include={_INCLUDE}", _SUITE]
        run([*_CONTAINED, *strap, folder / "root"], stdout_to=log)
        container = run([*_buildah(), "from", "scratch"]).strip()
        try:
            run([*_buildah(), "add", "--quiet", container, folder / "root", "/"])
            run([*_buildah(), "config", "--cmd=python3", container])
            run([*_buildah(), "commit", "--quiet", "--disable-compression", container, name])
        finally:
            run([*_buildah(), "rm", container])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def exists(name: str) -> bool:
    """Whether the storage holds an image of that name."""
    if debian.program("buildah") is None or not (cache() / "buildah/storage").exists():
        return False
    return (
        subprocess.run([*_buildah(), "inspect", "--type=image", name], capture_output=True, check=False).returncode == 0
    )


def build(name: str, containerfile: Path, context: Path, log: Path) -> None:
    """Build ``containerfile`` with ``context`` on the base image, and name the result; equal steps are not repeated."""
    arguments = [
        "--layers",
        "--isolation=chroot",
        "--network=host",
        f"--volume={_CERTIFICATES}",
        f"--build-arg=BASE={base()}",
        f"--file={containerfile}",
        f"--tag={name}",
    ]
    run([*_CONTAINED, *_buildah(), "bud", *arguments, context], stdout_to=log)


def export(name: str, layout: Layout) -> None:
    """Copy an image into a layout under the same name, uncompressed; layers that are there already cost nothing."""
    folder = cache() / "buildah"
    source = f"containers-storage:[overlay@{folder}/storage+{folder}/run]{name}"
    target = f"oci:{layout.folder}:{name}"
    run([*_CONTAINED, "skopeo", "copy", "--quiet", "--dest-oci-accept-uncompressed-layers", source, target])


def remove(name: str) -> None:
    """Remove an image; steps that no other image shares go with it."""
    run([*_buildah(), "rmi", name], check=False)


def run_in(
    name: str,
    command: Sequence[str],
    *,
    mounts: Mapping[Path, str],
    environment: Mapping[str, str],
    user: str | None,
    workdir: str | None,
) -> int:
    """Run a command in a fresh container of an image, output going to ours; return its exit code."""
    container = run([*_buildah(), "from", name]).strip()
    try:
        arguments = [f"--volume={source}:{target}" for source, target in mounts.items()]
        arguments += [f"--env={key}={value}" for key, value in environment.items()]
        arguments += [f"--user={user}"] if user else []
        arguments += [f"--workingdir={workdir}"] if workdir else []
        options = ["--isolation=chroot", "--network=host", f"--volume={_CERTIFICATES}"]
        line = [*_CONTAINED, *_buildah(), "run", *options, *arguments, container, "--", *command]
        return subprocess.run(["setpriv", "--pdeathsig", "KILL", "--", *line], check=False).returncode
    finally:
        run([*_buildah(), "rm", container])
