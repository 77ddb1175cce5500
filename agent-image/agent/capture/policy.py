"""Which frames to keep: the rules, their windows, and the random sample. Pure: time and a frame's looks are passed in.

Near-duplicates. A frame is skipped by a rule where it looks like the last one that this rule kept (dHash of 9 x 8, at
most NEAR bits differ) and shows the same objects in the same places. Looks alone would not do: a bolt is smaller than
what 64 bits can see, and a second bolt elsewhere would be taken for the first. The sample never skips anything.

Windows. A rule with `before` or `after` keeps the frames around the one that fired, WINDOW_RATE a second: neighbours
at full rate differ in little, and each must be encoded in case it is wanted. One window is open at a time; a rule that
fires within it begins a new one.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from agent.capture.sampling import HOUR, Draw, Sampler
from agent.capture.settings import SAMPLE, Rule, Settings
from agent.detection import Detection

NEAR = 4
"""Bits of a dHash (of 64) in which two frames may differ and still look the same."""
SAME_PLACE = 0.5
"""IoU from which two boxes of one class are one object that did not move."""
WINDOW_RATE = 2.0
"""Frames a second that are kept around one that fired."""
_STEP = 1 / WINDOW_RATE
LOOK_AGAIN = 1.0
"""Seconds after a skipped frame until its rule looks at one again: a look takes 0.2 ms of the inference loop."""


@dataclass(frozen=True)
class Window:
    """A frame's place in a sequence: `id` is the same for all frames of one."""

    id: str
    role: Literal["before", "trigger", "after"]


@dataclass(frozen=True)
class Choice:
    """What becomes of one frame.

    rules     the names that chose it, the sample first; empty: it is not kept
    draw      present if and only if the sample chose it
    window    its place in a sequence, if a rule has one
    before    seconds of frames before it that are kept with it, for the rule `before_of`
    hold      it must be encoded and held in memory, since a later frame may want what came before it
    duplicates  rules that would have chosen it, had they not kept its like
    """

    rules: tuple[str, ...] = ()
    draw: Draw | None = None
    window: Window | None = None
    before: float = 0.0
    before_of: str = ""
    hold: bool = False
    duplicates: tuple[str, ...] = ()

    @property
    def wanted(self) -> bool:
        """The frame must be encoded."""
        return bool(self.rules) or self.hold


@dataclass
class _Past:
    """What one rule kept lately."""

    times: deque[float] = field(default_factory=deque)  # of the last hour, and always the last one
    skipped: float = -math.inf  # when it last skipped the like of what it had kept
    looks: int = 0
    detections: Sequence[Detection] = ()


@dataclass(frozen=True)
class _Open:
    """A window whose `after` has not passed yet."""

    id: str
    rule: str
    until: float
    next: float  # when its next frame is due; the first one from then on is taken


class Policy:
    """Decides frame by frame. For one thread. `draw` gives numbers in [0, 1)."""

    def __init__(self, frame_rate: float, draw: Callable[[], float]) -> None:
        self._sampler = Sampler(frame_rate, draw)
        self._past: dict[str, _Past] = {}
        self._open: _Open | None = None
        self._next_held = 0.0

    def decide(
        self,
        settings: Settings,
        detections: Sequence[Detection],
        now: float,
        looks: Callable[[], int],
        name: str,
    ) -> Choice:
        """`detections` are all of the frame, `now` is in seconds and never goes back, `looks` gives the frame's dHash
        when it is needed, `name` becomes the id of a sequence that this frame begins.
        """
        draw = self._sampler.offer(settings.sample, not detections, now) if settings.sample else None
        fired, duplicates = self._fire(settings.rules, detections, now, looks)
        chosen = [SAMPLE] if draw else []
        chosen += [rule.name for rule in fired]
        window: Window | None = None
        before, before_of = 0.0, ""
        if windowed := [rule for rule in fired if rule.before or rule.after]:
            first = windowed[0].name
            window = Window(f"{first}-{name}", "trigger")
            before, before_of = max(rule.before for rule in windowed), first
            after = max(rule.after for rule in windowed)
            self._open = _Open(window.id, first, now + after, now + _STEP) if after else None
        elif (open_ := self._open) is not None:
            if open_.next > open_.until or now > open_.until + _STEP:
                self._open = None
            elif now >= open_.next:
                self._open = replace(open_, next=_after(open_.next, now))
                window = Window(open_.id, "after")
                if open_.rule not in chosen:
                    chosen.append(open_.rule)
        return Choice(
            tuple(chosen), draw, window, before, before_of, self._hold(settings.rules, now), tuple(duplicates)
        )

    def _fire(
        self, rules: Sequence[Rule], detections: Sequence[Detection], now: float, looks: Callable[[], int]
    ) -> tuple[list[Rule], list[str]]:
        """The rules that keep this frame, and the names of those that kept its like."""
        fired: list[Rule] = []
        duplicates: list[str] = []
        seen: int | None = None
        for rule in rules:
            past = self._past.setdefault(rule.name, _Past())
            if not _rested(rule, past, now) or not _triggered(rule, past, detections, now):
                continue
            seen = looks() if seen is None else seen
            if past.times and (seen ^ past.looks).bit_count() <= NEAR and same_objects(detections, past.detections):
                past.skipped = now
                duplicates.append(rule.name)
                continue
            past.times.append(now)
            past.looks, past.detections = seen, detections
            fired.append(rule)
        return fired, duplicates

    def _hold(self, rules: Sequence[Rule], now: float) -> bool:
        if now < self._next_held or not any(rule.before for rule in rules):
            return False
        self._next_held = _after(self._next_held, now)
        return True


def _after(due: float, now: float) -> float:
    """When the next frame of a window is due: on a grid, so that small delays don't add up, unless it fell behind."""
    return due + _STEP if due + _STEP > now else now + _STEP


def _rested(rule: Rule, past: _Past, now: float) -> bool:
    """Neither cooling down nor at its limit an hour, nor has it just skipped a frame."""
    if now - past.skipped < LOOK_AGAIN:
        return False
    if not past.times:
        return True
    while len(past.times) > 1 and past.times[0] <= now - HOUR:
        past.times.popleft()
    lately = len(past.times) if past.times[0] > now - HOUR else len(past.times) - 1
    return now - past.times[-1] >= rule.cooldown and lately < rule.per_hour


def _triggered(rule: Rule, past: _Past, detections: Sequence[Detection], now: float) -> bool:
    if rule.every is not None:
        return not past.times or now - past.times[-1] >= rule.every
    if rule.below is not None:
        return any(
            each.confidence < rule.below and (not rule.classes or each.label in rule.classes) for each in detections
        )
    if rule.more is not None:
        return len(detections) > rule.more
    return rule.empty and not detections


def same_objects(some: Sequence[Detection], others: Sequence[Detection]) -> bool:
    """As many objects, each with one of its class at its place."""
    if len(some) != len(others):
        return False
    left = list(others)
    for each in some:
        match = next(
            (other for other in left if other.label == each.label and _iou(each.box, other.box) >= SAME_PLACE), None
        )
        if match is None:
            return False
        left.remove(match)
    return True


def _iou(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)
