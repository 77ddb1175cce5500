"""REPLAY_RUN, the one JSON document that says what is compared. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from agent.config import ConfigError, Demanded
from detectiondata.fields import Fields, Wrong

VARIABLE = "REPLAY_RUN"
MOST_FRAMES = 10_000

_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_MOST_CLASSES = 1000
_MOST_OF_KEYS = 65536  # characters


@dataclass(frozen=True)
class Model:
    """A version and its one file. `size` is in bytes, `image_size` the side of the square that the model takes.
    `signature` is the one that the file must have, where one is demanded."""

    version: str
    uri: str
    sha256: str
    size: int
    classes: tuple[str, ...]
    image_size: int
    signature: Demanded | None = None

    @property
    def file_name(self) -> str:
        return PurePosixPath(self.uri).name


@dataclass(frozen=True)
class Pinned:
    """A dataset version: the address of its version.json, and that file's SHA-256."""

    uri: str
    sha256: str


@dataclass(frozen=True)
class Replay:
    """
    captures           where the captured frames are, and where the list of disagreements is written
    frames             at most so many are compared
    confidence, iou    thresholds of both versions, as `agent serve` has them
    reviewed           where people's labels of the frames are
    """

    rollout: str
    namespace: str
    captures: str
    frames: int
    stable: Model
    candidate: Model
    confidence: float
    iou: float
    reviewed: Pinned | None

    @property
    def classes(self) -> frozenset[str]:
        """Those that both versions know. Of others the two can't be compared."""
        return frozenset(self.stable.classes) & frozenset(self.candidate.classes)


def parse(env: Mapping[str, str]) -> Replay:
    """Raises ConfigError, which names the member."""
    text = env.get(VARIABLE, "")
    if not text:
        raise ConfigError(VARIABLE, "is not set")
    try:
        found = _replay(Fields(json.loads(text)))
    except Wrong as error:
        raise ConfigError(VARIABLE, f"is wrong: {error}") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(VARIABLE, f"is not JSON ({error})") from None
    if not found.classes:
        raise ConfigError(VARIABLE, "is wrong: stable and candidate have no class in common, nothing can be compared")
    return found


def _replay(fields: Fields) -> Replay:
    reviewed = fields.inner("reviewed") if fields.has("reviewed") else None
    return Replay(
        rollout=_name(fields, "rollout"),
        namespace=_name(fields, "namespace"),
        captures=fields.text("captures").rstrip("/"),
        frames=fields.count("frames", 1, MOST_FRAMES) if fields.has("frames") else 200,
        stable=_model(fields.inner("stable")),
        candidate=_model(fields.inner("candidate")),
        confidence=fields.number("confidence", 0, 1) if fields.has("confidence") else 0.25,
        iou=fields.number("iou", 0, 1) if fields.has("iou") else 0.7,
        reviewed=None if reviewed is None else Pinned(reviewed.text("uri"), reviewed.sha256("sha256")),
    )


def _model(fields: Fields) -> Model:
    classes = fields.texts("classes", _MOST_CLASSES)
    if not classes or len(set(classes)) < len(classes):
        raise Wrong("classes must be different names, at least one")
    model = Model(
        version=_name(fields, "version"),
        uri=fields.text("uri"),
        sha256=fields.sha256("sha256"),
        size=fields.count("size", 1, 1 << 50),
        classes=classes,
        image_size=fields.count("imageSize", 32, 8192),
        signature=_signature(fields.inner("signature")) if fields.has("signature") else None,
    )
    if not model.file_name or model.uri.endswith("/"):
        raise Wrong(f"uri {model.uri!r:.200} must be the address of a file")
    return model


def _signature(fields: Fields) -> Demanded:
    return Demanded(fields.text("uri"), fields.lines("keys", _MOST_OF_KEYS), VARIABLE)


def _name(fields: Fields, member: str) -> str:
    """It becomes part of a key."""
    name = fields.text(member)
    if not _NAME.fullmatch(name) or ".." in name:
        raise Wrong(f"{member} is {name!r:.100}; it must be the name of a Kubernetes object")
    return name
