"""A containerd of our own: its configuration, and talking to it with ``ctr``."""

from __future__ import annotations

import io
import json
import secrets
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from harness.image import MANIFEST, ImageRef, digest_of
from harness.lifetime import CommandFailed, run
from harness.processes import Process, Supervisor

_NAMESPACE = "k8s.io"  # where kubelet's images live


def configuration(root: Path, state: Path, sandbox_image: str, cni: Path) -> str:
    """A containerd that keeps all it has below ``root`` (on disk) and ``state`` (gone with a restart).

    It is in the format of version 2, which containerd 1.6 (Debian 12) and later ones read.
    """
    return f"""
version = 2
root = "{root}"
state = "{state}/containerd"
[grpc]
  address = "{state}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{sandbox_image}"
  # without CAP_SYS_RESOURCE runc may not lower a process' OOM score, and dies with "can't get final child's PID"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{cni}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
"""


class Containerd:
    """A running containerd with a mount namespace of its own."""

    def __init__(self, supervisor: Supervisor, process: Process, state: Path) -> None:
        """Wrap a containerd that ``supervisor`` has started with ``configuration(state=state)``."""
        self._supervisor = supervisor
        self.process = process
        self.socket = state / "containerd.sock"

    def wait_ready(self, patience: float = 60) -> None:
        """Return when it answers; raises ProcessDied or NotReady with the end of its log."""
        self.process.wait_ready(self._answers, patience)

    def inside(self, command: Sequence[str | Path]) -> list[str]:
        """The command line that runs ``command`` among this containerd's mounts, as the supervisor's child."""
        enter = ["nsenter", "--mount", "--target", str(self.process.pid), "--"]
        return [*enter, *(str(part) for part in command)]

    def ctr(self, *arguments: str) -> str:
        """Run ctr and return what it printed; raises CommandFailed."""
        return self._supervisor.run(self.inside(self._ctr(*arguments)))

    def images(self) -> list[str]:
        """The names of its images."""
        return [name for name in self.ctr("images", "list", "--quiet").split() if not name.startswith("sha256:")]

    def install(self, image: ImageRef, disk: Callable[[Path], Path]) -> None:
        """Bring in an image as hard links to its layers' folders: a moment, whatever its size.

        A container writes into an overlay above its image, never into the image's files, so they can be shared. The
        snapshot of each layer is made here and then found by the import, which has nothing left to unpack: what is
        imported is the manifest and the configuration alone.

        Args:
            image: what to bring in.
            disk: where this process sees a path of this containerd's.

        Raises:
            CommandFailed: with what ctr said.
        """
        if image.name in self.images():
            return
        parent: list[str] = []
        for layer, chain in zip(image.layers, image.chain(), strict=True):
            if not self._has_snapshot(chain):
                # ctr marks snapshots that it makes as in use, so nothing collects them meanwhile
                active = f"harness-{secrets.token_hex(4)}"
                mounts = json.loads(self.ctr("snapshots", "prepare", "--mounts", active, *parent))
                _link(layer.folder, disk(_writable(mounts[0])))
                self.ctr("snapshots", "commit", chain, active)
            parent = [chain]
        command = self._supervisor.command(self.inside(self._ctr("images", "import", "-")))
        run(command, input=_archive(image))

    def _has_snapshot(self, name: str) -> bool:
        try:
            self.ctr("snapshots", "info", name)
        except CommandFailed:
            return False
        return True

    def _ctr(self, *arguments: str) -> list[str]:
        return ["ctr", f"--address={self.socket}", f"--namespace={_NAMESPACE}", *arguments]

    def _answers(self) -> bool:
        try:
            self.ctr("images", "list", "--quiet")
        except CommandFailed:
            return False
        return True


def _writable(mount: dict[str, Any]) -> Path:
    """The folder that a prepared snapshot's changes go to: that of a bind mount, or the upper one of an overlay."""
    for option in mount["Options"]:
        if option.startswith("upperdir="):
            return Path(option.removeprefix("upperdir="))
    return Path(mount["Source"])


def _link(source: Path, target: Path) -> None:
    """Fill a folder with hard links to the files of another, its special files and attributes included."""
    try:
        run(["cp", "--archive", "--link", "--no-target-directory", source, target])
    except CommandFailed:  # another file system
        run(["cp", "--archive", "--reflink=auto", "--no-target-directory", source, target])


def _archive(image: ImageRef) -> bytes:
    """An OCI archive of an image without its layers."""
    entry = {
        "mediaType": MANIFEST,
        "digest": digest_of(image.manifest),
        "size": len(image.manifest),
        "annotations": {"io.containerd.image.name": image.name},
    }
    files = {
        "oci-layout": b'{"imageLayoutVersion": "1.0.0"}',
        "index.json": json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode(),
        **{f"blobs/sha256/{digest_of(each).partition(':')[2]}": each for each in (image.manifest, image.config)},
    }
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return archive.getvalue()
