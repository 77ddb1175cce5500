"""What FFmpeg says while it reads a stream: packets that are missing, parts of a picture that it had to make up, and
that pictures have another size or format from now on.

OpenCV hands out a picture that FFmpeg patched up like any other, scales each to the size of the first, and can't be
asked about either. FFmpeg says so in its log and nowhere else that can be reached from here. So its messages are taken
over, by the function that is there for it (av_log_set_callback) in the library that OpenCV has loaded. They no longer
go to stderr, past the agent's log, with addresses in them.
"""

from __future__ import annotations

import atexit
import ctypes
import logging
import os
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import cv2

ERROR, WARNING, INFO = 16, 24, 32
"""FFmpeg's levels: the lower, the worse."""

_LIBRARY = "libavutil"
_LONGEST = 1024  # bytes of one message
_FORMAT_CHOSEN = b"Format %s chosen by get_format().\n"
"""Of what FFmpeg says for its developers alone (level 48), the one message that is heeded: as it is in its source."""
_KEPT = 1000  # messages between two looks: a picture has at most a few hundred
_DEBUG_SETTINGS = ("OPENCV_FFMPEG_DEBUG", "OPENCV_FFMPEG_LOGLEVEL")
"""Where one is set OpenCV prints what FFmpeg says, with the requests to the camera and the password in them."""

_log = logging.getLogger(__name__)
_Callback = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)


@dataclass(frozen=True)
class Message:
    """One message. `decoder`: a decoder says it, not the part that receives packets. `text` has no prefix."""

    level: int
    decoder: bool
    text: str


class FfmpegLog:
    """FFmpeg's messages of this process. There is one, since FFmpeg has one callback: see `ffmpeg_log`."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._messages: deque[Message] = deque(maxlen=_KEPT)
        self._lock = threading.Lock()
        self._format = library.av_log_format_line2
        self._format.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p]
        self._format.argtypes += [ctypes.c_char_p, ctypes.c_int, ctypes.POINTER(ctypes.c_int)]
        self._callback = _Callback(self._take)  # must live as long as FFmpeg may call it
        library.av_log_set_callback.argtypes = [ctypes.c_void_p]
        library.av_log_set_callback(ctypes.cast(self._callback, ctypes.c_void_p))
        # A thread that still reads must not call into an interpreter that is ending.
        library.av_log_set_level(-8)  # AV_LOG_QUIET, for FFmpeg's own callback
        atexit.register(library.av_log_set_callback, ctypes.cast(library.av_log_default_callback, ctypes.c_void_p))

    def drain(self) -> list[Message]:
        """What was said since the last call, oldest first."""
        with self._lock:
            messages = list(self._messages)
            self._messages.clear()
        return messages

    def _take(self, context: int | None, level: int, form: bytes, arguments: int) -> None:
        """Called by FFmpeg, from any of its threads, for every message of whatever level."""
        if level & 0xFF > INFO and form != _FORMAT_CHOSEN:
            return
        line = ctypes.create_string_buffer(_LONGEST)
        self._format(None, level, form, arguments, line, _LONGEST, ctypes.byref(ctypes.c_int(0)))
        message = Message(
            level & 0xFF, _class_name(context) == b"AVCodecContext", line.value.decode(errors="replace").strip()
        )
        with self._lock:
            self._messages.append(message)


def format_chosen(message: Message) -> bool:
    """Whether a decoder begins anew with pictures of a size and format: before the first one, and where they change."""
    return message.decoder and message.text.endswith("chosen by get_format().")


def _class_name(context: int | None) -> bytes:
    """Every context of FFmpeg begins with a pointer to its AVClass, which begins with a pointer to the class' name."""
    described = ctypes.c_void_p.from_address(context).value if context else None
    return (ctypes.c_char_p.from_address(described).value or b"") if described else b""


_taken_over: FfmpegLog | None = None
_tried = False


def ffmpeg_log() -> FfmpegLog | None:
    """The log, taken over at the first call. None, after a warning, where the library can't be found."""
    global _taken_over, _tried
    if _tried:
        return _taken_over
    _tried = True
    for name in _DEBUG_SETTINGS:
        if os.environ.pop(name, None) is not None:
            _log.warning("%s is ignored: what it prints would show the cameras' passwords", name)
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_FATAL)  # its warnings may name addresses
    cv2.VideoCapture("/dev/null", cv2.CAP_FFMPEG).release()  # OpenCV sets FFmpeg's callback with its first use
    loaded = [
        line.split(maxsplit=5)[-1] for line in Path("/proc/self/maps").read_text().splitlines() if _LIBRARY in line
    ]
    if not loaded:
        _log.warning(
            "OpenCV has loaded no %s that could be asked: damaged frames of streams and videos are not seen, and count "
            "as good",
            _LIBRARY,
        )
        return None
    _taken_over = FfmpegLog(ctypes.CDLL(loaded[0]))
    return _taken_over
