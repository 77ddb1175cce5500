"""Datasets as metrics for dashboards: what their statuses say when Prometheus asks.

A collector and no gauges that are set, so that no series outlives its Dataset. Each Dataset has at most 16 series, and
six for each of the ten classes that its review names.
"""

from collections.abc import Iterator
from decimal import Decimal

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from modelfleet.api import Dataset
from modelfleet.api.dataset import Estimate, Interval
from modelfleet.kube import DATASET, Store
from modelfleet.views import DATASETS

_LABELS = ("namespace", "dataset", "model")


class DatasetGauges(Collector):
    """Shows the Datasets of `store`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """All metrics `modelfleet_dataset_...`."""
        families = _Families()
        for dataset in self._store.readable(DATASETS, self._store.list(DATASET)):
            families.add(dataset)
        return iter(families.all)


class _Families:
    """The metrics of one scrape, while Datasets are added."""

    def __init__(self) -> None:
        self.all: list[GaugeMetricFamily] = []
        self.counts = {
            "waiting": self._family("waiting", "Captured images that nobody was asked about yet."),
            "in_review": self._family("in_review", "Images that somebody was asked about, and has not answered."),
            "reviewed": self._family("reviewed", "Images with reviewed labels."),
            "pending": self._family("pending", "Reviewed images that are in no version yet."),
        }
        self.edited = self._family("edited_ratio", "Share of reviewed images on which somebody changed something.")
        self.version = self._family("latest_version", "Number of the newest version.")
        self.images = self._family("latest_images", "Images in the newest version.")
        self.made = self._family("latest_timestamp_seconds", "When the newest version was made, Unix time.")
        self.synced = self._family("sync_timestamp_seconds", "When the last sync ended, Unix time.")
        self.failures = self._family("sync_failures", "Syncs that failed in a row; 0: the last one succeeded.")
        self.frames = self._family("review_frames", "Reviewed frames of the random sample.", "version")
        self.precision = self._estimate("precision", "Share of detections in production that are right.")
        self.recall = self._estimate("recall", "Share of objects in production that are found.")
        self.class_precision = self._estimate(
            "class_precision", "Share of detections of a class that are right.", "class"
        )
        self.class_recall = self._estimate("class_recall", "Share of objects of a class that are found.", "class")

    def add(self, dataset: Dataset) -> None:
        """All series of one Dataset; what is not known has none."""
        status, of = dataset.status, (dataset.metadata.namespace, dataset.metadata.name, dataset.spec.model)
        for name, family in self.counts.items():
            if (count := getattr(status, name)) is not None:
                family.add_metric(of, count)
        if status.edited_share is not None:
            self.edited.add_metric(of, float(status.edited_share))
        if status.latest is not None:
            self.version.add_metric(of, status.latest.number)
            self.images.add_metric(of, status.latest.images)
            if status.latest.created_at is not None:
                self.made.add_metric(of, status.latest.created_at.timestamp())
        if status.last_sync is not None:
            self.synced.add_metric(of, status.last_sync.at.timestamp())
            self.failures.add_metric(of, status.last_sync.failures)
        if status.review is not None:
            of_version = (*of, status.review.version)
            self.frames.add_metric(of_version, status.review.frames)
            _add(self.precision, of_version, status.review.precision)
            _add(self.recall, of_version, status.review.recall)
            for each in status.review.worst_classes:
                of_class = (*of_version, each.name)
                _add_class(self.class_precision, of_class, each.precision, each.precision_interval)
                _add_class(self.class_recall, of_class, each.recall, each.recall_interval)

    def _estimate(
        self, name: str, text: str, *labels: str
    ) -> tuple[GaugeMetricFamily, GaugeMetricFamily, GaugeMetricFamily]:
        """A figure, and the ends of the interval that holds it in 95 of 100 cases."""
        return (
            self._family(f"review_{name}", text, "version", *labels),
            self._family(f"review_{name}_low", f"{text} Lower end of the interval.", "version", *labels),
            self._family(f"review_{name}_high", f"{text} Upper end of the interval.", "version", *labels),
        )

    def _family(self, name: str, text: str, *labels: str) -> GaugeMetricFamily:
        family = GaugeMetricFamily(f"modelfleet_dataset_{name}", text, labels=(*_LABELS, *labels))
        self.all.append(family)
        return family


def _add(families: tuple[GaugeMetricFamily, ...], labels: tuple[str, ...], estimate: Estimate | None) -> None:
    if estimate is None:
        return
    for family, value in zip(families, (estimate.value, estimate.low, estimate.high), strict=True):
        family.add_metric(labels, float(value))


def _add_class(
    families: tuple[GaugeMetricFamily, ...], labels: tuple[str, ...], value: Decimal | None, interval: Interval | None
) -> None:
    figure, low, high = families
    if value is not None:
        figure.add_metric(labels, float(value))
    if interval is not None:
        low.add_metric(labels, float(interval.low))
        high.add_metric(labels, float(interval.high))
