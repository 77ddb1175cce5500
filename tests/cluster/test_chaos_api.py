"""What a real API server and the way to it can do to the operator, and what somebody can write into a status.

MODELFLEET_CHAOS=n: so many seeds of each, others each time, and an API server that is away for minutes.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from harness import Cluster, definitions
from harness.paths import REPOSITORY
from harness.ports import free_port
from harness.prometheus import Prometheus
from worlds.api_faults import Guard, Storm
from worlds.chaos_stories import STORIES, Seen
from worlds.torture import Torture, torture

SEEDS = random.sample(range(10**6), int(os.environ["MODELFLEET_CHAOS"])) if "MODELFLEET_CHAOS" in os.environ else [14]
AWAY = 180 if "MODELFLEET_CHAOS" in os.environ else 10
"""Seconds for which the API server is away."""

NAMES = ["upgrade", "rollback", "training", "dataset", "retraining"]
TOLD = [STORIES[name] for name in NAMES]


# --- the way to the API server ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_in_a_storm_of_faults_it_ends_the_same(
    crds: Cluster, namespace: str, prometheus: Prometheus, tmp_path: Path, seed: int
) -> None:
    _needs_an_audit_log(crds)
    storm = Storm(seed)
    with torture(crds, namespace, storm, tmp_path, prometheus.url) as tortured:
        calm = tortured.calm(*TOLD)
        spaces = tortured.begin(*TOLD)
        start = tortured.audit.stat().st_size
        storm.blows = True
        tortured.go_on(TOLD, spaces)
        _until_ended_or(tortured, spaces, 45)
        storm.blows = False
        tortured.proxy.cut()  # what was dropped last is told now: the API server has forgotten what came between
        tortured.proxy.resume(expired=True)
        tortured.must_end_as(calm, TOLD, spaces, start)
        print(f"seed {seed}: {sum(storm.faults.values())} faults, {dict(storm.faults)}")
        assert sum(storm.faults.values()) > 30


def _until_ended_or(tortured: Torture, spaces: list[str], seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        seen = tortured.places.look()
        if all(story.ended(seen[space]) for story, space in zip(TOLD, spaces, strict=True)):
            return
        time.sleep(1)


# --- the API server itself --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def own() -> Iterator[Cluster]:
    """A cluster whose API server may be killed: the others need theirs.

    Its nodes count as reachable all the while: simulated ones would not make their pods Ready again, as a kubelet does.
    """
    with Cluster(node_grace=timedelta(minutes=30)) as cluster:
        definitions.install(cluster.kubectl, REPOSITORY / "crds")
        yield cluster


@pytest.mark.skipif("MODELFLEET_TEST_KUBECONFIG" in os.environ, reason="somebody else's API server is not killed")
def test_killed_forgetful_and_away_the_api_server_changes_no_end(own: Cluster, tmp_path: Path) -> None:
    metrics = Prometheus.beside(own, f"prometheus-{free_port()}").start()
    with torture(own, "away", Guard(), tmp_path, metrics.url, watched=False) as tortured:
        calm = tortured.calm(*TOLD)
        spaces = tortured.begin(*TOLD)
        start = tortured.audit.stat().st_size
        tortured.go_on(TOLD, spaces)
        tortured.until(lambda seen: [] if "v2" in dict(_swap(seen[spaces[0]])) else spaces[:1], "v2 on the canary")
        tortured.proxy.cut()
        own.kubectl("label", "nodes", "--all", "test.modelfleet.dev/while=cut")  # changes that no watch will bring
        revision = own.control_plane.compact()
        own.control_plane.kill_api_server()
        tortured.proxy.resume(expired=False)  # nobody answers there
        time.sleep(AWAY)
        own.control_plane.start_api_server()
        tortured.must_end_as(calm, TOLD, spaces, start)
        print(f"compacted at {revision}, API server away for {AWAY} s")
        assert "is cut" in tortured.operator.tail(5000)
    metrics.stop()


def _swap(seen: Seen) -> list[tuple[str, str]]:
    return [(version, node) for node, version in seen.running]


# --- the status -------------------------------------------------------------------------------------------------------

FORGERIES: dict[str, list[dict[str, object]]] = {
    "wiped": [{"op": "replace", "path": "/status", "value": {}}],
    "a Pass": [{"op": "add", "path": "/status/gate/verdict", "value": "Pass"}],
    "stable": [
        {"op": "add", "path": "/status/stableVersion", "value": "v9"},
        {"op": "add", "path": "/status/stableRevision", "value": "line-0000000000"},
    ],
    "through": [
        {"op": "add", "path": "/status/currentGroup", "value": "fleet"},
        {"op": "add", "path": "/status/phase", "value": "Ready"},
    ],
    "quarantined": [{"op": "add", "path": "/status/quarantined", "value": []}],
    "history": [{"op": "add", "path": "/status/history", "value": []}],
}


@pytest.mark.parametrize("seed", SEEDS)
def test_wiped_and_forged_statuses_change_no_end(
    crds: Cluster, namespace: str, prometheus: Prometheus, tmp_path: Path, seed: int
) -> None:
    _needs_an_audit_log(crds)
    dice, names = random.Random(seed), ["upgrade", "rollback"]
    told = [STORIES[name] for name in names]
    with torture(crds, namespace, Guard(), tmp_path, prometheus.url) as tortured:
        calm = tortured.calm(*told)
        told = [story for story in told for _ in range(2)]
        spaces = tortured.begin(*told)
        start = tortured.audit.stat().st_size
        tortured.go_on(told, spaces)
        forged: list[str] = []
        for _ in range(8):
            for space in spaces:
                what = dice.choice(list(FORGERIES))
                where = (f"--namespace={space}", "--subresource=status", "--type=json")
                patch = f"--patch={json.dumps(FORGERIES[what])}"
                said = crds.kubectl("patch", "rollout", "line", *where, patch, check=False)
                forged += [what] if "patched" in said else []
            time.sleep(1)
        tortured.must_end_as([each for each in calm for _ in range(2)], told, spaces, start)
        print(f"seed {seed}: {len(forged)} statuses forged or wiped, {sorted(forged)}")
        assert len(forged) > 10


def _needs_an_audit_log(cluster: Cluster) -> None:
    if not hasattr(cluster, "control_plane"):
        pytest.skip("only the test cluster's own API server has an audit log that we can read")
