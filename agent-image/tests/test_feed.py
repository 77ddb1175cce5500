"""The feed: pace, backlog, drops, broken frames and sources that come back."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from agent_processes import PATIENCE, wait_until

from agent.serve import feed
from agent.serve.feed import Feed, Pace
from agent.serve.frames import BrokenFrame, Frame, Source, SourceLost
from agent.serve.health import Health
from harness.timing import within


class Script:
    """A source that plays what it is told: a number is a frame, "broken" a broken one, "lost" the source's loss."""

    name = "script"

    def __init__(self, plays: Iterator[object], live: bool = False, period: float = 0.0) -> None:
        self.live = live
        self._plays = plays
        self._period = period
        self._now: object = None
        self.opened = 0
        self.closed = 0

    def open(self) -> None:
        self.opened += 1
        if self._now == "away":
            self._now = next(self._plays, "away")
            raise SourceLost("away")

    def advance(self) -> None:
        time.sleep(self._period)
        self._now = next(self._plays, "away")
        if self._now in ("lost", "away"):
            raise SourceLost("it is over")

    def decode(self) -> Frame:
        if self._now == "broken":
            raise BrokenFrame("broken")
        return Frame(np.zeros((1, 1, 3), np.uint8), str(self._now))

    def close(self) -> None:
        self.closed += 1


class Run:
    """A feed over a source, and what it reported."""

    def __init__(
        self, source: Source, rate: float, backlog: int = 1000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.dropped = 0
        self.broken = 0
        self.lost: list[str] = []
        self.health = Health(60)
        self.feed = Feed(
            source,
            rate,
            backlog,
            self.health,
            on_dropped=self._drop,
            on_broken=self._break,
            on_lost=self.lost.append,
            clock=clock,
        )
        self.feed.start()

    def _drop(self) -> None:
        self.dropped += 1

    def _break(self) -> None:
        self.broken += 1

    def origins(self, count: int) -> list[str]:
        frames = [self.feed.take(timeout=PATIENCE) for _ in range(count)]
        return [frame.origin if frame else "none" for frame in frames]


@pytest.fixture
def run() -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def start(source: Source, rate: float, backlog: int = 1000, clock: Callable[[], float] = time.monotonic) -> Run:
        runs.append(Run(source, rate, backlog, clock))
        return runs[-1]

    yield start
    for one in runs:
        one.feed.stop(timeout=PATIENCE)
        assert not one.feed.alive


def test_pace_does_not_drift() -> None:
    """Frames taken a little late each time are still due at their own times: a thousand after exactly 100 s."""
    pace, now = Pace(10, start=5.0), 5.0
    for _ in range(1000):
        now += pace.wait(now)
        assert pace.take(now + 0.03) == 0
        now += 0.03
    assert now + pace.wait(now) == pytest.approx(105.0)


def test_pace_leaves_out_what_it_missed() -> None:
    pace = Pace(10, start=0.0)
    assert pace.take(0.0) == 0
    assert pace.wait(0.0) == pytest.approx(0.1)
    assert pace.take(0.55) == 4  # frames 1 to 4, due at .1 to .4, are lost; this is the one of .5
    assert pace.wait(0.55) == pytest.approx(0.05)
    assert pace.take(0.6) == 0
    assert (
        pace.take(1.0, busy_until=0.85) == 2
    )  # those of .7 and .8; when that of .9 was due, the camera was waited for
    assert pace.wait(1.0) == pytest.approx(0.1)


@pytest.mark.parametrize("rate", [0.1, 1, 3, 7, 10, 29.97, 30, 60])
def test_pace_misses_nothing_when_on_the_dot(rate: float) -> None:
    pace, start = Pace(rate, start=12345.678), 12345.678
    for k in range(2000):
        now = start + k / rate
        assert pace.wait(now) < 1e-6
        assert pace.take(now) == 0


def test_frames_come_in_order_at_the_rate(run: Callable[..., Run]) -> None:
    began = time.monotonic()
    with within(5):
        one = run(Script(itertools.count()), rate=50)
        assert one.origins(20) == [str(k) for k in range(20)]
    assert time.monotonic() - began > 0.35  # 19 periods of .02 s


def test_the_oldest_gives_way_and_is_counted() -> None:
    """Without the thread, so that a busy machine adds no drops of its own."""
    dropped: list[int] = []
    one = Feed(Script(iter(())), 1, 2, Health(60), on_dropped=lambda: dropped.append(1), on_broken=lambda: None)
    for k in range(10):
        one._offer(Frame(np.zeros((1, 1, 3), np.uint8), str(k)))
    assert len(dropped) == 8
    left = [one.take(timeout=0) for _ in range(3)]
    assert [frame and frame.origin for frame in left] == ["8", "9", None]


def test_every_frame_is_taken_or_dropped(run: Callable[..., Run]) -> None:
    one = run(Script(iter(range(100))), rate=500, backlog=2)
    taken = []
    while (frame := one.feed.take(timeout=0.5)) is not None:
        taken.append(int(frame.origin))
        time.sleep(0.005)
    assert taken == sorted(taken)
    assert len(taken) + one.dropped >= 100  # more when the machine was too slow for the pace itself
    assert taken[-1] == 99


def test_of_a_live_source_only_what_is_due_is_taken(run: Callable[..., Run]) -> None:
    one = run(Script(itertools.count(), live=True, period=0.002), rate=20)
    origins = [int(origin) for origin in one.origins(6)]
    steps = [after - before for before, after in itertools.pairwise(origins)]
    assert sum(steps) / len(steps) > 3  # 25 come in a period, fewer on a busy machine


class Timed(Script):
    """A camera by a clock of its own: each frame comes `period` seconds after the one before, and none is there sooner;
    to decode one takes `busy` seconds. It gives `count` frames."""

    def __init__(self, period: float, busy: float, count: int) -> None:
        super().__init__(iter(range(count)), live=True)
        self._every, self._busy = period, busy
        self._given = 0
        self.now = 100.0

    def advance(self) -> None:
        super().advance()
        self._given += 1
        self.now = max(self.now, 100.0 + self._given * self._every)

    def decode(self) -> Frame:
        self.now += self._busy
        return super().decode()


@pytest.mark.parametrize(
    ("period", "busy", "dropped"),
    [
        (0.2, 0.01, 0),  # half as fast as it is asked for: nothing was there that could be dropped
        (0.101, 0.01, 0),
        (10.0, 0.01, 0),  # silent for long, again and again
        (0.1, 0.01, 0),
        (0.05, 0.25, 29),  # twice as fast, and too much for the node: 2.5 frames are due while it decodes one
    ],
)
def test_frames_that_a_camera_never_gave_are_not_dropped_ones(
    run: Callable[..., Run], period: float, busy: float, dropped: int
) -> None:
    source = Timed(period, busy, count=20)
    one = run(source, rate=10, clock=lambda: source.now)
    wait_until(lambda: bool(one.lost), "the camera is gone")
    assert one.dropped == dropped


def test_broken_frames_are_counted_and_passed_over(run: Callable[..., Run]) -> None:
    one = run(Script(iter([0, "broken", 2, "broken", "broken", 5])), rate=200)
    assert one.origins(3) == ["0", "2", "5"]
    assert one.broken == 3


def test_a_lost_source_is_opened_again(run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "FIRST_RETRY", 0.02)
    source = Script(iter([0, 1, "lost", 2, "away", "away", "away", 3]))
    one = run(source, rate=200)
    assert one.origins(3) == ["0", "1", "2"]
    wait_until(lambda: source.opened >= 4, "it tries again")
    assert source.closed >= source.opened - 1
    assert one.lost[:2] == ["it is over", "it is over"]
    assert one.lost[2:4] == ["away", "away"]


def test_retries_slow_down(run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "FIRST_RETRY", 0.01)
    monkeypatch.setattr(feed, "LAST_RETRY", 0.04)
    source = Script(iter(()))
    began = time.monotonic()
    run(source, rate=200)
    wait_until(lambda: source.opened >= 15, "it tries")
    assert source.opened <= 3 + (time.monotonic() - began) / 0.04  # at 0, .01, .03, .07, .11 ...


def test_waiting_for_a_source_is_a_sign_of_life(run: Callable[..., Run]) -> None:
    one = run(Script(iter(())), rate=200)
    one.health._stuck_after = 1.5
    time.sleep(2)
    assert one.health.dead() is None


def test_a_slow_rate_is_a_sign_of_life(run: Callable[..., Run]) -> None:
    one = run(Script(itertools.count()), rate=0.01)
    one.health._stuck_after = 1.5
    time.sleep(2)
    assert one.health.dead() is None


def test_a_source_that_hangs_is_none(run: Callable[..., Run]) -> None:
    gate = threading.Event()

    class Hanging(Script):
        def advance(self) -> None:
            gate.wait(PATIENCE)

    one = run(Hanging(iter(())), rate=200)
    one.health._stuck_after = 0.1
    wait_until(lambda: one.health.dead() is not None, "liveness fails")
    assert "frame reader" in str(one.health.dead())
    gate.set()


def test_stopping_ends_a_long_wait(run: Callable[..., Run]) -> None:
    one = run(Script(itertools.count()), rate=0.001)
    one.origins(1)
    with within(2):
        one.feed.stop(timeout=PATIENCE)
    assert not one.feed.alive


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_error_that_should_not_be_ends_the_feed_for_all_to_see(run: Callable[..., Run]) -> None:
    class Wrong(Script):
        def advance(self) -> None:
            raise ZeroDivisionError

    one = run(Wrong(iter(())), rate=200)
    wait_until(lambda: not one.feed.alive, "the thread ends")
