"""One owner, a controller that decides what the test says, and what stands for the API server."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from modelfleet import telemetry
from modelfleet.api import TrainingJobStatus, conditions
from modelfleet.decision import Decision
from modelfleet.kinds import JOB, TRAINING_JOB, Key
from modelfleet.kube import Backoff, Queue, Store
from modelfleet.reconcile import Controller, Deps, Loop
from modelfleet.settings import Images, Settings
from unit.kube.raw import obj

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
KEY = Key("ns", "t")


@dataclass
class ApiServer:
    """Stands for `Client`: takes notes of what is asked, and answers as an API server would, or as `fails` says."""

    store: Store
    version: int = 100
    calls: list = field(default_factory=list)
    fails: dict = field(default_factory=dict)
    reads: list = field(default_factory=list)
    newest: dict | None = None  # the owner, where it is another than the store's
    rest: dict | None = None  # what a delete leaves, where a finalizer holds it

    def _answer(self, call, *details):
        self.calls.append((call, *details))
        failure = self.fails.get(call)
        if failure is not None:
            raise failure
        self.version += 1

    async def get(self, kind, namespace, name):
        self.reads.append(name)
        if "get" in self.fails:
            raise self.fails["get"]
        return self.newest or self.store.get(kind, namespace, name)

    async def apply(self, manifest):
        self._answer("apply", manifest["metadata"]["name"])
        return obj(JOB, manifest["metadata"]["name"], self.version)

    async def create(self, manifest):
        self._answer("create", manifest["metadata"]["name"])
        return obj(JOB, manifest["metadata"]["name"], self.version)

    async def patch(self, kind, namespace, name, body):
        self._answer("patch", name, body)
        known = self.store.get(kind, namespace, name)
        return {**known, "metadata": {**known["metadata"], "resourceVersion": str(self.version)}}

    async def patch_status(self, kind, namespace, name, body):
        self._answer("status", body)
        known = self.store.get(kind, namespace, name)
        return {
            **known,
            "metadata": {**known["metadata"], "resourceVersion": str(self.version)},
            "status": {**(known.get("status") or {}), **body["status"]},
        }

    async def delete(self, kind, namespace, name, uid, resource_version=""):
        self._answer("delete", kind, namespace, name, uid, *filter(None, [resource_version]))
        return self.rest

    async def post_event(self, regarding, type, reason, message, now):
        self._answer("event", reason, regarding["metadata"]["name"], type, message, now)


class Clock:
    """The queue's seconds."""

    now = 0.0

    def __call__(self):
        return self.now


class Bench:
    """One owner in the store, and a controller whose decision the test sets."""

    def __init__(self, with_status=None):
        self.store = Store()
        self.store.put(obj(TRAINING_JOB, "t", 10))
        self.api = ApiServer(self.store)
        self.clock = Clock()
        self.queue = Queue(self.clock, Backoff(timedelta(seconds=1), timedelta(seconds=60)))
        self.metrics = telemetry.Metrics("test")
        self.decision = Decision()
        self.seen = []
        settings = Settings(images=Images(trainer="t", agent="a", labeler="l"), reconcile_timeout=timedelta(seconds=31))
        self.deps = Deps(self.store, self.api, None, None, settings, lambda kind, key: None, lambda: NOW, self.metrics)
        self.observe = self._observe
        self.loop = Loop(
            Controller(TRAINING_JOB, lambda key: self.observe(key), self._decide, with_status),
            self.deps,
            self.queue,
            self.metrics,
        )

    async def _observe(self, key):
        return self.store.get(TRAINING_JOB, *key), self.store.list(JOB)

    def _decide(self, snapshot, now):
        assert now == NOW
        self.seen.append(snapshot)
        return self.decision(snapshot) if callable(self.decision) else self.decision

    async def run(self):
        """One reconcile, as a worker would do it."""
        self.queue.add(KEY)
        item = self.queue.take()
        await self.loop._process(item)
        self.queue.done(item)

    def counted(self, name, **labels):
        """A metric's value."""
        return self.metrics.registry.get_sample_value(f"modelfleet_operator_{name}", labels)


def job(name):
    return obj(JOB, name, 0)


def status(message="fine", generation=1):
    ready = conditions.merge((), [conditions.true("Ready", "Done", message)], generation, NOW)
    return TrainingJobStatus(observed_generation=generation, conditions=ready)
