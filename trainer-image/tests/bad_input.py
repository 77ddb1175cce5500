"""The rows of bad_input.yaml, and the trainer run on one: the real process, its exit code and its last words."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

import artifactstore
import detectiondata
import trainer

_SOURCES = [str(Path(package.__file__).parents[1]) for package in (trainer, artifactstore, detectiondata)]
# Where there is no ultralytics (outside the image), all is real but what it would be asked of the hyperparameters.
_WITHOUT_ULTRALYTICS = """
import sys
from trainer import arguments, environment, main
environment.configure_ultralytics = lambda: None
arguments.check = lambda resolved: None
sys.exit(main.main())
"""


@dataclass(frozen=True)
class Row:
    name: str
    then: str
    exit: int
    reason: str
    message: str
    do: str

    def matches(self, message: str, **known: str) -> bool:
        """Whether `message` is exactly this row's, with any text for the placeholders that are not `known`."""
        parts = re.split(r"\{(\w+)\}", self.message)
        texts = [re.escape(text) for text in parts[::2]]
        found = [re.escape(known[name]) if name in known else ".+" for name in parts[1::2]]
        pattern = "".join(text for pair in zip(texts, [*found, ""], strict=True) for text in pair)
        return re.fullmatch(pattern, message) is not None


ROWS = {row["name"]: Row(**row) for row in yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())}


@dataclass(frozen=True)
class Ended:
    code: int
    reason: str
    message: str
    events: tuple[str, ...]


def run_trainer(
    folder: Path, document: Mapping[str, Any], variables: Mapping[str, str], within: Sequence[str] = ()
) -> Ended:
    """Runs the trainer in `folder`/work; `within` is a command that runs the command that follows it."""
    log, workspace = folder / "termination", folder / "work"
    workspace.mkdir()
    real = find_spec("ultralytics") is not None
    command = [sys.executable, *(("-m", "trainer") if real else ("-c", _WITHOUT_ULTRALYTICS))]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": os.pathsep.join(filter(None, [*_SOURCES, os.environ.get("PYTHONPATH")])),
        "TRAINER_RUN": json.dumps(document),
        "TRAINER_TERMINATION_LOG": str(log),
        **variables,
    }
    done = subprocess.run(
        [*within, *command], cwd=workspace, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert log.exists(), done.stderr
    said = json.loads(log.read_text())
    assert said["result"] == "Failed"
    events = tuple(json.loads(line)["event"] for line in done.stdout.splitlines())
    return Ended(done.returncode, said["reason"], said["message"], events)


def agrees(row: Row, ended: Ended, **known: str) -> None:
    """The run ended as the row says, before anything was trained."""
    assert row.matches(ended.message, **known), ended.message
    assert (ended.code, ended.reason) == (row.exit, row.reason)
    assert not {"weights", "epoch", "uploading"} & set(ended.events)
