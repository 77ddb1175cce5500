"""A containerd of our own: its configuration, and talking to it with ``ctr``."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from harness.lifetime import CommandFailed
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

    def load(self, write_archive: Callable[[IO[bytes]], None]) -> None:
        """Import images from the archive that ``write_archive`` writes into the stream it is given.

        Raises:
            CommandFailed: with what ctr said.
        """
        command = self._supervisor.command(self.inside(self._ctr("images", "import", "-")))
        importer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert importer.stdin is not None
        assert importer.stdout is not None
        try:
            with importer.stdin as stream:
                write_archive(stream)
        except BrokenPipeError:
            pass  # it gave up; what it said is below
        with importer.stdout as output:
            said = output.read().decode(errors="replace")
        if importer.wait() != 0:
            raise CommandFailed(f"ctr images import failed: {said.strip()[-2000:]}")

    def _ctr(self, *arguments: str) -> list[str]:
        return ["ctr", f"--address={self.socket}", f"--namespace={_NAMESPACE}", *arguments]

    def _answers(self) -> bool:
        try:
            self.ctr("images", "list", "--quiet")
        except CommandFailed:
            return False
        return True
