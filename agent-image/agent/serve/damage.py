"""Which pictures of a video are damaged, judged by what FFmpeg said while it made them. Pure.

Packets that were lost, or a picture that did not decode as a whole, damage that picture and every one after it that is
made from it: all up to the next key frame, which stands alone. FFmpeg hands them all out, patched up.

Not to be seen: a picture that the camera left out before it numbered its packets, and bits that changed into other
valid ones.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from agent.serve.ffmpeg_log import ERROR, Message

LONGEST = 60.0
"""Seconds without another message after which pictures count as whole again: some streams refresh bit by bit, without
key frames."""

READ_AHEAD = 5.0
"""Seconds. FFmpeg reads so much of a stream at most while it opens it, to learn what it is. Of a packet that was lost
there nobody knows where in these pictures it was, so a key frame among them is no end of the damage."""

_HARMLESS = ("SEI ", "APP fields", "VUI", "first frame is no keyframe", "Invalid and inefficient vfw-avi packed B")
"""Errors of decoders, in FFmpeg's own words, that are about what accompanies a picture. Some cameras cause one with
every picture."""

_KEY = frozenset("I?\0")  # the decoder says nothing of the kind of picture: every one stands alone, as in MJPEG


def packets_lost(message: Message) -> bool:
    """Whether packets are missing between two that came."""
    return not message.decoder and ("RTP: missed" in message.text or "bad cseq" in message.text)


def picture_damaged(message: Message) -> bool:
    """Whether a decoder failed on part of a picture."""
    if not message.decoder or any(words in message.text for words in _HARMLESS):
        return False
    return message.level <= ERROR or message.text.startswith("concealing")


class Damage:
    """The state of one video since it was opened at `now` (seconds of a monotonic clock).

    `threads` of the decoder: what they say may be of one of as many pictures. `joined`: a stream that was running, in
    which all before the first key frame is made from pictures that were never received.
    """

    def __init__(self, threads: int, *, joined: bool, opening: Iterable[Message], now: float) -> None:
        lost = next((message for message in opening if packets_lost(message)), None)
        self._threads = threads
        self._reason: str | None = "no key frame has come yet" if joined else None
        if lost:
            self._reason = lost.text
        self._latest = now  # when a message last said so
        self._not_before = now + READ_AHEAD if lost else now  # key frames before that end nothing
        self._pictures = threads  # since then

    def next(self, messages: Iterable[Message], kind: str, now: float) -> str | None:
        """Why the picture that was made at `now` is damaged; None where it is whole.

        `messages` came while it was made. `kind` is I, P or B, or ? where the decoder does not say.
        """
        found = next((message for message in messages if packets_lost(message) or picture_damaged(message)), None)
        self._pictures += 1
        if found:
            self._reason, self._latest, self._pictures = found.text, now, 0
        elif self._refreshed(kind, now) or now - self._latest >= LONGEST:
            self._reason = None
        return self._reason

    def _refreshed(self, kind: str, now: float) -> bool:
        return kind in _KEY and self._pictures >= self._threads and now >= self._not_before


STRAY = 16
"""Bytes that may be left over when a JPEG is full: some webcams write up to eight too many into most pictures."""
_HABIT = 20  # pictures in a row, of which more than half have more: then it is how this camera writes them


class LeftOver:
    """The JPEGs of one camera since it was opened, by how many bytes were left over when each was full.

    Codes that changed into others that are valid too are of other lengths, as a rule: nothing is missing, all that
    follows is shifted, and the picture is full before its bytes are. libjpeg tells of no other trace.
    """

    def __init__(self) -> None:
        self._latest: deque[bool] = deque(maxlen=_HABIT)

    def tells_of_damage(self, count: int) -> bool:
        """Whether the next picture, of which `count` bytes were left over, is damaged."""
        self._latest.append(count > STRAY)
        return count > STRAY and not self.is_habit

    @property
    def is_habit(self) -> bool:
        return len(self._latest) == _HABIT and sum(self._latest) * 2 > _HABIT
