"""Simulated nodes by KWOK, against a real API server: for scale, and for faults that real nodes show rarely.

KWOK manages only nodes that carry the label ``modelfleet.dev/kwok: up``, so it stays away from real ones. On such a
node a pod becomes Ready at once, and goes away at once when it is deleted. Three things differ from KWOK's own
defaults, since tests need them:

- A Job's pod does not complete on its own: the test decides how it ends (``finish_pod``) and what it logs
  (``write_log``).
- ``behave`` makes pods with certain labels fail, crash or take their time.
- ``down`` takes a node off as a pulled plug would: its heartbeats stop, and its pods neither start nor end.
"""

from __future__ import annotations

import contextlib
import json
import os
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

import yaml

from harness import binaries, definitions
from harness.control_plane import kubectl
from harness.objects import STRATEGIC, Json, NotThere, Objects, condition
from harness.pki import Authority
from harness.ports import free_port, listens
from harness.processes import NotReady, Supervisor, wait_until

LABEL = "modelfleet.dev/kwok"
_SELECTOR = f"{LABEL}=up"
_EXCEPTION = "modelfleet.dev/kwok-exception"  # label of the stages that `behave` makes
# the addresses of pods. Without a network of the cluster's own they are loopback addresses: what looks for a simulated
# pod stays on this machine, and a test can stand in for one by listening on the pod's own address
_LOCAL_PODS, _PODS = "127.64.0.0/12", "10.244.0.0/16"
_STAGES = Path(__file__).parent / "stages"
_TAINT = {"key": LABEL, "value": "simulated", "effect": "NoSchedule"}


class Outcome(Enum):
    """What becomes of a pod."""

    NEVER_READY = "NeverReady"  # runs, but its readiness probe does not pass
    CRASH = "Crash"  # the main container ends with exit code 1 again and again
    INIT_FAILS = "InitFails"  # the first init container ends with exit code 1 again and again
    NO_IMAGE = "NoImage"  # the images of its containers can't be pulled, for the reason that `message` gives


@dataclass(frozen=True)
class Behaviour:
    """An exception from "Ready at once" for the pods that carry all of ``labels``.

    Attributes:
        labels: which pods.
        outcome: what becomes of them; None: Ready.
        delay: seconds until then.
        message: the termination message of the container that fails, or what the kubelet says of an image.
    """

    labels: Mapping[str, str]
    outcome: Outcome | None = None
    delay: float = 0
    message: str = ""


class Kwok:
    """A KWOK process and its nodes."""

    def __init__(self, supervisor: Supervisor, kubeconfig: Path, objects: Objects, address: str = "127.0.0.1") -> None:
        """Describe one; nothing is started yet. The API server reaches its nodes at ``address``."""
        self._supervisor = supervisor
        self._kubeconfig = kubeconfig
        self._objects = objects
        self._folder = supervisor.record.state / "kwok"
        self._folder.mkdir(exist_ok=True)
        self._address = address
        self._port = free_port()

    def start(self) -> None:
        """Install KWOK's kinds and this module's stages, and start KWOK."""
        definitions.install(self._kubectl, _STAGES / "crds.yaml")
        rules = [
            _stage("node-ready"),
            _stage("node-heartbeat"),
            _stage("pod-terminate"),
            _stage("pod-delete"),
            _pod_start("pod-start", Behaviour({}), weight=0),
        ]
        self._objects.apply(*rules)
        # the API server fetches logs from here as it would from a kubelet; it does not verify a kubelet's certificate
        server = Authority(self._folder / "pki").issue("kwok", "kwok", hosts=(f"IP:{self._address}",))
        process = self._supervisor.spawn(
            "kwok",
            [
                binaries.path("kwok"),
                f"--kubeconfig={self._kubeconfig}",
                f"--config={os.devnull}",
                f"--manage-nodes-with-label-selector={_SELECTOR}",
                "--enable-crds=Stage,Logs",
                "--node-lease-duration-seconds=40",
                f"--node-ip={self._address}",
                f"--node-port={self._port}",
                f"--server-address={self._address}:{self._port}",
                f"--tls-cert-file={server.certificate}",
                f"--tls-private-key-file={server.key}",
                f"--cidr={_LOCAL_PODS if self._address.startswith('127.') else _PODS}",
            ],
        )
        process.wait_ready(lambda: listens(self._address, self._port), 30)
        if not wait_until(self._knows_its_stages, 60, interval=0.5):
            raise NotReady(f"KWOK does not see its stages; the end of {process.log}:\n{process.tail()}")

    def uninstall(self) -> None:
        """Remove the simulated nodes and KWOK's kinds, where the cluster lives on."""
        self._objects.delete_all("node", labels=LABEL)
        self._kubectl("delete", "--ignore-not-found", f"--filename={_STAGES}/crds.yaml")
        self._supervisor.find("kwok").stop()

    # --- nodes --------------------------------------------------------------------------------------------------------

    def add_nodes(
        self,
        count: int,
        prefix: str,
        labels: Mapping[str, str] | None = None,
        *,
        taint: bool = False,
        wait: bool = True,
    ) -> list[str]:
        """Add nodes ``<prefix>-0`` to ``<prefix>-<count-1>`` and wait until all are Ready.

        Args:
            count: how many.
            prefix: of their names.
            labels: on each of them, besides ``kubernetes.io/hostname`` and ``modelfleet.dev/kwok``.
            taint: keep pods away that do not tolerate ``modelfleet.dev/kwok``; for clusters with real nodes too.

        Returns:
            their names.
        """
        names = [f"{prefix}-{number}" for number in range(count)]
        self._objects.create(*(_node(name, dict(labels or {}), taint) for name in names))
        if not wait_until(lambda: self._all_ready(names), 30 + count / 20, interval=0.2):
            kwok = self._supervisor.find("kwok")
            raise NotReady(f"not all of {count} nodes {prefix}-* became Ready; the end of {kwok.log}:\n{kwok.tail()}")
        return names

    def remove_nodes(self, names: Sequence[str]) -> None:
        """Delete nodes. Kubernetes' pod collector removes what ran there, after a minute."""
        for start in range(0, len(names), 100):  # of a length that a URL may have
            chosen = f"kubernetes.io/hostname in ({','.join(names[start : start + 100])})"
            self._objects.delete_all("node", labels=chosen)

    def down(self, *names: str, at_once: bool = True) -> None:
        """Take nodes off as a pulled plug would: no heartbeat, no change of their pods, no answer.

        The controller manager finds out after its grace period and sets Ready to Unknown; with ``at_once`` that is
        written here in its place, word for word, to spare the wait. The taints that follow are its own work.
        """
        self._label(names, "down")
        if not at_once:
            return
        for name in names:
            now = _timestamp()
            lost = {
                "type": "Ready",
                "status": "Unknown",
                "reason": "NodeStatusUnknown",
                "message": "Kubelet stopped posting node status.",
                "lastHeartbeatTime": now,
                "lastTransitionTime": now,
            }
            self._patch_status("node", name, {"conditions": [lost]})
        self._mark_pods(names, ready=False)

    def up(self, *names: str) -> None:
        """Bring nodes back: heartbeats go on, the node becomes Ready, and so do the pods that were running."""
        self._label(names, "up")
        if not wait_until(lambda: self._all_ready(names), 60):
            raise NotReady(f"{', '.join(names)} did not become Ready again")
        self._mark_pods(names, ready=True)

    def _mark_pods(self, names: Sequence[str], *, ready: bool) -> None:
        """What the controller manager does when it loses a node, and the kubelet when it is back."""
        for pod in self._pods_on(names):
            if pod.containers_ready:
                changed = {"type": "Ready", "status": str(ready), "lastTransitionTime": _timestamp()}
                with contextlib.suppress(NotThere):  # it has gone since
                    self._patch_status("pod", pod.name, {"conditions": [changed]}, pod.namespace)

    # --- pods ---------------------------------------------------------------------------------------------------------

    def behave(self, *behaviours: Behaviour) -> None:
        """Replace all exceptions from "Ready at once". They hold for pods that have not started yet."""
        self._objects.delete_all("stages.kwok.x-k8s.io", labels=f"{_EXCEPTION}=true")
        if behaviours:
            self._objects.apply(*(_pod_start(f"exception-{at}", each, weight=1) for at, each in enumerate(behaviours)))

    def finish_pod(
        self,
        namespace: str,
        name: str,
        *,
        exit_code: int = 0,
        message: str = "",
        reason: str | None = None,
        only: str = "",
    ) -> None:
        """End a pod's containers, as the kubelet reports it, with ``message`` as the termination message; ``only`` the
        one of this name, where others go on and the pod with them.

        ``reason`` is the container's: Completed, Error (the default for its exit code) or OOMKilled, for example.
        """
        pod: dict[str, Any] = {}

        def started() -> bool:
            pod.update(self._objects.get("pod", name, namespace) or {"status": {"phase": "there is none"}})
            return "containerStatuses" in pod["status"]

        if not wait_until(started, 30):
            raise NotReady(f"pod {namespace}/{name} has not started: {json.dumps(pod['status'])}")
        terminated: dict[str, Any] = {
            "exitCode": exit_code,
            "reason": reason or ("Completed" if exit_code == 0 else "Error"),
            "finishedAt": _timestamp(),
        }
        if message:
            terminated["message"] = message
        statuses = [
            status
            if only and status["name"] != only
            else status
            | {
                "ready": False,
                "started": False,
                "state": {
                    "terminated": {"startedAt": _timestamp(), **status["state"].get("running", {}), **terminated}
                },
            }
            for status in pod["status"]["containerStatuses"]
        ]
        not_ready = {"status": "False", "lastTransitionTime": _timestamp()}
        conditions = [{"type": kind, **not_ready} for kind in ("Ready", "ContainersReady")]
        goes_on = any("terminated" not in status["state"] for status in statuses)
        phase = "Running" if goes_on else "Succeeded" if exit_code == 0 else "Failed"
        status = {"phase": phase, "conditions": conditions, "containerStatuses": statuses}
        self._patch_status("pod", name, status, namespace)

    def disrupt_pod(self, namespace: str, name: str, reason: str = "PreemptionByScheduler") -> None:
        """Mark a pod as ended by the cluster and not by its own failure, as preemption and node loss do."""
        disrupted = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": reason,
            "message": "ended by the test",
            "lastTransitionTime": _timestamp(),
        }
        self._patch_status("pod", name, {"conditions": [disrupted]}, namespace)
        self.finish_pod(namespace, name, exit_code=143)

    def write_log(self, namespace: str, pod: str, container: str, lines: Sequence[str]) -> None:
        """Append lines to a container's log, where ``kubectl logs`` and the log API find them."""
        file = self._folder / f"{namespace}_{pod}_{container}.log"
        known = file.exists()
        with file.open("a") as stream:
            for line in lines:  # the format in which a container runtime keeps logs
                stream.write(f"{datetime.now(UTC).isoformat().replace('+00:00', '000Z')} stdout F {line}\n")
        if not known:
            log = {"containers": [container], "logsFile": str(file), "follow": True}
            document = {
                "apiVersion": "kwok.x-k8s.io/v1alpha1",
                "kind": "Logs",
                "metadata": {"namespace": namespace, "name": pod},
                "spec": {"logs": [log]},
            }
            self._objects.apply(document)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _kubectl(self, *arguments: str, input: str | None = None) -> str:
        return kubectl(self._kubeconfig, *arguments, input=input)

    def _knows_its_stages(self) -> bool:
        """Whether KWOK has begun to play stages for nodes and for pods; else one of them is touched.

        KWOK 0.8.0 keeps what it read of the stages by the version of its list, and its informer sets that only after it
        has told of the first ones. Read in between they are none, and stay none until one of them changes.
        """
        if self._supervisor.find("kwok").log.read_text().count('"Start stage controller"') == 2:
            return True
        touched = {"metadata": {"annotations": {f"{LABEL}-touched": datetime.now(UTC).isoformat()}}}
        self._objects.patch("stages.kwok.x-k8s.io", "node-ready", touched)
        return False

    def _patch_status(self, kind: str, name: str, status: Json, namespace: str | None = None) -> None:
        patch = {"status": status}
        self._objects.patch(kind, name, patch, namespace or "", subresource="status", type=STRATEGIC)

    def _label(self, names: Sequence[str], value: str) -> None:
        for name in names:
            self._objects.patch("node", name, {"metadata": {"labels": {LABEL: value}}})

    def _all_ready(self, names: Sequence[str]) -> bool:
        listed = {each["metadata"]["name"]: each for each in self._objects.list("nodes")}
        return all(name in listed and condition(listed[name], "Ready").get("status") == "True" for name in names)

    def _pods_on(self, names: Sequence[str]) -> list[_PodOnNode]:
        return [
            _PodOnNode(
                pod["metadata"]["namespace"],
                pod["metadata"]["name"],
                condition(pod, "ContainersReady").get("status") == "True",
            )
            for pod in self._objects.list("pods")
            if pod["spec"].get("nodeName") in names
        ]


@dataclass(frozen=True)
class _PodOnNode:
    namespace: str
    name: str
    containers_ready: bool


def _timestamp() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _node(name: str, labels: dict[str, str], taint: bool) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, LABEL: "up", **labels}},
        "spec": {"taints": [_TAINT]} if taint else {},
        "status": {"capacity": {"cpu": "32", "memory": "256Gi", "pods": "110"}},
    }


# --- stages: what KWOK does to an object ------------------------------------------------------------------------------


class _Template(string.Template):
    delimiter = "%"  # KWOK's templates are full of dollars


def _stage(file: str, /, **values: str) -> Json:
    text = (_STAGES / f"{file}.yaml").read_text()
    stage: Json = yaml.safe_load(_Template(text).substitute(values))
    return stage


def _pod_start(name: str, behaviour: Behaviour, weight: int) -> Json:
    """The stage in which a pod becomes Ready, or whatever else ``behaviour`` says."""
    container, init_container = _RUNNING, _DONE
    if behaviour.outcome is Outcome.NEVER_READY:
        container = _RUNNING.replace("ready: true", "ready: false")
    elif behaviour.outcome is Outcome.CRASH:
        container = _crashing(behaviour.message)
    elif behaviour.outcome is Outcome.INIT_FAILS:
        container, init_container = _NOT_STARTED, _crashing(behaviour.message)
    elif behaviour.outcome is Outcome.NO_IMAGE:
        container = init_container = _without_image(behaviour.message)
    initialized = behaviour.outcome not in (Outcome.INIT_FAILS, Outcome.NO_IMAGE)
    return _stage(
        "pod-start",
        name=name,
        exception=json.dumps({_EXCEPTION: "true"} if weight else {}),
        labels=json.dumps(dict(behaviour.labels)),
        weight=str(weight),
        delay=str(int(behaviour.delay * 1000)),
        initialized=str(initialized),
        ready=str(behaviour.outcome is None),
        container=container,
        init_container=init_container,
        phase="Running" if initialized else "Pending",
    )


# the varying fields of a container's status, on one line, as a template of KWOK's
_RUNNING = "ready: true, started: true, restartCount: 0, state: {running: {startedAt: {{ $now | Quote }} } }"
_DONE = (
    "ready: true, started: false, restartCount: 0, state: {terminated: {exitCode: 0, reason: Completed, "
    "startedAt: {{ $now | Quote }}, finishedAt: {{ $now | Quote }} } }"
)
_NOT_STARTED = "ready: false, started: false, restartCount: 0, state: {waiting: {reason: PodInitializing} }"


def _without_image(message: str) -> str:
    said = f"reason: ErrImagePull, message: {json.dumps(message)}"
    return f"ready: false, started: false, restartCount: 0, state: {{waiting: {{{said}}} }}"


def _crashing(message: str) -> str:
    return (
        "ready: false, started: false, restartCount: 3, "
        "state: {waiting: {reason: CrashLoopBackOff, message: back-off restarting failed container} }, "
        f"lastState: {{terminated: {{exitCode: 1, reason: Error, message: {json.dumps(message)}, "
        "startedAt: {{ $now | Quote }}, finishedAt: {{ $now | Quote }} } }"
    )
