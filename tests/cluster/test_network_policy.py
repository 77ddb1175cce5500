"""The chart's NetworkPolicy on a network that enforces it: what it names gets through, and nothing else does.

Two operators in their image, on a real node, with the chart's rights; Prometheus, a receiver of notifications and
strangers are pods of namespaces of their own. kube-router guards the operators' node; the fleet's nodes are simulated.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from harness import Cluster, binaries, images
from harness.image import ImageRef
from harness.paths import REPOSITORY
from harness.processes import wait_until
from harness.prometheus import pods, query, timing
from worlds.rollout import ONLY_V2_IS_BAD, Fleet, model_version, nodes

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(os.geteuid() != 0, reason="real nodes need root"),
]
CHART = REPOSITORY / "charts/modelfleet"
RELEASE, PLANT, MONITORING, CHAT, ELSEWHERE = "system", "line-a", "monitoring", "chat", "elsewhere"
PORT = 9090
SECOND = timedelta(seconds=1)
PATIENCE = 180.0  # seconds; costs only when it fails
REFUSED = "Connection refused"  # what kube-router answers in place of the one that was asked

ECHO = (
    "python",
    "-c",
    f"""
import http.server, socket, threading

def answer(port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as names:
        names.bind(("", port))
        while True:
            names.sendto(*names.recvfrom(512))

for port in (53, 5353):
    threading.Thread(target=answer, args=(port,)).start()
http.server.HTTPServer(("", {PORT}), http.server.BaseHTTPRequestHandler).serve_forever()
""",
)
"""Sends back what comes by UDP at the ports of DNS servers: the test cluster has none."""
STRANGER = ("python", "-m", "http.server", str(PORT))
RECEIVER = (
    "python",
    "-c",
    f"""
import http.server

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        print(self.rfile.read(int(self.headers["Content-Length"])).decode(), flush=True)
        self.send_response(204)
        self.end_headers()

http.server.HTTPServer(("", {PORT}), Handler).serve_forever()
""",
)
ASK_NAMES = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as names:
    names.settimeout(5)
    try:
        names.connect((sys.argv[1], int(sys.argv[2])))
        names.send(b"200")
        print(names.recv(512).decode())
    except OSError as error:
        print(error)
"""
ASK = """
import ssl, sys, urllib.request
authority = ssl.create_default_context(cafile="/var/run/secrets/kubernetes.io/serviceaccount/ca.crt")
try:
    print(urllib.request.urlopen(sys.argv[1], timeout=5, context=authority).status)
except OSError as error:
    print(error)
"""


def peer(namespace: str) -> dict[str, Any]:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}


GUARDED: dict[str, Any] = {
    "enabled": True,
    "metricsFrom": [peer(MONITORING)],
    "prometheusTo": [peer(MONITORING)],
    "prometheusPorts": [PORT],
    "egress": [{"to": [peer(CHAT)], "ports": [{"port": PORT, "protocol": "TCP"}]}],
}


@dataclass(frozen=True)
class World:
    """A cluster with Prometheus, a receiver and strangers; the operators come with ``install``."""

    cluster: Cluster
    image: ImageRef
    values: Path

    def create(self, namespace: str, name: str, node: str, *command: str, **spec: Any) -> None:
        """Start a pod of the operator's image that listens."""
        container = {"name": "main", "image": self.image.name, "imagePullPolicy": "Never", "command": list(command)}
        container |= {"readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1}, **spec.pop("container", {})}
        self.apply(
            namespace,
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, "labels": {"app": name}},
                "spec": {
                    "nodeName": node,
                    "terminationGracePeriodSeconds": 0,
                    "containers": [container],
                    **spec,
                },
            },
        )

    def apply(self, namespace: str, *manifests: dict[str, Any]) -> None:
        document = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)})
        self.cluster.kubectl("apply", f"--namespace={namespace}", "--filename=-", input=document)

    def helm(self, *arguments: str | Path) -> str:
        done = subprocess.run(
            [binaries.path("helm"), *arguments, f"--namespace={RELEASE}"],
            env={**os.environ, "KUBECONFIG": str(self.cluster.kubeconfig)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr + self.cluster.kubectl("-n", RELEASE, "describe", "pods")
        return done.stdout

    def install(self, policy: dict[str, Any]) -> None:
        """Install the chart, or upgrade it, with this policy; the operators are new ones, as are their connections."""
        repository, _, tag = self.image.name.rpartition(":")
        values = {
            "replicas": 2,
            "image": {"repository": repository, "tag": tag, "pullPolicy": "Never"},
            "nodeSelector": {"pool": "guarded"},
            "watchNamespaces": [PLANT],
            "podAnnotations": {"policy": json.dumps(policy)},
            "verification": {"enabled": False},  # there is no store
            "prometheus": {"url": f"http://{self.service(MONITORING, 'prometheus')}"},
            "notifications": {"endpoints": {"chat": {"url": f"http://{self.address(CHAT, 'receiver')}:{PORT}/"}}},
            "networkPolicy": policy,
        }
        self.values.write_text(json.dumps(values))
        self.helm("upgrade", "modelfleet", CHART, "--install", "--wait", "--timeout=5m", f"--values={self.values}")
        assert wait_until(lambda: len(self.operators()) == 2, PATIENCE), "the operators of before did not end"

    def operators(self) -> list[str]:
        selector = "--selector=app.kubernetes.io/name=modelfleet"
        look = ("get", "pods", selector, "--output=jsonpath={.items[*].metadata.name}")
        return self.cluster.kubectl("-n", RELEASE, *look).split()

    def address(self, namespace: str, pod: str) -> str:
        return self.cluster.kubectl("-n", namespace, "get", "pod", pod, "--output=jsonpath={.status.podIP}")

    def service(self, namespace: str, name: str) -> str:
        return self.cluster.kubectl("-n", namespace, "get", "service", name, "--output=jsonpath={.spec.clusterIP}")

    def asks(self, namespace: str, pod: str, *of: str, how: str) -> str:
        """What comes of it when a pod asks this address: ``200``, or why nothing does."""
        return self.cluster.kubectl("-n", namespace, "exec", pod, "--", "python", "-c", how, *of).strip()

    def gets_through(self, namespace: str, pod: str, *of: str, how: str = ASK) -> bool:
        """Whether it comes to that: the network's rules for a pod are there a moment after it."""
        return wait_until(lambda: self.asks(namespace, pod, *of, how=how) == "200", PATIENCE)

    def is_refused(self, namespace: str, pod: str, *of: str, how: str = ASK) -> bool:
        """Whether it comes to that."""
        return wait_until(lambda: REFUSED in self.asks(namespace, pod, *of, how=how), PATIENCE)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    image = images.ensure("operator")
    with Cluster(nodes=True) as cluster:
        for node in ("guarded", "open"):
            cluster.add_node(node, {"pool": node}, images=[image])
        cluster.enforce_network_policies("guarded")
        world = World(cluster, image, tmp_path_factory.mktemp("release") / "values.json")
        for namespace in (RELEASE, PLANT, MONITORING, CHAT, ELSEWHERE):
            cluster.kubectl("create", "namespace", namespace)
        world.create(CHAT, "receiver", "open", *RECEIVER)
        world.create(RELEASE, "beside", "guarded", *STRANGER)
        world.create(ELSEWHERE, "near", "guarded", *STRANGER)
        world.create(ELSEWHERE, "far", "open", *STRANGER)
        world.create(ELSEWHERE, "names", "open", *ECHO, container={"securityContext": {"runAsUser": 0}})
        start_prometheus(world)
        cluster.kubectl("wait", "--all-namespaces", "--for=condition=Ready", "pod", "--selector=app", "--timeout=3m")
        yield world


def start_prometheus(world: World) -> None:
    """Prometheus in a pod, behind a Service whose port is not the pod's, as its own chart has it."""
    config = {"global": timing(SECOND, SECOND), "scrape_configs": [pods(None, [RELEASE])]}
    named = {"name": "prometheus"}
    world.apply(
        MONITORING,
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": named, "data": {"config.json": json.dumps(config)}},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": named,
            "spec": {"selector": {"app": "prometheus"}, "ports": [{"port": 80, "targetPort": PORT}]},
        },
    )
    may = ("--clusterrole=view", f"--serviceaccount={MONITORING}:default")
    world.cluster.kubectl("create", "clusterrolebinding", "prometheus", *may)
    folder = binaries.path("prometheus").parent
    world.create(
        MONITORING, "prometheus", "open",
        "/programs/prometheus", "--config.file=/config/config.json", "--storage.tsdb.path=/data",
        container={
            "volumeMounts": [
                {"name": "programs", "mountPath": "/programs", "readOnly": True},
                {"name": "config", "mountPath": "/config"},
                {"name": "data", "mountPath": "/data"},
            ]
        },
        volumes=[
            {"name": "programs", "hostPath": {"path": str(folder)}},
            {"name": "config", "configMap": named},
            {"name": "data", "emptyDir": {}},
        ],
    )  # fmt: skip


@pytest.fixture(scope="module")
def fleet(world: World) -> Fleet:
    def add(count: int, labels: dict[str, str], prefix: str) -> list[str]:
        return world.cluster.add_kwok_nodes(count, prefix, labels)

    return Fleet(world.cluster, PLANT, *nodes(add, PLANT, 1, 2))


STRANGERS = ((RELEASE, "beside"), (ELSEWHERE, "near"), (ELSEWHERE, "far"))


def test_without_the_policy_everybody_gets_everywhere(world: World) -> None:
    world.install({"enabled": False})
    names = world.address(ELSEWHERE, "names")
    for operator in world.operators():
        assert world.gets_through(RELEASE, operator, names, "5353", how=ASK_NAMES)
        for stranger in STRANGERS:
            assert world.gets_through(*stranger, f"http://{world.address(RELEASE, operator)}:8080/metrics")
            assert world.gets_through(RELEASE, operator, f"http://{world.address(*stranger)}:{PORT}")


def test_with_it_strangers_are_refused_both_ways_and_what_it_names_gets_through(world: World) -> None:
    world.install(GUARDED)
    service = f"http://{world.service(RELEASE, 'modelfleet')}:8080/metrics"
    for stranger in STRANGERS:
        assert world.is_refused(*stranger, service)
        for operator in world.operators():
            assert world.is_refused(*stranger, f"http://{world.address(RELEASE, operator)}:8080/metrics")
            # at the port where Prometheus may be asked
            assert world.is_refused(RELEASE, operator, f"http://{world.address(*stranger)}:{PORT}")

    names = world.address(ELSEWHERE, "names")
    assert world.gets_through(MONITORING, "prometheus", service)
    api_server = f"https://{world.service('default', 'kubernetes')}/version"
    for operator in world.operators():
        assert world.is_refused(RELEASE, operator, names, "5353", how=ASK_NAMES)
        assert world.gets_through(RELEASE, operator, names, "53", how=ASK_NAMES)
        assert world.gets_through(RELEASE, operator, api_server)
        assert world.gets_through(RELEASE, operator, f"http://{world.service(MONITORING, 'prometheus')}/-/ready")
        assert world.gets_through(MONITORING, "prometheus", f"http://{world.address(RELEASE, operator)}:8080/metrics")
    world.helm("test", "modelfleet", "--timeout=5m")


def test_behind_it_two_operators_do_their_work(world: World, fleet: Fleet) -> None:
    world.install(GUARDED)
    fleet.apply(model_version("v1"), model_version("v2"), model_version("v3"))
    fleet.rollout("v1", progressDeadline="10m")
    fleet.wait(lambda: fleet.is_at("v1"), "v1", patience=300)
    fleet.rollout("v2", query=ONLY_V2_IS_BAD, progressDeadline="10m")
    fleet.wait(fleet.rolled_back, "the rollback of v2, for what Prometheus says", patience=300)
    assert wait_until(lambda: "rolled-back" in world.cluster.kubectl("-n", CHAT, "logs", "receiver"), PATIENCE)

    def leader() -> str:
        look = ("get", "lease", "modelfleet", "--output=jsonpath={.spec.holderIdentity}")
        return world.cluster.kubectl("-n", RELEASE, *look)

    before = leader()
    [killed] = [operator for operator in world.operators() if operator in before]
    world.cluster.kubectl("-n", RELEASE, "delete", "pod", killed, "--grace-period=0", "--force")
    fleet.rollout("v3", progressDeadline="10m")
    fleet.wait(lambda: fleet.is_at("v3"), "v3, by the operator that stood by", patience=300)
    assert leader() != before

    scraped = f'up{{namespace="{RELEASE}"}} == 1'
    prometheus = f"http://{world.address(MONITORING, 'prometheus')}:{PORT}"

    def targets() -> set[str]:
        return {labels["pod"] for labels, _ in query(prometheus, scraped)}

    assert wait_until(lambda: set(world.operators()) <= targets(), PATIENCE), targets()


def test_services_of_other_ports_than_their_pods_take_the_pods_ports(world: World) -> None:
    world.install(GUARDED | {"prometheusPorts": [], "dnsPorts": [53, 5353]})
    for operator in world.operators():
        assert world.is_refused(RELEASE, operator, f"http://{world.service(MONITORING, 'prometheus')}/-/ready")
        assert world.gets_through(RELEASE, operator, world.address(ELSEWHERE, "names"), "5353", how=ASK_NAMES)
