"""The metrics of a node that runs a model: what the fleet's gate looks at. Needs nothing but prometheus-client.

An inference application that isn't the reference agent takes part by exporting the same series:

    from prometheus_client import start_http_server
    from agent.metrics import DetectionMetrics, Identity

    metrics = DetectionMetrics(Identity.from_environment(), classes=["bolt", "nut"], sha256=model_sha256)
    start_http_server(9090)
    metrics.loaded(time.time())
    while True:
        ...
        metrics.frame([("bolt", 0.93), ("nut", 0.41)], seconds=0.012)      # or metrics.failed() when it went wrong
                                                # or metrics.damaged(), metrics.frozen(): not given to the model

Names, labels and bucket edges are a contract with the operator's queries and with every series stored so far: never
change them. `docs/metrics.md` describes each one. Every series exists from zero as soon as `DetectionMetrics` is made,
also for classes that were never seen, so that an increase from nothing to something is never lost.

The reasons for which frames are kept for labelling are the user's, so `modelfleet_captured_frames_total` has a series
for each as soon as it is named (`captured(reason, 0)`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

CONFIDENCE_EDGES = (0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1.0)
"""Upper edges of `modelfleet_detection_confidence` (inclusive, as in any Prometheus histogram); +Inf comes on top."""

INFERENCE_EDGES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper edges of `modelfleet_inference_seconds`, in seconds; +Inf comes on top."""

_IDENTITY_LABELS = ("rollout", "group", "node", "model", "version")


class MissingVariable(KeyError):
    """A variable that identifies the node's model is not in the environment."""

    def __init__(self, variable: str) -> None:
        super().__init__(f"environment variable {variable} is not set")
        self.variable = variable


@dataclass(frozen=True)
class Identity:
    """Who speaks: the labels that every series carries."""

    rollout: str
    group: str
    node: str
    model: str
    version: str

    @classmethod
    def from_environment(cls, env: Mapping[str, str] | None = None) -> Identity:
        """Read ROLLOUT, GROUP, NODE_NAME, MODEL_NAME and MODEL_VERSION, which the operator sets.

        Raises MissingVariable, which names the first that is absent or empty.
        """
        env = os.environ if env is None else env

        def value(variable: str) -> str:
            if not env.get(variable):
                raise MissingVariable(variable)
            return env[variable]

        return cls(
            rollout=value("ROLLOUT"),
            group=value("GROUP"),
            node=value("NODE_NAME"),
            model=value("MODEL_NAME"),
            version=value("MODEL_VERSION"),
        )

    def labels(self) -> dict[str, str]:
        """The labels that every series carries, by name."""
        return {name: getattr(self, name) for name in _IDENTITY_LABELS}


class DetectionMetrics:
    """Counts what one model does on one node. All methods may be called from any thread.

    `classes` are the model's class names, `sha256` is the hex digest of the file that is loaded. The series go into
    `registry`, by default prometheus-client's own, which `prometheus_client.start_http_server` exports. One process
    serves one model, so a second instance in the same registry is refused by it.
    """

    def __init__(
        self,
        identity: Identity,
        classes: Sequence[str],
        sha256: str,
        *,
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        own = list(identity.labels().values())

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, [*_IDENTITY_LABELS, *labels], registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(name, text, [*_IDENTITY_LABELS, *labels], registry=registry)

        def histogram(name: str, text: str, edges: tuple[float, ...]) -> Histogram:
            return Histogram(name, text, _IDENTITY_LABELS, buckets=edges, registry=registry).labels(*own)

        self._frames = counter(
            "modelfleet_frames_total", "Frames taken from the source, whether inference succeeded or not."
        ).labels(*own)
        self._failed = counter(
            "modelfleet_frames_failed_total", "Frames that could not be decoded or on which inference failed."
        ).labels(*own)
        self._empty = counter("modelfleet_empty_frames_total", "Frames on which the model detected nothing.").labels(
            *own
        )
        self._dropped = counter(
            "modelfleet_frames_dropped_total", "Frames that were due and never reached the model because it was busy."
        ).labels(*own)
        self._damaged = counter(
            "modelfleet_frames_damaged_total", "Frames left out because parts of them were lost on the way."
        ).labels(*own)
        self._frozen = counter(
            "modelfleet_frames_frozen_total", "Frames left out because the picture of a live source stood still."
        ).labels(*own)
        self._lost = counter(
            "modelfleet_source_lost_total", "Times that the source gave no frames and had to be opened again."
        ).labels(*own)
        detections = counter("modelfleet_detections_total", "Detections.", "class")
        self._detections = {name: detections.labels(*own, name) for name in classes}
        self._confidence = histogram(
            "modelfleet_detection_confidence", "Confidence of each detection.", CONFIDENCE_EDGES
        )
        self._seconds = histogram(
            "modelfleet_inference_seconds", "Time from decoded frame to detections.", INFERENCE_EDGES
        )
        self._info = gauge(
            "modelfleet_model_info", "Always 1; the labels say which model file is loaded.", "sha256", "backend"
        )
        self._file = (*own, sha256)
        self._info.labels(*self._file, "").set(1)
        self._loaded = gauge(
            "modelfleet_model_loaded_timestamp_seconds", "Unix time when the model was loaded; 0 before that."
        ).labels(*own)
        self._own = own
        self._captured = counter("modelfleet_captured_frames_total", "Frames kept for labelling.", "reason")
        self._capture_dropped = counter(
            "modelfleet_capture_dropped_total", "Frames worth labelling that were not kept, for want of room."
        ).labels(*own)

    def loaded(self, at: float, backend: str = "") -> None:
        """The model is loaded and ready since `at` (Unix time in seconds), and run by `backend`: a word of your own for
        what computes it and how precisely, by which the gate tells whether two nodes can be compared."""
        if backend:
            self._info.remove(*self._file, "")
            self._info.labels(*self._file, backend).set(1)
        self._loaded.set(at)

    def frame(self, detections: Iterable[tuple[str, float]], seconds: float) -> None:
        """One frame went through the model in `seconds`, with these (class name, confidence from 0 to 1) found on it.

        Raises ValueError, with nothing counted, for a class that was not announced and for a confidence that is none.
        """
        found = list(detections)
        for name, confidence in found:
            if name not in self._detections:
                raise ValueError(f"class {name!r} is not one of the model's: {', '.join(self._detections)}")
            if not 0 <= confidence <= 1:
                raise ValueError(f"confidence {confidence!r} of a {name!r} is not between 0 and 1")
        self._frames.inc()
        self._seconds.observe(seconds)
        if not found:
            self._empty.inc()
        for name, confidence in found:
            self._detections[name].inc()
            self._confidence.observe(confidence)

    def failed(self) -> None:
        """One frame could not be decoded, or inference failed on it."""
        self._frames.inc()
        self._failed.inc()

    def dropped(self) -> None:
        """One frame was due and could not be taken, because the model was still busy with earlier ones."""
        self._dropped.inc()

    def damaged(self) -> None:
        """One frame was due and was left out: parts of it were lost. It is not among the frames."""
        self._damaged.inc()

    def frozen(self) -> None:
        """One frame was due and was left out: the picture is frozen. It is not among the frames."""
        self._frozen.inc()

    def lost(self) -> None:
        """The source gives nothing (unplugged, hung up, not what it should be), and will be opened again."""
        self._lost.inc()

    def captured(self, reason: str, frames: int = 1) -> None:
        """So many frames were kept for labelling, for this reason: a rule's name or `sample`. 0 makes the series."""
        self._captured.labels(*self._own, reason).inc(frames)

    def capture_dropped(self) -> None:
        """One frame was worth labelling and was not kept, for want of room or time."""
        self._capture_dropped.inc()
