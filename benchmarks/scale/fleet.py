"""One Rollout over many nodes, in this process: what one look costs, and what an install and an upgrade cost in all.

The objects are as an API server would hold them (nodes, DaemonSets, ControllerRevisions, a pod on each node) and are
put into the store directly; nothing of Kubernetes runs. What is timed is what the operator does with them.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

from modelfleet.api import names
from modelfleet.decision import Apply, Create, Decision, Delete
from modelfleet.kinds import DAEMON_SET, MODEL_VERSION, NODE, POD, ROLLOUT, Key, kind_of
from modelfleet.kube import Store
from modelfleet.rollout.decide import decide
from modelfleet.rollout.membership import Memberships
from modelfleet.rollout.observe import snapshot
from modelfleet.runtime import collector

Json = dict[str, Any]

NAMESPACE = "benchmark"
START = datetime(2026, 11, 27, 8, 0, tzinfo=UTC)
KEY = Key(NAMESPACE, "line")
CANARIES = 0.02
BATCHES = 50
"""A fleet's pods come in so many steps; the operator looks after each."""


@dataclass(frozen=True)
class FleetCost:
    """What a fleet of `nodes` costs, in processor seconds.

    look_seconds        median of one look (observe and decide) at the installed fleet, one node and one pod changed
    quiet_look_seconds  the same with nothing changed
    install_seconds, upgrade_seconds  all looks while the pods come in `BATCHES` steps
    status_bytes        the largest status
    """

    nodes: int
    look_seconds: float
    quiet_look_seconds: float
    install_seconds: float
    upgrade_seconds: float
    status_bytes: int


class Fleet:
    """The cluster of one Rollout, as far as the operator sees it."""

    def __init__(self, nodes: int) -> None:
        self.store = Store()
        self.now = START
        self.version = 0
        self.memberships = Memberships()
        self.looked = 0.0
        self.status_bytes = 0
        canaries = max(1, int(nodes * CANARIES))
        self.members = {
            "canary": [f"node-{number:05}" for number in range(canaries)],
            "fleet": [f"node-{number:05}" for number in range(canaries, nodes)],
        }
        for group, members in self.members.items():
            for name in members:
                self.put(_node(name, group))
        self.put(_version("v1"))
        self.put(_rollout("v1"))

    def put(self, obj: Json) -> None:
        """What the API server would send, at the next resource version."""
        self.version += 1
        metadata = {"uid": f"{obj['kind']}-{obj['metadata']['name']}", "creationTimestamp": _time(self.now)}
        version = {"resourceVersion": str(self.version)}
        self.store.put({**obj, "metadata": {**metadata, **obj["metadata"], **version}})

    def look(self) -> Decision:
        """One look, timed; then what it decided is done."""
        begun = time.process_time()
        seen = snapshot(self.store, KEY, "agent", self.memberships)
        if seen is None:
            raise RuntimeError("the Rollout is gone")
        decision = decide(seen, self.now)
        self.looked += time.process_time() - begun
        for action in decision.actions:
            match action:
                case Apply(manifest) | Create(manifest):
                    self._apply(dict(manifest))
                case Delete(kind, namespace, name, uid, _):
                    self.store.forget(kind, namespace, name, uid)
                case _:
                    raise RuntimeError(f"unexpected {action}")
        if decision.status is not None:
            status = decision.status.to_dict()
            self.status_bytes = max(self.status_bytes, len(repr(status)))
            raw = self.store.get(ROLLOUT, *KEY)
            if raw is not None and raw.get("status") != status:
                self.put({**raw, "status": status})
        return decision

    def _apply(self, manifest: Json) -> None:
        old = self.store.get(kind_of(manifest), NAMESPACE, manifest["metadata"]["name"])
        known = old["metadata"] if old is not None else {"generation": 0}
        metadata = {**known, **manifest["metadata"], "generation": known.get("generation", 0) + 1}
        observed = {"status": {"observedGeneration": metadata["generation"]}} if "spec" in manifest else {}
        self.put({**manifest, "metadata": metadata, **observed})

    def settle(self) -> None:
        """Look until nothing follows any more."""
        for _ in range(20):
            if not self.look().actions:
                return
        raise RuntimeError("it does not come to rest")

    def bring(self, version: str) -> float:
        """Bring a version to all nodes, in batches of pods; the processor seconds of all looks."""
        self.looked = 0.0
        self.settle()
        for _ in range(3):
            for group in self.members:
                carried = self.store.get(DAEMON_SET, NAMESPACE, f"line-{group}")
                labels = carried["metadata"]["labels"] if carried is not None else {}
                if labels.get(names.VERSION) != version or self._runs(group, labels[names.REVISION]):
                    continue
                for batch in _batches(self.members[group]):
                    for node in batch:
                        self.put(_pod(node, group, labels, self.now))
                    self.now += timedelta(seconds=2)
                    self.settle()
                self.now += timedelta(minutes=5)
                self.settle()
        stable = (self.store.get(ROLLOUT, *KEY) or {}).get("status", {}).get("stableVersion")
        if stable != version:
            raise RuntimeError(f"{version} is not stable: {self.store.get(ROLLOUT, *KEY)}")
        return self.looked

    def _runs(self, group: str, revision: str) -> bool:
        pod = self.store.get(POD, NAMESPACE, f"line-{self.members[group][-1]}")
        return pod is not None and pod["metadata"]["labels"][names.REVISION] == revision


def cost(nodes: int) -> FleetCost:
    """All figures of a fleet of this size."""
    collector.calm()  # as the operator does
    fleet = Fleet(nodes)
    install = fleet.bring("v1")
    fleet.put(_version("v2"))
    fleet.put(_rollout("v2", (fleet.store.get(ROLLOUT, *KEY) or {}).get("status")))
    upgrade = fleet.bring("v2")
    return FleetCost(
        nodes=nodes,
        look_seconds=_looks(fleet, changing=True),
        quiet_look_seconds=_looks(fleet, changing=False),
        install_seconds=install,
        upgrade_seconds=upgrade,
        status_bytes=fleet.status_bytes,
    )


def _looks(fleet: Fleet, *, changing: bool) -> float:
    """Median processor seconds of one look, with a pod and a node that changed since the last one or with none."""
    found = []
    for number in range(15):
        if changing:
            node = fleet.members["fleet"][number]
            fleet.put(_node(node, "fleet"))
            pod = fleet.store.get(POD, NAMESPACE, f"line-{node}")
            if pod is not None:
                fleet.put({**pod, "status": {**pod["status"], "message": str(number)}})
        fleet.looked = 0.0
        fleet.look()
        found.append(fleet.looked)
    return median(found)


def _batches(members: list[str]) -> Iterator[list[str]]:
    size = max(1, len(members) // BATCHES)
    for first in range(0, len(members), size):
        yield members[first : first + size]


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _node(name: str, group: str) -> Json:
    return {
        "apiVersion": NODE.api_version,
        "kind": NODE.kind,
        "metadata": {"name": name, "labels": {"app": "line", "group": group, "kubernetes.io/hostname": name}},
        "spec": {},
        "status": {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": _time(START)}]},
    }


def _pod(node: str, group: str, labels: Json, now: datetime) -> Json:
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": _time(now)}
    return {
        "apiVersion": POD.api_version,
        "kind": POD.kind,
        "metadata": {"name": f"line-{node}", "namespace": NAMESPACE, "labels": dict(labels)},
        "spec": {"nodeName": node, "containers": [{"name": "agent", "image": "agent"}]},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "PodScheduled", "status": "True"}, ready],
            "containerStatuses": [{"name": "agent", "ready": True, "restartCount": 0, "state": {"running": {}}}],
        },
    }


def _version(version: str) -> Json:
    return {
        "apiVersion": MODEL_VERSION.api_version,
        "kind": MODEL_VERSION.kind,
        "metadata": {"name": f"parts-{version}", "namespace": NAMESPACE},
        "spec": {
            "model": "parts",
            "version": version,
            "artifact": {
                "uri": f"s3://models/parts/{version}/",
                "files": [{"name": "best.onnx", "format": "onnx", "sha256": "a" * 64, "sizeBytes": 1000}],
            },
            "classes": ["bolt", "nut"],
        },
        "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Available", "message": ""}]},
    }


def _rollout(version: str, status: Json | None = None) -> Json:
    def group(name: str) -> Json:
        return {"name": name, "nodeSelector": {"matchLabels": {"app": "line", "group": name}}, "maxUnavailable": "50%"}

    return {
        "apiVersion": ROLLOUT.api_version,
        "kind": ROLLOUT.kind,
        # Past its gates: they ask Prometheus, by as many queries for any number of nodes.
        "metadata": {
            "name": "line",
            "namespace": NAMESPACE,
            "generation": 1,
            "annotations": {f"{names.GROUP}/promote": version},
        },
        "spec": {
            "model": {"name": "parts", "version": version},
            "groups": [group("canary"), group("fleet")],
            "gate": {"soak": "1s", "interval": "1s", "timeout": "1m"},
            "delivery": {"format": "onnx", "container": "agent"},
            "template": {"spec": {"containers": [{"name": "agent", "image": "agent"}]}},
        },
        **({"status": status} if status else {}),
    }
