"""A cluster that is there, for as long as the demo takes: what it needs is put there, and all of it is given back.

The namespace holds the record of what was taken, as an annotation, is made first and removed last: whatever ends the
demo, ``give_back`` knows what to do. Nothing here is more than kubectl could do by hand.
"""

from __future__ import annotations

import io
import json
import secrets
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from e2e.borrowed import services
from e2e.borrowed.kubectl import Forwards, Kubectl
from e2e.borrowed.plan import MARK, NAMESPACE, Found, Plan, Refused, plan
from e2e.story import StoryFailed
from harness import definitions
from harness.lifetime import CommandFailed
from harness.objects import Objects
from harness.paths import REPOSITORY
from harness.processes import wait_until

CRDS = REPOSITORY / "crds"
KINDS = ("rollouts", "trainingjobs", "datasets", "modelversions")  # the last is kept while the first use it
_CLUSTER_WIDE = "clusterroles,clusterrolebindings,validatingadmissionpolicies,validatingadmissionpolicybindings"
_OURS = "--selector=app.kubernetes.io/name=modelfleet"
_WROTE = f"{MARK}-wrote-on-nodes"
_FIELD_MANAGER = "--field-manager=modelfleet-demo"
_PATIENCE = 300.0  # seconds for a pod of the demo's own to be ready: an image may have to be pulled
# a folder that others use is left alone; one that was empty stays, and one that was made here goes
_FOLDER = f"{services.NODE}/modelfleet"
_MARKER = f"{_FOLDER}/.demo"
_TAKE = f'[ -e {_MARKER} ] || {{ had=$([ -e {_FOLDER} ] && echo kept || echo made); mkdir -p {_FOLDER}; \
[ -z "$(ls -A {_FOLDER})" ] && echo $had > {_MARKER}; }}'
_RETURN = f"[ ! -e {_MARKER} ] || {{ had=$(cat {_MARKER}); find {_FOLDER} -mindepth 1 ! -path {_MARKER} -delete; \
rm {_MARKER}; [ $had = kept ] || rmdir {_FOLDER}; }}"
# one by one, so that whoever reads them meanwhile never meets half a picture
_RECEIVE = """
import pathlib, sys, tarfile
folder = pathlib.Path(sys.argv[1])
folder.mkdir(exist_ok=True)
with tarfile.open(fileobj=sys.stdin.buffer, mode="r|") as tar:
    for member in tar:
        made = folder / f"{member.name}.new"
        made.write_bytes(tar.extractfile(member).read())
        made.replace(folder / member.name)
"""


class BorrowedCluster:
    """Somebody else's cluster, by the name of its context."""

    def __init__(self, context: str, *, scrape_interval: timedelta) -> None:
        """Look whether the context is there; nothing is asked of the cluster yet. Raises Refused."""
        self.context = context
        self.state = Path(tempfile.mkdtemp(prefix="modelfleet-demo-"))
        self.is_up = False  # whether there may be something to give back
        self._scrape_interval = scrape_interval
        try:
            self.kubectl = Kubectl(context, self.state)
        except BaseException:
            shutil.rmtree(self.state)
            raise
        self._forwards = Forwards(self.kubectl, NAMESPACE, self.state)
        self._secrets = {"store": secrets.token_hex(16), "studio": secrets.token_hex(20)}

    @property
    def kubeconfig(self) -> Path:
        """With this context alone."""
        return self.kubectl.kubeconfig

    @cached_property
    def objects(self) -> Objects:
        """Its objects, as the user of the context sees them."""
        return Objects(self.kubeconfig)

    def look(self) -> Plan:
        """Decide what to take, and write nothing. Raises Refused with everything that is in the way."""
        return plan(find(self.kubectl))

    def start(self, taken: Plan, demo_image: str, agent_image: str) -> None:
        """Namespace, node labels, CRDs, services; returns when all but Label Studio are ready.

        Raises:
            StoryFailed: an image is not there, or a node's /var/lib/modelfleet is in use.
            CommandFailed: with kubectl's words.
        """
        self.is_up = True  # before it is true: Ctrl-C may come at any time
        try:
            self._make_namespace(taken)
        except CommandFailed:  # somebody else's came meanwhile
            self.is_up = False
            raise
        for node, labels in taken.labels.items():
            self.kubectl("label", "node", node, *(f"{key}={value}" for key, value in labels.items()), _FIELD_MANAGER)
        if taken.brings_crds:
            self.kubectl("apply", "--server-side", _FIELD_MANAGER, f"--filename={CRDS}")
            definitions.await_served(self.kubectl, f"--filename={CRDS}")
        self._apply(services.services(), services.camera(agent_image))
        store = self._address("object-store")
        self._apply(services.pods(demo_image, NAMESPACE, self._secrets, store, self._scrape_interval))
        for name in ("object-store", "prometheus"):
            self._wait_ready(name, 1)
        self._wait_ready(services.CAMERA, len(taken.nodes))
        self._own("annotate", "namespace", NAMESPACE, f"{_WROTE}=true", _FIELD_MANAGER)
        for node in taken.nodes:
            try:
                self._on(node, "sh", "-ec", _TAKE)
            except CommandFailed as error:
                raise StoryFailed(
                    f"/var/lib/modelfleet of node {node} can't be used: it is not empty, or not writable: {error}"
                ) from error

    def put_frames(self, node: str, folder: Path) -> None:
        """Copy pictures into /var/lib/modelfleet/frames of a node; those of the same name are replaced."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            for path in sorted(folder.iterdir()):
                tar.add(path, path.name)
        self._on(node, "python3", "-c", _RECEIVE, f"{_FOLDER}/frames", input=packed.getvalue())

    def stop(self) -> None:
        """End what this process runs; what is in the cluster is given back by ``give_back``."""
        self._forwards.stop()
        shutil.rmtree(self.state, ignore_errors=True)
        self.is_up = False

    # --- what it has --------------------------------------------------------------------------------------------------

    @cached_property
    def object_store(self) -> services.InClusterStore:
        """The object store."""
        endpoint = services.url(self._address("object-store"), "object-store")
        return services.InClusterStore(endpoint, self._secrets["store"], self._way("object-store"), self._make_folder)

    @cached_property
    def prometheus(self) -> services.InClusterPrometheus:
        """Prometheus, which scrapes the demo's namespace."""
        return services.InClusterPrometheus(
            services.url(self._address("prometheus"), "prometheus"), self._way("prometheus")
        )

    @cached_property
    def label_studio(self) -> services.InClusterLabelStudio:
        """Label Studio."""
        address = services.url(self._address("label-studio"), "label-studio")
        token, way = self._secrets["studio"], self._way("label-studio")
        return services.InClusterLabelStudio(address, token, way, lambda: self._wait_ready("label-studio", 1))

    # --- inside -------------------------------------------------------------------------------------------------------

    def _make_namespace(self, taken: Plan) -> None:
        """Frames lie on nodes: a pod that reads there is an administrator's to allow, by both labels."""
        labels = {
            MARK: "true",
            "modelfleet.dev/pod-privileges": "host",
            "pod-security.kubernetes.io/enforce": "privileged",
        }
        metadata = {"name": NAMESPACE, "labels": labels, "annotations": {MARK: taken.to_json()}}
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
        # create, not apply: one that came meanwhile is not ours
        self.kubectl("create", _FIELD_MANAGER, "--filename=-", input=json.dumps(namespace))

    def _apply(self, *manifests: Any) -> None:
        items = [each for entry in manifests for each in (entry if isinstance(entry, list) else [entry])]
        document = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
        self._own("apply", "--server-side", _FIELD_MANAGER, "--filename=-", input=document)

    def _own(self, *arguments: str, input: str | bytes | None = None) -> str:
        return self.kubectl(f"--namespace={NAMESPACE}", *arguments, input=input)

    def _address(self, service: str) -> str:
        return self._own("get", "service", service, "--output=jsonpath={.spec.clusterIP}")

    def _way(self, service: str) -> Callable[[], str]:
        return lambda: self._forwards.address(service, services.PORTS[service])

    def _pods(self, name: str) -> list[Any]:
        found = self.kubectl.get(f"--namespace={NAMESPACE}", "pods", f"--selector={services.selector(name)}")
        return list(found["items"])

    def _wait_ready(self, name: str, number: int) -> None:
        def ready() -> bool:
            pods = self._pods(name)
            if missing := services.waiting(pods):
                raise StoryFailed(
                    "The nodes lack images, and can't pull them; docs/demo.md says how to load them:\n  "
                    + "\n  ".join(missing)
                )
            return sum(_is_ready(pod) for pod in pods) >= number

        if not wait_until(ready, _PATIENCE, interval=1):
            said = self._own("describe", "pods", f"--selector={services.selector(name)}")
            raise StoryFailed(f"{name} is not ready after {_PATIENCE:.0f} s:\n{said[-3000:]}")

    def _on(self, node: str, *command: str, input: bytes | None = None) -> None:
        pods = [pod for pod in self._pods(services.CAMERA) if pod["spec"].get("nodeName") == node and _is_ready(pod)]
        if not pods:
            raise CommandFailed(f"no pod {services.CAMERA} is ready on node {node}")
        interactive = ("--stdin",) if input is not None else ()
        self._own("exec", *interactive, pods[0]["metadata"]["name"], "--", *command, input=input)

    def _make_folder(self, path: str) -> None:
        self._own("exec", "object-store", "--", "mkdir", "-p", path)


def find(kubectl: Kubectl) -> Found:
    """Read what ``plan`` decides on. Raises Refused if the cluster does not answer."""
    try:
        version = json.loads(kubectl("get", "--raw=/version", "--request-timeout=10s"))["gitVersion"]
    except CommandFailed as error:
        raise Refused(f"The cluster does not answer: {error}") from error
    may = kubectl("auth", "can-i", "*", "*", "--all-namespaces", check=False).strip() == "yes"
    if not may:
        return Found(version, may, kubectl.get("nodes")["items"])
    served = [item["metadata"]["name"] for item in kubectl.get("customresourcedefinitions")["items"]]
    crds = [name for name in served if name.endswith(".modelfleet.dev")]
    return Found(
        version,
        may,
        kubectl.get("nodes")["items"],
        kubectl.get("namespace", NAMESPACE),
        [
            name
            for name in (*kubectl.names("deployments", "--all-namespaces", _OURS), *kubectl.names(_CLUSTER_WIDE, _OURS))
            if not name.startswith(f"{NAMESPACE}/")
        ],
        crds,
        bool(crds) and _differ(kubectl),
        [name for crd in crds for name in kubectl.names(crd, "--all-namespaces")],
    )


def _differ(kubectl: Kubectl) -> bool:
    """Whether the CRDs that are there are others than this checkout's."""
    command = kubectl.command("diff", "--server-side", "--force-conflicts", _FIELD_MANAGER, f"--filename={CRDS}")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise CommandFailed(f"kubectl diff exited {done.returncode}: {done.stderr}")
    return done.returncode == 1


def give_back(kubectl: Kubectl) -> list[str]:
    """Remove all that the demo has put into the cluster, whenever it ended; returns what could not be done.

    While anything could not, the namespace and its record stay, and another call goes on from there.

    Raises:
        Refused: there is a namespace of that name that no demo made.
    """
    namespace = kubectl.get("namespace", NAMESPACE)
    if namespace is None:
        return []
    annotations = namespace["metadata"].get("annotations", {})
    if MARK not in annotations:
        raise Refused(f"No demo made namespace {NAMESPACE}: it is left alone.")
    taken = Plan.from_json(annotations[MARK])
    problems: list[str] = []

    @contextmanager
    def trying(what: str) -> Iterator[None]:
        try:
            yield
        except CommandFailed as error:
            problems.append(f"{what}: {error}")

    with trying("removing Rollouts, TrainingJobs, Datasets and ModelVersions"):
        _remove_objects(kubectl)
    if _WROTE in annotations:
        for node in taken.nodes:
            with trying(f"removing the demo's files from node {node}"):
                _clear(kubectl, node)
    with trying("removing the operator's cluster-wide rights"):
        kubectl("delete", _CLUSTER_WIDE, _OURS, "--ignore-not-found")
    for node, labels in taken.labels.items():
        with trying(f"removing labels from node {node}"):
            if kubectl.get("node", node) is not None:
                kubectl("label", "node", node, *(f"{key}-" for key in labels), _FIELD_MANAGER)
    if taken.brings_crds:
        with trying("removing the CRDs"):
            _remove_crds(kubectl)
    if not problems:
        with trying(f"removing namespace {NAMESPACE}"):
            kubectl("delete", "namespace", NAMESPACE, "--timeout=180s")
    return problems


def _remove_objects(kubectl: Kubectl) -> None:
    """While the operator is there to let go of them; where it is not, without it."""
    for kind in KINDS:
        resource = f"{kind}.modelfleet.dev"
        if kubectl.get("customresourcedefinition", resource) is None:
            continue
        own = (f"--namespace={NAMESPACE}",)
        try:
            kubectl("delete", resource, *own, "--all", "--timeout=30s")
        except CommandFailed:  # a finalizer, and no operator to take it away
            for name in kubectl("get", resource, *own, "--output=name").split():
                kubectl("patch", name, *own, _FIELD_MANAGER, "--type=merge", '--patch={"metadata":{"finalizers":null}}')
            kubectl("delete", resource, *own, "--all", "--timeout=30s")
    # pods of the fleet hold folders of the nodes that are removed next
    kubectl("delete", "deployments,daemonsets", f"--namespace={NAMESPACE}", _OURS, "--ignore-not-found")
    fleet = "--selector=modelfleet.dev/rollout"
    kubectl("delete", "daemonsets,jobs,pods", f"--namespace={NAMESPACE}", fleet, "--timeout=120s", "--ignore-not-found")


def _clear(kubectl: Kubectl, node: str) -> None:
    own = f"--namespace={NAMESPACE}"
    pods = kubectl.get(own, "pods", f"--selector={services.selector(services.CAMERA)}")["items"]
    here = [pod["metadata"]["name"] for pod in pods if pod["spec"].get("nodeName") == node and _is_ready(pod)]
    if not here:
        raise CommandFailed(f"no pod {services.CAMERA} is ready there; its files are in /var/lib/modelfleet")
    kubectl(own, "exec", here[0], "--", "sh", "-ec", _RETURN)


def _remove_crds(kubectl: Kubectl) -> None:
    """Unless somebody began to use them meanwhile."""
    served = {item["metadata"]["name"] for item in kubectl.get("customresourcedefinitions")["items"]}
    ours = [f"{kind}.modelfleet.dev" for kind in KINDS if f"{kind}.modelfleet.dev" in served]
    others = [name for crd in ours for name in kubectl.names(crd, "--all-namespaces")]
    if others:
        raise CommandFailed(f"they stay, for there are objects of others: {', '.join(others[:5])}")
    if ours:
        kubectl("delete", "customresourcedefinitions", *ours, "--timeout=60s")


def _is_ready(pod: Any) -> bool:
    conditions = pod["status"].get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions) and not pod["metadata"].get(
        "deletionTimestamp"
    )
