"""RTSP: a real stream over a real connection, which is lost in every way a camera is, and comes back."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from agent_models import SIDE, anchors, yolo11_like
from agent_processes import PATIENCE, Agent, Stored, wait_until
from rtsp_server import RtspServer, mpeg4_frames, noisy

from agent.serve import feed, frames
from agent.serve.feed import Feed
from agent.serve.frames import SourceLost, Stream
from agent.serve.health import Health
from harness.timing import within


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RtspServer]:
    grey = np.full((SIDE, SIDE, 3), 200, np.uint8)
    running = RtspServer(mpeg4_frames(tmp_path, (noisy(grey, seed) for seed in range(12))), rate=25)
    running.start()
    yield running
    running.silent.clear()
    running.stop()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "TIMEOUT", 1.0)
    monkeypatch.setattr(feed, "FIRST_RETRY", 0.05)
    monkeypatch.setattr(feed, "LAST_RETRY", 0.2)


@pytest.fixture
def running(server: RtspServer) -> Iterator[Feed]:
    running = Feed(
        Stream(server.url), 20, 2, Health(60), on_dropped=lambda: None, on_broken=lambda: pytest.fail("broken frame")
    )
    running.start()
    yield running
    running.stop(timeout=PATIENCE)
    assert not running.alive


def drain(running: Feed) -> None:
    while running.take(timeout=0.2) is not None:
        pass


def test_frames_come(running: Feed) -> None:
    for _ in range(30):
        frame = running.take(timeout=PATIENCE)
        assert frame is not None
        assert frame.image.shape == (SIDE, SIDE, 3)
        assert 190 < frame.image.mean() < 210


def test_a_camera_that_hangs_up_and_is_away_for_a_while(server: RtspServer, running: Feed) -> None:
    assert running.take(timeout=PATIENCE) is not None
    server.stop()
    drain(running)
    time.sleep(0.5)
    assert running.alive
    server.start()
    assert running.take(timeout=PATIENCE) is not None
    assert server.played == 2


def test_a_camera_that_falls_silent_is_left_and_called_again(server: RtspServer, running: Feed) -> None:
    assert running.take(timeout=PATIENCE) is not None
    server.silent.set()
    wait_until(lambda: server.played >= 2, "it calls again")
    drain(running)
    server.silent.clear()
    assert running.take(timeout=PATIENCE) is not None


def test_a_camera_that_answers_no_call(server: RtspServer) -> None:
    server.mute.set()
    with within(5), pytest.raises(SourceLost, match="can't be opened"):
        Stream(server.url).open()


@pytest.mark.parametrize("change", [("/stream", "/other"), ("127.0.0.1", "127.0.0.2")], ids=["no such path", "nobody"])
def test_a_stream_that_is_not_there_is_told_without_its_password(server: RtspServer, change: tuple[str, str]) -> None:
    with pytest.raises(SourceLost, match="can't be opened") as caught:
        Stream(server.url.replace(*change)).open()
    assert "secret" not in str(caught.value)


def test_the_agent_serves_a_stream_over_a_loss(
    server: RtspServer, stored: Callable[..., Stored], agent: Callable[..., Agent]
) -> None:
    model = stored(yolo11_like(anchors((20, 20, 10, 10, (0.93, 0, 0))))).put_in_cache()
    serving = agent("serve", model.env | {"FRAMES": server.url, "FRAME_RATE": "20"})
    serving.wait_ready()
    wait_until(lambda: serving.value('modelfleet_detections_total{class="bolt"}') > 10, "detections", serving.log)
    server.stop()
    wait_until(lambda: "trying again in 1 s" in serving.log.read_text(), "it notices", serving.log)
    before = serving.value("modelfleet_frames_total")
    server.start()
    wait_until(lambda: serving.value("modelfleet_frames_total") > before + 10, "it goes on", serving.log)
    assert "secret" not in serving.log.read_text()
    assert serving.stop() == 0


@contextlib.contextmanager
def garbage(port: int, answer: bytes) -> Iterator[None]:
    """Whoever calls at this port is answered with this, and hung up on."""
    listener = socket.create_server(("127.0.0.1", port))

    def serve() -> None:
        with contextlib.suppress(OSError):  # closed, which ends it
            while True:
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError):
                    connection.recv(4096)
                    connection.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        bytes(range(256)) * 64,
        b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Type: application/sdp\r\nContent-Length: 999999\r\n\r\nv=0\r\n",
    ],
    ids=["nothing", "a web server", "noise", "half an answer"],
)
def test_what_is_no_camera_is_counted_and_no_end(
    answer: bytes, server: RtspServer, stored: Callable[..., Stored], agent: Callable[..., Agent]
) -> None:
    """Each try is counted, the agent stays alive and ready, and goes on once there is a camera."""
    server.stop()
    model = stored(yolo11_like(anchors((20, 20, 10, 10, (0.93, 0, 0))))).put_in_cache()
    with garbage(server.port, answer):
        serving = agent("serve", model.env | {"FRAMES": server.url, "FRAME_RATE": "20"})
        serving.wait_ready()
        wait_until(lambda: serving.value("modelfleet_source_lost_total") >= 2, "two tries", serving.log)
        assert serving.get("/healthz")[0] == serving.get("/readyz")[0] == 200
        assert serving.value("modelfleet_frames_total") == serving.value("modelfleet_frames_failed_total") == 0
    server.start()
    wait_until(lambda: serving.value("modelfleet_frames_total") > 10, "frames", serving.log)
    assert "Traceback" not in serving.log.read_text()
    assert "secret" not in serving.log.read_text()
    assert serving.stop() == 0
