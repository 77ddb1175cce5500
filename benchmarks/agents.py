"""Real agents that run only in their turns: whatever else changes on the machine meets all that are compared."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PYTHONPATH = os.pathsep.join(str(ROOT / name) for name in ("agent-image", "artifacts", "dataset"))


@dataclass(frozen=True)
class Turn:
    """Runs of the network, in so many seconds, with so much processor time of all threads."""

    runs: float
    seconds: float
    processor: float


class Agent:
    """A real `agent serve`, stopped but for its turns (SIGSTOP, SIGCONT). What it does not finish in one it finishes
    in the next. Raises SystemExit with its log where it does not come up, or frames fail."""

    def __init__(self, folder: Path, name: str, env: Mapping[str, str], warm: int) -> None:
        """Start it, and wait until it has run `warm` frames."""
        self._log = folder / f"{name}.log"
        given = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": PYTHONPATH,
            "ROLLOUT": "benchmark",
            "GROUP": "fleet",
            "NODE_NAME": "here",
            "PORT": "0",
            "STUCK_AFTER": "86400",  # it is stopped most of the time
            "TERMINATION_LOG": str(folder / "termination"),
        }
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "agent", "serve"], env={**given, **env}, stdout=log, stderr=log
            )
        mark = "health on port "
        self._await(lambda: mark in self._log.read_text())
        self._port = int(self._log.read_text().partition(mark)[2].split()[0])
        self._await(lambda: self._ready() and self._figures()["modelfleet_frames_total"] > warm)
        self.process.send_signal(signal.SIGSTOP)

    def turn(self, seconds: float) -> Turn:
        """One turn."""
        self.process.send_signal(signal.SIGCONT)
        before, began = self._figures(), time.monotonic()
        time.sleep(seconds)
        after, ended = self._figures(), time.monotonic()
        self.process.send_signal(signal.SIGSTOP)
        if after["modelfleet_frames_failed_total"]:
            raise SystemExit(f"frames failed:\n{self._log.read_text()}")
        runs, processor = (
            after[name] - before[name] for name in ("modelfleet_frames_total", "process_cpu_seconds_total")
        )
        return Turn(runs, ended - began, processor)

    def metrics(self) -> str:
        """What it exports; it goes on for that."""
        self.process.send_signal(signal.SIGCONT)
        return self._get("/metrics")

    def close(self) -> None:
        """End it."""
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        self.process.wait(30)

    def _figures(self) -> dict[str, float]:
        """Every series by name; of several with one name the last."""
        lines = [line for line in self._get("/metrics").splitlines() if not line.startswith("#")]
        return {line.partition(" ")[0].partition("{")[0]: float(line.rpartition(" ")[2]) for line in lines}

    def _ready(self) -> bool:
        try:
            return self._get("/readyz") == "ok\n"
        except urllib.error.HTTPError as error:
            error.close()
            return False

    def _get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=60) as response:
            return str(response.read().decode())

    def _await(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 120
        while not condition():
            if self.process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"the agent did not come up:\n{self._log.read_text()}")
            time.sleep(0.1)
