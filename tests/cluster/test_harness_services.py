"""The test cluster's Prometheus and object store are real and behave as the other tests take for granted."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from harness import Cluster
from harness.processes import wait_until
from harness.prometheus import Prometheus


class _Exporter(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(b'frames_total{node="edge-1",instance="mine"} 7\n')

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def exporter(address: str, port: int) -> Iterator[str]:
    with http.server.ThreadingHTTPServer((address, port), _Exporter) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"{address}:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def target() -> Iterator[str]:
    with exporter("127.0.0.1", 0) as address:
        yield address


def test_prometheus_scrapes_an_added_target_and_keeps_its_data_over_an_outage(
    prometheus: Prometheus, target: str
) -> None:
    prometheus.add_target(target, {"namespace": "ours"})
    assert wait_until(lambda: bool(prometheus.query("frames_total")), 30)
    [(labels, value)] = prometheus.query("frames_total")
    assert value == 7
    assert (labels["node"], labels["instance"], labels["namespace"]) == ("edge-1", "mine", "ours")

    prometheus.stop()
    with pytest.raises(OSError, match="refused"):
        prometheus.query("frames_total")
    prometheus.start()
    assert prometheus.query("count_over_time(frames_total[1h])")


def test_prometheus_discovers_pods_with_the_label_and_the_port(
    control_plane: Cluster, namespace: str, kwok_nodes: Callable[..., list[str]], prometheus: Prometheus
) -> None:
    kwok_nodes(1)
    ours = {
        "agent": "modelfleet.dev/rollout=line",
        "trainer": "modelfleet.dev/training-job=parts-v1",
        "operator": "app.kubernetes.io/name=modelfleet",
    }
    for name, labels in (*ours.items(), ("theirs", "app.kubernetes.io/name=other")):
        pod = f"""
            apiVersion: v1
            kind: Pod
            metadata: {{name: {name}, labels: {{{labels.replace("=", ": ")}}}}}
            spec: {{containers: [{{name: main, image: none, ports: [{{name: metrics, containerPort: 9090}}]}}]}}
        """
        control_plane.kubectl("create", f"--namespace={namespace}", "--filename=-", input=pod)
    # nothing answers there, since the pod is simulated
    assert wait_until(lambda: len(prometheus.query(f'up{{namespace="{namespace}"}}')) >= len(ours), 30)
    found = prometheus.query(f'up{{namespace="{namespace}"}}')
    assert {(labels["pod"], up) for labels, up in found} == {(name, 0) for name in ours}

    # unless a test stands in for it, at its own address
    pod = control_plane.kubectl("get", "pod", "agent", f"--namespace={namespace}", "--output=jsonpath={.status.podIP}")
    with exporter(pod, 9090):
        assert wait_until(lambda: bool(prometheus.query("frames_total")), 30)
        [(labels, _)] = prometheus.query("frames_total")
        assert {"pod": "agent", "namespace": namespace, "node": "edge-1"}.items() <= labels.items()


def test_the_object_store_keeps_objects_over_a_restart_and_creates_only_once(control_plane: Cluster) -> None:
    from obstore.exceptions import AlreadyExistsError

    store = control_plane.object_store
    store.create_bucket("models")
    bucket = store.bucket("models")
    bucket.put("parts/v1/best.onnx", b"weights", mode="create")
    with pytest.raises(AlreadyExistsError):
        bucket.put("parts/v1/best.onnx", b"others", mode="create")

    store.stop()
    store.start()

    assert bytes(bucket.get("parts/v1/best.onnx").bytes()) == b"weights"
    assert [each["path"] for page in bucket.list() for each in page] == ["parts/v1/best.onnx"]
