"""What the tests of rollouts see of the cluster: one Rollout, its nodes and pods, in a few words.

The nodes are simulated (KWOK): no container runs. The API server, the DaemonSet controller, the scheduler, the node
lifecycle controller, the garbage collector, Prometheus and the operator are real.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from harness import Cluster
from harness.processes import wait_until
from harness.timing import a_moment

Json = dict[str, Any]

PATIENCE = 60.0
LABEL = "test.modelfleet.dev/rollout"

FINE = "vector(0)"
ONLY_V2_IS_BAD = (
    '(label_replace(vector(1), "version", "${version}", "", "") and label_replace(vector(1), "version", "v2", "", ""))'
    " or vector(0)"
)
"""PromQL, evaluated by a real Prometheus: 1 where the version that is judged is v2, else 0."""


def check(query: str) -> Json:
    return {"name": "errors", "query": query, "max": "0.5", "failureLimit": 0}


def model_version(version: str, formats: Iterable[str] = ("onnx",), model: str = "parts") -> Json:
    """A ModelVersion made by hand."""
    files = [
        {"name": f"best.{format}", "format": format, "sha256": (version.encode().hex() * 64)[:64], "sizeBytes": 1000}
        for format in formats
    ]
    return {
        "apiVersion": "modelfleet.dev/v1alpha1",
        "kind": "ModelVersion",
        "metadata": {"name": f"{model}-{version}"},
        "spec": {
            "model": model,
            "version": version,
            "artifact": {"uri": f"s3://models/{model}/{version}/", "files": files},
            "classes": ["bolt", "nut"],
        },
    }


def rollout(name: str, version: str | None, *, query: str | None = FINE, **spec: Any) -> Json:
    """A Rollout with a short soak and one check; its groups have to be given."""
    gate: Json = {"soak": "3s", "interval": "1s", "timeout": "5m"}
    if query is not None:
        gate["checks"] = [check(query)]
    fields: Json = {
        "model": {"name": "parts"} | ({"version": version} if version else {"tag": "latest"}),
        "template": {
            "spec": {
                "terminationGracePeriodSeconds": 1,
                "containers": [
                    {
                        "name": "agent",
                        "resources": {"requests": {"cpu": "0.1", "memory": "0.5Gi"}},
                        "envFrom": [{"secretRef": {"name": "store", "optional": True}}],
                        "env": [{"name": "ODD", "value": "a && b < c > \u00e9"}],
                    }
                ],
                "tolerations": [{"operator": "Exists"}],
            }
        },
        "gate": gate,
        "progressDeadline": "1m",
        **spec,
    }
    return {"apiVersion": "modelfleet.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": name}, "spec": fields}


@dataclass
class Fleet:
    """One Rollout, in a namespace of its own, and its nodes."""

    cluster: Cluster
    namespace: str
    canary: list[str]
    rest: list[str]
    name: str = "line"

    # --- what the user does -------------------------------------------------------------------------------------------

    def apply(self, *manifests: Json) -> None:
        document = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)})
        self.cluster.kubectl("apply", "--server-side", f"--namespace={self.namespace}", "--filename=-", input=document)

    def group(self, name: str, **fields: Any) -> Json:
        labels = {LABEL: self.namespace} | ({"group": name} if name != "fleet" else {})
        return {"name": name, "nodeSelector": {"matchLabels": labels}, **fields}

    def rollout(self, version: str | None = "v1", *, query: str | None = FINE, **spec: Any) -> None:
        """Apply the Rollout: canary, then fleet; short soak; one check."""
        groups = [self.group("canary"), self.group("fleet", maxUnavailable=2)]
        self.apply(rollout(self.name, version, query=query, **{"groups": groups, **spec}))

    def annotate(self, verb: str, value: str) -> None:
        self.cluster.kubectl(
            "annotate",
            "--overwrite",
            f"--namespace={self.namespace}",
            "rollout",
            self.name,
            f"modelfleet.dev/{verb}={value}",
        )

    def wipe_status(self) -> None:
        patch = json.dumps([{"op": "replace", "path": "/status", "value": {}}])
        self.cluster.kubectl(
            "patch",
            "rollout",
            self.name,
            f"--namespace={self.namespace}",
            "--subresource=status",
            "--type=json",
            f"--patch={patch}",
        )

    # --- what there is ------------------------------------------------------------------------------------------------

    def list(self, kind: str, selector: str = "") -> list[Json]:
        return self.cluster.objects.list(kind, self.namespace, labels=selector)

    def get(self, kind: str, name: str) -> Json:
        found = self.cluster.objects.get(kind, name, self.namespace)
        assert found is not None, f"there is no {kind} {name}"
        return found

    @property
    def status(self) -> Json:
        found: Json = self.get("rollout", self.name).get("status") or {}
        return found

    def condition(self, type: str) -> Json:
        """A condition of the Rollout; empty where it is not there."""
        return next((each for each in self.status.get("conditions", ()) if each["type"] == type), {})

    @property
    def running(self) -> dict[str, str]:
        """The version of each node's ready pod."""
        return {
            pod["spec"]["nodeName"]: pod["metadata"]["labels"]["modelfleet.dev/version"]
            for pod in self.list("pods", f"modelfleet.dev/rollout={self.name}")
            if is_ready(pod)
        }

    def is_at(self, version: str) -> bool:
        status = self.status
        return bool(
            status.get("phase") == "Ready"
            and status.get("stableVersion") == version
            and self.running == dict.fromkeys(self.canary + self.rest, version)
        )

    def rolled_back(self, version: str = "v1") -> bool:
        return self.condition("Stalled").get("reason") == "RolledBack" and self.running == dict.fromkeys(
            self.canary + self.rest, version
        )

    def templates(self, group: str) -> set[str]:
        """The versions that a group's DaemonSet has ever had: the DaemonSet controller's own history of it."""
        uid = self.get("daemonset", f"{self.name}-{group}")["metadata"]["uid"]
        return {
            each["data"]["spec"]["template"]["metadata"]["labels"]["modelfleet.dev/version"]
            for each in self.list("controllerrevisions")
            if any(owner["uid"] == uid for owner in each["metadata"].get("ownerReferences", ()))
        }

    def events(self) -> set[str]:
        return {each["reason"] for each in self.list("events.events.k8s.io") if each["regarding"]["kind"] == "Rollout"}

    # --- waiting ------------------------------------------------------------------------------------------------------

    def wait(self, until: Callable[[], bool], what: str = "", patience: float = PATIENCE) -> None:
        assert wait_until(until, patience), f"{what or 'it'} did not come: {json.dumps(self.status, indent=1)}"
        a_moment()

    def hears(self, *reasons: str) -> None:
        """Wait for these Events: each comes after the status that it tells of."""
        self.wait(lambda: self.events() >= set(reasons), f"the Events {', '.join(reasons)}")


def ready_condition(pod: Json) -> Json:
    """Whether a pod is ready, and since when; empty where nobody has said so yet."""
    return next((each for each in pod["status"].get("conditions", ()) if each["type"] == "Ready"), {})


def is_ready(pod: Json) -> bool:
    """And is not being deleted."""
    return ready_condition(pod).get("status") == "True" and "deletionTimestamp" not in pod["metadata"]


def nodes(added: Callable[..., list[str]], namespace: str, canary: int, rest: int) -> tuple[list[str], list[str]]:
    """Simulated nodes of the two groups."""
    mine: Mapping[str, str] = {LABEL: namespace}
    return added(canary, {**mine, "group": "canary"}, "canary"), added(rest, mine, "edge")
