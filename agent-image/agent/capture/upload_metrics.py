"""The metrics of the upload: its own process, its own port."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Counter, Gauge

from agent.capture.settings import SAMPLE
from agent.capture.spool import REFUSED
from agent.metrics import Identity

CAUSES = (
    "AccessDenied",
    "NotFound",
    "Unreachable",
    "Unsupported",
    "Refused",
    "AlreadyExists",
    "DiskFull",
    "DiskError",
    "SpoolUnreadable",
    "SpoolUnwritable",
)
"""Why a capture was not sent: artifactstore's reasons, and the spool's."""


class UploadMetrics:
    """What the upload counts. All methods may be called from any thread."""

    def __init__(self, identity: Identity, registry: CollectorRegistry) -> None:
        self._own = identity.labels()
        names = list(self._own)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, [*names, *labels], registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(name, text, [*names, *labels], registry=registry)

        self._bytes = gauge(
            "modelfleet_capture_spool_bytes",
            "Bytes on the disk of captures that wait to be sent, and (reason _refused) of those set aside.",
            "reason",
        )
        self._oldest = gauge(
            "modelfleet_capture_oldest_seconds", "Age of the oldest capture that waits to be sent; 0 when none does."
        ).labels(**self._own)
        self._uploaded = counter("modelfleet_capture_uploaded_total", "Captures that the store took.", "reason")
        self._failed = counter(
            "modelfleet_capture_upload_failed_total", "Tries to send a capture that failed, by cause.", "cause"
        )
        self._refused = counter(
            "modelfleet_capture_refused_total", "Captures set aside because they can't be sent, by cause.", "cause"
        )
        self._refused_removed = counter(
            "modelfleet_capture_refused_removed_total", "Captures that had been set aside and were removed for room."
        ).labels(**self._own)
        self._invalid = gauge(
            "modelfleet_capture_settings_invalid",
            "1 while the settings file can't be used and the last good settings stay in force.",
        ).labels(**self._own)
        self._reasons: set[str] = set()
        for cause in CAUSES:
            self._failed.labels(**self._own, cause=cause)
        self.waiting({SAMPLE: 0, REFUSED: 0}, [])

    def waiting(self, sizes: Mapping[str, int], stems: Sequence[str]) -> None:
        """What lies in the spool: bytes by reason, and the names of captures that wait."""
        for reason in self._reasons | set(sizes):
            self._bytes.labels(**self._own, reason=reason).set(sizes.get(reason, 0))
            if reason != REFUSED:
                self._uploaded.labels(**self._own, reason=reason)
        self._reasons |= set(sizes)
        times = [at for stem in stems if (at := _time(stem))]
        self._oldest.set(max(0.0, datetime.now(UTC).timestamp() - min(times)) if times else 0)

    def uploaded(self, reason: str) -> None:
        """The store took one capture."""
        self._uploaded.labels(**self._own, reason=reason).inc()

    def failed(self, cause: str) -> None:
        """One try failed."""
        self._failed.labels(**self._own, cause=cause).inc()

    def refused(self, cause: str, removed: int) -> None:
        """One capture was set aside, for which so many older ones had to go."""
        self._refused.labels(**self._own, cause=cause).inc()
        self._refused_removed.inc(removed)

    def settings_invalid(self, invalid: bool) -> None:
        """Whether the settings file, as it is now, can't be used."""
        self._invalid.set(invalid)


def _time(stem: str) -> float | None:
    """When a capture was taken, by its name; None for a name of another form, which another application may use."""
    try:
        return datetime.strptime(stem.partition("Z")[0], "%Y%m%dT%H%M%S.%f").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
