"""Where frames come from: a directory, a video file, a camera, an RTSP stream.

A source is used by one thread. It has two steps, so that a live stream can be kept current without decoding what
nobody wants: `advance` goes to the next frame, `decode` makes an image of it. Two things can go wrong. A frame that
can't be decoded is a `BrokenFrame`: it is counted and the next one is taken. A source that gives nothing is a
`SourceLost`: it is closed and opened again later, for as long as it takes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast
from urllib.parse import unquote, urlsplit

import cv2
import numpy as np

from agent.config import ConfigError
from agent.serve.detector import Image

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
TIMEOUT = 10.0
"""Seconds that opening a network stream, or waiting for its next frame, may take before it counts as lost."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One decoded frame and where it came from (a path, or a stream's address without credentials)."""

    image: Image
    origin: str


class BrokenFrame(Exception):
    """One frame could not be decoded."""


class SourceLost(Exception):
    """The source gives no frames now; it may later."""


class Source(Protocol):
    """Frames, one after the other."""

    name: str
    """For the log: without credentials."""
    live: bool
    """Frames come by themselves and must be taken as they come (a camera); else each waits until asked for."""

    def open(self) -> None:
        """Get ready to give frames. Raises SourceLost."""

    def advance(self) -> None:
        """Go to the next frame; after the last of a directory or file comes the first. Raises SourceLost."""

    def decode(self) -> Frame:
        """The frame that `advance` went to. Raises BrokenFrame."""

    def close(self) -> None:
        """Give back what `open` took. May be called at any time, more than once."""


def source(address: str, threads: int) -> Source:
    """The source that FRAMES names, decoding videos with so many threads. Raises ConfigError; opens nothing."""
    scheme, separator, rest = address.partition("://")
    if scheme in ("directory", "file") and separator:
        path = Path(unquote(rest))
        if not path.is_absolute():
            raise ConfigError("FRAMES", f"is {address!r}; the path must be absolute: {scheme}:///path")
        return Directory(path) if scheme == "directory" else VideoFile(path, threads)
    if scheme == "camera" and re.fullmatch(r"\d{1,3}", rest):
        return Camera(int(rest))
    if scheme in ("rtsp", "rtsps") and urlsplit(address).hostname:
        return Stream(address, threads)
    raise ConfigError(
        "FRAMES",
        f"is {_without_credentials(address)!r}; it must be directory:///path, file:///video.mp4, camera://0 or rtsp://...",
    )


class Directory:
    """The image files right in a folder, by name, over and over. The folder is read again at each round."""

    live = False

    def __init__(self, path: Path) -> None:
        self.name = f"directory {path}"
        self._path = path
        self._files: list[Path] = []
        self._next = 0

    def open(self) -> None:
        try:
            files = [file for file in self._path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file()]
        except OSError as error:
            raise SourceLost(f"{self._path} can't be read: {error.strerror}") from error
        if not files:
            raise SourceLost(f"{self._path} holds no image ({', '.join(sorted(IMAGE_SUFFIXES))})")
        self._files = sorted(files)
        self._next = 0

    def advance(self) -> None:
        if self._next == len(self._files):
            self.open()
        self._next += 1

    def decode(self) -> Frame:
        path = self._files[self._next - 1]
        try:
            data = path.read_bytes()
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
        except OSError as error:
            raise BrokenFrame(f"{path} can't be read: {error.strerror}") from error
        except cv2.error as error:
            raise BrokenFrame(f"{path} can't be decoded: {error}") from error
        if image is None:
            raise BrokenFrame(f"{path} is no image, or not all of one ({len(data)} bytes)")
        return Frame(cast(Image, image), str(path))

    def close(self) -> None:
        self._files = []
        self._next = 0


class _Capture:
    """What the sources that OpenCV reads as a video share."""

    name: str
    _capture: cv2.VideoCapture | None = None

    def _open(self, target: str | int, backend: int, options: list[int]) -> None:
        self.close()
        capture = cv2.VideoCapture(target, backend, options)
        if not capture.isOpened():
            capture.release()
            raise SourceLost(f"{self.name} can't be opened")
        self._capture = capture

    def _grab(self) -> bool:
        if self._capture is None:
            raise SourceLost(f"{self.name} is not open")
        return self._capture.grab()

    def decode(self) -> Frame:
        if self._capture is None:
            raise BrokenFrame(f"{self.name} is not open")
        try:
            decoded, image = self._capture.retrieve()
        except cv2.error as error:
            raise BrokenFrame(f"a frame of {self.name} can't be decoded: {error}") from error
        if not decoded or image is None:
            raise BrokenFrame(f"a frame of {self.name} can't be decoded")
        return Frame(cast(Image, image), self.name)

    def close(self) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None


class VideoFile(_Capture):
    """Each frame of a video file, over and over. The file's own frame rate is not used: FRAME_RATE sets the pace."""

    live = False

    def __init__(self, path: Path, threads: int = 1) -> None:
        self.name = f"video {path}"
        self._threads = threads
        self._path = path

    def open(self) -> None:
        if not self._path.exists():
            raise SourceLost(f"{self._path} does not exist")
        self._open(str(self._path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, self._threads])

    def advance(self) -> None:
        if self._grab():
            return
        self.open()  # the end: start again. Seeking back is not exact in all containers
        if not self._grab():
            raise SourceLost(f"{self._path} holds no frame that can be read")


class Camera(_Capture):
    """A camera of the node, by its index (/dev/video<index>)."""

    live = True

    def __init__(self, index: int) -> None:
        self.name = f"camera {index}"
        self._index = index

    def open(self) -> None:
        self._open(self._index, cv2.CAP_V4L2, [])

    def advance(self) -> None:
        if not self._grab():
            raise SourceLost(f"{self.name} gives no frames")


class Stream(_Capture):
    """A network stream that ffmpeg can read, RTSP over TCP. Silence longer than TIMEOUT counts as lost."""

    live = True

    def __init__(self, url: str, threads: int = 1) -> None:
        self._threads = threads
        self.name = f"stream {_without_credentials(url)}"
        self._url = url

    def open(self) -> None:
        limit = int(TIMEOUT * 1000)
        options = [cv2.CAP_PROP_N_THREADS, self._threads]
        options += [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, limit, cv2.CAP_PROP_READ_TIMEOUT_MSEC, limit]
        self._open(self._url, cv2.CAP_FFMPEG, options)

    def advance(self) -> None:
        if not self._grab():
            raise SourceLost(f"{self.name} ended, or gave no frame for {TIMEOUT:.0f} s")


def _without_credentials(url: str) -> str:
    """The address without user, password and query, fit for a log."""
    scheme, separator, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    return f"{scheme}{separator}{authority.rpartition('@')[2]}{slash}{path.partition('?')[0]}"
