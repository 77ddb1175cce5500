"""Configuration: what the environment may hold, and what is said when it holds something else."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from agent.config import (
    CaptureConfig,
    ConfigError,
    FetchConfig,
    LiveConfig,
    ServeConfig,
    fetch_config,
    log_level,
    serve_config,
)
from agent.metrics import Identity

SHA = "ab" * 32
ENV = {
    "ROLLOUT": "line",
    "ROLLOUT_NAMESPACE": "factory",
    "GROUP": "canary",
    "NODE_NAME": "edge-1",
    "MODEL_NAME": "parts-detector",
    "MODEL_VERSION": "v3",
    "MODEL_PATH": f"/models/{SHA}/best.onnx",
    "MODEL_URI": "s3://models/parts-detector/v3/best.onnx",
    "MODEL_SHA256": SHA,
    "MODEL_SIZE": "10485760",
    "MODEL_CLASSES": '["bolt", "nut"]',
    "MODEL_IMAGE_SIZE": "640",
    "FRAMES": "directory:///frames",
}


def test_everything_given() -> None:
    config = serve_config(
        ENV
        | {
            "FRAME_RATE": "2.5",
            "FRAME_BACKLOG": "4",
            "CONFIDENCE": "0.1",
            "IOU": "0.5",
            "PORT": "8000",
            "INTRA_OP_THREADS": "4",
            "BACKEND": "openvino-bf16",
            "STUCK_AFTER": "90",
            "DAMAGED_FRAMES": "use",
            "FROZEN_AFTER": "0",
        }
    )
    assert config.identity == Identity("line", "canary", "edge-1", "parts-detector", "v3")
    assert config.model.path == Path(f"/models/{SHA}/best.onnx")
    assert config.model.cache == Path("/models")
    assert (config.model.sha256, config.model.size) == (SHA, 10485760)
    assert (config.classes, config.image_size, config.frames) == (("bolt", "nut"), 640, "directory:///frames")
    assert (config.frame_rate, config.backlog, config.confidence, config.iou) == (2.5, 4, 0.1, 0.5)
    assert (config.port, config.threads, config.stuck_after) == (8000, 4, timedelta(seconds=90))
    assert (config.use_damaged, config.frozen_after, config.backend) == (True, timedelta(0), "openvino-bf16")


def test_defaults() -> None:
    assert fetch_config(ENV).keep == 3
    config = serve_config(ENV)
    assert (config.frame_rate, config.backlog, config.confidence, config.iou) == (10.0, 2, 0.25, 0.7)
    assert (config.port, config.threads, config.stuck_after) == (9090, 1, timedelta(seconds=60))
    assert (config.use_damaged, config.frozen_after, config.backend) == (False, timedelta(seconds=2), "auto")


def test_threads_are_what_the_container_has_unless_they_are_given() -> None:
    assert serve_config(ENV, threads=3).threads == 3
    assert serve_config(ENV | {"INTRA_OP_THREADS": "2"}, threads=3).threads == 2


def test_the_live_page() -> None:
    assert serve_config(ENV).live is None
    assert serve_config(ENV | {"LIVE_PORT": "", "LIVE_RATE": "bad"}).live is None
    assert serve_config(ENV | {"LIVE_PORT": "9400"}).live == LiveConfig(9400, 2.0, 2, True, None)
    more = {"LIVE_RATE": "5", "LIVE_VIEWERS": "3", "LIVE_MASK": "false", "CAPTURE_SETTINGS": "/etc/capture.json"}
    live = serve_config(ENV | {"LIVE_PORT": "0", "PORT": "0"} | more).live
    assert live == LiveConfig(0, 5.0, 3, False, Path("/etc/capture.json"))


@pytest.mark.parametrize("variable", ["FRAME_RATE", "PORT", "MODEL_CACHE_KEEP"])
def test_an_empty_value_is_as_good_as_none(variable: str) -> None:
    assert serve_config(ENV | {variable: ""}) == serve_config(ENV)


@pytest.mark.parametrize(
    "variable",
    sorted(set(ENV) - {"MODEL_URI", "ROLLOUT_NAMESPACE"}),
)
def test_serve_names_what_is_missing(variable: str) -> None:
    with pytest.raises(ConfigError, match=f"environment variable {variable} is not set") as caught:
        serve_config({name: value for name, value in ENV.items() if name != variable})
    assert caught.value.variable == variable


@pytest.mark.parametrize(
    "variable", ["ROLLOUT", "ROLLOUT_NAMESPACE", "MODEL_PATH", "MODEL_URI", "MODEL_SHA256", "MODEL_SIZE"]
)
def test_fetch_names_what_is_missing(variable: str) -> None:
    with pytest.raises(ConfigError, match=f"environment variable {variable} is not set"):
        fetch_config(ENV | {variable: ""})


def test_fetch_needs_no_more_than_that() -> None:
    needed = ("ROLLOUT", "ROLLOUT_NAMESPACE", "MODEL_PATH", "MODEL_URI", "MODEL_SHA256", "MODEL_SIZE")
    config = fetch_config({name: ENV[name] for name in needed})
    assert config == FetchConfig(config.model, ENV["MODEL_URI"], "factory.line", 3)


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("MODEL_SHA256", "AB" * 32, "64 lower-case hexadecimal"),
        ("MODEL_SHA256", "ab", "64 lower-case hexadecimal"),
        ("MODEL_PATH", f"models/{SHA}/best.onnx", "absolute"),
        ("MODEL_PATH", f"/models/../{SHA}/best.onnx", "absolute path without"),
        ("MODEL_PATH", "/models/v3/best.onnx", "must end with <MODEL_SHA256>/<file name>"),
        ("MODEL_SIZE", "0", "whole number from 1"),
        ("MODEL_SIZE", "10 MB", "whole number from 1"),
        ("MODEL_CLASSES", "bolt,nut", "is not JSON"),
        ("MODEL_CLASSES", "[]", "JSON list of names"),
        ("MODEL_CLASSES", '["bolt", 3]', "JSON list of names"),
        ("MODEL_CLASSES", '{"0": "bolt"}', "JSON list of names"),
        ("MODEL_CLASSES", '["bolt", "nut", "bolt"]', "more than once: bolt"),
        ("MODEL_IMAGE_SIZE", "16", "from 32 to 8192"),
        ("MODEL_IMAGE_SIZE", "640x480", "from 32 to 8192"),
        ("FRAME_RATE", "0", "from 0.001 to 1000"),
        ("FRAME_RATE", "fast", "from 0.001 to 1000"),
        ("FRAME_RATE", "nan", "from 0.001 to 1000"),
        ("FRAME_RATE", "inf", "from 0.001 to 1000"),
        ("FRAME_BACKLOG", "0", "from 1 to 1000"),
        ("CONFIDENCE", "25", "from 0 to 1"),
        ("IOU", "-0.1", "from 0 to 1"),
        ("PORT", "65536", "from 0 to 65535"),
        ("INTRA_OP_THREADS", "0", "from 1 to 1024"),
        ("BACKEND", "torch", "must be auto or onnxruntime or openvino or "),
        ("STUCK_AFTER", "0.5", "from 1 to 86400"),
        ("DAMAGED_FRAMES", "keep", "must be skip or use"),
        ("FROZEN_AFTER", "-1", "from 0 to 86400"),
        ("LIVE_PORT", "65536", "from 0 to 65535"),
        ("LIVE_PORT", "http", "from 0 to 65535"),
        ("LIVE_PORT", "9090", "port of the metrics"),
        ("LIVE_RATE", "0", "from 0.5 to 30"),
        ("LIVE_RATE", "nan", "from 0.5 to 30"),
        ("LIVE_VIEWERS", "0", "from 1 to 100"),
        ("LIVE_MASK", "yes", "must be true or false"),
        ("LIVE_MASK", "True", "must be true or false"),
    ],
)
def test_a_bad_value_is_told_by_name_with_what_belongs_there(variable: str, value: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        serve_config(ENV | {"LIVE_PORT": "9400"} | {variable: value})
    assert caught.value.variable == variable
    assert f"environment variable {variable} " in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("ROLLOUT", "../../etc", "the name of a Kubernetes object"),
        ("ROLLOUT_NAMESPACE", "a/b", "the name of a Kubernetes object"),
        ("MODEL_CACHE_KEEP", "0", "from 1 to 1000"),
    ],
)
def test_a_bad_value_for_fetch(variable: str, value: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        fetch_config(ENV | {variable: value})


def test_capture_is_off_without_a_spool_and_needs_the_namespace_with_one() -> None:
    assert serve_config(ENV | {"CAPTURE_SETTINGS": "/etc/capture.json"}).capture is None
    config = serve_config(ENV | {"CAPTURE_SPOOL": "/spool"})
    assert config.capture == CaptureConfig(Path("/spool"), Path("/etc/modelfleet/capture/capture.json"))
    assert config.namespace == "factory"
    with pytest.raises(ConfigError, match="ROLLOUT_NAMESPACE is not set"):
        serve_config(ENV | {"CAPTURE_SPOOL": "/spool", "ROLLOUT_NAMESPACE": ""})
    with pytest.raises(ConfigError, match=r"CAPTURE_SETTINGS is .* absolute path"):
        serve_config(ENV | {"CAPTURE_SPOOL": "/spool", "CAPTURE_SETTINGS": "capture.json"})


def test_log_level() -> None:
    assert log_level({}) == "INFO"
    assert log_level({"LOG_LEVEL": "debug"}) == "DEBUG"
    with pytest.raises(ConfigError, match="LOG_LEVEL is 'LOUD'"):
        log_level({"LOG_LEVEL": "loud"})


def test_a_config_can_not_be_changed() -> None:
    config: ServeConfig = serve_config(ENV)
    with pytest.raises(AttributeError):
        config.port = 1  # type: ignore[misc]
