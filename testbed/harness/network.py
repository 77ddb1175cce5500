"""The network of a cluster with real nodes: a network namespace of its own, tied to the machine by one cable.

    machine  10.88.0.1 --(veth)-- 10.88.0.2  the cluster: API server, Prometheus, object store
                                  10.88.1.1  node 1: kubelet, and the bridge of its pods 10.88.1.0/24
                                  10.88.2.1  node 2, and so on

All nodes are in the one namespace, so the kernel routes between their bridges without any overlay, and one kube-proxy
serves them all. There is no default route: what looks for the internet fails at once and does not hang. All of it, the
machine's end of the cable and its route included, goes away with the namespace.
"""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass

from harness.lifetime import CommandFailed, run
from harness.processes import Supervisor

_BLOCKS = range(88, 120)  # second octets: 10.88.0.0/16 and, where that is taken, the next


class NoNetwork(Exception):
    """No block of addresses is free on this machine."""


@dataclass(frozen=True)
class Block:
    """The addresses of one cluster, 10.<octet>.0.0/16."""

    octet: int

    @property
    def all(self) -> str:
        """The whole block."""
        return f"10.{self.octet}.0.0/16"

    @property
    def machine(self) -> str:
        """The machine's end of the cable."""
        return f"10.{self.octet}.0.1"

    @property
    def cluster(self) -> str:
        """The cluster's end: where the machine and the pods reach API server, Prometheus and object store."""
        return f"10.{self.octet}.0.2"

    @property
    def link(self) -> str:
        """The name of the machine's end of the cable."""
        return f"modelfleet{self.octet}"

    def node(self, index: int) -> str:
        """The address of a node, which is also its bridge's and its pods' gateway."""
        return f"10.{self.octet}.{index}.1"

    def pods(self, index: int) -> str:
        """The addresses of a node's pods."""
        return f"10.{self.octet}.{index}.0/24"


def connect(supervisor: Supervisor) -> Block:
    """Lay the cable between the machine and an isolated cluster, in the first block that nobody uses.

    Raises:
        NoNetwork: all blocks are in use.
    """
    for octet in _BLOCKS:
        block = Block(octet)
        if not _taken(block) and _lay(block, supervisor):
            for command in (
                ("ip", "link", "set", "lo", "up"),
                ("ip", "address", "add", f"{block.cluster}/24", "dev", "uplink"),
                ("ip", "link", "set", "uplink", "up"),
                ("sysctl", "--quiet", "--write", "net.ipv4.ip_forward=1"),
            ):
                supervisor.run(command)
            run(["ip", "address", "add", f"{block.machine}/24", "dev", block.link])
            run(["ip", "link", "set", block.link, "up"])
            run(["ip", "route", "add", block.all, "via", block.cluster, "dev", block.link])
            return block
    raise NoNetwork(f"all of {Block(_BLOCKS[0]).all} to {Block(_BLOCKS[-1]).all} are in use on this machine")


def add_bridge(supervisor: Supervisor, block: Block, index: int) -> str:
    """Make a node's bridge, before its first pod does, so that the node's address exists; return its name."""
    bridge = f"node{index}"
    supervisor.run(["ip", "link", "add", bridge, "type", "bridge"])
    supervisor.run(["ip", "address", "add", f"{block.node(index)}/24", "dev", bridge])
    supervisor.run(["ip", "link", "set", bridge, "up"])
    return bridge


def _taken(block: Block) -> bool:
    wanted = ipaddress.ip_network(block.all)
    routes = json.loads(run(["ip", "-json", "-4", "route", "show", "table", "all"]) or "[]")
    used = (route["dst"] for route in routes if route["dst"] != "default")
    return any(ipaddress.ip_network(each, strict=False).overlaps(wanted) for each in used)


def _lay(block: Block, supervisor: Supervisor) -> bool:
    """Make the pair of interfaces; the name makes it a claim that only one cluster can win."""
    ends = ["name", block.link, "type", "veth", "peer", "name", "uplink"]
    try:
        run(["ip", "link", "add", *ends, "netns", str(supervisor.record.starter.pid)])
    except CommandFailed as error:
        if "File exists" in str(error):
            return False
        raise
    return True
