"""Building images with buildah, without a registry and without Docker, in a storage of our own in the cache."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness import debian
from harness.image import ImageRef, Layer
from harness.lifetime import run
from harness.paths import cache, locked
from harness.progress import step

_SUITE = "bookworm"
_INCLUDE = "python3,python3-venv,ca-certificates"
_REPOSITORY = "localhost/modelfleet"
# image builds and debootstrap mount things and leave processes; both go with these namespaces, also when we are killed
_CONTAINED = ("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child=KILL", "--mount-proc")
_CERTIFICATES = "/etc/ssl/certs:/etc/ssl/certs:ro"  # the machine's, where it trusts a proxy of its own
# what a build takes on this machine, whatever is built
BUILD_OPTIONS = ("--layers", "--isolation=chroot", "--network=host", f"--volume={_CERTIFICATES}")


def _storage() -> Path:
    return cache() / "buildah/storage"


def command_line() -> list[str]:
    """How buildah is called: contained, and with our storage."""
    # the overlay driver needs no copying; buildah refuses it on its own where the file system can't do it
    storage = [f"--root={_storage()}", f"--runroot={cache()}/buildah/run", "--storage-driver=overlay"]
    return [*_CONTAINED, "buildah", *storage]


def base() -> str:
    """The image that stands in for ``python:3.12-slim``: Debian with Python, made by debootstrap on first use."""
    key = hashlib.sha256(f"{_SUITE} {_INCLUDE}".encode()).hexdigest()[:12]
    name = f"{_REPOSITORY}/base:{key}"
    if find(name) is not None:
        return name
    debian.ensure(*debian.IMAGES)
    with locked(cache() / "buildah/base.lock", "another process makes the base image; waiting for it"):
        if find(name) is None:
            with step("making the base image with debootstrap", "1 to 3 min"):
                _make_base(name)
    return name


def _make_base(name: str) -> None:
    for abandoned in (cache() / "buildah").glob("base-*"):  # by a process that was killed; the lock is ours now
        shutil.rmtree(abandoned, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix="base-", dir=cache() / "buildah"))
    try:
        log = cache() / "buildah/debootstrap.log"
        strap = [debian.program("debootstrap") or "debootstrap", "--variant=minbase", f"--include={_INCLUDE}", _SUITE]
        run([*_CONTAINED, *strap, folder / "root"], stdout_to=log)
        container = run([*command_line(), "from", "scratch"]).strip()
        try:
            run([*command_line(), "add", "--quiet", container, folder / "root", "/"])
            run([*command_line(), "config", "--cmd=python3", container])
            run([*command_line(), "commit", "--quiet", "--disable-compression", container, name])
        finally:
            run([*command_line(), "rm", container])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def build(name: str, containerfile: Path, context: Path, log: Path) -> None:
    """Build ``containerfile`` with ``context`` on the base image, and name the result; equal steps are not repeated."""
    arguments = [
        *BUILD_OPTIONS,
        f"--build-arg=BASE={base()}",
        f"--file={containerfile}",
        f"--tag={name}",
    ]
    run([*command_line(), "bud", *arguments, context], stdout_to=log)


def find(name: str) -> ImageRef | None:
    """The image of that name, or None."""
    if debian.program("buildah") is None or not (_storage() / "overlay-images/images.json").exists():
        return None
    images = json.loads((_storage() / "overlay-images/images.json").read_text())
    for image in images:
        if name in image.get("names", ()):
            inspect = [*command_line(), "inspect", "--type=image"]
            manifest = run([*inspect, "--format={{.Manifest}}", name]).strip().encode()
            config = run([*inspect, "--format={{.Config}}", name]).strip().encode()
            return ImageRef(name, manifest, config, _layers(image["layer"]))
    return None


def _layers(top: str) -> tuple[Layer, ...]:
    """The folders of an image's layers. buildah shows them only as a mount, so this reads its storage's own records."""
    records = {each["id"]: each for each in json.loads((_storage() / "overlay-layers/layers.json").read_text())}
    found: list[Layer] = []
    current: str | None = top
    while current:
        found.append(Layer(records[current]["diff-digest"], _storage() / "overlay" / current / "diff"))
        current = records[current].get("parent")
    return tuple(reversed(found))


def names(prefix: str) -> list[str]:
    """The names of the images that begin so, the newest first."""
    images = json.loads((_storage() / "overlay-images/images.json").read_text())
    newest_first = sorted(images, key=lambda image: str(image["created"]), reverse=True)
    return [name for image in newest_first for name in image.get("names", ()) if name.startswith(prefix)]


def remove(name: str) -> None:
    """Remove an image; steps that no other image shares go with it."""
    run([*command_line(), "rmi", name], check=False)


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
    container = run([*command_line(), "from", name]).strip()
    try:
        arguments = [f"--volume={source}:{target}" for source, target in mounts.items()]
        arguments += [f"--env={key}={value}" for key, value in environment.items()]
        arguments += [f"--user={user}"] if user else []
        arguments += [f"--workingdir={workdir}"] if workdir else []
        options = ["--isolation=chroot", "--network=host", f"--volume={_CERTIFICATES}"]
        line = [*command_line(), "run", *options, *arguments, container, "--", *command]
        return subprocess.run(["setpriv", "--pdeathsig", "KILL", "--", *line], check=False).returncode
    finally:
        run([*command_line(), "rm", container])
