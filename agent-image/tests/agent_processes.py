"""The real agent as a process, and a model file as the operator would announce it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PATIENCE = 120.0
"""Seconds after which nobody believes any more in what is waited for. No promise: a machine on which everything else
runs at the same time is twenty times slower than one that is idle."""


@dataclass(frozen=True)
class Stored:
    """A model file in a store, and the environment that the operator would give a pod that runs it on this node."""

    content: bytes
    uri: str
    env: dict[str, str]

    @property
    def path(self) -> Path:
        return Path(self.env["MODEL_PATH"])

    def put_in_cache(self) -> Stored:
        self.path.parent.mkdir(parents=True)
        self.path.write_bytes(self.content)
        return self


class Agent:
    """A running `agent serve` or `agent fetch`, with its log and termination message in files."""

    def __init__(self, folder: Path, command: str, env: dict[str, str]) -> None:
        folder.mkdir(parents=True)
        self.log = folder / "log"
        self.termination = folder / "termination"
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(str(ROOT / folder) for folder in ("agent-image", "artifacts", "dataset")),
            "PYTHONWARNINGS": "error",
            "TERMINATION_LOG": str(self.termination),
            "PORT": "0",
            "BACKEND": "onnxruntime",  # each process would try the others for seconds
            **env,
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "agent", command], env=environment, stdout=log, stderr=log, cwd=folder
            )

    @property
    def port(self) -> int:
        """The port that the agent says it serves on."""
        mark = "serving metrics and health on port "
        wait_until(lambda: mark in self.log.read_text(), "the agent serves", self.log)
        return int(self.log.read_text().partition(mark)[2].split()[0])

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=PATIENCE) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def wait_ready(self) -> None:
        wait_until(lambda: self.get("/readyz")[0] == 200, "the agent is ready", self.log)

    def value(self, series: str) -> float:
        """The value of one series, named as `name` or `name{label="value"}` where one own label is enough."""
        name, _, label = series.partition("{")
        for line in self.get("/metrics")[1].splitlines():
            if line.startswith((f"{name}{{", f"{name} ")) and label.rstrip("}") in line:
                return float(line.rpartition(" ")[2])
        raise AssertionError(f"no series {series}")

    def stop(self) -> int:
        """SIGTERM, then the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        return self.process.wait(timeout=PATIENCE)

    def message(self) -> dict[str, str]:
        """The termination message."""
        return json.loads(self.termination.read_text())


def wait_until(
    condition: Callable[[], bool], what: str, log: Path | None = None, progress: Callable[[], object] | None = None
) -> None:
    """Patience is renewed whenever `progress` says something new: for what takes the longer the busier the machine."""
    end = time.monotonic() + PATIENCE
    reached = progress() if progress else None
    while not condition():
        if progress and (now := progress()) != reached:
            reached, end = now, time.monotonic() + PATIENCE
        if time.monotonic() > end:
            so_far = f" (stands at {reached})" if progress else ""
            raise AssertionError(f"not within {PATIENCE} s: {what}{so_far}\n{log.read_text() if log else ''}")
        time.sleep(0.02)
