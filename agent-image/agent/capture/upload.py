"""`agent upload`: sends captures from the spool to the store, with credentials that nothing else on the node has.

A capture goes image first, then sidecar, under a key that depends on its content and time only, and is removed from the
spool after both were taken. A run that ends anywhere repeats at most one capture, over itself. There is no state but
the spool. The worker may be cut off at any time: while the store does not answer it hangs in native code, and SIGTERM
does not wait for it.
"""

from __future__ import annotations

import hashlib
import logging
import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

from agent.capture import sidecar, spool
from agent.capture.delivery import Delivery, Name, is_refusal
from agent.capture.refused import set_aside
from agent.capture.settings import Settings
from agent.capture.settings_file import SettingsFile
from agent.capture.sidecar import SidecarInvalid
from agent.capture.upload_metrics import UploadMetrics
from agent.config import UploadConfig
from agent.serve.health import Health
from agent.serve.server import Server, process_registry
from agent.signals import Stop
from agent.termination import Refused
from artifactstore import ArtifactError, Folder

PART = "upload"
LOOK = 10.0
"""Seconds for which a look at the spool is good: then what came meanwhile is put in order, and the metrics are set."""
IDLE = 1.0
"""Seconds between two looks at a spool that was empty."""
IMAGE_LIMIT = 64 << 20
"""Bytes. An image is sent from memory, in one request; this many fit into the 128 MiB that the operator gives the
container, and what reads captures takes no larger ones."""

_log = logging.getLogger(__name__)


def run(config: UploadConfig, stop: Stop) -> None:
    """Send until `stop.asked`. Raises Refused PortInUse."""
    registry = process_registry()
    metrics = UploadMetrics(config.identity, registry)
    health = Health(stuck_after=900)  # above the longest wait and a whole upload
    health.ready()
    try:
        server = Server(config.port, registry, health)
    except OSError as error:
        raise Refused("PortInUse", f"port {config.port} can't be opened: {error.strerror}") from error
    settings = SettingsFile(config.capture.settings, metrics.settings_invalid)
    uploader = Uploader(config.capture.spool, settings.read, metrics, beat=lambda: health.beat(PART))
    worker = threading.Thread(target=uploader.run, name=PART, daemon=True)
    worker.start()
    while not stop.asked and worker.is_alive():
        time.sleep(0.1)
    uploader.stop.set()
    worker.join(timeout=1)
    server.close()
    if worker.is_alive():
        _log.info("stopped in the middle of a capture; it stays in the spool and is sent again")
        logging.shutdown()
        os._exit(0)  # native code that waits for the network would keep the interpreter from ending
    if not stop.asked:
        raise Refused("UploadFailed", "the thread that sends captures ended by an error; see the log")
    _log.info("stopped")


class Uploader:
    """One worker. `open_folder`, `clock` and `draw` are the outside, for tests; `stop` ends `run` soon."""

    def __init__(
        self,
        root: Path,
        settings: Callable[[], Settings | None],
        metrics: UploadMetrics,
        *,
        beat: Callable[[], None] = lambda: None,
        open_folder: Callable[[str], Folder] = Folder,
        wait: Callable[[float], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] | None = None,
    ) -> None:
        self.stop = threading.Event()
        self._root = root
        self._read_settings = settings
        self._metrics = metrics
        self._beat = beat
        self._open_folder = open_folder
        self._wait = wait or self.stop.wait
        self._clock = clock
        self._delivery = Delivery(draw or random.SystemRandom().random)
        self._folder: Folder | None = None

    def run(self) -> None:
        """Look, send what is there, wait; until `stop`."""
        while not self.stop.is_set():
            self._beat()
            if pause := self.round():
                self._wait(pause)

    def round(self) -> float:
        """One look at the spool, and sending for at most LOOK seconds. Returns the seconds to wait then."""
        settings = self._read_settings()
        try:
            waiting = list(spool.committed(self._root))
            self._metrics.waiting(spool.sizes(self._root), [stem for _, stem in waiting])
        except FileNotFoundError:
            return IDLE  # nothing was ever captured
        except OSError as error:
            self._metrics.failed("SpoolUnreadable")
            pause = self._delivery.failed()
            _log.warning("the spool %s can't be read: %s; trying again in %.0f s", self._root, error, pause)
            return pause
        if settings is None:
            return IDLE
        began = self._clock()
        for name in self._delivery.order(waiting):
            if self.stop.is_set() or self._clock() - began >= LOOK:
                return 0.0
            if pause := self._send(name, settings):
                return pause
        return self._delivery.exhausted(waiting) or IDLE

    def _send(self, name: Name, settings: Settings) -> float:
        """One capture. Returns the seconds to wait before the next; 0 for none."""
        try:
            capture = self._read(name)
        except OSError as error:
            self._metrics.failed("SpoolUnreadable")
            _log.warning("capture %s/%s can't be read: %s", *name, error)
            return self._refused(name, "SpoolUnreadable", str(error), settings)
        except SidecarInvalid as invalid:
            self._set_aside(name, "Invalid", str(invalid), settings)
            return 0.0
        if capture is None:
            return 0.0
        key, image, document = capture
        started = self._clock()
        try:
            folder = self._destination(settings.destination)
            folder.put(f"{key}.jpg", image)
            folder.put(f"{key}.json", document)
        except ArtifactError as error:
            return self._not_taken(name, error, settings)
        self._metrics.uploaded(name[0])
        try:
            spool.remove(self._root / name[0], name[1])
        except OSError as error:  # a disk that became read-only: sent again and again, over itself, but slowly
            self._metrics.failed("SpoolUnwritable")
            _log.warning("capture %s/%s was sent and can't be removed: %s", *name, error)
            return self._delivery.failed()
        self._delivery.taken(name)
        if settings.rate is None:
            return 0.0
        self._wait(max(0.0, (len(image) + len(document)) / settings.rate - (self._clock() - started)))
        return 0.0

    def _read(self, name: Name) -> tuple[str, bytes, bytes] | None:
        """(key, image, sidecar); None where it was removed meanwhile. Raises SidecarInvalid, OSError."""
        reason, stem = name
        document, image = self._root / reason / f"{stem}.json", self._root / reason / f"{stem}.jpg"
        try:
            text = _read_bounded(document, sidecar.LIMIT)
        except FileNotFoundError:
            return None
        address = sidecar.address(text)
        try:
            content = _read_bounded(image, IMAGE_LIMIT)
        except FileNotFoundError:
            if not document.exists():
                return None  # the agent made room, sidecar first
            raise SidecarInvalid("there is a sidecar and no image") from None
        if len(content) != address.size or hashlib.sha256(content).hexdigest() != address.sha256:
            raise SidecarInvalid(f"the image ({len(content)} bytes) is not the one that its sidecar describes")
        return address.key, content, text

    def _destination(self, uri: str) -> Folder:
        if self._folder is None or self._folder.uri != uri:
            self._folder = self._open_folder(uri)
        return self._folder

    def _not_taken(self, name: Name, error: ArtifactError, settings: Settings) -> float:
        refusal = is_refusal(error.status)
        if refusal or not error.retryable:
            # A status that artifactstore has no reason for, such as 413: it would call the store unreachable.
            cause = "Refused" if error.retryable else error.reason
            self._metrics.failed(cause)
            return self._refused(name, cause, error.message, settings)
        self._metrics.failed(error.reason)
        pause = self._delivery.failed()
        _log.warning("capture %s/%s was not taken: %s; trying again in %.0f s", *name, error, pause)
        return pause

    def _refused(self, name: Name, cause: str, why: str, settings: Settings) -> float:
        """Returns the seconds to wait before the next; 0 for none."""
        if self._delivery.refused(name):
            self._set_aside(name, cause, why, settings)
            return 0.0
        pause = self._delivery.pause()
        again = f"; trying again in {pause:.0f} s" if pause else ""
        _log.warning("capture %s/%s was not taken: %s: %s%s", *name, cause, why, again)
        return pause

    def _set_aside(self, name: Name, cause: str, why: str, settings: Settings) -> None:
        try:
            removed = set_aside(self._root, name, f"{cause}: {why}", settings.disk)
        except OSError as error:
            self._metrics.failed("SpoolUnwritable")
            self._delivery.refused(name)  # the last in the order from now on
            _log.warning("capture %s/%s can't be set aside (%s: %s): %s", *name, cause, why, error)
        else:
            self._metrics.refused(cause, removed)
            _log.error("capture %s/%s was set aside in %s: %s: %s", *name, self._root / spool.REFUSED, cause, why)


def _read_bounded(path: Path, limit: int) -> bytes:
    """The content of a file that anybody may have put there. One that is too large is not read: what it needs of the
    container's memory would end this process, each time again. Raises SidecarInvalid, OSError."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        data = file.read(limit + 1) if size <= limit else b""
    if max(size, len(data)) > limit:
        raise SidecarInvalid(f"{path.name} has {max(size, len(data))} bytes, and is larger than {limit}")
    return data
