"""Health and its HTTP side: what the kubelet and Prometheus are told."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPMessage

import pytest
from prometheus_client import CollectorRegistry, Counter

from agent.serve.health import Health
from agent.serve.server import Server


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(clock: Clock) -> Health:
    return Health(60, clock)


@pytest.fixture
def server(health: Health) -> Iterator[Server]:
    registry = CollectorRegistry()
    Counter("things", "Things.", registry=registry).inc(3)
    running = Server(0, registry, health)
    yield running
    running.close()


def get(server: Server, path: str, host: str = "127.0.0.1", accept: str = "") -> tuple[int, str, HTTPMessage]:
    request = urllib.request.Request(f"http://{host}:{server.port}{path}", headers={"Accept": accept})
    try:
        with urllib.request.urlopen(request, timeout=5) as response:
            return response.status, response.read().decode(), response.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(), error.headers


def test_alive_as_long_as_each_part_says_so(health: Health, clock: Clock) -> None:
    health.beat("inference loop")
    health.beat("frame reader")
    clock.now += 60
    assert health.dead() is None
    health.beat("inference loop")
    clock.now += 1
    assert health.dead() == "no sign of life from the frame reader for 61 s"
    clock.now += 60
    assert health.dead() == (
        "no sign of life from the frame reader for 121 s; no sign of life from the inference loop for 61 s"
    )
    health.beat("frame reader")
    health.beat("inference loop")
    assert health.dead() is None


def test_ready_only_when_told(health: Health) -> None:
    assert health.unready() == "the agent has just started"
    health.waiting("loading the model")
    assert health.unready() == "loading the model"
    health.ready()
    assert health.unready() is None


def test_probes(server: Server, health: Health, clock: Clock) -> None:
    health.beat("inference loop")
    assert get(server, "/healthz")[:2] == (200, "ok\n")
    assert get(server, "/readyz")[:2] == (503, "the agent has just started\n")
    health.ready()
    assert get(server, "/readyz?verbose=1")[:2] == (200, "ok\n")
    clock.now += 61
    assert get(server, "/healthz")[0] == 503
    assert get(server, "/other")[0] == 404


def test_metrics_in_both_formats(server: Server) -> None:
    status, body, headers = get(server, "/metrics")
    assert status == 200
    assert "things_total 3.0" in body
    assert headers["Content-Type"].startswith("text/plain")
    _, body, headers = get(server, "/metrics", accept="application/openmetrics-text; version=1.0.0")
    assert headers["Content-Type"].startswith("application/openmetrics-text")
    assert body.endswith("# EOF\n")


def test_both_address_families(server: Server) -> None:
    assert get(server, "/readyz", host="localhost")[0] == 503
    if socket.has_dualstack_ipv6():
        assert get(server, "/readyz", host="[::1]")[0] == 503


def test_a_port_that_is_taken_is_told(server: Server, health: Health) -> None:
    with pytest.raises(OSError, match="in use"):
        Server(server.port, CollectorRegistry(), health)


def test_a_peer_that_goes_away_harms_nobody(server: Server) -> None:
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", server.port)) as peer:
            peer.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    assert get(server, "/metrics")[0] == 200
