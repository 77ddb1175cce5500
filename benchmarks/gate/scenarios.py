"""What can happen during a gate. Each scenario makes the new version worse by some margins, in its own way."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from gate.simulator import BASE, STEPS, TRUTH, Change, Draft, World, autoregressive, small
from modelfleet.measurement.endpoints import RATE_MARGIN

MARGIN = 0.03


@dataclass(frozen=True)
class Scenario:
    """`applies`: the permutation method can be used here; else Auto takes Threshold, which promises no error rate.

    `why`: the reason where targets are missed.
    """

    name: str
    change: Change
    world: World = field(default_factory=World)
    applies: bool = True
    why: str = ""

    @property
    def about(self) -> str:
        """What happens, in words."""
        change = self.change.func if isinstance(self.change, partial) else self.change
        return change.__doc__ or ""


def mean_shift(draft: Draft, margins: float) -> None:
    """All detections a little less certain, and so a little less often true."""
    draft.precision[draft.canary, STEPS:] -= margins * MARGIN


def variance_only(draft: Draft, margins: float) -> None:
    """The new version is more often very sure and more often unsure, with the same share of true detections."""
    draft.spread = 0.08
    mean_shift(draft, margins)


def erratic(draft: Draft, margins: float) -> None:
    """The new version reacts to its surroundings twice as much, so that canary nodes change by more than the others."""
    nodes, world = int(draft.canary.sum()), draft.world
    draft.precision[draft.canary, STEPS:] += autoregressive(
        draft.random, (nodes, STEPS), 3**0.5 * world.drift, world.memory
    )
    mean_shift(draft, margins)


def one_class(draft: Draft, margins: float) -> None:
    """All of the harm is in one class that makes 30% of the detections."""
    draft.minority = 0.3
    mean_shift(draft, margins)


def class_mix(draft: Draft, margins: float) -> None:
    """Another product on the line at the start: harder objects on all nodes, on some more than on others."""
    share = draft.random.uniform(0.1, 0.5, (draft.world.nodes, 1))
    draft.precision[:, STEPS:] -= 0.08 * share
    draft.rate[:, STEPS:] += np.log(1 + 0.3 * share)
    mean_shift(draft, margins)


def missed(draft: Draft, margins: float) -> None:
    """The uncertain objects are no longer found: fewer true detections, and a higher mean confidence."""
    true = BASE * TRUTH
    missing = (1 - np.exp(-margins * RATE_MARGIN)) * true.sum()
    draft.kept = 1 - np.clip((missing - np.concatenate([[0], true.cumsum()[:-1]])) / true, 0, 1)


def overconfident(draft: Draft, margins: float) -> None:
    """Confidence rises by .04 on the raw scale while fewer are true; the new version's calibration knows."""
    draft.precision[draft.canary, STEPS:] += 0.04
    draft.candidate_weights = TRUTH - 0.04 - margins * MARGIN


def broken_camera(where: str, draft: Draft, margins: float) -> None:
    """One camera loses focus an hour after the start: a tenth of the detections, all of them uncertain."""
    last = draft.world.nodes - 1
    node = {"canary": 0, "control": last, "any": int(draft.random.integers(0, last + 1))}[where]
    draft.rate[node, STEPS + 12 :] += np.log(0.1)
    draft.precision[node, STEPS + 12 :] -= 0.2
    mean_shift(draft, margins)


def regional_weather(draft: Draft, margins: float) -> None:
    """Two sites with weather of their own, and three of the four canaries on one of them; the site is the stratum."""
    world = draft.world
    site = (np.arange(world.nodes) % 2 == 0) | (np.arange(world.nodes) == 1)
    weather = autoregressive(draft.random, (2, 2 * STEPS), 0.05, world.memory)
    draft.precision += weather[site.astype(int)]
    draft.strata = tuple(np.where(site, "north", "south"))
    mean_shift(draft, margins)


def day_and_night(draft: Draft, margins: float) -> None:
    """The start is at dusk; some nodes have lamps."""
    hours = (np.arange(2 * STEPS) - STEPS) / 12
    dark = 1 / (1 + np.exp(-2 * hours))
    draft.precision -= dark * draft.random.normal(0.04, 0.015, (draft.world.nodes, 1))
    draft.rate -= dark * draft.random.normal(0.2, 0.08, (draft.world.nodes, 1))
    mean_shift(draft, margins)


def restarts(draft: Draft, margins: float) -> None:
    """Half of the nodes restart at some time, and lose ten minutes."""
    for node in range(0, draft.world.nodes, 2):
        window = int(draft.random.integers(0, 2 * STEPS - 2))
        draft.lost.append(_at(draft, [node], window, window + 2))
    mean_shift(draft, margins)


def scrape_gap(draft: Draft, margins: float) -> None:
    """No figures of half of the nodes for 40 minutes after the start, and of all for 20 minutes more."""
    draft.lost.append(_at(draft, range(0, draft.world.nodes, 2), STEPS + 2, STEPS + 10))
    draft.lost.append(_at(draft, range(draft.world.nodes), STEPS + 14, STEPS + 18))
    mean_shift(draft, margins)


def zero_traffic(draft: Draft, margins: float) -> None:
    """A quarter of the nodes see nothing at all, before and after; the others nothing for an hour."""
    draft.rate[3::4] = -30
    draft.rate[:, STEPS + 6 : STEPS + 18] = -30
    mean_shift(draft, margins)


def not_a_number(draft: Draft, margins: float) -> None:
    """One canary and one control node count NaN and infinity from a quarter of an hour after the start."""
    draft.broken += [(0, np.nan), (draft.world.nodes - 1, np.inf)]
    mean_shift(draft, margins)


def _at(draft: Draft, nodes: object, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
    lost = np.zeros(draft.world.nodes, bool)
    lost[list(nodes)] = True  # type: ignore[call-overload]
    windows = np.zeros(2 * STEPS, bool)
    windows[start:stop] = True
    return lost, windows


_BROKEN = (
    "The break hits a canary every time here, which a reassignment can't know: of four canary nodes one really got "
    "worse. Where any node may break (the row above), the rate is kept."
)
_ERRATIC = (
    "The test asks whether any other choice of canaries could have shown the same; a version that makes its nodes vary "
    "twice as much shows what no other choice could. Studentising repairs that for many canaries, and four are few."
)
_MISSED = (
    "How much is missed differs from node to node, so that the canary nodes vary more than the others (their changes "
    "have 1.7 times the variance): the same as for an erratic version, in a smaller measure."
)
_THRESHOLD = "Too few ways to choose the canaries for a test: Threshold compares estimates and promises no error rate."

SCENARIOS = (
    Scenario("mean shift", mean_shift),
    Scenario("variance only", variance_only),
    Scenario("erratic version", erratic, why=_ERRATIC),
    Scenario("one class only", one_class),
    Scenario("class mix", class_mix),
    Scenario("missed objects", missed, why=_MISSED),
    Scenario("over-confident and worse", overconfident),
    Scenario("broken camera, any", partial(broken_camera, "any")),
    Scenario("broken camera, canary", partial(broken_camera, "canary"), why=_BROKEN),
    Scenario("broken camera, control", partial(broken_camera, "control")),
    Scenario("regional weather", regional_weather),
    Scenario("day and night", day_and_night),
    Scenario("restarts", restarts),
    Scenario("scrape gap", scrape_gap),
    Scenario("zero traffic", zero_traffic),
    Scenario("NaN", not_a_number),
    Scenario("3 canaries of 20", mean_shift, small(World(controls=16), 3)),
    Scenario("2 canaries of 20", mean_shift, small(World(controls=16), 2), applies=False, why=_THRESHOLD),
    Scenario("1 canary of 20", mean_shift, small(World(controls=16), 1), applies=False, why=_THRESHOLD),
)

BY_NAME: Mapping[str, Scenario] = {scenario.name: scenario for scenario in SCENARIOS}
