"""Where frames come from: a directory, a video file, a camera, an RTSP stream.

A source is used by one thread. It has two steps, so that a live stream can be kept current without decoding what
nobody wants: `advance` goes to the next frame, `decode` makes an image of it. Three things can go wrong. A frame that
can't be decoded is a `BrokenFrame`, one of which parts were lost or made up is a `DamagedFrame`: it is counted and the
next one is taken. A source that gives nothing is a `SourceLost`: it is closed and opened again later, for as long as it
takes.
"""

from __future__ import annotations

import logging
import os
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, cast
from urllib.parse import unquote

import cv2
import numpy as np

from agent.config import ConfigError
from agent.redaction import cleaned, host, shown
from agent.serve.damage import Damage, LeftOver, picture_damaged
from agent.serve.detector import Image
from agent.serve.ffmpeg_log import ERROR, FfmpegLog, Message, ffmpeg_log, format_chosen
from detectiondata.hearing import hear, left_over, tells_of_damage, why_damaged

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
TIMEOUT = 10.0
"""Seconds that opening a network stream, or waiting for its next frame, may take before it counts as lost."""

_JPEGS = frozenset(cv2.VideoWriter.fourcc(*name) for name in ("MJPG", "JPEG"))
"""V4L2's names of what is a JPEG a picture, and alike in OpenCV."""
_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
_OPENCV_DEFAULT = "rtsp_flags;prefer_tcp"  # what OpenCV takes where the variable is not set
_COUNT_PACKETS = "reorder_queue_size;4"
"""Over TCP FFmpeg does not compare the packets' numbers unless it has a queue; more packets would only wait longer."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Frame:
    """One decoded frame and where it came from (a path, or a stream's address without credentials).

    `taken` is when it was decoded, in seconds of the monotonic clock.
    """

    image: Image
    origin: str
    taken: float = field(default_factory=time.monotonic)


class BrokenFrame(Exception):
    """One frame could not be decoded."""


class DamagedFrame(Exception):
    """One frame is not what the camera saw: parts of it, or of a frame it builds on, were lost."""


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
        """The frame that `advance` went to. Raises BrokenFrame and DamagedFrame."""

    def close(self) -> None:
        """Give back what `open` took. May be called at any time, more than once."""


def source(address: str, threads: int, *, use_damaged: bool = False) -> Source:
    """The source that FRAMES names, decoding videos with so many threads. Raises ConfigError; opens nothing.

    `use_damaged`: damaged frames are frames like any other.
    """
    scheme, separator, rest = address.partition("://")
    if scheme in ("directory", "file") and separator:
        path = Path(unquote(rest))
        if not path.is_absolute():
            raise ConfigError("FRAMES", f"begins with {scheme}:// and no absolute path; write {scheme}:///path")
        return Directory(path, use_damaged) if scheme == "directory" else VideoFile(path, threads, use_damaged)
    if scheme == "camera" and re.fullmatch(r"\d{1,3}", rest):
        return Camera(int(rest), use_damaged)
    if scheme == "camera" and re.fullmatch(r"/dev/[^\0]+", rest):
        return Camera(unquote(rest), use_damaged)
    if scheme in ("rtsp", "rtsps") and separator:
        if not host(address):
            raise ConfigError(
                "FRAMES",
                f"is {shown(address)!r}, in which the host can't be told apart from user and password; in those write "
                "@ : / ? # [ ] and spaces as %40 %3A %2F %3F %23 %5B %5D and %20",
            )
        return Stream(address, threads, use_damaged)
    raise ConfigError(
        "FRAMES",
        f"is {shown(address)!r}; it must be directory:///path, file:///video.mp4, camera://0, "
        "camera:///dev/v4l/by-id/... or rtsp://...",
    )


class Directory:
    """The image files right in a folder, by name, over and over. The folder is read again at each round."""

    live = False

    def __init__(self, path: Path, use_damaged: bool = False) -> None:
        self.name = f"directory {path}"
        self._path = path
        self._use_damaged = use_damaged
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
            encoded = np.frombuffer(data, np.uint8)
            image, said = hear(lambda: cv2.imdecode(encoded, cv2.IMREAD_COLOR)) if data else (None, b"")
        except OSError as error:
            raise BrokenFrame(f"{path} can't be read: {error.strerror}") from error
        except cv2.error as error:
            raise BrokenFrame(f"{path} can't be decoded: {error}") from error
        if image is None:
            raise BrokenFrame(f"{path} is not an image, or not all of one ({len(data)} bytes)")
        if tells_of_damage(said) and not self._use_damaged:
            raise DamagedFrame(f"{path} is damaged: {why_damaged(said)}")
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
            raise SourceLost(f"{self.name} can't be opened{self._why()}")
        self._capture = capture

    def _why(self) -> str:
        """What is known of why it can't be opened, to be added to that."""
        return ""

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


class _Video(_Capture):
    """What FFmpeg decodes, and what it says of that."""

    _joined: bool
    """Frames before the first key frame are of a stream that was running."""

    def __init__(self, address: str, threads: int, use_damaged: bool) -> None:
        self._address = address
        self._threads = threads
        self._use_damaged = use_damaged
        self._log: FfmpegLog | None = None
        self._damage: Damage | None = None
        self._damaged: str | None = None  # why the frame that was grabbed last is
        self._undecoded: str | None = None  # why there is none of it at all
        self._begun = False  # a picture was grabbed
        self._changed = False  # those that come now have another size or format than the first

    def _open_video(self, options: list[int]) -> None:
        self._log = ffmpeg_log()
        self._messages()
        self._begun = self._changed = False
        self._open(self._address, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, self._threads, *options])
        watched = self._log is not None and not self._use_damaged
        self._damage = (
            Damage(self._threads, joined=self._joined, opening=self._messages(), now=time.monotonic())
            if watched
            else None
        )

    def _grab(self) -> bool:
        grabbed = super()._grab()
        messages = self._messages()
        # OpenCV says that there are no more frames, too, where a decoder can make nothing of one
        failed = None if grabbed else next((message.text for message in messages if picture_damaged(message)), None)
        self._undecoded = failed
        harmed = self._damaged is not None or not grabbed
        if (grabbed or failed) and self._damage and self._capture:
            kind = chr(int(self._capture.get(cv2.CAP_PROP_FRAME_TYPE)))
            self._damaged = self._damage.next(messages, kind, time.monotonic())
        # After a loss a decoder of H.265 begins anew as well, with what it had before: not to be told from a change.
        harmed = harmed or self._damaged is not None
        self._changed |= self._begun and not harmed and any(map(format_chosen, messages))
        self._begun |= grabbed
        return grabbed or failed is not None

    def decode(self) -> Frame:
        if self._damaged:
            raise DamagedFrame(f"a frame of {self.name} is damaged: {cleaned(self._damaged, self._address)}")
        if self._undecoded:  # what would be given is the one before it
            raise BrokenFrame(f"a frame of {self.name} can't be decoded: {cleaned(self._undecoded, self._address)}")
        return super().decode()

    def close(self) -> None:
        super().close()
        self._damaged = self._undecoded = None

    def _messages(self) -> list[Message]:
        messages = self._log.drain() if self._log else []
        for message in messages:
            _log.debug("FFmpeg on %s: %s", self.name, cleaned(message.text, self._address))
        return messages

    def _why(self) -> str:
        errors = [message.text for message in self._messages() if message.level <= ERROR]
        return f": {cleaned(errors[-1], self._address)}" if errors else ""


class VideoFile(_Video):
    """Each frame of a video file, over and over. The file's own frame rate is not used: FRAME_RATE sets the pace."""

    live = False
    _joined = False

    def __init__(self, path: Path, threads: int = 1, use_damaged: bool = False) -> None:
        super().__init__(str(path), threads, use_damaged)
        self.name = f"video {path}"
        self._path = path

    def open(self) -> None:
        if not self._path.exists():
            raise SourceLost(f"{self._path} does not exist")
        self._open_video([])

    def advance(self) -> None:
        if self._grab():
            return
        self.open()  # the end: start again. Seeking back is not exact in all containers
        if not self._grab():
            raise SourceLost(f"{self._path} holds no frame that can be read")


class Camera(_Capture):
    """A camera of the node, by its index (/dev/video<index>) or its file, which with /dev/v4l/by-id/... stays the same
    where the indices don't.

    Many send each picture as a JPEG, of which a part gets lost on a USB that is full or a cable that is loose. OpenCV
    paints that part grey, or shifts what follows, and hands the picture out: only libjpeg says so, on stderr.
    """

    live = True

    def __init__(self, device: int | str, use_damaged: bool = False) -> None:
        self.name = f"camera {device}"
        self._device = device
        self._use_damaged = use_damaged
        self._listens = False
        self._left_over = LeftOver()

    def open(self) -> None:
        if isinstance(self._device, str) and not Path(self._device).exists():
            raise SourceLost(f"{self._device} does not exist; mount it into the pod, or plug the camera in")
        self._open(self._device, cv2.CAP_V4L2, [])
        assert self._capture is not None  # as it was opened
        self._left_over = LeftOver()
        self._listens = not self._use_damaged and int(self._capture.get(cv2.CAP_PROP_FOURCC)) in _JPEGS

    def advance(self) -> None:
        if not self._grab():
            raise SourceLost(f"{self.name} gives no frames")

    def decode(self) -> Frame:
        if not self._listens:
            return super().decode()
        try:
            frame, said = hear(super().decode)
        except BrokenFrame as error:  # a JPEG of which the rest is missing
            raise DamagedFrame(str(error)) from error
        if self._left_over.tells_of_damage(left_over(said)) or tells_of_damage(said):
            raise DamagedFrame(f"a frame of {self.name} is damaged: {why_damaged(said)}")
        return frame


class Stream(_Video):
    """A network stream that FFmpeg can read, RTSP over TCP unless OPENCV_FFMPEG_CAPTURE_OPTIONS says
    `rtsp_transport;udp`. Silence longer than TIMEOUT counts as lost.

    So does a stream whose pictures get another size, since somebody has set the camera to another one: OpenCV would go
    on with the size of the first, with all pictures stretched or squeezed. Opened again it gives them as they are.
    """

    live = True
    _joined = True

    def __init__(self, url: str, threads: int = 1, use_damaged: bool = False) -> None:
        super().__init__(url, threads, use_damaged)
        self.name = f"stream {shown(url)}"
        # The size that pictures had when the stream was left for a change, until one is taken after that.
        self._left: tuple[int, int] | None = None
        self._heeds_changes = True

    def open(self) -> None:
        options = os.environ.get(_OPTIONS, _OPENCV_DEFAULT)
        if "reorder_queue_size" not in options and "rtsp_transport;udp" not in options:
            os.environ[_OPTIONS] = f"{options}|{_COUNT_PACKETS}"
        limit = int(TIMEOUT * 1000)
        self._open_video([cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, limit, cv2.CAP_PROP_READ_TIMEOUT_MSEC, limit])

    def advance(self) -> None:
        if not self._grab():
            raise SourceLost(f"{self.name} ended, or gave no frame for {TIMEOUT:.0f} s")
        if not self._changed:
            return
        self._judge_opening()
        if self._heeds_changes:
            self._left = self._size()
            raise SourceLost(f"the pictures of {self.name} have another size or format now: it has to be opened again")

    def decode(self) -> Frame:
        frame = super().decode()
        self._judge_opening()
        return frame

    def _size(self) -> tuple[int, int]:
        """Of the pictures that are given, also where none was taken yet: few are at a low FRAME_RATE."""
        assert self._capture is not None  # a frame was grabbed
        return int(self._capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT))

    def _judge_opening(self) -> None:
        """Heed changes no more where the stream was opened again for nothing: a camera that says so all the time must
        not be opened again all the time."""
        if self._left is not None and self._left == self._size():
            self._heeds_changes = False
            _log.warning("%s was opened again, and has the same size: no such change is heeded any more", self.name)
        self._left = None
