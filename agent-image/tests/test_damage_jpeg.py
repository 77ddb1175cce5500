"""Pictures that are a JPEG each, as USB cameras send them, of which parts are lost.

No camera was to be had. A film of such pictures, read by OpenCV's own reader of them (CAP_OPENCV_MJPEG), stands for
one: it gives each picture to the same libjpeg, by the same cv::imdecode, as OpenCV's V4L2 part does.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.serve import frames
from agent.serve.damage import STRAY, LeftOver
from agent.serve.frames import BrokenFrame, Camera, DamagedFrame, Directory, Image, source

FRAMES = 6
HIT = 2  # the frame that is damaged


def pictures() -> list[Image]:
    """Something to see in each of 16 pixels; it moves."""
    noise = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)
    blurred = cv2.GaussianBlur(noise, (9, 9), 0)
    return [np.roll(blurred, number * 10, 1) for number in range(FRAMES)]


Harm = Callable[[bytearray, int, int], None]


def zeros_in_the_middle(data: bytearray, start: int, end: int) -> None:
    middle = (start + end) // 2
    data[middle : middle + 60] = bytes(60)


def end_lost(data: bytearray, start: int, end: int) -> None:
    """As it is when the rest of the picture never came: there is no end mark."""
    middle = (start + end) // 2
    data[middle:end] = bytes(end - middle)


def bits_flipped(data: bytearray, start: int, end: int) -> None:
    """Into other valid codes: the picture is full before its bytes are."""
    for place in range(start + 5_000, start + 5_008):
        data[place] ^= 1


def stray_bytes(data: bytearray, start: int, end: int) -> None:
    """Eight before the end mark: a common webcam (046d:0825) writes such into most pictures, which are whole. Here they
    take the place of a part of the comment, so that the picture stays as long as its place in the film."""
    comment, mark = data.index(b"\xff\xfe", start, end), data.rindex(b"\xff\xd9", start, end)
    data[comment + 3] -= 8
    data[comment:mark] = data[comment : comment + 4] + data[comment + 12 : mark] + b"\x3c" * 8


@pytest.fixture
def camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Camera]:
    """Stands for a camera in whose third picture something went wrong; opened."""

    def make(harm: Harm | None = None, *, use_damaged: bool = False) -> Camera:
        path = tmp_path / "film.avi"
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (320, 240))
        for picture in pictures():
            writer.write(picture)
        writer.release()
        data = bytearray(path.read_bytes())
        starts = [found.start() for found in re.finditer(rb"\xff\xd8\xff", bytes(data))]
        assert len(starts) == FRAMES
        if harm:
            end = data.rindex(b"\xff\xd9", starts[HIT], starts[HIT + 1]) + 2
            harm(data, starts[HIT], end)
        path.write_bytes(data)
        monkeypatch.setattr(cv2, "CAP_V4L2", cv2.CAP_OPENCV_MJPEG)
        made = Camera(str(path), use_damaged)
        made.open()
        return made

    return make


def play(camera: Camera) -> str:
    """For each picture a letter: w whole, d damaged, b broken."""
    letters = ""
    for _ in range(FRAMES):
        camera.advance()
        try:
            camera.decode()
            letters += "w"
        except DamagedFrame:
            letters += "d"
        except BrokenFrame:
            letters += "b"
    camera.close()
    return letters


@pytest.mark.parametrize("harm", [zeros_in_the_middle, end_lost, bits_flipped])
def test_a_picture_of_which_a_part_was_lost_is_damaged(camera: Callable[..., Camera], harm: Harm) -> None:
    assert play(camera(harm)) == "wwdwww"


def test_pictures_that_are_whole_are_given_out(camera: Callable[..., Camera]) -> None:
    assert play(camera()) == "wwwwww"


def test_stray_bytes_are_no_damage(camera: Callable[..., Camera], capfd: pytest.CaptureFixture[str]) -> None:
    assert play(camera(stray_bytes)) == "wwwwww"
    assert "extraneous bytes before marker 0xd9" in capfd.readouterr().err  # it was there


def test_what_is_damaged_is_used_where_that_is_wanted(camera: Callable[..., Camera]) -> None:
    assert play(camera(zeros_in_the_middle, use_damaged=True)) == "wwwwww"
    assert play(camera(end_lost, use_damaged=True)) == "wwbwww"  # of which nothing can be used


def test_it_says_which_camera_and_what_is_wrong(camera: Callable[..., Camera]) -> None:
    hit = camera(zeros_in_the_middle)
    for _ in range(HIT + 1):
        hit.advance()
    with pytest.raises(DamagedFrame, match=r"film\.avi is damaged: Corrupt JPEG data: premature end of data segment"):
        hit.decode()


def test_codes_that_were_changed_are_told_by_the_bytes_that_are_left_over(
    camera: Callable[..., Camera], capfd: pytest.CaptureFixture[str]
) -> None:
    assert play(camera(bits_flipped)) == "wwdwww"
    assert re.findall(r"Corrupt JPEG data: (.*)", capfd.readouterr().err) == ["38 extraneous bytes before marker 0xd9"]


def marks(counts: list[int]) -> str:
    judge = LeftOver()
    return "".join("d" if judge.tells_of_damage(count) else "w" for count in counts)


def test_a_camera_that_leaves_more_over_in_most_pictures_is_heard_no_more() -> None:
    assert marks([0, STRAY, STRAY + 1, 300, 8]) == "wwddw"
    assert marks([40] * 30) == "d" * 19 + "w" * 11
    assert marks([0, 40] * 30) == "wd" * 30  # a cable that is loose
    assert marks([*[40] * 20, *[0] * 20, 40]) == "d" * 19 + "w" * 21 + "d"


def test_what_others_say_meanwhile_is_not_taken_for_the_reason(
    camera: Callable[..., Camera], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The reason is shown on the live page; other threads write their log to the same stderr."""
    hit = camera(zeros_in_the_middle)
    for _ in range(HIT + 1):
        hit.advance()
    decode = frames._Capture.decode

    def beside(self: Camera) -> frames.Frame:
        os.write(2, b"2026-11-30 INFO agent.capture: something else\n")
        return decode(self)

    monkeypatch.setattr(frames._Capture, "decode", beside)
    with pytest.raises(DamagedFrame, match="is damaged: Corrupt JPEG data: premature end"):
        hit.decode()
    assert "something else" in capfd.readouterr().err


def test_damaged_files_of_a_directory(tmp_path: Path) -> None:
    done, encoded = cv2.imencode(".jpg", pictures()[0])
    assert done
    data = bytearray(encoded.tobytes())
    (tmp_path / "a.jpg").write_bytes(data[:3000] + data[3400:])  # with its end mark
    frames = Directory(tmp_path)
    frames.open()
    frames.advance()
    with pytest.raises(DamagedFrame, match=r"a\.jpg is damaged: Corrupt JPEG data"):
        frames.decode()
    used = source(f"directory://{tmp_path}", 1, use_damaged=True)
    used.open()
    used.advance()
    assert used.decode().image.shape == (240, 320, 3)
