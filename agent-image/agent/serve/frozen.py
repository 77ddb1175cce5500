"""Whether a live picture is frozen: a camera or its driver that hangs sends its last picture for ever.

The noise of a sensor never repeats, so a picture that is the same, bit by bit, as one before it is no new one. One
repetition says nothing (streams have more pictures than their cameras take, and encoders leave out what hardly
changed); seconds of nothing else do. Two things repeat:

- the very same picture, sent again and again;
- one that stands still before an encoder that goes on. Its key frame and the pictures that refine it differ a little,
  come again with each next key frame, and the rest are the same. Hence pictures are compared with all recent ones.

A film that is played over and over is not frozen: its pictures return, but are not the same as the ones right before.
"""

from __future__ import annotations

import zlib

from agent.serve.frames import Frame

_REMEMBERED = 64  # pictures that differ; a still picture between two key frames has a handful
_STILL = 0.25  # at least this share of the pictures are the same as the one right before


class Frozen:
    """Tells it of the frames of one source, in order. `after`: seconds without a new picture."""

    def __init__(self, after: float) -> None:
        self._after = after
        self.restart()

    def restart(self) -> None:
        """The source was opened again."""
        self._seen: dict[int, None] = {}  # check sums, the one that was seen last at the end
        self._last: int | None = None
        self._since = 0.0  # when the newest picture came that was not seen before
        self._pictures = self._repeated = 0  # since then; how many of them are the same as the one right before

    def frozen(self, frame: Frame) -> bool:
        """Whether this frame is one of a frozen picture."""
        picture = zlib.crc32(frame.image.data)
        new = picture not in self._seen
        self._seen.pop(picture, None)
        self._seen[picture] = None
        if len(self._seen) > _REMEMBERED:
            del self._seen[next(iter(self._seen))]
        if new:
            self._since, self._pictures, self._repeated = frame.taken, 0, 0
        else:
            self._pictures += 1
            self._repeated += picture == self._last
        self._last = picture
        return not new and frame.taken - self._since >= self._after and self._repeated >= _STILL * self._pictures
