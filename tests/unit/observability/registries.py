"""The registries of all parts, as their own code makes them, and what a registry declares."""

from types import SimpleNamespace
from typing import NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.metrics import MetricWrapperBase

from agent.capture.metrics import CaptureMetrics
from agent.capture.upload_metrics import UploadMetrics
from agent.metrics import DetectionMetrics, Identity
from modelfleet import telemetry
from modelfleet.datasets.metrics import DatasetGauges
from modelfleet.kube import Store
from modelfleet.observability.objects import ObjectStates
from modelfleet.rollout.metrics import DriftGauges, GateGauges
from trainer.metrics import Exporter

IDENTITY = Identity("line", "fleet", "n1", "parts", "v1")


def agent() -> CollectorRegistry:
    registry = CollectorRegistry()
    detection = DetectionMetrics(IDENTITY, ["bolt"], "0" * 64, registry=registry)
    CaptureMetrics(IDENTITY, detection, registry)
    return registry


def upload() -> CollectorRegistry:
    registry = CollectorRegistry()
    UploadMetrics(IDENTITY, registry)
    return registry


def trainer() -> CollectorRegistry:
    run = SimpleNamespace(training_job="parts-v2", model="parts", version="v2")
    return Exporter(run).registry  # type: ignore[arg-type]


def operator() -> CollectorRegistry:
    registry = telemetry.Metrics("1.2.3").registry
    for collector in (GateGauges({}), DriftGauges({}), ObjectStates(Store()), DatasetGauges(Store())):
        registry.register(collector)
    return registry


class Declared(NamedTuple):
    """A metric as its exporter has it."""

    type: str
    labels: tuple[str, ...]


def declared(registry: CollectorRegistry) -> dict[str, Declared]:
    """Type and labels of each metric of ours, by the name that queries have; whether it has a series yet or not."""
    found = {}
    for collector in list(registry._collector_to_names):
        families = [collector] if isinstance(collector, MetricWrapperBase) else collector.collect()
        for family in families:
            name, kind, labels = _read(family)
            if name.startswith("modelfleet_"):
                found[name] = Declared(kind, labels)
    return found


def _read(family: MetricWrapperBase | Metric) -> tuple[str, str, tuple[str, ...]]:
    if isinstance(family, MetricWrapperBase):
        name, kind = family._name, family._type
    else:
        name, kind = family.name, family.type
    labels = tuple(getattr(family, "_labelnames", ()))
    return (f"{name}_total" if kind == "counter" else name), kind, labels
