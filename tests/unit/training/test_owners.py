"""Whom a change concerns: TrainingJobs that are not over."""

import pytest

from modelfleet.kinds import JOB, MODEL_VERSION, POD, ROLLOUT, TRAINING_JOB
from modelfleet.kube import Store
from modelfleet.training import owners_of
from unit.training.builders import condition, fine_tune, job, model_version, pod, rollout, training_job

OVER = {"conditions": [condition("Complete", "True", "Complete")]}
HOLDOUT = {"dataset": {"uri": "s3://data/h"}, "baseline": {"rollout": "line"}}


def store_of(*objects):
    store = Store()
    for number, obj in enumerate(objects, start=1):
        store.put({**obj, "metadata": {**obj["metadata"], "resourceVersion": str(number)}})
    return store


STORE = store_of(
    training_job("parts-over", status=OVER),
    training_job("parts-scratch"),
    fine_tune({"rollout": "line"}, name="parts-tuned"),
    training_job("parts-judged", evaluation=HOLDOUT),
    training_job("other-v1", model="other"),
)


def named(obj, name):
    return {**obj, "metadata": {**obj["metadata"], "name": name}}


LABELLED = job()["metadata"] | {"labels": {"modelfleet.dev/training-job": "parts-v4"}}


@pytest.mark.parametrize(
    ("kind", "obj", "woken"),
    [
        (TRAINING_JOB, training_job("parts-scratch"), ["parts-scratch"]),
        (JOB, job(), ["parts-v4"]),
        (POD, {**pod(), "metadata": LABELLED}, ["parts-v4"]),
        (POD, pod(), []),
        (MODEL_VERSION, model_version("v1"), ["parts-judged", "parts-scratch", "parts-tuned"]),
        (MODEL_VERSION, model_version("v1", model="other"), ["other-v1"]),
        (ROLLOUT, rollout("line"), ["parts-judged", "parts-tuned"]),
        (ROLLOUT, rollout("press"), []),
    ],
)
def test_who_looks_again(kind, obj, woken):
    owners = list(owners_of(kind, obj, STORE))
    assert all(owner == TRAINING_JOB for owner, _ in owners)
    assert [key.name for _, key in owners] == woken
