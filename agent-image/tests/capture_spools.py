"""Spools with captures in them, for the tests of the upload."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from agent.capture import sidecar
from agent.capture.images import Encoded
from agent.capture.policy import Choice
from agent.capture.sampling import Draw
from agent.capture.settings import SAMPLE, Rule, Settings
from agent.capture.sidecar import Capture, Origin
from agent.capture.spool import Spool
from agent.detection import Detection

ORIGIN = Origin("edge-1", "line", "factory", "fleet", "parts", "v2", "ab" * 32, ("bolt",), 0.25, 0.7)
ENV = {
    "ROLLOUT": "line",
    "ROLLOUT_NAMESPACE": "factory",
    "GROUP": "fleet",
    "NODE_NAME": "edge-1",
    "MODEL_NAME": "parts",
    "MODEL_VERSION": "v2",
}


def capture(at: datetime, reason: str, size: int = 2000) -> Capture:
    """Made by the agent's own code but for the image, which is noise of `size` bytes, by time and reason."""
    noise = np.random.default_rng([int(at.timestamp() * 1000), *reason.encode()]).bytes(size)
    choice = Choice((reason,), Draw(0.1, "found") if reason == SAMPLE else None)
    found = [Detection("bolt", 0.9, (1, 2, 3, 4))]
    return sidecar.build(ORIGIN, at, Encoded(noise, 64, 48, (1, 1)), found, choice)


def fill(root: Path, start: datetime, step: timedelta, reasons: Sequence[str], size: int = 2000) -> list[str]:
    """One capture a step, for these reasons one after the other. Returns their keys, without suffix."""
    settings = Settings("s3://x/", disk=1 << 30, keep_free_share=0.0, rules=tuple(map(Rule, {*reasons} - {SAMPLE})))
    spool = Spool(root, lambda reason: None)
    spool.open()
    keys = []
    for number, reason in enumerate(reasons):
        made = capture(start + number * step, reason, size)
        spool.write(reason, made, settings)
        keys.append(sidecar.address(made.sidecar).key)
    return keys


def write_settings(path: Path, destination: str, **more: Any) -> None:
    path.write_text(json.dumps({"destination": destination, "sample": {}} | more))
