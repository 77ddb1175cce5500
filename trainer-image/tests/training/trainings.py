"""Runs the trainer as the image does: a process of its own, told by TRAINER_RUN, answering by what it leaves behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HYPERPARAMETERS = {
    "epochs": 2,
    "imageSize": 160,
    "batch": 8,
    "optimizer": "AdamW",
    "augmentation": {"mosaic": "0"},
    "extra": {"lr0": "0.002", "nbs": "8", "warmup_epochs": "1"},
}


# Seconds. A training of a minute has taken more than ten beside other tests: what ends it early is a hang alone.
HANGS = 3600


@dataclass(frozen=True)
class Outcome:
    code: int
    termination: dict[str, Any]
    events: list[dict[str, Any]]
    stderr: str

    def all(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == name]

    @property
    def detail(self) -> dict[str, Any]:
        [line] = self.all("detail")
        return dict(line["detail"])


def outcome(workspace: Path, code: int, stdout: str, stderr: str) -> Outcome:
    events = [json.loads(line) for line in stdout.splitlines()]  # stdout holds nothing but events
    return Outcome(code, json.loads((workspace / "termination").read_text()), events, stderr)


def environment(workspace: Path, document: dict[str, Any]) -> dict[str, str]:
    return of_the_image() | {
        "TRAINER_RUN": json.dumps(document),
        "TRAINER_TERMINATION_LOG": str(workspace / "termination"),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "2"),
        "YOLO_CONFIG_DIR": str(workspace / ".ultralytics"),
        "HOME": str(workspace),
    }


def of_the_image() -> dict[str, str]:
    """The environment without the folder of test tools, so that what is imported is what the image holds."""
    folders = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    kept = [folder for folder in folders if "test-tools" not in folder]
    return os.environ | {"PYTHONPATH": os.pathsep.join(kept)}


def train(workspace: Path, document: dict[str, Any], prepare: Callable[[], None] | None = None) -> Outcome:
    workspace.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "trainer"],
        cwd=workspace,
        env=environment(workspace, document),
        capture_output=True,
        text=True,
        timeout=HANGS,
        check=False,
        preexec_fn=prepare,
    )
    return outcome(workspace, done.returncode, done.stdout, done.stderr)
