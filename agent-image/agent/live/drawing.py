"""Drawing: a frame with its boxes, and what has to be said about it, as a JPEG. Pure; the frame is never changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.serve.detector import Detections, Image

COLOURS = ("#ffd166", "#4cc9f0", "#ff7ab6", "#7ae582", "#ffa657", "#c4a5ff", "#5eead4", "#f2f2f2")
"""Of the classes, in the model's order, from the start again after the last. All are light, for dark names on them."""

QUALITY = 85  # of the JPEG
LEAST_SIDE, MOST_SIDE = 640, 1920
"""Pixels of a drawn picture's longer side: names are legible on small frames, and large ones don't cost too much."""

_DARK = (18, 18, 18)
_ALARM = (40, 40, 190)  # blue, green, red
_WEIGHT = 500


def jpeg(image: Image) -> bytes:
    """The picture as a JPEG file."""
    encoded, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not encoded:
        raise ValueError(f"a picture of shape {image.shape} can't be made a JPEG")
    return data.tobytes()


def annotated(image: Image, found: Detections, classes: Sequence[str]) -> Image:
    """The frame, scaled for a person's eyes, with a box, a class and a confidence for each detection."""
    height, width = image.shape[:2]
    longer = max(height, width)
    scale = min(max(1.0, LEAST_SIDE / longer), MOST_SIDE / longer)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    method = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    picture = cast(Image, cv2.resize(image, size, interpolation=method)) if scale != 1 else image.copy()
    text = _text_height(picture)
    line = max(2, round(text / 8))
    font = cv2.FontFace("sans")
    # the least confident first, so that the names of the others stay legible where they overlap
    for k in reversed(range(len(found))):
        colour = _bgr(COLOURS[int(found.classes[k]) % len(COLOURS)])
        left, top, right, bottom = (round(float(each)) for each in found.boxes[k] * scale)
        cv2.rectangle(picture, (left, top), (right, bottom), _DARK, line + 2, cv2.LINE_AA)
        cv2.rectangle(picture, (left, top), (right, bottom), colour, line, cv2.LINE_AA)
        name = f"{classes[int(found.classes[k])]} {found.confidences[k]:.2f}"
        _name(picture, font, name, (left, top, bottom), colour, text)
    return picture


def with_notice(picture: Image, words: str) -> Image:
    """The picture without its colours, and with words across its lower edge: nobody takes it for a live one."""
    grey = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    dimmed = cast(Image, (grey * 0.6).astype(np.uint8))
    height, width = dimmed.shape[:2]
    font, text = cv2.FontFace("sans"), _text_height(picture)
    wide = _width(words, font, text)
    if wide > width - text:
        text = max(1, text * (width - text) // wide)
        wide = width - text
    bar = 2 * text
    cv2.rectangle(dimmed, (0, height - bar), (width, height), _ALARM, -1)
    cv2.putText(dimmed, words, ((width - wide) // 2, height - round(0.65 * text)), (255, 255, 255), font, text, _WEIGHT)
    return dimmed


def _name(
    picture: NDArray[np.uint8],
    font: cv2.FontFace,
    name: str,
    box: tuple[int, int, int],
    colour: tuple[int, int, int],
    text: int,
) -> None:
    """A label on the box's upper edge, or inside it where the picture ends; never beyond the picture's right edge."""
    left, top, bottom = box
    width = picture.shape[1]
    wide = _width(name, font, text)
    pad = max(2, text // 4)
    tall = text + pad
    x = max(0, min(left - 1, width - wide - 2 * pad))
    y = top - tall if top >= tall else min(top, max(0, bottom - tall))
    cv2.rectangle(picture, (x, y), (x + wide + 2 * pad, y + tall), colour, -1)
    cv2.putText(picture, name, (x + pad, y + tall - pad), _DARK, font, text, _WEIGHT)


def _text_height(picture: NDArray[np.uint8]) -> int:
    longer: int = max(picture.shape[:2])
    return max(13, round(longer / 43))


def _width(words: str, font: cv2.FontFace, text: int) -> int:
    """Pixels that the words take, in letters of this height."""
    _, _, wide, _ = cv2.getTextSize((0, 0), words, (0, 0), font, text, _WEIGHT)
    return int(wide)


def _bgr(colour: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(colour[1:])
    return blue, green, red
