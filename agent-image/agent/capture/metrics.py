"""The metrics of capturing, beside the two counters that every application of the fleet has (`agent.metrics`)."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge

from agent.metrics import DetectionMetrics, Identity

PAUSES = ("Suspended", "ClockBeforeBuild", "FreeSpace", "DiskError", "Failed")
"""Why nothing is captured although there are settings."""


class CaptureMetrics:
    """What the agent's side counts. All methods may be called from any thread."""

    def __init__(self, identity: Identity, detection: DetectionMetrics, registry: CollectorRegistry) -> None:
        self._own = identity.labels()
        names = list(self._own)
        self._detection = detection
        self._evicted = Counter(
            "modelfleet_capture_evicted_total",
            "Captures removed before they were sent, to make room in their reason's share of the disk.",
            [*names, "reason"],
            registry=registry,
        )
        self._duplicates = Counter(
            "modelfleet_capture_duplicates_total",
            "Frames that a rule skipped because it had kept their like.",
            [*names, "reason"],
            registry=registry,
        )
        paused = Gauge(
            "modelfleet_capture_paused",
            "1 while nothing is captured, for this cause.",
            [*names, "cause"],
            registry=registry,
        )
        self._paused = {cause: paused.labels(**self._own, cause=cause) for cause in PAUSES}
        self._invalid = Gauge(
            "modelfleet_capture_settings_invalid",
            "1 while the settings file can't be used and the last good settings stay in force.",
            names,
            registry=registry,
        ).labels(**self._own)

    def reasons(self, names: Iterable[str]) -> None:
        """These may be counted from now on: their series exist from zero."""
        for name in names:
            self._detection.captured(name, 0)
            self._evicted.labels(**self._own, reason=name)
            self._duplicates.labels(**self._own, reason=name)

    def captured(self, reason: str) -> None:
        """One frame was kept."""
        self._detection.captured(reason)

    def dropped(self) -> None:
        """One frame worth keeping was not kept, for want of room or time."""
        self._detection.capture_dropped()

    def duplicate(self, reason: str) -> None:
        """One frame was skipped because this rule had kept its like."""
        self._duplicates.labels(**self._own, reason=reason).inc()

    def evicted(self, reason: str) -> None:
        """One capture had to go before it was sent."""
        self._evicted.labels(**self._own, reason=reason).inc()

    def paused(self, cause: str | None) -> None:
        """Nothing is captured, for this cause alone; None: captures go on."""
        for name, gauge in self._paused.items():
            gauge.set(name == cause)

    def settings_invalid(self, invalid: bool) -> None:
        """Whether the settings file, as it is now, can't be used."""
        self._invalid.set(invalid)
