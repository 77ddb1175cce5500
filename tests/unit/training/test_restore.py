"""A namespace that was restored from a backup: the same names, labels and specs; no uids, owners and statuses."""

import pytest

from modelfleet.kinds import JOB, MODEL_VERSION, TRAINING_JOB
from unit.training.builders import training_job
from unit.training.simulation import Story, Try, World


def restored(world: World, *, keep: tuple = (), **spec) -> Story:
    """What there is of these kinds, with another uid for each TrainingJob, in a new world."""
    new = World(tries=[Try()])
    new.add(renewed(training_job(ttlAfterFinished="2m", **spec)))
    for kind in keep:
        for obj in world.all(kind):
            new.add(renewed(obj))
    return Story(new)


def renewed(obj):
    metadata = {
        name: value
        for name, value in obj["metadata"].items()
        if name not in ("uid", "resourceVersion", "ownerReferences", "creationTimestamp")
    }
    bare = {name: value for name, value in obj.items() if name != "status"}
    return {**bare, "metadata": metadata | {"uid": f"uid-{obj['kind']}-2"}}


@pytest.fixture
async def complete():
    told = Story(World(tries=[Try()]))
    told.world.add(training_job(ttlAfterFinished="2m"))
    await told.until("Complete")
    return told.world


async def test_what_it_made_is_its_own(complete):
    told = restored(complete, keep=(MODEL_VERSION,))
    await told.until("Complete")
    assert told.world.training["status"]["modelVersion"] == "parts-v4"
    assert told.world.started == 0  # nothing is trained again


async def test_a_version_of_another_spec_is_not(complete):
    told = restored(complete, keep=(MODEL_VERSION,), hyperparameters={"epochs": 7})
    await told.until("VersionExists")


async def test_its_job_is_adopted():
    told = Story(World(tries=[Try()]))
    told.world.add(training_job(ttlAfterFinished="2m"))
    await told.until("Training")
    again = restored(told.world, keep=(JOB,))
    await again.until("Complete")
    (owner,) = again.world.get(JOB, "parts-v4")["metadata"]["ownerReferences"]
    assert owner["uid"] == again.world.get(TRAINING_JOB, "parts-v4")["metadata"]["uid"]


async def test_a_job_of_the_same_name_that_says_nothing_of_it_is_not(complete):
    job = complete.get(JOB, "parts-v4")
    job["metadata"]["labels"].pop("modelfleet.dev/training-job")
    told = restored(complete, keep=(JOB,))
    await told.until("NameConflict")
