"""A picture that stands still: as cameras and encoders really repeat it, and what only looks like it."""

from __future__ import annotations

import itertools
import json
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from agent_models import anchors, yolo11_like
from agent_processes import PATIENCE, Agent, Stored, wait_until
from moving_clip import moving_clip
from rtsp_server import Image, RtspServer, mpeg4_frames, noisy

from agent.serve.feed import Feed
from agent.serve.frames import Frame, Stream
from agent.serve.frozen import Frozen
from agent.serve.health import Health

SIDE = 160
SCENE = np.tile(np.linspace(60, 220, SIDE).astype(np.uint8)[None, :, None], (SIDE, 1, 3))


def marks(frozen: Frozen, pictures: Iterable[int], rate: float = 10) -> str:
    """For each picture (the same number: the same picture) f where it is frozen, else a dot."""
    frames = (Frame(np.full((4, 4, 3), number, np.uint8), "", k / rate) for k, number in enumerate(pictures))
    return "".join("f" if frozen.frozen(frame) else "." for frame in frames)


def test_seconds_of_the_same_picture_are_frozen_until_another_comes() -> None:
    assert marks(Frozen(0.5), [1, 1, 1, 1, 1, 1, 1, 2, 2, 3]) == ".....ff..."


def test_a_picture_that_comes_more_often_than_the_camera_takes_one_is_not() -> None:
    assert "f" not in marks(Frozen(0.5), [k // 3 for k in range(60)])


def test_the_pictures_between_key_frames_of_an_encoder_that_goes_on_are() -> None:
    still = [1, 2, 3, *[4] * 9]
    assert marks(Frozen(0.5), still * 3) == "." * 8 + "f" * 28


def test_a_film_that_is_played_over_and_over_is_not() -> None:
    assert "f" not in marks(Frozen(0.5), [*range(20)] * 5)
    assert "f" not in marks(Frozen(0.5), [*range(100)] * 2)


def test_a_source_that_was_opened_again_has_its_time() -> None:
    frozen = Frozen(0.5)
    assert marks(frozen, [1] * 8) == ".....fff"
    frozen.restart()
    assert marks(frozen, [1] * 8) == ".....fff"


def test_one_bit_is_a_new_picture() -> None:
    frozen, picture = Frozen(0.5), SCENE.copy()
    for k in range(20):
        picture = picture.copy()
        picture[k, k, 0] ^= 1
        assert not frozen.frozen(Frame(picture, "", k / 10))


@pytest.fixture
def served() -> Iterator[Callable[..., RtspServer]]:
    running: list[RtspServer] = []

    def serve(frames: list[bytes], rate: float = 25) -> RtspServer:
        running.append(RtspServer(frames, rate))
        running[-1].start()
        return running[-1]

    yield serve
    for server in running:
        server.stop()


def watch(server: RtspServer, count: int, rate: float = 20) -> tuple[int, int]:
    """Of so many frames, how many were given out, and how many were frozen."""
    frozen: list[str] = []
    feed = Feed(
        Stream(server.url),
        rate,
        1000,
        Health(60),
        on_dropped=lambda: None,
        on_broken=lambda: pytest.fail("broken frame"),
        on_damaged=pytest.fail,
        on_frozen=frozen.append,
        frozen_after=1.0,
    )
    feed.start()
    taken, end = 0, time.monotonic() + PATIENCE
    while taken + len(frozen) < count and time.monotonic() < end:
        taken += feed.take(timeout=0.1) is not None
    feed.stop(timeout=PATIENCE)
    return taken, len(frozen)


def seen(serving: Agent) -> dict[str, Any]:
    """What the live page says."""
    mark = "serving the live page on "
    address = serving.log.read_text().partition(mark)[2].split()[0]
    with urllib.request.urlopen(f"{address}/detections.json", timeout=10) as response:
        return json.load(response)


def still(number: int) -> Iterator[Image]:
    """The very same picture, noise included."""
    return itertools.repeat(noisy(SCENE), number)


def live(number: int) -> Iterator[Image]:
    """The same scene, through a sensor."""
    return (noisy(SCENE, seed) for seed in range(number))


def test_one_picture_sent_for_ever(served: Callable[..., RtspServer], tmp_path: Path) -> None:
    taken, frozen = watch(served(mpeg4_frames(tmp_path, still(1))), 80)
    assert taken < 45
    assert frozen > 35


def test_a_still_picture_before_an_encoder_that_goes_on(served: Callable[..., RtspServer], tmp_path: Path) -> None:
    taken, frozen = watch(served(mpeg4_frames(tmp_path, still(120))), 100)
    assert taken < 60
    assert frozen > 40


def test_a_scene_that_stands_still_has_noise(served: Callable[..., RtspServer], tmp_path: Path) -> None:
    assert watch(served(mpeg4_frames(tmp_path, live(60))), 80)[1] == 0


def test_a_film_over_and_over(served: Callable[..., RtspServer], tmp_path: Path) -> None:
    assert watch(served(moving_clip(tmp_path)[0][:24]), 100)[1] == 0


def test_the_agent_counts_frozen_frames_apart_until_the_picture_moves(
    served: Callable[..., RtspServer], stored: Callable[..., Stored], agent: Callable[..., Agent], tmp_path: Path
) -> None:
    model = stored(yolo11_like(anchors((20, 20, 10, 10, (0.93, 0, 0))))).put_in_cache()
    (tmp_path / "live").mkdir()
    moving = mpeg4_frames(tmp_path / "live", live(24))
    server = served(mpeg4_frames(tmp_path, still(24)))
    live_page = {"LIVE_PORT": "0", "LIVE_MASK": "false"}
    serving = agent("serve", model.env | live_page | {"FRAMES": server.url, "FRAME_RATE": "20"})
    serving.wait_ready()
    wait_until(lambda: serving.value("modelfleet_frames_frozen_total") > 10, "frozen frames", serving.log)
    wait_until(lambda: seen(serving)["state"] == "stale", "the live page says so", serving.log)
    assert "is frozen: nothing new in it" in seen(serving)["message"]
    before = [serving.value(f"modelfleet_{name}") for name in ("frames_total", "detection_confidence_count")]
    frozen = serving.value("modelfleet_frames_frozen_total")
    wait_until(lambda: serving.value("modelfleet_frames_frozen_total") > frozen + 10, "frozen frames", serving.log)
    after = [serving.value(f"modelfleet_{name}") for name in ("frames_total", "detection_confidence_count")]
    assert after == before
    assert after[0] > 0  # of the seconds before it was sure
    assert seen(serving)["frame"]["number"] == after[0]
    assert serving.log.read_text().count("is frozen: nothing new in it") == 1
    server.frames = moving
    wait_until(lambda: serving.value("modelfleet_frames_total") > after[0] + 10, "it moves", serving.log)
    assert "moves again" in serving.log.read_text()
    assert seen(serving)["state"] == "live"
    assert serving.stop() == 0


@pytest.mark.parametrize("source", ["directory", "a stream that is meant to stand still"])
def test_what_is_meant_to_stand_still_is_not_left_out(
    source: str,
    served: Callable[..., RtspServer],
    stored: Callable[..., Stored],
    agent: Callable[..., Agent],
    tmp_path: Path,
) -> None:
    model = stored(yolo11_like(anchors((20, 20, 10, 10, (0.93, 0, 0))))).put_in_cache()
    if source == "directory":
        (tmp_path / "frames").mkdir()
        cv2.imwrite(str(tmp_path / "frames" / "one.png"), SCENE)
        env = {"FRAMES": f"directory://{tmp_path / 'frames'}"}
    else:
        env = {"FRAMES": served(mpeg4_frames(tmp_path, still(1))).url, "FROZEN_AFTER": "0"}
    serving = agent("serve", model.env | env | {"FRAME_RATE": "20"})
    serving.wait_ready()
    wait_until(lambda: serving.value("modelfleet_frames_total") > 70, "frames", serving.log)
    assert serving.value("modelfleet_frames_frozen_total") == 0
    assert serving.stop() == 0
