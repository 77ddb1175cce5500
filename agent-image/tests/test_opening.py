"""When an agent with a loaded model is ready: with the first frame, or without one where none comes."""

import pytest

from agent.serve.health import Health
from agent.serve.opening import PATIENCE, Opening


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def health():
    return Health(stuck_after=30)


@pytest.fixture
def opening(health, clock):
    begun = Opening(health, clock)
    begun.begin()
    return begun


def test_ready_with_the_first_frame_and_not_before(opening, health, clock):
    assert health.unready() == "waiting for the first frame"
    clock.now += PATIENCE - 0.1
    opening.nothing()
    assert health.unready() == "waiting for the first frame"
    opening.frame()
    assert health.unready() is None


def test_a_source_that_is_lost_is_not_waited_for(opening, health):
    opening.lost()
    assert health.unready(), "that is for the thread of the inference loop, which also says when the agent stops"
    opening.nothing()
    assert health.unready() is None


def test_a_source_that_says_nothing_is_waited_for_so_long(opening, health, clock):
    clock.now += PATIENCE
    opening.nothing()
    assert health.unready() is None


def test_once_ready_it_changes_nothing_any_more(opening, health):
    opening.frame()
    health.waiting("the agent is stopping")
    opening.frame()
    opening.lost()
    opening.nothing()
    assert health.unready() == "the agent is stopping"
