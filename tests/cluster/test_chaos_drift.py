"""An episode of drift, from its detection to the version that was trained for it: one training, whatever happens.

The operator is killed after its n-th write. In every third namespace nothing else happens then; in every third the
Rollout's status is wiped as well; and in every third it is, and the training is deleted.

Every sixth n; MODELFLEET_CHAOS: every one, and each with each of the three.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harness import Cluster
from worlds import chaos_drift
from worlds.api_faults import Scissors
from worlds.chaos_stories import Seen, made_and_removed
from worlds.torture import Torture, torture

SHIFTS, STEP = (range(3), 1) if "MODELFLEET_CHAOS" in os.environ else (range(1), 6)
MOST = 1 + 66 // STEP
"""Namespaces of which figures are recorded: there are fewer writes than 66 in an episode."""

KILLED, WIPED, DELETED = range(3)


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def scissors() -> Scissors:
    return Scissors()


@pytest.fixture
def tortured(crds: Cluster, namespace: str, now: datetime, tmp_path: Path, scissors: Scissors) -> Iterator[Torture]:
    if not hasattr(crds, "control_plane"):
        pytest.skip("only the test cluster's own API server has an audit log that we can read")
    patience = {"api": {"requestTimeout": "10m"}}  # a request that waits behind the scissors is never given up
    names = [f"chaos-{namespace}-{number}" for number in range(MOST)]
    with (
        chaos_drift.recorded(names, now, tmp_path) as prometheus,
        torture(crds, namespace, scissors, tmp_path, prometheus.url, patience) as running,
    ):
        yield running


@pytest.mark.parametrize("shift", SHIFTS)
def test_killed_after_any_write_of_an_episode_there_is_one_training(
    tortured: Torture, scissors: Scissors, now: datetime, shift: int
) -> None:
    story = chaos_drift.story(now)
    (calm,) = tortured.calm(story)
    assert calm.made["trainingjobs created"] == 1
    moments = range(1, calm.writes + 1, STEP)
    assert len(moments) < MOST, "figures must be recorded for more namespaces"
    spaces = tortured.begin(*[story] * len(moments))
    fates = {space: (number + shift) % 3 for number, space in enumerate(spaces)}
    start = tortured.audit.stat().st_size
    gone: list[str] = []

    def meanwhile(seen: dict[str, Seen]) -> None:
        tortured.places.wipe_status(space for space, fate in fates.items() if fate != KILLED)
        for space, fate in fates.items():
            if fate == DELETED and chaos_drift.told(seen[space]):
                tortured.cluster.kubectl("delete", "trainingjob", "line-r1", f"--namespace={space}")
                gone.append(space)

    cut = tortured.killed_after(scissors, story, dict(zip(spaces, moments, strict=True)), meanwhile)
    left = [space for space in spaces if space not in gone]
    tortured.must_end_as([calm] * len(left), [story] * len(left), left, start)
    tortured.until_all(gone, lambda seen: chaos_drift.held(seen) or story.ended(seen), "the end without the training")
    tortured.until_quiet()
    made = made_and_removed(tortured.audit, start, spaces)
    assert {space: made[space]["trainingjobs created"] for space in spaces} == dict.fromkeys(spaces, 1)
    wiped = sum(fate != KILLED for fate in fates.values())
    print(
        f"drift: {calm.writes} writes undisturbed, killed after {len(cut)}, {wiped} with the statuses wiped, "
        f"{len(gone)} with the training deleted, {dict(calm.made)}"
    )
    assert len(cut) >= 0.8 * len(moments), "hardly any of the writes was the last one"
    assert gone, "no training was there to be deleted"
