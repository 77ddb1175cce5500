"""Whom a change concerns: TrainingJobs that are not over."""

import pytest

from modelfleet.kinds import JOB, MODEL_VERSION, POD, ROLLOUT, TRAINING_JOB
from modelfleet.training import WATCHES
from unit.training.builders import condition, fine_tune, job, model_version, pod, rollout, training_job
from unit.waking import store_of, woken

OVER = {"conditions": [condition("Complete", "True", "Complete")]}
HOLDOUT = {"dataset": {"uri": "s3://data/h"}, "baseline": {"rollout": "line"}}


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
    ("kind", "obj", "names"),
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
def test_who_looks_again(kind, obj, names):
    assert woken(WATCHES, kind, obj, STORE) == names


def test_what_others_make_of_a_version_is_no_news():
    before = model_version("v1", status={"usedBy": [{"rollout": "line", "role": "Stable"}], "tags": ["latest"]})
    ready = model_version("v1", ready=True)
    unready = model_version("v1", ready=False)
    assert woken(WATCHES, MODEL_VERSION, ready, STORE, before=before) == []
    assert woken(WATCHES, MODEL_VERSION, unready, STORE, before=ready) == [
        "parts-judged",
        "parts-scratch",
        "parts-tuned",
    ]


def test_only_the_stable_version_of_a_rollout_is_news():
    before, now = (
        rollout("line", stableVersion="v1", phase="Ready"),
        rollout("line", stableVersion="v1", phase="Paused"),
    )
    assert woken(WATCHES, ROLLOUT, now, STORE, before=before) == []
    for other in ({"stableVersion": "v2"}, {"stableVersion": "v1", "stableModel": "other"}):
        assert woken(WATCHES, ROLLOUT, rollout("line", **other), STORE, before=before) == [
            "parts-judged",
            "parts-tuned",
        ]
