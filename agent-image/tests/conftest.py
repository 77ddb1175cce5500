"""Fixtures of the agent's tests."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # pytest's importlib mode leaves test folders off the path

from agent_models import CLASSES, SIDE
from agent_processes import Agent, Stored

from agent.live import drawing


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    folder = tmp_path / "cache"
    folder.mkdir()
    return folder


@pytest.fixture
def stored(tmp_path: Path, cache: Path) -> Callable[..., Stored]:
    """`stored(content, version="v1", rollout="line", namespace="factory")`: a file in a store that pods can reach."""

    def make(content: bytes, version: str = "v1", rollout: str = "line", namespace: str = "factory") -> Stored:
        folder = tmp_path / "store" / version
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "best.onnx").write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        env = {
            "ROLLOUT": rollout,
            "ROLLOUT_NAMESPACE": namespace,
            "GROUP": "canary",
            "NODE_NAME": "edge-1",
            "MODEL_NAME": "parts-detector",
            "MODEL_VERSION": version,
            "MODEL_PATH": str(cache / sha256 / "best.onnx"),
            "MODEL_URI": f"file://{folder}/best.onnx",
            "MODEL_SHA256": sha256,
            "MODEL_SIZE": str(len(content)),
            "MODEL_CLASSES": json.dumps(CLASSES),
            "MODEL_IMAGE_SIZE": str(SIDE),
        }
        return Stored(content, env["MODEL_URI"], env)

    return make


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Callable[..., Agent]]:
    """`agent("serve", env)` starts the real command; what still runs when the test ends is killed, by its id."""
    started: list[Agent] = []

    def start(command: str, env: dict[str, str]) -> Agent:
        started.append(Agent(tmp_path / f"process-{len(started)}", command, env))
        return started[-1]

    yield start
    for running in started:
        if running.process.poll() is None:
            running.process.kill()
            running.process.wait()


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """One entry for each JPEG that was made."""
    made: list[float] = []
    original = drawing.jpeg

    def counted(image: np.ndarray) -> bytes:
        made.append(time.monotonic())
        return original(image)

    monkeypatch.setattr(drawing, "jpeg", counted)
    return made
