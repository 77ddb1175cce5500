"""Capturing beside the inference loop: the loop hands over frames, a thread encodes them and writes them to the spool.

In the loop's thread: a look at the settings in force, the policy's decision, and a place in a queue. All else (reading
the settings, masks, JPEG, digests, the disk) happens in the writer's thread; OpenCV, hashlib and the kernel work there
without Python's lock. Whatever goes wrong there is counted and logged, and inference goes on.
"""

from __future__ import annotations

import contextlib
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
from prometheus_client import CollectorRegistry

import agent
from agent.capture import images, sidecar
from agent.capture.handover import Handover, Job
from agent.capture.images import Encoded
from agent.capture.metrics import CaptureMetrics
from agent.capture.policy import Choice, Policy, Window
from agent.capture.settings import Settings
from agent.capture.settings_file import SettingsFile
from agent.capture.sidecar import Origin
from agent.capture.spool import NoRoom, Spool
from agent.config import ServeConfig
from agent.detection import Detection
from agent.masking import Image
from agent.metrics import DetectionMetrics

TICK = 1.0
"""Seconds between two looks at the settings file, the clock and the disk."""
_EARLIEST = datetime(2026, 11, 1, tzinfo=UTC)  # no image was built before this code was written
_LOG_EVERY = 60.0  # seconds between two warnings about the same trouble; the counters have it all

_log = logging.getLogger(__name__)


@dataclass
class _Held:
    """A frame that a later one may want, encoded, with all that its sidecar needs. Without its pixels: 30 seconds of
    1080p would be 370 MB."""

    encoded: Encoded
    detections: Sequence[Detection]
    now: float
    at: datetime
    stored: bool


class Recorder:
    """Captures from construction until `close`. `frame` is for one thread.

    `frame_rate` is what the node is asked to do, in frames a second; it sets the sample's chance in the first hour.
    """

    def __init__(
        self,
        origin: Origin,
        spool: Path,
        settings: Path,
        frame_rate: float,
        metrics: CaptureMetrics,
        *,
        draw: Callable[[], float] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._origin = origin
        self._metrics = metrics
        self._monotonic = monotonic
        self._wall = wall
        self._file = SettingsFile(settings, metrics.settings_invalid)
        self._spool = Spool(spool, metrics.evicted, wall)
        # Seeded from the operating system: nodes that start together must not draw together.
        self._policy = Policy(frame_rate, draw or random.SystemRandom().random)
        self._queue = Handover()
        self._settings: Settings | None = None  # in force; read by the loop, replaced by the writer
        self._open = False  # whether captures are taken now; written by the writer, and read by the loop
        self._spool_ready = False
        self._held: deque[_Held] = deque()
        self._logged: dict[str, float] = {}
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)
        self._thread.start()

    def frame(self, image: Image, detections: Sequence[Detection]) -> None:
        """One frame went through the model, with all that was found on it, most confident first.

        The image is kept by reference for a moment and must not be changed.
        """
        settings = self._settings
        if settings is None or not self._open:
            return
        now, at = self._monotonic(), self._wall()
        choice = self._policy.decide(settings, detections, now, lambda: images.looks(image), sidecar.compact(at))
        for rule in choice.duplicates:
            self._metrics.duplicate(rule)
        if choice.wanted and (gone := self._queue.put(Job(image, detections, choice, now, at))) and gone.choice.rules:
            self._metrics.dropped()

    def close(self, timeout: float) -> None:
        """Write what waits, and end; after `timeout` seconds the rest is left."""
        self._closing = True
        self._open = False
        self._queue.close()
        self._thread.join(timeout)

    def _run(self) -> None:
        try:
            next_look = 0.0
            while True:
                if (now := self._monotonic()) >= next_look:
                    next_look = now + TICK
                    self._look()
                job = self._queue.take(TICK)
                if job is not None:
                    self._work(job)
                elif self._closing:
                    return
        finally:
            self._open = False
            if not self._closing:  # an error that should not have been; Python logs it, and inference goes on
                self._metrics.paused("Failed")

    def _look(self) -> None:
        """Settings, clock and disk: may captures be taken?"""
        settings = self._file.read()
        if settings is not None and settings is not self._settings:
            self._held.clear()  # encoded under other settings: other masks
            self._metrics.reasons(settings.reasons)
            self._name_unknown_classes(settings)
        self._settings = settings
        cause = self._pause(settings) if settings else None
        self._open = settings is not None and cause is None and not self._closing
        self._metrics.paused(cause)
        if cause:
            self._held.clear()

    def _pause(self, settings: Settings) -> str | None:
        if settings.suspend:
            return "Suspended"
        if (now := self._wall()) < built():
            self._warn("ClockBeforeBuild", "nothing is captured: the clock says %s, before this agent was built", now)
            return "ClockBeforeBuild"
        try:
            if not self._spool_ready:
                self._spool.open()
                self._spool_ready = True
            free, total = self._spool.free()
        except OSError as error:
            self._spool_ready = False
            self._warn("DiskError", "nothing is captured: the spool %s can't be used: %s", self._spool.root, error)
            return "DiskError"
        if free < settings.keep_free(total):
            self._warn(
                "FreeSpace",
                "nothing is captured: %d bytes are free on the disk of %s, and keepFree wants %d; free some space",
                free,
                self._spool.root,
                settings.keep_free(total),
            )
            return "FreeSpace"
        return None

    def _work(self, job: Job) -> None:
        settings = self._settings
        if settings is None:  # withdrawn while the frame waited
            return
        try:
            encoded = images.encode(job.image, settings.image)
        except cv2.error as error:
            self._lost("a frame can't be encoded: %s", error)
            return
        window = job.choice.window
        if window and job.choice.before:
            for held in self._held:
                if not held.stored and held.now >= job.now - job.choice.before:
                    held.stored = True
                    choice = Choice((job.choice.before_of,), window=Window(window.id, "before"))
                    self._store(held.encoded, held.detections, held.at, choice, settings)
        if job.choice.rules:
            self._store(encoded, job.detections, job.at, job.choice, settings)
        longest = max((rule.before for rule in settings.rules), default=0.0)
        if job.choice.hold:
            self._held.append(_Held(encoded, job.detections, job.now, job.at, bool(job.choice.rules)))
        while self._held and self._held[0].now < job.now - longest:
            self._held.popleft()

    def _store(
        self,
        encoded: Encoded,
        detections: Sequence[Detection],
        at: datetime,
        choice: Choice,
        settings: Settings,
    ) -> None:
        capture = sidecar.build(self._origin, at, encoded, detections, choice)
        reason = choice.rules[0]
        try:
            self._spool.write(reason, capture, settings)
        except NoRoom as error:
            self._lost("not captured: %s", error)
        except OSError as error:
            self._spool_ready = False  # look at it again: a disk that was replaced has no folders
            self._lost("not captured: the spool can't be written: %s", error)
        else:
            self._metrics.captured(reason)

    def _lost(self, text: str, error: Exception) -> None:
        self._metrics.dropped()
        self._warn(type(error).__name__, text, error)

    def _warn(self, topic: str, text: str, *values: object) -> None:
        now = time.monotonic()
        if now - self._logged.get(topic, -_LOG_EVERY) >= _LOG_EVERY:
            self._logged[topic] = now
            _log.warning(text, *values)

    def _name_unknown_classes(self, settings: Settings) -> None:
        for rule in settings.rules:
            if unknown := sorted(rule.classes - set(self._origin.classes)):
                _log.warning(
                    "rule %s never fires for %s: this version's classes are %s",
                    rule.name,
                    ", ".join(unknown),
                    ", ".join(self._origin.classes),
                )


@contextlib.contextmanager
def recording(config: ServeConfig, metrics: DetectionMetrics, registry: CollectorRegistry) -> Iterator[Recorder | None]:
    """Frames are captured until the block ends; None where this node captures nothing."""
    if config.capture is None:
        yield None
        return
    identity = config.identity
    origin = Origin(
        node=identity.node,
        rollout=identity.rollout,
        namespace=config.namespace,
        group=identity.group,
        model=identity.model,
        version=identity.version,
        model_sha256=config.model.sha256,
        classes=config.classes,
        confidence=config.confidence,
        iou=config.iou,
    )
    recorder = Recorder(
        origin,
        config.capture.spool,
        config.capture.settings,
        config.frame_rate,
        CaptureMetrics(identity, metrics, registry),
    )
    try:
        yield recorder
    finally:
        recorder.close(timeout=2)


def built() -> datetime:
    """When this agent was built, or a little before: no clock is right that says an earlier time."""
    written = datetime.fromtimestamp(Path(agent.__file__).stat().st_mtime, UTC)
    return max(_EARLIEST, written - timedelta(days=1))  # the machine that built it may have been ahead
