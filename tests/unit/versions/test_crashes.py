"""The operator dies right after any single write of a verification, and ends in the same state all the same.

A version whose first attempt finds the store out of reach, and whose second one succeeds. Simulated: the API server's
objects, the Job controller, the Job's time to live, the clock. Real: what the decision reads and decides.
"""

import copy
from datetime import timedelta

import pytest

from modelfleet.api import ModelVersion
from modelfleet.decision import Apply, Delete, Patch
from modelfleet.versions import verification_record
from modelfleet.versions.decide import decide
from modelfleet.versions.snapshot import Snapshot
from modelfleet.versions.verify_job import read
from unit.training.builders import START, model_version, wire
from unit.versions.verifying import VERIFIER, pod

ENDS = (pod(exit_code=1, said=("Unreachable", "no answer")), pod(exit_code=0, said=("Verified", "2 files")))


class World:
    """One version, its verify Job, and how many Jobs there ever were."""

    def __init__(self, dies_after):
        self.version, self.job, self.made = model_version(ready=None), None, 0
        self.writes, self.dies_after, self.now = 0, dies_after, START

    def look(self):
        """One reconcile; it ends in the middle when the operator dies."""
        pods = [ENDS[self.made - 1]] if self.job is not None else []
        seen = None if self.job is None else read(self.job, pods)
        version = ModelVersion.model_validate(self.version)
        decision = decide(Snapshot(version, verifier=VERIFIER, job=seen), self.now)
        for action in decision.actions:
            self.carry_out(action)
            if self.writes == self.dies_after:
                return
        if decision.status.to_dict() != self.version.get("status"):
            self.version["status"] = decision.status.to_dict()
            self.writes += 1

    def carry_out(self, action):
        self.writes += 1
        match action:
            case Apply(manifest):
                assert self.job is None
                self.made += 1
                self.job = copy.deepcopy(dict(manifest))
                self.job["metadata"] |= {"uid": f"uid-job-{self.made}", "creationTimestamp": wire(self.now)}
            case Patch(_, _, _, body):
                self.version["metadata"]["annotations"] |= body["metadata"]["annotations"]
            case Delete(_, _, _, uid):
                assert self.job["metadata"]["uid"] == uid
                self.job = None


@pytest.mark.parametrize("dies_after", range(12))
@pytest.mark.parametrize("wiped", [False, True])
def test_every_crash_ends_in_the_same_state(dies_after, wiped):
    world = World(dies_after)
    for _ in range(10):
        world.look()
        if wiped:
            world.version["status"] = {}
        world.now += timedelta(seconds=15)
    world.look()
    known = verification_record.read(ModelVersion.model_validate(world.version))
    assert (known.verified, known.attempts, world.made) == (True, 2, 2)
    (ready,) = world.version["status"]["conditions"]
    assert (ready["status"], ready["reason"]) == ("True", "Available")
    before = world.writes
    world.look()
    assert world.writes == before, "the steady state costs no writes"
