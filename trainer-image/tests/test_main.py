"""Every way a run ends writes a termination message: checked on the real process, up to where torch would be needed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import documents
import pytest

import artifactstore
import detectiondata
import trainer

SOURCES = [str(Path(package.__file__).parents[1]) for package in (trainer, artifactstore, detectiondata)]
COMMAND = [sys.executable, "-m", "trainer"]


# the real main, with a publication that waits in Python, where the main thread hears a signal at once
LISTENING = """
import sys, time
from trainer import main, publish, signals
signals.PATIENCE = 3600
publish.already = lambda run: time.sleep(60)
sys.exit(main.main())
"""


def environment(tmp_path: Path, document: Any) -> dict[str, str]:
    text = document if isinstance(document, str) else json.dumps(document)
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(SOURCES),
        "TRAINER_RUN": text,
        "TRAINER_TERMINATION_LOG": str(tmp_path / "termination"),
    }


def finished(tmp_path: Path, document: Any) -> tuple[int, dict[str, Any], list[dict[str, Any]]]:
    done = subprocess.run(
        COMMAND,
        cwd=tmp_path,
        env=environment(tmp_path, document),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    events = [json.loads(line) for line in done.stdout.splitlines()]
    return done.returncode, json.loads((tmp_path / "termination").read_text()), events


@pytest.mark.parametrize(
    ("document", "reason", "message"),
    [
        ("", "InvalidRun", "TRAINER_RUN is not set"),
        ("{", "InvalidRun", "TRAINER_RUN is not JSON"),
        (documents.document(uid=None), "InvalidRun", "TRAINER_RUN.uid is missing"),
        (documents.document(output={"uri": "ftp://x/y"}), "OutputInvalid", "of a kind not known here (ftp://)"),
        (
            documents.document(output={"uri": "file:///nowhere", "formats": ["engine"]}),
            "UnknownArgument",
            "output.formats: 'engine' can't be written by this trainer; known is onnx",
        ),
        (
            documents.document(output={"uri": "file:///nowhere"}, hyperparameters={"extra": {"project": "x"}}),
            "UnknownArgument",
            "hyperparameters.extra.project can't be given: where a run writes its files",
        ),
    ],
)
def test_a_bad_run_ends_with_64_and_says_why(document: Any, reason: str, message: str, tmp_path: Path) -> None:
    code, termination, _ = finished(tmp_path, document)
    assert code == 64
    assert (termination["result"], termination["reason"]) == ("Failed", reason)
    assert message in termination["message"]


def test_a_version_that_exists_is_refused_before_anything_else(tmp_path: Path) -> None:
    (tmp_path / "v1").mkdir()
    (tmp_path / "v1" / "manifest.json").write_text('{"uid": "other", "trainingJob": "parts-0"}')
    document = documents.document(output={"uri": f"file://{tmp_path}/v1/"})
    code, termination, events = finished(tmp_path, document)
    assert code == 64
    assert termination["reason"] == "VersionExists"
    assert "was published by TrainingJob parts-0; choose another version" in termination["message"]
    assert [event["event"] for event in events] == ["started"]


@pytest.mark.parametrize("deaf", [False, True])
def test_a_request_to_stop_is_answered(deaf: bool, tmp_path: Path) -> None:
    # deaf: opening a pipe nobody writes to keeps the main thread inside the storage library for ever
    os.mkfifo(tmp_path / "manifest.json")
    variables = environment(tmp_path, documents.document(output={"uri": f"file://{tmp_path}/"}))
    command = COMMAND if deaf else [sys.executable, "-c", LISTENING]
    with subprocess.Popen(
        command, cwd=tmp_path, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["event"] == "started"
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert process.returncode == 143
    termination = json.loads((tmp_path / "termination").read_text())
    assert termination["reason"] == "Interrupted"
