"""Pictures: the last frame as a JPEG, made when somebody asks, at most `rate` times a second, once for all who look."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from agent.live import drawing
from agent.live.latest import Latest, Look, Shown
from agent.live.mask import Mask, MaskUnknown
from agent.masking import masked
from agent.polygons import Polygon


class NoPicture(Exception):
    """There is nothing to show, or nothing that may be shown; the message says why."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A JPEG of a frame, and when it was made (seconds of the monotonic clock)."""

    data: bytes
    shown: Shown
    made: float
    stale: bool
    polygons: tuple[Polygon, ...]

    def still_right(self, look: Look, polygons: tuple[Polygon, ...]) -> bool:
        """Making it once more would give the same."""
        return self.shown is look.shown and self.stale == (look.state == "stale") and self.polygons == polygons


class Pictures:
    """The pictures of `latest`, with and without boxes. May be used from any thread."""

    def __init__(
        self,
        latest: Latest,
        mask: Mask,
        classes: Sequence[str],
        rate: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._latest = latest
        self._mask = mask
        self._classes = classes
        self._interval = 1 / rate
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()  # held while one is made: the others wait for it instead of making it again
        self._made: dict[bool, Picture] = {}
        self._next = 0.0  # when the next one may be made

    def current(self, boxes: bool) -> Picture:
        """The last frame's picture, not older than the rate allows. May wait for 1 / rate seconds. Raises NoPicture."""
        with self._lock:
            made = self._made.get(boxes)
            look, polygons = self._now()
            if made is not None and made.polygons == polygons:
                fresh = self._clock() < made.made + self._interval and made.stale == (look.state == "stale")
                if fresh or made.still_right(look, polygons):
                    return made
            if (wait := self._next - self._clock()) > 0:
                self._sleep(wait)
                look, polygons = self._now()
            picture = self._make(look, polygons, boxes)
            self._next = picture.made + self._interval
            self._made[boxes] = picture
            return picture

    def of_frame(self, number: int) -> Shown | None:
        """The frame of that number, if the picture of it is one of those that were made last."""
        return next((each.shown for each in list(self._made.values()) if each.shown.number == number), None)

    def hidden(self) -> str | None:
        """Why no picture may be shown, whatever the frames; None where one may."""
        try:
            self._mask.polygons()
        except MaskUnknown as unknown:
            return str(unknown)
        return None

    def _now(self) -> tuple[Look, tuple[Polygon, ...]]:
        try:
            polygons = self._mask.polygons()
        except MaskUnknown as unknown:
            self._made.clear()
            raise NoPicture(str(unknown)) from unknown
        look = self._latest.look()
        if look.shown is None:
            raise NoPicture(f"No frame yet: {look.problem or 'the source has given none so far'}")
        return look, polygons

    def _make(self, look: Look, polygons: tuple[Polygon, ...], boxes: bool) -> Picture:
        assert look.shown is not None  # else _now raised
        at = self._clock()
        image = masked(look.shown.frame.image, polygons)
        if boxes:
            image = drawing.annotated(image, look.shown.found, self._classes)
        if look.state == "stale":
            since = datetime.now(UTC) - timedelta(seconds=look.age or 0)
            image = drawing.with_notice(image, f"No new frame since {since:%H:%M:%S} UTC")
        return Picture(drawing.jpeg(image), look.shown, at, look.state == "stale", polygons)
