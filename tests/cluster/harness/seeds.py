"""Images inside nodes at no cost: a containerd's folder is prepared once per set of images, and linked into each node.

Importing gigabytes into a containerd takes minutes, and every node of every run would do it. So a *seed* is made: the
root folder of a containerd that has imported a certain set of images and was then stopped. A node starts from a copy of
it, in which only the databases are copied; the images' files are hard links. That is sound because neither containerd
nor a container ever writes to an unpacked file: containers write to overlays above them.

A new seed starts from the existing one that shares most with it, so that a change to an image's last layer costs that
layer alone. The cache keeps a few seeds; removing one does not hurt running nodes, whose links keep the files alive.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path

from harness import containerd, debian
from harness.images import ImageRef, ensure, layout
from harness.lifetime import CommandFailed, run
from harness.paths import cache, locked, new_state_folder
from harness.processes import Supervisor
from harness.progress import step

_KEPT = 8
_CONTENT = "io.containerd.content.v1.content/blobs/sha256"  # below a containerd's root, named as in the layout


def plant(images: Sequence[ImageRef], root: Path) -> None:
    """Make ``root`` the root folder of a containerd that has ``images``, and the sandbox image. Needs root."""
    wanted = sorted({image.name: image for image in (*images, ensure("pause"))}.values(), key=lambda image: image.name)
    with locked(cache() / "seeds/lock", "another process prepares images for nodes; waiting for it"):
        seed = cache() / "seeds" / _key(wanted)
        if not seed.exists():
            _make(seed, wanted)
        os.utime(seed)  # the newest are kept
        _clone(seed / "root", root)


def _key(images: Sequence[ImageRef]) -> str:
    text = json.dumps([[image.name, image.image.manifest] for image in images])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _make(seed: Path, images: Sequence[ImageRef]) -> None:
    new = seed.with_name(f".new-{secrets.token_hex(3)}")
    for abandoned in seed.parent.glob(".new-*"):  # by a process that was killed; the lock is ours now
        shutil.rmtree(abandoned, ignore_errors=True)
    new.mkdir(parents=True)
    try:
        size = sum((layout().blobs / layer).stat().st_size for image in images for layer in image.image.layers)
        names = ", ".join(image.name.removeprefix("localhost/modelfleet/") for image in images)
        with step(f"unpacking {names}", f"{max(5, size // 100_000_000)} s at most"):
            _fill(new / "root", images)
        (new / "images.json").write_text(json.dumps([image.name for image in images]))
        new.rename(seed)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    known = set(layout().names())
    by_age = sorted(_seeds(), key=lambda path: path.stat().st_mtime)
    outdated = [each for each in by_age if not known.issuperset(json.loads((each / "images.json").read_text()))]
    for old in {*by_age[:-_KEPT], *outdated}:
        shutil.rmtree(old, ignore_errors=True)


def _fill(root: Path, images: Sequence[ImageRef]) -> None:
    parent = _closest(images)
    if parent is not None:
        _clone(parent / "root", root)
    content = root / _CONTENT
    content.mkdir(parents=True, exist_ok=True)
    had = {blob.name for blob in content.iterdir()}
    for blob in (each for image in images for each in (image.image.manifest, image.image.config, *image.image.layers)):
        if not (content / blob).exists():
            _link(layout().blobs / blob, content / blob)  # containerd takes a blob that is there for its own
    state = new_state_folder(f"seed-{secrets.token_hex(3)}")
    supervisor = Supervisor.start(state.name, state, isolate=True, remove=[state])
    try:
        config = state / "containerd.toml"
        config.write_text(containerd.configuration(root, Path("/run/seed"), ensure("pause").name, state))
        program = debian.program("containerd") or "containerd"
        process = supervisor.spawn("containerd", ["unshare", "--mount", "--", program, f"--config={config}"])
        runtime = containerd.Containerd(supervisor, process, Path("/run/seed"))
        runtime.wait_ready()
        present = set(runtime.images())
        missing = [image.image for image in images if image.name not in present]
        if missing:
            runtime.load(lambda stream: layout().write_archive(missing, stream, without=had))
        for name in present - {image.name for image in images}:
            runtime.ctr("images", "remove", "--sync", name)
        process.stop(30)
    finally:
        supervisor.stop()


def _closest(images: Sequence[ImageRef]) -> Path | None:
    """The seed that has most bytes of these images already."""
    wanted = {layer for image in images for layer in image.image.layers}

    def shared(seed: Path) -> int:
        blobs = (seed / "root" / _CONTENT).iterdir()
        return sum(blob.stat().st_size for blob in blobs if blob.name in wanted)

    best = max(_seeds(), key=shared, default=None)
    return best if best is not None and shared(best) else None


def _seeds() -> list[Path]:
    return [folder for folder in (cache() / "seeds").iterdir() if folder.is_dir() and not folder.name.startswith(".")]


def _clone(source: Path, target: Path) -> None:
    """Copy a stopped containerd's root: databases for real, everything else as hard links where that is possible."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        run(["cp", "--archive", "--link", source, target])
    except CommandFailed:  # another file system
        shutil.rmtree(target, ignore_errors=True)
        run(["cp", "--archive", "--reflink=auto", source, target])
    for database in target.glob("*/*.db"):
        copy = database.with_suffix(".copy")
        shutil.copy2(database, copy)
        copy.rename(database)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)
