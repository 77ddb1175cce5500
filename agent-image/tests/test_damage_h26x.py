"""H.264 and H.265, what most cameras send: over TCP and over UDP, with real loss, compared with what was sent."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from moving_clip import error
from rtp_payloads import H264, H265, Payload, film
from rtsp_server import Harm, Image, RtspServer
from test_damage import FRAMES, VISIBLE, receive

from agent.serve.frames import BrokenFrame, Stream

Served = tuple[RtspServer, Payload, list[Image]]


@pytest.fixture(
    params=[(payload, transport) for payload in (H264, H265) for transport in ("tcp", "udp")],
    ids=lambda param: f"{param[0].encoding[:4]}-{param[1]}",
)
def served(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    payload, transport = request.param
    monkeypatch.setenv("OPENCV_FFMPEG_CAPTURE_OPTIONS", f"rtsp_transport;{transport}")
    encoded, whole = film(payload)
    server = RtspServer(encoded, rate=50, encoding=payload.encoding)
    server.harm = payload.packets
    server.start()
    yield server, payload, whole
    server.stop()


def packets_dropped(payload: Payload, share: float = 0.08) -> Harm:
    """Of a share of the pictures each packet with even chances."""
    chance = random.Random(1)

    def harm(picture: bytes) -> list[bytes | None]:
        hit = chance.random() < share
        return [None if hit and chance.random() < 0.5 else packet for packet in payload.packets(picture)]

    return harm


def bits_flipped(payload: Payload) -> Harm:
    """In 30 % of the pictures, eight bits of the last packet."""
    chance = random.Random(1)

    def harm(picture: bytes) -> list[bytes | None]:
        *pieces, last = payload.packets(picture)
        changed = bytearray(last)
        for _ in range(8 if chance.random() < 0.3 else 0):
            changed[chance.randrange(min(8, len(changed) - 1), len(changed))] ^= 1 << chance.randrange(8)
        return [*pieces, bytes(changed)]

    return harm


def test_a_stream_without_loss_is_given_out_whole(served: Served) -> None:
    server, _, whole = served
    given, damaged = receive(Stream(server.url))
    assert (len(given), damaged) == (FRAMES, 0)
    assert max(error(picture, whole) for picture in given) < 1


def test_no_frame_that_is_visibly_damaged_by_loss_is_given_out(served: Served) -> None:
    server, payload, whole = served
    server.harm = packets_dropped(payload)
    given, damaged = receive(Stream(server.url))
    assert len(given) >= 30
    assert damaged > 40
    assert max(error(picture, whole) for picture in given) <= VISIBLE


@pytest.mark.parametrize("served", [(H264, "tcp"), (H264, "udp")], ids=["tcp", "udp"], indirect=True)
def test_what_ffmpeg_makes_of_loss_in_h264_is_to_be_seen(served: Served) -> None:
    """Of H.265 it leaves out what it can't decode."""
    server, payload, whole = served
    server.harm = packets_dropped(payload)
    stream = Stream(server.url, use_damaged=True)
    stream.open()
    errors = []
    for _ in range(200):
        stream.advance()
        try:
            errors.append(error(stream.decode().image, whole))
        except BrokenFrame:
            continue
    stream.close()
    assert sum(each > VISIBLE for each in errors) > 5


def test_a_stream_that_can_not_be_decoded_for_a_while_is_damaged_and_not_lost(served: Served) -> None:
    """Joined where the key frames are damaged: OpenCV says that such a stream has ended."""
    server, payload, _ = served
    server.harm = packets_dropped(payload, share=0.3)
    stream = Stream(server.url)
    stream.open()
    for _ in range(FRAMES):
        stream.advance()  # no SourceLost
    stream.close()


@pytest.mark.parametrize("served", [(H264, "tcp"), (H264, "udp")], ids=["tcp", "udp"], indirect=True)
def test_bits_that_changed_in_h264(served: Served) -> None:
    """The checks of TCP and UDP find most of them before. A decoder of H.265 takes any bits for valid ones."""
    server, payload, whole = served
    server.harm = bits_flipped(payload)
    given, damaged = receive(Stream(server.url))
    assert damaged > 40
    assert max(error(picture, whole) for picture in given) <= VISIBLE
