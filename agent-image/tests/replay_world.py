"""Captured frames, two versions of a model and a dataset version in folders, as `agent replay` finds them.

The models are synthetic (agent_models): on a white frame they find what they were made to find, on a black one nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from agent_models import CLASSES, SIDE, anchors, yolo11_like

from agent.capture import sidecar
from agent.capture.images import Encoded
from agent.capture.policy import Choice
from agent.capture.sampling import Draw
from agent.capture.sidecar import Origin
from detectiondata import version as versions
from detectiondata.captures import Detection
from detectiondata.version import Box, Image, Split
from detectiondata.version_store import VersionStore

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
BOLT = Detection("bolt", 0.9, 4, 4, 24, 24)
NUT = Detection("nut", 0.8, 34, 34, 54, 54)
ORIGIN = Origin("n1", "line", "factory", "fleet", "parts", "v1", "ab" * 32, CLASSES, 0.25, 0.7)


def model(*found: Detection, classes: Sequence[str] = CLASSES) -> bytes:
    """Finds these on each white frame."""
    rows = []
    for each in found:
        scores = [each.confidence if name == each.label else 0.0 for name in classes]
        centre = ((each.x1 + each.x2) / 2, (each.y1 + each.y2) / 2)
        rows.append((*centre, each.x2 - each.x1, each.y2 - each.y1, scores))
    nothing = (1.0, 1.0, 1.0, 1.0, [0.0] * len(classes))
    return yolo11_like(anchors(*rows, nothing))


def box(of: Detection) -> Box:
    return Box(of.label, of.x1, of.y1, of.x2, of.y2)


@dataclass
class World:
    root: Path

    @property
    def captures(self) -> Path:
        return self.root / "captures"

    def capture(
        self,
        node: str = "n1",
        at: datetime = NOW - timedelta(hours=1),
        *,
        light: int = 255,
        probability: float | None = 0.5,
        rollout: str = "line",
    ) -> str:
        """Puts a capture as the agent does and returns its key. The sample drew it if it has a probability."""
        pixels = np.full((SIDE, SIDE, 3), light, np.uint8)
        seed = int(hashlib.sha256(f"{node}{at}".encode()).hexdigest()[:8], 16)
        noise = np.random.default_rng(seed).integers(0, 256, (8, 8, 3))
        pixels[-8:, -8:] = noise  # no two are the same file; the models look at the first pixel
        done, jpeg = cv2.imencode(".jpg", pixels)
        assert done
        draw = None if probability is None else Draw(probability, "found")
        choice = Choice(("sample",) if draw else ("broad",), draw)
        origin = Origin(**{**ORIGIN.__dict__, "node": node, "rollout": rollout})
        made = sidecar.build(origin, at, Encoded(jpeg.tobytes(), SIDE, SIDE, (1.0, 1.0)), [], choice)
        key = sidecar.address(made.sidecar).key
        path = self.captures / f"{key}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(made.image)
        path.with_suffix(".json").write_bytes(made.sidecar)
        return f"{key}.jpg"

    def fleet(self, nodes: int = 3, days: int = 2, a_day: int = 2) -> list[str]:
        return [
            self.capture(f"n{node}", NOW - timedelta(days=day, hours=1, minutes=number))
            for node in range(nodes)
            for day in range(days)
            for number in range(a_day)
        ]

    def model(self, version: str, content: bytes, classes: Sequence[str] = CLASSES) -> dict[str, Any]:
        path = self.root / "models" / version / "best.onnx"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return {
            "version": version,
            "uri": f"file://{path}",
            "sha256": hashlib.sha256(content).hexdigest(),
            "size": len(content),
            "classes": list(classes),
            "imageSize": SIDE,
        }

    def reviewed(self, said: dict[str, tuple[Split, Sequence[Box]]]) -> dict[str, str]:
        """A dataset version with these labels, by the keys of captures: how REPLAY_RUN names it."""
        images = []
        for key, (split, boxes) in said.items():
            content = (self.captures / key).read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            images.append(Image(digest, ".jpg", len(content), SIDE, SIDE, split, tuple(boxes), {"key": key}, {}))
        facts: dict[str, Any] = {"number": 1, "parent": None, "created_at": "2026-11-29T11:00:00Z"}
        listed = [image for image in images if image.split != "holdout"]
        content, version = versions.describe(listed, {}, CLASSES, "dataset", **facts)
        held = [image for image in images if image.split == "holdout"]
        manifests = {version.manifest.name: content}
        if held:
            content, holdout = versions.describe(held, {}, CLASSES, "holdout", **facts)
            manifests[holdout.manifest.name] = content
            version = versions.Version(**{**version.__dict__, "holdout": holdout})
        store = VersionStore(f"file://{self.root}/store")
        store.commit(version, manifests)
        return {"uri": store.address(1), "sha256": version.sha256}

    def run(self, stable: dict[str, Any], candidate: dict[str, Any], **more: Any) -> dict[str, str]:
        """The environment of the Job."""
        document = {
            "rollout": "line",
            "namespace": "factory",
            "captures": f"file://{self.captures}/",
            "stable": stable,
            "candidate": candidate,
            "reviewed": None,
            **more,
        }
        return {"REPLAY_RUN": json.dumps(document)}

    def list(self, name: str = "v1-v2") -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.captures / f"replay/line/{name}.json").read_text())
        return document
