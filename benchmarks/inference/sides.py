"""What is timed: processes that run only in their turns."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

from agents import Agent, Turn

CLASSES = [f"class {number}" for number in range(80)]


class Bare:
    """A library alone (bare.py)."""

    def __init__(self, backend: str, model: Path, size: int, threads: int) -> None:
        command = [sys.executable, str(Path(__file__).with_name("bare.py")), backend, str(model), str(size)]
        self.process = subprocess.Popen(
            [*command, str(threads)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        word, rate = self._line()
        assert word == "ready"
        self.rate = float(rate)

    def turn(self, seconds: float) -> Turn:
        """One turn."""
        assert self.process.stdin
        print(seconds, file=self.process.stdin, flush=True)
        runs, took, processor = map(float, self._line())
        return Turn(runs, took, processor)

    def close(self) -> None:
        """End it."""
        self.process.communicate(timeout=30)

    def _line(self) -> list[str]:
        assert self.process.stdout
        words = self.process.stdout.readline().split()
        if not words:
            raise SystemExit(f"{self.process.args} ended with {self.process.wait()}")
        return words


def agent(folder: Path, backend: str, model: Path, size: int, threads: int, clip: Path, rate: float) -> Agent:
    """A real one that runs this model on a video, and is given `rate` frames a second."""
    content = model.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    cached = folder / sha256 / "best.onnx"
    cached.parent.mkdir(exist_ok=True)
    cached.write_bytes(content)
    env = {
        "MODEL_NAME": "parts",
        "MODEL_VERSION": "v1",
        "MODEL_PATH": str(cached),
        "MODEL_SHA256": sha256,
        "MODEL_SIZE": str(len(content)),
        "MODEL_CLASSES": json.dumps(CLASSES),
        "MODEL_IMAGE_SIZE": str(size),
        "FRAMES": f"file://{clip}",
        "FRAME_RATE": str(rate),
        "BACKEND": backend,
        "INTRA_OP_THREADS": str(threads),
    }
    return Agent(folder, f"{backend}-{model.stem}", env, warm=3)


def backend_of(side: Agent) -> str:
    """What runs its model, as it says."""
    return side.metrics().partition('modelfleet_model_info{backend="')[2].partition('"')[0]


def peak_memory(process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> int:
    """The most memory that a process had so far, in bytes."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024
