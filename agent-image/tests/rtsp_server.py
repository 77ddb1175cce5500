"""A small RTSP server (RFC 2326) for tests: one video over RTP, inside the RTSP connection or by UDP.

It is there to be lost: it can hang up, fall silent, say nothing and come back, and lose or change what it sends. It
serves one fixed path and any clients.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np

PATH = "/stream"
_CLOCK = 90_000  # RTP ticks per second
_MTU = 1400


Image = np.ndarray
Harm = Callable[[bytes], Iterable[bytes | None]]
"""What is sent of a frame: the content of its packets; None for one that is lost, which has a number like any other."""


def packets(frame: bytes) -> list[bytes]:
    """The content of a frame's packets, all of it."""
    return [frame[at : at + _MTU] for at in range(0, len(frame), _MTU)]


def noisy(picture: Image, seed: int = 0) -> Image:
    """A picture as a sensor sees it: the noise is another one each time (each seed)."""
    noise = np.random.default_rng(seed).normal(0, 4, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def mpeg4_frames(folder: Path, images: Iterable[Image]) -> list[bytes]:
    """Images as MPEG-4 part 2, one elementary stream chunk each, taken from the AVI file (`source.avi`) OpenCV makes.

    Every twelfth is a key frame.
    """
    path = folder / "source.avi"
    pictures = list(images)
    height, width = pictures[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"XVID"), 10, (width, height))
    for picture in pictures:
        writer.write(picture)
    writer.release()
    data = path.read_bytes()
    position = data.index(b"movi") + 4
    frames = []
    while data[position : position + 4] == b"00dc":
        (size,) = struct.unpack_from("<I", data, position + 4)
        frames.append(data[position + 8 : position + 8 + size])
        position += 8 + size + size % 2
    return frames


class RtspServer:
    """Serves `frames` over and over, `rate` per second, from `start` until `stop`; then it may start again."""

    def __init__(
        self, frames: list[bytes], rate: float, encoding: str = f"MP4V-ES/{_CLOCK}", host: str = "127.0.0.1"
    ) -> None:
        self._encoding = encoding
        self._host = host
        self._receivers: dict[socket.socket, tuple[str, int]] = {}  # of those who asked for UDP
        self.frames = frames  # may be others at any time
        self._rate = rate
        self._connections: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._port = 0
        self.silent = threading.Event()
        self.mute = threading.Event()
        self.harm: Harm = packets
        self.played = 0

    @property
    def url(self) -> str:
        return f"rtsp://user:secret@{self._host}:{self.port}{PATH}"

    @property
    def port(self) -> int:
        return self._port

    def start(self) -> None:
        """Listen: at first on a port of the system's choice, later on the same again."""
        self._listener = socket.create_server((self._host, self._port))
        self._port = self._listener.getsockname()[1]
        self._spawn(self._accept)

    def stop(self) -> None:
        """Hang up on everybody and listen no more."""
        # shutdown wakes the thread that waits in accept; close alone would not
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive(), "nobody is served any more"
        self._connections.clear()
        self._threads.clear()

    def _spawn(self, target: object, *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            self._spawn(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as requests:
            while True:
                first = requests.read(1)
                if not first:
                    return
                if first == b"$":  # RTCP from the client
                    (size,) = struct.unpack(">xH", requests.read(3))
                    requests.read(size)
                    continue
                head = first
                while not head.endswith(b"\r\n\r\n"):
                    line = requests.readline()
                    if not line:
                        return
                    head += line
                if not self.mute.is_set():
                    self._answer(connection, head.decode())

    def _answer(self, connection: socket.socket, request: str) -> None:
        method, address, _ = request.split("\r\n", 1)[0].split(" ")
        headers = dict(line.split(": ", 1) for line in request.split("\r\n")[1:] if ": " in line)
        more, body = "", ""
        status = "200 OK"
        if method == "OPTIONS":
            more = "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n"
        elif method == "DESCRIBE" and not address.partition("://")[2].partition("/")[2].startswith(PATH[1:]):
            status = "404 Not Found"
        elif method == "DESCRIBE":
            body = (
                "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=test\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n"
                f"m=video 0 RTP/AVP 96\r\na=rtpmap:96 {self._encoding}\r\na=control:track1\r\n"
            )
            more = "Content-Type: application/sdp\r\n"
        elif method == "SETUP" and "client_port=" in headers["Transport"]:
            port = headers["Transport"].partition("client_port=")[2].split("-")[0]
            self._receivers[connection] = ("127.0.0.1", int(port))
            more = f"Transport: {headers['Transport']};server_port=6970-6971\r\nSession: 1\r\n"
        elif method == "SETUP":
            more = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n"
        elif method in ("PLAY", "TEARDOWN"):
            more = "Session: 1\r\n"
        answer = f"RTSP/1.0 {status}\r\nCSeq: {headers['CSeq']}\r\n{more}Content-Length: {len(body)}\r\n\r\n{body}"
        connection.sendall(answer.encode())
        if method == "PLAY":
            self.played += 1
            self._spawn(self._play, connection)

    def _play(self, connection: socket.socket) -> None:
        sequence = itertools.count()
        receiver = self._receivers.get(connection)
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
            for k in itertools.count():
                frame = self.frames[k % len(self.frames)]
                while self.silent.is_set() and connection.fileno() >= 0:
                    time.sleep(0.02)
                if connection.fileno() < 0:
                    return  # a datagram would be sent all the same
                pieces = list(self.harm(frame))
                for place, piece in enumerate(pieces, 1):
                    last = 0x80 if place == len(pieces) else 0
                    stamp = int(k / self._rate * _CLOCK) & 0xFFFFFFFF
                    number = next(sequence) & 0xFFFF
                    if piece is None:
                        continue
                    packet = struct.pack(">BBHII", 0x80, last | 96, number, stamp, 1) + piece
                    if receiver is None:
                        connection.sendall(struct.pack(">cBH", b"$", 0, len(packet)) + packet)
                    else:
                        datagrams.sendto(packet, receiver)
                time.sleep(1 / self._rate)
