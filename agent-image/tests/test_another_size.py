"""A stream whose pictures get another size in the middle: the camera was set to another resolution."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from agent_processes import PATIENCE, wait_until
from rtsp_server import Image, RtspServer, mpeg4_frames, packets

from agent.serve import feed
from agent.serve.feed import Feed
from agent.serve.frames import DamagedFrame, Frame, SourceLost, Stream
from agent.serve.health import Health

SMALL, WIDE = (160, 160), (120, 320)
"""Height and width."""
COUNT = 24


def pictures(size: tuple[int, int]) -> Iterator[Image]:
    """With a square that must stay one."""
    for number in range(COUNT):
        picture = np.full((*size, 3), 40 + number, np.uint8)
        picture[20:80, 20:80] = 220
        yield picture


def square(picture: Image) -> tuple[int, int]:
    """Its height and width."""
    bright = picture.min(axis=2) > 130
    return int(bright.any(axis=1).sum()), int(bright.any(axis=0).sum())


def motion_jpeg(folder: Path, sizes: list[tuple[int, int]]) -> str:
    path = folder / "film.mjpeg"
    path.write_bytes(b"".join(cv2.imencode(".jpg", each)[1].tobytes() for size in sizes for each in pictures(size)))
    return str(path)


def mpeg4(folder: Path, sizes: list[tuple[int, int]]) -> str:
    path = folder / "film.m4v"
    path.write_bytes(b"".join(frame for size in sizes for frame in mpeg4_frames(folder, pictures(size))))
    return str(path)


def received(stream: Stream) -> tuple[list[Frame], str]:
    """The frames until the stream is lost, and why it is."""
    frames: list[Frame] = []
    stream.open()
    try:
        while True:
            stream.advance()
            try:
                frames.append(stream.decode())
            except DamagedFrame:
                continue
    except SourceLost as lost:
        return frames, str(lost)
    finally:
        stream.close()


class Camera:
    """Sends a film over and over, and another one once it is `wanted`: from the next key frame on, as cameras do."""

    def __init__(self, films: dict[tuple[int, int], list[bytes]]) -> None:
        self._films = films
        self.wanted = self._now = SMALL
        self._next = 0

    def sends(self, _: bytes) -> list[bytes | None]:
        """The packets of its next picture."""
        if self._next == 0:
            self._now = self.wanted
        picture = self._films[self._now][self._next]
        self._next = (self._next + 1) % COUNT
        return list(packets(picture))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("made", [motion_jpeg, mpeg4])
def test_no_picture_is_squeezed_into_the_size_of_the_first(
    tmp_path: Path, made: Callable[[Path, list[tuple[int, int]]], str], threads: int
) -> None:
    frames, why = received(Stream(made(tmp_path, [SMALL, WIDE]), threads))
    assert "another size" in why
    assert COUNT - threads <= len(frames) <= COUNT
    for frame in frames:
        height, width = square(frame.image)
        assert frame.image.shape[:2] == SMALL
        assert abs(height - width) <= 4


@pytest.mark.parametrize("made", [motion_jpeg, mpeg4])
def test_a_stream_of_one_size_is_given_out_to_its_end(
    tmp_path: Path, made: Callable[[Path, list[tuple[int, int]]], str]
) -> None:
    frames, why = received(Stream(made(tmp_path, [SMALL, SMALL])))
    assert (len(frames), "ended" in why) == (2 * COUNT, True)


def other_colours(folder: Path) -> tuple[str, int]:
    """Pictures of one size that say so of themselves every now and then, and how many they are."""
    path = folder / "film.mjpeg"
    kinds = (cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444) * 3
    path.write_bytes(
        b"".join(
            cv2.imencode(".jpg", each, [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, kind])[1].tobytes()
            for kind in kinds
            for each in pictures(SMALL)
        )
    )
    return str(path), len(kinds) * COUNT


def test_a_camera_that_only_says_that_its_pictures_change_is_opened_again_once(tmp_path: Path) -> None:
    """Other colours, or a decoder that says so with every key frame."""
    path, total = other_colours(tmp_path)
    stream = Stream(path)
    frames, why = received(stream)
    assert (len(frames), "another size" in why) == (COUNT, True)
    for _ in range(2):
        frames, why = received(stream)
        assert (len(frames), "ended" in why) == (total, True)


def test_such_a_camera_is_opened_again_once_where_few_of_its_pictures_are_taken(tmp_path: Path) -> None:
    """At a low FRAME_RATE none may be due before it says so again: it was opened again for ever, without a picture."""
    path, total = other_colours(tmp_path)
    stream = Stream(path)
    passed = []
    for _ in range(3):
        stream.open()
        seen = 0
        with contextlib.suppress(SourceLost):
            while True:
                stream.advance()
                seen += 1
        stream.close()
        passed.append(seen)
    assert passed == [COUNT, total, total]


def test_a_camera_that_is_set_to_another_resolution_while_it_is_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "FIRST_RETRY", 0.05)
    films = {size: mpeg4_frames(tmp_path, pictures(size)) for size in (SMALL, WIDE)}
    camera = Camera(films)
    server = RtspServer(films[SMALL], rate=50)
    server.harm = camera.sends
    server.start()
    lost: list[str] = []
    running = Feed(
        Stream(server.url), 50, 2, Health(60), on_dropped=lambda: None, on_broken=lambda: None, on_lost=lost.append
    )
    running.start()
    try:
        for size in (SMALL, WIDE, SMALL):
            camera.wanted = size
            wait_until(lambda size=size: shape(running) == size, f"pictures of {size}")
            for _ in range(COUNT):
                frame = running.take(timeout=PATIENCE)
                assert frame is not None
                height, width = square(frame.image)
                assert frame.image.shape[:2] == size
                assert abs(height - width) <= 4
        assert [("another size" in why) for why in lost] == [True, True]
    finally:
        running.stop(timeout=PATIENCE)
        server.stop()


def shape(running: Feed) -> tuple[int, ...] | None:
    frame = running.take(timeout=PATIENCE)
    return None if frame is None else frame.image.shape[:2]
