"""The test cluster as a whole: one object that starts it, adds to it and takes it down."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from types import TracebackType

from harness import kube_proxy, network, network_policy, records
from harness.control_plane import ControlPlane, Network, kubectl
from harness.image import ImageRef
from harness.kwok import Kwok
from harness.label_studio import LabelStudio
from harness.network import Block
from harness.node import Node
from harness.object_store import ObjectStore
from harness.objects import Objects
from harness.paths import cache, state_folder
from harness.ports import free_port
from harness.processes import Supervisor
from harness.prometheus import Prometheus

_DESCRIPTION = "cluster.json"  # in the state folder: what `attach` needs to know, and the mark of a folder of ours
_PORTS = {
    "prometheus": 9090,
    "object store": 7070,
    "label studio": 8080,
}  # in a network of the cluster's own; elsewhere any free one


class ClusterFailed(Exception):
    """The cluster can't be started here; the message says why and what to do."""


class ExistingCluster:
    """Somebody else's cluster, reached by a kubeconfig: the harness adds simulated nodes and takes only those away."""

    address = "127.0.0.1"

    def __init__(self, kubeconfig: Path) -> None:
        """Start a supervisor for what the harness runs beside that cluster."""
        self.id = secrets.token_hex(3)
        self.state = state_folder(self.id)
        self.state.mkdir()
        self.supervisor = Supervisor.start(self.id, self.state, remove=[self.state])
        self.kubeconfig = kubeconfig.absolute()
        self.operator_kubeconfig = self.kubeconfig
        self.objects = Objects(self.kubeconfig)
        self.kwok = Kwok(self.supervisor, self.kubeconfig, self.objects)
        self.kwok.start()

    def stop(self) -> None:
        """Remove the simulated nodes and KWOK's kinds, and stop what runs beside the cluster."""
        self.kwok.uninstall()
        self.supervisor.stop()

    def kubectl(self, *arguments: str | Path, input: str | None = None, check: bool = True) -> str:
        """Run kubectl as the kubeconfig's user and return what it printed."""
        return kubectl(self.kubeconfig, *arguments, input=input, check=check)

    @cached_property
    def object_store(self) -> ObjectStore:
        """The object store, started on first use."""
        return ObjectStore(self.supervisor, self.address, free_port()).start()

    @cached_property
    def label_studio(self) -> LabelStudio:
        """Label Studio, started on first use."""
        return LabelStudio(self.supervisor, self.address, free_port()).start()


class Cluster:
    """A control plane with KWOK; with ``nodes=True`` it can hold real nodes too, and needs root.

    Use it as a context manager, or call ``start`` and ``stop``. It lives no longer than this process, unless it is
    ``detached``.
    """

    def __init__(
        self,
        state: Path | None = None,
        *,
        nodes: bool = False,
        detached: bool = False,
        node_grace: timedelta = timedelta(seconds=40),
        scrape_interval: timedelta = timedelta(seconds=5),
    ) -> None:
        """Describe a cluster; nothing is started yet.

        Args:
            state: folder for its configuration and logs, removed with the cluster; it must not hold anything else.
                Default: a new one below the temporary folder. Its path must be short, as a unix socket's must.
            nodes: give the cluster namespaces and a network of its own, so that real nodes can be added.
            detached: let it live on when this process ends, until ``python -m harness down``.
            node_grace: how long after its last heartbeat a node counts as unreachable.
            scrape_interval: of its Prometheus.
        """
        self.id = secrets.token_hex(3)
        self.state = (state or state_folder(self.id)).absolute()
        self._has_nodes = nodes
        self._detached = detached
        self._node_grace = node_grace
        self._scrape_interval = scrape_interval
        self._supervisor: Supervisor | None = None
        self._block: Block | None = None
        self._nodes: dict[str, Node] = {}
        self._ports: dict[str, int] = {}

    # --- from nothing to a cluster and back ---------------------------------------------------------------------------

    def start(self) -> Cluster:
        """Start the control plane and KWOK, about 8 seconds.

        Raises:
            ClusterFailed: not root, or the state folder is in use.
            ProcessDied, NotReady: with the end of the log of the process that failed.
        """
        records.sweep()
        self._check()
        self.state.mkdir(parents=True, exist_ok=True)
        self._describe()
        remove = [self.state, self._disks] if self._has_nodes else [self.state]
        self._supervisor = Supervisor.start(
            self.id, self.state, isolate=self._has_nodes, detached=self._detached, remove=remove
        )
        try:
            if self._has_nodes:
                self._block = network.connect(self._supervisor)
                self._describe()
            self.control_plane.start(node_grace=self._node_grace)
            self.kwok.start()
        except BaseException:
            self.stop()
            raise
        return self

    @classmethod
    def attach(cls, state: Path) -> Cluster:
        """A handle on a running cluster that another process started. Raises ClusterFailed if there is none."""
        running = {record.state: record for record in records.all_records() if record.starter.alive()}
        record = running.get(state.absolute())
        if record is None:
            raise ClusterFailed(f"no cluster runs in {state}")
        description = json.loads((record.state / _DESCRIPTION).read_text())
        cluster = cls(record.state, nodes=record.isolated, detached=True)
        cluster.id = record.id
        cluster._supervisor = Supervisor.attach(record)
        cluster._block = Block(description["block"]) if description["block"] else None
        cluster._ports = description["ports"]
        for index, name in enumerate(description["nodes"], start=1):
            cluster._nodes[name] = cluster._node(name, index)
        return cluster

    def stop(self) -> None:
        """Take everything down and remove what it left; return when that is done."""
        if self._supervisor is not None:
            self._supervisor.stop()
            self._supervisor = None

    def __enter__(self) -> Cluster:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def is_up(self) -> bool:
        """Whether it has been started and has not ended since."""
        return self._supervisor is not None and self._supervisor.alive

    # --- what it has --------------------------------------------------------------------------------------------------

    @property
    def supervisor(self) -> Supervisor:
        """The supervisor of all its processes."""
        if self._supervisor is None:
            raise RuntimeError("the cluster is not running: call start() first")
        return self._supervisor

    @property
    def address(self) -> str:
        """Where API server, Prometheus and object store are: reached from this machine and, with nodes, from pods."""
        return self._block.cluster if self._block is not None else "127.0.0.1"

    @property
    def machine(self) -> str:
        """This machine, as pods reach what it runs outside of the cluster."""
        return self._block.machine if self._block is not None else "127.0.0.1"

    @cached_property
    def control_plane(self) -> ControlPlane:
        """etcd, API server, controller manager and scheduler."""
        return ControlPlane(self.supervisor, Network.own(self.address) if self._has_nodes else Network.loopback())

    @cached_property
    def kwok(self) -> Kwok:
        """The simulated nodes."""
        return Kwok(self.supervisor, self.kubeconfig, self.objects, self.address)

    @cached_property
    def prometheus(self) -> Prometheus:
        """The cluster's Prometheus, started on first use."""
        server = Prometheus(
            self.supervisor,
            self.kubeconfig,
            self.address,
            self._port("prometheus"),
            scrape_interval=self._scrape_interval,
        )
        return server if "prometheus" in self.supervisor.processes() else server.start()

    @cached_property
    def object_store(self) -> ObjectStore:
        """The object store, started on first use."""
        store = ObjectStore(self.supervisor, self.address, self._port("object store"))
        return store if "object-store" in self.supervisor.processes() else store.start()

    @cached_property
    def label_studio(self) -> LabelStudio:
        """Label Studio, started on first use."""
        studio = LabelStudio(self.supervisor, self.address, self._port("label studio"))
        return studio if "label-studio" in self.supervisor.processes() else studio.start()

    @property
    def kubeconfig(self) -> Path:
        """Of the administrator."""
        return self.control_plane.kubeconfig

    @property
    def objects(self) -> Objects:
        """Its objects, as the administrator sees them: for looking, and for what no user would do."""
        return self.control_plane.objects

    @property
    def operator_kubeconfig(self) -> Path:
        """Of the user ``modelfleet-operator``, whose requests the API server writes to its audit log."""
        return self.control_plane.operator_kubeconfig

    def kubectl(self, *arguments: str | Path, input: str | None = None, check: bool = True) -> str:
        """Run kubectl as the administrator and return what it printed; raises CommandFailed if ``check`` is set."""
        return self.control_plane.kubectl(*arguments, input=input, check=check)

    # --- adding to it -------------------------------------------------------------------------------------------------

    def add_node(self, name: str, labels: Mapping[str, str] | None = None, images: Sequence[ImageRef] = ()) -> Node:
        """Add a real node and wait until it is Ready, about 10 seconds.

        Args:
            name: of the node.
            labels: on the node, besides the usual ones.
            images: that it has from the start.
        """
        if not self._has_nodes:
            raise ClusterFailed("this cluster has no network for real nodes: Cluster(nodes=True)")
        node = self._node(name, len(self._nodes) + 1)
        self._nodes[name] = node
        self._describe()
        node.start(labels or {}, images)
        if len(self._nodes) == 1:
            assert self._block is not None
            kube_proxy.start(self.supervisor, self.control_plane, self.address, self._block.all, name)
        return node

    def enforce_network_policies(self, node: str) -> None:
        """Have NetworkPolicies enforced for the pods of one real node; those of the others stay unguarded.

        Raises:
            ProcessDied, NotReady: with the end of the log of what would enforce them.
        """
        network_policy.start(self.supervisor, self.control_plane, self._nodes[node].name)

    def node(self, name: str) -> Node:
        """The real node of that name. Raises KeyError."""
        return self._nodes[name]

    def load_image(self, node: str, image: ImageRef) -> None:
        """Bring an image into a running node."""
        self._nodes[node].load_image(image)

    def add_kwok_nodes(self, count: int, prefix: str, labels: Mapping[str, str] | None = None) -> list[str]:
        """Add simulated nodes and wait until they are Ready; return their names.

        Beside real nodes they carry a taint, ``modelfleet.dev/kwok``, so that only pods that tolerate it go there.
        """
        return self.kwok.add_nodes(count, prefix, labels, taint=self._has_nodes)

    # --- inside -------------------------------------------------------------------------------------------------------

    @property
    def _disks(self) -> Path:
        """What nodes write. It lies in the cache, so that images can be linked from there."""
        return cache() / "disks" / self.id

    def _node(self, name: str, index: int) -> Node:
        assert self._block is not None
        return Node(self.supervisor, self.control_plane, self._block, index, name, self._disks / name)

    def _port(self, service: str) -> int:
        if service not in self._ports:
            self._ports[service] = _PORTS[service] if self._has_nodes else free_port()
            self._describe()
        return self._ports[service]

    def _describe(self) -> None:
        octet = self._block.octet if self._block is not None else None
        description = {"id": self.id, "block": octet, "nodes": list(self._nodes), "ports": self._ports}
        (self.state / _DESCRIPTION).write_text(json.dumps(description))

    def _check(self) -> None:
        for record in records.all_records():
            if record.state == self.state:
                raise ClusterFailed(
                    f"a cluster runs in {self.state} already: python -m harness down --state {self.state}"
                )
        if self.state.exists() and any(self.state.iterdir()):
            raise ClusterFailed(f"{self.state} holds other things, and it would be removed with the cluster")
        if len(str(self.state)) > 80:
            raise ClusterFailed(f"{self.state} is too long for the path of a folder with unix sockets (80 characters)")
        if self._has_nodes and os.geteuid() != 0:
            raise ClusterFailed("real nodes need root: containers, namespaces, cgroups and network interfaces are made")
        for folder in ("/var/lib", "/var/log", "/run"):  # each node has its own of these
            if self._has_nodes and any(path.is_relative_to(folder) for path in (self.state, cache())):
                raise ClusterFailed(f"the cluster's folder and MODELFLEET_CACHE must not lie below {folder}")
