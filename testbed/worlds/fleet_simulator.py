"""Stands in for the agents of simulated (KWOK) pods: each serves metrics at its pod's own address, as a real one would.

What is served is the exposition of the agent's own module, `agent.metrics`, with the labels that the pod's environment
gives: names, labels and buckets can't differ from those of a real node. Only the frames are made up. Every node has a
scene of its own (how much there is to see, how clearly) and changing light that is the same for all; what a version
makes of it is its `Behaviour`. Random numbers are seeded by node and pod.

KWOK's pods have loopback addresses, so one process can answer on all of them. A pod that goes away, or whose node is
unplugged, does not answer any more.
"""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from threading import Thread
from types import TracebackType
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, disable_created_metrics
from prometheus_client.exposition import choose_encoder

from agent.metrics import CONFIDENCE_EDGES, DetectionMetrics, Identity
from harness import Cluster, ExistingCluster
from worlds.kube_watch import Watch

Json = dict[str, Any]
Array = NDArray[np.float64]

FRAME_RATE = 10.0
PER_FRAME = 15.0
SECONDS = 0.012  # of inference; nobody judges by it here

MIDPOINTS = np.array([(low + high) / 2 for low, high in pairwise(CONFIDENCE_EDGES)])
SEEN = np.array([1, 2, 3, 5, 8, 12, 15, 18, 20, 16]) / 100
"""Share of the detections in each bucket of confidence: the stable version on an average scene."""

PRECISION = tuple(round(0.4 + 0.06 * bucket, 2) for bucket in range(10))
"""Expected precision of a detection in each bucket, for the calibration of all versions."""


@dataclass(frozen=True)
class Behaviour:
    """What a version makes of a scene: how many detections for each one of the stable version, by bucket."""

    factors: tuple[float, ...] = (1.0,) * 10

    @property
    def precision(self) -> float:
        """By how much expected precision differs from the stable version's, on an average scene."""
        return _precision(SEEN * self.factors) - _precision(SEEN)

    @property
    def found(self) -> float:
        """Expected true detections in each frame, as a share of the stable version's, on an average scene."""
        return float((SEEN * self.factors) @ PRECISION / (SEEN @ PRECISION))


EQUAL = Behaviour()


def finding(share: float) -> Behaviour:
    """A version that finds this share of what the stable version finds, as precisely."""
    return Behaviour((share,) * 10)


def less_precise(by: float) -> Behaviour:
    """A version that finds as much, among more that is not there: expected precision is lower `by` so much."""
    low, high = 0.0, 2.0
    for _ in range(60):
        tilt = (low + high) / 2
        tilted = np.exp(-tilt * np.arange(10))
        low, high = (tilt, high) if _precision(SEEN * tilted) > _precision(SEEN) - by else (low, tilt)
    return Behaviour(tuple(tilted * (SEEN @ PRECISION) / (SEEN * tilted @ PRECISION)))


MISSES = Behaviour((0.0, 0.0, 0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0, 1.0))
"""Misses the difficult half of the objects, and is the more confident for it."""


def _precision(rates: Array) -> float:
    return float(rates @ PRECISION / rates.sum())


def scene(node: str) -> Array:
    """What the stable version detects in a frame of this node, by bucket: some see more, some see it more clearly."""
    random = np.random.default_rng(crc32(node.encode()))
    rates = SEEN * np.exp(random.normal(0, 0.06) * (np.arange(10) - 4.5))
    return np.asarray(rates / rates.sum() * PER_FRAME * np.exp(random.normal(0, 0.2)))


def light(second: float) -> float:
    """How much more or less there is to see for everybody."""
    return 1 + 0.2 * float(np.sin(second / 10))


class SimulatedAgent:
    """The agent in one pod, from `born` (Unix seconds) on."""

    def __init__(self, identity: Identity, classes: list[str], sha256: str, behaviour: Behaviour, born: float) -> None:
        self._classes = classes
        self._registry = CollectorRegistry()
        self._metrics = DetectionMetrics(identity, classes, sha256, registry=self._registry)
        self._metrics.loaded(born, "onnxruntime")
        for reason in ("sample", "unsure"):  # the default rules
            self._metrics.captured(reason, 0)
        self._born, self._frames = born, 0
        self._rates = scene(identity.node) * behaviour.factors
        self._random = np.random.default_rng(crc32(f"{identity} {born}".encode()))

    def exposition(self, now: float, accept: str = "") -> tuple[bytes, str]:
        """What a scrape sees at `now`, in the format that its header Accept asks for; with the content type."""
        due = int((now - self._born) * FRAME_RATE)
        frames = self._random.poisson(self._rates * light(now), (max(0, due - self._frames), 10))
        for counts in frames:
            self._metrics.frame(self._detections(counts), SECONDS)
        self._frames = max(due, self._frames)
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def _detections(self, counts: NDArray[np.int64]) -> list[tuple[str, float]]:
        """So many of each bucket, in its middle: nobody sees more of them than that."""
        confidences = np.repeat(MIDPOINTS, counts).tolist()
        return [(self._classes[number % len(self._classes)], each) for number, each in enumerate(confidences)]


def _on_loopback(port: int) -> socket.socket:
    """A socket for all addresses of the loopback device, which are those of all simulated pods, and for no other."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
    listening.bind(("", port))
    return listening


class FleetSimulator:
    """Serves the metrics of every pod of every Rollout, from ``with`` on to its end.

    One socket listens for all: the address at which a scrape arrives says which pod it wants. `behaviours` say how a
    version behaves, by (namespace, version); one that is not there is like the stable version.
    """

    def __init__(
        self, cluster: Cluster | ExistingCluster, port: int, behaviours: Mapping[tuple[str, str], Behaviour]
    ) -> None:
        """`port` is that of the metrics in every pod."""
        self._port, self._behaviours = port, behaviours
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="fleet simulator", daemon=True)
        self._watch = Watch(cluster, "pods", self._on_pod, "modelfleet.dev/rollout")
        self._pods: dict[str, _Pod] = {}  # by address
        self._connections: set[asyncio.Transport] = set()
        self._dead: set[str] = set()

    def __enter__(self) -> FleetSimulator:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # as the agent does
        listening = self._loop.create_server(
            lambda: _Connection(self._pods, self._connections), sock=_on_loopback(self._port), backlog=1000
        )
        self._server = self._loop.run_until_complete(listening)
        self._thread.start()
        self._watch.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._watch.__exit__(kind, error, trace)
        finally:
            asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)
            self._loop.close()

    def unplug(self, node: str) -> None:
        """Nothing on this node answers any more."""
        self._dead.add(node)
        for address in [address for address, pod in self._pods.items() if pod.node == node]:
            del self._pods[address]

    async def _close(self) -> None:
        self._server.close()
        while self._connections or len(asyncio.all_tasks()) > 1:  # what was accepted just now is a task before that
            for connection in self._connections:
                connection.abort()
            await asyncio.sleep(0)  # lost in the next round of the loop

    def _on_pod(self, change: str, pod: Json) -> None:
        uid, node, address = pod["metadata"]["uid"], pod["spec"].get("nodeName", ""), pod["status"].get("podIP", "")
        served = self._pods.get(address)
        if change == "DELETED" or "deletionTimestamp" in pod["metadata"]:
            if served is not None and served.uid == uid:  # else the address is another pod's by now
                del self._pods[address]
        elif address and (served is None or served.uid != uid) and node not in self._dead:
            self._pods[address] = _Pod(uid, node, self._agent(pod))

    def _agent(self, pod: Json) -> SimulatedAgent:
        """As the agent itself finds out who it is."""
        container = next(each for each in pod["spec"]["containers"] if each["name"] == "agent")
        fields = {"spec.nodeName": pod["spec"]["nodeName"]}
        environment = {
            each["name"]: each["value"] if "value" in each else fields[each["valueFrom"]["fieldRef"]["fieldPath"]]
            for each in container["env"]
        }
        identity = Identity.from_environment(environment)
        behaviour = self._behaviours.get((pod["metadata"]["namespace"], identity.version), EQUAL)
        classes = json.loads(environment["MODEL_CLASSES"])
        return SimulatedAgent(identity, classes, environment["MODEL_SHA256"], behaviour, time.time())


@dataclass(frozen=True)
class _Pod:
    uid: str
    node: str
    agent: SimulatedAgent


class _Connection(asyncio.Protocol):
    """Answers every request with the metrics, there is nothing else to ask for; at once hangs up where no pod is."""

    def __init__(self, pods: Mapping[str, _Pod], open_ones: set[asyncio.Transport]) -> None:
        self._pods, self._open = pods, open_ones
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._open.add(transport)
        self._address: str = transport.get_extra_info("sockname")[0]

    def connection_lost(self, error: Exception | None) -> None:
        self._open.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            request, _, self._received = self._received.partition(b"\r\n\r\n")
            # a little later: on a busy machine who asked may have given up already, which is heard of in between
            asyncio.get_running_loop().call_later(0.001, self._answer, _accept(request))

    def _answer(self, accept: str) -> None:
        pod = self._pods.get(self._address)
        if pod is None:
            self._transport.abort()
        elif not self._transport.is_closing():
            body, content_type = pod.agent.exposition(time.time(), accept)
            head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
            self._transport.write(head.encode() + body)


def _accept(request: bytes) -> str:
    """The header Accept."""
    lines = (line.partition(b":") for line in request.split(b"\r\n"))
    return next((value.decode().strip() for name, _, value in lines if name.lower() == b"accept"), "")
