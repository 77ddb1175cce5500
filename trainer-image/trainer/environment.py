"""What must hold before torch and ultralytics are first imported: they read the environment at import and keep it.

- stdout belongs to the reporter; whatever else writes there goes to stderr.
- Nothing is downloaded: no fonts, no check weights, no packages, no telemetry. The pod may have no way out, and what a
  model is made of must not depend on what a web server sends that day.
- Checkpoints from elsewhere are loaded as data and can't run code.
- As many threads as the container has processors (libraries don't see a quota), and threads that wait sleep: spinning
  ones make a step ten times slower when something else shares the processors.
"""

from __future__ import annotations

import math
import os
import shutil
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TextIO

_FONTS = ("Arial.ttf", "Arial.Unicode.ttf")  # what ultralytics looks for, and would download


def claim_stdout() -> TextIO:
    """A stream on the process's stdout for the reporter alone; from here on everything else lands on stderr."""
    sys.stdout.flush()
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return events


def prepare(workspace: Path) -> None:
    """Sets the environment of this process and its children. Idempotent. Raises OSError."""
    config = Path(os.environ.get("YOLO_CONFIG_DIR") or workspace / ".ultralytics")
    config.mkdir(parents=True, exist_ok=True)
    threads = str(processors())
    fixed = {
        "YOLO_CONFIG_DIR": str(config),
        "MPLCONFIGDIR": str(config / "matplotlib"),
        "MPLBACKEND": "agg",
        "YOLO_OFFLINE": "true",
        "YOLO_AUTOINSTALL": "false",
        "ULTRALYTICS_SAFE_LOAD": "true",
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # deterministic matrix products on CUDA
    }
    os.environ.update(fixed)
    for name, value in {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "OMP_WAIT_POLICY": "PASSIVE"}.items():
        os.environ.setdefault(name, value)
    os.environ.pop("ULTRALYTICS_API_KEY", None)
    _provide_fonts(config)


def configure_ultralytics() -> None:
    """Settings of ultralytics that have no environment variable. Imports it."""
    from ultralytics.utils import SETTINGS, torch_utils, tqdm

    off = ("sync", "clearml", "comet", "dvc", "mlflow", "raytune", "tensorboard", "wandb")
    SETTINGS.update({name: False for name in off if SETTINGS.get(name)})
    tqdm.is_noninteractive_console = lambda: True  # a pod's log is no terminal: a line a minute, no cursor movements
    # it would take all processors of the node but one
    torch_utils.NUM_THREADS = int(os.environ["OMP_NUM_THREADS"])


def processors() -> int:
    """How many processors this container may keep busy: its affinity, and its quota under cgroup v2 or v1."""
    allowed = len(os.sched_getaffinity(0))
    quota = cpu_quota(Path("/sys/fs/cgroup"))
    return allowed if quota is None else max(min(allowed, math.ceil(quota)), 1)


def cpu_quota(root: Path) -> float | None:
    """Processors of the cgroup mounted at `root`, None for no limit."""
    try:
        unified = root / "cpu.max"
        if unified.exists():
            quota, period = unified.read_text().split()
            return None if quota == "max" else int(quota) / int(period)
        microseconds = int((root / "cpu" / "cpu.cfs_quota_us").read_text())
        return None if microseconds <= 0 else microseconds / int((root / "cpu" / "cpu.cfs_period_us").read_text())
    except FileNotFoundError:
        return None


def software(environment: Mapping[str, str]) -> dict[str, str]:
    """Versions that made the model, for its lineage."""
    import platform
    from importlib.metadata import version

    versions = {name: version(name) for name in ("ultralytics", "torch", "onnx", "onnxruntime")}
    commit = environment.get("TRAINER_COMMIT")
    return {**versions, "python": platform.python_version(), **({"commit": commit} if commit else {})}


def _provide_fonts(config: Path) -> None:
    found = find_spec("matplotlib")
    if found is None or found.origin is None:
        return
    font = Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
    for name in _FONTS:
        if not (config / name).exists():
            shutil.copyfile(font, config / name)
