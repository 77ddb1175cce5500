"""The operator is killed after its n-th write, on a real API server, and ends as though nothing had happened.

Every fifth n; MODELFLEET_CHAOS: every one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import Cluster
from harness.prometheus import Prometheus
from worlds.api_faults import Scissors
from worlds.chaos_stories import STORIES
from worlds.torture import Torture, torture


@pytest.fixture
def scissors() -> Scissors:
    return Scissors()


@pytest.fixture
def tortured(
    crds: Cluster, namespace: str, prometheus: Prometheus, tmp_path: Path, scissors: Scissors
) -> Iterator[Torture]:
    if not hasattr(crds, "control_plane"):
        pytest.skip("only the test cluster's own API server has an audit log that we can read")
    # a request that waits behind the scissors is never given up
    with torture(crds, namespace, scissors, tmp_path, prometheus.url, {"api": {"requestTimeout": "10m"}}) as running:
        yield running


@pytest.mark.parametrize("name", STORIES)
def test_killed_after_its_nth_write_it_ends_the_same(tortured: Torture, scissors: Scissors, name: str) -> None:
    story = STORIES[name]
    (calm,) = tortured.calm(story)
    moments = range(1, calm.writes + 1, 1 if "MODELFLEET_CHAOS" in os.environ else 5)
    told = [story] * len(moments)
    spaces = tortured.begin(*told)
    start = tortured.audit.stat().st_size
    cut = tortured.killed_after(scissors, story, dict(zip(spaces, moments, strict=True)))
    tortured.must_end_as([calm] * len(spaces), told, spaces, start)
    print(f"{name}: {calm.writes} writes undisturbed, killed after {len(cut)} of {len(moments)}, {dict(calm.made)}")
    assert len(cut) >= len(moments) - 3, "hardly any of the writes was the last one"
