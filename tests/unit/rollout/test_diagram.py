"""Stories that follow the arrows of the state diagrams in docs/rollout.md, on the operator's real code.

test_documentation.py finds each arrow of the page among theirs. A Rollout can go more ways than are drawn: what follows
from the rest is left out, such as another version that is chosen in the middle, or a pause.
"""

from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise

import pytest

from modelfleet.gate import Verdict
from modelfleet.kinds import NODE, POD
from unit.rollout import builders
from unit.rollout.builders import START
from unit.rollout.simulation import World, fleet, installed, said
from unit.rollout.test_recovery import QUICK, cannot_start_v2, is_at, rolled_back, tries_again
from unit.rollout.test_replay_stories import fleet as fleet_that_replays

BEGINNING = "[*]"
"""Where a version is chosen: there was no status, or the fleet ran what was chosen before."""

Arrow = tuple[str, str]


def arrows(text: str) -> set[Arrow]:
    """`A B C` is the arrows from A to B and from B to C."""
    names = text.split()
    return set(pairwise(names))


class Story:
    """Plays on a world, and notes which phases follow each other in the status as it is written."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.followed: set[Arrow] = set()
        self._last = world.phase
        world.after_write = self._note

    def _note(self) -> None:
        now = self.world.phase
        if now is not None and now != self._last:
            self.followed.add((BEGINNING if self._last is None else self._last, now))
            if self._last == "Ready" and now != "Degraded":
                self.followed.add((BEGINNING, now))
            self._last = now

    def until(self, phase: str) -> None:
        self.world.run(lambda: self.world.phase == phase)


def install(story: Story) -> None:
    story.world.run(lambda: is_at("v1")(story.world))


def upgrade(story: Story) -> None:
    story.world.choose("v2")
    story.world.run(lambda: is_at("v2")(story.world))


def hold(story: Story) -> None:
    story.world.choose("v2")
    story.until("Soaking")
    story.world.judge = lambda plan, now: said(plan, now, Verdict.NO_DATA, "no figures")
    story.until("Holding")
    story.world.judge = lambda plan, now: said(plan, now, Verdict.INCONCLUSIVE, "figures again")
    story.until("Soaking")


def approve(story: Story) -> None:
    story.until("WaitingForApproval")
    story.world.annotate("approve", "v1")
    story.until("Progressing")


def wait_for_a_window(story: Story) -> None:
    story.world.now = START.replace(hour=21, minute=59)
    story.world.spec(windows=[{"cron": "0 22 * * *", "duration": "2m"}])
    story.world.choose("v2")
    story.until("Soaking")
    story.until("WaitingForWindow")
    story.world.now = (START + timedelta(days=1)).replace(hour=21, minute=59, second=55)
    story.until("Progressing")


def lose_nodes(story: Story) -> None:
    gone = [raw["metadata"]["name"] for raw in story.world.store.list(NODE)]
    for name in gone:
        story.world.reach(name, False)
    story.until("Degraded")
    for name in gone:
        story.world.reach(name, True)
    story.until("Ready")


def ask_for_what_is_not_there(story: Story) -> None:
    story.world.choose("v9")
    story.until("Stalled")
    story.world.put(builders.model_version("v9", created=story.world.now))
    story.until("Progressing")


def never_become_ready(story: Story) -> None:
    cannot_start_v2(story.world)
    story.world.run(lambda: rolled_back(story.world))
    story.world.broken.clear()
    tries_again(story.world)
    story.until("Progressing")


def fail(story: Story) -> None:
    story.world.choose("v2")
    story.until("Soaking")
    story.world.judge = lambda plan, now: said(plan, now, Verdict.FAIL, "worse")
    story.world.run(lambda: rolled_back(story.world))


def time_out(command: str) -> Callable[[Story], None]:
    def play(story: Story) -> None:
        story.world.choose("v2")
        story.until("Soaking")
        story.world.judge = lambda plan, now: said(plan, now, Verdict.INCONCLUSIVE, "unsure", timed_out=True)
        story.until("Paused")
        story.world.annotate(command, "v2")
        story.world.run(lambda: story.world.phase != "Paused")

    return play


def stay_broken(story: Story) -> None:
    cannot_start_v2(story.world)
    story.until("Failed")
    story.world.broken.clear()
    tries_again(story.world)
    story.until("Progressing")


def be_worse_at_first(story: Story) -> None:
    story.until("Soaking")
    story.world.judge = lambda plan, now: said(plan, now, Verdict.FAIL, "a check failed")
    story.until("Failed")


def start_late(story: Story) -> None:
    story.world.broken.add("v1")
    story.world.spec(progressDeadline="2m")
    story.until("Stalled")
    story.world.broken.clear()
    for pod in story.world.store.list(POD):
        story.world.delete(POD, pod["metadata"]["name"])
    story.until("Soaking")


LEFT = {"onFailure": False}
MANUAL = (builders.group("canary", approval="Manual"), builders.group("fleet"))
STORIES: dict[str, tuple[Callable[[], World], Callable[[Story], None], str]] = {
    "install": (fleet, install, "[*] Progressing Soaking Progressing Soaking Ready"),
    "replay": (fleet_that_replays, upgrade, "[*] Replaying Progressing Soaking"),
    "hold": (installed, hold, "Soaking Holding Soaking"),
    "approve": (lambda: fleet(groups=MANUAL, gate=QUICK), approve, "Soaking WaitingForApproval Progressing"),
    "window": (installed, wait_for_a_window, "Soaking WaitingForWindow Progressing"),
    "lose nodes": (installed, lose_nodes, "Ready Degraded Ready"),
    "no such version": (installed, ask_for_what_is_not_there, "[*] Stalled Progressing"),
    "not ready in time": (installed, never_become_ready, "Progressing RollingBack RolledBack Progressing"),
    "fail": (installed, fail, "Soaking RollingBack RolledBack"),
    "no verdict, aborted": (installed, time_out("abort"), "Soaking Paused RollingBack"),
    "no verdict, promoted": (installed, time_out("promote"), "Soaking Paused Progressing"),
    "not taken back": (lambda: installed(rollback=LEFT), stay_broken, "Progressing Failed Progressing"),
    "first version is worse": (fleet, be_worse_at_first, "Soaking Failed"),
    "first version is late": (fleet, start_late, "Progressing Stalled"),
}


@pytest.mark.parametrize("name", STORIES)
def test_a_story_follows_its_arrows(name):
    begin, play, way = STORIES[name]
    story = Story(begin())
    play(story)
    assert arrows(way) - story.followed == set()
