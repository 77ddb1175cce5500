"""How a picture travels in RTP: MPEG-4 part 2 (RFC 3016), H.264 (RFC 6184), H.265 (RFC 7798); films of the two."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
from moving_clip import COUNT, Image

_START = b"\0\0\1"
_SMALL = 300
"""Bytes of a packet's content. The films are small, so that a picture has several packets like a large one."""


@dataclass(frozen=True)
class Payload:
    """`encoding` is its name in a description of the stream, `is_key` says whether a picture stands alone."""

    encoding: str
    packets: Callable[[bytes], list[bytes]]
    is_key: Callable[[bytes], bool]


def _h264_packets(picture: bytes) -> list[bytes]:
    pieces: list[bytes] = []
    for unit in _units(picture):
        if len(unit) <= _SMALL:
            pieces.append(unit)
            continue
        indicator, kind = unit[0] & 0xE0 | 28, unit[0] & 0x1F  # FU-A
        for first, last, part in _parts(unit[1:]):
            pieces.append(bytes([indicator, first << 7 | last << 6 | kind]) + part)
    return pieces


def _h265_packets(picture: bytes) -> list[bytes]:
    pieces: list[bytes] = []
    for unit in _units(picture):
        if len(unit) <= _SMALL:
            pieces.append(unit)
            continue
        kind, header = unit[0] >> 1 & 0x3F, bytes([unit[0] & 0x81 | 49 << 1, unit[1]])  # fragmentation unit
        for first, last, part in _parts(unit[2:]):
            pieces.append(header + bytes([first << 7 | last << 6 | kind]) + part)
    return pieces


H264 = Payload("H264/90000", _h264_packets, lambda picture: any(unit[0] & 0x1F == 5 for unit in _units(picture)))
H265 = Payload(
    "H265/90000", _h265_packets, lambda picture: any(16 <= unit[0] >> 1 & 0x3F <= 23 for unit in _units(picture))
)

_FILMS = {H264.encoding: ("moving.h264", b"\0\0\0\1\x09"), H265.encoding: ("moving.h265", b"\0\0\0\1\x46\1")}


def film(payload: Payload) -> tuple[list[bytes], list[Image]]:
    """The film in `clips`, picture by picture, and its pictures as they come out where nothing is lost."""
    name, delimiter = _FILMS[payload.encoding]
    path = Path(__file__).parent / "clips" / name
    encoded = [delimiter + each for each in path.read_bytes().split(delimiter)[1:]]
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    whole = []
    while (image := capture.read()[1]) is not None:
        whole.append(image)
    capture.release()
    assert len(encoded) == len(whole) == COUNT
    return encoded, whole


def _units(picture: bytes) -> list[bytes]:
    """The units of the network layer, without the start codes between them."""
    return [unit.rstrip(b"\0") for unit in picture.split(_START) if unit.rstrip(b"\0")]


def _parts(content: bytes) -> list[tuple[bool, bool, bytes]]:
    starts = range(0, len(content), _SMALL)
    return [(at == 0, at + _SMALL >= len(content), content[at : at + _SMALL]) for at in starts]
