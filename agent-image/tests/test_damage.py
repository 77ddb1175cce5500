"""Frames of which parts were lost: on a real RTSP stream with real loss, compared with what was sent; and the rules."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from agent_models import anchors, yolo11_like
from agent_processes import PATIENCE, Agent, Stored, wait_until
from moving_clip import error, key_frame, moving_clip
from rtsp_server import Harm, Image, RtspServer, packets

from agent.serve import ffmpeg_log
from agent.serve.damage import LONGEST, READ_AHEAD, Damage
from agent.serve.ffmpeg_log import Message
from agent.serve.frames import DamagedFrame, Stream, VideoFile, source

VISIBLE = 8.0  # mean error, of 255
FRAMES = 150

CONCEALED = Message(32, True, "concealing 30 DC, 30 AC, 30 MV errors in P frame")
MISSED = Message(24, False, "RTP: missed 2 packets")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[bytes], list[Image]]:
    return moving_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture
def server(clip: tuple[list[bytes], list[Image]]) -> Iterator[RtspServer]:
    running = RtspServer(clip[0], rate=50)
    running.start()
    yield running
    running.stop()


def bits_flipped(chance: random.Random) -> Harm:
    """In 30 % of the frames, eight bits."""

    def harm(frame: bytes) -> list[bytes | None]:
        changed = bytearray(frame)
        for _ in range(8 if chance.random() < 0.3 else 0):
            changed[chance.randrange(8, len(frame))] ^= 1 << chance.randrange(8)
        return [*packets(bytes(changed))]

    return harm


def half_lost(chance: random.Random) -> Harm:
    """Of 30 % of the frames the second half, with no gap in the packets' numbers: lost before they were numbered."""
    return lambda frame: [*packets(frame[: len(frame) // 2] if chance.random() < 0.3 else frame)]


def packets_dropped(chance: random.Random) -> Harm:
    """Of 30 % of the frames each packet with even chances, often the only one."""

    def harm(frame: bytes) -> list[bytes | None]:
        hit = chance.random() < 0.3
        return [None if hit and chance.random() < 0.5 else packet for packet in packets(frame)]

    return harm


def key_frame_cut(chance: random.Random) -> Harm:
    """Of half of the key frames all but the first packet."""

    def harm(frame: bytes) -> list[bytes | None]:
        first, *rest = packets(frame)
        return [first, *(rest if not key_frame(frame) or chance.random() < 0.5 else [None] * len(rest))]

    return harm


def receive(stream: Stream) -> tuple[list[Image], int]:
    """The frames that are given out of the next 150 or more, at least 30, and the number of those that are not."""
    stream.open()
    given, damaged, end = [], 0, time.monotonic() + PATIENCE
    while len(given) + damaged < FRAMES or (len(given) < 30 and time.monotonic() < end):
        stream.advance()
        try:
            given.append(stream.decode().image)
        except DamagedFrame:
            damaged += 1
    stream.close()
    return given, damaged


@pytest.mark.parametrize("harm", [bits_flipped, half_lost, packets_dropped, key_frame_cut])
def test_no_frame_that_is_visibly_damaged_is_given_out(
    server: RtspServer, clip: tuple[list[bytes], list[Image]], harm: Callable[[random.Random], Harm]
) -> None:
    server.harm = harm(random.Random(1))
    given, damaged = receive(Stream(server.url))
    assert max(error(picture, clip[1]) for picture in given) <= VISIBLE
    assert len(given) >= 30
    assert damaged > 40
    server.harm = harm(random.Random(1))
    taken_as_they_are, none = receive(Stream(server.url, use_damaged=True))
    assert none == 0
    assert sum(error(picture, clip[1]) > VISIBLE for picture in taken_as_they_are) > 20  # what FFmpeg hands out


def test_a_stream_without_loss_is_given_out_whole(server: RtspServer, clip: tuple[list[bytes], list[Image]]) -> None:
    given, damaged = receive(Stream(server.url))
    assert damaged == 0
    assert len(given) == FRAMES
    assert max(error(picture, clip[1]) for picture in given) < 1


def test_who_joins_between_key_frames_waits_for_one(clip: tuple[list[bytes], list[Image]]) -> None:
    server = RtspServer([*clip[0][5:], *clip[0][:5]], rate=50)
    server.start()
    given, damaged = receive(Stream(server.url))
    server.stop()
    assert damaged == 7
    assert max(error(picture, clip[1]) for picture in given) < 1


def test_a_video_file_that_is_damaged(tmp_path: Path, clip: tuple[list[bytes], list[Image]]) -> None:
    moving_clip(tmp_path)
    path = tmp_path / "source.avi"
    data = path.read_bytes()
    at = data.index(clip[0][24]) + 600  # a key frame, in its middle
    path.write_bytes(data[:at] + bytes(800) + data[at + 800 :])
    video = VideoFile(path)
    video.open()
    damaged = []
    for number in range(120):
        video.advance()
        try:
            assert error(video.decode().image, clip[1]) < 1
        except DamagedFrame:
            damaged.append(number)
    assert damaged == list(range(24, 36))
    used = source(f"file://{path}", 1, use_damaged=True)
    used.open()
    for _ in range(30):
        used.advance()
        used.decode()


def test_the_agent_counts_damaged_frames_apart(
    server: RtspServer, stored: Callable[..., Stored], agent: Callable[..., Agent]
) -> None:
    model = stored(yolo11_like(anchors((20, 20, 10, 10, (0.93, 0, 0))))).put_in_cache()
    server.harm = lambda frame: [*packets(frame[: len(frame) // 2] if key_frame(frame) else frame)]
    serving = agent("serve", model.env | {"FRAMES": server.url, "FRAME_RATE": "20"})
    serving.wait_ready()
    wait_until(lambda: serving.value("modelfleet_frames_damaged_total") > 20, "damaged frames", serving.log)
    for name in ("frames_total", "frames_failed_total", "frames_frozen_total", "detection_confidence_count"):
        assert serving.value(f"modelfleet_{name}") == 0, name
    assert "left out: a frame of stream rtsp://127.0.0.1" in serving.log.read_text()
    server.harm = packets
    wait_until(lambda: serving.value("modelfleet_frames_total") > 20, "whole frames", serving.log)
    before = serving.value("modelfleet_frames_damaged_total")
    after = serving.value("modelfleet_frames_total")
    wait_until(lambda: serving.value("modelfleet_frames_total") > after + 20, "whole frames", serving.log)
    assert serving.value("modelfleet_frames_damaged_total") == before
    assert serving.stop() == 0


def test_without_the_library_it_is_said_that_damage_can_not_be_seen(
    server: RtspServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ffmpeg_log, "_LIBRARY", "libnothing")
    monkeypatch.setattr(ffmpeg_log, "_tried", False)
    monkeypatch.setattr(ffmpeg_log, "_taken_over", None)
    monkeypatch.setenv("OPENCV_FFMPEG_DEBUG", "1")
    server.harm = half_lost(random.Random(1))
    given, damaged = receive(Stream(server.url))
    assert (len(given), damaged) == (FRAMES, 0)
    assert "damaged frames of streams and videos are not seen" in caplog.text
    assert "OPENCV_FFMPEG_DEBUG is ignored" in caplog.text
    assert "OPENCV_FFMPEG_DEBUG" not in os.environ


def play(damage: Damage, *pictures: tuple[str, list[Message]], now: float = 0.0) -> str:
    """For each picture (its kind, what was said) a letter: d damaged, w whole. One a second."""
    marks = [
        "d" if damage.next(messages, kind, now + second) else "w" for second, (kind, messages) in enumerate(pictures)
    ]
    return "".join(marks)


I, P = ("I", []), ("P", [])  # noqa: E741


def test_damage_lasts_until_the_next_key_frame() -> None:
    damage = Damage(1, joined=False, opening=[], now=0)
    assert play(damage, P, ("P", [CONCEALED]), P, P, I, P, ("P", [MISSED]), P, I) == "wdddwwddw"


def test_a_key_frame_that_is_damaged_ends_nothing() -> None:
    damage = Damage(1, joined=False, opening=[], now=0)
    assert play(damage, I, ("I", [CONCEALED]), P, I) == "wddw"


def test_pictures_that_tell_no_kind_stand_alone() -> None:
    damage = Damage(1, joined=True, opening=[], now=0)
    assert play(damage, ("?", []), ("?", [CONCEALED]), ("?", [])) == "wdw"


def test_threads_may_speak_of_a_picture_that_comes_later() -> None:
    damage = Damage(3, joined=False, opening=[], now=0)
    assert play(damage, ("P", [CONCEALED]), P, I, P, P, I) == "dddddw"


def test_a_loss_while_the_stream_was_opened_is_somewhere_in_what_was_read_ahead() -> None:
    damage = Damage(1, joined=True, opening=[MISSED], now=0)
    assert play(damage, I, P, now=READ_AHEAD - 2) == "dd"
    assert play(damage, I, P, now=READ_AHEAD) == "ww"


def test_without_key_frames_damage_does_not_last_for_ever() -> None:
    damage = Damage(1, joined=False, opening=[], now=0)
    assert play(damage, ("P", [CONCEALED]), P) == "dd"
    assert play(damage, P, P, now=LONGEST - 1) == "dw"


@pytest.mark.parametrize(
    "message",
    [
        Message(16, True, "SEI type 1 size 8 truncated at 3"),
        Message(16, True, "unable to decode APP fields: Invalid data found when processing input"),
        Message(16, True, "warning: first frame is no keyframe"),
        Message(24, True, "looks like this file was encoded with (divx4/(old)xvid/opendivx) -> forcing low_delay flag"),
        Message(16, False, "method DESCRIBE failed: 404 Not Found"),
        Message(24, False, "jitter buffer full"),
    ],
)
def test_what_is_no_damage(message: Message) -> None:
    assert play(Damage(1, joined=False, opening=[], now=0), ("P", [message])) == "w"
