"""The random sample: its chances, and that figures made from it with them are those of all frames."""

from __future__ import annotations

import random
import statistics
from collections.abc import Iterator

import pytest

from agent.capture.sampling import HOUR, Draw, Sampler
from agent.capture.settings import Sample

WISHES = Sample(per_hour=6, empty_per_hour=2)


def test_the_chance_is_that_of_the_hour_before() -> None:
    sampler = Sampler(10.0, lambda: 0.0)
    first = sampler.offer(WISHES, False, 100.0)
    assert first == Draw(6 / 36000, "found")
    for _ in range(299):
        sampler.offer(WISHES, False, 100.0)
    for _ in range(100):
        assert sampler.offer(WISHES, True, 100.0 + HOUR - 1) == Draw(2 / 36000, "empty")
    assert sampler.offer(WISHES, False, 100.0 + HOUR) == Draw(6 / 300, "found")
    assert sampler.offer(WISHES, True, 100.0 + HOUR) == Draw(2 / 100, "empty")


def test_a_stratum_that_outgrows_the_hour_before_is_drawn_ever_less() -> None:
    sampler = Sampler(10.0, lambda: 0.0)
    sampler.offer(WISHES, False, 0.0)
    draws = [sampler.offer(WISHES, True, HOUR) for _ in range(1000)]
    chances = [draw.probability for draw in draws if draw]
    assert chances == [min(1.0, 2 / number) for number in range(1, 1001)]
    assert sum(chances) < 16  # a camera that is covered: not a thousand captures


@pytest.mark.parametrize("hours", [1, 2, 30])
def test_hours_without_frames_leave_the_last_ones_counts(hours: int) -> None:
    sampler = Sampler(10.0, lambda: 0.0)
    for _ in range(50):
        sampler.offer(WISHES, False, 0.0)
    assert sampler.offer(WISHES, False, hours * HOUR + 1) == Draw(6 / 50, "found")
    assert sampler.offer(WISHES, False, (hours + 1) * HOUR - 1) == Draw(6 / 50, "found")


def test_a_chance_is_at_most_one_and_nothing_wished_is_never_drawn() -> None:
    sampler = Sampler(0.0001, lambda: 0.0)
    assert sampler.offer(WISHES, False, 0.0) == Draw(1.0, "found")
    assert sampler.offer(Sample(0, 0), False, 0.0) is None


def day(seed: int) -> Iterator[tuple[float, int]]:
    """(time, objects on the frame) of a day, one each 2 s: traffic comes in bursts, and by night there is little."""
    traffic = random.Random(seed)
    busy = False
    for second in range(0, 24 * 3600, 2):
        if traffic.random() < 0.02:
            busy = not busy
        light = 6 <= second / 3600 < 20
        yield float(second), traffic.choice((1, 2, 3, 5)) if busy and light else int(traffic.random() < 0.02)


def test_figures_of_the_sample_are_those_of_all_frames() -> None:
    """Weighted by 1 / probability: frames, empty frames and objects of the day, without bias, from some 220 images."""
    frames = list(day(1))
    truth = [len(frames), sum(not objects for _, objects in frames), sum(objects for _, objects in frames)]
    wishes = Sample(per_hour=6, empty_per_hour=3)
    estimates: list[list[float]] = []
    images, plain = [], []
    for seed in range(30):
        sampler = Sampler(0.5, random.Random(seed).random)
        offers = [(sampler.offer(wishes, not objects, now), objects) for now, objects in frames]
        drawn = [(1 / draw.probability, objects) for draw, objects in offers if draw]
        images.append(len(drawn))
        plain.append(sum(not objects for _, objects in drawn) / len(drawn))
        estimates.append(
            [
                sum(weight for weight, _ in drawn),
                sum(weight for weight, objects in drawn if not objects),
                sum(weight * objects for weight, objects in drawn),
            ]
        )
    assert 150 < statistics.mean(images) < 300
    for figure, true in zip(zip(*estimates, strict=True), truth, strict=True):
        error = statistics.stdev(figure) / len(figure) ** 0.5
        assert abs(statistics.mean(figure) - true) < 3 * error
        assert error < 0.05 * true  # so that the line above can find a bias
    # Counting each image once is far off, which is what the weights are for.
    assert abs(statistics.mean(plain) - truth[1] / truth[0]) > 0.1


def test_the_draw_does_not_depend_on_the_frame() -> None:
    """Of frames of one stratum, those with many objects are drawn as often as those with one."""
    random_draw = random.Random(7).random
    sampler = Sampler(1.0, random_draw)
    content = random.Random(8)
    seen, drawn = {1: 0, 5: 0}, {1: 0, 5: 0}
    for second in range(200_000):
        objects = content.choice((1, 5))
        seen[objects] += 1
        if sampler.offer(Sample(360, 0), False, float(second)):
            drawn[objects] += 1
    rates = {objects: drawn[objects] / seen[objects] for objects in seen}
    assert rates[1] == pytest.approx(0.1, rel=0.06)
    assert rates[5] == pytest.approx(rates[1], rel=0.06)
