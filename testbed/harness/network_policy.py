"""kube-router as a network policy controller: the pods of one real node get what their NetworkPolicies let through.

The cluster's own network enforces none. Of kube-router the firewall alone runs, by iptables and ipset; its routes and
its Services stay off, as bridges and kube-proxy have them. It guards the pods whose node it is started for, and takes
all chains of the network namespace that are named like its own for its own: a second one, for another node of the same
namespace, would remove what the first has written.
"""

from __future__ import annotations

from harness import binaries, debian
from harness.control_plane import SERVICE_RANGE, ControlPlane
from harness.processes import Process, Supervisor

_NAME = "kube-router"
_CHAIN = "KUBE-ROUTER-FORWARD"


def start(supervisor: Supervisor, control_plane: ControlPlane, node: str) -> Process:
    """Start it in an isolated cluster; return when its chains are in place.

    Policies and pods that come later take it a moment each: what is to be refused may get through until then.

    Args:
        supervisor: of the cluster.
        control_plane: of the cluster.
        node: whose pods are guarded, as the source and as the destination of what is sent.

    Raises:
        ProcessDied, NotReady: with the end of its log.
    """
    debian.ensure(*debian.NODE, "ipset")
    # else what pods of one bridge send each other passes iptables by
    supervisor.run(["sysctl", "--quiet", "--write", "net.bridge.bridge-nf-call-iptables=1"])
    process = supervisor.spawn(
        _NAME,
        [
            binaries.path(_NAME),
            "--run-firewall=true",
            "--run-router=false",
            "--run-service-proxy=false",
            f"--hostname-override={node}",
            f"--kubeconfig={control_plane.kubeconfig}",
            f"--service-cluster-ip-range={SERVICE_RANGE}",
            "--health-port=0",
            "--v=1",
        ],
    )
    process.wait_ready(lambda: _CHAIN in supervisor.run(["iptables", "--wait", "--list-rules", "FORWARD"]), 60)
    return process
