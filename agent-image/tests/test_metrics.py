"""The metrics contract: names, labels, buckets and types, and that `agent.metrics` stands on its own."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from agent_processes import ROOT
from prometheus_client import CollectorRegistry, disable_created_metrics
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from agent.metrics import CONFIDENCE_EDGES, DetectionMetrics, Identity, MissingVariable

GOLDEN = Path(__file__).parent / "metrics.txt"
IDENTITY = Identity("line", "canary", "edge-1", "parts-detector", "v3")


@pytest.fixture
def registry() -> CollectorRegistry:
    disable_created_metrics()
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> DetectionMetrics:
    return DetectionMetrics(IDENTITY, ["bolt", "nut"], "ab" * 32, registry=registry)


def samples(registry: CollectorRegistry) -> dict[str, float]:
    """Every series by name and own labels, without the identity's."""
    own = ("class", "le", "sha256", "reason")
    found = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            labels = ",".join(sample.labels[name] for name in own if name in sample.labels)
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def test_the_exposition_is_the_contract(registry: CollectorRegistry, metrics: DetectionMetrics) -> None:
    """Compared with a file, character by character: names, help, types, labels, buckets. Never change what is there."""
    metrics.loaded(1_700_000_000.5, "onnxruntime")
    metrics.frame([("bolt", 0.93), ("bolt", 0.25), ("nut", 0.5)], 0.012)
    metrics.frame([], 0.2)
    metrics.failed()
    metrics.dropped()
    metrics.damaged()
    metrics.frozen()
    metrics.lost()
    metrics.captured("sample", 0)
    metrics.captured("unsure")
    metrics.capture_dropped()
    assert generate_latest(registry).decode() == GOLDEN.read_text()


def test_every_series_exists_from_zero(registry: CollectorRegistry, metrics: DetectionMetrics) -> None:
    before = samples(registry)
    metrics.loaded(1.0)
    metrics.frame([("bolt", 0.93), ("nut", 0.3)], 0.012)
    metrics.frame([], 0.012)
    metrics.failed()
    metrics.dropped()
    metrics.damaged()
    metrics.frozen()
    metrics.lost()
    assert set(before) == set(samples(registry))
    assert {name for name, value in before.items() if value} == {f"modelfleet_model_info{{{'ab' * 32}}}"}
    assert before["modelfleet_capture_dropped_total"] == 0


def test_what_runs_the_model_is_known_once_it_is_loaded(registry: CollectorRegistry, metrics: DetectionMetrics) -> None:
    def backends() -> list[str]:
        (family,) = [f for f in registry.collect() if f.name == "modelfleet_model_info"]
        return [sample.labels["backend"] for sample in family.samples]

    assert backends() == [""]
    metrics.loaded(1.0)
    assert backends() == [""]  # an application that doesn't say
    metrics.loaded(1.0, "openvino")
    assert backends() == ["openvino"]


def test_a_reason_exists_from_zero_once_it_is_named(registry: CollectorRegistry, metrics: DetectionMetrics) -> None:
    assert not any(name.startswith("modelfleet_captured_frames_total") for name in samples(registry))
    metrics.captured("unsure", 0)
    assert samples(registry)["modelfleet_captured_frames_total{unsure}"] == 0
    metrics.captured("unsure")
    assert samples(registry)["modelfleet_captured_frames_total{unsure}"] == 1


def test_the_edges_are_those_of_the_gate() -> None:
    assert CONFIDENCE_EDGES == (0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1.0)


@pytest.mark.parametrize(
    ("confidence", "edge"),
    [(0.2, "0.25"), (0.25, "0.25"), (0.2500001, "0.3"), (0.3, "0.3"), (0.84, "0.85"), (0.951, "1.0"), (1.0, "1.0")],
)
def test_a_confidence_counts_in_its_bucket(
    registry: CollectorRegistry, metrics: DetectionMetrics, confidence: float, edge: str
) -> None:
    metrics.frame([("bolt", confidence)], 0.01)
    counts = {name: value for name, value in samples(registry).items() if "confidence_bucket" in name}
    first = next(name for name, value in counts.items() if value == 1)
    assert first == f"modelfleet_detection_confidence_bucket{{{edge}}}"


def test_frames_are_counted_by_what_came_of_them(registry: CollectorRegistry, metrics: DetectionMetrics) -> None:
    metrics.frame([("bolt", 0.9), ("bolt", 0.8), ("nut", 0.7)], 0.01)
    metrics.frame([], 0.01)
    metrics.failed()
    metrics.dropped()
    metrics.dropped()
    for _ in range(4):
        metrics.damaged()
    for _ in range(5):
        metrics.frozen()
    metrics.lost()
    found = samples(registry)
    assert found["modelfleet_frames_total"] == 3
    assert found["modelfleet_frames_failed_total"] == 1
    assert found["modelfleet_empty_frames_total"] == 1
    assert found["modelfleet_frames_dropped_total"] == 2
    assert found["modelfleet_frames_damaged_total"] == 4
    assert found["modelfleet_frames_frozen_total"] == 5
    assert found["modelfleet_detections_total{bolt}"] == 2
    assert found["modelfleet_detections_total{nut}"] == 1
    assert found["modelfleet_detection_confidence_count"] == 3
    assert found["modelfleet_inference_seconds_count"] == 2


@pytest.mark.parametrize(
    ("detection", "words"),
    [
        (("screw", 0.9), "class 'screw' is not one of the model's: bolt, nut"),
        (("nut", 1.1), "confidence 1.1 of a 'nut'"),
        (("nut", float("nan")), "confidence nan"),
    ],
)
def test_what_can_not_be_is_refused_and_nothing_counted(
    registry: CollectorRegistry, metrics: DetectionMetrics, detection: tuple[str, float], words: str
) -> None:
    before = samples(registry)
    with pytest.raises(ValueError, match=words):
        metrics.frame([("bolt", 0.9), detection], 0.01)
    assert samples(registry) == before


def test_threads_lose_no_count(registry: CollectorRegistry, metrics: DetectionMetrics) -> None:
    def count() -> None:
        for _ in range(500):
            metrics.frame([("bolt", 0.9)], 0.01)
            metrics.failed()

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert samples(registry)["modelfleet_frames_total"] == 4000


def test_a_second_model_in_one_process_is_refused(registry: CollectorRegistry, metrics: DetectionMetrics) -> None:
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        DetectionMetrics(IDENTITY, ["bolt"], "cd" * 32, registry=registry)


def test_the_identity_comes_from_the_environment() -> None:
    env = {
        "ROLLOUT": "line",
        "GROUP": "canary",
        "NODE_NAME": "edge-1",
        "MODEL_NAME": "parts-detector",
        "MODEL_VERSION": "v3",
    }
    assert Identity.from_environment(env) == IDENTITY
    for name in env:
        with pytest.raises(MissingVariable, match=name):
            Identity.from_environment({**env, name: ""})


def test_agent_metrics_needs_prometheus_client_alone() -> None:
    """The example of the module's docstring, in a process where nothing else of the agent's can be imported."""
    program = """
import sys
for name in ("numpy", "cv2", "onnxruntime", "obstore", "artifactstore", "pydantic"):
    sys.modules[name] = None
import time, urllib.request
from prometheus_client import start_http_server
from agent.metrics import DetectionMetrics, Identity

metrics = DetectionMetrics(Identity.from_environment(), classes=["bolt", "nut"], sha256="ab" * 32)
server, thread = start_http_server(0, addr="127.0.0.1")
metrics.loaded(time.time())
metrics.frame([("bolt", 0.93), ("nut", 0.41)], seconds=0.012)
metrics.failed()
url = f"http://127.0.0.1:{server.server_port}/metrics"
print(urllib.request.urlopen(url).read().decode())
server.shutdown()
server.server_close()
thread.join()
print(sorted(name for name in sys.modules if name == "agent" or name.startswith("agent.")))
"""
    env = {"ROLLOUT": "r", "GROUP": "g", "NODE_NAME": "n", "MODEL_NAME": "m", "MODEL_VERSION": "v1"}
    output = subprocess.run(
        [sys.executable, "-c", program],
        env={**env, "PYTHONPATH": str(ROOT / "agent-image")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert output.returncode == 0, output.stderr
    assert 'modelfleet_frames_total{group="g",model="m",node="n",rollout="r",version="v1"} 2.0' in output.stdout
    assert output.stdout.splitlines()[-1] == "['agent', 'agent.metrics']"
