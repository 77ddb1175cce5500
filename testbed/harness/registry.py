"""A real OCI registry (distribution) without a cluster, and oras, which users push with."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness import binaries
from harness.ports import listens
from harness.processes import wait_until


@contextmanager
def running(folder: Path, auth: str = "", address: str = "127.0.0.1") -> Iterator[str]:
    """A registry over an empty folder, and its host with port. `auth` is the part of its configuration of that name;
    `address` is one of this machine's, such as the one by which a cluster's pods reach it."""
    with socket.socket() as free:
        free.bind((address, 0))
        port = free.getsockname()[1]
    configuration = folder / "config.yml"
    configuration.write_text(
        f"version: 0.1\nlog: {{level: warn}}\nstorage: {{filesystem: {{rootdirectory: {folder}/blobs}}}}\n"
        f"http: {{addr: '{address}:{port}'}}\n{auth}"
    )
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen([binaries.path("registry"), "serve", configuration], stdout=log, stderr=log) as process,
    ):
        try:
            assert wait_until(lambda: process.poll() is not None or listens(address, port), 30), (
                folder / "log"
            ).read_text()
            yield f"{address}:{port}"
        finally:
            process.terminate()
            process.wait(10)


def oras(*arguments: str, cwd: Path) -> str:
    """Run oras in a folder; what it prints."""
    command = [str(binaries.path("oras")), *arguments]
    return subprocess.run(command, cwd=cwd, check=True, text=True, stdout=subprocess.PIPE).stdout.strip()
