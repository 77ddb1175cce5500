"""A world for the labeler: captures with real pictures in a folder, and a stand-in for Label Studio.

`TasksInMemory` keeps its tasks in this process and is no Label Studio; the real one's tests are test_label_studio*.py.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from detectiondata.captures import Capture, Detection, Key, Sample, parse_key
from detectiondata.version import Box
from labeler.settings import Deployed, FilesSettings, LabelStudioSettings, Run, Split
from labeler.tasks import Review, Task

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
CLASSES = ("washer", "bolt")  # not in alphabetical order
WIDTH, HEIGHT = 64, 48
NAME = "parts-detector"  # of the model
MODEL = "ab" * 32  # its file
BOLT = Detection("bolt", 0.9, 4.0, 4.0, 24.0, 20.0)


def picture(number: int) -> bytes:
    """A JPEG that differs for each number."""
    pixels = np.random.default_rng(number).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    done, encoded = cv2.imencode(".jpg", pixels)
    assert done
    return encoded.tobytes()


def key(node: str = "n1", at: datetime = NOW, sha8: str = "0123abcd", rollout: str = "line") -> Key:
    milliseconds = at.microsecond // 1000
    found = parse_key(f"{rollout}/{node}/{at:%Y/%m/%d/%H%M%S}.{milliseconds:03}Z-{sha8}.jpg")
    assert found is not None
    return found


def capture(
    number: int = 0,
    node: str = "n1",
    at: datetime = NOW - timedelta(hours=1),
    *,
    rules: Sequence[str] = ("sample",),
    probability: float | None = None,
    detections: Sequence[Detection] = (BOLT,),
    model: str = MODEL,
    role: str | None = None,
    rollout: str = "line",
    name: str = NAME,
) -> Capture:
    """Of picture `number`; the sample chose it where `rules` says so. `name` is of the model, `model` its file."""
    content = picture(number)
    sha256 = hashlib.sha256(content).hexdigest()
    sample = Sample(probability or 0.01, "found" if detections else "empty") if "sample" in rules else None
    return Capture(
        key=key(node, at, sha256[:8], rollout),
        width=WIDTH,
        height=HEIGHT,
        sha256=sha256,
        size=len(content),
        group="fleet",
        version="v2",
        model_sha256=model,
        rules=tuple(rules),
        role=role,
        sample=sample,
        confidence=0.25,
        iou=0.7,
        detections=tuple(detections),
        model=name,
    )


def sidecar(of: Capture) -> dict[str, Any]:
    """As the agent writes it."""
    facts = of.to_json()
    del facts["key"]
    document = facts | {
        "format": "modelfleet.dev/capture/v1",
        "namespace": "default",
        "model": of.model,
        "classes": list(CLASSES),
        "width": of.width,
        "height": of.height,
        "image": {"sha256": of.sha256, "bytes": of.size},
    }
    return document | ({"sequence": {"id": "s", "role": of.role}} if of.role else {})


@dataclass
class World:
    """Folders under `root` that are the captures, the store of versions and the reviewed labels."""

    root: Path

    @property
    def captures(self) -> Path:
        return self.root / "captures"

    @property
    def store(self) -> Path:
        return self.root / "store"

    def capture(self, number: int, *args: Any, **facts: Any) -> Capture:
        """Puts one, image first."""
        made = capture(number, *args, **facts)
        image = self.captures / made.key.image
        image.parent.mkdir(parents=True, exist_ok=True)
        image.write_bytes(picture(number))
        image.with_suffix(".json").write_text(json.dumps(sidecar(made)))
        return made

    def fleet(self, nodes: int = 6, days: int = 3, a_day: int = 2) -> list[Capture]:
        """Sampled frames of some node-days."""
        return [
            self.capture(
                (node * days + day) * a_day + number,
                f"n{node}",
                NOW - timedelta(days=day, hours=1, minutes=number),
            )
            for node in range(nodes)
            for day in range(days)
            for number in range(a_day)
        ]

    def settings(self, **changes: Any) -> Run:
        made = Run(
            dataset="parts",
            namespace="default",
            model=NAME,
            captures=f"file://{self.captures}/",
            store=f"file://{self.store}/",
            classes=CLASSES,
            min_new_images=5,
            split=Split(Decimal("0.15"), Decimal("0.1")),
            labelling=LabelStudioSettings("http://127.0.0.1:9", "parts"),
            per_day=200,
            priority=(),
            blind=Decimal("0.1"),
            deployed=(Deployed("v2", MODEL),),
        )
        return replace(made, **changes)

    @property
    def files_settings(self) -> FilesSettings:
        return FilesSettings(f"file://{self.root}/reviewed/", "Auto")

    def stored(self) -> dict[str, bytes]:
        """All that the store holds."""
        return {
            path.relative_to(self.store).as_posix(): path.read_bytes()
            for path in sorted(self.store.rglob("*"))
            if path.is_file()
        }

    def version(self, number: int) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.stored()[f"versions/{number:05}/version.json"])
        return document

    def lines(self, number: int, piece: str = "manifest") -> list[dict[str, Any]]:
        version = self.version(number) if piece == "manifest" else self.version(number)["holdout"]
        content = self.stored()[f"versions/{number:05}/{version['manifest']['name']}"]
        return [json.loads(line) for line in content.splitlines()]


@dataclass
class TasksInMemory:
    """A stand-in for a label tool: tasks and reviews in memory. `wrote` is called after each task that is made."""

    now: datetime = NOW
    tasks: dict[str, Task] = field(default_factory=dict)
    made: dict[str, datetime] = field(default_factory=dict)
    said: dict[str, Review] = field(default_factory=dict)
    wrote: Callable[[], None] = lambda: None

    def ensure(self) -> None:
        pass

    def asked(self) -> Mapping[str, datetime]:
        return self.made

    def push(self, tasks: Sequence[Task]) -> int:
        new = [task for task in tasks if task.key not in self.tasks]
        for task in new:
            self.tasks[task.key] = task
            self.made[task.key] = self.now
            self.wrote()
        return len(new)

    def answered(self) -> Collection[str]:
        return self.said.keys()

    def reviews(self, since: datetime | None, also: Collection[str] = ()) -> Iterator[Review]:
        said = self.said.items()
        return iter([review for key, review in said if since is None or review.at >= since or key in also])

    def notes(self) -> list[str]:
        return []

    def answer(self, key: str, boxes: Sequence[Box] | None = None, at: datetime = NOW) -> None:
        """Somebody reviews it: accepts what was found, or says what is there."""
        task = self.tasks[key]
        accepted = tuple(prediction.box for prediction in task.predictions)
        found = accepted if boxes is None else tuple(boxes)
        edited = found != accepted and not task.blind
        self.said[key] = Review(key, found, "ann", at, "label-studio", task.blind, edited)

    def answer_all(self, at: datetime = NOW) -> None:
        for key in self.tasks:
            if key not in self.said:
                self.answer(key, at=at)
