"""Real trackers: an MLflow server on this machine, and Weights & Biases without a network."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import documents
import pytest
from trainings import HYPERPARAMETERS, of_the_image, train

QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


@pytest.fixture(scope="module")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its address."""
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host=127.0.0.1", f"--port={port}", "--workers=1"]
    store = [f"--backend-store-uri=sqlite:///{folder}/db.sqlite", f"--artifacts-destination={folder}/artifacts"]
    environment = os.environ | QUIET | {"HOME": str(folder)}
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [*command, *store], env=environment, cwd=folder, stdout=log, stderr=log, start_new_session=True
        )
    try:
        _wait_until_healthy(f"http://127.0.0.1:{port}", server, folder / "log")
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, 9)  # it has worker processes
        server.wait()


def _wait_until_healthy(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 180
    while True:
        try:
            urllib.request.urlopen(f"{address}/health", timeout=5).close()
            return
        except OSError:
            assert server.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.2)


def get(address: str, path: str) -> Any:
    with urllib.request.urlopen(f"{address}/api/2.0/{path}", timeout=30) as answer:
        return json.load(answer)


def post(address: str, path: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(
        f"{address}/api/2.0/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def test_a_run_is_tracked_by_both(
    mlflow_server: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    document = documents.document(
        dataset={"sources": [{"uri": f"file://{data}"}]},
        hyperparameters=HYPERPARAMETERS,
        output={"uri": f"file://{tmp_path}/v1/"},
        tracking={"mlflow": {"uri": mlflow_server}, "wandb": {"project": "parts"}},
    )
    outcome = train(tmp_path / "work", document)
    assert outcome.code == 0, outcome.stderr[-3000:]
    [told] = outcome.all("tracking")
    assert outcome.detail["tracking"] == {"mlflow": told["url"]}
    experiment, run_id = told["url"].removeprefix(f"{mlflow_server}/#/experiments/").split("/runs/")
    assert get(mlflow_server, f"mlflow/experiments/get?experiment_id={experiment}")["experiment"]["name"] == "parts"
    run = get(mlflow_server, f"mlflow/runs/get?run_id={run_id}")["run"]
    assert run["info"]["status"] == "FINISHED"
    assert run["info"]["run_name"] == "parts-1"
    parameters = {entry["key"]: entry["value"] for entry in run["data"]["params"]}
    assert parameters.items() >= {"epochs": "2", "lr0": "0.002", "mode": "Scratch", "architecture": "yolo11n"}.items()
    metrics = {entry["key"]: entry["value"] for entry in run["data"]["metrics"]}
    for name, text in outcome.termination["metrics"].items():
        assert metrics[f"evaluation/{name}"] == float(text)
    history = get(mlflow_server, f"mlflow/metrics/get-history?run_id={run_id}&metric_key=box_loss")["metrics"]
    assert [(entry["step"], entry["value"]) for entry in history] == [
        (event["epoch"], float(event["metrics"]["box_loss"])) for event in outcome.all("epoch")
    ]
    files = get(mlflow_server, f"mlflow/artifacts/list?run_id={run_id}&path=report")["files"]
    assert {file["path"] for file in files} == {f"report/{path.name}" for path in (tmp_path / "v1/report").iterdir()}
    [offline] = (tmp_path / "work/.tracking/wandb").glob("offline-run-*/run-uid-1.wandb")
    content = offline.read_bytes()
    assert all(word in content for word in (b"box_loss", b"evaluation/map50", b"report.json", b"yolo11n"))


def test_a_run_that_was_interrupted_goes_on_in_the_same_place(mlflow_server: str, tmp_path: Path) -> None:
    first = speak(mlflow_server, tmp_path, ["epoch 1"])
    second = speak(mlflow_server, tmp_path, ["epoch 2", "end"])
    assert first == second
    run = post(mlflow_server, "mlflow/runs/search", {"experiment_ids": [first.split("/")[-3]], "max_results": 10})[
        "runs"
    ]
    mine = [each for each in run if each["info"]["run_name"] == "interrupted"]
    assert [each["info"]["status"] for each in mine] == ["FINISHED"]
    assert {entry["key"]: entry["step"] for entry in mine[0]["data"]["metrics"]} == {"map50": 2}


def speak(address: str, folder: Path, words: list[str]) -> str:
    """A client on its own, told to begin and then `words`; returns the run's address."""
    begin = {
        "do": "begin",
        "uid": "uid-interrupted",
        "name": "interrupted",
        "tags": {"model": "parts"},
        "parameters": {f"p{number}": "1" for number in range(150)},
        "settings": {"uri": address, "experiment": "parts"},
    }
    records: list[dict[str, Any]] = [begin]
    for word in words:
        records.append(
            {"do": "end", "status": "FINISHED"}
            if word == "end"
            else {"do": "metrics", "epoch": int(word.split()[1]), "at": 0, "values": {"map50": 0.5}}
        )
    done = subprocess.run(
        [sys.executable, "-m", "trainer.tracking.client", "mlflow"],
        input="".join(json.dumps(record) + "\n" for record in records),
        env=of_the_image() | QUIET | {"GIT_PYTHON_REFRESH": "quiet"},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer.get("error") for answer in answers] == [None] * len(records), done.stderr
    return str(answers[0]["url"])


def test_trackers_that_are_down_cost_nothing_but_a_warning(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One refuses connections; the other takes them and never answers."""
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "hunter2-hunter2")
    monkeypatch.setenv("WANDB_API_KEY", "f" * 40)
    with socket.socket() as refusing, socket.create_server(("127.0.0.1", 0)) as silent:
        refusing.bind(("127.0.0.1", 0))  # and does not listen
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        began = time.monotonic()
        outcome = train(
            tmp_path / "work",
            documents.document(
                dataset={"sources": [{"uri": f"file://{data}"}]},
                hyperparameters=HYPERPARAMETERS,
                output={"uri": f"file://{tmp_path}/v1/"},
                tracking={
                    "mlflow": {"uri": f"http://127.0.0.1:{refusing.getsockname()[1]}"},
                    "wandb": {"project": "parts"},
                },
            ),
        )
    took = time.monotonic() - began
    assert outcome.code == 0, outcome.stderr[-3000:]
    assert outcome.all("tracking") == []
    assert outcome.detail["tracking"] is None
    warnings = [event["message"] for event in outcome.all("warning")]
    for name in ("mlflow", "wandb"):
        assert sum(text.startswith(f"{name} (") and "is not informed of this run" in text for text in warnings) == 1
        assert sum(text.startswith(f"{name} (") and "lacks" in text for text in warnings) == 1
    everything = json.dumps(outcome.events) + outcome.stderr
    assert "hunter2" not in everything
    assert "f" * 40 not in everything
    assert took < 240
    assert (tmp_path / "v1/manifest.json").exists()


def test_ultralytics_own_callbacks_for_trackers_stay_off() -> None:
    from ultralytics.engine.trainer import BaseTrainer
    from ultralytics.utils import SETTINGS, callbacks

    from trainer.environment import configure_ultralytics

    SETTINGS.update({"mlflow": True, "wandb": True})  # as a user's settings file might have it
    configure_ultralytics()

    class Trainer(BaseTrainer):
        def __init__(self) -> None:
            self.callbacks = callbacks.get_default_callbacks()

    trainer = Trainer()
    callbacks.add_integration_callbacks(trainer)
    modules = {callback.__module__ for listed in trainer.callbacks.values() for callback in listed}
    assert not {name for name in modules if name.rpartition(".")[2] in ("mlflow", "wb", "comet", "clearml", "dvc")}
    assert not SETTINGS["mlflow"]
    assert not SETTINGS["wandb"]
