"""`agent serve`: verify the model, try it, then run it on frames and count what it does.

The order at start-up is a promise: metrics and health answer first (not ready), then the file's digest is verified,
then exactly the bytes that were verified are loaded, then the model is tried (backends/choice.py), then the source of
frames is opened (opening.py), and only then is the agent ready.
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

from agent import limits
from agent.capture.recorder import Recorder, recording
from agent.config import ModelFile, ServeConfig
from agent.live.latest import Latest
from agent.live.start import live_page
from agent.metrics import DetectionMetrics
from agent.serve import frames
from agent.serve.backends import choice
from agent.serve.backends.network import BackendUnavailable, InferenceFailed, Loader, ModelUnsupported
from agent.serve.detector import Detections, Detector
from agent.serve.feed import Feed
from agent.serve.health import Health
from agent.serve.opening import Opening
from agent.serve.server import Server, process_registry
from agent.signals import Stop
from agent.termination import Refused

PART = "inference loop"

_log = logging.getLogger(__name__)


def run(config: ServeConfig, stop: Stop) -> None:
    """Serve until `stop.asked`.

    Raises ConfigError for a FRAMES that names no source, and Refused with reason ModelMissing, DiskError,
    ModelUnsupported, BackendUnavailable, SmokeInferenceFailed, PortInUse or FrameReaderFailed.
    """
    source = frames.source(config.frames, config.threads, use_damaged=config.use_damaged)
    registry = process_registry()
    metrics = DetectionMetrics(config.identity, config.classes, config.model.sha256, registry=registry)
    health = Health(config.stuck_after.total_seconds())
    health.beat(PART)
    try:
        server = Server(config.port, registry, health)
    except OSError as error:
        raise Refused("PortInUse", f"port {config.port} can't be opened: {error.strerror}") from error
    with (
        contextlib.closing(server),
        live_page(config, health.unready) as latest,
        _held(config.model) as file,
        recording(config, metrics, registry) as recorder,
    ):
        chosen = _load(config, _verified(config.model, file, health), health)
        metrics.loaded(time.time(), chosen.backend)
        told = latest.problem if latest else lambda _: None

        opening = Opening(health)

        def lost(what: str) -> None:
            opening.lost()
            metrics.lost()
            told(what)

        def damaged(what: str) -> None:
            metrics.damaged()
            told(what)

        def frozen(what: str) -> None:
            metrics.frozen()
            told(what)

        feed = Feed(
            source,
            config.frame_rate,
            config.backlog,
            health,
            on_dropped=metrics.dropped,
            on_broken=metrics.failed,
            on_lost=lost,
            on_damaged=damaged,
            on_frozen=frozen,
            frozen_after=config.frozen_after.total_seconds(),
        )
        opening.begin()
        feed.start()
        try:
            _loop(stop, feed, chosen.detector, config.classes, metrics, health, opening, latest, recorder)
        finally:
            health.waiting("the agent is stopping")
            feed.stop(timeout=2)
    _log.info("stopped")


def _loop(
    stop: Stop,
    feed: Feed,
    detector: Detector,
    classes: tuple[str, ...],
    metrics: DetectionMetrics,
    health: Health,
    opening: Opening,
    latest: Latest | None,
    recorder: Recorder | None,
) -> None:
    last_failure_log = -math.inf
    while not stop.asked:
        health.beat(PART)
        frame = feed.take(timeout=0.5)
        if frame is None:
            opening.nothing()
            if not feed.alive:
                raise Refused("FrameReaderFailed", "the thread that reads frames ended by an error; see the log")
            continue
        started = time.perf_counter()
        try:
            found = detector.detect(frame.image)
        except InferenceFailed as error:
            metrics.failed()
            if latest:
                latest.problem(f"inference failed on {frame.origin}: {error}")
            if started - last_failure_log >= 60:  # the counter has them all
                last_failure_log = started
                _log.warning("inference failed on %s: %s", frame.origin, error)
        else:
            metrics.frame(_named(found, classes), time.perf_counter() - started)
            if latest:
                latest.show(frame, found)
            if recorder:
                recorder.frame(frame.image, found.named(classes))
        opening.frame()


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
        if not isinstance(error, (FileNotFoundError, NotADirectoryError, PermissionError)):
            raise _broken_disk(model, error) from error
        raise Refused(
            "ModelMissing",
            f"{model.path} can't be read: {error.strerror}; the init container `agent fetch` puts it there before this "
            "one starts. Something has removed it since (see what cleans the node's disk): delete the pod to have it "
            "fetched again. Or the two containers are not given the same volume",
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


def _broken_disk(model: ModelFile, error: OSError) -> Refused:
    return Refused("DiskError", f"{model.path} can't be read: {error.strerror}; check the node's disk")


def _verified(model: ModelFile, file: BinaryIO, health: Health) -> bytes:
    """The file's content, with the right digest. Raises Refused."""
    health.waiting("verifying the model file")
    try:
        content = file.read()
    except OSError as error:
        raise _broken_disk(model, error) from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != model.sha256:  # it was verified when it was fetched: this is the node's doing and not the version's
        raise Refused(
            "DiskError",
            f"{model.path} is not the file that was fetched and was not loaded: expected sha256 {model.sha256}, "
            f"found {digest} ({len(content)} bytes, expected {model.size}); check the node's disk, and delete the pod "
            "to have it fetched again",
        )
    return content


def _load(config: ServeConfig, content: bytes, health: Health) -> choice.Choice:
    """The model, loaded and tried by the backend that is to run it. Raises Refused."""
    health.beat(PART)
    health.waiting("loading and trying the model")
    cv2.setNumThreads(config.threads)

    def make(load: Loader) -> Detector:
        return Detector(
            content,
            config.classes,
            config.image_size,
            confidence=config.confidence,
            iou=config.iou,
            threads=config.threads,
            load=load,
        )

    started = time.perf_counter()
    try:
        chosen = choice.choose(
            config.backend,
            make,
            cramped=choice.cramped(limits.memory(), limits.resident(), len(content)),
            alive=lambda: health.beat(PART),
        )
    except BackendUnavailable as error:
        raise Refused("BackendUnavailable", f"BACKEND is {config.backend}: {error}") from error
    except ModelUnsupported as error:
        raise Refused("ModelUnsupported", f"{config.model.path}: {error}") from error
    except InferenceFailed as error:
        raise Refused("SmokeInferenceFailed", f"{config.model.path} failed on its first frame: {error}") from error
    identity = config.identity
    _log.info(
        "loaded %s %s (sha256 %s) in %.1f s, run by %s (threads: %d), %s",
        identity.model,
        identity.version,
        config.model.sha256,
        time.perf_counter() - started,
        chosen.backend,
        config.threads,
        chosen.why,
    )
    return chosen
