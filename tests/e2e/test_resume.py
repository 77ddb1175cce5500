"""One training job through four disturbances in a row, on real nodes: its process is killed, its pod deleted, its node
drained, and its newest checkpoint damaged while it is suspended. It goes on each time, and no interruption costs more
than `everyEpochs`.

Most of the time goes into Kubernetes' pauses before a new pod: 10 s, 20 s, 40 s.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.training import Run, manifest, training_world
from e2e.world import World

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(os.geteuid() != 0, reason="real nodes need root"),
]
NAME = "parts-v1"
EPOCHS, EVERY = 16, 2

# of the four disturbances one is a failure
MANIFEST = manifest(NAME, epochs=EPOCHS, every=EVERY, backoffLimit=1)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with training_world("training-a", "training-b") as world:
        yield world


def trainer_process(run: Run) -> int:
    """The process id, on this machine, of the job's trainer: the one whose environment names the TrainingJob's uid."""
    uid = run.world.get("trainingjob", run.name)["metadata"]["uid"].encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command, environment = (process / "cmdline").read_bytes(), (process / "environ").read_bytes()
        except OSError:  # gone since it was listed, or a thread of the kernel
            continue
        if command.split(b"\0")[1:4] == [b"-P", b"-m", b"trainer"] and uid in environment:
            found.append(int(process.name))
    return min(found)  # loading processes, if there are any, are its children


def suspend(world: World, wanted: bool) -> None:
    patch = json.dumps({"spec": {"suspend": wanted}})
    world.kubectl("patch", "trainingjob", NAME, "--type=merge", f"--patch={patch}")


def test_a_training_goes_on_after_whatever_interrupts_it(world: World) -> None:
    run = Run(world, NAME)
    world.kubectl("apply", "--filename=-", input=json.dumps(MANIFEST))

    # the process is killed: a failure, and what was not stored is lost
    first = run.next_attempt()
    run.until_stored(first, 2)
    os.kill(trainer_process(run), signal.SIGKILL)
    run.over(first)

    # the pod is deleted: asked to stop, it stores what it has
    second = run.next_attempt()
    run.until_stored(second, first.epochs[-1] + 1)
    world.kubectl("delete", "pod", second.pod)
    run.over(second)

    # its node is drained: it goes on on the other one
    third = run.next_attempt()
    run.until_stored(third, second.epochs[-1] + 1)
    world.cluster.kubectl("drain", third.node, "--delete-emptydir-data", "--timeout=120s")
    run.over(third)

    # it is suspended, which takes its pod, and the newest checkpoint is damaged before it goes on
    fourth = run.next_attempt()
    assert fourth.node != third.node
    run.until_stored(fourth, third.epochs[-1] + 1)
    suspend(world, True)
    run.over(fourth)
    run.until("the pod is still there", lambda: not run.pods("Running", "Pending"))
    [folder] = (world.cluster.object_store.buckets / "models/parts/v1").glob(".checkpoint-*")
    *_, before, newest = sorted(path.name[:-5] for path in folder.glob("0*.json"))
    last = folder / newest / "last.pt"
    last.write_bytes(last.read_bytes()[:-1000])
    suspend(world, False)

    fifth = run.next_attempt()
    run.until("not complete", lambda: run.status().get("phase") in ("Succeeded", "Failed"))
    run.over(fifth)

    attempts = [first, second, third, fourth, fifth]
    for each in attempts:
        print(f"{each.pod} on {each.node}: went on from {each.resumed_from}, trained {each.epochs}")
    resumed = [attempt.resumed_from for attempt in attempts]
    assert resumed[0] is None
    assert resumed[4] == int(before[:6]) < int(newest[:6])
    assert any(f"checkpoint {newest} can't be used" in event["message"] for event in fifth.events("warning"))
    for earlier, later in itertools.pairwise(attempts):
        at = later.resumed_from
        assert at is not None, run.described()
        assert later.epochs == list(range(at + 1, later.epochs[-1] + 1))  # it counts on from there
        again = [epoch for epoch in earlier.epochs if epoch > at]
        assert len(again) <= EVERY, f"{earlier.pod} trained {earlier.epochs} and {later.pod} went on from {at}"
    assert fifth.epochs[-1] == EPOCHS

    status = run.status()
    assert status["phase"] == "Succeeded", run.described()
    assert status["modelVersion"] == "parts-v1"
    assert status["progress"]["epoch"] == EPOCHS
    assert (status["attempts"], status["preemptions"]) == (5, 1), run.described()
    assert status["resumedFromEpoch"] == resumed[4]
    job = world.get("job", NAME)
    assert job["status"]["failed"] == 1  # of five pods, the killed one alone
    of_ours = "reason=Resumed,involvedObject.kind=TrainingJob"
    went_on = [event["message"] for event in world.items("events", fields=of_ours)]
    assert {f"Resumed from epoch {epoch}." for epoch in resumed[1:]} == set(went_on)
    assert not folder.exists()  # published: the checkpoints have served
