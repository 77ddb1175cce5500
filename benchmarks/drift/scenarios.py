"""What can happen to a fleet. Most of it begins at the end of the tenth day."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

import numpy as np

from drift.simulator import DAY, Change, Draft, World
from modelfleet.drift.judgement import State
from modelfleet.drift.policy import Policy

MIN_DROP = 0.05
ONSET = 10 * DAY
SIZES = (0.6, 1.0, 1.25, 1.5, 2.0)
"""Of sudden falls, in times of minDrop."""


@dataclass(frozen=True)
class Scenario:
    """`wanted`: the state that should be found; None: none.

    runs       share of the asked number of runs: fleets that are large have fewer
    begins     the hour in which another version becomes stable, and all starts again
    retention  hours that Prometheus keeps; None: all
    """

    name: str
    change: Change
    world: World = field(default_factory=World)
    policy: Policy = field(default_factory=Policy)
    wanted: State | None = None
    runs: float = 1.0
    begins: int = 0
    retention: int | None = None

    @property
    def onset(self) -> int:
        """The hour from which on the change is there."""
        return self.begins or ONSET

    @property
    def about(self) -> str:
        """What happens, in words."""
        change = self.change.func if isinstance(self.change, partial) else self.change
        return " ".join((change.__doc__ or "").split())


def nothing(draft: Draft) -> None:
    """Nothing but weather."""


def sudden(times: float, draft: Draft) -> None:
    """All detections less certain from one hour to the next, by so many times minDrop on the mean node."""
    draft.drift[:, draft.onset :] -= times * MIN_DROP


def gradual(days: int, draft: Draft) -> None:
    """Precision falls evenly by twice minDrop, in so many days, and stays there."""
    hours = np.arange(draft.world.hours) - draft.onset
    draft.drift -= 2 * MIN_DROP * np.clip(hours / (days * DAY), 0, 1)


def moved_camera(draft: Draft) -> None:
    """One camera is moved: it finds half of what it did, and that less certain by three times minDrop."""
    draft.drift[0, draft.onset :] -= 3 * MIN_DROP
    draft.rate[0, draft.onset :] += np.log(0.5)


def new_class(share: float, draft: Draft) -> None:
    """A new kind of object makes this share of the detections, which are of .13 less expected precision."""
    draft.drift[:, draft.onset :] -= 0.13
    draft.minority = np.full((1, draft.world.hours), share)


def traffic(times: float, draft: Draft) -> None:
    """So many times the traffic from one hour to the next, on nodes not quite alike."""
    draft.rate[:, draft.onset :] += np.log(times) + draft.random.normal(0, 0.1, (draft.world.nodes, 1))


def hard_missed(share: float, draft: Draft) -> None:
    """So much of what was found is missed, the objects that were found with the least confidence first."""
    draft.missed = share


def any_missed(share: float, draft: Draft) -> None:
    """So much of what was found is missed, whatever its confidence was."""
    draft.rate[:, draft.onset :] += np.log(1 - share)


def one_site(draft: Draft) -> None:
    """One and a half times minDrop at one of three sites; the site is the stratum."""
    draft.drift[draft.world.site == 0, draft.onset :] -= 1.5 * MIN_DROP


def gap(draft: Draft) -> None:
    """Nothing is known of any node for 30 hours."""
    draft.lost[:, draft.onset : draft.onset + 30] = True


def promotion(draft: Draft) -> None:
    """Another version is promoted after 12 days: its confidences lie elsewhere, by .06 and not alike on all nodes."""
    draft.drift[:, draft.onset :] += 0.06 * draft.random.choice([-1, 1]) + draft.random.normal(
        0, 0.02, (draft.world.nodes, 1)
    )


_SHORT = Policy(baseline=timedelta(days=3))
_SPARSE = World(per_frame=5 / World().frames)

SCENARIOS = (
    Scenario("A/A", nothing),
    Scenario("weather x2", nothing, World(weather=0.033)),
    *(Scenario(f"sudden, {times:g} x minDrop", partial(sudden, times), wanted=State.DRIFTING) for times in SIZES),
    Scenario("gradual, 20 days", partial(gradual, 20), wanted=State.DRIFTING),
    Scenario("gradual, 40 days", partial(gradual, 40), World(days=55), wanted=State.DRIFTING),
    Scenario("gradual, 20 days, 9 days kept", partial(gradual, 20), wanted=State.DRIFTING, retention=9 * DAY),
    Scenario("gradual, 20 days, 15 days kept", partial(gradual, 20), wanted=State.DRIFTING, retention=15 * DAY),
    Scenario("one camera of 3 moved", moved_camera, World(nodes=3, sites=1)),
    Scenario("one camera of 30 moved", moved_camera),
    Scenario("one site of three", one_site, policy=Policy(stratify_by="site"), wanted=State.DRIFTING),
    Scenario("new class, 15%", partial(new_class, 0.15)),
    Scenario("new class, 40%", partial(new_class, 0.4), wanted=State.DRIFTING),
    Scenario("traffic -50%", partial(traffic, 0.5), wanted=State.FEWER_OBJECTS),
    Scenario("traffic +100%", partial(traffic, 2.0)),
    Scenario("hard objects missed, 10%", partial(hard_missed, 0.1), wanted=State.MORE_CONFIDENT),
    Scenario("hard objects missed, 20%", partial(hard_missed, 0.2), wanted=State.MORE_CONFIDENT),
    Scenario("hard objects missed, 35%", partial(hard_missed, 0.35), wanted=State.MORE_CONFIDENT),
    Scenario("any objects missed, 20%", partial(any_missed, 0.2), wanted=State.FEWER_OBJECTS),
    Scenario("30 hours without figures", gap),
    Scenario("promotion on day 12", promotion, begins=12 * DAY),
    Scenario("A/A, baseline of 3 days", nothing, policy=_SHORT),
    Scenario("weather x2, baseline of 3 days", nothing, World(weather=0.033), policy=_SHORT),
    Scenario("A/A, 1 node", nothing, World(nodes=1, sites=1)),
    Scenario("A/A, 3 nodes", nothing, World(nodes=3, sites=1)),
    Scenario("A/A, 300 nodes", nothing, World(nodes=300), runs=0.25),
    Scenario("1.5 x minDrop, 1 node", partial(sudden, 1.5), World(nodes=1, sites=1), wanted=State.DRIFTING),
    Scenario("1.5 x minDrop, 3 nodes", partial(sudden, 1.5), World(nodes=3, sites=1), wanted=State.DRIFTING),
    Scenario("1.5 x minDrop, 300 nodes", partial(sudden, 1.5), World(nodes=300), wanted=State.DRIFTING, runs=0.25),
    Scenario("1.5 x minDrop, 5 detections an hour", partial(sudden, 1.5), _SPARSE, wanted=State.DRIFTING),
)

BY_NAME: Mapping[str, Scenario] = {scenario.name: scenario for scenario in SCENARIOS}

COMPARED = ("A/A", "weather x2", "sudden, 1.25 x minDrop", "gradual, 20 days", "traffic -50%")
"""Scenarios in which all judges are compared."""
