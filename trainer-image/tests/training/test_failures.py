"""Rows of the table of bad input, each through the real process: exit code, reason, message, and nothing published."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import documents
import pytest
from trainings import HYPERPARAMETERS, environment, outcome, train


def damaged(data: Path, folder: Path, damage: Callable[[Path], None]) -> Path:
    subprocess.run(["cp", "-r", str(data), str(folder)], check=True)
    damage(folder)
    return folder


def write(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(content) and None


def published(folder: Path) -> list[str]:
    """What lies there besides checkpoints."""
    return [path.name for path in folder.iterdir() if not path.name.startswith(".checkpoint-")]


@pytest.mark.parametrize(
    ("damage", "changes", "reason", "message"),
    [
        pytest.param(
            write("train/labels/train0003.txt", b"9 0.5 0.5 0.1 0.1\n"),
            {},
            "DatasetInvalid",
            "class index too high: 1 (train/labels/train0003.txt line 1: class 9, and there are 3: 0 to 2)",
            id="class index",
        ),
        pytest.param(
            write("val/images/val0001.jpg", b"\xff\xd8 cut"),
            {},
            "DatasetInvalid",
            "images that can't be read: 1 (val/images/val0001.jpg empty, cut short or no picture)",
            id="image",
        ),
        pytest.param(
            None,
            {"hyperparameters": HYPERPARAMETERS | {"extra": {"momentum": "7"}}},
            "UnknownArgument",
            "'momentum=7' is an invalid value",
            id="range",
        ),
    ],
)
def test_bad_input(
    damage: Callable[[Path], None] | None,
    changes: dict[str, Any],
    reason: str,
    message: str,
    data: Path,
    tmp_path: Path,
) -> None:
    source = damaged(data, tmp_path / "data", damage) if damage else data
    document = documents.document(
        dataset={"sources": [{"uri": f"file://{source}"}]},
        hyperparameters=HYPERPARAMETERS,
        output={"uri": f"file://{tmp_path}/v1/"},
    )
    failed = train(tmp_path / "work", document | changes)
    assert failed.code == 64
    assert failed.termination["reason"] == reason
    assert message in failed.termination["message"]
    assert failed.all("epoch") == []
    assert not (tmp_path / "v1").exists()


def test_gpus_that_are_not_there_are_said_before_anything_is_fetched(tmp_path: Path) -> None:
    document = documents.document(
        dataset={"sources": [{"uri": f"file://{tmp_path}/nowhere"}]},
        hyperparameters=HYPERPARAMETERS,
        output={"uri": f"file://{tmp_path}/v1/"},
        gpus=64,
    )
    failed = train(tmp_path / "work", document)
    assert failed.code == 1
    assert failed.termination["reason"] == "GpuMissing"
    assert "spec.resources.gpus is 64, and the container sees" in failed.termination["message"]


def test_a_full_disk_in_the_middle_may_be_retried(data: Path, tmp_path: Path) -> None:
    document = documents.document(
        dataset={"sources": [{"uri": f"file://{data}"}]},
        hyperparameters=HYPERPARAMETERS,
        output={"uri": f"file://{tmp_path}/v1/"},
    )
    # no file larger than 4 MB: the first checkpoint does not fit
    failed = train(tmp_path / "work", document, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 20, 4 << 20)))
    assert failed.code == 1
    assert failed.termination["reason"] == "DiskFull"
    assert published(tmp_path / "v1") == []


def test_a_stop_in_the_middle_of_training_is_said(data: Path, tmp_path: Path) -> None:
    document = documents.document(
        dataset={"sources": [{"uri": f"file://{data}"}]},
        hyperparameters=HYPERPARAMETERS | {"epochs": 50},
        output={"uri": f"file://{tmp_path}/v1/"},
    )
    with subprocess.Popen(
        [sys.executable, "-m", "trainer"],
        cwd=tmp_path,
        env=environment(tmp_path, document),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        seen = []
        for line in process.stdout:
            seen.append(line)
            if '"epoch"' in line:
                break
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=60)
    stopped = outcome(tmp_path, process.returncode, "".join(seen) + rest, "")
    assert stopped.code == 143
    assert stopped.termination["reason"] == "Interrupted"
    assert published(tmp_path / "v1") == []
