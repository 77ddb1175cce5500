"""A cluster around a TrainingJob, in memory, so that whole runs take milliseconds: with the operator's real code.

Simulated, each in a few lines: the API server (objects, resource versions, preconditions), the Job controller with its
pods, the garbage collector, the pods' logs, the clock. Real: store, observe, decide, reconcile, status patches.

The operator is woken as in the cluster: by a change of an object that a watch says concerns it, or when its
`requeue_after` has passed. A story that ends well thus also shows that no wake-up is missing. `kill_after` ends the
operator right after its n-th write; a new one, with an empty store, takes over.
"""

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar

from modelfleet import telemetry, training, versions
from modelfleet.kinds import JOB, OWNERS, POD, TRAINING_JOB, WATCHED, Key, Kind, key_of, kind_of
from modelfleet.kube import AlreadyExists, Conflict, NotFound, Store, Unavailable
from modelfleet.kube.client import Listing
from modelfleet.reconcile import Deps, reconcile
from modelfleet.settings import Images, Settings, Verification
from modelfleet.times import parse_time
from unit.training.builders import IMAGE, NAMESPACE, START, detail_line, epoch_line, success, wire

Json = dict[str, Any]

STEP = timedelta(seconds=10)


class Killed(BaseException):
    """The operator's process ended."""


@dataclass
class Try:
    """How one pod of the Job will end: an exit code and a termination message, or preempted.

    beside  a second container: "" is none; it "goes on" until its pod is deleted, or it "fails" when the trainer ends
    """

    exit_code: int = 0
    said: str = field(default_factory=success)
    detail: str = field(default_factory=detail_line)
    preempted: bool = False
    log_lost: bool = False
    beside: str = ""


@dataclass
class World:
    """The cluster. `tries` are the ends of the pods, in order; the last one repeats."""

    objects: dict[tuple[Kind, Key], Json] = field(default_factory=dict)
    tries: list[Try] = field(default_factory=lambda: [Try()])
    now: datetime = START
    started: int = 0
    logs: dict[str, list[str]] = field(default_factory=dict)
    logs_readable: bool = True
    events: list[str] = field(default_factory=list)
    writes: int = 0
    kill_after: int | None = None
    kill_always: bool = False
    deleted: dict[str, list[Json]] = field(default_factory=dict)
    capabilities: ClassVar[tuple[Any, ...]] = (training, versions)
    _version: int = 0

    # --- the API server ---

    def add(self, obj: Json) -> Json:
        """Create an object, as a user or a controller does."""
        obj = copy.deepcopy(obj)
        self._version += 1
        metadata = obj["metadata"]
        metadata.setdefault("uid", f"uid-{self._version}")
        metadata["creationTimestamp"] = wire(self.now)
        metadata["resourceVersion"] = str(self._version)
        metadata.setdefault("generation", 1)
        self.objects[kind_of(obj), key_of(obj)] = obj
        return obj

    def change(self, obj: Json, **parts: Any) -> None:
        """Replace parts of an object; a spec brings a new generation."""
        self._version += 1
        new = {**obj, **copy.deepcopy(parts)}
        new["metadata"] = {**new["metadata"], "resourceVersion": str(self._version)}
        if "spec" in parts:
            new["metadata"]["generation"] += 1
        self.objects[kind_of(obj), key_of(obj)] = new

    def remove(self, obj: Json) -> None:
        """Delete an object, and what it owns."""
        self._version += 1
        self.objects.pop((kind_of(obj), key_of(obj)), None)
        uid = obj["metadata"]["uid"]
        for child in list(self.objects.values()):
            if any(owner["uid"] == uid for owner in child["metadata"].get("ownerReferences") or ()):
                self.remove(child)

    def get(self, kind: Kind, name: str) -> Json | None:
        """An object of the namespace."""
        return self.objects.get((kind, Key(NAMESPACE, name)))

    def all(self, kind: Kind) -> list[Json]:
        """All objects of a kind, by name."""
        return [obj for (of, _), obj in sorted(self.objects.items(), key=lambda item: item[0][1]) if of == kind]

    @property
    def training(self) -> Json:
        """The one TrainingJob."""
        (only,) = self.all(TRAINING_JOB)
        return only

    @property
    def reason(self) -> str:
        """The reason of its Ready."""
        conditions = (self.training.get("status") or {}).get("conditions") or [{"type": "Ready", "reason": ""}]
        return str(next(entry["reason"] for entry in conditions if entry["type"] == "Ready"))

    def set_spec(self, **fields: Any) -> None:
        """Change the TrainingJob's spec."""
        self.change(self.training, spec={**self.training["spec"], **fields})

    def wipe_status(self) -> None:
        """Empty the TrainingJob's status, as a restore from a backup does."""
        self.change(self.training, status={})

    # --- the Job controller and the kubelet: one step each `tick` ---

    def tick(self) -> None:
        """Ten seconds pass."""
        self.now += STEP
        for job in self.all(JOB):
            self._drive(job)

    def _drive(self, job: Json) -> None:
        status = job.get("status") or {}
        pods = [pod for pod in self.all(POD) if pod["metadata"]["ownerReferences"][0]["uid"] == job["metadata"]["uid"]]
        live = [pod for pod in pods if pod["status"]["phase"] in ("Pending", "Running")]
        if status.get("conditions"):
            return
        since = (self.now - parse_time(job["metadata"]["creationTimestamp"])).total_seconds()
        if since > job["spec"]["activeDeadlineSeconds"]:
            for pod in live:
                self.remove(pod)
            self._end(job, "Failed", "DeadlineExceeded", pods)
        elif job["spec"]["suspend"]:
            for pod in live:
                self.remove(pod)
        elif live and live[0]["metadata"].get("deletionTimestamp"):
            self._terminate(job, live[0])
        elif live:
            self._advance(live[0])
        else:
            self._next(job, pods)

    def _terminate(self, job: Json, pod: Json) -> None:
        """The containers of a deleted pod have ended; the Job counts it, and lets it go."""
        status = {**pod["status"], "phase": "Failed"}
        self.deleted.setdefault(job["metadata"]["uid"], []).append({**pod, "status": status})
        self.remove(pod)

    def _next(self, job: Json, pods: list[Json]) -> None:
        """No pod runs: the Job has ended, or makes its next pod."""
        ended = [*pods, *self.deleted.get(job["metadata"]["uid"], ())]
        failed = [pod for pod in ended if pod["status"]["phase"] == "Failed" and not _ignored(pod)]
        if any(pod["status"]["phase"] == "Succeeded" for pod in pods):
            end, reason = "Complete", "CompletionsReached"
        elif any(_exit_code(pod) == 64 for pod in failed):
            end, reason = "Failed", "PodFailurePolicy"
        elif len(failed) > job["spec"]["backoffLimit"]:
            end, reason = "Failed", "BackoffLimitExceeded"
        else:
            if failed:
                self.change(job, status={"failed": len(failed)})
            self._make_pod(job)
            return
        self._end(job, end, reason, failed)

    def _end(self, job: Json, end: str, reason: str, failed: list[Json]) -> None:
        condition = {"type": end, "status": "True", "reason": reason, "lastTransitionTime": wire(self.now)}
        self.change(job, status={"failed": len(failed), "conditions": [condition]})

    def _make_pod(self, job: Json) -> None:
        self.started += 1
        name = f"{job['metadata']['name']}-{self.started}"
        self.add(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "name": name,
                    "namespace": NAMESPACE,
                    "uid": f"uid-pod-{self.started}",
                    "labels": job["spec"]["template"]["metadata"]["labels"],
                    "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "uid": job["metadata"]["uid"]}],
                },
                "spec": {"nodeName": "node-1"},
                "status": {"phase": "Pending"},
            }
        )

    def _advance(self, pod: Json) -> None:
        number = int(pod["metadata"]["uid"].rpartition("-")[2])
        how = self.tries[min(number, len(self.tries)) - 1]
        log = self.logs.setdefault(pod["metadata"]["name"], [])
        if pod["status"]["phase"] == "Pending":
            state: Json = {"running": {"startedAt": wire(self.now)}}
            self.change(pod, status={"phase": "Running", "containerStatuses": [{"name": "trainer", "state": state}]})
            return
        if len(log) < 2:
            log.append(epoch_line(len(log) + 1))
            return
        if how.exit_code == 0 and not how.preempted and not how.log_lost:
            log.append(how.detail)
        running = pod["status"]["containerStatuses"][0]["state"].get("running")
        if running is None:
            return  # the trainer has ended, and another container has not
        state = {
            "terminated": {
                "exitCode": 143 if how.preempted else how.exit_code,
                "reason": "Error",
                "message": "" if how.preempted else how.said,
                **running,
                "finishedAt": wire(self.now),
            }
        }
        phase = "Succeeded" if how.exit_code == 0 and not how.preempted and not how.beside else "Failed"
        others: list[Json] = []
        if how.beside:
            goes_on = how.beside == "goes on"
            phase = "Running" if goes_on else phase
            end = {"running": running} if goes_on else {"terminated": {"exitCode": 1, "reason": "Error"}}
            others.append({"name": "mesh", "state": end})
        conditions = [{"type": "DisruptionTarget", "status": "True"}] if how.preempted else []
        status = {
            "phase": phase,
            "conditions": conditions,
            "containerStatuses": [{"name": "trainer", "state": state}, *others],
        }
        self.change(pod, status=status)


def _ignored(pod: Json) -> bool:
    """Whether the podFailurePolicy ignores it."""
    return bool(pod["status"].get("conditions")) or _exit_code(pod) == 143


def _exit_code(pod: Json) -> int:
    return int(pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"])


class _Client:
    """What the operator uses of `modelfleet.kube.Client`."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def get(self, kind: Kind, namespace: str, name: str) -> Json:
        return self._known(kind, name)

    async def list(self, kind: Kind, namespace: str, *, fields: str) -> Listing:
        """Events: nobody refuses a pod here."""
        return Listing((), 1)

    async def create(self, manifest: Mapping[str, Any]) -> Json:
        kind, key = kind_of(manifest), key_of(manifest)
        if (kind, key) in self._world.objects:
            raise AlreadyExists("exists", code=409, reason="AlreadyExists")
        return self._written(self._world.add(dict(manifest)))

    async def patch(self, kind: Kind, namespace: str, name: str, body: Mapping[str, Any]) -> Json:
        obj = self._known(kind, name)
        metadata = body.get("metadata", {})
        for precondition in ("uid", "resourceVersion"):
            if metadata.get(precondition, obj["metadata"].get(precondition)) != obj["metadata"].get(precondition):
                raise Conflict("precondition failed", code=409)
        new = _merge(obj, {key: value for key, value in body.items() if key != "metadata"})
        new["metadata"] = _merge(obj["metadata"], {k: v for k, v in metadata.items() if k != "resourceVersion"})
        self._world.change(new, **({"spec": new["spec"]} if "spec" in body else {}))
        return self._written(self._known(kind, name))

    async def patch_status(self, kind: Kind, namespace: str, name: str, body: Mapping[str, Any]) -> Json:
        obj = self._known(kind, name)
        if body["metadata"]["resourceVersion"] != obj["metadata"]["resourceVersion"]:
            raise Conflict("the object has been modified", code=409)
        self._world.change(obj, status=_merge(obj.get("status") or {}, body["status"]))
        return self._written(self._known(kind, name))

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str, resource_version: str = "") -> Json | None:
        obj = self._world.get(kind, name)
        if obj is None or obj["metadata"]["uid"] != uid:
            return None
        if kind != POD:
            self._world.remove(obj)
            self._written(obj)
            return None
        self._world.change(obj, metadata={**obj["metadata"], "deletionTimestamp": wire(self._world.now)})
        return self._written(self._known(kind, name))

    async def read_log(self, namespace: str, pod: str, container: str, tail_lines: int | None = None) -> str:
        if not self._world.logs_readable:
            raise Unavailable("the node is out of reach")
        return "\n".join(["plain text", *self._world.logs[pod]])

    async def post_event(self, regarding: Json, type: str, reason: str, message: str, now: datetime) -> None:
        self._world.events.append(reason)

    def _known(self, kind: Kind, name: str) -> Json:
        obj = self._world.get(kind, name)
        if obj is None:
            raise NotFound("not found", code=404, reason="NotFound")
        return obj

    def _written(self, obj: Json) -> Json:
        world = self._world
        world.writes += 1
        if world.kill_always or world.kill_after == world.writes:
            raise Killed
        return obj


def _merge(old: Mapping[str, Any], patch: Mapping[str, Any]) -> Json:
    merged = dict(old)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = _merge(merged[key], value)
        else:
            merged[key] = {k: v for k, v in value.items() if v is not None} if isinstance(value, Mapping) else value
    return merged


class _Logs:
    """What the operator uses of `modelfleet.kube.LogTails`. Whether there was a new line is asked, and not called back:
    the operator's own delay after a line is in real seconds."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._followed: dict[str, str] = {}
        self._seen = 0

    def grown(self) -> bool:
        """Whether a followed log has new lines since this was last asked."""
        before, self._seen = self._seen, sum(len(self.lines(uid)) for uid in self._followed)
        return self._seen > before

    def follow(self, namespace: str, pod: str, uid: str, container: str, on_line: Any) -> None:
        self._followed[uid] = pod

    def lines(self, uid: str) -> tuple[str, ...]:
        return tuple(self._world.logs.get(self._followed.get(uid, ""), ())) if self._world.logs_readable else ()

    def forget(self, uid: str) -> None:
        self._followed.pop(uid, None)


class Operator:
    """One process of the operator; it knows nothing but what it reads from the world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._store = Store()
        self._queue: dict[tuple[Kind, Key], datetime] = {}
        self._logs = _Logs(world)
        self._metrics = telemetry.Metrics("test")
        settings = Settings(
            images=Images(trainer=IMAGE, agent=IMAGE, labeler=IMAGE), verification=Verification(enabled=False)
        )
        deps: Any = Deps(
            self._store,
            _Client(world),  # type: ignore[arg-type]
            self._logs,  # type: ignore[arg-type]
            None,  # type: ignore[arg-type]
            settings,
            self._wake,
            lambda: world.now,
            self._metrics,
        )
        self._deps = deps
        made = [each.controller(deps) for each in world.capabilities]
        self._controllers: dict[Kind, Any] = {each.kind: each for each in made}
        self._store.subscribe(self._changed)
        self.sync()
        for kind in OWNERS:
            for obj in self._store.list(kind):
                self._wake(kind, key_of(obj))

    def sync(self) -> None:
        """What the watches bring."""
        for kind in WATCHED:
            self._store.replace(kind, self._world.all(kind), self._world._version)
        if self._logs.grown():
            for obj in self._store.list(TRAINING_JOB):
                self._wake(TRAINING_JOB, key_of(obj))

    async def work(self) -> None:
        """Reconcile until nothing is due."""
        for _ in range(1000):
            self.sync()
            due = [item for item, at in self._queue.items() if at <= self._world.now]
            if not due:
                return
            kind, key = due[0]
            del self._queue[kind, key]
            if kind not in self._controllers:
                continue
            try:
                after = await reconcile(self._controllers[kind], key, self._deps, self._metrics)
            except (Conflict, NotFound):
                after = timedelta(seconds=1)
            if after is not None:
                self._wake_at(kind, key, self._world.now + after)
        raise AssertionError("the operator never comes to rest")

    def _changed(self, kind: Kind, before: Any, now: Any) -> None:
        for watch in (watch for each in self._world.capabilities for watch in each.WATCHES):
            if watch.kind == kind:
                for key in watch.woken(before, now, self._store):
                    self._wake_at(watch.owner, key, self._world.now + watch.delay)

    def _wake(self, kind: Kind, key: Key) -> None:
        self._wake_at(kind, key, self._world.now)

    def _wake_at(self, kind: Kind, key: Key, at: datetime) -> None:
        known = self._queue.get((kind, key))
        self._queue[kind, key] = at if known is None else min(known, at)


@dataclass
class Story:
    """Runs a world and its operator; after a kill with a new operator."""

    world: World
    kills: int = 0

    def __post_init__(self) -> None:
        self._operator = Operator(self.world)

    async def settle(self) -> None:
        """Let the operator do all it can now."""
        while True:
            try:
                await self._operator.work()
                return
            except Killed:
                self.kills += 1
                self._operator = Operator(self.world)

    def restart(self) -> None:
        """A new operator."""
        self._operator = Operator(self.world)

    async def until(self, reason: str, *, steps: int = 200) -> None:
        """Ten seconds at a time, until Ready has this reason."""
        for _ in range(steps):
            await self.settle()
            if self.world.reason == reason:
                return
            self.world.tick()
        raise AssertionError(
            f"{reason} was not reached; {self.world.reason}: {json.dumps(self.world.training, indent=1)}"
        )

    async def until_event(self, reason: str, *, steps: int = 200) -> None:
        """Ten seconds at a time, until an Event of this reason was posted."""
        for _ in range(steps):
            await self.settle()
            if reason in self.world.events:
                return
            self.world.tick()
        raise AssertionError(f"{reason} was not announced; {self.world.events}")

    async def run(self, steps: int) -> None:
        """So many times ten seconds."""
        for _ in range(steps):
            await self.settle()
            self.world.tick()
        await self.settle()
