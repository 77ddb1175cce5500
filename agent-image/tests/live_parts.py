"""What the tests of the live page share: a model, a frame with a bolt, a mask, and how a picture is looked at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from agent_models import CLASSES

from agent.live.report import Model
from agent.metrics import Identity
from agent.serve.detector import Detections

MODEL = Model(Identity("line", "canary", "edge-1", "parts-detector", "v2"), "ab" * 32, CLASSES, 0.25, 0.7)
NOTHING = Detections(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.intp))
BOX = (100.0, 60.0, 220.0, 180.0)
BOLT = Detections(np.array([BOX], np.float32), np.array([0.91], np.float32), np.array([0], np.intp))
MASKED = {"image": {"mask": [[[0, 0], [0.5, 0], [0.5, 1], [0, 1]]]}}  # the left half


def decoded(data: bytes) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image


def settings(folder: Path, content: Any = MASKED) -> Path:
    path = folder / "capture.json"
    path.write_text(json.dumps(content) if not isinstance(content, str) else content)
    return path


def near(pixel: np.ndarray, colour: str, tolerance: int = 40) -> bool:
    red, green, blue = bytes.fromhex(colour[1:])
    return bool(np.abs(pixel.astype(int) - (blue, green, red)).max() <= tolerance)
