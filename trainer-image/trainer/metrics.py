"""The run's figures for Prometheus, on the port that TRAINER_METRICS_PORT names; docs/trainer.md lists them.

For watching a run from outside: nothing is decided on them. Each series appears with its first value, so that what was
never measured is absent and not 0.
"""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Gauge, start_http_server

from trainer.callbacks import Epoch, Speed
from trainer.run import Run

PORT = "TRAINER_METRICS_PORT"  # the operator sets it; without it nothing listens

_LABELS = ("training_job", "model", "version")


class Exporter:
    """Gauges of one run, in a registry of their own."""

    def __init__(self, run: Run) -> None:
        self.registry = CollectorRegistry()
        self._of = {"training_job": run.training_job, "model": run.model, "version": run.version}
        self._epoch = self._gauge("epoch", "Epochs that are done.")
        self._epochs = self._gauge("epochs", "Epochs in all, where the run does not stop early.")
        self._best = self._gauge("best_epoch", "The best epoch so far.")
        self._images = self._gauge("images_per_second", "Images trained on in a second, on all GPUs together.")
        self._loading = self._gauge(
            "data_loading_ratio", "Share of the training's time spent waiting for images, 0 to 1."
        )
        self._memory = self._gauge("gpu_memory_bytes", "The most memory of the first GPU that torch has reserved.")
        self._figure = self._gauge("figure", "A figure of the newest epoch: map50, box_loss, ...", "figure")

    def serve(self, variables: Mapping[str, str]) -> None:
        """Listens from now on, on a thread of its own. Raises OSError or ValueError where it can't."""
        port = variables.get(PORT)
        if port:
            start_http_server(int(port), registry=self.registry)

    def epoch_done(self, epoch: Epoch, figures: Mapping[str, float]) -> None:
        self._epoch.labels(**self._of).set(epoch.number)
        self._epochs.labels(**self._of).set(epoch.epochs)
        self._best.labels(**self._of).set(epoch.best)
        for name, value in figures.items():
            self._figure.labels(**self._of, figure=name).set(value)

    def measured(self, speed: Speed) -> None:
        self._images.labels(**self._of).set(speed.images_per_second)
        self._loading.labels(**self._of).set(speed.data_loading_share)
        if speed.gpu_memory is not None:
            self._memory.labels(**self._of).set(speed.gpu_memory)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"modelfleet_training_{name}", text, (*_LABELS, *labels), registry=self.registry)
