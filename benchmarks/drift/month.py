"""A fleet's month on a real Prometheus: what the operator finds by its own queries, beside what it finds in the counts.

The counts of a simulated fleet are written down as a scrape every four minutes would have seen them, and given to
Debian's Prometheus; then the operator's own code looks at each hour of the month.
"""

import asyncio
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from drift.checks import LATE, course, plan_of
from drift.scenarios import Scenario
from drift.simulator import START, Recording, simulate
from modelfleet.drift import Before, Judgement, judge, observe
from modelfleet.measurement.endpoints import EDGES
from modelfleet.prometheus import Client
from worlds.recording import programs, serve

SCRAPE = timedelta(minutes=4)


def month(scenario: Scenario, seed: int) -> dict[str, object]:
    """Looks, how many of them found another state than in the counts, when drift was declared by either (hours since
    its onset, None: never), and the seconds that all looks took together."""
    recording = simulate(scenario.world, scenario.change, scenario.onset, seed)
    counted = [judgement.state for judgement in course(recording, scenario.policy, forgetful=False)]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "recording.txt"
        path.write_text("".join(_lines(recording)))
        with serve(programs()["debian"], path, Path(folder)) as prometheus:
            start = time.monotonic()
            asked = asyncio.run(_looks(recording, scenario, prometheus.url))
            seconds = time.monotonic() - start
    states = [judgement.state for judgement in asked]
    return {
        "nodes": scenario.world.nodes,
        "looks": len(states),
        "differ": sum(one != other for one, other in zip(states, counted, strict=True)),
        "declared": _declared(states, scenario),
        "declared_by_counts": _declared(counted, scenario),
        "seconds": seconds,
    }


def _declared(states: list[str], scenario: Scenario) -> int | None:
    return next((hour - scenario.onset for hour, state in enumerate(states, 1) if state == "Drifting"), None)


async def _looks(recording: Recording, scenario: Scenario, url: str) -> list[Judgement]:
    plan, hours, anchor, before = plan_of(recording.world, scenario.policy), None, None, Before()
    found = []
    async with Client(url) as client:
        for hour in range(1, recording.frames.shape[1] + 1):
            now = START + timedelta(hours=hour) + LATE
            hours = await observe.extend(client, plan, hours, now)
            judgement = judge(plan, hours, anchor, before, now)
            anchor, before = judgement.anchor, Before(judgement.declared, judgement.state, judgement.since)
            found.append(judgement)
    return found


def _lines(recording: Recording) -> Iterator[str]:
    """The counters as OpenMetrics text: within an hour they grow evenly."""
    scrapes = timedelta(hours=1) // SCRAPE
    families = (
        ("modelfleet_frames", "counter", {"modelfleet_frames_total": recording.frames}),
        ("modelfleet_empty_frames", "counter", {"modelfleet_empty_frames_total": recording.empty}),
    )
    for family, kind, series in families:
        yield f"# TYPE {family} {kind}\n"
        for name, counts in series.items():
            yield from _counter(recording, name, "", counts, scrapes)
    yield "# TYPE modelfleet_detection_confidence histogram\n"
    below = np.concatenate(
        [np.zeros((*recording.frames.shape, 1)), np.cumsum(recording.detections, axis=2)], axis=2
    )  # none at the lowest edge
    for number, edge in enumerate((*(f"{edge:g}" for edge in EDGES), "+Inf")):
        counts = below[:, :, min(number, len(EDGES) - 1)]
        yield from _counter(recording, "modelfleet_detection_confidence_bucket", f',le="{edge}"', counts, scrapes)
    yield "# EOF\n"


def _counter(
    recording: Recording, name: str, label: str, counts: np.ndarray[tuple[int, int], np.dtype[np.float64]], scrapes: int
) -> Iterator[str]:
    for node, row in zip(recording.world.names, counts, strict=True):
        of = f'{name}{{namespace="demo",rollout="line",group="fleet",version="v1",node="{node}"{label}}}'
        grown = np.concatenate([[0.0], np.cumsum(np.repeat(row / scrapes, scrapes))])
        for number, value in enumerate(grown):
            yield f"{of} {value:.3f} {(START + number * SCRAPE).timestamp():.0f}\n"
