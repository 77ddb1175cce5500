"""A real node: its own containerd, kubelet, bridge, cgroups, /var/lib and /var/log, beside others on one machine.

What makes several nodes fit on one machine, and each line of the configuration that is not what a node of its own would
have, is explained where it stands.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import binaries, cgroups, containerd, debian, network
from harness.containerd import Containerd
from harness.control_plane import ControlPlane
from harness.image import ImageRef
from harness.images import ensure, in_use
from harness.network import Block
from harness.objects import condition
from harness.processes import Process, Supervisor

# kubelet insists on these, and would set them for the whole machine; it sees these files in their place
_SYSCTLS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}

# a mount namespace for the node, in which /var/lib and /var/log are its own; then the program itself
_ENTER = """
disk=$1; shift
mount --make-rshared /
mount --bind "$disk/lib" /var/lib
mount --bind "$disk/log" /var/log
cd "$disk/sysctls"
find * -type f | while read -r file; do
    if [ -e "/proc/sys/$file" ]; then mount --bind "$file" "/proc/sys/$file"; fi
done
cd /
exec "$@"
"""


class Node:
    """A running node. Use ``Cluster.add_node`` to get one."""

    def __init__(
        self, supervisor: Supervisor, control_plane: ControlPlane, block: Block, index: int, name: str, disk: Path
    ) -> None:
        """Describe one; nothing is started yet.

        Args:
            supervisor: of the cluster, which must be isolated.
            control_plane: of the cluster.
            block: the cluster's addresses.
            index: from 1 to 254, of which the node's addresses are made.
            name: of the node.
            disk: folder for all that the node writes; removed with the cluster.
        """
        self.name = name
        self.address = block.node(index)
        self._supervisor = supervisor
        self._control_plane = control_plane
        self._block = block
        self._index = index
        self._disk = disk
        self._config = supervisor.record.state / name
        self._run = Path("/run") / name

    def start(self, labels: Mapping[str, str], images: Sequence[ImageRef], *, patience: float = 90) -> None:
        """Start containerd with ``images`` in it, and kubelet; return when the node is Ready.

        Raises:
            ProcessDied, NotReady: with the end of the log of the one that failed.
        """
        debian.ensure(*debian.NODE)
        self._config.mkdir(exist_ok=True)
        for folder in ("lib/modelfleet", "lib/cni", "lib/kubelet", "log"):
            (self._disk / folder).mkdir(parents=True, exist_ok=True)
        for file, value in _SYSCTLS.items():
            path = self._disk / "sysctls" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{value}\n")
        bridge = network.add_bridge(self._supervisor, self._block, self._index)
        self._write_cni(bridge)
        self._start_containerd()
        for image in (ensure("pause"), *images):
            self.load_image(image)
        cgroups.create(self._cgroup)
        self._write_kubelet_configuration(labels)
        self.start_kubelet(patience)

    def start_kubelet(self, patience: float = 90) -> None:
        """Start kubelet, or start it again; return when the node is Ready."""
        process = self._supervisor.spawn(
            f"{self.name}-kubelet",
            self.containerd.inside(
                [
                    binaries.path("kubelet"),
                    f"--config={self._config}/kubelet.json",
                    f"--kubeconfig={self._config}/{self.name}.kubeconfig",
                    f"--hostname-override={self.name}",
                    f"--node-ip={self.address}",
                    f"--node-labels={(self._config / 'labels').read_text()}",
                    "--root-dir=/var/lib/kubelet",
                ]
            ),
        )
        process.wait_ready(lambda: self.ready, patience)

    def kill_kubelet(self) -> None:
        """Take the node off the cluster as a crash of its kubelet does: pods go on, nobody reports them."""
        self.kubelet.kill9()

    @property
    def containerd(self) -> Containerd:
        """The node's container runtime."""
        return Containerd(self._supervisor, self._supervisor.find(f"{self.name}-containerd"), self._run)

    @property
    def kubelet(self) -> Process:
        """The node's kubelet, as it was started last."""
        return self._supervisor.find(f"{self.name}-kubelet")

    @property
    def ready(self) -> bool:
        """Whether the API server says so."""
        node = self._control_plane.objects.get("node", self.name)
        return node is not None and condition(node, "Ready").get("status") == "True"

    def host_path(self, path: str | Path) -> Path:
        """Where this machine keeps what the node, and a pod's hostPath volume, sees as ``path``.

        Below /var/lib each node has its own files; elsewhere all nodes see the machine's.
        """
        below = Path(path).relative_to("/var/lib")
        return self._disk / "lib" / below

    @property
    def var_lib(self) -> Path:
        """Where this machine keeps the node's /var/lib/modelfleet."""
        return self.host_path("/var/lib/modelfleet")

    def load_image(self, image: ImageRef) -> None:
        """Bring an image into the node."""
        with in_use():
            self.containerd.install(image, self.host_path)

    # --- inside -------------------------------------------------------------------------------------------------------

    @property
    def _cgroup(self) -> str:
        return f"{self._supervisor.record.cgroup}/{self.name}"

    def _write_cni(self, bridge: str) -> None:
        """Pods get an address of the node's block, and the bridge as their gateway. There is nothing to masquerade:
        whoever a pod can talk to knows the way back."""
        ipam = {"type": "host-local", "dataDir": "/var/lib/cni", "subnet": self._block.pods(self._index)}
        plugin = {
            "type": "bridge",
            "bridge": bridge,
            "isGateway": True,
            "hairpinMode": True,
            "ipam": {**ipam, "routes": [{"dst": "0.0.0.0/0"}]},
        }
        folder = self._config / "cni"
        folder.mkdir(exist_ok=True)
        configuration = {"cniVersion": "0.4.0", "name": self.name, "plugins": [plugin]}
        (folder / "10-bridge.conflist").write_text(json.dumps(configuration, indent=1))

    def _start_containerd(self) -> None:
        config = self._config / "containerd.toml"
        sandbox = ensure("pause").name
        config.write_text(
            containerd.configuration(Path("/var/lib/containerd"), self._run, sandbox, self._config / "cni")
        )
        program = debian.program("containerd") or "containerd"
        command: list[str | Path] = []
        command += ["unshare", "--mount", "--", "sh", "-euc", _ENTER, "node", self._disk, program, f"--config={config}"]
        self._supervisor.spawn(f"{self.name}-containerd", command)
        self.containerd.wait_ready()

    def _write_kubelet_configuration(self, labels: Mapping[str, str]) -> None:
        authority = self._control_plane.authority
        authority.kubeconfig(
            self._config / f"{self.name}.kubeconfig",
            self._control_plane.network.server,
            f"system:node:{self.name}",
            ("system:nodes",),
        )
        server = authority.issue(f"{self.name}-kubelet", f"system:node:{self.name}", hosts=(f"IP:{self.address}",))
        configuration: dict[str, Any] = {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": self.address,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(authority.certificate)},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(server.certificate),
            "tlsPrivateKeyFile": str(server.key),
            "healthzBindAddress": self.address,
            "readOnlyPort": 0,
            "containerRuntimeEndpoint": f"unix://{self._run}/containerd.sock",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self._cgroup}",  # kubelets that share one remove each other's pods
            "cgroupsPerQOS": True,
            "enforceNodeAllocatable": [],
            "failCgroupV1": False,
            "failSwapOn": False,
            "clusterDNS": [],
            "resolvConf": "",
            "localStorageCapacityIsolation": False,
            "imageGCHighThresholdPercent": 100,  # the disk is the machine's; its images can't be pulled again
            "evictionHard": {"nodefs.available": "0%", "imagefs.available": "0%", "memory.available": "100Mi"},
            "nodeStatusUpdateFrequency": "4s",
            "shutdownGracePeriod": "0s",
        }
        (self._config / "kubelet.json").write_text(json.dumps(configuration, indent=1))
        (self._config / "labels").write_text(",".join(f"{key}={value}" for key, value in labels.items()))
