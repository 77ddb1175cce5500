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

BACKENDS = ("auto", "onnxruntime", "openvino", "openvino-bf16", "openvino-f16", "cuda", "tensorrt")
"""What BACKEND may be; the first is the default."""


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
class Demanded:
    """The signature that the files must have: where it is, and the public keys (PEM) of which one must have made it.
    `variable` is the one that says so."""

    uri: str
    keys: str
    variable: str = "MODEL_SIGNATURE_KEYS"


@dataclass(frozen=True)
class FetchConfig:
    """What `agent fetch` needs.

    MODEL_URI         where the file comes from: s3:// gs:// az:// https:// file://
    ROLLOUT, ROLLOUT_NAMESPACE
                      who asks: the cache keeps the newest versions of each Rollout
    MODEL_CACHE_KEEP  how many versions of this Rollout stay in the cache, the newest included. Default 3: the one that
                      runs, the one before it (a rollback needs no download) and one more. 1 keeps the disk smallest
                      and makes every rollback a download
    MODEL_SIGNATURE_URI, MODEL_SIGNATURE_KEYS
                      where a signature must be had, both: see Demanded
    MODEL_FETCH_SPREAD
                      seconds over which the starts of downloads are spread, so that the nodes of a group don't ask the
                      store in the same moment. Default 5, and 60 for `agent prefetch`, which is in no hurry. To keep
                      downloads apart it must be longer than the store takes to send the file to all of them
                      (docs/models-on-nodes.md). 0: at once. A file that is in the cache, and a file://, never wait
    """

    model: ModelFile
    uri: str
    owner: str  # <namespace>.<name>: a namespace has no dot
    keep: int = 3
    signature: Demanded | None = None
    spread: float = 5.0  # seconds


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

    ARTIFACT  JSON, `spec.artifact` of the ModelVersion: {"uri": ..., "files": [{"name", "sha256", "sizeBytes"}, ...]};
              where all models must be signed, with {"signature": {"uri": ..., "keys": ...}}: see Demanded
    """

    files: tuple[PinnedFile, ...]
    signature: Demanded | None = None


@dataclass(frozen=True)
class LiveConfig:
    """The live page of `agent serve`: what the model sees, for whoever may forward a port to the pod.

    LIVE_PORT         of the page. Absent: there is none; 0 lets the system choose
    LIVE_RATE         pictures per second that are drawn at most, while somebody looks. Default 2
    LIVE_VIEWERS      how many may look at once. Default 2
    LIVE_MASK         true (default): the mask of the capture settings is drawn black, and there are no pictures while
                      it isn't known. false: pictures are shown as they are
    CAPTURE_SETTINGS  the file with the mask, in image.mask
    """

    port: int
    rate: float = 2.0
    viewers: int = 2
    mask: bool = True
    settings: Path | None = None


@dataclass(frozen=True)
class CaptureConfig:
    """Where captures wait on the node, and what is to be captured.

    CAPTURE_SPOOL     the folder in which captures wait to be sent. Without it nothing is captured
    CAPTURE_SETTINGS  the settings' file, which may come and go and change; default /etc/modelfleet/capture/capture.json
    """

    spool: Path
    settings: Path


@dataclass(frozen=True)
class UploadConfig:
    """What `agent upload` needs. CAPTURE_SPOOL must be there.

    UPLOAD_PORT  of /metrics and /healthz. Default 9091; 0 lets the system choose
    """

    identity: Identity
    capture: CaptureConfig
    port: int = 9091


@dataclass(frozen=True)
class ServeConfig:
    """What `agent serve` needs.

    MODEL_CLASSES     JSON list of the class names, in the model's order
    MODEL_IMAGE_SIZE  side of the square, in pixels, to which frames are letterboxed
    FRAMES            directory:///path | file:///x.mp4 | camera://0 | camera:///dev/v4l/by-id/x | rtsp://...
    FRAME_RATE        frames per second given to the model. Default 10. More than the node can do is not an error: the
                      frames that can't be taken are dropped, and counted; more than the camera gives isn't, either
    FRAME_BACKLOG     decoded frames that may wait for the model. Default 2, enough to bridge one slow inference. More
                      only adds delay and memory (a 1080p frame is 6 MB)
    CONFIDENCE        detections at or below it are discarded. Default 0.25, the lowest edge of the confidence histogram
    IOU               of two boxes of one class that overlap more, the less confident is discarded. Default 0.7
    PORT              of /metrics, /healthz and /readyz. Default 9090; 0 lets the system choose
    BACKEND           what runs the model: onnxruntime, openvino (float32), openvino-bf16, openvino-f16, cuda, tensorrt,
                      or auto (default): the fastest that is there and gives onnxruntime's answers. One that was named
                      and isn't there is an error
    INTRA_OP_THREADS  CPU threads of one inference and of decoding videos. Default: as many whole processors as the
                      container's limit allows; without a limit 1, which leaves an edge node's other cores to its
                      other work
    STUCK_AFTER       seconds without a sign of life of the frame loop until liveness fails. Default 60: above every
                      timeout of the sources (10 s), so that a camera that is away does not restart the pod
    DAMAGED_FRAMES    skip (default): frames of which parts were lost are counted as damaged, and not given to the
                      model. use: they are frames like any other; for a camera whose stream is never without an error
    FROZEN_AFTER      seconds without a new picture, to the last bit, after which the frames of a camera or stream are
                      counted as frozen and not given to the model. Default 2, which is more than between two key frames
                      of most cameras; a still scene of a camera with fewer may need more. 0: never, for a source that
                      is meant to stand still, such as a test pattern. Files and folders are never frozen
    LIVE_...          see LiveConfig
    CAPTURE_SPOOL, CAPTURE_SETTINGS
                      see CaptureConfig
    ROLLOUT_NAMESPACE needed where frames are captured: it is written down with them
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
    backend: str = BACKENDS[0]
    threads: int = 1
    stuck_after: timedelta = timedelta(seconds=60)
    use_damaged: bool = False
    frozen_after: timedelta = timedelta(seconds=2)
    live: LiveConfig | None = None
    capture: CaptureConfig | None = None
    namespace: str = ""


def fetch_config(env: Mapping[str, str], *, spread: float = 5.0) -> FetchConfig:
    """Read what `agent fetch` needs; `spread` is the default of MODEL_FETCH_SPREAD. Raises ConfigError."""
    return FetchConfig(
        model=_model_file(env),
        uri=_required(env, "MODEL_URI"),
        owner=f"{_name(env, 'ROLLOUT_NAMESPACE')}.{_name(env, 'ROLLOUT')}",
        keep=_integer(env, "MODEL_CACHE_KEEP", 3, low=1, high=1000),
        signature=_demanded(env),
        spread=_number(env, "MODEL_FETCH_SPREAD", spread, low=0, high=3600),
    )


def _demanded(env: Mapping[str, str]) -> Demanded | None:
    uri, keys = (env.get(name, "") for name in ("MODEL_SIGNATURE_URI", "MODEL_SIGNATURE_KEYS"))
    if not uri and not keys:
        return None
    return Demanded(_required(env, "MODEL_SIGNATURE_URI"), _required(env, "MODEL_SIGNATURE_KEYS"))


def verify_config(env: Mapping[str, str]) -> VerifyConfig:
    """Read what `agent verify` needs. Raises ConfigError."""
    try:
        artifact = json.loads(_required(env, "ARTIFACT"))
        folder = str(artifact["uri"]).rstrip("/")
        files = tuple(
            PinnedFile(str(each["name"]), f"{folder}/{each['name']}", str(each["sha256"]), int(each["sizeBytes"]))
            for each in artifact["files"]
        )
        given = artifact.get("signature")
        signature = None if given is None else Demanded(str(given["uri"]), str(given["keys"]), "ARTIFACT")
    except json.JSONDecodeError as error:
        raise ConfigError("ARTIFACT", f"is not JSON ({error})") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError("ARTIFACT", f"is not an artifact with uri and files ({error!r})") from None
    if not files:
        raise ConfigError("ARTIFACT", "lists no files")
    return VerifyConfig(files, signature)


def serve_config(env: Mapping[str, str], threads: int = 1) -> ServeConfig:
    """Read what `agent serve` needs; `threads` where INTRA_OP_THREADS is not set. Raises ConfigError."""
    capture = _capture(env) if env.get("CAPTURE_SPOOL") else None
    return ServeConfig(
        identity=_identity(env),
        model=_model_file(env),
        classes=_classes(env),
        image_size=_integer(env, "MODEL_IMAGE_SIZE", None, low=32, high=8192),
        frames=_required(env, "FRAMES"),
        frame_rate=_number(env, "FRAME_RATE", 10.0, low=0.001, high=1000),
        backlog=_integer(env, "FRAME_BACKLOG", 2, low=1, high=1000),
        confidence=_number(env, "CONFIDENCE", 0.25, low=0, high=1),
        iou=_number(env, "IOU", 0.7, low=0, high=1),
        port=_integer(env, "PORT", 9090, low=0, high=65535),
        backend=_choice(env, "BACKEND", BACKENDS),
        threads=_integer(env, "INTRA_OP_THREADS", threads, low=1, high=1024),
        stuck_after=timedelta(seconds=_number(env, "STUCK_AFTER", 60.0, low=1, high=86400)),
        use_damaged=_choice(env, "DAMAGED_FRAMES", ("skip", "use")) == "use",
        frozen_after=timedelta(seconds=_number(env, "FROZEN_AFTER", 2.0, low=0, high=86400)),
        live=_live(env),
        capture=capture,
        namespace=_name(env, "ROLLOUT_NAMESPACE") if capture else "",
    )


def _live(env: Mapping[str, str]) -> LiveConfig | None:
    if not env.get("LIVE_PORT"):
        return None
    port = _integer(env, "LIVE_PORT", None, low=0, high=65535)
    if port and port == _integer(env, "PORT", 9090, low=0, high=65535):
        raise ConfigError("LIVE_PORT", f"is {port}, which is the port of the metrics (PORT); it must be another")
    settings = env.get("CAPTURE_SETTINGS")
    return LiveConfig(
        port=port,
        rate=_number(env, "LIVE_RATE", 2.0, low=0.5, high=30),
        viewers=_integer(env, "LIVE_VIEWERS", 2, low=1, high=100),
        mask=_boolean(env, "LIVE_MASK", True),
        settings=Path(settings) if settings else None,
    )


def upload_config(env: Mapping[str, str]) -> UploadConfig:
    """Read what `agent upload` needs. Raises ConfigError."""
    return UploadConfig(
        identity=_identity(env),
        capture=_capture(env),
        port=_integer(env, "UPLOAD_PORT", 9091, low=0, high=65535),
    )


def log_level(env: Mapping[str, str]) -> str:
    """LOG_LEVEL: DEBUG, INFO (default), WARNING or ERROR. Raises ConfigError."""
    level = env.get("LOG_LEVEL", "").upper() or "INFO"
    if level not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise ConfigError("LOG_LEVEL", f"is {level!r}; it must be DEBUG, INFO, WARNING or ERROR")
    return level


def _identity(env: Mapping[str, str]) -> Identity:
    try:
        return Identity.from_environment(env)
    except MissingVariable as error:
        raise ConfigError(error.variable, "is not set") from None


def _capture(env: Mapping[str, str]) -> CaptureConfig:
    paths = {
        "CAPTURE_SPOOL": _required(env, "CAPTURE_SPOOL"),
        "CAPTURE_SETTINGS": env.get("CAPTURE_SETTINGS") or "/etc/modelfleet/capture/capture.json",
    }
    for variable, path in paths.items():
        if not Path(path).is_absolute():
            raise ConfigError(variable, f"is {path!r}; it must be an absolute path")
    return CaptureConfig(Path(paths["CAPTURE_SPOOL"]), Path(paths["CAPTURE_SETTINGS"]))


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


def _choice(env: Mapping[str, str], variable: str, known: tuple[str, ...]) -> str:
    """One of the known values; the first is the default."""
    text = env.get(variable, "") or known[0]
    if text not in known:
        raise ConfigError(variable, f"is {text!r}; it must be {' or '.join(known)}")
    return text


def _boolean(env: Mapping[str, str], variable: str, default: bool) -> bool:
    text = env.get(variable, "")
    if text not in ("", "true", "false"):
        raise ConfigError(variable, f"is {text!r}; it must be true or false")
    return text == "true" if text else default
