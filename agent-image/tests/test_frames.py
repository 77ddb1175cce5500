"""Frame sources: real directories, real video files, and what happens when they are broken or away."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.config import ConfigError
from agent.serve.frames import BrokenFrame, Camera, Directory, Frame, SourceLost, Stream, VideoFile, source


def write_image(path: Path, value: int) -> Path:
    cv2.imwrite(str(path), np.full((24, 32, 3), value, np.uint8))
    return path


def write_video(path: Path, values: list[int]) -> Path:
    fourcc = cv2.VideoWriter.fourcc(*"MJPG")
    writer = cv2.VideoWriter(str(path), fourcc, 10, (64, 48))
    for value in values:
        writer.write(np.full((48, 64, 3), value, np.uint8))
    writer.release()
    return path


def value(frame: Frame) -> int:
    """The grey of an evenly grey frame, to the next ten: codecs are not exact."""
    return round(float(frame.image.mean()) / 10) * 10


def take(frames: Directory | VideoFile, count: int) -> list[int]:
    taken = []
    for _ in range(count):
        frames.advance()
        taken.append(value(frames.decode()))
    return taken


@pytest.mark.parametrize(
    ("address", "kind", "name"),
    [
        ("directory:///frames", Directory, "directory /frames"),
        ("directory:///my%20frames", Directory, "directory /my frames"),
        ("file:///x.mp4", VideoFile, "video /x.mp4"),
        ("camera://0", Camera, "camera 0"),
        ("rtsp://cam.local/stream1", Stream, "stream rtsp://cam.local/stream1"),
        ("rtsp://user:p@ss@10.0.0.9:554/s?token=t", Stream, "stream rtsp://10.0.0.9:554/s"),
    ],
)
def test_addresses(address: str, kind: type, name: str) -> None:
    made = source(address, threads=1)
    assert isinstance(made, kind)
    assert made.name == name


@pytest.mark.parametrize(
    "address",
    [
        "",
        "frames",
        "/frames",
        "directory://frames",
        "directory:/frames",
        "file://x.mp4",
        "camera://front",
        "camera://",
        "rtsp:///x",
        "http://cam/mjpeg",
    ],
)
def test_addresses_that_are_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="FRAMES"):
        source(address, threads=1)


def test_a_refused_address_shows_no_password() -> None:
    with pytest.raises(ConfigError) as caught:
        source("rtmp://user:secret@cam/stream", threads=1)
    assert "secret" not in str(caught.value)


def test_a_directory_goes_round_by_name(tmp_path: Path) -> None:
    for name, grey in (("b.png", 20), ("a.jpg", 10), ("c.BMP", 30)):
        write_image(tmp_path / name.lower(), grey).rename(tmp_path / name)
    (tmp_path / "readme.txt").write_text("no image")
    (tmp_path / "sub.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    frames = Directory(tmp_path)
    frames.open()
    assert take(frames, 7) == [10, 20, 30, 10, 20, 30, 10]


def test_a_directory_notices_what_comes_and_goes(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", 10)
    write_image(tmp_path / "b.png", 20)
    frames = Directory(tmp_path)
    frames.open()
    assert take(frames, 1) == [10]
    (tmp_path / "b.png").unlink()
    frames.advance()
    with pytest.raises(BrokenFrame, match=r"b\.png can't be read: No such file"):
        frames.decode()
    write_image(tmp_path / "c.png", 30)
    assert take(frames, 2) == [10, 30]
    (tmp_path / "a.png").unlink()
    (tmp_path / "c.png").unlink()
    with pytest.raises(SourceLost, match="holds no image"):
        frames.advance()


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SourceLost, match="can't be read: No such file"):
        Directory(tmp_path / "none").open()


@pytest.mark.parametrize(
    ("suffix", "damage"),
    [
        (".jpg", lambda data: b""),
        (".jpg", lambda data: b"no image at all"),
        (".jpg", lambda data: data[: len(data) // 2]),
        (".jpg", lambda data: data[:-2]),
        (".png", lambda data: b""),
        (".png", lambda data: data[: len(data) // 2]),
    ],
    ids=["jpg, empty", "jpg, none", "jpg, half", "jpg, end missing", "png, empty", "png, half"],
)
def test_a_broken_image_is_one_broken_frame(tmp_path: Path, suffix: str, damage: Callable[[bytes], bytes]) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    good = tmp_path / f"a{suffix}"
    cv2.imwrite(str(good), noise)
    (tmp_path / f"b{suffix}").write_bytes(damage(good.read_bytes()))
    frames = Directory(tmp_path)
    frames.open()
    frames.advance()
    assert frames.decode().image.shape == (48, 64, 3)
    frames.advance()
    with pytest.raises(BrokenFrame):
        frames.decode()
    frames.advance()
    assert frames.decode().origin == str(good)


def test_grey_and_transparent_images_become_three_channels(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((8, 8), 100, np.uint8))
    cv2.imwrite(str(tmp_path / "transparent.png"), np.full((8, 8, 4), 100, np.uint8))
    cv2.imwrite(str(tmp_path / "deep.png"), np.full((8, 8, 3), 25700, np.uint16))
    frames = Directory(tmp_path)
    frames.open()
    for _ in range(3):
        frames.advance()
        image = frames.decode().image
        assert (image.shape, image.dtype) == ((8, 8, 3), np.uint8)
        assert value(Frame(image, "")) == 100


def test_a_video_goes_round(tmp_path: Path) -> None:
    frames = VideoFile(write_video(tmp_path / "v.avi", [10, 100, 200]))
    frames.open()
    assert take(frames, 7) == [10, 100, 200, 10, 100, 200, 10]
    frames.close()
    frames.close()


def test_a_video_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SourceLost, match="does not exist"):
        VideoFile(tmp_path / "v.avi").open()


def test_a_video_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "v.mp4").write_text("no video")
    with pytest.raises(SourceLost, match="can't be opened"):
        VideoFile(tmp_path / "v.mp4").open()


def test_a_video_that_disappears_is_lost_at_its_end(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.avi", [10, 20])
    frames = VideoFile(path)
    frames.open()
    path.unlink()
    assert take(frames, 2) == [10, 20]
    with pytest.raises(SourceLost, match="does not exist"):
        frames.advance()


def test_a_camera_that_is_not_there() -> None:
    with pytest.raises(SourceLost, match="camera 99 can't be opened"):
        Camera(99).open()


def test_a_source_that_is_not_open_says_so(tmp_path: Path) -> None:
    frames = VideoFile(write_video(tmp_path / "v.avi", [10]))
    with pytest.raises(SourceLost, match="not open"):
        frames.advance()
    with pytest.raises(BrokenFrame, match="not open"):
        frames.decode()


def test_a_camera_by_its_file_that_is_not_plugged_in() -> None:
    """A real one was not to be had: what is tested is what is said without it."""
    camera = source("camera:///dev/v4l/by-id/usb-none", 1)
    assert (camera.name, camera.live) == ("camera /dev/v4l/by-id/usb-none", True)
    with pytest.raises(SourceLost, match="/dev/v4l/by-id/usb-none does not exist; mount it into the pod"):
        camera.open()
    for address in ("camera:///etc/passwd", "camera://video0", "/dev/video0"):
        with pytest.raises(ConfigError, match="it must be"):
            source(address, 1)
