"""`agent serve` as the kubelet starts it: a real process, a synthetic model, real frames, HTTP and signals."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from agent_models import SIDE, anchors, constant, yolo11_like
from agent_processes import PATIENCE, Agent, Stored, wait_until

from harness.timing import within

Make = Callable[..., Stored]
Start = Callable[..., Agent]

# Seen on a white frame: two bolts and a washer. On a black one: nothing.
SEES = yolo11_like(
    anchors((20, 20, 10, 10, (0.93, 0, 0)), (50, 50, 10, 10, (0.41, 0, 0)), (20, 50, 10, 10, (0, 0, 0.99)))
)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with three white frames, one black one and one broken file."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for name in ("0.png", "1.png", "2.png"):
        cv2.imwrite(str(folder / name), np.full((SIDE, SIDE, 3), 255, np.uint8))
    cv2.imwrite(str(folder / "3.png"), np.zeros((SIDE, SIDE, 3), np.uint8))
    (folder / "4.jpg").write_bytes(b"no image")
    return folder


@pytest.fixture
def env(stored: Make, pictures: Path) -> dict[str, str]:
    return stored(SEES).put_in_cache().env | {"FRAMES": f"directory://{pictures}", "FRAME_RATE": "100"}


def test_frames_are_run_and_counted(agent: Start, env: dict[str, str]) -> None:
    running = agent("serve", env)
    running.wait_ready()
    wait_until(lambda: running.value("modelfleet_frames_total") >= 50, "50 frames", running.log)
    assert running.stop() == 0
    assert not running.termination.exists()


def test_the_counts_are_those_of_the_frames(agent: Start, env: dict[str, str], pictures: Path) -> None:
    """The folder holds three white frames, a black one and a broken one: so do the counters, in that proportion."""
    running = agent("serve", env | {"FRAME_RATE": "50", "FRAME_BACKLOG": "1000"})
    running.wait_ready()
    wait_until(lambda: running.value("modelfleet_frames_total") >= 20, "four rounds", running.log)
    body = running.get("/metrics")[1]
    own = 'group="canary",model="parts-detector",node="edge-1",rollout="line",version="v1"'

    def value(name: str, more: str = "") -> float:
        key = f"{name}{{{more}{own}}} "
        (line,) = [line for line in body.splitlines() if line.startswith(key)]
        return float(line.removeprefix(key))

    # The scrape may fall between two counters of one frame: hence the tolerance of one frame below.
    frames, failed = value("modelfleet_frames_total"), value("modelfleet_frames_failed_total")
    empty = value("modelfleet_empty_frames_total")
    white = frames - failed - empty
    assert failed == pytest.approx(frames / 5, abs=2)
    assert empty == pytest.approx(frames / 5, abs=2)
    assert value("modelfleet_detections_total", 'class="bolt",') == pytest.approx(2 * white, abs=2)
    assert value("modelfleet_detections_total", 'class="nut",') == 0
    assert value("modelfleet_detections_total", 'class="washer",') == pytest.approx(white, abs=1)
    assert running.value('modelfleet_detection_confidence_bucket{le="0.4"}') == 0
    assert value("modelfleet_detection_confidence_count") == pytest.approx(3 * white, abs=3)
    assert value("modelfleet_inference_seconds_count") == pytest.approx(frames - failed, abs=1)
    assert value("modelfleet_model_loaded_timestamp_seconds") == pytest.approx(time.time(), abs=60)
    assert f'sha256="{env["MODEL_SHA256"]}"' in body
    assert "process_resident_memory_bytes" in body
    assert "_created" not in body


def test_ready_comes_after_the_model_was_tried(agent: Start, stored: Make, env: dict[str, str], tmp_path: Path) -> None:
    """The model file is a pipe that gives its content late: until then metrics answer, and ready does not."""
    model = stored(SEES)
    model.path.unlink()
    os.mkfifo(model.path)
    running = agent("serve", env)
    # The server listens before the model is opened; the open itself waits for a writer.
    with socket.create_connection(("127.0.0.1", running.port)):
        pass
    assert running.get("/readyz") == (503, "the agent has just started\n")
    assert running.get("/healthz")[0] == 200
    assert running.value("modelfleet_frames_total") == 0
    assert running.value("modelfleet_model_loaded_timestamp_seconds") == 0
    assert running.value('modelfleet_detections_total{class="nut"}') == 0
    with model.path.open("wb") as pipe:
        pipe.write(SEES[:100])
        pipe.flush()
        wait_until(lambda: "verifying" in running.get("/readyz")[1], "it verifies", running.log)
        pipe.write(SEES[100:])
    running.wait_ready()
    assert running.value("modelfleet_model_loaded_timestamp_seconds") > 0
    log = running.log.read_text()
    assert log.index("loaded parts-detector v1") < log.index("reading frames from")
    assert running.stop() == 0


def test_a_camera_that_is_away_does_not_hold_back_readiness(agent: Start, env: dict[str, str], tmp_path: Path) -> None:
    running = agent("serve", env | {"FRAMES": f"directory://{tmp_path}/later", "STUCK_AFTER": "2"})
    running.wait_ready()
    time.sleep(2.5)
    assert running.get("/healthz") == (200, "ok\n")
    assert running.value("modelfleet_frames_total") == 0
    (tmp_path / "frames").rename(tmp_path / "later")
    wait_until(lambda: running.value("modelfleet_frames_total") > 0, "it comes back", running.log)
    assert running.stop() == 0


def test_a_stuck_source_fails_liveness_and_still_stops(agent: Start, env: dict[str, str], tmp_path: Path) -> None:
    pipe = tmp_path / "camera.avi"
    os.mkfifo(pipe)  # opening it waits for a writer for ever, inside OpenCV
    running = agent("serve", env | {"FRAMES": f"file://{pipe}", "STUCK_AFTER": "1"})
    running.wait_ready()
    wait_until(lambda: running.get("/healthz")[0] == 503, "liveness fails", running.log)
    assert "no sign of life from the frame reader" in running.get("/healthz")[1]
    assert running.stop() == 0


def test_more_than_the_node_can_do_is_dropped_and_counted(agent: Start, env: dict[str, str]) -> None:
    running = agent("serve", env | {"FRAME_RATE": "1000", "FRAME_BACKLOG": "1"})
    running.wait_ready()
    wait_until(lambda: running.value("modelfleet_frames_total") > 200, "frames", running.log)
    assert running.get("/healthz")[0] == 200
    assert running.value("modelfleet_frames_dropped_total") > 0
    assert running.stop() == 0


def test_frames_of_a_video_file(agent: Start, env: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "v.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (SIDE, SIDE))
    for _ in range(3):
        writer.write(np.full((SIDE, SIDE, 3), 255, np.uint8))
    writer.release()
    running = agent("serve", env | {"FRAMES": f"file://{path}"})
    running.wait_ready()
    wait_until(lambda: running.value("modelfleet_frames_total") >= 10, "three rounds", running.log)
    assert running.value("modelfleet_frames_failed_total") == 0
    assert running.value('modelfleet_detections_total{class="washer"}') >= 10
    assert running.stop() == 0


def test_inference_that_fails_is_a_failed_frame(agent: Start, stored: Make, pictures: Path) -> None:
    """Bright frames make this model give more than 1 as a confidence; the grey of the first try does not."""
    model = stored(yolo11_like(anchors((20, 20, 10, 10, (1.5, 0, 0))))).put_in_cache()
    running = agent("serve", model.env | {"FRAMES": f"directory://{pictures}", "FRAME_RATE": "100"})
    running.wait_ready()
    wait_until(lambda: running.value("modelfleet_frames_total") >= 20, "frames", running.log)
    frames = running.value("modelfleet_frames_total")  # first: it grows on
    assert running.value("modelfleet_frames_failed_total") > frames / 2
    assert running.log.read_text().count("inference failed on") == 1  # a minute's worth
    assert running.stop() == 0


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_the_backend_that_was_named_runs_the_model_and_says_so(agent: Start, env: dict[str, str], backend: str) -> None:
    running = agent("serve", env | {"BACKEND": backend})
    running.wait_ready()
    assert running.value(f'modelfleet_model_info{{backend="{backend}"}}') == 1
    wait_until(lambda: running.value('modelfleet_detections_total{class="washer"}') > 0, "detections", running.log)
    assert f"run by {backend} (threads: 1), as it was named" in running.log.read_text()
    assert running.stop() == 0


def test_auto_says_what_it_tried_and_took(agent: Start, env: dict[str, str]) -> None:
    running = agent("serve", env | {"BACKEND": "auto"})
    running.wait_ready()
    (line,) = [line for line in running.log.read_text().splitlines() if " loaded parts-detector v1 " in line]
    taken = line.partition(" run by ")[2].partition(" ")[0]
    assert "(threads: 1), tried: onnxruntime (" in line
    assert f"{taken} (" in line
    assert running.value(f'modelfleet_model_info{{backend="{taken}"}}') == 1
    assert running.get("/metrics")[1].count("\nmodelfleet_model_info{") == 1
    assert running.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_soon_and_cleanly(agent: Start, env: dict[str, str], number: signal.Signals) -> None:
    running = agent("serve", env)
    running.wait_ready()
    with within(5):
        running.process.send_signal(number)
        assert running.wait() == 0
    assert running.log.read_text().rstrip().endswith("stopped")


def test_process_1_ends_when_asked_even_while_it_starts(agent: Start, env: dict[str, str]) -> None:
    """For process 1 of a container the kernel drops signals that nobody handles: a grace period would be waited for."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a process 1")
    program = "import os, sys; os.execv(sys.executable, [sys.executable, '-m', 'agent', 'serve'])"
    command = ["unshare", "--pid", "--fork", sys.executable, "-c", program]
    environment = env | {"PATH": os.environ["PATH"], "PORT": "0", "PYTHONPATH": os.pathsep.join(sys.path)}
    outside = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    children = Path(f"/proc/{outside.pid}/task/{outside.pid}/children")
    wait_until(lambda: bool(children.read_text().split()), "process 1 runs")
    first = int(children.read_text())
    try:
        # cv2's libraries are mapped as soon as the imports are under way
        wait_until(lambda: "/cv2/" in Path(f"/proc/{first}/maps").read_text(), "it imports")
        os.kill(first, signal.SIGTERM)
        assert outside.wait(timeout=PATIENCE) == 0
    finally:
        if outside.poll() is None:
            os.kill(first, signal.SIGKILL)
            outside.wait()


def test_while_it_runs_its_model_is_held_in_the_cache(agent: Start, env: dict[str, str]) -> None:
    running = agent("serve", env)
    running.wait_ready()
    with Path(env["MODEL_PATH"]).open("rb") as file:
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert running.stop() == 0
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_fetch_then_serve(agent: Start, stored: Make, pictures: Path) -> None:
    model = stored(SEES)
    assert agent("fetch", model.env).wait() == 0
    running = agent("serve", model.env | {"FRAMES": f"directory://{pictures}"})
    running.wait_ready()
    wait_until(lambda: running.value("modelfleet_frames_total") > 0, "frames", running.log)
    assert running.stop() == 0


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("", 0)) as listener:
        yield listener.getsockname()[1]


def test_refusals(agent: Start, stored: Make, env: dict[str, str], taken_port: int) -> None:
    """Each ends with 1 and says why."""
    wrong_size = stored(constant(anchors((1, 1, 1, 1, (0, 0, 0)))[None], side=32), "v2").put_in_cache()
    no_model = stored(b"no model", "v3").put_in_cache()
    infinite = stored(constant(anchors((1, 1, 1, 1, (0, 0, np.inf)))[None]), "v4").put_in_cache()
    damaged = stored(SEES + b" ", "v5").put_in_cache()
    damaged.path.write_bytes(SEES)
    missing = stored(SEES + b"  ", "v6")
    broken = stored(SEES + b"   ", "v7")
    broken.path.parent.mkdir()
    broken.path.symlink_to("/proc/self/mem")  # opens, and says EIO when it is read
    frames = {"FRAMES": env["FRAMES"]}
    expected = [
        (damaged.env | frames, "DiskError", "was not loaded"),
        (missing.env | frames, "ModelMissing", "delete the pod"),
        (broken.env | frames, "DiskError", "Input/output error"),
        (wrong_size.env | frames, "ModelUnsupported", "imageSize"),
        (no_model.env | frames, "ModelUnsupported", "can't load the model"),
        (infinite.env | frames, "SmokeInferenceFailed", "not finite"),
        (env | {"MODEL_CLASSES": '["bolt"]'}, "ModelUnsupported", "a detector of 1 classes (bolt)"),
        (env | {"FRAMES": "http://camera/"}, "InvalidConfiguration", "FRAMES"),
        (env | {"MODEL_CLASSES": "bolt"}, "InvalidConfiguration", "MODEL_CLASSES"),
        (env | {"PORT": str(taken_port)}, "PortInUse", str(taken_port)),
        (env | {"BACKEND": "tensorrt"}, "BackendUnavailable", "BACKEND is tensorrt: this image's onnxruntime has no"),
    ]
    for variables, reason, words in expected:
        running = agent("serve", variables)
        assert running.wait() == 1, running.log.read_text()
        message = running.message()
        assert (message["reason"], words in message["message"]) == (reason, True), message
        assert "Traceback" not in running.log.read_text()
