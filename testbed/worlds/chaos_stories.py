"""What the operator goes through while it is tortured, each story in any number of namespaces at once.

Nodes are simulated (KWOK) and shared by all namespaces; what a trainer and a labeler would do is played. The rest is
real. Which faults there are is not the story's business: it says how it is prepared, what happens then, when that has
ended, and what of its end must not depend on what went wrong in between.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness import Cluster
from harness.control_plane import AUDITED_USER
from modelfleet.api import names
from worlds.chaos_invariants import BAD
from worlds.datasets import dataset
from worlds.datasets import report as labelled
from worlds.ending import remove_namespaces
from worlds.rollout import LABEL, ONLY_V2_IS_BAD, model_version, rollout
from worlds.training import Space, training_job

Json = dict[str, Any]

NODES = {"canary": 1, "fleet": 2}
ALLOWED = {"canary": 1, "fleet": 1}
"""On how many nodes of a group a pod may be missing."""

CHECK = ONLY_V2_IS_BAD.replace('"v2"', f'"{BAD}"')
_KINDS = (
    *("rollouts", "modelversions", "trainingjobs", "datasets.modelfleet.dev"),
    *("daemonsets", "jobs", "pods", "controllerrevisions"),
)
_MOMENT = re.compile(r"-\d{14}$")  # in the names of a Dataset's Jobs


@dataclass(frozen=True)
class Seen:
    """All objects of a namespace at one moment."""

    items: tuple[Json, ...]

    def of(self, kind: str) -> list[Json]:
        return [each for each in self.items if each["kind"] == kind]

    def get(self, kind: str, name: str) -> Json:
        """One object; {} where there is none."""
        return next((each for each in self.of(kind) if each["metadata"]["name"] == name), {})

    def status(self, kind: str, name: str) -> Json:
        found: Json = self.get(kind, name).get("status") or {}
        return found

    def conditions(self, kind: str, name: str) -> list[tuple[str, str, str]]:
        """(type, status, reason) of each."""
        return sorted((c["type"], c["status"], c["reason"]) for c in self.status(kind, name).get("conditions", ()))

    @property
    def running(self) -> list[tuple[str, str]]:
        """(node, version) of the Rollout's ready pods."""
        pods = (each for each in self.of("Pod") if names.ROLLOUT in (each["metadata"].get("labels") or {}))
        return sorted(
            (pod["spec"]["nodeName"], pod["metadata"]["labels"][names.VERSION])
            for pod in pods
            if any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", ()))
        )

    def runs(self, version: str) -> bool:
        return [found for _, found in self.running] == [version] * sum(NODES.values())

    def is_at(self, version: str) -> bool:
        status = self.status("Rollout", "line")
        settled = status.get("phase") == "Ready" and status.get("stableVersion") == version
        said = status.get("observedGeneration") == self.get("Rollout", "line").get("metadata", {}).get("generation")
        return settled and said and self.runs(version)

    def rolled_back(self) -> bool:
        return ("Stalled", "True", "RolledBack") in self.conditions("Rollout", "line") and self.runs("v1")

    def end(self) -> Json:
        """What must be the same in the end, whatever went wrong on the way."""
        return {
            "status": {f"{kind} {name}": _shown(status) for kind, name, status in self._owners()},
            "conditions": {f"{kind} {name}": self.conditions(kind, name) for kind, name, _ in self._owners()},
            # an update more than in an undisturbed run shows in the generation
            "daemonSets": [
                (each["metadata"]["name"], each["metadata"]["labels"][names.VERSION], each["metadata"]["generation"])
                for each in self.of("DaemonSet")
            ],
            "revisions": [
                (each["metadata"]["name"], sorted(key for key in each["metadata"].get("annotations") or {}))
                for each in self.of("ControllerRevision")
                if each["metadata"]["name"].startswith("line-")
                and each["metadata"]["name"] == f"line-{each['metadata']['labels'].get(names.REVISION)}"
            ],
            "jobs": sorted(_MOMENT.sub("", each["metadata"]["name"]) for each in self.of("Job")),
            "running": [version for _, version in self.running],
        }

    def _owners(self) -> Iterator[tuple[str, str, Json]]:
        for kind in ("Rollout", "ModelVersion", "TrainingJob", "Dataset"):
            for each in self.of(kind):
                yield kind, each["metadata"]["name"], each.get("status") or {}


def _shown(status: Json) -> Json:
    """Of a status, what is not a time and counts no looks."""
    plain = ("phase", "stableVersion", "stableRevision", "candidateVersion", "observedGeneration", "synced")
    return {
        **{key: status.get(key) for key in plain},
        "history": [(each["version"], each["result"]) for each in status.get("history", ())],
        "quarantined": [(each["version"], each["reason"].split(":")[0]) for each in status.get("quarantined", ())],
        "usedBy": status.get("usedBy"),
        "latest": (status.get("latest") or {}).get("number"),
        "drift": [(status.get("drift") or {}).get(key) for key in ("state", "version")],
        "retrainings": [each["trainingJob"] for each in (status.get("drift") or {}).get("retrainings", ())],
    }


Manifests = Callable[[str], list[Json]]


@dataclass(frozen=True)
class Story:
    """How it begins, what happens then, and when that has ended. `begin` and `act` give the objects to apply;
    `prepare` is done to namespaces in which it has begun."""

    act: Manifests
    ended: Callable[[Seen], bool]
    begin: Manifests = lambda namespace: []
    begun: Callable[[Seen], bool] = lambda seen: True
    prepare: Callable[[Places, Sequence[str]], None] = lambda places, namespaces: None


def rollout_of(version: str | None, annotations: Mapping[str, str] | None = None, **spec: Any) -> Manifests:
    """The Rollout at this version; None: at the newest."""

    def made(namespace: str) -> list[Json]:
        labels = {LABEL: "chaos"}
        groups = [
            {"name": "canary", "nodeSelector": {"matchLabels": {**labels, "group": "canary"}}},
            {"name": "fleet", "nodeSelector": {"matchLabels": labels}, "maxUnavailable": ALLOWED["fleet"]},
        ]
        found = rollout("line", version, query=CHECK, groups=groups, **spec)
        return [{**found, "metadata": {**found["metadata"], "annotations": dict(annotations or {})}}]

    return made


def versions(*wanted: str, formats: Iterable[str] = ("onnx",)) -> Manifests:
    """ModelVersions made by hand."""
    return lambda namespace: [model_version(version, formats) for version in wanted]


def all_of(*parts: Manifests) -> Manifests:
    """All of these."""
    return lambda namespace: [each for part in parts for each in part(namespace)]


def retraining_template() -> Json:
    """Of the TrainingJob that a retraining makes."""
    job = training_job()["spec"]
    return {"spec": {**{key: job[key] for key in ("model", "dataset", "output")}, "mode": "FineTune"}}


_DRIFT = {"retrain": {"template": retraining_template()}}


def _trained(name: str) -> Callable[[Seen], bool]:
    return lambda seen: (
        ("Complete", "True") in {(kind, status) for kind, status, _ in seen.conditions("TrainingJob", name)}
    )


STORIES: dict[str, Story] = {
    "install": Story(all_of(versions("v1"), rollout_of("v1")), lambda seen: seen.is_at("v1")),
    "upgrade": Story(
        rollout_of("v2"),
        lambda seen: seen.is_at("v2"),
        all_of(versions("v1", "v2"), rollout_of("v1")),
        lambda seen: seen.is_at("v1"),
    ),
    "rollback": Story(
        rollout_of(BAD),
        lambda seen: seen.rolled_back(),
        all_of(versions("v1", BAD), rollout_of("v1")),
        lambda seen: seen.is_at("v1"),
    ),
    "training": Story(lambda namespace: [training_job()], _trained("parts-v1")),
    "dataset": Story(
        lambda namespace: [dataset()],
        lambda seen: (seen.status("Dataset", "parts").get("latest") or {}).get("number") == 1,
    ),
    "retraining": Story(
        rollout_of("v1", {"modelfleet.dev/retrain": "now@1"}, drift=_DRIFT),
        _trained("line-r1"),
        all_of(versions("v1", formats=("onnx", "pytorch")), rollout_of("v1", drift=_DRIFT)),
        lambda seen: seen.is_at("v1"),
    ),
}


@dataclass
class Places:
    """Namespaces in each of which a story goes on, and the hands that play trainers and labelers there."""

    cluster: Cluster
    prefix: str
    spaces: list[str] = field(default_factory=list)
    _played: set[str] = field(default_factory=set)

    def add(self, count: int) -> list[str]:
        """So many new namespaces."""
        made = [f"{self.prefix}-{len(self.spaces) + number}" for number in range(count)]
        items = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in made]
        self._apply(items)
        self.spaces += made
        return made

    def remove(self) -> None:
        remove_namespaces(self.cluster, *self.spaces)

    def apply(self, manifests: Manifests, namespaces: Iterable[str]) -> None:
        """The same in each of these namespaces."""
        items = [
            {**each, "metadata": {**each["metadata"], "namespace": namespace}}
            for namespace in namespaces
            for each in manifests(namespace)
        ]
        if items:
            self._apply(items)

    def wipe_status(self, namespaces: Iterable[str]) -> None:
        """The Rollout's status is lost there, as after a restore without it."""
        patch = json.dumps([{"op": "replace", "path": "/status", "value": {}}])
        for namespace in namespaces:
            where = (f"--namespace={namespace}", "--subresource=status", "--type=json", f"--patch={patch}")
            self.cluster.kubectl("patch", "rollout", "line", *where)

    def apply_all(self, items: Iterable[Json]) -> None:
        """Apply objects of any namespaces."""
        self._apply(list(items))

    def look(self) -> dict[str, Seen]:
        """What there is in each namespace. Pods that run by themselves are brought to their end."""
        found: dict[str, list[Json]] = {namespace: [] for namespace in self.spaces}
        for kind in _KINDS:
            for each in self.cluster.objects.list(kind):
                if each["metadata"]["namespace"] in found:
                    found[each["metadata"]["namespace"]].append(each)
        seen = {namespace: Seen(tuple(items)) for namespace, items in found.items()}
        for namespace, what in seen.items():
            self._play(namespace, what)
        return seen

    def _play(self, namespace: str, seen: Seen) -> None:
        for pod in seen.of("Pod"):
            labels, name = pod["metadata"].get("labels") or {}, pod["metadata"]["name"]
            if pod["status"]["phase"] != "Running" or pod["metadata"]["uid"] in self._played:
                continue
            if names.TRAINING_JOB in labels:
                Space(self.cluster, namespace, "").succeed(name)
            elif names.DATASET in labels:
                self.cluster.kwok.finish_pod(namespace, name, message=labelled(1))
            else:
                continue
            self._played.add(pod["metadata"]["uid"])

    def _apply(self, items: list[Json]) -> None:
        document = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
        self.cluster.kubectl("apply", "--server-side", "--force-conflicts", "--filename=-", input=document)


def made_and_removed(audit: Path, start: int, namespaces: Iterable[str]) -> dict[str, Counter[str]]:
    """What the operator created and deleted since the audit log had this size, Events apart: namespace -> what -> how
    often. A server-side apply that created something was answered with 201."""
    found: dict[str, Counter[str]] = {namespace: Counter() for namespace in namespaces}
    with audit.open("rb") as log:
        log.seek(start)
        for line in log:
            entry = json.loads(line)
            target = entry.get("objectRef") or {}
            namespace, code = target.get("namespace"), (entry.get("responseStatus") or {}).get("code")
            if entry["user"]["username"] != AUDITED_USER or namespace not in found or target["resource"] == "events":
                continue
            if code == 201:
                found[namespace][f"{target['resource']} created"] += 1
            elif entry["verb"] == "delete" and code in (200, 202):
                found[namespace][f"{target['resource']} deleted"] += 1
    return found
