"""Real nodes: containers run, are reached, see their own node, and leave nothing behind."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import Cluster, buildah, images
from harness.node import Node
from harness.processes import wait_until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(os.geteuid() != 0, reason="real nodes need root"),
]
NAMES = ("one", "two", "three", "four")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(nodes=True) as started:
        yield started


@pytest.fixture(scope="module")
def nodes(cluster: Cluster) -> list[Node]:
    probe = images.ensure("probe")
    return [cluster.add_node(name, {"pool": name}, images=[probe]) for name in NAMES]


class Probe:
    """Pods that run the image `probe`."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.image = images.ensure("probe").name

    def start(self, name: str, node: str, *arguments: str, volume: str | None = None) -> None:
        mounts = [{"name": "disk", "mountPath": "/disk"}] if volume else []
        volumes = [{"name": "disk", "hostPath": {"path": volume, "type": "DirectoryOrCreate"}}] if volume else []
        container = {
            "name": "probe",
            "image": self.image,
            "imagePullPolicy": "Never",
            "args": list(arguments),
            "volumeMounts": mounts,
            "securityContext": {"runAsUser": 0 if volume else 65532},
            "ports": [{"name": "metrics", "containerPort": 9090}],
            "env": [{"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
        }
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": {"app": name, "modelfleet.dev/rollout": "line"}},
            "spec": {
                "nodeSelector": {"pool": node},
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 2,
                "containers": [container],
                "volumes": volumes,
            },
        }
        self._cluster.kubectl("create", "--filename=-", input=json.dumps(pod))

    def output(self, name: str) -> str:
        """What a pod printed, once it has ended well; through the API server and the node's kubelet."""
        assert wait_until(lambda: self.phase(name) in ("Succeeded", "Failed"), 180), self.described(name)
        printed = self._cluster.kubectl("logs", name)
        assert self.phase(name) == "Succeeded", printed + self.described(name)
        return printed

    def run(self, name: str, node: str, *arguments: str, volume: str | None = None) -> str:
        self.start(name, node, *arguments, volume=volume)
        return self.output(name)

    def phase(self, name: str) -> str:
        return self._cluster.kubectl("get", "pod", name, "--output=jsonpath={.status.phase}")

    def described(self, name: str) -> str:
        return self._cluster.kubectl("describe", "pod", name)


@pytest.fixture
def probe(cluster: Cluster, nodes: list[Node]) -> Iterator[Probe]:
    yield Probe(cluster)
    cluster.kubectl("delete", "pods,services", "--selector=app", "--namespace=default")


def test_all_nodes_are_ready_with_addresses_and_versions_of_their_own(cluster: Cluster, nodes: list[Node]) -> None:
    listed = json.loads(cluster.kubectl("get", "nodes", "--output=json"))["items"]
    found = {node["metadata"]["name"]: node for node in listed}
    assert set(found) == set(NAMES)
    addresses = {
        each["address"] for node in listed for each in node["status"]["addresses"] if each["type"] == "InternalIP"
    }
    assert addresses == {node.address for node in nodes}
    assert {node["status"]["nodeInfo"]["kubeletVersion"] for node in listed} == {"v1.35.4"}


def test_a_pod_reaches_the_api_server_through_its_service_with_its_service_account(probe: Probe) -> None:
    printed = probe.run("api", "one", "get", "https://10.96.0.1/version")
    assert printed.startswith("200 OK")
    assert json.loads(printed.removeprefix("200 OK\n"))["gitVersion"] == "v1.35.4"


def test_pods_reach_each_other_across_nodes_directly_and_through_a_service(cluster: Cluster, probe: Probe) -> None:
    probe.start("server", "two", "serve")
    cluster.kubectl("wait", "--for=condition=Ready", "pod/server", "--timeout=180s")
    cluster.kubectl("expose", "pod", "server", "--port=80", "--target-port=9090")
    pod = cluster.kubectl("get", "pod", "server", "--output=jsonpath={.status.podIP}")
    service = cluster.kubectl("get", "service", "server", "--output=jsonpath={.spec.clusterIP}")
    expected = '200 OK\nprobe_up{node="two"} 1\n'
    assert probe.run("direct", "three", "get", f"http://{pod}:9090/metrics") == expected
    assert probe.run("across", "three", "get", f"http://{service}/metrics") == expected
    assert probe.run("beside", "two", "get", f"http://{service}/metrics") == expected  # the hairpin


def test_prometheus_scrapes_real_pods(cluster: Cluster, probe: Probe) -> None:
    probe.start("scraped", "four", "serve")
    assert wait_until(lambda: bool(cluster.prometheus.query("probe_up")), 180), cluster.prometheus.tail()
    [(labels, _)] = cluster.prometheus.query("probe_up")
    assert {"node": "four", "pod": "scraped", "namespace": "default"}.items() <= labels.items()


def test_pods_reach_prometheus_and_the_object_store(cluster: Cluster, probe: Probe) -> None:
    assert probe.run("metrics", "one", "get", f"{cluster.prometheus.url}/-/ready").startswith("200 OK")
    assert "AccessDenied" in probe.run("objects", "one", "get", cluster.object_store.endpoint)


def test_host_paths_below_var_lib_are_each_nodes_own(probe: Probe, nodes: list[Node]) -> None:
    for name in ("one", "two"):
        assert probe.run(f"write-{name}", name, "write", "/disk/name", volume="/var/lib/modelfleet/test") == ""
    assert [node.host_path("/var/lib/modelfleet/test/name").read_text() for node in nodes[:2]] == ["one\n", "two\n"]
    nodes[2].host_path("/var/lib/modelfleet/test").mkdir(parents=True)
    (nodes[2].var_lib / "test/name").write_text("from the machine\n")
    assert probe.run("read", "three", "read", "/disk/name", volume="/var/lib/modelfleet/test") == "from the machine\n"


def test_an_image_of_several_layers_arrives_whole_and_is_never_written_to(
    cluster: Cluster, nodes: list[Node], tmp_path: Path
) -> None:
    (tmp_path / "Containerfile").write_text(
        """
        ARG BASE
        FROM ${BASE}
        RUN mkdir /kept /gone /renewed && touch /kept/old /kept/removed /gone/file /renewed/old
        RUN rm -r /gone /kept/removed && touch /kept/new && rm -r /renewed && mkdir /renewed && touch /renewed/new
        """
    )
    name = "localhost/modelfleet/layers:test"
    buildah.build(name, tmp_path / "Containerfile", tmp_path, tmp_path / "log")
    reference = buildah.find(name)
    assert reference is not None
    assert len(reference.layers) == 3
    nodes[0].load_image(reference)
    # in one stream: of two the runtime keeps no order
    script = "exec 2>&1; ls /kept /renewed; ls -d /gone || true; echo overwritten > /kept/old; cat /kept/old"
    arguments = ("--restart=Never", "--image-pull-policy=Never", "--labels=app=layers", f"--image={name}")
    placed = '--overrides={"spec": {"nodeSelector": {"pool": "one"}}}'
    cluster.kubectl("run", "layers", *arguments, placed, "--command", "--", "sh", "-c", script)
    probe = Probe(cluster)
    assert probe.output("layers").splitlines()[:8] == [
        "/kept:",
        "new",
        "old",
        "",
        "/renewed:",
        "new",
        "ls: cannot access '/gone': No such file or directory",
        "overwritten",
    ]
    assert (reference.layers[1].folder / "kept/old").read_text() == ""
    cluster.kubectl("delete", "pod", "layers")
    buildah.remove(name)


def test_what_looks_for_the_internet_fails_at_once(cluster: Cluster, probe: Probe) -> None:
    probe.start("lost", "one", "get", "http://192.0.2.77/")
    assert wait_until(lambda: probe.phase("lost") == "Failed", 60), probe.described("lost")
    assert "unreachable" in cluster.kubectl("logs", "lost")


def test_a_deleted_pod_is_gone(cluster: Cluster, probe: Probe) -> None:
    probe.start("gone", "one", "serve")
    cluster.kubectl("wait", "--for=condition=Ready", "pod/gone", "--timeout=180s")
    cluster.kubectl("delete", "pod", "gone", "--timeout=120s")
    assert cluster.kubectl("get", "pod", "gone", "--ignore-not-found") == ""


def test_a_nodes_kubelet_can_die_and_come_back_while_its_pods_go_on(
    cluster: Cluster, probe: Probe, nodes: list[Node]
) -> None:
    probe.start("lasting", "four", "serve")
    cluster.kubectl("wait", "--for=condition=Ready", "pod/lasting", "--timeout=180s")
    address = cluster.kubectl("get", "pod", "lasting", "--output=jsonpath={.status.podIP}")
    nodes[3].kill_kubelet()
    assert probe.run("asking", "one", "get", f"http://{address}:9090/metrics").startswith("200 OK")
    nodes[3].start_kubelet()
    restarts = "--output=jsonpath={.status.containerStatuses[0].restartCount}"
    assert cluster.kubectl("get", "pod", "lasting", restarts) == "0"


def test_another_process_can_attach(cluster: Cluster, nodes: list[Node]) -> None:
    attached = Cluster.attach(cluster.state)
    assert attached.is_up
    assert attached.node("two").ready
    assert attached.prometheus.url == cluster.prometheus.url
    assert attached.object_store.secret_key == cluster.object_store.secret_key
