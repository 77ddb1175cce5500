"""The trainer on one GPU, in at most eight minutes and without a network: `python -P gpu.py RESULT.json [--cpu]`.

gpu.sh prepares what it needs and starts it. Its steps, each in a child of its own:
    speed    images a second beside plain `yolo train`, in turns of one epoch (`inside`); mixed precision is on
    batch    `batch: -1`: which batch was taken, and the memory that the gauge shows meanwhile
    resume   killed (SIGKILL) once a checkpoint is safe, started again: it goes on, and ends
With --cpu the same steps run small on the processor, to try the script: its figures say nothing about a GPU.
"""

import argparse
import hashlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import inside

from e2e.dataset import Scene, archive, write_dataset

BUDGET = 480  # seconds for all of it
CPU_BUDGET = 1800  # for the trial
GOAL = 0.98  # of the images a second of plain `yolo train`
PORT = 19464
GAUGE = "modelfleet_training_gpu_memory_bytes"

Json = dict[str, Any]


class Check:
    """`failed` are the steps that did not come out as they should, in words."""

    def __init__(self, work: Path, on_gpu: bool) -> None:
        self.work = work
        self.on_gpu = on_gpu
        self.began = time.monotonic()
        self.failed: list[str] = []
        self._size, self._images, self._epochs = (640, 1600, 4) if on_gpu else (64, 24, 2)
        self._data = self._made("dataset", self._images, 1)
        self._holdout = self._made("holdout", max(16, self._images // 10), 2)

    def left(self) -> float:
        """Seconds of the budget. Raises SystemExit when it is spent."""
        budget = BUDGET if self.on_gpu else CPU_BUDGET
        left = budget - (time.monotonic() - self.began)
        if left <= 0:
            raise SystemExit(f"{budget} s are over; what was measured so far is in the result")
        return left

    def speed(self) -> Json:
        """A pair in turns: medians of the epochs but the first, which reads and warms up."""
        shared = {"batch": 32 if self.on_gpu else 8, "optimizer": "AdamW", "seed": 0, "patience": 30, "freeze": 0}
        setup = {
            "dataset": str(self._data),
            "arguments": shared | {"imgsz": self._size},
            "only_plain": {
                "model": "yolo11n.yaml",
                "pretrained": False,
                "plots": False,
                "device": "0" if self.on_gpu else "cpu",
            },
            "document": self._document("speed", shared),
        }
        inside.WORK = self.work
        found = inside.pair(setup, ("plain", "ours"), self._epochs)
        trained = self._images * 3 // 4
        rates = {}
        for name in ("plain", "ours"):
            stamps = [seconds for seconds, _ in found[name]["stamps"]]
            epochs = sorted(later - earlier for earlier, later in itertools.pairwise(stamps))
            rates[name] = trained / epochs[len(epochs) // 2]
        ratio = rates["ours"] / rates["plain"]
        if self.on_gpu and ratio < GOAL:
            self.failed.append(f"speed: {ratio:.3f} of plain images a second, the goal is {GOAL}")
        return {"images_per_second": rates, "ratio": ratio, "memory_bytes": found["ours"]["memory_bytes"]}

    def batch(self) -> Json:
        """One epoch with `batch: -1`. Without a GPU ultralytics takes 16, and there is no gauge."""
        gauge: list[float] = []
        folder = self._folder("batch")
        with self._trainer("batch", folder, {"batch": -1, "epochs": 1}) as process:
            over = threading.Event()
            reader = threading.Thread(target=_sample, args=(gauge, over))
            reader.start()
            events = _events(process)
            code = process.wait(self.left())
            over.set()
            reader.join()
        detail = next((event["detail"] for event in events if event["event"] == "detail"), {})
        taken = detail.get("hyperparameters", {})
        if code:
            self.failed.append(f"batch: the trainer ended with {code}: {_end_of(folder)}")
        if self.on_gpu and not gauge:
            self.failed.append(f"batch: {GAUGE} was never there")
        warnings = [event["message"] for event in events if event["event"] == "warning"]
        return {
            "batch": taken.get("batch"),
            "amp": _amp(folder / "run/training/args.yaml"),
            "gpu_memory_bytes": max(gauge, default=None),
            "warnings": warnings,
        }

    def resume(self) -> Json:
        """Killed after its second epoch's checkpoint, and started again with nothing but the output folder."""
        hyperparameters = {"batch": 8, "epochs": 4}
        first = self._folder("killed")
        with self._trainer("resume", first, hyperparameters) as process:
            begun = _events(process, until=lambda event: event["event"] == "epoch" and event["epoch"] == 3)
            process.send_signal(signal.SIGKILL)
        again = self._folder("again")
        with self._trainer("resume", again, hyperparameters) as process:
            events = _events(process)
            code = process.wait(self.left())
        went_on = next((event["resumedFromEpoch"] for event in events if event["event"] == "resumed"), None)
        if code or went_on is None:
            self.failed.append(f"resume: exit code {code}, went on from epoch {went_on}: {_end_of(again)}")
        return {
            "epochs_before_it_was_killed": sum(event["event"] == "epoch" for event in begun),
            "went_on_from": went_on,
        }

    def _made(self, name: str, images: int, seed: int) -> Path:
        root = write_dataset(
            self.work / name, images=images, seed=seed, validation=0.25, scene=Scene(size=min(self._size, 320))
        )
        made = archive(root, self.work / f"{name}.tar")
        shutil.rmtree(root)
        return made

    def _document(self, uid: str, hyperparameters: Json) -> Json:
        def source(tar: Path) -> Json:
            return {"uri": f"file://{tar}", "sha256": hashlib.sha256(tar.read_bytes()).hexdigest()}

        return {
            "uid": uid,
            "trainingJob": "gpu",
            "model": "parts",
            "version": "v1",
            "mode": "Scratch",
            "architecture": "yolo11n",
            "dataset": {"sources": [source(self._data)]},
            "hyperparameters": hyperparameters | {"imageSize": self._size},
            "checkpoint": {"everyEpochs": 1},
            "evaluation": {"dataset": source(self._holdout)},
            "output": {"uri": f"file://{self.work}/published/{uid}/", "formats": ["onnx"]},
        }

    def _folder(self, name: str) -> Path:
        folder = self.work / name
        folder.mkdir()
        return folder

    def _trainer(self, uid: str, folder: Path, hyperparameters: Json) -> "subprocess.Popen[str]":
        environment = os.environ | {
            "TRAINER_RUN": json.dumps(self._document(uid, hyperparameters)),
            "TRAINER_TERMINATION_LOG": str(folder / "termination"),
            "TRAINER_METRICS_PORT": str(PORT),
        }
        with (folder / "log").open("w") as log:
            return subprocess.Popen(
                [sys.executable, "-P", "-m", "trainer"],
                cwd=folder,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )


def _events(process: "subprocess.Popen[str]", until: Callable[[Json], bool] = lambda event: False) -> list[Json]:
    """The trainer's lines, to its end or to the one that is waited for."""
    assert process.stdout is not None
    events = []
    for line in process.stdout:
        events.append(json.loads(line))
        if until(events[-1]):
            break
    return events


def _sample(gauge: list[float], over: threading.Event) -> None:
    """What the trainer's own metrics say of the GPU's memory, twice a second."""
    while not over.wait(0.5):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/metrics", timeout=5) as answer:
                lines = answer.read().decode().splitlines()
        except OSError:  # not yet, or no longer
            continue
        gauge += [float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(GAUGE)]


def _amp(arguments: Path) -> str | None:
    """Mixed precision as ultralytics was told; where the trainer found that the GPU can't, a warning says so."""
    lines = arguments.read_text().splitlines() if arguments.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("amp:")), None)


def _end_of(folder: Path) -> str:
    said = folder / "termination"
    return (said if said.exists() else folder / "log").read_text(errors="replace")[-600:]


def machine(on_gpu: bool) -> Json:
    """What it runs on. Raises SystemExit where a GPU is wanted and torch sees none."""
    import torch
    import ultralytics

    found = {"torch": torch.__version__, "ultralytics": ultralytics.__version__, "gpu": None}
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        found |= {"gpu": properties.name, "gpu_bytes": properties.total_memory, "cuda": torch.version.cuda}
    elif on_gpu:
        raise SystemExit("no GPU that torch can use: run this where there is one, or try the script with --cpu")
    return found


def main() -> None:
    """The command. Its exit code is 1 where a step did not come out as it should."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path)
    parser.add_argument("--cpu", action="store_true", help="small, on the processor: to try the script")
    parser.add_argument("--work", type=Path, default=Path("/tmp/gpu-check"))
    options = parser.parse_args()
    found: Json = {"machine": machine(not options.cpu), "cpu_trial": options.cpu}
    print(json.dumps(found["machine"]), flush=True)
    shutil.rmtree(options.work, ignore_errors=True)
    options.work.mkdir(parents=True)
    check = Check(options.work, not options.cpu)
    try:
        for step in (check.speed, check.batch, check.resume):
            check.left()
            began = time.monotonic()
            found[step.__name__] = step()
            found[step.__name__]["seconds"] = round(time.monotonic() - began, 1)
            print(step.__name__, json.dumps(found[step.__name__]), flush=True)
    finally:
        found |= {"failed": check.failed, "seconds": round(time.monotonic() - check.began, 1)}
        options.result.write_text(json.dumps(found, indent=1) + "\n")
        print(json.dumps({"failed": check.failed, "seconds": found["seconds"]}), flush=True)
    sys.exit(1 if check.failed else 0)


if __name__ == "__main__":
    main()
