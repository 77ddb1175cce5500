"""Runs the pairs inside the trainer image, with its Python: `python -P inside.py SETUP.json RESULT.json`.

A pair is `yolo train` and the trainer on the same data, in turns of one epoch: one of them is stopped (SIGSTOP) while
the other trains. So no epoch has a rival, and each has the same epoch of the other right beside it, however fast the
machine happens to be at that minute. A turn ends when ultralytics has written the epoch's row into its results.csv;
how long it took, and how much of the processor, is noted from outside.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

WORK = Path("/work")
STEPS = Path(__file__).with_name("steps.py")
POLL = 0.005  # seconds
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Command:
    """What to run, where, with what in addition to the environment; and where ultralytics writes its results.csv."""

    line: list[str]
    folder: Path
    environment: dict[str, str]
    results: Path


def plain(setup: dict[str, Any], folder: Path, epochs: int) -> Command:
    """`yolo train` on a fresh copy of the data: ultralytics leaves a cache beside it."""
    with tarfile.open(setup["dataset"]) as tar:
        tar.extractall(folder / "data")
    arguments = setup["arguments"] | setup["only_plain"] | {"epochs": epochs}
    arguments |= {"data": folder / "data/data.yaml", "project": folder, "name": "out"}
    line = ["yolo", "train", *(f"{key}={value}" for key, value in arguments.items())]
    return Command(line, folder, {}, folder / "out/results.csv")


def ours(setup: dict[str, Any], folder: Path, epochs: int) -> Command:
    """The trainer as a Job starts it, with a clock around its steps."""
    document = setup["document"] | {"uid": folder.name}
    document["output"] = {"uri": f"file://{folder}/published/", "formats": ["onnx"]}
    document["hyperparameters"] = document["hyperparameters"] | {"epochs": epochs}
    environment = {
        "TRAINER_RUN": json.dumps(document),
        "TRAINER_TERMINATION_LOG": str(folder / "termination"),
        "BENCH_STEPS": str(folder / "steps.json"),
    }
    return Command(["python", "-P", str(STEPS)], folder, environment, folder / "run/training/results.csv")


SIDES = {"plain": plain, "ours": ours}


class Training:
    """A process that advances from row to row of its results.csv, and is stopped in between.

    seconds   that it was not stopped for
    stopped   seconds that it was
    stamps    for each row: `seconds`, and processor seconds of all its threads, used by then
    """

    def __init__(self, command: Command) -> None:
        self.seconds = 0.0
        self.stopped = 0.0
        self.stamps: list[tuple[float, float]] = []
        self._command = command
        self._log = command.folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._since = 0.0

    def to_next_row(self) -> None:
        """Raises SystemExit, with the end of what the process said, if it ends before."""
        process = self._resume()
        while len(_lines(self._command.results)) - 1 <= len(self.stamps):
            if os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                raise self._failed()
            time.sleep(POLL)
        process.send_signal(signal.SIGSTOP)
        self._pause()
        self.stamps.append((self.seconds, _processor_seconds(process.pid)))

    def to_end(self) -> dict[str, Any]:
        """All figures, those of the whole process too; `ended` is by the clock that steps.py reads as well."""
        process = self._resume()
        _, status, usage = os.wait4(process.pid, 0)
        self._pause()
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise self._failed()
        return {
            "seconds": self.seconds,
            "processor_seconds": usage.ru_utime + usage.ru_stime,
            "memory_bytes": usage.ru_maxrss * 1024,
            "results": _lines(self._command.results),
            "stamps": self.stamps,
            "ended": self._since,
        }

    def kill(self) -> None:
        """Does nothing to a process that ended."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    def _resume(self) -> "subprocess.Popen[bytes]":
        now = time.monotonic()
        if self._process is None:
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(
                    self._command.line,
                    cwd=self._command.folder,
                    env=os.environ | self._command.environment,
                    stdout=log,
                    stderr=log,
                )
        else:
            self.stopped += now - self._since
            self._process.send_signal(signal.SIGCONT)
        self._since = now
        return self._process

    def _pause(self) -> None:
        now = time.monotonic()
        self.seconds += now - self._since
        self._since = now

    def _failed(self) -> SystemExit:
        said = self._log.read_text(errors="replace")[-4000:]
        return SystemExit(f"{' '.join(self._command.line)} failed:\n{said}")


def pair(setup: dict[str, Any], names: tuple[str, ...], epochs: int) -> dict[str, Any]:
    """Trains the sides of these names in turns, in this order; figures by name."""
    folders = {name: WORK / name for name in names}
    for folder in folders.values():
        folder.mkdir()
    trainings = {name: Training(SIDES[name](setup, folders[name], epochs)) for name in names}
    try:
        for _ in range(epochs):
            for training in trainings.values():
                training.to_next_row()
        found = {name: training.to_end() for name, training in trainings.items()}
    finally:
        for training in trainings.values():
            training.kill()
    folder = folders["ours"]
    steps = json.loads((folder / "steps.json").read_text())
    steps["seconds"]["the epochs"] -= trainings["ours"].stopped
    found["ours"] |= {"holdout": json.loads((folder / "termination").read_text())["metrics"], "steps": steps}
    for folder in folders.values():
        shutil.rmtree(folder)
    return found


def _lines(results: Path) -> list[str]:
    """The lines that are whole."""
    return results.read_text().split("\n")[:-1] if results.exists() else []


def _processor_seconds(pid: int) -> float:
    """What the process has used so far, all its threads, in user and system mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def main() -> None:
    """The command."""
    setup = json.loads(Path(sys.argv[1]).read_text())
    code = "from ultralytics.utils import NUM_THREADS; print(NUM_THREADS)"
    threads = subprocess.check_output(["python", "-P", "-c", code], text=True).split()[-1]
    # `yolo train` takes the threads that ultralytics thinks right, and nobody can tell it otherwise
    os.environ |= {"OMP_NUM_THREADS": threads, "YOLO_OFFLINE": "true"}

    def run(what: str, names: tuple[str, ...], epochs: int) -> dict[str, Any]:
        began = time.monotonic()
        found = pair(setup, names, epochs)
        print(f"{what}: {time.monotonic() - began:.0f} s", flush=True)
        return found

    run("warm-up", ("ours",), 1)  # reads every library from disk that either of them needs
    order = ("plain", "ours")
    pairs = [
        run(f"pair {number} of {setup['pairs']}", order if number % 2 else order[::-1], setup["epochs"])
        for number in range(1, setup["pairs"] + 1)
    ]
    versions = {name: version(name) for name in ("ultralytics", "torch", "onnxruntime")}
    Path(sys.argv[2]).write_text(json.dumps({"threads": int(threads), "versions": versions, "pairs": pairs}))


if __name__ == "__main__":
    main()
