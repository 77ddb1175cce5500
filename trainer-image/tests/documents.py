"""Builds TRAINER_RUN documents for tests: a valid one, changed where a test wants it changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from trainer.run import Run, parse


def document(**changes: Any) -> dict[str, Any]:
    """A Scratch run; keyword arguments replace top-level keys."""
    return {
        "trainingJob": "parts-1",
        "uid": "uid-1",
        "model": "parts",
        "version": "v1",
        "mode": "Scratch",
        "architecture": "yolo11n",
        "parent": None,
        "dataset": {"sources": [{"uri": "file:///data/"}], "validationSplit": "0.2"},
        "hyperparameters": {},
        "output": {"uri": "file:///models/parts/v1/", "formats": ["onnx"]},
        "checkpoint": {"everyEpochs": 5},
        "evaluation": None,
    } | changes


def run(**changes: Any) -> Run:
    return parse(json.dumps(document(**changes)))


def reference(folder: Path, version: str = "v1", **changes: Any) -> dict[str, Any]:
    """A parent or baseline, read from what a run published into `folder`."""
    manifest = json.loads((folder / "manifest.json").read_text())
    return {
        "version": version,
        "uri": f"file://{folder}/",
        "files": manifest["files"],
        "classes": manifest["detail"]["classes"],
        "imageSize": manifest["detail"]["imageSize"],
        "hyperparameters": manifest["detail"]["hyperparameters"],
        "metrics": manifest["metrics"],
    } | changes
