"""Prometheus can read a run while it trains."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import documents
from trainings import HYPERPARAMETERS, environment

from trainer.metrics import PORT


def test_a_run_can_be_scraped_while_it_trains(data: Path, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    document = documents.document(
        dataset={"sources": [{"uri": f"file://{data}"}]},
        hyperparameters=HYPERPARAMETERS | {"epochs": 50},
        output={"uri": f"file://{tmp_path}/v1/"},
    )
    with subprocess.Popen(
        [sys.executable, "-m", "trainer"],
        cwd=tmp_path,
        env=environment(tmp_path, document) | {PORT: str(port)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        next(line for line in process.stdout if '"epoch"' in line)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    labels = '{model="parts",training_job="parts-1",version="v1"}'
    found = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(found[f"modelfleet_training_epoch{labels}"]) >= 1
    assert float(found[f"modelfleet_training_images_per_second{labels}"]) > 0
    # without a GPU the images are loaded by the process that trains, so that it does wait for them
    assert 0 < float(found[f"modelfleet_training_data_loading_ratio{labels}"]) < 1
    assert any(line.startswith('modelfleet_training_figure{figure="map50"') for line in found)
    assert f"modelfleet_training_gpu_memory_bytes{labels}" not in found
