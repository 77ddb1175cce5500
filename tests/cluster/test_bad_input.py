"""Bad input as a user meets it: each row of trainer-image/tests/bad_input.yaml in a TrainingJob's conditions.

That the real trainer ends with these codes and words is tested beside the table (trainer-image/tests). Here a pod ends
so, and everything after that is real. All rows run side by side.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from harness import Cluster, OperatorProcess
from harness.paths import REPOSITORY
from worlds.training import Space, failure, training_job

Json = dict[str, Any]

ROWS: dict[str, Json] = {
    f"parts-{re.sub(r'[^a-z0-9]+', '-', row['name'].lower())}": row
    for row in yaml.safe_load((REPOSITORY / "trainer-image/tests/bad_input.yaml").read_text())
}
RUNS_ONCE = " TrainingJobs run once: fix the cause and create a new TrainingJob."


@pytest.fixture
def space(crds: Cluster, namespace: str, kwok_nodes: Callable[..., list[str]], operator: OperatorProcess) -> Space:
    """The test's namespace with one node of its own, and an operator that serves it."""
    (node,) = kwok_nodes(1, prefix="trainer")
    return Space(crds, namespace, node)


def told(row: Json) -> str:
    """The row's message with something in each of its places."""
    places = {"data": "s3://data/parts.tar", "holdout": "s3://data/holdout.tar", "output": "s3://models/parts/v1/"}
    return re.sub(r"\{(\w+)\}", lambda place: places.get(place[1], f"some-{place[1]}"), row["message"])


def running(space: Space) -> dict[str, list[str]]:
    """The names of running pods, by TrainingJob."""
    found: dict[str, list[str]] = {}
    for pod in space.list("pods"):
        if pod["status"]["phase"] == "Running":
            owner = pod["metadata"]["labels"]["modelfleet.dev/training-job"]
            found.setdefault(owner, []).append(pod["metadata"]["name"])
    return found


def conditions(space: Space) -> dict[str, dict[str, Json]]:
    """The conditions of all TrainingJobs, by name and type."""
    return {
        job["metadata"]["name"]: {entry["type"]: entry for entry in (job.get("status") or {}).get("conditions") or ()}
        for job in space.list("trainingjobs")
    }


def reasons(space: Space) -> dict[str, str]:
    """Why each TrainingJob is not Ready."""
    return {name: found["Ready"]["reason"] for name, found in conditions(space).items() if "Ready" in found}


def test_each_row_is_told_in_its_own_words_and_makes_no_version(space: Space):
    space.apply({"apiVersion": "v1", "kind": "List", "items": [training_job(name, backoffLimit=1) for name in ROWS]})
    space.until(lambda: running(space).keys() == ROWS.keys())
    first = running(space)
    for name, (pod,) in first.items():
        row = ROWS[name]
        space.finish(pod, row["exit"], failure(row["reason"], told(row)))

    retried = {name for name, row in ROWS.items() if row["then"] == "Retried"}
    # how long a Job waits before its next pod is its controller's affair: ten seconds and more
    space.until(lambda: running(space).keys() == retried)
    space.until(lambda: all("This is attempt 2" in conditions(space)[name]["Ready"]["message"] for name in retried))
    expected = {name: row["reason"] for name, row in ROWS.items() if name not in retried}
    space.until(lambda: reasons(space).items() >= expected.items())
    seen = conditions(space)
    pods = dict.fromkeys(ROWS, 0)
    for pod in space.list("pods"):
        pods[pod["metadata"]["labels"]["modelfleet.dev/training-job"]] += 1
    for name, row in ROWS.items():
        message = seen[name]["Ready"]["message"]
        match row["then"]:
            case "Failed":
                assert message == f"{told(row).rstrip('.')}.{RUNS_ONCE}"
                assert seen[name]["Failed"]["message"] == message
                assert set(seen[name]) == {"Ready", "Stalled", "Failed"}
            case "Waits":
                assert message.startswith(
                    f"{told(row)}. The run starts automatically when it is there; it is looked for again at "
                )
                assert set(seen[name]) == {"Ready", "Stalled"}
            case "Retried":
                assert f"This is attempt 2; the one before ended with {row['reason']}: {told(row)}" in message
                assert set(seen[name]) == {"Ready", "Reconciling"}
        assert pods[name] == (2 if name in retried else 1), name
    assert space.list("modelversions") == []

    for name, (pod,) in running(space).items():
        space.finish(pod, 1, failure(ROWS[name]["reason"], told(ROWS[name])))
    space.until(lambda: retried <= {name for name, found in conditions(space).items() if "Failed" in found})
    seen = conditions(space)
    for name in retried:
        said = seen[name]["Failed"]
        assert said["reason"] == ROWS[name]["reason"]
        assert said["message"] == f"All 2 attempts failed, the last one: {told(ROWS[name])}.{RUNS_ONCE}"
    assert space.list("modelversions") == []
