"""A simulation of the cluster around a Rollout, so that whole stories run in milliseconds, on the operator's real code.

Simulated, each in a few lines: the API server (objects with resource versions, apply, create, merge patch, delete), the
DaemonSet controller (rolling updates under maxUnavailable or maxSurge), the nodes (a pod becomes ready after a while,
or never), trainings, replays, the clock, and what the gate and the watch for drift say. Real: store, snapshot, decide,
the gate's plan and chain, status patches.

The operator is woken as in the cluster: by a change of an object, or when its `requeue_after` has passed. A story that
ends well therefore also shows that no wake-up is missing. `World.killed` is the world with a new operator process in
it, to go on from the moment right after any single write.
"""

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from modelfleet import drift, gate, status_patch
from modelfleet.api import names
from modelfleet.api.rolloutstatus import RolloutStatus
from modelfleet.decision import Announce, Apply, Create, Decision, Delete, Patch
from modelfleet.gate import Evidence, Judgement, Plan, Verdict
from modelfleet.kinds import (
    CONFIG_MAP,
    CONTROLLER_REVISION,
    DAEMON_SET,
    JOB,
    MODEL_VERSION,
    NODE,
    POD,
    ROLLOUT,
    TRAINING_JOB,
    Key,
    Kind,
    kind_of,
)
from modelfleet.kube.store import Store
from modelfleet.rollout import drifting, gating, nodes, reviewed
from modelfleet.rollout.decide import decide
from modelfleet.rollout.observe import snapshot
from modelfleet.rollout.position import Position, locate
from modelfleet.rollout.snapshot import DriftSeen
from unit.rollout import builders
from unit.rollout.builders import AGENT_IMAGE, START, wire

NAMESPACE = "factory"
STARTUP = timedelta(seconds=20)
TICK = timedelta(seconds=10)
TRAINING = timedelta(minutes=1)

Json = dict[str, Any]
REPLAY = timedelta(minutes=1)

Judge = Callable[[Plan, datetime], Judgement | None]
Watching = Callable[[drift.Plan, datetime], drift.Judgement | None]


def said(plan: Plan, now: datetime, verdict: Verdict, message: str = "as told", **fields: Any) -> Judgement:
    """A judgement as a story wants it."""
    return Judgement(
        verdict=verdict,
        reason=verdict.value,
        message=message,
        looks=1,
        canary_nodes=1,
        control_nodes=1,
        detections=100,
        method="Checks",
        next_look=now + plan.policy.interval,
        **fields,
    )


class World:
    """The cluster, its clock, and the operator for one Rollout called `line`."""

    def __init__(self) -> None:
        self.now = START
        self.store = Store()
        self.judge: Judge = lambda plan, now: None
        self.watch: Watching = lambda plan, now: None
        self.untrainable = False  # trainings fail
        self.replays: Callable[[Json], tuple[int, str] | None] = lambda job: None  # how a replay ends: exit code, word
        self.replayed: list[str] = []  # the name of every Job that was ever made
        self.broken: set[str] = set()  # versions whose pods never become ready
        self.problem: Callable[[Json], None] = lambda pod: None  # what a broken pod says of itself
        self.no_pods: set[str] = set()  # nodes for which no pod can be made
        self.stuck: set[str] = set()  # nodes on which no pod ends
        self.announced: list[Announce] = []
        self.ran: list[tuple[str, str]] = []  # (node, version) of every pod that was ever made
        self.writes = 0
        self.after_write: Callable[[], None] = lambda: None
        self._version = 0
        self._due: datetime | None = None
        self._woken = True
        self._looks: tuple[Plan, Judgement] | None = None

    # --- API server ---------------------------------------------------------------------------------------------------

    def put(self, obj: Mapping[str, Any]) -> Json:
        """Create or replace an object."""
        self._version += 1
        new: Json = _copied(dict(obj))
        new["metadata"]["resourceVersion"] = str(self._version)
        new["metadata"].setdefault("uid", f"uid-{new['kind']}-{new['metadata']['name']}-{self._version}")
        new["metadata"].setdefault("creationTimestamp", wire(self.now))
        self.store.put(new)
        self._woken = True
        return new

    def delete(self, kind: Kind, name: str) -> None:
        """Remove an object, and what it owns."""
        found = self.store.get(kind, NAMESPACE, name)
        if found is None:
            return
        self.store.forget(kind, NAMESPACE if kind.namespaced else "", name, found["metadata"]["uid"])
        self._woken = True
        for child in (POD, DAEMON_SET, CONTROLLER_REVISION, CONFIG_MAP):
            for owned in self.store.list(child, NAMESPACE, owner_uid=found["metadata"]["uid"]):
                self.delete(child, owned["metadata"]["name"])

    def get(self, kind: Kind, name: str) -> Json:
        found = self.store.get(kind, NAMESPACE, name)
        assert found is not None, f"no {kind} {name}"
        return _copied(dict(found))

    def edit(self, kind: Kind, name: str, change: Callable[[Json], None]) -> None:
        """Change an object in place, as `kubectl edit` does."""
        obj = self.get(kind, name)
        before = json.dumps(obj.get("spec"), sort_keys=True)
        change(obj)
        if json.dumps(obj.get("spec"), sort_keys=True) != before:
            obj["metadata"]["generation"] = obj["metadata"].get("generation", 0) + 1
        self.put(obj)

    def spec(self, **fields: Any) -> None:
        """Change fields of the Rollout's spec."""
        self.edit(ROLLOUT, "line", lambda obj: obj["spec"].update(fields))

    def choose(self, version: str) -> None:
        """Pin a version."""
        self.spec(model={"name": "parts", "version": version})

    def annotate(self, verb: str, value: str) -> None:
        """Give a command."""
        self.edit(ROLLOUT, "line", lambda obj: obj["metadata"]["annotations"].update({f"modelfleet.dev/{verb}": value}))

    def wipe_status(self) -> None:
        """Lose the Rollout's status."""
        self.edit(ROLLOUT, "line", lambda obj: obj.pop("status", None))

    def add_nodes(self, label: str, count: int, **fields: Any) -> list[str]:
        """Nodes of a group."""
        there = sum(raw["metadata"]["labels"].get("group") == label for raw in self.store.list(NODE))
        added = [f"{label}-{there + index}" for index in range(count)]
        for name in added:
            self.put(builders.node(name, {"group": label}, since=self.now, **fields))
        return added

    def reach(self, name: str, reachable: bool) -> None:
        """A node goes away, or comes back."""
        old = self.get(NODE, name)
        self.put(builders.node(name, old["metadata"]["labels"], reachable=reachable, since=self.now))
        if not reachable:  # what the node lifecycle controller does
            for pod in self.store.list(POD, NAMESPACE):
                if pod["spec"]["nodeName"] == name:
                    self._set_ready(_copied(dict(pod)), False)

    def killed(self) -> "World":
        """The world as it is at this very moment, with a new operator process in it."""
        fork = copy.copy(self)
        fork.after_write = lambda: None
        fork.store = copy.deepcopy(self.store)
        fork.broken, fork.no_pods = set(self.broken), set(self.no_pods)
        fork.replayed = list(self.replayed)
        fork.announced, fork.ran = list(self.announced), list(self.ran)
        fork._looks, fork._due, fork._woken = None, None, True
        return fork

    # --- the operator -------------------------------------------------------------------------------------------------

    def _written(self) -> None:
        self.writes += 1
        self.after_write()

    def _carry_out(self, action: Apply | Create | Patch | Delete) -> None:
        match action:
            case Apply(manifest):
                self._apply(manifest)
            case Create(manifest):
                metadata = manifest["metadata"]
                if self.store.get(kind_of(manifest), metadata["namespace"], metadata["name"]) is None:
                    self.put(manifest)
                    self.replayed += [metadata["name"]] if kind_of(manifest) == JOB else []
            case Patch(kind, _, name, body):
                obj = self.get(kind, name)
                assert obj["metadata"]["uid"] == body["metadata"]["uid"]
                _merge(obj, body)
                self.put(obj)
            case Delete(kind, namespace, name, uid):
                found = self.store.get(kind, namespace, name)
                if found is not None and found["metadata"]["uid"] == uid:
                    self.delete(kind, name)

    def _apply(self, manifest: Mapping[str, Any]) -> None:
        kind, name = kind_of(manifest), manifest["metadata"]["name"]
        old = self.store.get(kind, NAMESPACE, name)
        new: Json = _copied(dict(manifest))
        if old is not None:
            new["metadata"] = {**old["metadata"], **new["metadata"]}
            new["metadata"]["generation"] += old.get("spec") != new.get("spec")
            if "status" in old:
                new["status"] = old["status"]
        else:
            new["metadata"]["generation"] = 1
        self.put(new)

    def look(self) -> Decision | None:
        """One reconcile."""
        raw, status, announced = self.store.get(ROLLOUT, NAMESPACE, "line"), None, []
        if raw is None:
            return None
        for _ in range(3):  # as in reconcile: what the actions bring about comes into the same status
            decision = self._decide(status)
            for action in decision.actions:
                self._carry_out(action)
                self._written()
            status = decision.status or status
            announced += decision.announcements
            if not decision.actions:
                break
        assert status is not None
        patch = status_patch.patch_for(raw.get("status") or {}, status)
        if patch is not None:
            status = self.get(ROLLOUT, "line").get("status") or {}
            if status != (raw.get("status") or {}):
                return decision  # a conflict; the change that made it has woken us already
            _merge(status, patch)
            self.edit(ROLLOUT, "line", lambda obj: obj.update(status=status))
            self._written()
        self.announced += announced
        self._due = None if decision.requeue_after is None else self.now + decision.requeue_after
        return decision

    def _decide(self, status: RolloutStatus | None) -> Decision:
        """What is decided now; with a status that was decided upon and is not written yet."""
        seen = snapshot(self.store, Key(NAMESPACE, "line"), AGENT_IMAGE)
        assert seen is not None
        position = locate(seen, seen.revisions, self.now)
        plan = gating.active(position)
        if plan is None:
            self._looks = None
        else:
            seen = replace(seen, judgement=self._judgement(plan))
        seen = replace(seen, drift=self._watched(position))
        if status is not None:
            seen = replace(seen, rollout=seen.rollout.replace(status=status))
        return decide(seen, self.now)

    def _watched(self, position: Position) -> DriftSeen | None:
        plan = drifting.plan(position)
        if plan is None:
            return None
        before, why = drifting.before(position), drifting.moving(position)
        if why:
            paused = drift.paused(plan, before, why, self.now)
            return DriftSeen(plan, drift.overlay(paused, plan, drift.Reviewed(), before, self.now, held=True))
        told = self.watch(plan, self.now) or drift.Judgement(drift.State.STEADY, "as usual")
        told = drift.overlay(told, plan, reviewed.of_stable(position), before, self.now)
        return DriftSeen(plan, replace(told, next_look=self.now + TICK))

    def _judgement(self, plan: Plan) -> Judgement:
        if self._looks is not None and self._looks[0] == plan and self.now < self._looks[1].next_look:
            return self._looks[1]
        told = self.judge(plan, self.now) or gate.judge(plan, Evidence(), self.now)
        self._looks = plan, told
        return told

    def operate(self) -> None:
        """Let the operator work for as long as something wakes it."""
        for _ in range(50):
            if not self._woken and (self._due is None or self.now < self._due):
                return
            self._woken = False
            self.look()
        raise AssertionError("the operator does not come to rest")

    # --- nodes and their pods -----------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Ten seconds pass: the operator, the DaemonSet controller and the nodes work."""
        self.operate()
        self.now += TICK
        for daemon_set in self.store.list(DAEMON_SET, NAMESPACE):
            self._control(daemon_set)
        for pod in self.store.list(POD, NAMESPACE):
            if names.NODE_GROUP in pod["metadata"]["labels"] and not _ready(pod):
                self._run(_copied(dict(pod)))
        for training in self.store.list(TRAINING_JOB, NAMESPACE):
            self._train(_copied(dict(training)))
        for job in self.store.list(JOB, NAMESPACE):
            self._replay(_copied(dict(job)))

    def _train(self, training: Json) -> None:
        """A training ends after a minute: with a version of its own name, or it fails."""
        made = datetime.fromisoformat(training["metadata"]["creationTimestamp"])
        if "status" in training or self.now - made < TRAINING:
            return
        name, ended = training["metadata"]["name"], "Failed" if self.untrainable else "Complete"
        if not self.untrainable:
            lineage = {"trainingJob": name, "mode": "FineTune"}
            self.put(builders.model_version(name, created=self.now, lineage=lineage))
        self.put({**training, "status": {"conditions": [{"type": ended, "status": "True", "reason": "x"}]}})

    def _replay(self, job: Json) -> None:
        """The Job controller and the kubelet: a pod at once, which ends after a minute where the story says how."""
        if not self.store.list(POD, NAMESPACE, owner_uid=job["metadata"]["uid"]):
            owner = {"uid": job["metadata"]["uid"]}
            labels = job["spec"]["template"]["metadata"]["labels"]
            metadata = {"name": job["metadata"]["name"] + "-x", "namespace": NAMESPACE, "labels": labels}
            status = {"phase": "Running", "conditions": [_condition("False", self.now)]}
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata | {"ownerReferences": [owner]}}
            self.put({**pod, "spec": {"nodeName": "any"}, "status": status})
        made = datetime.fromisoformat(job["metadata"]["creationTimestamp"])
        ends = self.replays(job)
        if "status" in job or ends is None or self.now - made < REPLAY:
            return
        code, word = ends
        for pod in self.store.list(POD, NAMESPACE, owner_uid=job["metadata"]["uid"]):
            ended = {"terminated": {"exitCode": code, "message": word}}
            status = {**pod["status"], "containerStatuses": [{"name": "replay", "state": ended}]}
            self.put({**pod, "status": status})
        how = {"type": "Failed" if code else "Complete", "status": "True", "lastTransitionTime": wire(self.now)}
        self.put({**job, "status": {"conditions": [how]}})

    def run(self, until: Callable[[], bool], limit: int = 400) -> None:
        """Let time pass until something is so."""
        for _ in range(limit):
            self.operate()
            if until():
                return
            self.tick()
        raise AssertionError(f"it never came to that; the status is {json.dumps(self.status, indent=1)}")

    def rest(self, ticks: int = 12) -> None:
        """Let two minutes pass."""
        for _ in range(ticks):
            self.tick()
        self.operate()

    def _control(self, daemon_set: Mapping[str, Any]) -> None:
        """The DaemonSet controller: one pod on each matching node; old ones are replaced within maxUnavailable."""
        spec, template = daemon_set["spec"], daemon_set["spec"]["template"]
        rolling = spec["updateStrategy"].get("rollingUpdate")
        if rolling and rolling.get("maxSurge"):
            self._surge(daemon_set)
            return
        by_node = {pod["spec"]["nodeName"]: pod for pod in self._pods_of(daemon_set)}
        wanted = {
            node["metadata"]["name"]: nodes.node_state(node).reachable
            for node in self.store.list(NODE)
            if not nodes.kept_off(template["spec"], node)
        }
        for name, pod in by_node.items():
            if name not in wanted:
                self.delete(POD, pod["metadata"]["name"])
        unavailable = sum(not _ready(by_node[name]) if name in by_node else True for name in wanted)
        allowed = _count(rolling["maxUnavailable"], len(wanted)) if rolling else 0
        current = _hash(template)
        for name, reachable in sorted(wanted.items()):
            pod = by_node.get(name)
            if pod is None:
                if reachable and name not in self.no_pods:
                    self._make(daemon_set, name)
            elif rolling and pod["metadata"]["annotations"]["hash"] != current and reachable:
                if _ready(pod) and unavailable >= allowed:
                    continue
                unavailable += _ready(pod)
                if name in self.stuck:
                    self._ask_to_end(_copied(pod))
                    continue
                self.delete(POD, pod["metadata"]["name"])
                if name not in self.no_pods:
                    self._make(daemon_set, name)
        self._seen(daemon_set)

    def _surge(self, daemon_set: Mapping[str, Any]) -> None:
        """The same with maxSurge: a second pod on some nodes; the old one goes when that is ready, or it is not."""
        template = daemon_set["spec"]["template"]
        current, surging, waiting = _hash(template), 0, []
        wanted = {
            node["metadata"]["name"]: nodes.node_state(node).reachable
            for node in self.store.list(NODE)
            if not nodes.kept_off(template["spec"], node)
        }
        by_node: dict[str, list[Mapping[str, Any]]] = {name: [] for name in wanted}
        for pod in sorted(self._pods_of(daemon_set), key=lambda pod: int(pod["metadata"]["uid"].rpartition("-")[2])):
            if not pod["metadata"].get("deletionTimestamp"):
                by_node.setdefault(pod["spec"]["nodeName"], []).append(pod)
            elif wanted.get(pod["spec"]["nodeName"], True) and pod["spec"]["nodeName"] not in self.stuck:
                self.delete(POD, pod["metadata"]["name"])
        for name, pods in sorted(by_node.items()):
            new = [pod for pod in pods if pod["metadata"]["annotations"]["hash"] == current]
            old = [pod for pod in pods if pod not in new]
            gone = pods if name not in wanted else [*new[1:], *old[1:]]
            if new and old and (_ready(new[0]) or not _ready(old[0])):
                gone = [*gone, old[0]]
            elif new and old:
                surging += 1
            elif name in wanted and not new:
                waiting.append((name, bool(old) and _ready(old[0])))
            for pod in gone:
                if name in wanted and (name in self.stuck or not wanted[name]):
                    self._ask_to_end(_copied(dict(pod)))
                else:
                    self.delete(POD, pod["metadata"]["name"])
        room = _count(daemon_set["spec"]["updateStrategy"]["rollingUpdate"]["maxSurge"], len(wanted)) - surging
        for name, serves in waiting:
            if name not in self.no_pods and (room > 0 or not serves):
                self._make(daemon_set, name)
                room -= serves
        self._seen(daemon_set)

    def _seen(self, daemon_set: Mapping[str, Any]) -> None:
        seen = {"observedGeneration": daemon_set["metadata"]["generation"]}
        if daemon_set.get("status") != seen:
            self.put({**daemon_set, "status": seen})

    def _pods_of(self, daemon_set: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        yield from self.store.list(POD, NAMESPACE, owner_uid=daemon_set["metadata"]["uid"])

    def _make(self, daemon_set: Mapping[str, Any], node: str) -> None:
        template = daemon_set["spec"]["template"]
        self.ran.append((node, template["metadata"]["labels"][names.VERSION]))
        self.put(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "name": f"{daemon_set['metadata']['name']}-{node}-{self._version}",
                    "namespace": NAMESPACE,
                    "labels": template["metadata"]["labels"],
                    "annotations": {"hash": _hash(template)},
                    "ownerReferences": [{"uid": daemon_set["metadata"]["uid"]}],
                },
                "spec": {"nodeName": node, "affinity": template["spec"].get("affinity") or {}},
                "status": {"conditions": [_condition("False", self.now)]},
            }
        )

    def _is_on_its_node(self, pod: Json) -> bool:
        """The scheduler: a pod with anti-affinity waits until those of other groups have left its node."""
        notes = pod["metadata"]["annotations"]
        if not pod["spec"]["affinity"].get("podAntiAffinity") or "started" in notes:
            return True
        if not self._is_taken(pod):
            given = {"type": "PodScheduled", "status": "True", "lastTransitionTime": wire(self.now)}
            pod["status"] = {"conditions": [_condition("False", self.now), given]}
            notes["started"] = wire(self.now)
            self.put(pod)
        elif len(pod["status"]["conditions"]) == 1:
            refused = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "anti-affinity"}
            pod["status"]["conditions"].append(refused)
            self.put(pod)
        return False

    def _is_taken(self, pod: Json) -> bool:
        own = pod["metadata"]["labels"]
        return any(
            other["spec"]["nodeName"] == pod["spec"]["nodeName"]
            and other["metadata"]["labels"].get(names.NODE_GROUP, own[names.NODE_GROUP]) != own[names.NODE_GROUP]
            and ("started" in other["metadata"]["annotations"] or not other["spec"]["affinity"].get("podAntiAffinity"))
            for other in self.store.list(POD, NAMESPACE, labels={names.ROLLOUT: own[names.ROLLOUT]})
        )

    def _ask_to_end(self, pod: Json) -> None:
        if "deletionTimestamp" not in pod["metadata"]:
            pod["metadata"]["deletionTimestamp"] = wire(self.now)
            self.put(pod)
            self._set_ready(_copied(pod), False)

    def _run(self, pod: Json) -> None:
        """The kubelet: a pod becomes ready after a while, unless its version is broken."""
        if not nodes.node_state(self.get(NODE, pod["spec"]["nodeName"])).reachable:
            return
        if not self._is_on_its_node(pod):
            return
        if pod["metadata"]["labels"][names.VERSION] in self.broken:
            before = _copied(pod)
            self.problem(pod)
            if pod != before:
                self.put(pod)
        elif self.now - datetime.fromisoformat(_started(pod)) >= STARTUP:
            self._set_ready(pod, True)

    def _set_ready(self, pod: Json, ready: bool) -> None:
        if _ready(pod) != ready:
            pod["status"] = {"conditions": [_condition("True" if ready else "False", self.now)]}
            self.put(pod)

    # --- what tests ask -----------------------------------------------------------------------------------------------

    @property
    def status(self) -> Json:
        """The Rollout's status."""
        found: Json = self.get(ROLLOUT, "line").get("status") or {}
        return found

    @property
    def phase(self) -> str | None:
        return self.status.get("phase")

    def reason(self, type: str = "Ready") -> str | None:
        """The reason of a condition; None where it is not there."""
        return next((c["reason"] for c in self.status.get("conditions", ()) if c["type"] == type), None)

    def message(self, type: str = "Ready") -> str:
        return next(c["message"] for c in self.status["conditions"] if c["type"] == type)

    @property
    def running(self) -> dict[str, str]:
        """Which version each node's ready pod runs."""
        return {
            pod["spec"]["nodeName"]: pod["metadata"]["labels"][names.VERSION]
            for pod in self.store.list(POD, NAMESPACE)
            if _ready(pod)
        }

    @property
    def versions(self) -> set[str]:
        """The versions that run somewhere."""
        return set(self.running.values())

    @property
    def events(self) -> list[str]:
        return [announced.reason for announced in self.announced]

    def is_at(self, version: str) -> bool:
        """The fleet is done with a version."""
        return self.phase == "Ready" and self.status.get("stableVersion") == version and self.versions == {version}

    def end(self) -> Json:
        """The end state without times, to compare stories that ended at different moments."""
        revisions = self.store.list(CONTROLLER_REVISION, NAMESPACE)
        return {
            "running": self.running,
            "daemon sets": {
                raw["metadata"]["name"]: raw["metadata"]["labels"][names.REVISION]
                for raw in self.store.list(DAEMON_SET, NAMESPACE)
            },
            "revisions": {
                raw["metadata"]["labels"][names.REVISION]: sorted(raw["metadata"].get("annotations") or {})
                for raw in revisions
            },
            "status": {
                key: self.status.get(key)
                for key in ("phase", "stableVersion", "stableRevision", "candidateVersion", "currentGroup")
            },
            "conditions": [(c["type"], c["status"], c["reason"]) for c in self.status["conditions"]],
            "replays": [raw["metadata"]["name"] for raw in self.store.list(JOB, NAMESPACE)],
            "trainings": [raw["metadata"]["name"] for raw in self.store.list(TRAINING_JOB, NAMESPACE)],
            "quarantined": [entry["version"] for entry in self.status.get("quarantined", ())],
        }


def fleet(*, canary: int = 1, rest: int = 3, **spec: Any) -> World:
    """A fleet of two groups, v1 and v2 there, v1 chosen and not installed yet."""
    world = World()
    world.add_nodes("canary", canary)
    world.add_nodes("fleet", rest)
    world.put(builders.model_version("v1"))
    world.put(builders.model_version("v2", created=START + timedelta(hours=1)))
    world.put(builders.rollout("v1", **spec))
    return world


def installed(**spec: Any) -> World:
    """A fleet that runs v1."""
    key = json.dumps(spec, sort_keys=True)
    if key not in _INSTALLED:
        world = fleet(**spec)
        world.run(lambda: world.is_at("v1"))
        _INSTALLED[key] = world
    return copy.deepcopy(_INSTALLED[key])


_INSTALLED: dict[str, World] = {}


def _copied(value: Any) -> Any:
    """A copy of JSON values; many times faster than `copy.deepcopy`."""
    if isinstance(value, dict):
        return {key: _copied(inner) for key, inner in value.items()}
    return [_copied(inner) for inner in value] if isinstance(value, list) else value


def _ready(pod: Mapping[str, Any]) -> bool:
    return bool(pod["status"]["conditions"][0]["status"] == "True")


def _started(pod: Mapping[str, Any]) -> str:
    """When it came onto its node."""
    given: str = pod["metadata"]["annotations"].get("started", pod["metadata"]["creationTimestamp"])
    return given


def _condition(status: str, since: datetime) -> Json:
    return {"type": "Ready", "status": status, "lastTransitionTime": wire(since)}


def _count(allowed: int | str, total: int) -> int:
    """What an int or a percentage means among so many nodes."""
    return allowed if isinstance(allowed, int) else -(-int(allowed.rstrip("%")) * total // 100)


def _hash(template: Mapping[str, Any]) -> str:
    return json.dumps(template, sort_keys=True)


def _merge(target: Json, patch: Mapping[str, Any]) -> None:
    """JSON merge patch, RFC 7386."""
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, Mapping):
            inner = target.setdefault(key, {})
            _merge(inner, value)
        else:
            target[key] = _copied(value)


__all__ = ["MODEL_VERSION", "World", "fleet", "installed", "said"]
