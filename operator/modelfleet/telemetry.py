"""What the operator says about itself: Prometheus metrics and structured logs.

Metrics belong to a registry of their own, made in `main` and handed down, so that tests see only their own. Log records
carry the object and the reconcile they are about as fields; `bind` sets them for everything that runs inside, across
awaits (context variables), including the libraries' own records.
"""

import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from modelfleet.api import Verdict
from modelfleet.kinds import Kind
from modelfleet.prometheus import ProviderDown, Result
from modelfleet.times import wire_time

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

_EXTRA = "modelfleet_fields"
_RESERVED = frozenset({"time", "level", "logger", "message", "error"})

_fields: ContextVar[dict[str, str] | None] = ContextVar("modelfleet_log_fields", default=None)


class Metrics:
    """All metrics of the operator, in one registry.

    Names begin with `modelfleet_operator_` where they speak of the operator itself, and with `modelfleet_gate_` where
    they speak of a gate (a collector of `modelfleet.rollout`); the other `modelfleet_` names are the agents'.
    """

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.reconciles = self._counter("reconcile", "Reconciles ended, by result.", "kind", "result")
        self.reconcile_seconds = self._histogram("reconcile_seconds", "Time one reconcile took.", "kind")
        self.reconcile_errors = self._counter("reconcile_errors", "Reconciles failed, by error.", "kind", "error")
        self.status_writes = self._counter("status_writes", "Statuses written.", "kind")
        self.actions = self._counter("actions", "Actions carried out, by type.", "kind", "action")
        self.queue_depth = self._gauge("queue_depth", "Objects that wait for a worker.", "kind")
        self.queue_seconds = self._histogram("queue_seconds", "Time objects waited for a worker.", "kind")
        self.queue_retries = self._counter("queue_retries", "Objects put back after a failure.", "kind")
        self.failing_objects = self._gauge("failing_objects", "Objects whose last reconcile failed.", "kind")
        self.requests = self._counter("api_requests", "API requests, by outcome.", "verb", "resource", "code")
        self.request_seconds = self._histogram("api_request_seconds", "Time API requests took.", "verb")
        self.queries = self._counter("prometheus_queries", "Queries to Prometheus, by outcome.", "provider", "result")
        self.watch_lists = self._counter("watch_lists", "Lists made by the watch streams.", "resource")
        self.resyncs = self._counter("resyncs", "Full lists compared with the store.", "reason")
        self.missed = self._counter("missed_changes", "Changes found only by a resync after start-up.", "kind")
        self.store_objects = self._gauge("store_objects", "Objects in the store.", "kind")
        self.gate_verdicts = self._counter(
            "gate_verdicts", "Verdicts that gates came to, each time they change.", "verdict"
        )
        for verdict in Verdict:
            self.gate_verdicts.labels(verdict.value)  # an increase from nothing would be lost to Prometheus
        self.ready = self._gauge("ready", "1 while the store is in sync and workers run, or would if this one led.")
        self.leader = self._gauge("leader", "1 while this operator works; 0 while it stands by.")
        self.notifications_sent = self._counter("notifications_sent", "Notifications that a receiver took.", "endpoint")
        self.notification_failures = self._counter(
            "notification_failures", "Tries to notify that failed, by cause.", "endpoint", "cause"
        )
        self.notifications_lost = self._counter(
            "notifications_lost", "Notifications given up, by cause.", "endpoint", "cause"
        )
        self.notifications_waiting = self._gauge(
            "notifications_waiting", "Notifications that are not delivered yet.", "endpoint"
        )
        self.notification_outbox_errors = self._counter(
            "notification_outbox_errors", "Writes to the outbox of notifications that failed."
        )
        self.build_info = self._gauge("build_info", "Always 1; the labels tell the version.", "version", "python")
        self.build_info.labels(version, ".".join(map(str, sys.version_info[:3]))).set(1)

    def request(self, verb: str, kind: Kind, code: str, seconds: float) -> None:
        """Count an API request (an `Observer` of `modelfleet.kube.Client`)."""
        self.requests.labels(verb, kind.qualified, code).inc()
        self.request_seconds.labels(verb).observe(seconds)

    def asked(self, provider: str, result: Result) -> None:
        """Count a query to a provider. One that it refused (`BadQuery`) says nothing against the provider."""
        if isinstance(result, ProviderDown):
            outcome = "BadQuery" if result.bad_query else "ProviderDown"
        else:
            outcome = type(result).__name__
        self.queries.labels(provider, outcome).inc()

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"modelfleet_operator_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"modelfleet_operator_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(f"modelfleet_operator_{name}", text, labels, registry=self.registry, buckets=_SECONDS)


class QueueMeter:
    """Reports one kind's queue (a `Meter` of `modelfleet.kube.queue`)."""

    def __init__(self, metrics: Metrics, kind: Kind) -> None:
        self._depth = metrics.queue_depth.labels(kind.kind)
        self._seconds = metrics.queue_seconds.labels(kind.kind)
        self._retries = metrics.queue_retries.labels(kind.kind)
        self._failing = metrics.failing_objects.labels(kind.kind)

    def depth(self, items: int) -> None:
        """Items that are ready and wait for a worker."""
        self._depth.set(items)

    def waited(self, seconds: float) -> None:
        """How long an item was ready before a worker took it."""
        self._seconds.observe(seconds)

    def retried(self) -> None:
        """An item failed and was put back with backoff."""
        self._retries.inc()

    def failing(self, items: int) -> None:
        """Items whose last try failed."""
        self._failing.set(items)


class NotificationMeter:
    """Reports what becomes of the notifications to one endpoint."""

    def __init__(self, metrics: Metrics, endpoint: str) -> None:
        self._metrics = metrics
        self._endpoint = endpoint
        metrics.notifications_sent.labels(endpoint)  # an increase from nothing would be lost to Prometheus
        for cause in ("refused", "expired", "queue_full"):
            metrics.notifications_lost.labels(endpoint, cause)
        self.waiting(0)

    def sent(self) -> None:
        """The receiver took one."""
        self._metrics.notifications_sent.labels(self._endpoint).inc()

    def failed(self, cause: str) -> None:
        """A try failed."""
        self._metrics.notification_failures.labels(self._endpoint, cause).inc()

    def lost(self, cause: str) -> None:
        """One was given up."""
        self._metrics.notifications_lost.labels(self._endpoint, cause).inc()

    def waiting(self, number: int) -> None:
        """So many are not delivered yet."""
        self._metrics.notifications_waiting.labels(self._endpoint).set(number)


@contextmanager
def bind(**fields: str) -> Iterator[None]:
    """Add fields to all log records made inside, in this task and the tasks started from it."""
    token = _fields.set({**(_fields.get() or {}), **fields})
    try:
        yield
    finally:
        _fields.reset(token)


def fields(**values: Any) -> dict[str, Any]:
    """What to pass as `extra` of one log call: `values` become fields of that one record, with JSON values in them.

        log.info("judged %s", name, extra=telemetry.fields(judgement={"looks": 3}))

    Only JSON lines show them, so that the message must be worth reading alone. Names that every record has (`time`,
    `message`, ...) are refused: a record that can lie about itself is no use as evidence.
    """
    taken = values.keys() & _RESERVED
    if taken:
        raise ValueError(f"every log record has a field {', '.join(sorted(taken))} of its own")
    return {_EXTRA: values}


def set_up_logging(form: Literal["json", "text"], level: int = logging.INFO) -> None:
    """Send all log records to standard error, one a line. Libraries are heard from WARNING on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("modelfleet").setLevel(level)
    logging.captureWarnings(True)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, the bound fields and the record's own (`fields`), and
    `error` with a traceback if any."""

    def format(self, record: logging.LogRecord) -> str:
        """The line for one record."""
        entry: dict[str, Any] = {
            "time": wire_time(datetime.fromtimestamp(record.created, UTC), "milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **(_fields.get() or {}),
            **getattr(record, _EXTRA, {}),
        }
        if record.exc_info:
            entry["error"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False, default=str)


class TextFormatter(logging.Formatter):
    """For terminals: time, level, object, message."""

    def format(self, record: logging.LogRecord) -> str:
        """The line (or lines, with a traceback) for one record."""
        fields = _fields.get() or {}
        about = " ".join(fields[name] for name in ("kind", "object") if name in fields)
        moment = time.strftime("%H:%M:%S", time.localtime(record.created))
        line = f"{moment} {record.levelname:<7} {about + ': ' if about else ''}{record.getMessage()}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line
