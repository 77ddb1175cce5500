"""The control plane: real etcd, kube-apiserver, kube-controller-manager and kube-scheduler as processes.

In an isolated cluster the ports are the usual ones and the API server listens on every address of the cluster's own
network; otherwise it listens on 127.0.0.1 and a free port, so that several control planes run side by side.
"""

from __future__ import annotations

import json
import urllib.request
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from harness import binaries
from harness.lifetime import run
from harness.objects import Objects
from harness.pki import ADMIN_GROUP, Authority
from harness.ports import free_port, listens
from harness.processes import NotReady, Process, Supervisor, wait_until

SERVICE_RANGE = "10.96.0.0/16"
SERVICE_ADDRESS = "10.96.0.1"  # of the Service `kubernetes`: the first of the range
AUDITED_USER = "modelfleet-operator"


@dataclass(frozen=True)
class Network:
    """Where the API server listens and how it is reached: ``address`` by everybody who is not a pod."""

    address: str
    bind: str
    api_port: int
    etcd_port: int
    etcd_peer_port: int

    @property
    def server(self) -> str:
        """The API server's URL."""
        return f"https://{self.address}:{self.api_port}"

    @classmethod
    def loopback(cls) -> Network:
        """For a control plane without nodes: 127.0.0.1 and free ports."""
        return cls("127.0.0.1", "127.0.0.1", free_port(), free_port(), free_port())

    @classmethod
    def own(cls, address: str) -> Network:
        """For a cluster with a network of its own, in which it has ``address``."""
        return cls(address, "0.0.0.0", 6443, 2379, 2380)


class ControlPlane:
    """A running control plane; ``start`` brings it up and returns when it is of use."""

    def __init__(self, supervisor: Supervisor, network: Network) -> None:
        self._supervisor = supervisor
        self._state = supervisor.record.state
        self.network = network
        self.authority = Authority(self._state / "pki")
        self.kubeconfig = self._state / "kubeconfig"
        self.operator_kubeconfig = self._state / "operator.kubeconfig"
        self.audit_log = self._state / "audit.log"

    def start(self, *, node_grace: timedelta = timedelta(seconds=40)) -> None:
        """Start the four processes.

        Args:
            node_grace: how long after a node's last heartbeat it counts as unreachable. Kubernetes' default.

        Raises:
            ProcessDied, NotReady: with the end of the log of the one that failed.
        """
        self._write_kubeconfigs()
        etcd = self._start_etcd(binaries.path("etcd"))
        api = self._start_api_server(binaries.path("kube-apiserver"))
        etcd.wait_ready(lambda: listens(self.network.address, self.network.etcd_port), 30)
        api.wait_ready(self.objects.ready, 90)
        self._supervisor.spawn("kube-controller-manager", self._controller_manager(node_grace))
        self._supervisor.spawn(
            "kube-scheduler",
            [
                binaries.path("kube-scheduler"),
                f"--kubeconfig={self._state}/scheduler.kubeconfig",
                f"--authentication-kubeconfig={self._state}/scheduler.kubeconfig",
                f"--authorization-kubeconfig={self._state}/scheduler.kubeconfig",
                "--leader-elect=false",
                "--secure-port=0",
            ],
        )
        # the first thing that only a working controller manager makes, and without which no pod can be created
        if not wait_until(self._has_default_service_account, 60, interval=0.2):
            manager = self._supervisor.find("kube-controller-manager")
            raise NotReady(f"no service account after 60 s; the end of {manager.log}:\n{manager.tail()}")

    def _write_kubeconfigs(self) -> None:
        for name, user, groups in (
            ("kubeconfig", "admin", (ADMIN_GROUP,)),
            ("operator.kubeconfig", AUDITED_USER, (ADMIN_GROUP,)),
            ("controller-manager.kubeconfig", "system:kube-controller-manager", ()),
            ("scheduler.kubeconfig", "system:kube-scheduler", ()),
        ):
            self.authority.kubeconfig(self._state / name, self.network.server, user, groups)

    def kill_api_server(self) -> None:
        """End the API server as a crash would; etcd, the controllers and the nodes go on without it."""
        self._supervisor.find("kube-apiserver").kill9()

    def start_api_server(self) -> None:
        """Start it again; return when it is ready."""
        self._start_api_server(binaries.path("kube-apiserver")).wait_ready(self.objects.ready, 90)

    def compact(self) -> int:
        """Have etcd forget everything but the present, and return its revision: an API server that starts after that
        can't serve a watch from an earlier one."""
        revision = self._etcd("maintenance/status", {})["header"]["revision"]
        self._etcd("kv/compaction", {"revision": revision, "physical": True})
        return int(revision)

    def _etcd(self, path: str, asked: dict[str, Any]) -> dict[str, Any]:
        url = f"http://{self.network.address}:{self.network.etcd_port}/v3/{path}"
        request = urllib.request.Request(url, json.dumps(asked).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def _start_etcd(self, program: Path) -> Process:
        client = f"http://{self.network.address}:{self.network.etcd_port}"
        peer = f"http://{self.network.address}:{self.network.etcd_peer_port}"
        return self._supervisor.spawn(
            "etcd",
            [
                program,
                f"--data-dir={self._state}/etcd",
                "--unsafe-no-fsync",  # it need not outlive a power cut
                f"--listen-client-urls={client}",
                f"--advertise-client-urls={client}",
                f"--listen-peer-urls={peer}",
                f"--initial-advertise-peer-urls={peer}",
                f"--initial-cluster=default={peer}",
                "--quota-backend-bytes=4294967296",
                "--logger=zap",
                "--log-level=warn",
            ],
        )

    def _start_api_server(self, program: Path) -> Process:
        hosts = ("DNS:localhost", "DNS:kubernetes.default.svc", "IP:127.0.0.1", f"IP:{SERVICE_ADDRESS}")
        server = self.authority.issue("kube-apiserver", "kube-apiserver", hosts=(*hosts, f"IP:{self.network.address}"))
        # towards kubelets: logs, exec
        client = self.authority.issue("apiserver-kubelet-client", "kube-apiserver-kubelet-client", (ADMIN_GROUP,))
        private, public = self.authority.service_account_key()
        audit_policy = self._state / "audit-policy.json"
        audit_policy.write_text(json.dumps(_AUDIT_POLICY))
        advertise = (
            [f"--advertise-address={self.network.address}"]
            if self._supervisor.record.isolated
            else ["--endpoint-reconciler-type=none"]  # a loopback address is not an endpoint, and there are no pods
        )
        return self._supervisor.spawn(
            "kube-apiserver",
            [
                program,
                f"--etcd-servers=http://{self.network.address}:{self.network.etcd_port}",
                f"--bind-address={self.network.bind}",
                f"--secure-port={self.network.api_port}",
                *advertise,
                f"--tls-cert-file={server.certificate}",
                f"--tls-private-key-file={server.key}",
                f"--client-ca-file={self.authority.certificate}",
                f"--service-account-key-file={public}",
                f"--service-account-signing-key-file={private}",
                "--service-account-issuer=https://kubernetes.default.svc",
                f"--service-cluster-ip-range={SERVICE_RANGE}",
                "--authorization-mode=Node,RBAC",
                "--enable-admission-plugins=NodeRestriction",
                "--allow-privileged=true",
                f"--kubelet-client-certificate={client.certificate}",
                f"--kubelet-client-key={client.key}",
                "--kubelet-preferred-address-types=InternalIP",
                f"--audit-policy-file={audit_policy}",
                f"--audit-log-path={self.audit_log}",
                "--audit-log-mode=blocking",  # a request that has been answered is in the log
                "--shutdown-delay-duration=0s",
            ],
        )

    def _controller_manager(self, node_grace: timedelta) -> list[str | Path]:
        private, _ = self.authority.service_account_key()
        config = self._state / "controller-manager.kubeconfig"
        return [
            binaries.path("kube-controller-manager"),
            f"--kubeconfig={config}",
            f"--authentication-kubeconfig={config}",
            f"--authorization-kubeconfig={config}",
            f"--service-account-private-key-file={private}",
            f"--root-ca-file={self.authority.certificate}",
            "--use-service-account-credentials",
            "--leader-elect=false",
            "--secure-port=0",
            f"--node-monitor-grace-period={node_grace.total_seconds():.0f}s",
            "--node-monitor-period=1s",
            "--kube-api-qps=100",  # 20 by default: a rollout on a few dozen nodes would wait for that
            "--kube-api-burst=200",
        ]

    def _has_default_service_account(self) -> bool:
        return self.objects.get("serviceaccount", "default", "default") is not None

    @cached_property
    def objects(self) -> Objects:
        """The objects of the cluster, as the administrator sees them."""
        return Objects(self.kubeconfig)

    def kubectl(self, *arguments: str | Path, input: str | None = None, check: bool = True) -> str:
        """Run kubectl as the administrator and return what it printed.

        Raises:
            CommandFailed: it exited non-zero and ``check`` is set; the message holds what it said.
        """
        return kubectl(self.kubeconfig, *arguments, input=input, check=check)


def kubectl(kubeconfig: Path, *arguments: str | Path, input: str | None = None, check: bool = True) -> str:
    """Run kubectl with a kubeconfig; discovery is cached beside it and not in the user's home."""
    program = binaries.path("kubectl")
    cache = kubeconfig.parent / "kubectl-cache"
    return run([program, f"--kubeconfig={kubeconfig}", f"--cache-dir={cache}", *arguments], input=input, check=check)


# every request that the operator process makes, without bodies: tests count them to show that a steady state is silent
_AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata", "users": [AUDITED_USER]}, {"level": "None"}],
}
