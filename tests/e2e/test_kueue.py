"""A real training that real Kueue preempts for an urgent one, on a real node: it goes on from its checkpoint.

What Kueue, the operator and their messages do beside that: cluster/test_kueue.py.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from e2e.training import Run, manifest, training_world
from e2e.world import World
from harness import kueue
from harness.paths import REPOSITORY

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(os.geteuid() != 0, reason="real nodes need root"),
]
QUEUES = REPOSITORY / "examples" / "kueue" / "queues.yaml"
EPOCHS, EVERY = 12, 2


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """The example's queues on one node, which has no GPU: the quota that there is of one is of CPUs."""
    with training_world("training-a") as world:
        kueue.start(world.cluster)
        for each in yaml.safe_load_all(QUEUES.read_text()):
            if each["kind"] == "ClusterQueue":
                each["spec"]["resourceGroups"] = [
                    {
                        "coveredResources": ["cpu"],
                        "flavors": [{"name": "default", "resources": [{"name": "cpu", "nominalQuota": "1"}]}],
                    }
                ]
            world.kubectl("apply", "--filename=-", input=json.dumps(each))
        yield world


def start(world: World, name: str, priority: str, *, epochs: int, **spec: Any) -> Run:
    made = manifest(name, epochs=epochs, every=EVERY, resources={"requests": {"cpu": "1"}}, **spec)
    made["metadata"]["labels"] = {"kueue.x-k8s.io/queue-name": "gpus", "kueue.x-k8s.io/priority-class": priority}
    world.kubectl("apply", "--filename=-", input=json.dumps(made))
    return Run(world, name)


def test_a_preempted_training_goes_on_from_its_checkpoint(world: World) -> None:
    nightly = start(world, "parts-v1", "nightly", epochs=EPOCHS, backoffLimit=0)
    first = nightly.next_attempt()
    nightly.until_stored(first, EVERY)

    urgent = start(world, "parts-v2", "urgent", epochs=1)
    nightly.over(first)
    nightly.until("not queued", lambda: nightly.status().get("phase") == "Queued")
    urgent.until("not complete", lambda: urgent.status().get("phase") == "Succeeded")

    second = nightly.next_attempt()
    nightly.until("not complete", lambda: nightly.status().get("phase") in ("Succeeded", "Failed"))
    nightly.over(second)
    for each in (first, second):
        print(f"{each.pod}: went on from {each.resumed_from}, trained {each.epochs}")

    at = second.resumed_from
    assert at is not None, nightly.described()
    assert at >= EVERY
    assert second.epochs == list(range(at + 1, EPOCHS + 1))
    assert [epoch for epoch in first.epochs if epoch > at] == [], "asked to stop, it stores what it has"
    status = nightly.status()
    assert (status["phase"], status["attempts"], status["resumedFromEpoch"]) == ("Succeeded", 2, at)
    assert world.get("job", nightly.name)["status"].get("failed", 0) == 0
