"""kube-proxy: Services work from the pods of every real node; one serves all, as they share a network namespace."""

from __future__ import annotations

import json

from harness import binaries, debian
from harness.control_plane import ControlPlane
from harness.health import answers
from harness.processes import Process, Supervisor

_HEALTH_PORT = 10256


def start(supervisor: Supervisor, control_plane: ControlPlane, address: str, pods: str, node: str) -> Process:
    """Start kube-proxy in an isolated cluster; return when its rules are in place.

    Args:
        supervisor: of the cluster.
        control_plane: of the cluster.
        address: where it listens.
        pods: the addresses of all nodes' pods.
        node: whose kube-proxy it says it is; without that node in the API server it would never be healthy.
    """
    debian.ensure(*debian.NODE)
    state = supervisor.record.state
    kubeconfig = control_plane.authority.kubeconfig(
        state / "kube-proxy.kubeconfig", control_plane.network.server, "system:kube-proxy"
    )
    config = state / "kube-proxy.json"
    configuration = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "hostnameOverride": node,
        "clusterCIDR": pods,
        "nodePortAddresses": ["primary"],
        "healthzBindAddress": f"{address}:{_HEALTH_PORT}",
        "metricsBindAddress": f"{address}:10249",
        # the table of connections belongs to the machine; a network namespace may not resize it
        "conntrack": {"maxPerCore": 0, "min": 0},
        # a pod that reaches another of its own bridge through a Service is answered past kube-proxy's rules, on the
        # bridge; with the source rewritten the answer comes back the way the question went
        "iptables": {"masqueradeAll": True, "syncPeriod": "30s", "minSyncPeriod": "200ms"},
    }
    config.write_text(json.dumps(configuration, indent=1))
    process = supervisor.spawn("kube-proxy", [binaries.path("kube-proxy"), f"--config={config}"])
    process.wait_ready(lambda: answers(f"http://{address}:{_HEALTH_PORT}/healthz"), 60)
    return process
