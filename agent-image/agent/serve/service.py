"""`agent serve`: verify the model, try it, then run it on frames and count what it does.

The order at start-up is a promise: metrics and health answer first (not ready), then the file's digest is verified,
then exactly the bytes that were verified are loaded, then the model is tried on one frame, and only then is the agent
ready.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import logging
import math
import time
from collections.abc import Iterator
from typing import BinaryIO

import cv2
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, disable_created_metrics

from agent.config import ModelFile, ServeConfig
from agent.metrics import DetectionMetrics
from agent.serve import frames
from agent.serve.detector import Detections, Detector, InferenceFailed, ModelUnsupported
from agent.serve.feed import Feed
from agent.serve.health import Health
from agent.serve.server import Server
from agent.signals import Stop
from agent.termination import Refused

PART = "inference loop"

_log = logging.getLogger(__name__)


def run(config: ServeConfig, stop: Stop) -> None:
    """Serve until `stop.asked`.

    Raises ConfigError for a FRAMES that names no source, and Refused with reason ModelMissing, DigestMismatch,
    ModelUnsupported, SmokeInferenceFailed, PortInUse or FrameReaderFailed.
    """
    source = frames.source(config.frames, config.threads)
    registry = _registry()
    metrics = DetectionMetrics(config.identity, config.classes, config.model.sha256, registry=registry)
    health = Health(config.stuck_after.total_seconds())
    health.beat(PART)
    try:
        server = Server(config.port, registry, health)
    except OSError as error:
        raise Refused("PortInUse", f"port {config.port} can't be opened: {error.strerror}") from error
    with contextlib.closing(server), _held(config.model) as file:
        detector = _load(config, _verified(config.model, file, health), health)
        metrics.loaded(time.time())
        feed = Feed(
            source,
            config.frame_rate,
            config.backlog,
            health,
            on_dropped=metrics.dropped,
            on_broken=metrics.failed,
        )
        feed.start()
        health.ready()
        try:
            _loop(stop, feed, detector, config.classes, metrics, health)
        finally:
            health.waiting("the agent is stopping")
            feed.stop(timeout=2)
    _log.info("stopped")


def _loop(
    stop: Stop, feed: Feed, detector: Detector, classes: tuple[str, ...], metrics: DetectionMetrics, health: Health
) -> None:
    last_failure_log = -math.inf
    while not stop.asked:
        health.beat(PART)
        frame = feed.take(timeout=0.5)
        if frame is None:
            if not feed.alive:
                raise Refused("FrameReaderFailed", "the thread that reads frames ended by an error; see the log")
            continue
        started = time.perf_counter()
        try:
            found = detector.detect(frame.image)
        except InferenceFailed as error:
            metrics.failed()
            if started - last_failure_log >= 60:  # the counter has them all
                last_failure_log = started
                _log.warning("inference failed on %s: %s", frame.origin, error)
        else:
            metrics.frame(_named(found, classes), time.perf_counter() - started)


def _named(found: Detections, classes: tuple[str, ...]) -> list[tuple[str, float]]:
    return [
        (classes[index], float(confidence)) for index, confidence in zip(found.classes, found.confidences, strict=True)
    ]


@contextlib.contextmanager
def _held(model: ModelFile) -> Iterator[BinaryIO]:
    """The model file, open, with a shared lock that keeps it in the node's cache. Raises Refused."""
    try:
        file = model.path.open("rb")
    except OSError as error:
        raise Refused(
            "ModelMissing",
            f"{model.path} can't be read: {error.strerror}; the init container `agent fetch` puts it there: "
            "are both containers given the same volume?",
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            # EWOULDBLOCK: being removed right now, which ends in a missing file; others: a file system without locks
            if error.errno == errno.EWOULDBLOCK:
                raise Refused("ModelMissing", f"{model.path} is being removed from the cache") from error
            _log.warning("%s can't be locked (%s): a later fetch may remove it from the cache", model.path, error)
        yield file


def _verified(model: ModelFile, file: BinaryIO, health: Health) -> bytes:
    """The file's content, with the right digest. Raises Refused."""
    health.waiting("verifying the model file")
    content = file.read()
    digest = hashlib.sha256(content).hexdigest()
    if digest != model.sha256:
        raise Refused(
            "DigestMismatch",
            f"{model.path} is not the file that was released and was not loaded: expected sha256 {model.sha256}, "
            f"found {digest} ({len(content)} bytes, expected {model.size}); delete the pod to have it fetched again",
        )
    return content


def _load(config: ServeConfig, content: bytes, health: Health) -> Detector:
    """The model, loaded and tried once. Raises Refused."""
    health.beat(PART)
    health.waiting("loading the model")
    cv2.setNumThreads(config.threads)
    try:
        detector = Detector(
            content,
            config.classes,
            config.image_size,
            confidence=config.confidence,
            iou=config.iou,
            threads=config.threads,
        )
    except ModelUnsupported as error:
        raise Refused("ModelUnsupported", f"{config.model.path}: {error}") from error
    health.beat(PART)
    health.waiting("trying the model")
    started = time.perf_counter()
    try:
        detector.smoke()
    except InferenceFailed as error:
        raise Refused("SmokeInferenceFailed", f"{config.model.path} failed on its first frame: {error}") from error
    identity = config.identity
    _log.info(
        "loaded %s %s (sha256 %s): first inference took %.3f s",
        identity.model,
        identity.version,
        config.model.sha256,
        time.perf_counter() - started,
    )
    return detector


def _registry() -> CollectorRegistry:
    disable_created_metrics()  # type: ignore[no-untyped-call]  # their `_created` series would double what each node sends, and nothing reads them
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return registry
