"""Whether a picture can be decoded whole, as the trainer and the agent decode it: by OpenCV."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from detectiondata.hearing import hear, tells_of_damage

THUMB = 8  # pictures are decoded to an eighth of their size


@dataclass(frozen=True)
class Picture:
    """`length` is where it ends in its file's bytes; `thumb` is its (width, height) scaled down to an eighth;
    `brightest` is the brightest value in that, of 255."""

    length: int
    thumb: tuple[int, int]
    brightest: int = 255


def read_picture(content: bytes) -> Picture | None:
    """None for what can't be decoded whole.

    OpenCV paints what is missing of a picture grey and says nothing, so the end marks are looked for. Of what is
    missing before them nothing tells but the decoder's words on stderr.
    """
    length = len(content)
    if content.startswith(b"\xff\xd8"):
        end = content.rfind(b"\xff\xd9")
        if end < 0:
            return None
        length = end + 2
    elif content.startswith(b"\x89PNG"):
        end = content.rfind(b"IEND")
        if end < 0:
            return None
        length = end + 8
    try:
        # the smallest of OpenCV's reduced sizes: all of the stream is read, little of it computed
        encoded = np.frombuffer(content, dtype=np.uint8)
        picture, said = hear(lambda: cv2.imdecode(encoded, cv2.IMREAD_REDUCED_GRAYSCALE_8))
    except cv2.error:
        return None
    if picture is None or picture.size == 0 or tells_of_damage(said):
        return None
    return Picture(length, (picture.shape[1], picture.shape[0]), int(picture.max()))
