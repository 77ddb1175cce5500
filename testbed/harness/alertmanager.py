"""A real Alertmanager that sends what it is told to one webhook."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness import binaries
from harness.health import answers
from harness.lifetime import die_with_parent
from harness.processes import wait_until


@contextmanager
def alertmanager(folder: Path, webhook: str) -> Iterator[str]:
    """An Alertmanager for the block alone; its ``host:port``. It groups by alert, and sends at once.

    Raises:
        RuntimeError: it does not start; the message has the end of its log.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    route = {"receiver": "webhook", "group_by": ["alertname"], "group_wait": "0s", "group_interval": "1s"}
    receiver = {"name": "webhook", "webhook_configs": [{"url": webhook, "send_resolved": True}]}
    (folder / "alertmanager.json").write_text(json.dumps({"route": route, "receivers": [receiver]}))  # JSON is YAML
    command = [
        str(binaries.path("alertmanager")),
        f"--config.file={folder}/alertmanager.json",
        f"--storage.path={folder}/alertmanager",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",  # alone
    ]
    log = folder / "alertmanager.log"
    with (
        log.open("wb") as out,
        subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, preexec_fn=die_with_parent) as process,
    ):
        try:
            ready = wait_until(lambda: process.poll() is not None or answers(f"http://{address}/-/ready"), 30)
            if not ready or process.poll() is not None:
                raise RuntimeError(f"Alertmanager does not start: {log.read_text()[-2000:]}")
            yield address
        finally:
            process.terminate()
            process.wait(10)
