"""Passwords of cameras: however they are written, they are in no log, no message and no termination message."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from agent_models import anchors, yolo11_like
from agent_processes import Agent, Stored, wait_until
from rtsp_server import RtspServer, mpeg4_frames, noisy

from agent.config import ConfigError
from agent.redaction import cleaned, shown
from agent.serve.frames import SourceLost, Stream, source

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("address", "seen"),
    [
        ("rtsp://cam.local/stream1", "rtsp://cam.local/stream1"),
        ("rtsp://cam_7.local:8554/", "rtsp://cam_7.local:8554"),
        ("rtsp://[fe80::1]:554/s", "rtsp://[fe80::1]:554/s"),
        ("RTSPS://Cam/Streaming/Channels/101", "RTSPS://Cam/.../101"),
        (f"rtsp://user:{SECRET}@10.0.0.9:554/s?token={SECRET}", "rtsp://10.0.0.9:554/s"),
        (f"rtsp://user:p@{SECRET}@cam/s", "rtsp://cam/s"),
        (f"rtsp://{SECRET}@cam/s", "rtsp://cam/s"),
        (f"rtsp://user:p%40{SECRET}%2F@cam/s#{SECRET}", "rtsp://cam/s"),
        (f"rtsp://cam/s?user=a&password=p@{SECRET}", "rtsp://..."),
        (f"rtsp://user:12/{SECRET}@cam/s", "rtsp://..."),
        (f"rtsp://user:a?{SECRET}@cam/s", "rtsp://..."),
        (f"rtsp://user:{SECRET}/x@cam/s", "rtsp://..."),
        (f"rtsp://user:{SECRET}", "rtsp://..."),
        (f"rtsp:/user:{SECRET}@cam/s", "..."),
        (f"rtsp:user:{SECRET}@cam/s", "..."),
        (f"rtsp://user:{SECRET} @cam/s", "rtsp://cam/s"),
        (f"rtsp://user:{SECRET}\\@cam/s", "rtsp://..."),
        (f"rtsp://cam/user=admin_password={SECRET}_channel=1_stream=0.sdp?real_stream", "rtsp://cam/..."),
        (f"rtsp://cam/user=admin&password={SECRET}&channel=1", "rtsp://cam/..."),
        (f"rtsp://cam/admin/{SECRET}/ch1", "rtsp://cam/.../ch1"),
        (f"rtsp://cam/login/{SECRET}", "rtsp://cam/..."),
        ("rtsps://cam:7441/GmyGUNQWBXXxAVij", "rtsps://cam:7441/..."),
        (f"user:{SECRET}@cam/s", "..."),
        (f"//user:{SECRET}@cam/s", "..."),
        (SECRET, "..."),
    ],
)
def test_what_is_shown_of_an_address(address: str, seen: str) -> None:
    assert shown(address) == seen
    assert SECRET not in seen


def test_texts_of_others_are_cleaned_of_all_that_may_be_secret() -> None:
    address = f"rtsp://user:p%40{SECRET}@cam/s?token=t%2Fk9"
    for text in (
        f"can't open {address}",
        f"Redirecting to rtsp://other:{SECRET}@cam/t",
        f"bad login p@{SECRET} or p%40{SECRET}",
        f"user:p%40{SECRET} was refused with t/k9",
        f"'{address}': no such",
    ):
        clean = cleaned(text, address)
        assert SECRET not in clean
        assert "t/k9" not in clean
    assert cleaned("method DESCRIBE failed: 404 Not Found", address) == "method DESCRIBE failed: 404 Not Found"


def test_the_path_of_a_file_is_no_secret() -> None:
    assert cleaned("ac-tex damaged at 3 4 of /data/damaged/film.mp4", "/data/damaged/film.mp4").count("damaged") == 2


REFUSED = [
    f"rtmp://user:{SECRET}@cam/stream",
    f"user:{SECRET}@cam/stream",
    f"rtsp:user:{SECRET}@cam/stream",
    f"rtsp:/user:{SECRET}@cam/stream",
    f"rtsp://user:{SECRET}/x@cam/stream",
    f"rtsp://user:{SECRET}#@cam/stream",
    f"rtsp://user:a[{SECRET}/@cam/stream",
    f"file://user:{SECRET}@nas/film.mp4",
    f"directory://user:{SECRET}@nas/film",
    f"camera://user:{SECRET}@0",
    f"http://cam/video?password={SECRET}",
]


@pytest.mark.parametrize("address", REFUSED)
def test_a_refused_address_is_not_shown(address: str) -> None:
    with pytest.raises(ConfigError, match="FRAMES") as caught:
        source(address, threads=1)
    assert SECRET not in str(caught.value)


def test_a_password_that_can_not_be_read_says_how_to_write_it() -> None:
    with pytest.raises(ConfigError, match="%2F"):
        source(f"rtsp://user:{SECRET}/x@cam/stream", threads=1)


@pytest.mark.parametrize("password", ["p@ss", "[pass]", "p\u2100ss", "a:b", "100%"])
def test_passwords_with_signs_of_their_own_are_taken(password: str) -> None:
    for written in (password, quote(password, safe="")):
        assert source(f"rtsp://user:{written}@cam/s", threads=1).name == "stream rtsp://cam/s"


def address(port: int, password: str, path: str = "stream") -> str:
    return f"rtsp://user:{password}@127.0.0.1:{port}/{path}"


def test_why_a_stream_can_not_be_opened_is_said() -> None:
    server = RtspServer([b"never sent"], rate=25)
    server.start()
    with pytest.raises(SourceLost, match=r"can't be opened: .*404") as caught:
        Stream(address(server.port, SECRET, f"other?key={SECRET}")).open()
    server.stop()
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("password", [SECRET, f"p@{SECRET}", f"p%2F{SECRET}"])
def test_the_agents_log_over_a_stream_that_is_not_there_then_damaged_then_lost(
    password: str, stored: Callable[..., Stored], agent: Callable[..., Agent], tmp_path: Path
) -> None:
    """With everything switched on that makes OpenCV and FFmpeg talk: that prints addresses and requests."""
    model = stored(yolo11_like(anchors((20, 20, 10, 10, (0.93, 0, 0))))).put_in_cache()
    grey = np.full((64, 64, 3), 200, np.uint8)
    server = RtspServer(mpeg4_frames(tmp_path, (noisy(grey, seed) for seed in range(24))), rate=25)
    server.start()
    server.stop()  # it has its port now, and nobody answers
    talk = {
        "LOG_LEVEL": "DEBUG",
        "OPENCV_LOG_LEVEL": "DEBUG",
        "OPENCV_VIDEOIO_DEBUG": "1",
        "OPENCV_FFMPEG_DEBUG": "1",
        "OPENCV_FFMPEG_LOGLEVEL": "56",
        "OPENCV_FFMPEG_CAPTURE_OPTIONS": f"rtsp_transport;tcp|user_agent;{SECRET}",
    }
    frames = address(server.port, password, f"stream?token={SECRET}")
    serving = agent("serve", model.env | talk | {"FRAMES": frames, "FRAME_RATE": "20"})
    wait_until(lambda: "can't be opened" in serving.log.read_text(), "nobody answers", serving.log)
    count = itertools.count()
    server.harm = lambda frame: [frame if next(count) % 30 else frame[: len(frame) // 2]]
    server.start()
    wait_until(lambda: serving.value("modelfleet_frames_damaged_total") > 0, "damaged frames", serving.log)
    wait_until(lambda: serving.value("modelfleet_frames_total") > 0, "whole frames", serving.log)
    metrics = serving.get("/metrics")[1]
    assert "modelfleet_source_lost_total" in metrics
    assert SECRET not in metrics
    server.stop()
    wait_until(lambda: "ended, or gave no frame" in serving.log.read_text(), "it is lost", serving.log)
    time.sleep(0.5)
    assert serving.stop() == 0
    log = serving.log.read_text()
    assert "127.0.0.1" in log
    assert "FFmpeg on stream rtsp://127.0.0.1" in log
    assert SECRET not in log


@pytest.mark.parametrize("frames", REFUSED)
def test_the_agents_log_and_termination_message_over_a_refused_address(
    frames: str, stored: Callable[..., Stored], agent: Callable[..., Agent]
) -> None:
    model = stored(yolo11_like(anchors((20, 20, 10, 10, (0.93, 0, 0))))).put_in_cache()
    serving = agent("serve", model.env | {"FRAMES": frames})
    assert serving.wait() == 1
    assert serving.message()["reason"] == "InvalidConfiguration"
    assert SECRET not in serving.log.read_text() + serving.termination.read_text()
