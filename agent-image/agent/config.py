"""Configuration: the environment, read once at start-up into frozen dataclasses.

The operator sets the variables that say which model runs where; the Rollout's pod template sets the others.
Every error names the variable, what was found in it and what belongs there.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from agent.metrics import Identity, MissingVariable

_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class ConfigError(ValueError):
    """A variable of the environment is missing or has a value that can't be used."""

    def __init__(self, variable: str, problem: str) -> None:
        super().__init__(f"environment variable {variable} {problem}")
        self.variable = variable


@dataclass(frozen=True)
class ModelFile:
    """The one file of a model version that this node runs.

    MODEL_PATH (`path`) is absolute and ends with `<MODEL_SHA256>/<file name>`, so that the folder above that is the
    cache. MODEL_SHA256 is 64 lower-case hex digits, MODEL_SIZE is in bytes.
    """

    path: Path
    sha256: str
    size: int

    @property
    def cache(self) -> Path:
        """The root of the node's model cache, which may be shared with other pods of the node."""
        return self.path.parent.parent


@dataclass(frozen=True)
class FetchConfig:
    """What `agent fetch` needs.

    MODEL_URI         where the file comes from: s3:// gs:// az:// https:// file://
    ROLLOUT, ROLLOUT_NAMESPACE
                      who asks: the cache keeps the newest versions of each Rollout
    MODEL_CACHE_KEEP  how many versions of this Rollout stay in the cache, the newest included. Default 3: the one that
                      runs, the one before it (a rollback needs no download) and one more. 1 keeps the disk smallest
                      and makes every rollback a download
    """

    model: ModelFile
    uri: str
    owner: str  # <namespace>.<name>: a namespace has no dot
    keep: int = 3


@dataclass(frozen=True)
class PinnedFile:
    """One file of a model version at its source. `sha256` is 64 lower-case hex digits, `size` is in bytes."""

    name: str
    uri: str
    sha256: str
    size: int


@dataclass(frozen=True)
class VerifyConfig:
    """What `agent verify` needs.

    ARTIFACT  JSON, `spec.artifact` of the ModelVersion: {"uri": ..., "files": [{"name", "sha256", "sizeBytes"}, ...]}
    """

    files: tuple[PinnedFile, ...]


@dataclass(frozen=True)
class ServeConfig:
    """What `agent serve` needs.

    MODEL_CLASSES     JSON list of the class names, in the model's order
    MODEL_IMAGE_SIZE  side of the square, in pixels, to which frames are letterboxed
    FRAMES            directory:///path | file:///x.mp4 | camera://0 | rtsp://...
    FRAME_RATE        frames per second given to the model. Default 10. More than the node can do is not an error: the
                      frames that can't be taken are dropped, and counted
    FRAME_BACKLOG     decoded frames that may wait for the model. Default 2, enough to bridge one slow inference. More
                      only adds delay and memory (a 1080p frame is 6 MB)
    CONFIDENCE        detections at or below it are discarded. Default 0.25, the lowest edge of the confidence histogram
    IOU               of two boxes of one class that overlap more, the less confident is discarded. Default 0.7
    PORT              of /metrics, /healthz and /readyz. Default 9090; 0 lets the system choose
    INTRA_OP_THREADS  CPU threads of one inference and of decoding videos. Default 1, which leaves an edge node's other
                      cores to its other work
    STUCK_AFTER       seconds without a sign of life of the frame loop until liveness fails. Default 60: above every
                      timeout of the sources (10 s), so that a camera that is away does not restart the pod
    """

    identity: Identity
    model: ModelFile
    classes: tuple[str, ...]
    image_size: int
    frames: str
    frame_rate: float = 10.0
    backlog: int = 2
    confidence: float = 0.25
    iou: float = 0.7
    port: int = 9090
    threads: int = 1
    stuck_after: timedelta = timedelta(seconds=60)


def fetch_config(env: Mapping[str, str]) -> FetchConfig:
    """Read what `agent fetch` needs. Raises ConfigError."""
    return FetchConfig(
        model=_model_file(env),
        uri=_required(env, "MODEL_URI"),
        owner=f"{_name(env, 'ROLLOUT_NAMESPACE')}.{_name(env, 'ROLLOUT')}",
        keep=_integer(env, "MODEL_CACHE_KEEP", 3, low=1, high=1000),
    )


def verify_config(env: Mapping[str, str]) -> VerifyConfig:
    """Read what `agent verify` needs. Raises ConfigError."""
    try:
        artifact = json.loads(_required(env, "ARTIFACT"))
        folder = str(artifact["uri"]).rstrip("/")
        files = tuple(
            PinnedFile(str(each["name"]), f"{folder}/{each['name']}", str(each["sha256"]), int(each["sizeBytes"]))
            for each in artifact["files"]
        )
    except json.JSONDecodeError as error:
        raise ConfigError("ARTIFACT", f"is not JSON ({error})") from None
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError("ARTIFACT", f"is not an artifact with uri and files ({error!r})") from None
    if not files:
        raise ConfigError("ARTIFACT", "lists no files")
    return VerifyConfig(files)


def serve_config(env: Mapping[str, str]) -> ServeConfig:
    """Read what `agent serve` needs. Raises ConfigError."""
    try:
        identity = Identity.from_environment(env)
    except MissingVariable as error:
        raise ConfigError(error.variable, "is not set") from None
    return ServeConfig(
        identity=identity,
        model=_model_file(env),
        classes=_classes(env),
        image_size=_integer(env, "MODEL_IMAGE_SIZE", None, low=32, high=8192),
        frames=_required(env, "FRAMES"),
        frame_rate=_number(env, "FRAME_RATE", 10.0, low=0.001, high=1000),
        backlog=_integer(env, "FRAME_BACKLOG", 2, low=1, high=1000),
        confidence=_number(env, "CONFIDENCE", 0.25, low=0, high=1),
        iou=_number(env, "IOU", 0.7, low=0, high=1),
        port=_integer(env, "PORT", 9090, low=0, high=65535),
        threads=_integer(env, "INTRA_OP_THREADS", 1, low=1, high=1024),
        stuck_after=timedelta(seconds=_number(env, "STUCK_AFTER", 60.0, low=1, high=86400)),
    )


def log_level(env: Mapping[str, str]) -> str:
    """LOG_LEVEL: DEBUG, INFO (default), WARNING or ERROR. Raises ConfigError."""
    level = env.get("LOG_LEVEL", "").upper() or "INFO"
    if level not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise ConfigError("LOG_LEVEL", f"is {level!r}; it must be DEBUG, INFO, WARNING or ERROR")
    return level


def _model_file(env: Mapping[str, str]) -> ModelFile:
    sha256 = _required(env, "MODEL_SHA256")
    if not _SHA256.fullmatch(sha256):
        raise ConfigError("MODEL_SHA256", f"is {sha256!r}; it must be 64 lower-case hexadecimal digits")
    path = Path(_required(env, "MODEL_PATH"))
    if not path.is_absolute() or ".." in path.parts:
        raise ConfigError("MODEL_PATH", f"is {str(path)!r}; it must be an absolute path without '..'")
    if path.parent.name != sha256:
        raise ConfigError("MODEL_PATH", f"is {str(path)!r}; it must end with <MODEL_SHA256>/<file name>")
    return ModelFile(path=path, sha256=sha256, size=_integer(env, "MODEL_SIZE", None, low=1, high=1 << 50))


def _name(env: Mapping[str, str], variable: str) -> str:
    name = _required(env, variable)
    if not _NAME.fullmatch(name):  # it becomes part of a file's name
        raise ConfigError(variable, f"is {name!r}; it must be the name of a Kubernetes object")
    return name


def _classes(env: Mapping[str, str]) -> tuple[str, ...]:
    text = _required(env, "MODEL_CLASSES")
    example = 'it must be a JSON list of names, for example ["bolt", "nut"]'
    try:
        names = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError("MODEL_CLASSES", f"is not JSON ({error}); {example}") from None
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
        raise ConfigError("MODEL_CLASSES", f"is {text[:200]!r}; {example}")
    if len(set(names)) != len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ConfigError("MODEL_CLASSES", f"has names more than once: {', '.join(twice)}")
    return tuple(names)


def _required(env: Mapping[str, str], variable: str) -> str:
    value = env.get(variable, "")
    if not value:
        raise ConfigError(variable, "is not set")
    return value


def _number(env: Mapping[str, str], variable: str, default: float, *, low: float, high: float) -> float:
    text = env.get(variable, "")
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise ConfigError(variable, f"is {text!r}; it must be a number from {low:g} to {high:g}")
    return value


def _integer(env: Mapping[str, str], variable: str, default: int | None, *, low: int, high: int) -> int:
    text = env.get(variable, "")
    if not text:
        if default is None:
            raise ConfigError(variable, "is not set")
        return default
    try:
        value = int(text)
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise ConfigError(variable, f"is {text!r}; it must be a whole number from {low} to {high}")
    return value
