"""A film whose pictures carry their number, so that each that comes out can be compared with the original."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from rtsp_server import Image, mpeg4_frames, noisy

SIDE = 160
COUNT = 120  # ten key frames
_BIT = 16  # pixels: the number is a row of squares, lowest bit first
_BITS = 8


def moving_clip(folder: Path) -> tuple[list[bytes], list[Image]]:
    """The film encoded, and its pictures as they come out where nothing is lost."""
    encoded = mpeg4_frames(folder, (picture(number) for number in range(COUNT)))
    capture = cv2.VideoCapture(str(folder / "source.avi"), cv2.CAP_FFMPEG)
    whole = []
    while (image := capture.read()[1]) is not None:
        whole.append(image)
    capture.release()
    assert len(encoded) == len(whole) == COUNT
    return encoded, whole


def error(picture: Image, whole: list[Image]) -> float:
    """Mean difference, of 255, from the picture that has this one's number."""
    squares = picture[4 : _BIT - 4, : _BIT * _BITS].mean(axis=(0, 2)).reshape(_BITS, _BIT)[:, 4:-4].mean(axis=1)
    number = sum(int(bright > 128) << bit for bit, bright in enumerate(squares))
    return float(np.abs(picture.astype(int) - whole[number % COUNT]).mean())


def key_frame(frame: bytes) -> bool:
    """Whether an encoded frame stands alone: the two bits after MPEG-4's start code of a picture are 0."""
    return frame[frame.index(b"\0\0\1\xb6") + 4] >> 6 == 0


def picture(number: int) -> Image:
    """One of the film, before it is encoded."""
    clouds = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3), np.uint8)
    clouds = cv2.normalize(cv2.GaussianBlur(clouds, (0, 0), 6), None, 20, 220, cv2.NORM_MINMAX)
    made = noisy(np.roll(clouds, 2 * number, axis=1), number)
    left = 3 * number % (SIDE - 40)
    made[60:100, left : left + 40] = (0, 200, 250)
    for bit in range(_BITS):
        made[:_BIT, bit * _BIT : (bit + 1) * _BIT] = 255 * (number >> bit & 1)
    return made
